package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"husk/db"
)

// testManyReads reads many keys at once, as a view sees them and as an update
// does that has changed some.
func testManyReads(t *testing.T, e db.Engine) {
	put(t, e, "a", "1", "b", "2", "c", "3")
	read := func(tx db.Tx, bucket string, keys ...string) (got []string, err error) {
		var asked [][]byte
		for _, key := range keys {
			asked = append(asked, []byte(key))
		}
		values, err := db.GetMany(tx, bucket, asked)
		if len(values) != len(keys) && err == nil {
			t.Errorf("%d values of %d keys", len(values), len(keys))
		}
		for _, v := range values {
			if v != nil && len(v) == 0 {
				t.Error("an absent key has an empty value, want nil")
			}
			got = append(got, string(v))
			copy(v, "!") // it is the caller's
		}
		return got, err
	}
	want := func(tx db.Tx, values []string, keys ...string) error {
		for range 2 {
			got, err := read(tx, bucket, keys...)
			if !slices.Equal(got, values) || err != nil {
				t.Errorf("%q are %q (%v), want %q", keys, got, err, values)
			}
		}
		got, err := read(tx, "absent", keys...)
		if !slices.Equal(got, make([]string, len(keys))) {
			t.Errorf("in an absent bucket %q are %q", keys, got)
		}
		return err
	}
	view(t, e, func(tx db.Tx) error {
		return errors.Join(want(tx, []string{"3", "", "1", "1"}, "c", "ab", "a", "a"), want(tx, nil))
	})
	update(t, e, func(tx db.Tx) error {
		return errors.Join(putAll(tx, "b", "two", "d", "4"), tx.Delete(bucket, []byte("a")), want(tx, []string{"", "two", "3", "4"}, "a", "b", "c", "d"))
	})
}

// testBound goes up to the bound, and beyond it.
func testBound(t *testing.T, e db.Engine) {
	b := boundOf(e)
	if b == (db.Bound{}) {
		t.Skip("the engine has no bound")
	}
	if b.Writes > 0 && b.Writes < db.LeastWrites || b.Bytes > 0 && b.Bytes < db.LeastBytes {
		t.Errorf("the bound is %+v, less than the least that a store needs", b)
	}
	write := func(keys, bytesEach int) error {
		return e.Update(t.Context(), func(tx db.Tx) error {
			for i := range keys {
				for range 2 { // a key that is written again counts once
					if err := tx.Put(bucket, fmt.Appendf(nil, "k%06d", i), bytes.Repeat([]byte{'v'}, bytesEach)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	for name, size := range map[string]struct{ keys, bytes int }{"writes": {b.Writes + 1, 1}, "bytes": {1, b.Bytes + 1}} {
		if size.keys == 1 && b.Bytes == 0 || size.bytes == 1 && b.Writes == 0 {
			continue
		}
		if err := write(size.keys, size.bytes); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("an update beyond the bound of %s = %v, want db.ErrInvalid", name, err)
		}
		wantKeys(t, e, "", "", false)
	}
	if b.Writes > 0 {
		if err := write(b.Writes, 1); err != nil {
			t.Errorf("an update of %d keys = %v", b.Writes, err)
		}
	}
	if b.Bytes > 0 {
		if err := write(1, b.Bytes/2-100); err != nil {
			t.Errorf("an update of half of %d bytes = %v", b.Bytes, err)
		}
	}
}
