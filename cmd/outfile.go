package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"husk/db/fsys"
	"husk/web/folder"
)

// This file is the one way by which a command writes a file that was named to
// it: whole or not at all, in the place of nothing that is no regular file, and
// of nothing at all that it was not told to replace.

// outputPrefix is how a file that is being written is called, beside its place,
// where it has to have a name.
const outputPrefix = ".husk-output-"

// destination is where a file is to stand, and what may stand there before.
type destination struct {
	path  string
	what  string      // "the token": what is in it
	force bool        // it may take the place of a regular file
	mode  fs.FileMode // 0: 0600
	next  string      // what to do about what stands there; "": name another
	// refuse looks at the file that would be replaced, which is regular, and
	// says why it may not be; nil: anything may.
	refuse func(there *os.File) error
}

// outputFile is one that was begun. It is the caller's, as is its folder,
// and is opened before the store is: root may be another user then.
type outputFile struct {
	*folder.NewFile
	destination
	placed bool // it has its name
}

// isPlaced tells whether the file has its name. It may be called on nil.
func (f *outputFile) isPlaced() bool { return f != nil && f.placed }

// toStdout tells whether a path of --output means stdout.
func toStdout(path string) bool { return path == "-" }

// open begins the file, where it may stand there.
func (o destination) open() (*outputFile, error) {
	dir := filepath.Dir(o.path)
	removeOld(dir, outputPrefix, time.Hour) // of one that was killed
	file, err := folder.Create(dir, outputPrefix)
	if err != nil {
		return nil, o.failed(err)
	}
	f := &outputFile{NewFile: file, destination: o}
	if err := f.check(); err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

// name is the file's in its folder.
func (o destination) name() string { return filepath.Base(o.path) }

// check looks at what stands in the place. A link is never followed: where it
// leads may change, and what it leads to may be a device.
func (f *outputFile) check() error {
	info, err := f.Folder().Lstat(f.name())
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(f.path, string(filepath.Separator)):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return f.failed(err)
	case err != nil || !info.Mode().IsRegular():
		return f.notRegular(info)
	case !f.force:
		return &failure{code: exitConflict, err: fs.ErrExist, what: printable(f.path) + " is there already", next: f.instead("replace it: --force")}
	case f.takesAway(info):
		return &failure{code: exitConflict, what: printable(f.path) + " belongs to another user, who could not read the new one",
			next: "nothing was changed; run the command as that user, or name another file and hand it over"}
	case f.refuse == nil:
		return nil
	}
	there, err := f.Folder().Open(f.name())
	if err != nil {
		return f.failed(err)
	}
	defer there.Close()
	return f.refuse(there)
}

// takesAway tells whether the new file would be another user's than the one
// that it replaces, which root may do: a service would lose what it reads, and
// the secret that was in it has ended by then. Giving the new one away is no way
// out, where others may make files.
func (f *outputFile) takesAway(there fs.FileInfo) bool {
	return !f.SameOwner(f.name(), there)
}

// notRegular says what stands in the place; nil: a name that is a folder's.
func (f *outputFile) notRegular(info fs.FileInfo) error {
	what, next := "a folder", "nothing was changed; name a file in it"
	if info != nil && !info.IsDir() {
		next = f.instead("- for stdout")
		switch mode := info.Mode(); {
		case mode&fs.ModeSymlink != 0:
			to, _ := f.Folder().Readlink(f.name())
			what = "a link to " + printable(to)
		case mode&fs.ModeNamedPipe != 0:
			what = "a pipe"
		case mode&fs.ModeSocket != 0:
			what = "a socket"
		default:
			what = "a device"
		}
	}
	return usage(printable(f.path)+" is not a regular file, but "+what, next)
}

// instead is the next step where something is in the place.
func (o destination) instead(or string) string {
	if o.next != "" {
		return o.next
	}
	return "nothing was changed; name another file with --output, or " + or
}

// reserve takes the room of n bytes, durably: a disk that is full says so now,
// and not when there is something to be lost.
func (f *outputFile) reserve(n int) error {
	_, err := f.WriteAt(bytes.Repeat([]byte(" "), n), 0)
	return f.failed(errors.Join(err, f.Sync()))
}

// finish makes text all that is in the file, and puts it in place.
func (f *outputFile) finish(text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	if err = errors.Join(err, f.Truncate(int64(len(text)))); err != nil {
		return f.failed(err)
	}
	return f.place()
}

// place gives the file its name, and makes all of it durable.
func (f *outputFile) place() error {
	if err := f.Sync(); err != nil {
		return f.failed(err)
	}
	return folder.AsCaller(func() error {
		if err := f.put(); err != nil {
			return err
		}
		f.placed = true
		if err := f.SyncName(); err != nil {
			return &failure{code: exitFailure, err: err, what: printable(f.path) + " is written, but may not outlive a power cut: " + plainWriteError(filepath.Dir(f.path), err), next: "look at the disk"}
		}
		return nil
	})
}

// put gives the file its name.
func (f *outputFile) put() error {
	if f.mode != 0 {
		if err := f.Chmod(f.mode); err != nil {
			return f.failed(err)
		}
	}
	if err := f.check(); err != nil { // what came meanwhile
		return err
	}
	err := f.Place(f.name(), f.force)
	if errors.Is(err, fs.ErrExist) {
		return f.check()
	}
	return f.failed(err)
}

// discard removes what was not put in place. It may be called on nil.
func (f *outputFile) discard() {
	if f != nil {
		_ = folder.AsCaller(func() error { f.Discard(); return nil })
	}
}

// failed says why the file can't be written; nil where err is.
func (o destination) failed(err error) error {
	var own *failure
	if err == nil || errors.As(err, &own) {
		return err
	}
	f := &failure{code: exitFailure, err: err, what: fmt.Sprintf("%s can't be written: %s", o.what, printable(plainWriteError(o.path, err))), next: "nothing was changed"}
	if c, ok := fsys.Explain(err); ok {
		f.next = "nothing was changed; " + c.Next
	}
	return f
}
