package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/bolt"
)

// fixture is a store over a file of its own, with a clock that stands still.
type fixture struct {
	*db.Store
	t      testing.TB
	ctx    context.Context
	engine *bolt.Engine
	nanos  atomic.Int64
	broken bool // the test damaged it: what Check says is not looked at
}

// newStore makes a store; its cleanup checks that everything in it fits.
func newStore(t testing.TB) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	must(t, bolt.Create(path, db.Init))
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	f := &fixture{t: t, ctx: t.Context(), engine: engine}
	f.nanos.Store(time.Date(2040, 5, 6, 7, 8, 9, 0, time.UTC).UnixNano())
	f.Store, err = db.Open(f.ctx, engine, db.Options{Now: f.now})
	must(t, err)
	t.Cleanup(func() {
		f.ctx = context.Background()
		if err := f.FlushLastUsed(f.ctx); err != nil && !f.broken {
			t.Errorf("flush: %v", err)
		}
		if !f.broken {
			for _, fault := range f.check() {
				t.Errorf("check: %s", fault)
			}
		}
		if err := engine.Check(f.ctx, func(err error) { t.Errorf("check of pages: %v", err) }); err != nil {
			t.Error(err)
		}
		must(t, f.Close())
	})
	return f
}

func (f *fixture) now() time.Time          { return time.Unix(0, f.nanos.Load()).UTC() }
func (f *fixture) advance(d time.Duration) { f.nanos.Add(int64(d)) }

// reopened is the store as another process sees it: nothing in memory.
func (f *fixture) reopened() *db.Store {
	f.t.Helper()
	s, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now})
	must(f.t, err)
	return s
}

// check returns what Check reports.
func (f *fixture) check() (faults []string) {
	f.t.Helper()
	records, err := f.Check(f.ctx, func(err error) { faults = append(faults, err.Error()) })
	if err != nil {
		f.t.Errorf("check: %v", err)
	}
	if records == 0 {
		f.t.Error("check looked at nothing")
	}
	return faults
}

var local = &db.Actor{ID: db.LocalActor, Name: "uid 0", Permissions: db.AllPermissions, Transport: db.TransportOffline}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails unless err is of the kind and has the code.
func wantErr(t testing.TB, err, kind error, code string) {
	t.Helper()
	var e *db.Error
	if !errors.Is(err, kind) || !errors.As(err, &e) || e.Code != code || e.Reason == "" {
		t.Errorf("the error is %v (%+v), want %v with %s", err, e, kind, code)
	}
}

// user makes a user with a password.
func (f *fixture) user(email string, roles ...string) *db.User {
	f.t.Helper()
	u, err := f.CreateUser(f.ctx, local, db.NewUser{Email: email, Roles: roles, Password: "hash of " + email})
	must(f.t, err)
	return u
}

// as is the actor that a user with a session is.
func (f *fixture) as(u *db.User) *db.Actor {
	f.t.Helper()
	roles, err := f.Roles(f.ctx)
	must(f.t, err)
	r, _, err := f.CreateSession(f.ctx, &db.Actor{Transport: db.TransportHTTP, Address: "192.0.2.1"}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour})
	must(f.t, err)
	return &db.Actor{ID: u.ID, Name: u.Username(), User: u, Session: r, Permissions: roles.Permissions(u.Roles), Transport: db.TransportHTTP, Address: "192.0.2.1"}
}

// mint makes a token.
func (f *fixture) mint(actor *db.Actor, n db.NewToken) *db.Token {
	f.t.Helper()
	n.ID, n.Hash = uuid.NewString(), make([]byte, 32)
	k, err := f.CreateToken(f.ctx, actor, n)
	must(f.t, err)
	return k
}

// by is the actor that shows a token.
func (f *fixture) by(k *db.Token) *db.Actor {
	f.t.Helper()
	u, err := f.User(f.ctx, k.Owner)
	must(f.t, err)
	roles, err := f.Roles(f.ctx)
	must(f.t, err)
	p := roles.Permissions(u.Roles)
	if len(k.Permissions) > 0 {
		p = p.Intersect(db.NewPermissions(k.Permissions))
	}
	return &db.Actor{ID: u.ID, Name: u.Username(), User: u, Token: k, Permissions: p, Transport: db.TransportHTTP}
}

// raw changes the file beneath the store.
func (f *fixture) raw(change func(tx db.Tx) error) {
	f.t.Helper()
	must(f.t, f.engine.Update(f.ctx, change))
}

// keys returns the keys of a bucket.
func (f *fixture) keys(bucket string) (keys []string) {
	f.t.Helper()
	must(f.t, f.engine.View(f.ctx, func(tx db.Tx) error {
		return tx.Scan(bucket, nil, nil, false, func(k, _ []byte) bool { keys = append(keys, string(k)); return true })
	}))
	return keys
}

func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func email(i int) string { return fmt.Sprintf("user%04d@example.com", i) }
