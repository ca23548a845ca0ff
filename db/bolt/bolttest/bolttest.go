// Package bolttest opens stores for tests. It is for tests alone.
package bolttest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"husk/db"
	"husk/db/bolt"
)

// Options are what a test wants to be different. The zero value is a new store in
// a folder of its own.
type Options struct {
	db.Options
	Path string                    // of the file, which is made where it is absent
	Wrap func(db.Engine) db.Engine // puts something before the engine

	Damaged func(path string) // does something to the file before it is opened; nothing has to fit at the end
}

// Store opens a store. When the test ends it is closed, and everything in it has
// to fit together. What is measured is not looked at: it may be large; nor is
// what the test has closed itself.
func Store(t testing.TB, o Options) *db.Store {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "husk.db")
	}
	if err := bolt.Create(o.Path, db.Init); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	if o.Damaged != nil {
		o.Damaged(o.Path)
	}
	opened, err := bolt.Open(o.Path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var engine db.Engine = opened
	if o.Wrap != nil {
		engine = o.Wrap(engine)
	}
	store, err := db.Open(context.Background(), engine, o.Options)
	if err != nil {
		t.Fatal(err)
	}
	if o.Damaged != nil {
		t.Cleanup(func() { store.Close() })
	} else {
		t.Cleanup(func() { closeWhole(t, store) })
	}
	return store
}

func closeWhole(t testing.TB, store *db.Store) {
	if _, measured := t.(*testing.B); !measured {
		if _, err := store.Check(context.Background(), func(err error) { t.Error("check:", err) }); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error("check:", err)
		}
	}
	if err := store.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
