package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"husk/db"
	"husk/db/archive"
)

// keepSchema keeps a copy of a store of an older schema, as husk.db.schema-N,
// before it is upgraded. The copy has its name once it is whole, proved and
// durable. One of an earlier try is replaced: it is the same, or older.
func (a *app) keepSchema(ctx context.Context, e db.Engine, schema db.Schema) error {
	suffix := fmt.Sprintf(".schema-%d", schema.Version)
	f, err := archive.Snapshot(ctx, e, a.dir(), ".husk-schema-*")
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name()) // gone after the rename
	if err := proveSchema(ctx, f.Name(), schema); err != nil {
		return err
	}
	if err := archive.SwapIn(f, a.storeFile()+suffix, "", nil); err != nil {
		return err
	}
	a.say("The store is of schema %d, and is upgraded to %d. As it was it stays in %s.", schema.Version, db.SchemaVersion, a.storePath()+suffix)
	return nil
}

// proveSchema opens a copy to look at it: nothing in it is upgraded.
func proveSchema(ctx context.Context, path string, want db.Schema) error {
	found, err := archive.Prove(ctx, path, openCopy, false)
	if err == nil && found.Schema != want.Version {
		err = errors.New("the copy is not what was copied")
	}
	return err
}
