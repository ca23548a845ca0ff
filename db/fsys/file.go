package fsys

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

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
	if err := rename(temp, path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
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
	in, err := OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
