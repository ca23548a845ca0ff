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
