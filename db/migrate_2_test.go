package db_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"husk/db"
)

// asSchema1 gives the store the form of schema 1: no entry is found by its
// request, and the words of tokens stand by the tokens' ids.
func (f *fixture) asSchema1() {
	f.t.Helper()
	f.raw(func(tx db.Tx) error {
		type entry struct{ bucket, key, value string }
		var gone, made []entry
		collect := func(bucket, kind string, f func(key, id string)) error {
			return tx.Scan(bucket, nil, nil, false, func(key, sealed []byte) bool {
				value, err := db.Unseal(bucket, key, sealed)
				if err == nil && bytes.Contains(key, []byte(kind)) {
					gone = append(gone, entry{bucket: bucket, key: string(key)})
					f(string(key), string(value))
				}
				return true
			})
		}
		err := errors.Join(
			collect("audit.index", "request\x00", func(string, string) {}),
			collect("token.index", "\x00w\x00", func(key, id string) {
				// scope, kind, word, eight bytes of time and an id become scope, kind, word and id.
				word := key[:len(key)-len(id)-1-8-1]
				made = append(made, entry{"token.index", word + "\x00" + id, id})
			}))
		for _, e := range gone {
			err = errors.Join(err, tx.Delete(e.bucket, []byte(e.key)))
		}
		made = append(made, entry{"meta", "schema", `{"schema":1,"created":"2026-11-26T00:00:00Z"}`})
		for _, e := range made {
			err = errors.Join(err, tx.Put(e.bucket, []byte(e.key), db.Seal(e.bucket, []byte(e.key), []byte(e.value))))
		}
		return err
	})
}

// From schema 1: what the indexes have beside the records is that of a store
// that never was of another schema.
func TestUpgradeFromSchema1(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	for i := range 25 {
		f.ask(fmt.Sprintf("r-%d", i))
		f.mint(ann, db.NewToken{Name: fmt.Sprintf("nightly backup %d", i)})
	}
	index := func() (keys []string) {
		for _, bucket := range []string{"token.index", "audit.index"} {
			must(t, f.engine.View(f.ctx, func(tx db.Tx) error {
				return tx.Scan(bucket, nil, nil, false, func(key, sealed []byte) bool {
					keys = append(keys, bucket+" "+string(key)+" "+string(sealed))
					return true
				})
			}))
		}
		return keys
	}
	before := index()
	f.asSchema1()
	if slices.Equal(index(), before) {
		t.Fatal("schema 1 is as schema 2")
	}
	f.upgrade(1)
	after := index()
	for _, key := range before {
		if !slices.Contains(after, key) {
			t.Errorf("after the upgrade there is no %q", key)
		}
	}
	if added := len(after) - len(before); added != 3 { // actor, action and target of the entry about the upgrade
		t.Errorf("the upgrade left %d keys more", added)
	}
	if seqs, _ := f.ofRequest("r-7"); len(seqs) != 1 {
		t.Errorf("request r-7 is found at %v", seqs)
	}
	page, err := f.Tokens(f.ctx, db.ListQuery{Query: "night", Size: 10})
	if err != nil || page.Total != 25 || len(page.Items) != 10 {
		t.Errorf("%d of %d tokens are found by a word, %v", len(page.Items), page.Total, err)
	}
}

// What is damaged keeps no store from being upgraded: it is refused and told as
// before.
func TestUpgradePassesDamageOver(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	whole := f.mint(ann, db.NewToken{Name: "whole"})
	lost := f.mint(ann, db.NewToken{Name: "lost"})
	f.ask("r-1")
	f.asSchema1()
	f.broken = true
	f.raw(func(tx db.Tx) error { return tx.Put("token", []byte(lost.ID), []byte("this was a token")) })
	s, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now, Keep: new(kept).keep})
	must(t, err)
	f.Store = s
	if _, err := s.Token(f.ctx, whole.ID); err != nil {
		t.Errorf("the token beside: %v", err)
	}
	if _, err := s.Token(f.ctx, lost.ID); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("the damaged token: %v", err)
	}
	if faults := f.check(); len(faults) == 0 {
		t.Error("the damage is not told")
	}
	if seqs, _ := f.ofRequest("r-1"); len(seqs) != 1 {
		t.Errorf("request r-1 is found at %v", seqs)
	}
}
