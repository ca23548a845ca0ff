package db_test

import (
	"context"
	"testing"
	"time"

	"husk/db"
)

// bounded is an engine that notes how much its largest transaction removed.
type bounded struct {
	db.Engine
	largest, commits int
}

type boundedTx struct {
	db.Tx
	deletes map[string]int
}

func (t *boundedTx) Delete(bucket string, key []byte) error {
	t.deletes[bucket]++
	return t.Tx.Delete(bucket, key)
}

func (b *bounded) Update(ctx context.Context, f func(db.Tx) error) error {
	var t *boundedTx
	err := b.Engine.Update(ctx, func(tx db.Tx) error {
		t = &boundedTx{tx, map[string]int{}}
		return f(t)
	})
	b.commits++
	for _, bucket := range []string{"session", "token", "audit"} {
		b.largest = max(b.largest, t.deletes[bucket])
	}
	return err
}

// Nobody who writes waits for more than a small step of what is removed in the
// background.
func TestWhatIsRemovedIsRemovedInSmallSteps(t *testing.T) {
	ctx := context.Background()
	const step = 200 // sweepStep
	f := newTimedStore(t)
	ann := f.user("ann@example.com")
	for range 500 {
		f.session(ann, time.Hour)
	}
	engine := &bounded{Engine: f.Engine()}
	s, err := db.Open(ctx, engine, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(t, err)
	f.clock.pass(2 * time.Hour)
	if n, err := s.Sweep(ctx); err != nil || n != 500 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if engine.largest > step || engine.largest == 0 || engine.commits < 3 {
		t.Errorf("%d sessions were removed at once, in %d commits", engine.largest, engine.commits)
	}

	f.unlocks(600)
	engine.largest, engine.commits = 0, 0
	n, err := s.PruneAudit(ctx, db.Retention{Changes: 100})
	if must(t, err); n < 400 {
		t.Fatalf("pruned %d of 600 audit entries", n)
	}
	if engine.largest > step || engine.largest == 0 || engine.commits < 2 {
		t.Errorf("%d audit entries were removed at once, in %d commits", engine.largest, engine.commits)
	}
}

func TestWorthCompacting(t *testing.T) {
	const mib = 256 // pages
	for _, c := range []struct {
		name                string
		size, free, pending int
		want                bool
	}{
		{"new", 1, 0, 0, false},
		{"small, all but empty", 20, 19, 0, false},
		{"half, and enough", 64, 32, 0, true},
		{"some of it waits for readers", 64, 16, 16, true},
		{"less than half", 65, 32, 0, false},
		{"much, and less than half", 1000, 499, 0, false},
	} {
		s := db.EngineStats{Size: int64(c.size) << 20, PageSize: 4096, FreePages: c.free * mib, PendingPages: c.pending * mib}
		if s.WorthCompacting() != c.want {
			t.Errorf("%s: %t", c.name, !c.want)
		}
		if want := int64(c.free+c.pending) << 20; s.FreeBytes() != want {
			t.Errorf("%s: %d bytes are free, want %d", c.name, s.FreeBytes(), want)
		}
	}
}
