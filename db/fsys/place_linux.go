package fsys

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameWithoutLinks is RenameNew on a file system without hard links, as vfat,
// SMB and some of FUSE. cause is what it answered.
func renameWithoutLinks(dir *os.Root, from, to string, cause error) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	fd := int(d.Fd())
	if err = unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE); err == nil {
		return nil
	}
	err = &os.LinkError{Op: opLink, Old: from, New: to, Err: err}
	if !Lacks(err) {
		return err
	}
	return renameLocked(dir, from, to, cause)
}
