package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/windows"

	"husk/db"
	"husk/db/fsys"
)

// mapReserve is 0: here bbolt makes the file as long as what it maps, and so every
// backup. A store that doubles waits for its readers.
const mapReserve = 0

const noFollow = 0

// lockAt is the byte that is locked for as long as a store is open, far beyond the
// end of any file: locks keep others from what they are on. The last byte of all
// is bbolt's own, which it takes besides: a second lock of one byte by one handle
// would wait for the first.
const lockAt = ^uint64(0) - 1

func lockedByte() *windows.Overlapped {
	at := lockAt
	return &windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)}
}

func tryLock(f *os.File) (taken bool, err error) {
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, lockedByte())
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	}
	return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
}

// unlock gives the lock back. It is no error where bbolt has closed the file.
func unlock(f *os.File) error {
	err := windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, lockedByte())
	if errors.Is(err, windows.ERROR_NOT_LOCKED) || errors.Is(err, windows.ERROR_INVALID_HANDLE) {
		return nil
	}
	return err
}

// mapHeader maps nothing: a mapping would keep the file from being cut.
func mapHeader(*os.File, int) []byte { return nil }

func unmapHeader([]byte) {}

// giveToOwner has nothing to do: who may work in the folder may open what is made
// there, since it has the access list of the folder, or a stricter one of the
// administrators.
func giveToOwner(*os.File, string) error { return nil }

// ledAway tells whether f, which the system or an administrator opened at path,
// stands elsewhere and is not of those who may write in the folder: see
// sys_unix.go.
func ledAway(f *os.File, path string) bool {
	me, err := fsys.Me()
	if err != nil || !me.Elevated {
		return false
	}
	mine, err := f.Stat()
	at, err2 := os.Lstat(path)
	dir, err3 := fsys.AccessAt(filepath.Dir(path))
	if err != nil || err2 != nil || err3 != nil || os.SameFile(mine, at) {
		return false
	}
	return !me.Trusts(dir.Owner)
}

func nameless(os.FileInfo) bool { return false }

// yield closes the store, so that another file can take the place of its own, which
// is not possible while it is mapped, and takes its lock again without opening it.
// Who was faster is db.ErrLocked. One that was changed meanwhile is refused as well:
// what was made of it is old.
func (e *Engine) yield() (release func() error, err error) {
	before, err := newest(e.file, e.pageSize)
	if err != nil {
		return nil, classify(err)
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	f, err := claim(e.path, e.timeout)
	if err != nil {
		return nil, classify(err)
	}
	release = sync.OnceValue(func() error { return errors.Join(unlock(f), f.Close()) })
	if now, err := newest(f, e.pageSize); err != nil || now.txid != before.txid {
		return nil, errors.Join(&db.Error{Kind: db.ErrLocked, Code: "store_locked", Reason: "another process has changed the store meanwhile", Cause: err}, release())
	}
	return release, nil
}
