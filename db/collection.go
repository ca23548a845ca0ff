package db

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

func (c *collection[T]) indexBucket() string { return c.bucket + ".index" }

// Kinds of index keys, after the scope.
const (
	byCreated = "c"
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
	if id == "" {
		return nil, errAbsentRecord
	}
	sealed, err := t.Get(c.bucket, []byte(id))
	if err != nil {
		return nil, err
	}
	return c.open(id, sealed)
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

// getMany reads the records of ids, all of which are there.
func (c *collection[T]) getMany(t *txn, ids []string) ([]*T, error) {
	all, err := t.GetMany(c.bucket, keysOf(ids))
	records := make([]*T, len(all))
	for i, sealed := range all {
		if records[i], err = c.open(ids[i], sealed); err != nil {
			return nil, err
		}
	}
	return records, err
}

func (c *collection[T]) decode(id string, value []byte) (*T, error) {
	r := new(T)
	if err := unmarshal(value, r); err != nil {
		return nil, errors.Join(damagedRecord(c.bucket, []byte(id)), err)
	}
	if c.id(r) != id {
		return nil, damagedRecord(c.bucket, []byte(id))
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

// page serves a page of a list that can be sorted by some kinds of the index;
// total is the counter of all that it holds.
func (c *collection[T]) page(ctx context.Context, s *Store, q ListQuery, total string, sorts ...string) (page Page[T], err error) {
	l, err := parseListing(c.bucket, q, sorts...)
	if err != nil {
		return page, err
	}
	err = s.view(ctx, func(t *txn) error { page, err = c.list(t, l, total); return err })
	return page, err
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

// find returns the id of the record that has the unique key, or ErrNotFound.
func (c *collection[T]) find(t *txn, unique string) (string, error) {
	value, err := t.get(c.indexBucket(), uniqueKey(unique))
	if err != nil {
		return "", err
	}
	if value == nil {
		return "", errAbsentRecord
	}
	return string(value), nil
}

// put replaces old by new in the bucket, the index and the counters. old is
// nil for a new record, new is nil for one that goes.
func (c *collection[T]) put(t *txn, old, new *T) error {
	id := c.idOf(old, new)
	if err := c.putIndex(t, id, old, new); err != nil {
		return err
	}
	if err := c.putCounts(t, old, new); err != nil {
		return err
	}
	t.changed(c.bucket, id)
	if new == nil {
		return t.Delete(c.bucket, []byte(id))
	}
	value, err := json.Marshal(new)
	if err != nil {
		return fmt.Errorf("encode record of %s: %w", c.bucket, err)
	}
	return t.put(c.bucket, []byte(id), value)
}

// remove removes a record and what is known of its use.
func (c *collection[T]) remove(t *txn, r *T) error {
	if c.used != "" {
		if err := t.Delete(c.used, []byte(c.id(r))); err != nil {
			return err
		}
	}
	return c.put(t, r, nil)
}

func (c *collection[T]) idOf(old, new *T) string {
	if new != nil {
		return c.id(new)
	}
	return c.id(old)
}

// indexEntries returns all keys of the record in the index bucket.
func (c *collection[T]) indexEntries(r *T) [][]byte {
	if r == nil {
		return nil
	}
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

func (c *collection[T]) putIndex(t *txn, id string, old, new *T) error {
	before, after := c.indexEntries(old), c.indexEntries(new)
	for _, key := range before {
		if !containsKey(after, key) {
			if err := t.Delete(c.indexBucket(), key); err != nil {
				return err
			}
		}
	}
	for _, key := range after {
		if containsKey(before, key) {
			continue
		}
		if err := c.claim(t, key); err != nil {
			return err
		}
		if err := t.put(c.indexBucket(), key, []byte(id)); err != nil {
			return err
		}
	}
	return nil
}

// claim refuses a unique key that another record has.
func (c *collection[T]) claim(t *txn, key []byte) error {
	if key[0] != '=' {
		return nil
	}
	holder, err := t.get(c.indexBucket(), key)
	if err == nil && holder != nil {
		return c.taken
	}
	return err
}

// containsKey searches a list of at most a few dozen keys.
func containsKey(keys [][]byte, key []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

func (c *collection[T]) putCounts(t *txn, old, new *T) error {
	delta := map[string]int64{}
	if old != nil {
		for _, name := range c.count(old) {
			delta[name]--
		}
	}
	if new != nil {
		for _, name := range c.count(new) {
			delta[name]++
		}
	}
	for name, d := range delta {
		if d == 0 {
			continue
		}
		n, err := t.count(name)
		if err != nil {
			return err
		}
		if err := t.setCount(name, n+d); err != nil {
			return err
		}
	}
	return nil
}

// count returns the value of a counter; one that was never set is 0.
func (t *txn) count(name string) (int64, error) {
	value, err := t.get(countBucket, []byte(name))
	if err != nil || value == nil {
		return 0, err
	}
	return countOf([]byte(name), value)
}

func countOf(name, value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, damagedRecord(countBucket, name)
	}
	return n, nil
}

func (t *txn) setCount(name string, n int64) error {
	if n == 0 {
		return t.Delete(countBucket, []byte(name))
	}
	return t.put(countBucket, []byte(name), strconv.AppendInt(nil, n, 10))
}

// counterName joins the parts of a counter's name, such as token/owner/ID.
func counterName(parts ...string) string { return strings.Join(parts, "/") }
