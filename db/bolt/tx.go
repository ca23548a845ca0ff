package bolt

import (
	"bytes"
	"errors"

	"go.etcd.io/bbolt"

	"husk/db"
)

// transaction is the db.Tx over one of bbolt. Each of its methods is guarded
// by itself, so a panic that leaves the caller's function is the caller's own.
type transaction struct {
	tx     *bbolt.Tx // nil once it is over
	writes int       // puts and deletes so far
	damage error     // the first damage that was met; bbolt's pages in memory can't be relied on after it
	noted  *noted    // nil: of a view
}

// run calls f; a damage that f met is the result whatever f made of it.
func (t *transaction) run(f func(db.Tx) error) error {
	err := f(t)
	if t.damage != nil {
		return t.damage
	}
	return err
}

// end makes a transaction that was kept too long harmless.
func (t *transaction) end() { t.tx = nil }

func (t *transaction) do(step func(*bbolt.Tx) error) error {
	switch {
	case t.tx == nil:
		return errOver
	case t.damage != nil:
		return t.damage
	}
	err := guard(func() error { return step(t.tx) })
	if errors.Is(err, db.ErrDamaged) {
		t.damage = err
	}
	return classify(err)
}

func (t *transaction) Get(bucket string, key []byte) (value []byte, err error) {
	err = t.do(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(bucket)); b != nil {
			value = copied(tx, b.Get(key))
		}
		return nil
	})
	return value, err
}

func (t *transaction) Put(bucket string, key, value []byte) error {
	if len(key) == 0 || len(value) == 0 {
		return &db.Error{Kind: db.ErrInvalid, Code: "store_misuse", Reason: "a record needs a key and a value"}
	}
	return t.do(func(tx *bbolt.Tx) error {
		t.writes++
		t.noted.note(bucket, key)
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put(key, bytes.Clone(value)) // bbolt keeps the value until the commit
	})
}

func (t *transaction) Delete(bucket string, key []byte) error {
	return t.do(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		if b == nil {
			return nil
		}
		t.writes++
		t.noted.note(bucket, key)
		return b.Delete(key)
	})
}

// GetMany implements db.ManyGetter.
func (t *transaction) GetMany(bucket string, keys [][]byte) (values [][]byte, err error) {
	err = t.do(func(tx *bbolt.Tx) error {
		values = make([][]byte, len(keys))
		b := tx.Bucket([]byte(bucket))
		for i := 0; b != nil && i < len(keys); i++ {
			values[i] = copied(tx, b.Get(keys[i]))
		}
		return nil
	})
	return values, err
}

func (t *transaction) Scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) bool) error {
	var w *walk
	err := t.do(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(bucket)); b != nil {
			w = &walk{cursor: b.Cursor(), prefix: prefix, from: from, reverse: reverse}
		}
		return nil
	})
	for err == nil && w != nil {
		var k, v []byte
		err = t.do(func(tx *bbolt.Tx) error {
			k, v = w.step()
			k, v = copied(tx, k), copied(tx, v)
			return nil
		})
		if err != nil || k == nil || !f(k, v) {
			return err
		}
	}
	return err
}

// copied makes bytes of the mapping the caller's own. A length that is damaged
// must not make it ask for gigabytes: of what a reader sees, nothing is longer
// than the file.
func copied(tx *bbolt.Tx, b []byte) []byte {
	if !tx.Writable() && int64(len(b)) > tx.Size() {
		panic("a record is longer than the file")
	}
	return bytes.Clone(b)
}

// maxEmptyLeaves is more than one transaction can leave behind.
const maxEmptyLeaves = 1 << 20

// walk steps through the keys of one scan.
type walk struct {
	cursor       *bbolt.Cursor
	prefix, from []byte
	reverse      bool
	at           []byte // the key of the last step, nil before the first
	first        []byte // in reverse: the bucket's first key
}

// step answers the next key and value, or nil at the end of the range.
func (w *walk) step() (k, v []byte) {
	switch {
	case w.at == nil && w.reverse:
		k, v = w.last()
	case w.at == nil:
		k, v = w.cursor.Seek(larger(w.prefix, w.from))
	case w.reverse:
		k, v = w.before(w.at)
	default:
		k, v = w.cursor.Next()
	}
	if !bytes.HasPrefix(k, w.prefix) {
		return nil, nil
	}
	if c := bytes.Compare(k, w.at); k != nil && w.at != nil && (c == 0 || c < 0 != w.reverse) {
		panic("keys are out of order")
	}
	w.at = k
	return k, v
}

// last finds the last key of the range. Whether there is a first one is asked
// before: bbolt's Last does not come back from a bucket of several pages that
// was emptied in the same transaction.
func (w *walk) last() (k, v []byte) {
	if w.first, _ = w.cursor.First(); w.first == nil {
		return nil, nil
	}
	bound, inclusive := successor(w.prefix), false
	if len(w.from) > 0 && (bound == nil || bytes.Compare(w.from, bound) < 0) {
		bound, inclusive = w.from, true
	}
	if bound == nil {
		return w.cursor.Last()
	}
	k, v = w.cursor.Seek(bound)
	switch {
	case k == nil:
		return w.cursor.Last()
	case inclusive && bytes.Equal(k, bound):
		return k, v
	}
	return w.before(k)
}

// before steps down from the key under the cursor. bbolt's Prev answers nil at
// the beginning, but also at each leaf that was emptied in the same
// transaction; the first key tells them apart. In a tree whose keys are out of
// order it might never be met, so there is a bound.
func (w *walk) before(at []byte) (k, v []byte) {
	for range maxEmptyLeaves {
		if bytes.Equal(at, w.first) {
			return nil, nil
		}
		if k, v = w.cursor.Prev(); k != nil {
			return k, v
		}
	}
	panic("keys are out of order")
}

func larger(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return b
	}
	return a
}

// successor answers the first key after all with the prefix, or nil where
// there can be none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			next := bytes.Clone(prefix[:i+1])
			next[i]++
			return next
		}
	}
	return nil
}
