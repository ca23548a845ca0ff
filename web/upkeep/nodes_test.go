package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/web/logtest"
)

// oneOfMany is the engine of a node among several.
type oneOfMany struct {
	db.Engine
	leads  atomic.Bool
	panics atomic.Bool // when it is asked who leads
	feeds  atomic.Int64
	feed   func(ctx context.Context, hear func(db.Changes)) error
}

func (e *oneOfMany) over(below db.Engine) db.Engine {
	e.Engine = below
	return e
}

// Located implements db.Locator.
func (e *oneOfMany) Located() error { return e.Engine.(db.Locator).Located() }

// Leads implements db.Elector.
func (e *oneOfMany) Leads(context.Context) bool {
	if e.panics.Load() {
		panic("nobody can be asked")
	}
	return e.leads.Load()
}

// Feed implements db.Feeder.
func (e *oneOfMany) Feed(ctx context.Context, hear func(db.Changes)) error {
	e.feeds.Add(1)
	return e.feed(ctx, hear)
}

// What is done once for all nodes is done by the one that leads, from when it
// does; one that does not tells of no backup that is overdue.
func TestOneNodeWorksForAll(t *testing.T) {
	engine := &oneOfMany{feed: func(ctx context.Context, _ func(db.Changes)) error { <-ctx.Done(); return nil }}
	runOver(t, engine.over, func(c *Config) {
		c.SessionIdle = time.Hour
		c.Source = archive.Source{Store: c.Store, Open: openCopy, Dir: "/nonexistent"}
		c.Backups = Backups{Dir: t.TempDir(), Every: time.Hour, Keep: 2}
	}, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: "ann@example.com", Password: "hash"})
		must(t, err)
		ended := r.session(ann, time.Minute)
		time.Sleep(5 * time.Hour)
		if !r.there("session", ended) || r.BackupWarnings() != nil {
			t.Errorf("a node that does not lead removes what has ended, or warns of backups: %v", r.BackupWarnings())
		}
		engine.leads.Store(true)
		time.Sleep(2 * time.Minute)
		if r.there("session", ended) {
			t.Error("what has ended is there still, two minutes after the node began to lead")
		}
		if w := r.BackupWarnings(); len(w) != 1 {
			t.Errorf("no backup can be made here, and the warnings are %v", w)
		}
		engine.leads.Store(false)
		time.Sleep(2 * time.Minute)
		if w := r.BackupWarnings(); w != nil {
			t.Errorf("it leads no more, and warns: %v", w)
		}
	})
}

// A feed that broke is begun anew, and the log has it, and is not flooded.
func TestFeedIsBegunAnew(t *testing.T) {
	log := &logtest.Buffer{}
	engine := &oneOfMany{feed: func(context.Context, func(db.Changes)) error { return errors.New("the connection broke") }}
	runOver(t, engine.over, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) }, func(*testing.T, *running) {
		time.Sleep(3500 * time.Millisecond)
		if n, told := engine.feeds.Load(), log.Count("the connection broke"); n != 4 || told != 1 {
			t.Errorf("it was begun %d times, and the log tells %d times why not", n, told)
		}
		time.Sleep(3 * time.Minute)
		if told := log.Count("the connection broke"); told != 4 {
			t.Errorf("the log tells %d times in three minutes that it is broken", told)
		}
	})
}

// alone is an engine that no other process has beside this one.
type alone struct {
	db.Engine
	feeds atomic.Int64
}

// Feed implements db.Feeder.
func (e *alone) Feed(ctx context.Context, _ func(db.Changes)) error {
	e.feeds.Add(1)
	<-ctx.Done()
	return nil
}

// Where there is no other node, nobody listens: what is heard costs each commit.
func TestNodeAloneFollowsNobody(t *testing.T) {
	engine := &alone{}
	over := func(below db.Engine) db.Engine { engine.Engine = below; return engine }
	runOver(t, over, func(*Config) {}, func(t *testing.T, _ *running) {
		time.Sleep(5 * time.Minute)
		if n := engine.feeds.Load(); n != 0 {
			t.Errorf("it listened %d times", n)
		}
	})
}

// Who can't be asked once who leads is asked again: a panic there ends no job.
func TestPanicOfAnElectionEndsNoJob(t *testing.T) {
	engine := &oneOfMany{feed: func(ctx context.Context, _ func(db.Changes)) error { <-ctx.Done(); return nil }}
	engine.leads.Store(true)
	runOver(t, engine.over, func(*Config) {}, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: "ann@example.com", Password: "hash"})
		must(t, err)
		engine.panics.Store(true)
		time.Sleep(90 * time.Second)
		engine.panics.Store(false)
		ended := r.session(ann, time.Second)
		time.Sleep(2 * time.Minute)
		if r.there("session", ended) {
			t.Error("what has ended is not removed any more")
		}
	})
}
