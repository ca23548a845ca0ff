package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"husk/db"
	"husk/db/fsys"
)

// lockPoll is the time between two attempts to take the file lock.
const lockPoll = 10 * time.Millisecond

// claim opens the file at path, which exists, and takes its lock. All checks
// of the content come after that: before, another process may be at work.
func claim(path string, wait time.Duration) (*os.File, error) {
	deadline := time.Now().Add(wait)
	for {
		f, err := openRegular(path, os.O_RDWR)
		if err != nil {
			return nil, err
		}
		if err = lockBy(f, deadline); err != nil {
			f.Close()
			return nil, err
		}
		if stillAt(f, path) {
			return f, nil
		}
		f.Close()
		if time.Now().After(deadline) {
			return nil, locked("%s is being replaced again and again", path)
		}
	}
}

// Lock takes the lock of the file at path and looks at nothing in it: for who
// replaces the file, which may be damaged. Its error is one of Open's about
// the file itself.
func Lock(path string, wait time.Duration) (release func() error, err error) {
	f, err := claim(path, wait)
	if err != nil {
		return nil, err
	}
	return func() error { return errors.Join(unlock(f), f.Close()) }, nil
}

// Hold tells whether an open file begins as a store does, and then takes its lock, as long
// as it is open, so that nobody writes to it while it is copied. Whether it is whole it
// does not tell. The error is db.ErrLocked where somebody uses the store.
func Hold(f *os.File) (isStore bool, err error) {
	if _, err := newest(f, 0); errors.Is(err, errForeign) {
		return false, nil
	}
	return true, lockBy(f, time.Now())
}

func openRegular(path string, flag int) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, damaged(nil, "%s is not a regular file", path)
	}
	f, err := fsys.OpenFile(path, flag, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &db.Error{Kind: db.ErrAbsent, Code: "store_absent", Reason: fmt.Sprintf("there is no store at %s", path), Cause: err}
	case err == nil && ledAway(f, path):
		f.Close()
		return nil, damaged(nil, "%s leads to a file that is not of the owner of its folder", path)
	}
	return f, err
}

// lockBy waits for the lock. It tries at least once.
func lockBy(f *os.File, deadline time.Time) error {
	for {
		taken, err := tryLock(f)
		if err != nil {
			return err
		}
		if taken {
			return nil
		}
		if time.Now().Add(lockPoll).After(deadline) {
			if pid, name, ok := Holder(f.Name()); ok {
				return locked("%s is in use by process %d (%s)", f.Name(), pid, name)
			}
			return locked("%s is in use by another process", f.Name())
		}
		time.Sleep(lockPoll)
	}
}

// stillAt tells whether path is still the file that was opened. A restore
// puts another file in its place by a rename, and the lock on the old one is
// then worth nothing.
func stillAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	now, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(mine, now)
}
