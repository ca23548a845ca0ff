//go:build unix && !solaris && !illumos && !aix

package fsys

import (
	"io/fs"
	"os"
	"syscall"
)

// syncsFolders tells whether a folder can be synced at all.
const syncsFolders = true

// errUnchanged stands for a chmod that changed nothing.
const errUnchanged = syscall.ENOTSUP

// OpenToOthers tells whether the mode lets anybody but the owner read or write.
func OpenToOthers(_ string, info fs.FileInfo) bool { return info.Mode().Perm()&0o066 != 0 }

// lockWhole waits for the lock of an open folder, which no other part of Husk
// takes. It ends with the descriptor.
func lockWhole(d *os.File) error {
	for {
		if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

// OpenPlain opens a file for reading. It follows no link at the end of the path,
// which is syscall.ELOOP, and waits for no writer of a pipe.
func OpenPlain(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// NoAccess is what the system answers to who may not.
const NoAccess = syscall.EACCES
