//go:build !windows

package fsys

import (
	"errors"
	"io/fs"
	"os"
)

// RenameNew is a rename in a folder that replaces nothing: where there is
// something at to, it is fs.ErrExist.
func RenameNew(dir *os.Root, from, to string) error {
	err := dir.Link(from, to) // a rename would replace a file that came meanwhile
	if err != nil && Lacks(err) {
		return renameWithoutLinks(dir, from, to, err)
	}
	if err != nil {
		return err
	}
	if err := dir.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// renameLocked is RenameNew by any rename, while the folder is locked: for file
// systems that have neither links nor a rename that replaces nothing. All who
// give a file a new name there come this way.
func renameLocked(dir *os.Root, from, to string, cause error) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close() // and with it the lock ends
	if err := lockWhole(d); err != nil {
		return errors.Join(cause, err)
	}
	if _, err := dir.Lstat(to); err == nil {
		return &os.LinkError{Op: opLink, Old: from, New: to, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return dir.Rename(from, to)
}
