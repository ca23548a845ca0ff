package upkeep

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
)

// signIns are those that the store's file has of the day.
func (r *running) signIns() uint64 {
	r.t.Helper()
	other, err := db.Open(context.Background(), r.Store.Engine(), db.Options{})
	must(r.t, err)
	all, err := other.Statistics(context.Background(), db.Daily, 1)
	must(r.t, err)
	return all[0].SignIns.OK
}

// What is counted is written once a minute at most, and where nothing is, nothing is
// written.
func TestCountsAreWrittenOnceAMinute(t *testing.T) {
	var counted atomic.Uint64
	var writes atomic.Int64
	hand := func(c *Config) {
		c.HandCounts = func() { c.Store.NoteCounts(db.Counts{SignIns: db.SignInCounts{OK: counted.Swap(0)}, Store: 4096}) }
	}
	runOver(t, func(e db.Engine) db.Engine { return countsEngine{e, &writes} }, hand, func(t *testing.T, r *running) {
		for range 10 * 60 {
			counted.Add(1)
			time.Sleep(time.Second)
		}
		if n := writes.Load(); n < 9 || n > 10 {
			t.Errorf("in ten minutes it was written %d times", n)
		}
		if n := r.signIns(); n < 9*60 {
			t.Errorf("%d are kept", n)
		}
		time.Sleep(2 * time.Minute)
		before := writes.Load()
		time.Sleep(7 * time.Minute)
		if n := writes.Load() - before; n != 0 {
			t.Errorf("where nothing was counted it was written %d times", n)
		}
	})
}

// countsEngine counts the updates that write what was counted.
type countsEngine struct {
	db.Engine
	n *atomic.Int64
}

// Located implements db.Locator.
func (e countsEngine) Located() error { return e.Engine.(db.Locator).Located() }

func (e countsEngine) Update(ctx context.Context, f func(db.Tx) error) error {
	wrote := false
	err := e.Engine.Update(ctx, func(tx db.Tx) error { return f(countsTx{tx, &wrote}) })
	if wrote {
		e.n.Add(1)
	}
	return err
}

type countsTx struct {
	db.Tx
	wrote *bool
}

func (t countsTx) Put(bucket string, key, value []byte) error {
	*t.wrote = *t.wrote || bucket == "statistics"
	return t.Tx.Put(bucket, key, value)
}

// What is counted just before the end is written with it.
func TestCountsAreWrittenAtTheEnd(t *testing.T) {
	run(t, func(*Config) {}, func(t *testing.T, r *running) {
		r.HandCounts = func() { r.Store.NoteCounts(db.Counts{SignIns: db.SignInCounts{OK: 7}}) }
		ctx, stop := context.WithCancel(t.Context())
		stop()
		r.repeat(ctx, r.jobNamed("write down what was counted"))
		if n := r.signIns(); n != 7 {
			t.Errorf("%d are kept", n)
		}
	})
}

func (r *running) jobNamed(name string) job {
	for _, j := range r.jobs() {
		if j.name == name {
			return j
		}
	}
	r.t.Fatalf("there is no job %q", name)
	return job{}
}

// Where the disk is full, what was counted waits for the next minute.
func TestCountsWaitForTheDisk(t *testing.T) {
	var full atomic.Bool
	wrap := func(e db.Engine) db.Engine { return fullEngine{e, &full} }
	runOver(t, wrap, func(*Config) {}, func(t *testing.T, r *running) {
		full.Store(true)
		r.Store.NoteCounts(db.Counts{SignIns: db.SignInCounts{OK: 5}})
		time.Sleep(5 * time.Minute)
		if n := r.signIns(); n != 0 {
			t.Errorf("%d are kept on a full disk", n)
		}
		full.Store(false)
		time.Sleep(2 * time.Minute)
		if n := r.signIns(); n != 5 {
			t.Errorf("%d are kept, want 5", n)
		}
	})
}

type fullEngine struct {
	db.Engine
	full *atomic.Bool
}

// Located implements db.Locator.
func (e fullEngine) Located() error { return e.Engine.(db.Locator).Located() }

func (e fullEngine) Update(ctx context.Context, f func(db.Tx) error) error {
	if e.full.Load() {
		return db.ErrFull
	}
	return e.Engine.Update(ctx, f)
}
