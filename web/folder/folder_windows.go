package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"husk/db/fsys"
)

// On Windows the system and who works with the rights of an administrator are what
// root is elsewhere. They do not become the owner of another user's folder: they do
// not work in one.

// Open finds the folder at path, which is absolute. What is missing of it is no
// error; see Missing. For administrators the error is a *LedError where anybody
// else could lead them elsewhere, now or later: nobody else may own, replace or
// change what stands on the way, nor write in the folder. So the way stays what it
// was when it was looked at.
func Open(path string) (*Folder, error) {
	f := &Folder{path: path}
	me, err := fsys.Me()
	if err != nil {
		return nil, err
	}
	if !me.Elevated {
		return f, nil
	}
	there, missing := existing(path)
	f.rest = missing
	if err := checkWay(me, there, len(missing) > 0); err != nil {
		return nil, err
	}
	final, err := finalPath(there)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(final, there) { // links stand on the way
		err = checkWay(me, final, len(missing) > 0)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// existing is the part of a path that is there, and the names that are not.
func existing(path string) (there string, missing []string) {
	there = filepath.Clean(path)
	for {
		_, err := os.Lstat(there)
		parent := filepath.Dir(there)
		if !errors.Is(err, fs.ErrNotExist) || parent == there {
			return there, missing
		}
		missing = append([]string{filepath.Base(there)}, missing...)
		there = parent
	}
}

// checkWay looks at each step from the root of the drive to path, links as
// themselves.
func checkWay(me fsys.User, path string, missing bool) error {
	for at, last := path, true; ; last = false {
		parent := filepath.Dir(at)
		a, err := fsys.AccessAt(at)
		if err != nil {
			return err
		}
		rights := windows.ACCESS_MASK(fsys.MoveIt)
		switch {
		case last && !missing:
			rights = fsys.ChangeIt
		case parent == at:
			rights &^= windows.DELETE // which there is none of a root
		}
		if who := a.Open(me, rights); who != nil {
			return ledOn(at, path, who.String(), a.Owner != nil && who.Equals(a.Owner))
		}
		if parent == at {
			return nil
		}
		at = parent
	}
}

func ledOn(at, path, who string, owns bool) error {
	what := fmt.Sprintf("%s may change %s", who, at)
	if owns {
		what = fmt.Sprintf("%s belongs to %s", at, who)
	}
	return &LedError{what + ", and could lead an administrator to another folder than " + path,
		"take that from them ('icacls', 'takeown'), or name another folder with --data, best one that husk makes itself; the owner of such a folder runs husk without 'Run as administrator'"}
}

// finalPath is where a path leads by all links.
func finalPath(path string) (string, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer windows.CloseHandle(h)
	text := make([]uint16, windows.MAX_LONG_PATH)
	n, err := windows.GetFinalPathNameByHandle(h, &text[0], uint32(len(text)), 0)
	if err != nil || int(n) > len(text) {
		return "", &fs.PathError{Op: "open", Path: path, Err: errors.Join(err, fs.ErrInvalid)}
	}
	final := windows.UTF16ToString(text[:n])
	if share, found := strings.CutPrefix(final, `\\?\UNC\`); found {
		return `\\` + share, nil
	}
	return strings.TrimPrefix(final, `\\?\`), nil
}

// Become does nothing: nobody but the owner comes this far.
func (f *Folder) Become() (leave func() error, err error) { return func() error { return nil }, nil }

// AsCaller runs f.
func AsCaller(f func() error) error { return f() }

// sameOwner tells whether two files belong to one user.
func sameOwner(a, b string, _, _ fs.FileInfo) bool {
	first, err := fsys.AccessAt(a)
	second, err2 := fsys.AccessAt(b)
	return err != nil || err2 != nil || first.Owner == nil || second.Owner == nil || first.Owner.Equals(second.Owner)
}
