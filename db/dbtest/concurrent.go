package dbtest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"husk/db"
)

// increment adds one to the number at key.
func increment(tx db.Tx, key string) error {
	v, err := tx.Get(bucket, []byte(key))
	if err != nil {
		return err
	}
	n := 0
	if v != nil {
		if n, err = strconv.Atoi(string(v)); err != nil {
			return err
		}
	}
	return tx.Put(bucket, []byte(key), []byte(strconv.Itoa(n+1)))
}

// together runs n calls of f at once and waits for all.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func testIncrements(t *testing.T, e db.Engine) {
	const goroutines, increments = 16, 25
	together(goroutines, func(int) {
		for range increments {
			if err := e.Update(t.Context(), func(tx db.Tx) error { return increment(tx, "n") }); err != nil {
				t.Error(err)
			}
		}
	})
	wantValue(t, e, "n", strconv.Itoa(goroutines*increments))
}

// testRerun gives the engine every reason to run functions again: failing
// neighbours and rivals for one key. However often each of them ran, its
// effect is that of one run.
func testRerun(t *testing.T, e db.Engine) {
	const n = 32
	failure := errors.New("failure")
	together(n, func(i int) {
		key, runs := fmt.Sprintf("runs/%02d", i), 0
		err := e.Update(t.Context(), func(tx db.Tx) error {
			runs++
			if err := errors.Join(increment(tx, "shared"), increment(tx, key)); err != nil || i%4 != 0 {
				return err
			}
			return failure
		})
		if wantFailure := i%4 == 0; errors.Is(err, failure) != wantFailure || runs == 0 {
			t.Errorf("update %d = %v after %d runs, failure wanted: %t", i, err, runs, wantFailure)
		}
	})
	wantValue(t, e, "shared", strconv.Itoa(n-n/4))
	for i := range n {
		want := "1"
		if i%4 == 0 {
			want = ""
		}
		wantValue(t, e, fmt.Sprintf("runs/%02d", i), want)
	}
}

func testOneFailure(t *testing.T, e db.Engine) {
	const n, failing = 32, 13
	failure := errors.New("failure")
	together(n, func(i int) {
		err := e.Update(t.Context(), func(tx db.Tx) error {
			if err := tx.Put(bucket, fmt.Appendf(nil, "k%02d", i), []byte("v")); err != nil || i != failing {
				return err
			}
			return failure
		})
		if i == failing && !errors.Is(err, failure) || i != failing && err != nil {
			t.Errorf("update %d = %v", i, err)
		}
	})
	for i := range n {
		want := "v"
		if i == failing {
			want = ""
		}
		wantValue(t, e, fmt.Sprintf("k%02d", i), want)
	}
}
