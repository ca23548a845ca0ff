package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// budgetClock stands still until it is moved.
type budgetClock struct{ at time.Time }

func (c *budgetClock) now() time.Time { return c.at }

func newTestBudget(perMinute int) (*Budget, *budgetClock) {
	c := &budgetClock{time.Unix(1_000_000, 0)}
	return NewBudget(perMinute, c.now), c
}

// spend spends until it is refused, at most n times.
func spend(b *Budget, key string, n int) (passed int, wait time.Duration) {
	for ; passed < n; passed++ {
		if wait = b.Spend(key); wait > 0 {
			return passed, wait
		}
	}
	return passed, 0
}

func TestBudget(t *testing.T) {
	for _, perMinute := range []int{1, 7, 60, 600, 100_000} {
		b, clock := newTestBudget(perMinute)
		n, wait := spend(b, "ann", 2*perMinute)
		if n != perMinute || wait < time.Second || wait%time.Second != 0 || wait > time.Minute {
			t.Errorf("of %d a minute %d passed at once, then wait %v", perMinute, n, wait)
		}
		if n, _ := spend(b, "bob", 1); n != 1 {
			t.Errorf("of %d a minute: another's is spent too", perMinute)
		}
		clock.at = clock.at.Add(wait)
		if n, _ := spend(b, "ann", 1); n != 1 {
			t.Errorf("of %d a minute none passed after the wait of %v", perMinute, wait)
		}
		clock.at = clock.at.Add(time.Minute)
		if n, _ := spend(b, "ann", 2*perMinute); n != perMinute {
			t.Errorf("of %d a minute %d passed after a minute's rest", perMinute, n)
		}
	}
}

// Over any time no more passes than a burst and what the time gives.
func TestBudgetOverTime(t *testing.T) {
	b, clock := newTestBudget(600)
	passed := 0
	for range 10 * 60 * 10 { // ten minutes in tenths of a second
		n, _ := spend(b, "ann", 50)
		passed += n
		clock.at = clock.at.Add(100 * time.Millisecond)
	}
	if passed < 600*10 || passed > 600*11 {
		t.Errorf("%d passed in ten minutes, of 600 a minute and a burst of as many", passed)
	}
}

func TestBudgetNone(t *testing.T) {
	b, _ := newTestBudget(0)
	if n, _ := spend(b, "ann", 10_000); b != nil || n != 10_000 {
		t.Errorf("%d passed without a bound", n)
	}
	b.Count("ann")
	if e := b.Excess(); !e.At.IsZero() {
		t.Errorf("there is an excess without a bound: %+v", e)
	}
}

// A flood of keys is forgotten, and forgets nobody within a minute.
func TestBudgetMemory(t *testing.T) {
	b, clock := newTestBudget(10)
	b.limit = 100
	for i := range 1000 {
		b.Spend(fmt.Sprint("key", i))
		if len(b.full)+len(b.before) > 2*b.limit {
			t.Fatalf("%d keys are kept", len(b.full)+len(b.before))
		}
	}
	b.limit = budgetKeys
	clock.at = clock.at.Add(59 * time.Second)
	spend(b, "ann", 10)
	clock.at = clock.at.Add(time.Second) // the maps change places
	if n, _ := spend(b, "ann", 10); n > 1 {
		t.Errorf("a second after all was spent %d passed", n)
	}
	for range 3 {
		clock.at = clock.at.Add(time.Minute)
		b.Spend("bob")
	}
	if len(b.full)+len(b.before) > 2 {
		t.Errorf("%d keys are kept of those that rest", len(b.full)+len(b.before))
	}
}

// Who may go beyond is never refused, and told of only when far beyond.
func TestBudgetExcess(t *testing.T) {
	b, clock := newTestBudget(60)
	for range 600 {
		b.Count("root")
	}
	if e := b.Excess(); !e.At.IsZero() {
		t.Errorf("ten minutes' worth is told of: %+v", e)
	}
	b.Count("root")
	if e := b.Excess(); e.Key != "root" || !e.At.Equal(clock.at) {
		t.Errorf("the excess is %+v", e)
	}
	if n, _ := spend(b, "root", 600); n != 60 {
		t.Errorf("with a lesser credential %d passed", n)
	}
}

func TestBudgetAtOnce(t *testing.T) {
	b, _ := newTestBudget(600)
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				if b.Spend("ann") == 0 {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 600 {
		t.Errorf("%d passed of 8 at once, want 600", passed.Load())
	}
}

func BenchmarkBudget(b *testing.B) {
	budget := NewBudget(600, time.Now)
	for b.Loop() {
		budget.Spend("3a1f0c52-6c1e-4b7e-9d3c-3f0d6c1e4b7e")
	}
}
