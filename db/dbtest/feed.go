package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"husk/db"
)

// patience is how long a test waits for what comes soon.
const patience = 30 * time.Second

// heard is what one who listens was told.
type heard struct {
	t       *testing.T
	changes chan db.Changes
	stop    context.CancelFunc
	ended   chan error
}

// listen begins to listen, and waits until that has begun. hear, if it is not
// nil, is called with what is told.
func listen(t *testing.T, e db.Engine, hear func(db.Changes)) *heard {
	t.Helper()
	f, ok := e.(db.Feeder)
	if !ok {
		t.Skip("the engine has no feed")
	}
	ctx, stop := context.WithCancel(t.Context())
	h := &heard{t: t, changes: make(chan db.Changes, 1<<10), stop: stop, ended: make(chan error, 1)}
	go func() {
		h.ended <- f.Feed(ctx, func(c db.Changes) {
			if hear != nil {
				hear(c)
			}
			h.changes <- c
		})
	}()
	if c := h.next(); !c.All || len(c.Keys) != 0 {
		t.Errorf("the feed begins with %d keys, all %t; want an All", len(c.Keys), c.All)
	}
	return h
}

func (h *heard) next() db.Changes {
	h.t.Helper()
	select {
	case c := <-h.changes:
		return c
	case err := <-h.ended:
		h.t.Fatalf("the feed ends: %v", err)
	case <-time.After(patience):
		h.t.Fatal("the feed tells nothing")
	}
	return db.Changes{}
}

// upto collects the keys that are told until one is.
func (h *heard) upto(last string) (keys []string) {
	h.t.Helper()
	for !slices.Contains(keys, last) {
		c := h.next()
		if c.All {
			h.t.Fatalf("an All among %q", keys)
		}
		for _, k := range c.Keys {
			if k.Bucket != bucket {
				h.t.Errorf("a key of bucket %q is told", k.Bucket)
			}
			keys = append(keys, string(k.Key))
		}
	}
	return keys
}

func testFeedOrder(t *testing.T, e, other db.Engine) {
	h := listen(t, e, nil)
	var want []string
	for i := range 20 {
		by := []db.Engine{e, other}[i%2]
		key := fmt.Sprintf("k%02d", i)
		put(t, by, key, "v")
		want = append(want, key)
	}
	update(t, other, func(tx db.Tx) error { return tx.Delete(bucket, []byte("k03")) })
	put(t, other, "k05", "v", "last", "v")
	if got := h.upto("last"); !slices.Equal(got, append(want, "k03", "k05", "last")) {
		t.Errorf("the feed tells %q, want %q and the delete", got, want)
	}
}

func testFeedForAll(t *testing.T, e, other db.Engine) {
	first, second, elsewhere := listen(t, e, nil), listen(t, e, nil), listen(t, other, nil)
	put(t, e, "a", "1")
	put(t, other, "b", "2")
	for i, h := range []*heard{first, second, elsewhere} {
		if got := h.upto("b"); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("listener %d is told %q, want what both wrote", i, got)
		}
	}
}

// testFeedFailures has updates fail beside others that do not, in commits that
// they would have shared.
func testFeedFailures(t *testing.T, e, other db.Engine) {
	h := listen(t, other, nil)
	failure := errors.New("failure")
	together(32, func(i int) {
		_ = e.Update(t.Context(), func(tx db.Tx) error {
			name := "good"
			if i%3 == 0 {
				name = "failed"
			}
			if err := putAll(tx, fmt.Sprint(name, i), "v"); err != nil || i%3 != 0 {
				return err
			}
			return failure
		})
	})
	put(t, e, "last", "v")
	got := h.upto("last")
	slices.Sort(got)
	for _, key := range got {
		if key[0] == 'f' {
			t.Errorf("%q is told, whose update failed", key)
		}
	}
	if got = slices.Compact(got); len(got) != 22 {
		t.Errorf("%d keys are told, want those of 21 updates and the last: %q", len(got), got)
	}
}

// testFeedSees looks, whenever something is told, for what was: one who drops
// what is told and reads it anew must not read what was there before.
func testFeedSees(t *testing.T, e, other db.Engine) {
	see := func(c db.Changes) {
		for _, k := range c.Keys {
			if err := e.View(t.Context(), func(tx db.Tx) error {
				if v, err := tx.Get(bucket, k.Key); err != nil || v == nil {
					t.Errorf("%q is told and is not there (%v)", k.Key, err)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	}
	h := listen(t, e, see)
	together(8, func(i int) {
		for n := range 10 {
			key := fmt.Sprint(i, " ", n)
			if err := other.Update(t.Context(), func(tx db.Tx) error { return putAll(tx, key, "v") }); err != nil {
				t.Error(err)
			}
		}
	})
	put(t, other, "last", "v")
	h.upto("last")
}

// testFeedBegins begins to listen while others write: what is not there when it
// begins is told.
func testFeedBegins(t *testing.T, e, other db.Engine) {
	var begun, done sync.WaitGroup
	const writers, each = 4, 50
	begun.Add(writers)
	for i := range writers {
		done.Go(func() {
			for n := range each {
				if n == each/5 {
					begun.Done()
				}
				key := fmt.Sprintf("%d/%d", i, n)
				if err := other.Update(t.Context(), func(tx db.Tx) error { return putAll(tx, key, "v") }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	begun.Wait()
	known := map[string]bool{}
	see := func(c db.Changes) {
		for _, k := range c.Keys {
			known[string(k.Key)] = true
		}
		if c.All {
			if err := e.View(t.Context(), func(tx db.Tx) error {
				return tx.Scan(bucket, nil, nil, false, func(k, _ []byte) bool { known[string(k)] = true; return true })
			}); err != nil {
				t.Error(err)
			}
		}
	}
	h := listen(t, e, see)
	done.Wait()
	put(t, other, "last", "v")
	for c := h.next(); !c.All && !slices.ContainsFunc(c.Keys, func(k db.Change) bool { return string(k.Key) == "last" }); {
		c = h.next()
	}
	h.stop()
	if err := <-h.ended; err != nil {
		t.Errorf("the feed ends with %v, want nil when its context does", err)
	}
	if want := writers*each + 1; len(known) != want {
		t.Errorf("one who began to listen amid %d writes knows of %d", want, len(known))
	}
}

// testFeedBegunWithin begins to listen while an update is under way, which may
// have begun before anybody listened.
func testFeedBegunWithin(t *testing.T, e, other db.Engine) {
	var h *heard
	update(t, other, func(tx db.Tx) error {
		if h == nil {
			h = listen(t, e, nil)
		}
		return putAll(tx, "k", "v")
	})
	if c := h.next(); !c.All && !slices.ContainsFunc(c.Keys, func(k db.Change) bool { return string(k.Key) == "k" }) {
		t.Errorf("of a commit after the feed began it tells %+v", c)
	}
}

// testFeedOverflow listens and does not hear: nobody who writes waits for that,
// and what was missed is not kept.
func testFeedOverflow(t *testing.T, e, other db.Engine) {
	begun, release := make(chan struct{}, 1<<10), make(chan struct{})
	listening := make(chan *heard)
	go func() {
		listening <- listen(t, e, func(c db.Changes) {
			begun <- struct{}{}
			if len(c.Keys) > 0 {
				<-release
			}
		})
	}()
	h := <-listening
	<-begun
	put(t, other, "first", "v")
	<-begun // and does not go on
	keys := writesOf(e, 1000)
	for i := range 30 * 1000 / keys {
		update(t, other, func(tx db.Tx) error {
			for n := range keys {
				if err := tx.Put(bucket, fmt.Appendf(nil, "%d/%d", i, n), []byte("v")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	close(release)
	h.next() // the first
	if c := h.next(); !c.All || len(c.Keys) != 0 {
		t.Errorf("one who missed 30,000 keys is told %d of them, all %t; want an All", len(c.Keys), c.All)
	}
	put(t, other, "last", "v")
	if got := h.upto("last"); !slices.Equal(got, []string{"last"}) {
		t.Errorf("after an All %q is told, want what came after it", got)
	}
}

func testFeedCloses(t *testing.T, e, _ db.Engine) {
	h := listen(t, e, nil)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-h.ended; err == nil {
		t.Error("the feed of an engine that was closed ends without an error")
	}
}
