package db_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
)

// testClock is a clock whose wall and monotonic halves are moved apart.
type testClock struct{ wall, mono atomic.Int64 }

func newTestClock() *testClock {
	c := &testClock{}
	c.wall.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *testClock) now() time.Time           { return time.Unix(0, c.wall.Load()).UTC() }
func (c *testClock) monotonic() time.Duration { return time.Duration(c.mono.Load()) }

// pass lets time go by on both halves.
func (c *testClock) pass(d time.Duration) {
	c.wall.Add(int64(d))
	c.mono.Add(int64(d))
}

// step moves the wall clock alone, as a wrong time server does.
func (c *testClock) step(d time.Duration) { c.wall.Add(int64(d)) }

// timedStore is a store over a file that can be opened again, with a clock
// whose halves are moved apart.
type timedStore struct {
	*db.Store
	t     testing.TB
	path  string
	clock *testClock
}

func newTimedStore(t testing.TB) *timedStore {
	t.Helper()
	f := &timedStore{t: t, path: filepath.Join(t.TempDir(), "husk.db"), clock: newTestClock()}
	if err := bolt.Create(f.path, db.Init); err != nil {
		t.Fatal(err)
	}
	f.open()
	t.Cleanup(func() {
		if _, err := f.Check(context.Background(), func(err error) { t.Errorf("after the test: %v", err) }); err != nil {
			t.Errorf("after the test: %v", err)
		}
		f.Close()
	})
	return f
}

func (f *timedStore) open() {
	f.t.Helper()
	engine, err := bolt.Open(f.path, bolt.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	if f.Store, err = db.Open(context.Background(), engine, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic}); err != nil {
		f.t.Fatal(err)
	}
}

// reopen closes the store and opens it again, as a restart does.
func (f *timedStore) reopen() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

// user makes a user who can sign in.
func (f *timedStore) user(email string, roles ...string) *db.User {
	f.t.Helper()
	u, err := f.CreateUser(context.Background(), local, db.NewUser{Email: email, Roles: roles, Password: "hash"})
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

// session signs a user in.
func (f *timedStore) session(u *db.User, ttl time.Duration) *db.Session {
	f.t.Helper()
	s, _, err := f.CreateSession(context.Background(), &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, TTL: ttl})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// token mints a token for a user.
func (f *timedStore) token(id, owner string) *db.Token {
	f.t.Helper()
	k, err := f.CreateToken(context.Background(), local, db.NewToken{ID: id, Hash: make([]byte, 32), Owner: owner, Name: "token " + id})
	if err != nil {
		f.t.Fatal(err)
	}
	return k
}
