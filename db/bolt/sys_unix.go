//go:build unix && !solaris && !illumos && !aix && !android

package bolt

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// mapReserve is the address space that is mapped at once, as long as the
// store is smaller. Another mapping has to wait for all readers, and a backup
// is a long one. It costs no memory, but address space: 256 MiB, or 64 where that
// has 32 bits.
const mapReserve = 64 << 20 << (2 * (strconv.IntSize / 64))

// noFollow keeps an open from following a link at the end of the path.
const noFollow = syscall.O_NOFOLLOW

// tryLock takes bbolt's own lock, on the descriptor that bbolt will be given.
func tryLock(f *os.File) (taken bool, err error) {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return false, nil
		case nil:
			return true, nil
		default:
			return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}

// unlock gives the lock back; a mapping that is left would hold it beyond the
// close of the file.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// mapHeader maps the first bytes of a file for reading, or answers nil.
func mapHeader(f *os.File, n int) []byte {
	header, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil
	}
	return header
}

func unmapHeader(header []byte) {
	if header != nil {
		_ = syscall.Munmap(header)
	}
}

// giveToOwner hands a file that root made to the owner of its folder: the
// server runs as that user and has to open it.
func giveToOwner(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// ledAway tells whether f, which root opened at path, stands elsewhere and is
// not of the owner of the folder: who may make links there could otherwise be
// given, as a copy of their store, one that they may not read.
func ledAway(f *os.File, path string) bool {
	if os.Geteuid() != 0 {
		return false
	}
	mine, err := f.Stat()
	at, err2 := os.Lstat(path)
	dir, err3 := os.Stat(filepath.Dir(path))
	if err != nil || err2 != nil || err3 != nil || os.SameFile(mine, at) {
		return false // what is not there any more is told later
	}
	owner, folder := mine.Sys().(*syscall.Stat_t).Uid, dir.Sys().(*syscall.Stat_t).Uid
	return folder != 0 && owner != folder
}

// nameless tells whether an open file has no name left.
func nameless(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}
