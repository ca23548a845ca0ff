package fsys

import (
	"os"

	"golang.org/x/sys/unix"
)

// placeWithoutLinks is Place on a file system without hard links, as vfat, SMB
// and some of FUSE. cause is what it answered.
func placeWithoutLinks(temp, path string, cause error) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if err == nil {
		return nil
	}
	err = &os.LinkError{Op: opLink, Old: temp, New: path, Err: err}
	if !Lacks(err) {
		return err
	}
	return placeLocked(temp, path, cause)
}
