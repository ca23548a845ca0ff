package db

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// collection keeps the records of one noun: the record under its id in the
// bucket, what it is found by in "<bucket>.index", its numbers in "count". All
// three change together in put, and all three can be made anew from the
// records, which is how a check finds what does not fit.
type collection[T any] struct {
	bucket string
	id     func(*T) string
	// unique returns the keys that no two records may share.
	unique func(*T) []string
	// index returns the keys that lists are served from; see indexKey.
	index func(*T) [][]byte
	// count returns the names of the counters that the record counts in.
	count func(*T) []string
	// taken is the error for a record whose unique key another one has.
	taken error
	// owner returns the id of the user whose the record is, under whom the index
	// has it by when it was made; nil: nobody's.
	owner func(*T) string
	// used is the bucket that has the last use of a record under its id; empty:
	// none is kept.
	used string
	// memory is where a store remembers decoded records; nil: nowhere.
	memory func(*Store) memory
}

const countBucket = "count"

func (c *collection[T]) indexBucket() string { return indexOf(c.bucket) }

func indexOf(bucket string) string { return bucket + ".index" }

// Kinds of index keys, after the scope.
const (
	byCreated = "c"
	byEnded   = "d"
	byExpiry  = "e"
	byName    = "n"
	byWord    = "w"
)

// everything is the scope of all records; other scopes name an owner.
const everything = "*"

// indexKey joins the parts of an index key: scope, kind, what it is sorted by,
// id. Scope and id hold no NUL, so a prefix of scope and kind is exact; the
// scope comes first so that one owner's keys share a page.
func indexKey(scope, kind string, sort []byte, id string) []byte {
	k := appendPrefix(make([]byte, 0, len(scope)+len(kind)+len(sort)+len(id)+3), scope, kind)
	k = append(k, sort...)
	k = append(k, 0)
	return append(k, id...)
}

func indexPrefix(scope, kind string) []byte {
	return appendPrefix(make([]byte, 0, len(scope)+len(kind)+80), scope, kind)
}

func appendPrefix(k []byte, scope, kind string) []byte {
	k = append(k, scope...)
	k = append(k, 0)
	k = append(k, kind...)
	return append(k, 0)
}

// timeKey is t as bytes that sort by time.
func timeKey(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())) }

// textKey is folded text as a sort key, cut so that keys stay short.
func textKey(s string) []byte {
	s = fold(s)
	return []byte(s[:min(len(s), 64)])
}

func uniqueKey(k string) []byte { return append([]byte("="), k...) }

// get reads the record of id, or answers ErrNotFound.
func (c *collection[T]) get(t *txn, id string) (*T, error) {
	value, err := t.record(c.bucket, []byte(id))
	if err != nil {
		return nil, err
	}
	return c.decode(id, value)
}

// open reads the record of id as it stands in the store; nil is ErrNotFound.
func (c *collection[T]) open(id string, sealed []byte) (*T, error) {
	if sealed == nil {
		return nil, errAbsentRecord
	}
	value, err := unseal(c.bucket, []byte(id), sealed)
	if err != nil {
		return nil, err
	}
	return c.decode(id, value)
}

func (c *collection[T]) decode(id string, value []byte) (*T, error) {
	r := new(T)
	if err := unmarshal(value, r); err != nil || c.id(r) != id {
		return nil, errors.Join(damagedRecord(c.bucket, []byte(id)), err)
	}
	return r, nil
}

// cached returns the record of id from a store's memory, which remembers it from
// then on; shared, read only.
func (c *collection[T]) cached(ctx context.Context, s *Store, memory *cache[T], id string) (*T, error) {
	return memory.get(id, func() (r *T, err error) {
		err = s.view(ctx, func(t *txn) error { r, err = c.get(t, id); return err })
		return r, err
	})
}

// each calls f for the records, in the order of ids, until it answers false or
// fails. One that is damaged is an error.
func (c *collection[T]) each(t *txn, f func(r *T) (more bool, err error)) error {
	return t.visit(c.bucket, nil, func(id, value []byte) (bool, error) {
		r, err := c.decode(string(id), value)
		if err != nil {
			return false, err
		}
		return f(r)
	})
}

// visit is scan, upward, for what can fail, which ends it.
func (t *txn) visit(bucket string, prefix []byte, f func(key, value []byte) (more bool, err error)) error {
	var failed error
	err := t.scan(bucket, prefix, nil, false, func(key, value []byte) (more bool) {
		more, failed = f(key, value)
		return more && failed == nil
	})
	return cmp.Or(failed, err)
}

// put replaces old by new in the bucket, the index and the counters. old is
// nil for a new record, new is nil for one that goes.
func (c *collection[T]) put(t *txn, old, new *T) (err error) {
	var value []byte
	if new != nil {
		if value, err = json.Marshal(new); err != nil {
			return fmt.Errorf("encode record of %s: %w", c.bucket, err)
		}
	}
	return c.shelf().replace(t, c.derived(old), c.derived(new), value)
}

// remove removes a record and what is known of its use.
func (c *collection[T]) remove(t *txn, r *T) error { return c.shelf().remove(t, c.derived(r)) }

// find returns the id of the record that has the unique key, or ErrNotFound.
func (c *collection[T]) find(t *txn, unique string) (string, error) {
	id, err := t.record(c.indexBucket(), uniqueKey(unique))
	return string(id), err
}

// derived is what stands beside a record, of nil nothing.
func (c *collection[T]) derived(r *T) (d derived) {
	if r == nil {
		return d
	}
	d = derived{id: c.id(r), keys: c.indexEntries(r), counts: c.count(r)}
	if c.owner != nil {
		d.owner = c.owner(r)
	}
	return d
}

// indexEntries returns all keys of the record in the index bucket.
func (c *collection[T]) indexEntries(r *T) [][]byte {
	var keys [][]byte
	if c.unique != nil {
		for _, u := range c.unique(r) {
			keys = append(keys, uniqueKey(u))
		}
	}
	if c.index != nil {
		keys = append(keys, c.index(r)...)
	}
	return keys
}
