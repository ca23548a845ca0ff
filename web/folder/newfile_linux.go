package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// unnamed makes a file without a name in dir. It fails where the file system
// has none, or where one could not be given a name later.
func unnamed(dir *os.File) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), dir.Name())
	var here, there unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &here), unix.Stat(byDescriptor(f), &there)); err != nil || here.Ino != there.Ino || here.Dev != there.Dev {
		f.Close()
		return nil, errors.ErrUnsupported // no /proc
	}
	return f, nil
}

func byDescriptor(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// give gives a file without a name its first one.
func give(f, dir *os.File, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, byDescriptor(f), int(dir.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &fs.PathError{Op: "link", Path: name, Err: err}
	}
	return nil
}
