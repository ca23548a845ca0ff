package db_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"husk/db"
)

// requests are how many were made with a token on each day that has any, by how many
// days ago.
func requests(t *testing.T, s *db.Store, id string) map[int]uint64 {
	t.Helper()
	_, days, err := s.TokenRequests(t.Context(), id)
	must(t, err)
	found := map[int]uint64{}
	for i, n := range days {
		if n > 0 {
			found[db.RequestDays-1-i] = n
		}
	}
	return found
}

func (f *fixture) wantRequests(id string, want map[int]uint64) {
	f.t.Helper()
	for name, s := range map[string]*db.Store{"": f.Store, " after a restart": f.reopened()} {
		if got := requests(f.t.(*testing.T), s, id); fmt.Sprint(got) != fmt.Sprint(want) {
			f.t.Errorf("requests by days ago%s: %v, want %v", name, got, want)
		}
	}
}

func (f *fixture) use(id string, n uint32) {
	f.NoteTokenUse(id, "192.0.2.1", false)
	f.NoteTokenRequests(id, "192.0.2.1", f.Now(), n)
}

// The requests of a token are kept by day, for thirty days, in the record of its last
// use: no other is written.
func TestTokenRequestsByDay(t *testing.T) {
	f := newStore(t)
	k := f.mint(local, db.NewToken{})
	f.use(k.ID, 3)
	f.use(k.ID, 4)
	if got := requests(t, f.Store, k.ID); got[0] != 7 {
		t.Errorf("before they are written: %v", got)
	}
	must(t, f.FlushLastUsed(f.ctx))
	f.wantRequests(k.ID, map[int]uint64{0: 7})
	f.advance(2 * 24 * time.Hour)
	f.use(k.ID, 1)
	f.advance(24 * time.Hour) // noted on one day, written on another one
	f.NoteTokenUse(k.ID, "192.0.2.2", false)
	f.NoteTokenRequests(k.ID, "192.0.2.2", f.Now(), 5)
	commits := f.Stats().Engine.Commits
	must(t, f.FlushLastUsed(f.ctx))
	if n := f.Stats().Engine.Commits - commits; n != 1 {
		t.Errorf("%d commits", n)
	}
	f.wantRequests(k.ID, map[int]uint64{0: 5, 1: 1, 3: 7})
	if u, err := f.TokenLastUsed(f.ctx, k.ID); err != nil || u.Address != "192.0.2.2" || len(u.Seen) != 2 {
		t.Errorf("the last use is %+v, %v", u, err)
	}
	f.advance(27 * 24 * time.Hour)
	f.wantRequests(k.ID, map[int]uint64{27: 5, 28: 1})
	f.use(k.ID, 2)
	must(t, f.FlushLastUsed(f.ctx))
	f.wantRequests(k.ID, map[int]uint64{0: 2, 27: 5, 28: 1})
	if u, err := f.TokenLastUsed(f.ctx, k.ID); err != nil || len(u.Requests) > db.RequestDays {
		t.Errorf("%d days are kept, %v", len(u.Requests), err)
	}
	f.advance(100 * 24 * time.Hour)
	f.use(k.ID, 2)
	must(t, f.FlushLastUsed(f.ctx))
	f.wantRequests(k.ID, map[int]uint64{0: 2})

	must(t, f.DeleteToken(f.ctx, local, k.ID))
	if keys := f.keys("token.use"); len(keys) != 0 {
		t.Errorf("after the token is gone: %q", keys)
	}
	f.use(k.ID, 2)
	must(t, f.FlushLastUsed(f.ctx))
	if keys := f.keys("token.use"); len(keys) != 0 {
		t.Errorf("after it was used when it was gone: %q", keys)
	}
}

// Another server over the store counts the same token: both numbers add up, also
// those of the day before, and where the function of an update runs again.
func TestTokenRequestsOfSeveralServers(t *testing.T) {
	f := newStore(t)
	k := f.mint(local, db.NewToken{})
	other, err := db.Open(f.ctx, rerun{f.engine}, db.Options{Now: f.now})
	must(t, err)
	other.NoteTokenRequests(k.ID, "192.0.2.9", f.now(), 10)
	f.advance(24 * time.Hour)
	f.use(k.ID, 1)
	must(t, f.FlushLastUsed(f.ctx))
	must(t, other.FlushLastUsed(f.ctx))
	f.wantRequests(k.ID, map[int]uint64{0: 1, 1: 10})
}

// What could not be written is counted once, with what came meanwhile; of what may
// have been written nothing is counted again.
func TestTokenRequestsThatWait(t *testing.T) {
	f := newStore(t)
	k := f.mint(local, db.NewToken{})
	fault := error(db.ErrFull)
	s, err := db.Open(f.ctx, refusing{f.engine, &fault}, db.Options{Now: f.now})
	must(t, err)
	for range 2 * db.RequestDays {
		s.NoteTokenRequests(k.ID, "192.0.2.1", s.Now(), 2)
		if err := s.FlushLastUsed(f.ctx); err == nil {
			t.Fatal("it was written")
		}
		f.advance(12 * time.Hour)
	}
	fault = db.ErrUnknown
	s.NoteTokenRequests(k.ID, "192.0.2.1", s.Now(), 5)
	if err := s.FlushLastUsed(f.ctx); err == nil {
		t.Fatal("it was written")
	}
	fault = nil
	s.NoteTokenRequests(k.ID, "192.0.2.1", s.Now(), 7)
	must(t, s.FlushLastUsed(f.ctx))
	if u, err := s.TokenLastUsed(f.ctx, k.ID); err != nil || !slices.Equal(u.Requests, []uint64{7}) {
		t.Errorf("%+v, %v", u, err)
	}
}

// A program that knows no requests reads the record and writes it without them, and
// then they begin anew.
func TestTokenRequestsOfOlderPrograms(t *testing.T) {
	f := newStore(t)
	k := f.mint(local, db.NewToken{})
	f.use(k.ID, 3)
	must(t, f.FlushLastUsed(f.ctx))
	u, err := f.TokenLastUsed(f.ctx, k.ID)
	must(t, err)
	older := map[string]any{"time": u.Time, "address": u.Address, "seen": u.Seen}
	value, err := json.Marshal(older)
	must(t, err)
	must(t, f.PutRaw(f.ctx, "token.use", []byte(k.ID), value))
	f.wantRequests(k.ID, map[int]uint64{})
	f.use(k.ID, 4)
	must(t, f.FlushLastUsed(f.ctx))
	f.wantRequests(k.ID, map[int]uint64{0: 4})
	for _, odd := range []string{`"day":"never","requests":[1]`, `"day":"2040-05-06"`, `"day":"9999-01-01","requests":[9]`, `"day":"2040-06-20","requests":[9]`, `"requests":[9]`} {
		must(t, f.PutRaw(f.ctx, "token.use", []byte(k.ID), []byte(`{"time":"2040-05-06T07:08:09Z","address":"192.0.2.1","seen":["192.0.2.1"],`+odd+`}`)))
		f.use(k.ID, 4)
		must(t, f.FlushLastUsed(f.ctx))
		f.wantRequests(k.ID, map[int]uint64{0: 4})
	}
}

// Where the record is damaged, the numbers begin anew.
func TestTokenRequestsOfADamagedRecord(t *testing.T) {
	f := newStore(t)
	k := f.mint(local, db.NewToken{})
	f.use(k.ID, 3)
	must(t, f.FlushLastUsed(f.ctx))
	f.raw(func(tx db.Tx) error { return tx.Put("token.use", []byte(k.ID), []byte("\x01damaged, and long enough")) })
	f.wantRequests(k.ID, map[int]uint64{})
	f.use(k.ID, 4)
	must(t, f.FlushLastUsed(f.ctx))
	f.wantRequests(k.ID, map[int]uint64{0: 4})
}

// A clock that is ahead for a moment does not push out what was counted.
func TestTokenRequestsOfAClockAhead(t *testing.T) {
	for _, jump := range []time.Duration{3 * 24 * time.Hour, 2 * 365 * 24 * time.Hour} {
		f := newTimedStore(t)
		f.write() // the mark of time
		k, err := f.CreateToken(t.Context(), local, db.NewToken{ID: "0d3b1b52-37ad-4a05-8a0c-3d9b8e3c0001", Hash: make([]byte, 32)})
		must(t, err)
		use := func(n uint32) {
			f.NoteTokenUse(k.ID, "192.0.2.1", false)
			f.NoteTokenRequests(k.ID, "192.0.2.1", f.Now(), n)
			must(t, f.FlushLastUsed(t.Context()))
		}
		use(3)
		f.clock.step(jump)
		use(4)
		f.clock.step(-jump)
		use(5)
		if got := requests(t, f.Store, k.ID); got[0] != 8 || len(got) != 1 {
			t.Errorf("after a jump of %v: %v", jump, got)
		}
	}
}
