package web_test

import (
	"context"
	"io"
	"sync"
	"testing"

	"husk/db"
	"husk/web"
)

// faulty is an engine whose commits fail where fail says so, as those of a
// full disk do: what the transaction wrote is gone. before runs ahead of each
// Update, once.
type faulty struct {
	db.Engine
	mu     sync.Mutex
	fail   func(update int) error
	before func()
	count  int
}

func (f *faulty) set(fail func(update int) error, before func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.before, f.count = fail, before, 0
}

func (f *faulty) Update(ctx context.Context, do func(db.Tx) error) error {
	f.mu.Lock()
	fail, before, n := f.fail, f.before, f.count
	f.before = nil
	f.count++
	f.mu.Unlock()
	if before != nil {
		before()
	}
	return f.Engine.Update(ctx, func(tx db.Tx) error {
		if err := do(tx); err != nil || fail == nil {
			return err
		}
		return fail(n)
	})
}

// newFaulty is newServer over such an engine.
func newFaulty(t *testing.T, edits ...func(*web.Config)) (*server, *faulty) {
	t.Helper()
	f := &faulty{}
	s := newServer(t, append(edits, func(c *web.Config) {
		f.Engine = c.Store.Engine()
		store, err := db.Open(t.Context(), f, db.Options{Now: c.Store.Now})
		must(t, err)
		c.Store = store
	})...)
	s.store = s.Store
	return s, f
}

// full fails every commit.
func full(int) error { return db.ErrFull }

// Backup implements db.Backuper.
func (f *faulty) Backup(ctx context.Context, w io.Writer) error {
	return f.Engine.(db.Backuper).Backup(ctx, w)
}
