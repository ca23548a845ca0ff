package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest"
)

// An upgrade that is stopped between two transactions is gone on with by whoever
// opens the store next, from where it was; no copy is kept of what is between
// two schemas, and nobody who only looks takes it for one or the other.
func TestStopInUpgrade(t *testing.T) {
	s := newSeed(t)
	const rows = 150
	row := func(i int) string { return fmt.Sprintf("row %03d", i) }
	first := func(put func(bucket, key, value string) error, get func(bucket, key string) (string, error)) error {
		for i := range rows {
			if value, err := get("rows", row(i)); err != nil || value == "" || value[0] != '2' && value[0] != '3' {
				if err := errors.Join(err, put("rows", row(i), "2")); err != nil {
					return err
				}
			} else if value[0] == '3' {
				t.Error("a step is run again when the next one has begun")
			}
		}
		return nil
	}
	second := func(put func(bucket, key, value string) error, get func(bucket, key string) (string, error)) error {
		for i := range rows {
			value, err := get("rows", row(i))
			if value == "2" {
				err = put("rows", row(i), "3, after "+value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	defer db.AddMigrations(first, second)()
	for after := int64(0); ; after++ {
		path := filepath.Join(t.TempDir(), "husk.db")
		must(t, os.WriteFile(path, s.file, 0o600))
		engine, err := bolt.Open(path, bolt.Options{})
		must(t, err)
		e := &dbtest.Altered{Engine: engine, Limit: small, Before: func(n int64) error {
			if n >= after {
				return errStopped
			}
			return nil
		}}
		var copies kept
		open := func(keep func(context.Context, db.Schema) error) (*db.Store, error) {
			return db.Open(t.Context(), e, db.Options{Now: func() time.Time { return s.now }, Keep: keep})
		}
		_, stopped := open(copies.keep)
		if stopped != nil && !errors.Is(stopped, errStopped) {
			t.Fatal(stopped)
		}
		e.Before = nil
		if stopped != nil {
			looked, err := open(nil)
			must(t, err)
			if _, err := looked.CreateUser(t.Context(), local, db.NewUser{Email: "bob@example.com"}); err == nil {
				t.Error("one who looks at a store amid its upgrade changes it")
			}
		}
		store, err := open(copies.keep)
		must(t, err)
		schema, err := store.Schema(t.Context())
		if err != nil || schema.Version != db.SchemaVersion+2 || schema.From != 0 {
			t.Errorf("stopped after %d updates: %+v, %v", after, schema, err)
		}
		if n := len(copies.of); n != 1 && !(after == 0 && n == 2) {
			t.Errorf("stopped after %d updates: %d copies were kept", after, n)
		}
		f := &fixture{Store: store, t: t, ctx: t.Context(), engine: engine}
		for _, key := range f.keys("rows") {
			f.raw(func(tx db.Tx) error {
				sealed, err := tx.Get("rows", []byte(key))
				must(t, err)
				if value, err := db.Unseal("rows", []byte(key), sealed); err != nil || string(value) != "3, after 2" {
					t.Errorf("stopped after %d updates: %s is %q, %v", after, key, value, err)
				}
				return nil
			})
		}
		page, err := store.Audit(t.Context(), db.AuditQuery{Action: "store.upgrade", Size: 9})
		if err != nil || page.Total != 1 || page.Items[0].Target != fmt.Sprintf("schema %d to %d", db.SchemaVersion, db.SchemaVersion+2) {
			t.Errorf("stopped after %d updates: the log tells of %d upgrades, %v", after, page.Total, err)
		}
		if n := len(f.keys("rows")); n != rows {
			t.Errorf("stopped after %d updates: %d rows", after, n)
		}
		for _, fault := range f.check() {
			t.Errorf("stopped after %d updates: %s", after, fault)
		}
		must(t, engine.Close())
		if stopped == nil {
			if after < 4 {
				t.Errorf("the upgrade takes %d updates", after)
			}
			return
		}
	}
}
