package db_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"husk/db"
)

// From schemas 3 and 4: the number is another one, a copy was kept, an older husk is
// told which one it needs, and all else is as it was, the sessions too.
func TestUpgradeChangesTheNumberAlone(t *testing.T) {
	for from, needs := range map[int]string{3: "0.1.0", 4: "0.2.0"} {
		t.Run(fmt.Sprint("from schema ", from), func(t *testing.T) {
			f, _, k, actor := filled(t)
			f.raw(func(tx db.Tx) error {
				return putSealed(tx, "meta", "schema", fmt.Sprintf(`{"schema":%d,"needs":%q,"created":"2026-11-26T00:00:00Z"}`, from, needs))
			})
			before := f.contents()
			f.upgrade(from)
			if schema, err := f.Schema(f.ctx); err != nil || schema.Version != 5 || schema.Needs != "0.2.0" || schema.From != 0 || schema.Created.Year() != 2026 {
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
		})
	}
}

// A session of before schema 5 was made by password, and says so once more is proved.
func TestMethodsOfOldSession(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	must(t, f.ForgetMethods(f.ctx, ann.Session.ID))
	f.withTOTP(ann)
	if got := fmt.Sprint(ann.Session.Methods); got != "[password totp]" {
		t.Errorf("it tells of %s", got)
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
