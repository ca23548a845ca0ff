package fsys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

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
	if err == nil && OpenToOthers(info) {
		return &fs.PathError{Op: opChmod, Path: f.Name(), Err: errUnchanged}
	}
	return err
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

// MakePrivateFolder is MakePrivate for a folder, but it refuses none: what is
// in it decides.
func MakePrivateFolder(path string) error {
	err := os.Chmod(path, 0o700)
	if lacks(err) {
		return nil
	}
	return err
}

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

// Place gives the file at temp, which is whole and synced, another name in its
// folder, durably, and fails with fs.ErrExist where that is taken: nobody's file
// is replaced.
func Place(temp, path string) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := RenameNew(dir, filepath.Base(temp), filepath.Base(path)); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// Replace is Place for a name that may be taken: what has it loses it.
func Replace(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

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

// Keep gives the file at path, which nobody writes to, the second name kept,
// durably, in the place of what has that name. At every moment both names lead
// to a whole file. temp is a name in the same folder that is free. Without hard
// links it is a copy.
func Keep(path, temp, kept string) error {
	err := os.Link(path, temp)
	if err != nil && Lacks(err) {
		err = copyPrivate(path, temp)
	}
	if err != nil {
		return err
	}
	defer os.Remove(temp) // still there where both are names of one file: then a rename does nothing
	return Replace(temp, kept)
}

func copyPrivate(path, to string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			os.Remove(to)
		}
	}()
	if err := MakePrivate(out); err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}
