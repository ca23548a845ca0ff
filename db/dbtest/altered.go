package dbtest

import (
	"context"
	"sync/atomic"

	"husk/db"
)

// Altered is an engine that behaves as another kind of one may, over one that
// is there. The zero value of all but Engine alters nothing.
type Altered struct {
	db.Engine
	Limit db.Bound // what is larger is refused; see db.Bounder

	// Before is called when an update that wrote is to be committed, with how
	// many were before it; its error refuses the update.
	Before func(n int64) error

	// After is called when it has been committed, and its error is the update's:
	// as of one whose outcome nobody knows.
	After func() error

	Views   atomic.Int64 // that were asked for
	Reads   atomic.Int64 // of a key by itself
	Updates atomic.Int64 // that wrote and were committed
	Largest atomic.Int64 // how many different keys one of them wrote at most
}

// Bound implements db.Bounder.
func (e *Altered) Bound() db.Bound { return e.Limit }

// Feed implements db.Feeder by the engine beneath, which is one.
func (e *Altered) Feed(ctx context.Context, hear func(db.Changes)) error {
	return e.Engine.(db.Feeder).Feed(ctx, hear)
}

// View implements db.Engine.
func (e *Altered) View(ctx context.Context, f func(db.Tx) error) error {
	e.Views.Add(1)
	return e.Engine.View(ctx, func(tx db.Tx) error { return f(&counted{tx, &e.Reads}) })
}

// counted is a transaction that counts what it reads by itself.
type counted struct {
	db.Tx
	reads *atomic.Int64
}

// Get implements db.Tx.
func (t *counted) Get(bucket string, key []byte) ([]byte, error) {
	t.reads.Add(1)
	return t.Tx.Get(bucket, key)
}

// GetMany implements db.ManyGetter.
func (t *counted) GetMany(bucket string, keys [][]byte) ([][]byte, error) {
	return db.GetMany(t.Tx, bucket, keys)
}

// Update implements db.Engine.
func (e *Altered) Update(ctx context.Context, f func(db.Tx) error) error {
	wrote := 0
	err := e.Engine.Update(ctx, func(tx db.Tx) error {
		t := &measured{Tx: &counted{tx, &e.Reads}, limit: e.Limit, keys: map[string]bool{}}
		err := f(t)
		if t.refused != nil {
			err = t.refused
		}
		if wrote = len(t.keys); err == nil && wrote > 0 && e.Before != nil {
			err = e.Before(e.Updates.Load())
		}
		return err
	})
	if err != nil || wrote == 0 {
		return err
	}
	e.Updates.Add(1)
	for most := e.Largest.Load(); int64(wrote) > most && !e.Largest.CompareAndSwap(most, int64(wrote)); most = e.Largest.Load() {
	}
	if e.After != nil {
		err = e.After()
	}
	return err
}

// measured is a transaction that counts what it writes.
type measured struct {
	db.Tx
	limit   db.Bound
	keys    map[string]bool // that were put or deleted, with their buckets
	bytes   int
	refused error
}

var errTooLarge = &db.Error{Kind: db.ErrInvalid, Code: "store_misuse", Reason: "the update is larger than the engine's bound"}

func (t *measured) count(bucket string, key []byte, bytes int) error {
	t.keys[bucket+"\x00"+string(key)] = true
	t.bytes += bytes
	if over := func(n, most int) bool { return most > 0 && n > most }; over(len(t.keys), t.limit.Writes) || over(t.bytes, t.limit.Bytes) {
		t.refused = errTooLarge
	}
	return t.refused
}

// Put implements db.Tx.
func (t *measured) Put(bucket string, key, value []byte) error {
	if err := t.count(bucket, key, len(key)+len(value)); err != nil {
		return err
	}
	return t.Tx.Put(bucket, key, value)
}

// Delete implements db.Tx.
func (t *measured) Delete(bucket string, key []byte) error {
	if err := t.count(bucket, key, 0); err != nil {
		return err
	}
	return t.Tx.Delete(bucket, key)
}

// GetMany implements db.ManyGetter.
func (t *measured) GetMany(bucket string, keys [][]byte) ([][]byte, error) {
	return db.GetMany(t.Tx, bucket, keys)
}
