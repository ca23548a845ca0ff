package archive

import (
	"errors"
	"fmt"
	"os"

	"husk/db/fsys"
)

// SwapIn gives a whole file, beside path, the name path, in the place of what
// has it. That gets the second name kept first, in the place of what was kept
// there; where kept is "", it is given up. All is made durable in this order:
// the file, the name kept, the name path. So path leads to a whole file at every
// moment, also after the power was cut, and what is kept can't be lost for what
// came.
//
// letGo closes what the caller has open of the file at path, its lock with it; nil:
// it has nothing. It is called only on a system that replaces nothing that is open,
// and there it is that which keeps a file from being replaced under who has opened
// it meanwhile: then the swap fails, with a whole file in its place.
func SwapIn(fresh *os.File, path, kept string, letGo func() error) error {
	if err := settle(fresh); err != nil {
		return err
	}
	if kept != "" {
		if err := fsys.Keep(path, fresh.Name()+"-kept", kept); err != nil {
			return fmt.Errorf("keep the old store: %w", err)
		}
	}
	err := fsys.Replace(fresh.Name(), path)
	if err != nil && letGo != nil && fsys.InUse(err) {
		if err = letGo(); err == nil {
			err = fsys.ReplaceUnused(fresh.Name(), path)
		}
	}
	if err != nil {
		return fmt.Errorf("put the file in place: %w", err)
	}
	return nil
}

// PutIn is SwapIn where nothing has the name; something that came meanwhile is
// not replaced: then it is fs.ErrExist.
func PutIn(fresh *os.File, path string) error {
	if err := settle(fresh); err != nil {
		return err
	}
	return fsys.Place(fresh.Name(), path)
}

// settle makes the file durable, and sees to it that it is the one at its name.
func settle(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	mine, err := f.Stat()
	there, err2 := os.Lstat(f.Name())
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if !os.SameFile(mine, there) {
		return fmt.Errorf("another file is in the place of %s", f.Name())
	}
	return nil
}
