package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"husk/db"
	"husk/db/fsys"
)

// Opener opens the file of a store that nobody else has open.
type Opener func(path string) (db.Engine, error)

// Contents are what a proof found in a store.
type Contents struct {
	Schema int
	Counts map[string]int64 // as in Manifest
}

// DamagedError says that a store could be opened and read, and does not fit
// together. It is db.ErrDamaged.
type DamagedError struct {
	First  error // what was found first
	Places int   // how much was found
}

// Error implements error.
func (e *DamagedError) Error() string { return db.ErrDamaged.Error() + ": " + e.First.Error() }

// Unwrap returns the kind and the first finding.
func (e *DamagedError) Unwrap() []error { return []error{db.ErrDamaged, e.First} }

// Prove opens the copy of a store at path as a store, changes nothing in it, and
// tells what is in it; nothing is counted in one of an older schema. Thoroughly,
// it reads every page and every record, and what does not fit is a *DamagedError.
// One of an older schema is then read on a copy of its own that is brought up to
// date: only there all can be checked.
func Prove(ctx context.Context, path string, open Opener, thoroughly bool) (c Contents, err error) {
	older := false
	err = look(ctx, path, open, db.Options{}, func(store *db.Store) error {
		schema, err := store.Schema(ctx)
		c.Schema = schema.Version
		if older = schema.Version < db.SchemaVersion; err != nil || older {
			return err
		}
		return c.count(ctx, store, thoroughly)
	})
	if err != nil || !older || !thoroughly {
		return c, err
	}
	own, err := duplicate(path)
	if err != nil {
		return c, err
	}
	defer os.Remove(own)
	o := db.Options{Keep: func(context.Context, db.Schema) error { return nil }} // it is the copy
	err = look(ctx, own, open, o, func(store *db.Store) error { return c.count(ctx, store, true) })
	return c, err
}

// look opens a store for f.
func look(ctx context.Context, path string, open Opener, o db.Options, f func(*db.Store) error) error {
	engine, err := open(path)
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	defer engine.Close()
	store, err := db.Open(ctx, engine, o)
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	return f(store)
}

func (c *Contents) count(ctx context.Context, store *db.Store, thoroughly bool) (err error) {
	if thoroughly {
		if err := Walk(ctx, store); err != nil {
			return err
		}
	}
	c.Counts, err = store.Counts(ctx)
	return err
}

// Walk reads every page and record of a store. A *DamagedError tells of what
// does not fit.
func Walk(ctx context.Context, store *db.Store) error {
	var damage DamagedError
	report := func(err error) {
		if damage.Places++; damage.First == nil {
			damage.First = err
		}
	}
	err := store.CheckEngine(ctx, report)
	if err == nil {
		_, err = store.Check(ctx, report)
	}
	if err == nil && damage.Places > 0 {
		err = &damage
	}
	return err
}

// duplicate copies a file beside itself.
func duplicate(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := fsys.CreatePrivate(filepath.Dir(path), filepath.Base(path)+"-old-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		os.Remove(out.Name())
	}
	return out.Name(), err
}
