package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// awaited is what a call to Await comes to.
type awaited struct {
	done    bool
	attempt *Attempt
	wait    time.Duration
	err     error
}

func await(ctx context.Context, l *Limiter, account, address string) *awaited {
	r := &awaited{}
	go func() {
		r.attempt, r.wait, r.err = l.Await(ctx, account, address, false)
		r.done = true
	}()
	synctest.Wait()
	return r
}

// Sign-ins that are under way keep others waiting, and only what comes of them
// refuses these.
func TestAwait(t *testing.T) {
	for name, c := range map[string]struct {
		decide func(*Attempt)
		passes bool
	}{
		"right":     {(*Attempt).Success, true},
		"cancelled": {(*Attempt).Cancel, true},
		"wrong":     {(*Attempt).End, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := newTest(t, nil)
				under := []*Attempt{fail(t, l, "ann", "", false), fail(t, l, "ann", "", false), fail(t, l, "ann", "", false)}
				refused(t, l, "ann", "", false, 10*time.Second)
				r := await(t.Context(), l, "ann", "")
				if r.done {
					t.Fatal("it did not wait")
				}
				for _, a := range under {
					c.decide(a)
					a.End() // counts no more
				}
				synctest.Wait()
				if !r.done || (r.attempt != nil) != c.passes || r.err != nil || (r.wait == 10*time.Second) == c.passes {
					t.Errorf("%+v", r)
				}
				r.attempt.End()
			})
		})
	}
}

// What was decided already is reason enough.
func TestAwaitRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ck := newTest(t, nil)
		for range 3 {
			fail(t, l, "ann", "192.0.2.1", false).End()
		}
		if r := await(t.Context(), l, "ann", ""); !r.done || r.attempt != nil || r.wait != 10*time.Second {
			t.Errorf("%+v", r)
		}
		// The one attempt at the end of a delay keeps the others out at once.
		ck.advance(10 * time.Second)
		fail(t, l, "ann", "", false)
		if r := await(t.Context(), l, "ann", ""); !r.done || r.attempt != nil || r.wait != 20*time.Second {
			t.Errorf("%+v", r)
		}
		// So does an address, whatever is under way for the account.
		for _, other := range []string{"bob", "carol"} {
			fail(t, l, other, "192.0.2.1", false).End()
		}
		for range 3 {
			fail(t, l, "dave", "192.0.2.2", false)
		}
		if r := await(t.Context(), l, "dave", "192.0.2.1"); !r.done || r.attempt != nil {
			t.Errorf("%+v", r)
		}
	})
}

// Nobody waits for ever, and not too many do.
func TestAwaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newTest(t, nil)
		for range 3 {
			fail(t, l, "ann", "", false)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all []*awaited
		for range maxWaiting {
			all = append(all, await(ctx, l, "ann", ""))
		}
		if r := await(ctx, l, "ann", ""); !r.done || !errors.Is(r.err, ErrCrowded) {
			t.Errorf("one too many: %+v", r)
		}
		time.Sleep(time.Second) // of the bubble's own clock
		synctest.Wait()
		for _, r := range all {
			if !r.done || !errors.Is(r.err, context.DeadlineExceeded) {
				t.Fatalf("%+v", r)
			}
		}
		if len(l.waiting) != 0 {
			t.Errorf("%d wait", len(l.waiting))
		}
		// Clear lets those in who wait.
		r := await(t.Context(), l, "ann", "")
		l.Clear("ann")
		synctest.Wait()
		if !r.done || r.attempt == nil {
			t.Errorf("%+v", r)
		}
	})
}

// Of wrong tries at once none beyond the allowed ones is let through, whatever
// others do not come to an end: for an account, and for an address over all
// accounts.
func TestAwaitLetsNoMoreWrongOnesThrough(t *testing.T) {
	for name, c := range map[string]struct {
		who  func(i int) (account, address string)
		want int64
	}{
		"an account":  {func(i int) (string, string) { return "ann", fmt.Sprint("10.0.0.", i) }, 3},
		"an address":  {func(i int) (string, string) { return fmt.Sprint("user", i), "192.0.2.1" }, 5},
		"both at one": {func(i int) (string, string) { return fmt.Sprint("user", i%4), "192.0.2.1" }, 5},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newTest(t, nil)
			var wrong atomic.Int64
			var all sync.WaitGroup
			for i := range 60 {
				account, address := c.who(i)
				all.Go(func() {
					for try := 0; ; try++ {
						a, _, err := l.Await(t.Context(), account, address, false)
						if err != nil {
							t.Error(err)
						}
						if a == nil {
							return
						}
						runtime.Gosched()
						if (i+try)%3 == 0 {
							a.Cancel()
						} else {
							wrong.Add(1)
							a.End()
						}
					}
				})
			}
			all.Wait()
			if n := wrong.Load(); n != c.want {
				t.Errorf("%d wrong tries were looked at, want %d", n, c.want)
			}
		})
	}
}
