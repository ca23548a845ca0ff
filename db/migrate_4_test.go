package db_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"husk/db"
)

// From schema 3: the number is another one, a copy was kept, husk 0.1.0 is told
// which one it needs, and all else is as it was, the sessions too.
func TestUpgradeToSchema4ChangesTheNumberAlone(t *testing.T) {
	f, _, k, actor := filled(t)
	f.raw(func(tx db.Tx) error {
		const schema = `{"schema":3,"needs":"0.1.0","created":"2026-11-26T00:00:00Z"}`
		return tx.Put("meta", []byte("schema"), db.Seal("meta", []byte("schema"), []byte(schema)))
	})
	before := f.contents()
	f.upgrade(3)
	if schema, err := f.Schema(f.ctx); err != nil || schema.Version != 4 || schema.Needs != "0.2.0" || schema.From != 0 || schema.Created.Year() != 2026 {
		t.Errorf("%+v, %v", schema, err)
	}
	after := f.contents()
	for key, value := range after {
		if before[key] != value {
			t.Errorf("%q was %q, and is %q", key, before[key], value)
		}
	}
	if len(after) != len(before) || len(before) < 20 {
		t.Errorf("of %d keys %d are there", len(before), len(after))
	}
	if err := errors.Join(second1(f.Token(f.ctx, k.ID)), second1(f.Session(f.ctx, actor.Session.ID))); err != nil {
		t.Error(err)
	}
}

// contents is what a store holds, but for its schema and what an entry of the audit
// log changes.
func (f *fixture) contents() map[string]string {
	f.t.Helper()
	all := map[string]string{}
	for _, bucket := range buckets {
		if strings.HasPrefix(bucket, "audit") {
			continue
		}
		must(f.t, f.engine.View(f.ctx, func(tx db.Tx) error {
			return tx.Scan(bucket, nil, nil, false, func(key, value []byte) bool {
				all[bucket+" "+string(key)] = string(value)
				return true
			})
		}))
	}
	maps.DeleteFunc(all, func(key, _ string) bool {
		return key == "meta schema" || key == "meta audit" || strings.HasPrefix(key, "count audit")
	})
	return all
}
