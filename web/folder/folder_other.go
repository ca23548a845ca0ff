//go:build !linux && !windows

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Open finds the folder at path. Here root does not become the owner of another
// user's folder: it does not work in one.
func Open(path string) (*Folder, error) {
	f := &Folder{path: path}
	info, err := os.Stat(path)
	if os.Geteuid() != 0 || errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if uid := ownerOf(info); uid != 0 {
		return nil, &LedError{fmt.Sprintf("%s belongs to uid %d, who could lead root elsewhere from there", path, uid), "run the command as that user"}
	}
	return f, nil
}

// Become does nothing: nobody but the owner comes this far.
func (f *Folder) Become() (leave func() error, err error) { return func() error { return nil }, nil }

// AsCaller runs f.
func AsCaller(f func() error) error { return f() }
