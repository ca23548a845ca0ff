package cmd

import (
	"cmp"
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

// schemaReport is what check --schema --json prints.
type schemaReport struct {
	Schema   int    `json:"schema"`
	Newest   int    `json:"newest"`          // what this husk writes
	Needs    string `json:"needs,omitempty"` // the least version that reads the store
	Readable bool   `json:"readable"`
}

// tellSchema reads the one record by which a store can be opened or not. It takes
// no lock: who replaces a program asks while its server runs.
func (a *app) tellSchema() error {
	if a.settings.Server != "" {
		return usage("husk check --schema looks at the file itself, not over the network", "run it on the machine of the server")
	}
	leave, err := a.visit()
	if err != nil {
		return err
	}
	defer leave()
	schema, err := db.PeekSchema(func(bucket string, key []byte) ([]byte, error) { return embedded.peek(a.storeFile(), bucket, key) })
	if err != nil {
		return a.explainStore(err)
	}
	refused := schema.Readable()
	r := schemaReport{Schema: schema.Version, Newest: db.SchemaVersion, Needs: schema.Needs, Readable: refused == nil}
	if a.settings.JSON {
		err = a.printJSON(r)
	} else {
		err = a.pairs("schema", fmt.Sprint(r.Schema), "newest", fmt.Sprint(r.Newest), "needs", cmp.Or(r.Needs, "-"), "readable", yesNo(r.Readable))
	}
	if err == nil && refused != nil {
		err = a.explainStore(refused)
	}
	return err
}
