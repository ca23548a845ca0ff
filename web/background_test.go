package web_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web"
	"husk/web/password"
)

// running is a server whose Run works, in fake time.
type running struct {
	*web.Server
	t       *testing.T
	updates atomic.Int64 // of the store
	dir     string       // of its file
}

type countedEngine struct {
	db.Engine
	n *atomic.Int64
}

// Located implements db.Locator.
func (e countedEngine) Located() error { return e.Engine.(db.Locator).Located() }

func (e countedEngine) Update(ctx context.Context, f func(db.Tx) error) error {
	e.n.Add(1)
	return e.Engine.Update(ctx, f)
}

// run calls f with a server that runs, inside of fake time.
func run(t *testing.T, change func(*web.Config), f func(t *testing.T, r *running)) {
	path := filepath.Join(t.TempDir(), "husk.db")
	synctest.Test(t, func(t *testing.T) {
		r := &running{t: t, dir: filepath.Dir(path)}
		store := bolttest.Store(t, bolttest.Options{Path: path, Wrap: func(e db.Engine) db.Engine { return countedEngine{e, &r.updates} }})
		config := web.Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.DiscardHandler)}
		change(&config)
		var err error
		r.Server, err = web.New(config)
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		f(t, r)
		stop()
		<-ended
	})
}

// there tells whether the file has a record.
func (r *running) there(bucket, id string) (found bool) {
	r.t.Helper()
	must(r.t, r.Store.Engine().View(r.t.Context(), func(tx db.Tx) error {
		value, err := tx.Get(bucket, []byte(id))
		found = value != nil
		return err
	}))
	return found
}

func (r *running) session(user *db.User, ttl time.Duration) string {
	r.t.Helper()
	made, _, err := r.Store.CreateSession(r.t.Context(), &db.Actor{}, db.SignIn{User: user.ID, Verified: user.Password, TTL: ttl})
	must(r.t, err)
	return made.ID
}

// firstEntry is the key of the oldest entry of the audit log.
const firstEntry = "\x00\x00\x00\x00\x00\x00\x00\x01"

var owner = &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}

// When credentials were last used is written within 30 seconds, of all at
// once; a use writes nothing itself.
func TestLastUsesAreWrittenInBatches(t *testing.T) {
	run(t, func(*web.Config) {}, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: annEmail, Password: "hash"})
		must(t, err)
		var sessions, tokens []string
		for range 20 {
			sessions = append(sessions, r.session(ann, 24*time.Hour))
			k, err := r.Store.CreateToken(t.Context(), owner, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32)})
			must(t, err)
			tokens = append(tokens, k.ID)
		}
		time.Sleep(time.Second)
		before := r.updates.Load()
		for range 5 {
			for i := range sessions {
				r.Store.NoteSessionUse(sessions[i], stranger)
				r.Store.NoteTokenUse(tokens[i], stranger, false)
			}
			time.Sleep(time.Second)
		}
		if n := r.updates.Load() - before; n != 0 || r.there("session.use", sessions[0]) || r.there("token.use", tokens[0]) {
			t.Errorf("uses cost %d writes at once", n)
		}
		time.Sleep(30 * time.Second)
		for i := range sessions {
			if !r.there("session.use", sessions[i]) || !r.there("token.use", tokens[i]) {
				t.Fatalf("after 30 seconds use %d is not written", i)
			}
		}
		if n := r.updates.Load() - before; n != 1 {
			t.Errorf("they were written in %d transactions", n)
		}
	})
}

// What has ended is removed by the running server, and what has not stays.
func TestRunSweeps(t *testing.T) {
	run(t, func(c *web.Config) { c.AuditKeep = 3 * time.Hour }, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: annEmail, Password: "hash"})
		must(t, err)
		short, long := r.session(ann, time.Hour), r.session(ann, 24*time.Hour)
		keys, err := r.Store.Keys(t.Context())
		must(t, err)
		_, err = r.Store.RotateKey(t.Context(), owner, false)
		must(t, err)
		time.Sleep(time.Hour - time.Second)
		if !r.there("session", short) {
			t.Error("a session is removed before its end")
		}
		time.Sleep(2 * time.Minute)
		if r.there("session", short) || !r.there("session", long) {
			t.Errorf("an hour later: the session of an hour is there %t, that of a day %t", r.there("session", short), r.there("session", long))
		}
		if !r.there("audit", firstEntry) {
			t.Error("an entry of the audit log is removed too early")
		}
		time.Sleep(3 * time.Hour)
		if r.there("audit", firstEntry) {
			t.Error("an old entry of the audit log is kept")
		}
		if !r.there("key", keys.Signing.ID) {
			t.Error("a key is removed while a session that it signed lives")
		}
		time.Sleep(21 * time.Hour)
		if r.there("session", long) || r.there("key", keys.Signing.ID) {
			t.Error("a day later the last session or its key is there")
		}
	})
}
