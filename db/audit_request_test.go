package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"husk/db"
)

// ask is an unlock in a request of that id.
func (f *fixture) ask(request string) {
	f.t.Helper()
	actor := *local
	actor.RequestID = request
	must(f.t, f.AuditUnlock(f.ctx, &actor, "user-1"))
}

func (f *fixture) ofRequest(id string) (seqs []uint64, total int64) {
	f.t.Helper()
	page, err := f.Audit(f.ctx, db.AuditQuery{RequestID: id, Size: 10})
	must(f.t, err)
	for _, e := range page.Items {
		seqs = append(seqs, e.Seq)
	}
	return seqs, page.Total
}

func TestAuditByRequest(t *testing.T) {
	f := newStore(t)
	f.ask("a1-1") // entry 2: 1 is the store's creation
	f.ask("a1-11")
	f.ask("a1-1")
	f.ask("")
	for id, want := range map[string]string{
		"a1-1": "[4 2] 2", "a1-11": "[3] 1", "a1": "[] 0", "a1-1\x00": "[] 0", "b": "[] 0",
	} {
		seqs, total := f.ofRequest(id)
		if got := fmt.Sprint(seqs, total); got != want {
			t.Errorf("request %q: %s, want %s", id, got, want)
		}
	}
	page, err := f.Audit(f.ctx, db.AuditQuery{RequestID: "a1-1", Action: "user.create", Size: 10})
	if err != nil || len(page.Items) != 0 || page.Total != 0 {
		t.Errorf("of another action there are %d, %v", len(page.Items), err)
	}
}

// A request is looked up, not searched for: a log of any length costs the same.
func TestAuditByRequestReadsFew(t *testing.T) {
	f := newStore(t)
	f.ask("first")
	for i := range 100 {
		f.ask(fmt.Sprint("r-", i))
	}
	for id, want := range map[string]int{"first": 1, "absent": 0} {
		counted := &countingEngine{Engine: f.engine}
		store, err := db.Open(f.ctx, counted, db.Options{Now: f.now})
		must(t, err)
		counted.gets, counted.scanned = 0, 0
		page, err := store.Audit(f.ctx, db.AuditQuery{RequestID: id, Size: 10})
		must(t, err)
		if len(page.Items) != want || counted.gets > 5 || counted.scanned > 2 {
			t.Errorf("%s: %d entries for %d reads and %d steps", id, len(page.Items), counted.gets, counted.scanned)
		}
	}
}

// A log that was begun before requests were indexed is whole, goes on, and
// finds what came since.
func TestAuditBegunWithoutRequests(t *testing.T) {
	f := newStore(t)
	f.ask("before-1")
	f.ask("before-2")
	f.raw(func(tx db.Tx) error {
		var keys [][]byte
		err := tx.Scan("audit.index", []byte("request\x00"), nil, false, func(key, _ []byte) bool { keys = append(keys, key); return true })
		must(t, err)
		if len(keys) != 2 {
			t.Errorf("%d keys of requests, want 2", len(keys))
		}
		for _, key := range keys {
			must(t, tx.Delete("audit.index", key))
		}
		name := []byte("audit")
		sealed, err := tx.Get("meta", name)
		must(t, err)
		value, err := db.Unseal("meta", name, sealed)
		must(t, err)
		var head map[string]any
		must(t, json.Unmarshal(value, &head))
		delete(head, "requests")
		value, err = json.Marshal(head)
		must(t, err)
		return tx.Put("meta", name, db.Seal("meta", name, value))
	})
	f.Store = f.reopened()
	want := func(when string) {
		t.Helper()
		if faults := f.check(); len(faults) > 0 {
			t.Errorf("%s: %v", when, faults)
		}
		if v, err := f.VerifyAudit(f.ctx, ""); err != nil || !v.OK {
			t.Errorf("%s: %v %v", when, v.Problems, err)
		}
	}
	want("as it was")
	if seqs, _ := f.ofRequest("before-1"); len(seqs) != 0 {
		t.Errorf("found %v without an index", seqs)
	}
	f.ask("since-1")
	f.ask("since-2")
	want("gone on with")
	for _, id := range []string{"since-1", "since-2"} {
		if seqs, _ := f.ofRequest(id); len(seqs) != 1 {
			t.Errorf("%s: found %v", id, seqs)
		}
	}
	// What is missing since is told.
	f.broken = true
	f.raw(func(tx db.Tx) error {
		var last []byte
		must(t, tx.Scan("audit.index", []byte("request\x00"), nil, true, func(key, _ []byte) bool { last = key; return false }))
		return tx.Delete("audit.index", last)
	})
	if faults := f.check(); len(faults) == 0 {
		t.Error("a missing key of a request is not told")
	}
}

// countingEngine counts what is read.
type countingEngine struct {
	db.Engine
	gets, scanned int
}

func (e *countingEngine) View(ctx context.Context, f func(db.Tx) error) error {
	return e.Engine.View(ctx, func(tx db.Tx) error { return f(&countingTx{tx, e}) })
}

type countingTx struct {
	db.Tx
	engine *countingEngine
}

func (t *countingTx) Get(bucket string, key []byte) ([]byte, error) {
	t.engine.gets++
	return t.Tx.Get(bucket, key)
}

func (t *countingTx) Scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) bool) error {
	return t.Tx.Scan(bucket, prefix, from, reverse, func(key, value []byte) bool {
		t.engine.scanned++
		return f(key, value)
	})
}
