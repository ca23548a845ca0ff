// Package dbtest is the executable meaning of db.Engine: the suite that every
// engine has to pass before the store may stand on it.
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"husk/db"
)

// Run holds an engine to its contract. open answers an empty engine for each
// subtest and closes it by t.Cleanup; that is also the place for the engine's
// own check of its invariants.
func Run(t *testing.T, open func(t *testing.T) db.Engine) {
	tests := []struct {
		name string
		test func(*testing.T, db.Engine)
	}{
		{"order", testOrder},
		{"scan", testScan},
		{"scan stops early", testScanStops},
		{"scan of a large bucket", testScanLarge},
		{"snapshot", testSnapshot},
		{"own writes", testOwnWrites},
		{"own deletes of everything", testOwnDeletes},
		{"failed function leaves nothing", testFailureLeavesNothing},
		{"update sees the update before", testUpdateSeesUpdate},
		{"no increment is lost", testIncrements},
		{"rerun is harmless", testRerun},
		{"one failure among many", testOneFailure},
		{"bytes outlive the transaction", testBytesOutlive},
		{"bytes are the caller's", testBytesAreCallers},
		{"absent bucket is empty", testAbsentBucket},
		{"buckets are apart", testBucketsApart},
		{"delete of an absent key", testDeleteAbsent},
		{"empty key and value", testEmptyRefused},
		{"a view writes nothing", testViewWritesNothing},
		{"cancelled context", testCancelled},
		{"binary keys", testBinaryKeys},
		{"large values", testLargeValues},
		{"many reads", testManyReads},
		{"bound", testBound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// RunShared holds two engines over one store to what their Stores rely on; of
// an engine that no other process can have beside it, both may be the same. open
// answers them over an empty store for each subtest.
func RunShared(t *testing.T, open func(t *testing.T) (one, other db.Engine)) {
	tests := []struct {
		name string
		test func(t *testing.T, one, other db.Engine)
	}{
		{"feed tells all commits in order", testFeedOrder},
		{"feed tells all who listen", testFeedForAll},
		{"feed tells nothing of what failed", testFeedFailures},
		{"view sees what the feed tells", testFeedSees},
		{"feed begins amid writes", testFeedBegins},
		{"feed begins within an update", testFeedBegunWithin},
		{"feed overflows", testFeedOverflow},
		{"feed ends with its engine", testFeedCloses},
		{"one leads", testLeads},
		{"memory follows", testMemoryFollows},
		{"last administrators at once", testLastAdministrators},
		{"role used and deleted at once", testRoleUsedAndDeleted},
		{"one email at once", testOneEmail},
		{"rotations at once", testRotations},
		{"last uses are merged", testUsesMerged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other := open(t)
			tt.test(t, one, other)
		})
	}
}

const bucket = "bucket"

func put(t *testing.T, e db.Engine, pairs ...string) {
	t.Helper()
	update(t, e, func(tx db.Tx) error { return putAll(tx, pairs...) })
}

func putAll(tx db.Tx, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := tx.Put(bucket, []byte(pairs[i]), []byte(pairs[i+1])); err != nil {
			return err
		}
	}
	return nil
}

func update(t *testing.T, e db.Engine, f func(db.Tx) error) {
	t.Helper()
	if err := e.Update(t.Context(), f); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, e db.Engine, f func(db.Tx) error) {
	t.Helper()
	if err := e.View(t.Context(), f); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// keys collects what a scan hands out, as key=value.
func keys(tx db.Tx, prefix, from string, reverse bool) ([]string, error) {
	var got []string
	err := tx.Scan(bucket, []byte(prefix), []byte(from), reverse, func(k, v []byte) bool {
		got = append(got, string(k)+"="+string(v))
		return true
	})
	return got, err
}

func wantKeys(t *testing.T, e db.Engine, prefix, from string, reverse bool, want ...string) {
	t.Helper()
	var got []string
	view(t, e, func(tx db.Tx) (err error) {
		got, err = keys(tx, prefix, from, reverse)
		return err
	})
	if !slices.Equal(got, want) {
		t.Errorf("scan(prefix %q, from %q, reverse %t) = %q, want %q", prefix, from, reverse, got, want)
	}
}

func wantValue(t *testing.T, e db.Engine, key, want string) {
	t.Helper()
	view(t, e, func(tx db.Tx) error {
		got, err := tx.Get(bucket, []byte(key))
		if err == nil && (string(got) != want || (got == nil) != (want == "")) {
			err = fmt.Errorf("%q = %q, want %q", key, got, want)
		}
		return err
	})
}

func testOrder(t *testing.T, e db.Engine) {
	put(t, e, "b", "2", "a", "1", "c", "3", "aa", "4", "B", "5")
	wantKeys(t, e, "", "", false, "B=5", "a=1", "aa=4", "b=2", "c=3")
	wantKeys(t, e, "", "", true, "c=3", "b=2", "aa=4", "a=1", "B=5")
}

func testScan(t *testing.T, e db.Engine) {
	put(t, e, "a", "0", "u/1", "1", "u/3", "3", "u/5", "5", "v", "6", "\xff\xff", "7", "\xff\xffx", "8")
	tests := []struct {
		name, prefix, from string
		reverse            bool
		want               []string
	}{
		{"prefix", "u/", "", false, []string{"u/1=1", "u/3=3", "u/5=5"}},
		{"prefix in reverse", "u/", "", true, []string{"u/5=5", "u/3=3", "u/1=1"}},
		{"from is inclusive", "u/", "u/3", false, []string{"u/3=3", "u/5=5"}},
		{"from is inclusive in reverse", "u/", "u/3", true, []string{"u/3=3", "u/1=1"}},
		{"from between keys", "u/", "u/2", false, []string{"u/3=3", "u/5=5"}},
		{"from between keys in reverse", "u/", "u/4", true, []string{"u/3=3", "u/1=1"}},
		{"from before the prefix", "u/", "b", false, []string{"u/1=1", "u/3=3", "u/5=5"}},
		{"from before the prefix in reverse", "u/", "b", true, nil},
		{"from is a key before the prefix in reverse", "u/", "a", true, nil},
		{"from after the prefix", "u/", "v", false, nil},
		{"from after the prefix in reverse", "u/", "v", true, []string{"u/5=5", "u/3=3", "u/1=1"}},
		{"from is the prefix", "u/", "u/", false, []string{"u/1=1", "u/3=3", "u/5=5"}},
		{"from is the prefix in reverse", "u/", "u/", true, nil},
		{"from is the first key in reverse", "u/", "u/1", true, []string{"u/1=1"}},
		{"prefix is a key", "v", "", false, []string{"v=6"}},
		{"prefix without keys", "w", "", false, nil},
		{"prefix without keys in reverse", "w", "", true, nil},
		{"prefix before all keys in reverse", "A", "", true, nil},
		{"prefix without a successor", "\xff\xff", "", false, []string{"\xff\xff=7", "\xff\xffx=8"}},
		{"prefix without a successor in reverse", "\xff\xff", "", true, []string{"\xff\xffx=8", "\xff\xff=7"}},
		{"no prefix, from", "", "v", false, []string{"v=6", "\xff\xff=7", "\xff\xffx=8"}},
		{"no prefix, from, in reverse", "", "u/2", true, []string{"u/1=1", "a=0"}},
		{"from after all keys", "", "\xff\xffy", false, nil},
		{"from after all keys in reverse", "", "\xff\xffy", true,
			[]string{"\xff\xffx=8", "\xff\xff=7", "v=6", "u/5=5", "u/3=3", "u/1=1", "a=0"}},
		{"from before all keys in reverse", "", "A", true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantKeys(t, e, tt.prefix, tt.from, tt.reverse, tt.want...) })
	}
}

func testScanStops(t *testing.T, e db.Engine) {
	put(t, e, "a", "1", "b", "2", "c", "3")
	for _, reverse := range []bool{false, true} {
		n := 0
		view(t, e, func(tx db.Tx) error {
			return tx.Scan(bucket, nil, nil, reverse, func(_, _ []byte) bool { n++; return n < 2 })
		})
		if n != 2 {
			t.Errorf("reverse %t: %d calls after false at the second, want 2", reverse, n)
		}
	}
}

// boundOf is how large an update may be.
func boundOf(e db.Engine) (b db.Bound) {
	if bounder, ok := e.(db.Bounder); ok {
		b = bounder.Bound()
	}
	return b
}

// writesOf is how many keys an update may write, and most where there is no bound.
func writesOf(e db.Engine, most int) int {
	if b := boundOf(e); b.Writes > 0 {
		return min(most, b.Writes)
	}
	return most
}

// fill puts keys k00000 and so on, in as many updates as that takes.
func fill(t *testing.T, e db.Engine, n int, value string) {
	t.Helper()
	for from, step := 0, writesOf(e, n); from < n; from += step {
		update(t, e, func(tx db.Tx) error {
			for i := from; i < min(from+step, n); i++ {
				if err := tx.Put(bucket, fmt.Appendf(nil, "k%05d", i), []byte(value)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func testScanLarge(t *testing.T, e db.Engine) {
	const n = 3000
	fill(t, e, n, "value")
	view(t, e, func(tx db.Tx) error {
		for _, reverse := range []bool{false, true} {
			got, err := keys(tx, "k", "", reverse)
			if err != nil {
				return err
			}
			if reverse {
				slices.Reverse(got)
			}
			if len(got) != n || !slices.IsSorted(got) {
				t.Errorf("reverse %t: %d keys, sorted %t, want %d", reverse, len(got), slices.IsSorted(got), n)
			}
		}
		return nil
	})
}

func testSnapshot(t *testing.T, e db.Engine) {
	put(t, e, "a", "old")
	view(t, e, func(tx db.Tx) error {
		committed := make(chan error)
		go func() {
			committed <- e.Update(t.Context(), func(tx db.Tx) error { return putAll(tx, "a", "new", "b", "new") })
		}()
		if err := <-committed; err != nil {
			return err
		}
		got, err := keys(tx, "", "", false)
		if !slices.Equal(got, []string{"a=old"}) {
			t.Errorf("a view sees %q after a later commit, want its snapshot", got)
		}
		return err
	})
	wantKeys(t, e, "", "", false, "a=new", "b=new")
}

func testOwnWrites(t *testing.T, e db.Engine) {
	put(t, e, "a", "1", "b", "2", "d", "4")
	update(t, e, func(tx db.Tx) error {
		if err := errors.Join(putAll(tx, "b", "two", "c", "3"), tx.Delete(bucket, []byte("a"))); err != nil {
			return err
		}
		forward, err := keys(tx, "", "", false)
		backward, err2 := keys(tx, "", "c", true)
		gone, err3 := tx.Get(bucket, []byte("a"))
		changed, err4 := tx.Get(bucket, []byte("b"))
		if !slices.Equal(forward, []string{"b=two", "c=3", "d=4"}) || !slices.Equal(backward, []string{"c=3", "b=two"}) {
			t.Errorf("own writes scan as %q and in reverse as %q", forward, backward)
		}
		if gone != nil || string(changed) != "two" {
			t.Errorf("deleted key = %q, changed key = %q", gone, changed)
		}
		return errors.Join(err, err2, err3, err4)
	})
}

// testOwnDeletes empties whole regions of a large bucket and scans over them
// before the commit: a tree that drops its empty leaves only at the commit
// must not take one for the end.
func testOwnDeletes(t *testing.T, e db.Engine) {
	n := writesOf(e, 3000)
	key := func(i int) []byte { return fmt.Appendf(nil, "k%05d", i) }
	fill(t, e, n, "a value of some length")
	deleteAndScan := func(tx db.Tx, from, to int, want ...string) error {
		for i := from; i < to; i++ {
			if err := tx.Delete(bucket, key(i)); err != nil {
				return err
			}
		}
		forward, err := keys(tx, "", "", false)
		backward, err2 := keys(tx, "", "", true)
		slices.Reverse(backward)
		if len(forward) != len(want) || !slices.Equal(forward, backward) {
			t.Errorf("after deletes %d keys forward and %d in reverse, want %d", len(forward), len(backward), len(want))
		}
		return errors.Join(err, err2)
	}
	update(t, e, func(tx db.Tx) error { return deleteAndScan(tx, 1, n-1, "first", "last") })
	update(t, e, func(tx db.Tx) error { return deleteAndScan(tx, 0, n) })
	wantKeys(t, e, "", "", true)
}

func testFailureLeavesNothing(t *testing.T, e db.Engine) {
	put(t, e, "a", "1", "b", "2")
	failure := errors.New("failure")
	err := e.Update(t.Context(), func(tx db.Tx) error {
		return errors.Join(putAll(tx, "a", "x", "c", "x"), tx.Put("another", []byte("k"), []byte("v")),
			tx.Delete(bucket, []byte("b")), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("update = %v, want the function's own error", err)
	}
	wantKeys(t, e, "", "", false, "a=1", "b=2")
	if err := e.View(t.Context(), func(db.Tx) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("view = %v, want the function's own error", err)
	}
}

func testUpdateSeesUpdate(t *testing.T, e db.Engine) {
	put(t, e, "a", "1")
	update(t, e, func(tx db.Tx) error {
		v, err := tx.Get(bucket, []byte("a"))
		if err != nil {
			return err
		}
		return tx.Put(bucket, []byte("a"), append(v, '2'))
	})
	wantValue(t, e, "a", "12")
}

func testAbsentBucket(t *testing.T, e db.Engine) {
	check := func(tx db.Tx) error {
		v, err := tx.Get("absent", []byte("k"))
		if v != nil {
			t.Errorf("get of an absent bucket = %q", v)
		}
		called := func(_, _ []byte) bool { t.Error("scan of an absent bucket calls"); return true }
		return errors.Join(err, tx.Scan("absent", nil, nil, false, called), tx.Scan("absent", nil, nil, true, called))
	}
	view(t, e, check)
	update(t, e, func(tx db.Tx) error { return errors.Join(check(tx), tx.Delete("absent", []byte("k"))) })
}

func testBucketsApart(t *testing.T, e db.Engine) {
	put(t, e, "k", "here")
	update(t, e, func(tx db.Tx) error { return tx.Put("other", []byte("k"), []byte("there")) })
	update(t, e, func(tx db.Tx) error { return tx.Delete("other", []byte("k")) })
	wantKeys(t, e, "", "", false, "k=here")
}

func testDeleteAbsent(t *testing.T, e db.Engine) {
	put(t, e, "b", "1")
	update(t, e, func(tx db.Tx) error {
		return errors.Join(tx.Delete(bucket, []byte("a")), tx.Delete(bucket, []byte("c")))
	})
	wantKeys(t, e, "", "", false, "b=1")
}

func testEmptyRefused(t *testing.T, e db.Engine) {
	for _, pair := range [][2][]byte{{nil, []byte("v")}, {{}, []byte("v")}, {[]byte("k"), nil}, {[]byte("k"), {}}} {
		err := e.Update(t.Context(), func(tx db.Tx) error { return tx.Put(bucket, pair[0], pair[1]) })
		if !errors.Is(err, db.ErrInvalid) {
			t.Errorf("put(%q, %q) = %v, want db.ErrInvalid", pair[0], pair[1], err)
		}
	}
	wantKeys(t, e, "", "", false)
}

func testViewWritesNothing(t *testing.T, e db.Engine) {
	put(t, e, "a", "1")
	view(t, e, func(tx db.Tx) error {
		if tx.Put(bucket, []byte("b"), []byte("2")) == nil || tx.Delete(bucket, []byte("a")) == nil {
			t.Error("a view takes a write")
		}
		return nil
	})
	wantKeys(t, e, "", "", false, "a=1")
}

func testCancelled(t *testing.T, e db.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := func(db.Tx) error { t.Error("the function runs"); return nil }
	if err := e.View(ctx, called); !errors.Is(err, context.Canceled) {
		t.Errorf("view = %v, want context.Canceled", err)
	}
	if err := e.Update(ctx, called); !errors.Is(err, context.Canceled) {
		t.Errorf("update = %v, want context.Canceled", err)
	}
	put(t, e, "a", "still usable")
}
