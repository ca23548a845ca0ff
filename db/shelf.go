package db

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// shelf is where the records of a noun stand, whatever they tell of.
type shelf struct {
	bucket   string
	hasIndex bool   // it is found by more than its id
	owned    bool   // each record is a user's
	used     string // the bucket of their last uses; empty: none is kept
	taken    error  // for a record whose unique key another one has
}

// derived is what stands beside a record and can be made anew from it.
type derived struct {
	id     string
	keys   [][]byte // in the index bucket
	counts []string // the counters that it counts in
	owner  string   // the id of the user whose it is
}

// writes is how many writes it takes at most to make the record or to remove it.
func (d derived) writes() int { return 2 + len(d.keys) + len(d.counts) }

// replace puts a record in the place of another one, with what stands beside
// it; value is nil where it goes.
func (s shelf) replace(t *txn, old, new derived, value []byte) error {
	id := cmp.Or(new.id, old.id)
	if err := s.putIndex(t, id, old.keys, new.keys); err != nil {
		return err
	}
	if err := t.putCounts(old.counts, new.counts); err != nil {
		return err
	}
	t.changed(s.bucket, id)
	if value == nil {
		return t.Delete(s.bucket, []byte(id))
	}
	return t.put(s.bucket, []byte(id), value)
}

// remove removes a record and what is known of its use.
func (s shelf) remove(t *txn, d derived) error {
	if err := s.forgetUse(t, d.id); err != nil {
		return err
	}
	return s.replace(t, d, derived{}, nil)
}

func (s shelf) forgetUse(t *txn, id string) error {
	if s.used == "" {
		return nil
	}
	return t.Delete(s.used, []byte(id))
}

func (s shelf) putIndex(t *txn, id string, before, after [][]byte) error {
	index := indexOf(s.bucket)
	for _, key := range before {
		if !containsKey(after, key) {
			if err := t.Delete(index, key); err != nil {
				return err
			}
		}
	}
	for _, key := range after {
		if containsKey(before, key) {
			continue
		}
		if err := s.claim(t, key); err != nil {
			return err
		}
		if err := t.put(index, key, []byte(id)); err != nil {
			return err
		}
	}
	return nil
}

// claim refuses a unique key that another record has.
func (s shelf) claim(t *txn, key []byte) error {
	if key[0] != '=' {
		return nil
	}
	holder, err := t.get(indexOf(s.bucket), key)
	if err == nil && holder != nil {
		return s.taken
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

func (t *txn) putCounts(before, after []string) error {
	delta := map[string]int64{}
	for _, name := range before {
		delta[name]--
	}
	for _, name := range after {
		delta[name]++
	}
	return t.addCounts(delta)
}

// addCounts adds to counters, in the order of their keys.
func (t *txn) addCounts(delta map[string]int64) error {
	for _, name := range slices.Sorted(maps.Keys(delta)) {
		d := delta[name]
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
