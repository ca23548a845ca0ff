package db_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"husk/db"
)

// ask is an unlock in a request of that id.
func (f *fixture) ask(request string) {
	f.t.Helper()
	actor := *local
	actor.RequestID = request
	must(f.t, f.UnlockUser(f.ctx, &actor, "user-1"))
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

// A request is looked up, not searched for, and of the newest entries no more is
// read than is shown: a log of any length costs the same.
func TestAuditReadsFew(t *testing.T) {
	f := newStore(t)
	f.ask("first")
	for i := range 100 {
		f.ask(fmt.Sprint("r-", i))
	}
	for name, c := range map[string]struct {
		query      db.AuditQuery
		want, most int
	}{
		"the first request": {db.AuditQuery{RequestID: "first", Size: 10}, 1, 5},
		"no request":        {db.AuditQuery{RequestID: "absent", Size: 10}, 0, 5},
		"the newest":        {db.AuditQuery{Size: 20}, 20, 30},
		"of a request":      {db.AuditQuery{RequestID: "r-7", Action: "user.unlock", Target: "user-1", Size: 10}, 1, 5},
		"later than all":    {db.AuditQuery{Since: f.now().Add(2 * time.Hour), Size: 10}, 0, 5},
	} {
		counted := &countingEngine{Engine: f.engine}
		store, err := db.Open(f.ctx, counted, db.Options{Now: f.now})
		must(t, err)
		counted.gets, counted.scanned = 0, 0
		page, err := store.Audit(f.ctx, c.query)
		must(t, err)
		if len(page.Items) != c.want || counted.gets > c.most || counted.scanned > c.most {
			t.Errorf("%s: %d entries for %d reads and %d steps", name, len(page.Items), counted.gets, counted.scanned)
		}
	}
}

// A repair makes the index anew, with the requests of all entries.
func TestRepairFindsRequests(t *testing.T) {
	for name, spoil := range map[string]func(f *fixture){
		"the end lost": func(f *fixture) { f.raw(func(tx db.Tx) error { return tx.Delete("meta", []byte("audit")) }) },
		"sound":        func(*fixture) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			f.ask("before-1")
			f.ask("before-2")
			f.broken = true
			spoil(f)
			_, _, f.Store = f.repaired() // which checks it
			for _, id := range []string{"before-1", "before-2"} {
				if seqs, _ := f.ofRequest(id); len(seqs) != 1 {
					t.Errorf("%s: found %v", id, seqs)
				}
			}
		})
	}
}

// A key of a request that is missing is told.
func TestMissingRequestIsTold(t *testing.T) {
	f := newStore(t)
	f.ask("one")
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

// A clock that was wrong for a while takes no entry out of the answer for a
// time: each is looked at by its own.
func TestAuditUntilWithAWrongClock(t *testing.T) {
	f := newTimedStore(t)
	began := f.Now()
	write := func(n int, each time.Duration) {
		for range n {
			f.clock.pass(each)
			must(t, f.UnlockUser(t.Context(), local, "user-1"))
		}
	}
	write(20, time.Second)
	f.clock.step(48 * time.Hour)
	write(100, time.Second) // not long enough to be believed
	f.clock.step(-48 * time.Hour)
	write(60, time.Minute)
	f.clock.pass(72 * time.Hour)
	write(20, time.Second)
	all, err := f.Audit(t.Context(), db.AuditQuery{Size: 1000})
	must(t, err)
	for hours := range 100 {
		until := began.Add(time.Duration(hours) * time.Hour)
		want := int64(0)
		for _, e := range all.Items {
			if e.Time.Before(until) {
				want++
			}
		}
		page, err := f.Audit(t.Context(), db.AuditQuery{Until: until, Size: 1000})
		if err != nil || page.Total != want || int64(len(page.Items)) != want {
			t.Errorf("before %d h: %d of %d entries, %v", hours, len(page.Items), want, err)
		}
	}
}
