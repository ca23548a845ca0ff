package folder

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"husk/db/fsys"
)

// NewFile is a file that is being written: it has no name, or one of its own,
// until Place. The folder is held, so that all of it happens in the same one,
// whatever its path leads to by then.
type NewFile struct {
	*os.File // open for reading and writing
	folder   *os.Root
	names    *os.File // the folder, for calls that take its descriptor
	prefix   string   // of a name of its own
	temp     string   // that name; "": it has none

	// Exposed says that others may read it: its file system keeps no modes.
	Exposed bool
}

// Create begins a file in the folder dir, for its owner alone, whatever the
// umask. Where the system can't do without, it gets a name that begins with
// prefix, and is left there where the process is killed.
func Create(dir, prefix string) (*NewFile, error) {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &NewFile{folder: folder, prefix: prefix}
	if f.names, err = folder.Open("."); err == nil {
		err = f.create()
	}
	if err == nil {
		err = fsys.MakePrivate(f.File)
		if f.Exposed = fsys.Lacks(err); f.Exposed {
			err = nil
		}
	}
	if err != nil {
		f.Discard()
		return nil, err
	}
	return f, nil
}

func (f *NewFile) create() (err error) {
	if f.File, err = unnamed(f.names); err == nil {
		return nil
	}
	return f.createNamed()
}

func (f *NewFile) createNamed() (err error) {
	name := f.ownName()
	if f.File, err = fsys.CreateIn(f.folder, name); err == nil {
		f.temp = name
	}
	return err
}

func (f *NewFile) ownName() string { return f.prefix + strconv.FormatUint(rand.Uint64(), 36) }

// Folder is where the file is going to be.
func (f *NewFile) Folder() *os.Root { return f.folder }

// Place gives the file its name in its folder, in one step. What has the name
// is replaced where that is asked for; else it is an error, which is
// fs.ErrExist.
func (f *NewFile) Place(name string, replace bool) error {
	if f.temp == "" && !replace {
		return give(f.File, f.names, name)
	}
	if f.temp == "" {
		temp := f.ownName() // nothing gives a name that another file has
		if err := give(f.File, f.names, temp); err != nil {
			return err
		}
		f.temp = temp
	}
	var err error
	if replace {
		err = f.folder.Rename(f.temp, name)
	} else {
		err = fsys.RenameNew(f.folder, f.temp, name)
	}
	if err == nil {
		f.temp = ""
	}
	return err
}

// SyncName makes the name durable that Place gave.
func (f *NewFile) SyncName() error { return fsys.SyncOpenFolder(f.names) }

// Discard closes the file and removes it, unless Place gave it its name.
func (f *NewFile) Discard() {
	if f.File != nil {
		f.Close()
	}
	if f.temp != "" {
		_ = fsys.RemoveIn(f.folder, f.temp)
	}
	if f.names != nil {
		f.names.Close()
	}
	f.folder.Close()
}

// SameOwner tells whether the file belongs to the user of the one that is called
// name in its folder.
func (f *NewFile) SameOwner(name string, there fs.FileInfo) bool {
	mine, err := f.Stat()
	return err != nil || sameOwner(f.Name(), filepath.Join(f.folder.Name(), name), mine, there)
}
