package db_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// counted are some of everything.
func counted() db.Counts {
	return db.Counts{
		SignIns:  db.SignInCounts{OK: 1, Refused: 2, Throttled: 3},
		Requests: db.RequestCounts{Session: 4, Token: 5, None: 6, Refused: 7},
		Gate:     map[string]db.GateCounts{"app.example.com": {Allowed: 8, Refused: 9, SignIn: 10}, "": {Refused: 11}},
		Store:    4096,
	}
}

// times is what n times counted comes to.
func times(n uint64) db.Counts {
	return db.Counts{
		SignIns:  db.SignInCounts{OK: n, Refused: 2 * n, Throttled: 3 * n},
		Requests: db.RequestCounts{Session: 4 * n, Token: 5 * n, None: 6 * n, Refused: 7 * n},
		Gate:     map[string]db.GateCounts{"app.example.com": {Allowed: 8 * n, Refused: 9 * n, SignIn: 10 * n}, "": {Refused: 11 * n}},
		Store:    4096,
	}
}

func same(a, b db.Counts) bool {
	gates := maps.Equal(a.Gate, b.Gate)
	a.Gate, b.Gate = nil, nil
	return gates && fmt.Sprint(a) == fmt.Sprint(b)
}

// last is what was counted in the period that runs.
func last(t *testing.T, s *db.Store, p *db.Period) db.Counts {
	t.Helper()
	all, err := s.Statistics(t.Context(), p, 2)
	must(t, err)
	return all[1].Counts
}

// rerun runs each function twice, of which the first one comes to nothing.
type rerun struct{ db.Engine }

func (e rerun) Update(ctx context.Context, f func(db.Tx) error) error {
	conflict := errors.New("conflict")
	if err := e.Engine.Update(ctx, func(tx db.Tx) error { return errors.Join(f(tx), conflict) }); err != nil && !errors.Is(err, conflict) {
		return err
	}
	return e.Engine.Update(ctx, f)
}

// What several servers counted adds up, by the hour and by the day, also where the
// function of an update runs again, and is there after a restart.
func TestCountsAddUp(t *testing.T) {
	f := newStore(t)
	other, err := db.Open(f.ctx, rerun{f.engine}, db.Options{Now: f.now})
	must(t, err)
	for _, s := range []*db.Store{f.Store, other, f.Store, other} {
		s.NoteCounts(counted())
		must(t, s.FlushCounts(f.ctx))
	}
	f.NoteCounts(counted())
	for name, c := range map[string]struct {
		store *db.Store
		want  uint64
	}{"with what waits": {f.Store, 5}, "after a restart": {f.reopened(), 4}} {
		for _, p := range []*db.Period{db.Hourly, db.Daily} {
			if got := last(t, c.store, p); !same(got, times(c.want)) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	must(t, f.FlushCounts(f.ctx))
	f.advance(time.Hour)
	f.NoteCounts(counted())
	if hour, day := last(t, f.Store, db.Hourly), last(t, f.Store, db.Daily); !same(hour, times(1)) || !same(day, times(6)) {
		t.Errorf("in the next hour: %+v, and in the day %+v", hour, day)
	}
}

// Each point of a span is there, and where nothing was counted all is zero, but for
// the size of the store, which stays.
func TestStatisticsAreZeroFilled(t *testing.T) {
	f := newStore(t)
	f.NoteCounts(counted())
	must(t, f.FlushCounts(f.ctx))
	f.advance(3*24*time.Hour + time.Hour)
	all, err := f.Statistics(f.ctx, db.Daily, 5)
	must(t, err)
	for i, c := range all {
		want := db.Counts{Store: 4096}
		switch i {
		case 0:
			want.Store = 0
		case 1:
			want = times(1)
		}
		if begin := time.Date(2040, 5, 5+i, 0, 0, 0, 0, time.UTC); !c.Begin.Equal(begin) || !same(c.Counts, want) {
			t.Errorf("point %d is %+v", i, c)
		}
	}
}

// Nothing is written where nothing was counted: a size alone is no reason.
func TestNothingCountedWritesNothing(t *testing.T) {
	f := newStore(t)
	before := f.Stats().Engine.Commits
	f.NoteCounts(db.Counts{Store: 5})
	must(t, f.FlushCounts(f.ctx))
	if n := f.Stats().Engine.Commits - before; n != 0 {
		t.Errorf("%d commits", n)
	}
}

// What is older than 48 hours or 400 days goes with the next write.
func TestOldCountsGo(t *testing.T) {
	f := newStore(t)
	f.raw(func(tx db.Tx) error {
		for i := range 500 {
			for _, key := range []string{f.now().Add(-time.Duration(i) * time.Hour).Format("h2006-01-02T15"), f.now().AddDate(0, 0, -i).Format("d2006-01-02")} {
				if err := tx.Put("statistics", []byte(key), db.Seal("statistics", []byte(key), []byte(`{"sign_ins":{"ok":1}}`))); err != nil {
					return err
				}
			}
		}
		return tx.Put("statistics", []byte("h2039-01-01T00"), []byte("damaged, and old"))
	})
	for range 10 {
		f.NoteCounts(counted())
		must(t, f.FlushCounts(f.ctx))
	}
	if keys := f.keys("statistics"); len(keys) != 400+48 || keys[0] != f.now().AddDate(0, 0, -399).Format("d2006-01-02") || keys[400] != f.now().Add(-47*time.Hour).Format("h2006-01-02T15") {
		t.Errorf("%d are left, from %q", len(keys), keys[0])
	}
}

// A clock that is ahead for a moment has nothing dropped, and what was counted by it
// goes when the clock is right.
func TestCountsOfAClockAhead(t *testing.T) {
	f := newTimedStore(t)
	count := func() {
		f.NoteCounts(counted())
		must(t, f.FlushCounts(context.Background()))
	}
	f.write() // the mark of time
	count()
	before := f.dump("statistics")
	f.clock.step(2 * 365 * 24 * time.Hour)
	count()
	if now := f.dump("statistics"); len(now) != len(before)+2 {
		t.Errorf("with a clock that is ahead there are %q, and there were %q", now, before)
	}
	f.clock.step(-2 * 365 * 24 * time.Hour)
	count()
	if now := f.dump("statistics"); !slices.Equal(now, before) || !same(last(t, f.Store, db.Hourly), times(2)) {
		t.Errorf("then there are %q", now)
	}
}

func (f *timedStore) dump(bucket string) (keys []string) {
	f.t.Helper()
	must(f.t, f.Engine().View(context.Background(), func(tx db.Tx) error {
		return tx.Scan(bucket, nil, nil, false, func(k, _ []byte) bool { keys = append(keys, string(k)); return true })
	}))
	return keys
}

// A damaged record stops nothing: its numbers begin anew, and a check tells of it.
func TestDamagedCountsBeginAnew(t *testing.T) {
	for name, damaged := range map[string][]byte{
		"a flipped bit": []byte("\x01damaged, and long enough"),
		"no JSON":       db.Seal("statistics", []byte("d2040-05-06"), []byte("x")),
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			f.NoteCounts(counted())
			must(t, f.FlushCounts(f.ctx))
			f.raw(func(tx db.Tx) error { return tx.Put("statistics", []byte("d2040-05-06"), damaged) })
			if faults := strings.Join(f.check(), " "); !strings.Contains(faults, `"d2040-05-06" in bucket "statistics"`) {
				t.Errorf("check reports %q", faults)
			}
			if got := last(t, f.Store, db.Daily); !same(got, db.Counts{}) {
				t.Errorf("damaged, it is %+v", got)
			}
			f.NoteCounts(counted())
			must(t, f.FlushCounts(f.ctx))
			if day, hour := last(t, f.Store, db.Daily), last(t, f.Store, db.Hourly); !same(day, times(1)) || !same(hour, times(2)) {
				t.Errorf("then the day is %+v and the hour %+v", day, hour)
			}
		})
	}
}

// A check tells of what is no record of counts, as of any that is damaged.
func TestCheckOfCounts(t *testing.T) {
	f := newStore(t)
	f.broken = true
	must(t, f.PutRaw(f.ctx, "statistics", []byte("x"), []byte("{}")))
	if faults := f.check(); len(faults) != 1 {
		t.Errorf("check reports %q", faults)
	}
}

// refusing is an engine whose updates fail.
type refusing struct {
	db.Engine
	err *error
}

func (e refusing) Update(ctx context.Context, f func(db.Tx) error) error {
	if *e.err == nil {
		return e.Engine.Update(ctx, f)
	}
	return *e.err
}

// While nothing can be written, counts wait in memory, no more than are kept; of what
// may have been written nothing is written again.
func TestCountsWaitInMemory(t *testing.T) {
	f := newStore(t)
	fault := error(db.ErrFull)
	s, err := db.Open(f.ctx, refusing{f.engine, &fault}, db.Options{Now: f.now})
	must(t, err)
	never := f.reopened() // of a server that is never told to write
	for range 500 {
		never.NoteCounts(counted())
		s.NoteCounts(counted())
		if err := s.FlushCounts(f.ctx); !errors.Is(err, db.ErrFull) {
			t.Fatal(err)
		}
		f.advance(24 * time.Hour)
	}
	if n, unasked := s.CountsNoted(), never.CountsNoted(); n != 400+48 || unasked != n {
		t.Errorf("%d records wait, and %d of what is never written", n, unasked)
	}
	f.advance(-24 * time.Hour)
	s.NoteCounts(counted())
	fault = nil
	must(t, s.FlushCounts(f.ctx))
	if got := last(t, s, db.Daily); !same(got, times(2)) {
		t.Errorf("on the last day: %+v", got)
	}
	fault = db.ErrUnknown
	s.NoteCounts(counted())
	if err := s.FlushCounts(f.ctx); !errors.Is(err, db.ErrUnknown) || s.CountsNoted() != 0 {
		t.Errorf("%v, and %d records wait", err, s.CountsNoted())
	}
}

// However many hosts come and go in a day, one record has no more than its bound.
func TestGateHostsAreBounded(t *testing.T) {
	f := newStore(t)
	for i := range 3 * db.MaxGateHosts {
		f.NoteCounts(db.Counts{Gate: map[string]db.GateCounts{fmt.Sprint("app", i): {Allowed: 1}}})
		must(t, f.FlushCounts(f.ctx))
	}
	got := last(t, f.Store, db.Daily).Gate
	if len(got) != db.MaxGateHosts+1 || got[""].Allowed != 2*db.MaxGateHosts {
		t.Errorf("%d hosts, and %+v of all others", len(got), got[""])
	}
}

// A repair takes counts over.
func TestRepairKeepsCounts(t *testing.T) {
	f := newStore(t)
	f.NoteCounts(counted())
	must(t, f.FlushCounts(f.ctx))
	r, _, s := f.repaired()
	kept := 0
	must(t, s.Engine().View(f.ctx, func(tx db.Tx) error {
		return tx.Scan("statistics", nil, nil, false, func(_, _ []byte) bool { kept++; return true })
	}))
	if !r.Sound() || kept != 2 {
		t.Errorf("%+v, and %d are there", r, kept)
	}
}
