package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"husk/db"
	"husk/web/folder"
)

// dir is where the data folder is worked on: its path or, where root works in
// that of another user, its descriptor. What is said to people names the path.
func (a *app) dir() string { return cmp.Or(a.entered, a.settings.Data) }

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
	back, err := f.Become()
	if err != nil {
		return nil, errors.Join(a.explainStore(err), f.Close())
	}
	a.entered = f.Path()
	leave = func() error {
		a.entered = ""
		return errors.Join(back(), f.Close())
	}
	if !f.Missing() {
		return leave, nil
	}
	if err := errors.Join(makeFolder(f.Path()), leave()); err != nil {
		return nil, a.explainStore(err)
	}
	return a.enter(false) // somebody else may have made it meanwhile
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
