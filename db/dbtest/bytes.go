package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"husk/db"
)

func testBytesOutlive(t *testing.T, e db.Engine) {
	put(t, e, "a", "first", "b", "second")
	var got [][]byte
	collect := func(tx db.Tx) error {
		got = nil
		v, err := tx.Get(bucket, []byte("a"))
		got = append(got, v)
		return errors.Join(err, tx.Scan(bucket, nil, nil, false, func(k, v []byte) bool {
			got = append(got, k, v)
			return true
		}))
	}
	for name, run := range map[string]func(*testing.T, db.Engine, func(db.Tx) error){"view": view, "update": update} {
		put(t, e, "a", "first", "b", "second")
		run(t, e, collect)
		for i := range 20 {
			put(t, e, "a", fmt.Sprint("other ", i), "b", fmt.Sprint("other ", i))
		}
		if s := bytes.Join(got, []byte(" ")); string(s) != "first a first b second" {
			t.Errorf("%s: bytes after the transaction = %q", name, s)
		}
	}
}

// testBytesAreCallers changes all that went in and came out: a copy is the
// caller's, and what was put has been taken at the call.
func testBytesAreCallers(t *testing.T, e db.Engine) {
	scribble := func(slices ...[]byte) {
		for _, s := range slices {
			for i := range s {
				s[i] = '!'
			}
		}
	}
	update(t, e, func(tx db.Tx) error {
		k, v := []byte("k"), []byte("value")
		err := tx.Put(bucket, k, v)
		scribble(k, v)
		return err
	})
	wantValue(t, e, "k", "value")
	read := func(tx db.Tx) error {
		v, err := tx.Get(bucket, []byte("k"))
		scribble(v)
		for _, reverse := range []bool{false, true} {
			err = errors.Join(err, tx.Scan(bucket, nil, nil, reverse, func(k, v []byte) bool {
				scribble(k, v)
				_, _ = append(k, "more"...), append(v, "more"...)
				return true
			}))
		}
		return err
	}
	view(t, e, read)
	wantValue(t, e, "k", "value")
	update(t, e, func(tx db.Tx) error { return errors.Join(putAll(tx, "l", "own"), read(tx), read(tx)) })
	wantKeys(t, e, "", "", false, "k=value", "l=own")
}

func testBinaryKeys(t *testing.T, e db.Engine) {
	want := []string{"\x00", "\x00\x00", "\x00\xff", "\n", "a\x00b", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff"}
	pairs := make([]string, 0, 2*len(want))
	for i := len(want) - 1; i >= 0; i-- {
		pairs = append(pairs, want[i], "v\x00\xff")
	}
	put(t, e, pairs...)
	for i := range want {
		wantValue(t, e, want[i], "v\x00\xff")
		want[i] += "=v\x00\xff"
	}
	wantKeys(t, e, "", "", false, want...)
	wantKeys(t, e, "\xff", "", true, want[9], want[8], want[7])
	wantKeys(t, e, "\x00", "\x00\x01", false, want[2])
}

func testLargeValues(t *testing.T, e db.Engine) {
	sizes := []int{1, 1000, 4095, 4096, 4097, 70_000, 3 << 20}
	if b := boundOf(e); b.Bytes > 0 {
		sizes[6] = min(sizes[6], b.Bytes-100_000)
	}
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, sizes[i]) }
	update(t, e, func(tx db.Tx) error {
		for i := range sizes {
			if err := tx.Put(bucket, []byte{byte(i)}, value(i)); err != nil {
				return err
			}
		}
		v, err := tx.Get(bucket, []byte{6})
		if !bytes.Equal(v, value(6)) {
			t.Error("a large value is not seen before the commit")
		}
		return err
	})
	view(t, e, func(tx db.Tx) error {
		for i, size := range sizes {
			v, err := tx.Get(bucket, []byte{byte(i)})
			if err != nil || !bytes.Equal(v, value(i)) {
				t.Errorf("value of %d bytes: %d bytes, %v", size, len(v), err)
			}
		}
		return nil
	})
}
