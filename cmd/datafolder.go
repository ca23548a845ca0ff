package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"husk/db"
	"husk/db/fsys"
	"husk/web/folder"
)

// dir is where the data folder is worked on: its path or, where root works in
// that of another user, its descriptor. What is said to people names the path.
func (a *app) dir() string { return cmp.Or(a.entered, a.settings.Data) }

func (a *app) storePath() string { return filepath.Join(a.settings.Data, embedded.file) }

// storeFile is the store's file in dir.
func (a *app) storeFile() string { return filepath.Join(a.dir(), embedded.file) }

// enter comes before all work on files in the data folder, and leave after it.
// Root is not led elsewhere, and works in the folder of another user as that
// user; see the package folder. makes says that a folder is made where there is
// none. What belongs to the caller meanwhile, as an output, is reached by
// folder.AsCaller.
func (a *app) enter(makes bool) (leave func() error, err error) {
	if err := a.refuseClaimed(); err != nil {
		return nil, err
	}
	f, err := a.findFolder()
	if err != nil {
		return nil, err
	}
	if f.Missing() && !makes {
		return nil, errors.Join(a.explainStore(fmt.Errorf("%w: no data folder", db.ErrAbsent)), f.Close())
	}
	back, err := a.become(f)
	if err != nil {
		return nil, err
	}
	a.entered = f.Path()
	leave = func() error {
		a.entered = ""
		return back()
	}
	if !f.Missing() {
		return leave, nil
	}
	if err := errors.Join(makeFolder(f.Path()), leave()); err != nil {
		return nil, a.explainStore(err)
	}
	return a.enter(false) // somebody else may have made it meanwhile
}

// become makes this process the owner of a folder; leave ends that, and the folder.
func (a *app) become(f *folder.Folder) (leave func() error, err error) {
	back, err := f.Become()
	if err != nil {
		return nil, errors.Join(a.explainStore(err), f.Close())
	}
	return func() error { return errors.Join(back(), f.Close()) }, nil
}

// visit is enter for who makes nothing, also no folder.
func (a *app) visit() (leave func() error, err error) {
	if a.entered != "" {
		return func() error { return nil }, nil
	}
	f, err := a.findFolder()
	if err != nil {
		return nil, err
	}
	if leave, err = a.become(f); err != nil {
		return nil, err
	}
	info, err := os.Stat(f.Path())
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: a.settings.Data, Err: syscall.ENOTDIR}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(a.explainStore(err), leave())
	}
	return leave, nil
}

// refuseClaimed keeps this process from a folder that another one serves from a
// file that is not there any more: what is there now, or would be made, is a
// second store beside a living server.
func (a *app) refuseClaimed() error {
	pid, file, found := claimant(a.settings.Data)
	if !found {
		return nil
	}
	keep := ""
	if file != "" {
		keep = ", or save it first: 'cp " + file + " FILE'"
	}
	return &failure{code: exitBusy,
		what: fmt.Sprintf("process %d serves %s from a data file that was deleted, moved or replaced since; nothing was made or changed", pid, a.settings.Data),
		next: fmt.Sprintf("put that file back%s; then stop the process ('kill %d') and try again", keep, pid)}
}

func (a *app) findFolder() (*folder.Folder, error) {
	f, err := folder.Open(a.settings.Data)
	if err != nil {
		return nil, a.explainStore(err)
	}
	if path := f.Path(); path != a.settings.Data && !slices.Contains(a.held, path) {
		a.held = append(a.held, path, a.settings.Data)
	}
	return f, nil
}

// renamed is text, with each data folder that was worked on by its descriptor
// called by its name.
func (a *app) renamed(text string) string { return strings.NewReplacer(a.held...).Replace(text) }

// makeFolder makes a folder, and those above it that are missing, for their
// owner alone. Whatever the umask: one that takes rights from the owner would
// leave folders which only root can enter. Their names are made durable: a
// store is no safer than the name of its folder.
func makeFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err // nil: it is there
	}
	if parent := filepath.Dir(path); parent != path {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	switch err := fsys.MakeFolder(path); {
	case errors.Is(err, fs.ErrExist):
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil // made meanwhile
		}
		return err // a link to nowhere
	case err != nil:
		return err
	}
	return keepName(path)
}

// keepName makes the name of a new folder durable, or takes the folder away
// again: who comes next would take it for safe.
func keepName(path string) error {
	parent := filepath.Dir(path)
	err := fsys.SyncFolder(parent)
	if err == nil || errors.Is(err, fs.ErrPermission) { // one that can be written but not read can't be synced
		return nil
	}
	os.Remove(path)
	if c, ok := fsys.Explain(err); ok {
		return &failure{code: systemCode(c), err: err, what: c.Of(parent) + "; nothing was changed", next: c.Next}
	}
	return err
}

// removeLeftovers removes the temporary files of commands that were killed:
// whole copies of the store, some of them. The lock of the store has to be
// held: whoever makes such a file holds it, so none of them is in use.
func (a *app) removeLeftovers() {
	for _, kind := range []string{"backup", "compact", "repair", "restore", "schema"} {
		removeOld(a.dir(), ".husk-"+kind+"-", 0)
	}
}

// removeOld removes the files of a folder whose names begin with prefix and
// that nobody wrote to for so long. A failure is of no matter: the next one
// tries again.
func removeOld(dir, prefix string, age time.Duration) {
	in, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer in.Close()
	entries, _ := fs.ReadDir(in.FS(), ".")
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if info, err := entry.Info(); err == nil && (age == 0 || time.Since(info.ModTime()) > age) {
			in.Remove(entry.Name())
		}
	}
}
