package etcd

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"husk/db"
)

// bound is how large an update may be: what it writes has room in one request of
// etcd's, which is 1.5 MiB by default.
var bound = db.Bound{Writes: db.LeastWrites, Bytes: db.LeastBytes}

// source is where a transaction reads what it has not written itself.
type source interface {
	get(ctx context.Context, keys []string) ([][]byte, error)
	pages(lo, hi string, reverse bool) *pager
}

func (s *snapshot) pages(lo, hi string, reverse bool) *pager {
	return &pager{s: s, lo: lo, hi: hi, reverse: reverse}
}

// transaction is the db.Tx over a snapshot and what was written since.
type transaction struct {
	ctx    context.Context
	source source
	below  []*writes // what comes before the source: the latest first
	own    *writes   // nil: of a view
	failed error     // what broke it, whatever its function made of that
}

// run calls f and ends the transaction.
func (t *transaction) run(f func(db.Tx) error) error {
	defer func() { t.source = nil }()
	err := f(t)
	if t.failed != nil {
		return t.failed
	}
	return err
}

func (t *transaction) usable() error {
	if t.source == nil {
		return errOver
	}
	return t.failed
}

func (t *transaction) fail(err error) error {
	if err != nil && t.failed == nil {
		t.failed = err
	}
	return err
}

// name is a key of a bucket, below the prefix.
func name(bucket string, key []byte) (string, error) {
	if bucket == "" || bucket[0] == '_' || strings.Contains(bucket, "/") {
		return "", misuse("a bucket's name is %q", bucket)
	}
	return bucket + "/" + string(key), nil
}

func misuse(format string, args ...any) error {
	return &db.Error{Kind: db.ErrInvalid, Code: "store_misuse", Reason: fmt.Sprintf(format, args...)}
}

// written is what was written of a key.
func (t *transaction) written(key string) (value []byte, ok bool) {
	if value, ok = t.own.get(key); ok {
		return value, true
	}
	for _, w := range t.below {
		if value, ok = w.get(key); ok {
			return value, true
		}
	}
	return nil, false
}

func (t *transaction) Get(bucket string, key []byte) ([]byte, error) {
	values, err := t.GetMany(bucket, [][]byte{key})
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

// GetMany implements db.ManyGetter.
func (t *transaction) GetMany(bucket string, keys [][]byte) ([][]byte, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	var ask []string
	var places []int
	for i, key := range keys {
		n, err := name(bucket, key)
		if err != nil {
			return nil, err
		}
		if value, ok := t.written(n); ok {
			values[i] = bytes.Clone(value)
		} else if len(key) > 0 {
			ask, places = append(ask, n), append(places, i)
		}
	}
	if len(ask) == 0 {
		return values, nil
	}
	got, err := t.source.get(t.ctx, ask)
	if err != nil {
		return nil, t.fail(err)
	}
	for i, place := range places {
		values[place] = bytes.Clone(got[i])
	}
	return values, nil
}

func (t *transaction) Put(bucket string, key, value []byte) error {
	if len(key) == 0 || len(value) == 0 {
		return misuse("a record needs a key and a value")
	}
	return t.write(bucket, key, bytes.Clone(value))
}

func (t *transaction) Delete(bucket string, key []byte) error {
	return t.write(bucket, key, nil)
}

func (t *transaction) write(bucket string, key, value []byte) error {
	if err := t.usable(); err != nil {
		return err
	}
	if t.own == nil {
		return misuse("a view writes nothing")
	}
	n, err := name(bucket, key)
	if err != nil || len(key) == 0 {
		return err
	}
	t.own.set(n, value)
	if len(t.own.order) > bound.Writes || t.own.bytes > bound.Bytes {
		return t.fail(misuse("a change of more than %d records or %d bytes is too large", bound.Writes, bound.Bytes))
	}
	return nil
}

func (t *transaction) Scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) bool) error {
	if err := t.usable(); err != nil {
		return err
	}
	lo, hi, err := rangeOf(bucket, prefix, from, reverse)
	if err != nil || lo >= hi {
		return err
	}
	p := t.source.pages(lo, hi, reverse)
	written := t.writtenWithin(lo, hi, reverse)
	strip := len(bucket) + 1
	hand := func(key string, value []byte) bool { return f([]byte(key[strip:]), bytes.Clone(value)) }
	for {
		page, err := p.next(t.ctx)
		if err != nil {
			return t.fail(err)
		}
		for _, r := range page {
			for len(written) > 0 && ahead(written[0], r.key, reverse) {
				key := written[0]
				written = written[1:]
				if value, _ := t.written(key); value != nil && !hand(key, value) {
					return nil
				}
			}
			value := r.value
			if len(written) > 0 && written[0] == r.key {
				value, _ = t.written(r.key)
				written = written[1:]
			}
			if value != nil && !hand(r.key, value) {
				return nil
			}
		}
		if len(page) == 0 && p.over {
			break
		}
	}
	for _, key := range written {
		if value, _ := t.written(key); value != nil && !hand(key, value) {
			return nil
		}
	}
	return nil
}

func ahead(a, b string, reverse bool) bool { return a != b && a < b != reverse }

// writtenWithin returns the keys of a range that were written, in the order of a scan.
func (t *transaction) writtenWithin(lo, hi string, reverse bool) []string {
	keys := t.own.within(lo, hi)
	for _, w := range t.below {
		keys = append(keys, w.within(lo, hi)...)
	}
	return ordered(keys, reverse)
}

// rangeOf is where a scan goes: from lo to before hi.
func rangeOf(bucket string, prefix, from []byte, reverse bool) (lo, hi string, err error) {
	if lo, err = name(bucket, prefix); err != nil {
		return "", "", err
	}
	hi = successor(lo) // the name of a bucket ends with a slash, so there is one
	if len(from) > 0 {
		at := bucket + "/" + string(from)
		if reverse {
			hi = min(hi, at+"\x00")
		} else {
			lo = max(lo, at)
		}
	}
	return lo, hi, nil
}

// successor is the first text after all with the prefix.
func successor(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}
