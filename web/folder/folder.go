// Package folder opens a folder for root without being led elsewhere, and
// works in one that belongs to another user as that user.
//
// Root names a data folder, and others may own what stands on the way there: a
// link, a folder above it, a folder that everybody may write to. Whoever does
// can lead root to another folder, before a look at it or right after one. So
// Open goes the way step by step, by descriptors, and follows nothing that
// belongs to somebody else than root or the owner of the folder that it comes
// to. In a folder of root's nobody else can then change the way any more, and
// paths are safe. In one of another user everything is done through its
// descriptor and under that user's id (Become): wherever they lead, they could
// have gone by themselves.
//
// For everybody but root the kernel decides alone, and Open does nothing.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// LedError says what on the way to a folder could lead root elsewhere.
// errors.Is(err, fs.ErrPermission) holds.
type LedError struct {
	What string // whose it is, or how
	Next string // what to do
}

func (e *LedError) Error() string { return e.What }

// Unwrap gives fs.ErrPermission.
func (e *LedError) Unwrap() error { return fs.ErrPermission }

// Folder is a folder that was found, or the place where one can be made.
type Folder struct {
	path string   // as it was named
	held string   // of the folder, through its descriptor; empty: by path
	rest []string // names of folders that are missing
	uid  int      // the owner; of the last one that is there
	end  func() error
}

// Path is where to work: the path that was named, or the folder by its
// descriptor, which is good until Close.
func (f *Folder) Path() string {
	if f.held == "" {
		return f.path
	}
	return filepath.Join(append([]string{f.held}, f.rest...)...)
}

// Missing tells that it has yet to be made.
func (f *Folder) Missing() bool { return len(f.rest) > 0 }

// Close gives the descriptor back.
func (f *Folder) Close() error {
	if f.end == nil {
		return nil
	}
	return f.end()
}

// Check tells why root would not work in the folder at path, which has to be
// its own; nil for everybody else. One that is not there is no fault.
func Check(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	if f.uid != 0 {
		err = &LedError{fmt.Sprintf("%s belongs to uid %d, who could lead root elsewhere from there", path, f.uid), "give it to root"}
	}
	return errors.Join(err, f.Close())
}

// step is one name on the way: a folder that is gone through, or a link.
type step struct {
	path   string
	uid    int
	shared bool // its group, which is not root's, or others may write to it
	sticky bool
	link   bool
}

// check tells what could lead root away. missing says that the last step is
// where a folder is to be made.
func check(way []step, missing bool) error {
	last := way[len(way)-1]
	for i, s := range way {
		end := i == len(way)-1 && !missing
		switch {
		case s.uid != 0 && s.uid != last.uid:
			return ledBy(s, last)
		case s.uid != 0 || s.link || !s.shared || s.sticky && !end:
			continue
		case end:
			return &LedError{fmt.Sprintf("others may write to %s, and could lead root elsewhere from there", s.path), "'chmod 700' it (a file system without modes is mounted with umask=077)"}
		}
		return &LedError{fmt.Sprintf("others may write to %s, and could lead root to another folder than %s", s.path, last.path), "'chmod go-w' it (a file system without modes is mounted with umask=077), or move the data folder"}
	}
	return nil
}

func ledBy(s, last step) error {
	whose := "root"
	if last.uid != 0 {
		whose = fmt.Sprintf("uid %d", last.uid)
	}
	kind, next := "folder", "move the data folder to where only its owner and root decide what it is"
	if s.link {
		kind, next = "link", "name the folder itself with --data, if it is the right one"
	}
	return &LedError{fmt.Sprintf("the %s %s belongs to uid %d, and leads root to %s, which belongs to %s", kind, s.path, s.uid, last.path, whose), next}
}
