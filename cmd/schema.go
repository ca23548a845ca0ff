package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"husk/db"
	"husk/db/fsys"
)

// keepSchema keeps a copy of a store of an older schema, as husk.db.schema-N,
// before it is upgraded. The copy has its name once it is whole, proved and
// durable. One of an earlier try is replaced: it is the same, or older.
func (a *app) keepSchema(ctx context.Context, e db.Engine, schema db.Schema) error {
	suffix := fmt.Sprintf(".schema-%d", schema.Version)
	copied, err := a.copyAside(ctx, e, schema)
	if err != nil {
		return err
	}
	if err := os.Rename(copied, a.storeFile()+suffix); err != nil {
		os.Remove(copied)
		return err
	}
	if err := fsys.SyncFolder(a.dir()); err != nil {
		return err
	}
	a.say("The store is of schema %d, and is upgraded to %d. As it was it stays in %s.", schema.Version, db.SchemaVersion, a.storePath()+suffix)
	return nil
}

// copyAside writes a copy of a store under a name of its own and proves it.
func (a *app) copyAside(ctx context.Context, e db.Engine, schema db.Schema) (path string, err error) {
	backuper, ok := e.(db.Backuper)
	if !ok {
		return "", errors.New("this engine makes no copies")
	}
	f, err := fsys.CreatePrivate(a.dir(), ".husk-schema-*")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = backuper.Backup(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = proveSchema(ctx, f.Name(), schema)
	}
	return f.Name(), err
}

// proveSchema opens a copy to look at it: nothing in it is upgraded.
func proveSchema(ctx context.Context, path string, want db.Schema) error {
	e, err := embedded.open(path, time.Second)
	if err != nil {
		return err
	}
	defer e.Close()
	store, err := db.Open(ctx, e, db.Options{})
	if err != nil {
		return err
	}
	if got, err := store.Schema(ctx); err != nil || got.Version != want.Version {
		return errors.Join(errors.New("the copy is not what was copied"), err)
	}
	return nil
}
