//go:build !windows

package fsys

import (
	"fmt"
	"io/fs"
	"os"
)

// OpenFile is os.OpenFile for what may be renamed, replaced or removed while it is
// open.
func OpenFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

// CreatePrivate makes a temporary file that its owner alone may read and
// write, whatever the umask; see os.CreateTemp.
func CreatePrivate(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := MakePrivate(f); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// CreateIn makes the file name in an open folder, for its owner alone.
func CreateIn(dir *os.Root, name string) (*os.File, error) {
	return dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// RemoveIn removes the file name in an open folder.
func RemoveIn(dir *os.Root, name string) error { return dir.Remove(name) }

// MakePrivate lets nobody but the owner read and write f, whatever the umask.
// What counts is what the mode then is: some file systems refuse to change it,
// some only seem to, and both may be mounted for the owner alone.
func MakePrivate(f *os.File) error {
	if err := f.Chmod(0o600); err != nil && !lacks(err) {
		return err
	}
	return Private(f)
}

// Private tells that others may read or write f.
func Private(f *os.File) error {
	info, err := f.Stat()
	if err == nil && OpenToOthers(f.Name(), info) {
		return &fs.PathError{Op: opChmod, Path: f.Name(), Err: errUnchanged}
	}
	return err
}

// MakeFolder makes a folder for its owner alone, whatever the umask. A file system
// without modes is no reason to refuse it: what is in it decides.
func MakeFolder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil && !lacks(err) {
		return err
	}
	return nil
}

// ReplaceUnused is Replace where nobody has open what loses its name. Here that makes
// no difference.
func ReplaceUnused(temp, path string) error { return Replace(temp, path) }

// InUse tells whether err says that somebody has the file open, which is no reason
// to fail here.
func InUse(error) bool { return false }

func rename(from, to string) error { return os.Rename(from, to) }

// SyncFolder makes names that were given or taken in a folder durable.
func SyncFolder(path string) error {
	if !syncsFolders {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return SyncOpenFolder(d)
}

// SyncOpenFolder is SyncFolder for one that is open. A file system that does
// not have this (some of FUSE and SMB) keeps names as it does: nobody can ask
// for more there.
func SyncOpenFolder(d *os.File) error {
	err := d.Sync()
	if err != nil && !lacks(err) {
		return fmt.Errorf("sync the folder: %w", err)
	}
	return nil
}
