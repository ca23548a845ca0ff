package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
)

var statsActor = &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}

// openStatsStore opens a new store that has to be whole at the end.
func openStatsStore(t *testing.T, wrap func(db.Engine) db.Engine) *db.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	var engine db.Engine
	engine, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		engine = wrap(engine)
	}
	now := time.Now().Add(time.Hour)
	store, err := db.Open(t.Context(), engine, db.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := store.Check(context.Background(), func(err error) { t.Errorf("check: %v", err) }); err != nil {
			t.Errorf("check: %v", err)
		}
		store.Close()
	})
	return store
}

func addToken(t *testing.T, s *db.Store, n int, expires int64) {
	t.Helper()
	_, err := s.CreateToken(t.Context(), statsActor, db.NewToken{
		ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Hash: make([]byte, 32), Name: fmt.Sprint("token ", n), Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExpiringTokens(t *testing.T) {
	s := openStatsStore(t, nil)
	now := s.Now().Unix()
	const within = 100 * time.Second
	for n, expires := range []int64{now + 101, now + 100, db.Never, now + 50, now + 1, now + 10_000, 0} {
		addToken(t, s, n, expires)
	}
	got, err := s.ExpiringTokens(t.Context(), within)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range got.First {
		names = append(names, k.Name)
	}
	if want := []string{"token 4", "token 3", "token 1"}; got.Count != 3 || !slices.Equal(names, want) {
		t.Errorf("%d, %q, want %q", got.Count, names, want)
	}
}

// What has expired is no longer about to.
func TestExpiredTokensAreNotExpiring(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	engine, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	s, err := db.Open(t.Context(), engine, db.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Check(context.Background(), func(err error) { t.Errorf("check: %v", err) }); err != nil {
			t.Errorf("check: %v", err)
		}
		s.Close()
	})
	addToken(t, s, 1, now.Unix()+10)
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {9 * time.Second, 1}, {time.Second, 0}, {time.Second, 0}} {
		now = now.Add(step.pass)
		if got, err := s.ExpiringTokens(t.Context(), time.Hour); err != nil || got.Count != step.want {
			t.Errorf("at %v there are %d, want %d (%v)", now, got.Count, step.want, err)
		}
	}
}

func TestExpiringTokensNamesAFew(t *testing.T) {
	s := openStatsStore(t, nil)
	for n := range 12 {
		addToken(t, s, n, s.Now().Unix()+int64(n)+1)
	}
	got, err := s.ExpiringTokens(t.Context(), time.Hour)
	if err != nil || got.Count != 12 || len(got.First) != 5 {
		t.Errorf("%d, %d named (%v)", got.Count, len(got.First), err)
	}
}

func TestCacheStats(t *testing.T) {
	s := openStatsStore(t, nil)
	addToken(t, s, 1, 0)
	for range 4 {
		if _, err := s.Token(t.Context(), "00000000-0000-4000-8000-000000000001"); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats().Caches["token"]; got != (db.CacheStats{Hits: 3, Misses: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestProveWrite(t *testing.T) {
	s := openStatsStore(t, nil)
	before := s.Stats()
	seq, _, err := s.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.ProveWrite(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after := s.Stats()
	if n := after.Engine.Commits - before.Engine.Commits; n != 3 {
		t.Errorf("%d commits", n)
	}
	if now, _, err := s.AuditHead(t.Context()); err != nil || now != seq {
		t.Errorf("the audit log grew from %d to %d (%v)", seq, now, err)
	}
	if u := after.Updates; u.Count-before.Updates.Count != 3 || u.Sum <= before.Updates.Sum {
		t.Errorf("%+v became %+v", before.Updates, u)
	}
	var last uint64
	for _, bound := range []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5} {
		n, ok := after.Updates.Buckets[bound]
		if !ok || n < last || n > after.Updates.Count {
			t.Errorf("%d in %v s, of %d", n, bound, after.Updates.Count)
		}
		last = n
	}
}

// failing is an engine without figures that fails at will.
type failing struct {
	db.Engine
	err error
}

func (f *failing) Update(ctx context.Context, g func(db.Tx) error) error {
	if f.err != nil {
		return f.err
	}
	return f.Engine.Update(ctx, g)
}

func (f *failing) View(ctx context.Context, g func(db.Tx) error) error {
	if errors.Is(f.err, db.ErrDamaged) {
		return f.err
	}
	return f.Engine.View(ctx, g)
}

func TestFailuresAreCounted(t *testing.T) {
	e := &failing{}
	s := openStatsStore(t, func(inner db.Engine) db.Engine { e.Engine = inner; return e })
	for _, step := range []struct {
		err           error
		full, damaged uint64
	}{
		{&db.Error{Kind: db.ErrFull}, 1, 0},
		{&db.Error{Kind: db.ErrConflict}, 1, 0},
		{fmt.Errorf("wrapped: %w", db.ErrDamaged), 1, 1},
		{nil, 1, 1},
	} {
		e.err = step.err
		if err := s.ProveWrite(t.Context()); (err == nil) != (step.err == nil) {
			t.Errorf("ProveWrite = %v", err)
		}
		if got := s.Stats(); got.Full != step.full || got.Damaged != step.damaged || got.Engine != (db.EngineStats{}) {
			t.Errorf("after %v: %+v", step.err, got)
		}
	}
	e.err = db.ErrDamaged
	if _, err := s.Schema(t.Context()); err == nil || s.Stats().Damaged != 2 {
		t.Errorf("a read that met damage: %v, %+v", err, s.Stats())
	}
	e.err = nil
}
