package upkeep

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/logtest"
)

// running is an Upkeep whose Run works, in fake time.
type running struct {
	*Upkeep
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

// run calls f with an Upkeep that runs, inside of fake time.
func run(t *testing.T, change func(*Config), f func(t *testing.T, r *running)) {
	t.Helper()
	runOver(t, func(e db.Engine) db.Engine { return e }, change, f)
}

// runOver is run over what wrap makes of the engine.
func runOver(t *testing.T, wrap func(db.Engine) db.Engine, change func(*Config), f func(t *testing.T, r *running)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	synctest.Test(t, func(t *testing.T) {
		r := &running{t: t, dir: filepath.Dir(path)}
		store := bolttest.Store(t, bolttest.Options{Path: path, Wrap: func(e db.Engine) db.Engine { return wrap(countedEngine{e, &r.updates}) }})
		config := Config{Store: store, Log: slog.New(slog.DiscardHandler)}
		change(&config)
		r.Upkeep = New(config)
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

const stranger = "192.0.2.1"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// firstEntry is the key of the oldest entry of the audit log.
const firstEntry = "\x00\x00\x00\x00\x00\x00\x00\x01"

var owner = &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}

// When credentials were last used is written within 30 seconds, of all at
// once; a use writes nothing itself.
func TestLastUsesAreWrittenInBatches(t *testing.T) {
	run(t, func(*Config) {}, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: "ann@example.com", Password: "hash"})
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
	run(t, func(c *Config) { c.AuditKeep = 3 * time.Hour }, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: "ann@example.com", Password: "hash"})
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

// Nobody has to ask: the log hears of it all the same.
func TestFileElsewhereIsNoticed(t *testing.T) {
	log := &logtest.Buffer{}
	aside := t.TempDir()
	run(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) }, func(t *testing.T, r *running) {
		path := filepath.Join(r.dir, "husk.db")
		for range 3 {
			must(t, os.Rename(path, filepath.Join(aside, "away")))
			time.Sleep(10 * time.Second)
			must(t, os.Rename(filepath.Join(aside, "away"), path))
			time.Sleep(10 * time.Second)
		}
	})
	for _, text := range []string{"husk.db: it was moved", "put it back there", "the data file is back"} {
		if n := strings.Count(log.String(), text); n != 3 {
			t.Errorf("the log says %d times %q:\n%s", n, text, log)
		}
	}
}

// The running server ends the sessions that were not used.
func TestRunEndsIdleSessions(t *testing.T) {
	const idle = 30 * time.Minute
	run(t, func(c *Config) { c.SessionIdle = idle }, func(t *testing.T, r *running) {
		ann, err := r.Store.CreateUser(t.Context(), owner, db.NewUser{Email: "ann@example.com", Password: "hash"})
		must(t, err)
		id := r.session(ann, 24*time.Hour)
		time.Sleep(idle - time.Minute)
		if !r.there("session", id) {
			t.Error("it ended before its time")
		}
		time.Sleep(12 * time.Minute)
		if r.there("session", id) {
			t.Error("it was not ended")
		}
	})
}

// A job is done at its times, a panic ends none of them, and what it does last is
// done when it has ended, with a context that has not.
func TestRepeat(t *testing.T) {
	for name, c := range map[string]struct {
		late bool
		want []time.Duration
	}{
		"at once":       {false, []time.Duration{0, time.Minute, 90 * time.Second, 150 * time.Second}},
		"after a pause": {true, []time.Duration{time.Minute, 90 * time.Second, 150 * time.Second, 210 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, began := &logtest.Buffer{}, time.Now()
				u := New(Config{Log: slog.New(slog.NewTextHandler(log, nil))})
				ctx, stop := context.WithCancel(t.Context())
				soon := make(chan struct{}, 1)
				var done []time.Duration
				ended := false
				time.AfterFunc(90*time.Second, func() { soon <- struct{}{} })
				u.repeat(ctx, job{
					name: "the job", pause: time.Minute, soon: soon, late: c.late,
					do: func(ctx context.Context) {
						done = append(done, time.Since(began))
						if len(done) < len(c.want) {
							panic("in the job")
						}
						stop()
						<-ctx.Done()
					},
					last: func(ctx context.Context) { ended = ctx.Err() == nil },
				})
				if !slices.Equal(done, c.want) || !ended {
					t.Errorf("it was done at %v, want %v; ended %t", done, c.want, ended)
				}
				if n := log.Count(`job="the job" panic="in the job"`); n != len(c.want)-1 {
					t.Errorf("the log tells of %d panics:\n%s", n, log)
				}
			})
		})
	}
}

// What was noted last is written at the end, also where the end cut a flush short.
func TestTheLastFlush(t *testing.T) {
	w := newWatched(t, nil)
	id := w.token("used", time.Hour)
	w.Store.NoteTokenUse(id, stranger, false)
	ended, end := context.WithCancel(t.Context())
	end()
	w.flush(ended)
	if w.log.String() != "" {
		t.Errorf("the end is told as a fault:\n%s", w.log)
	}
	w.Run(ended)
	if n := w.engine.Updates.Load(); n != 3 { // the token, the flush that was cut, the last one
		t.Errorf("%d updates", n)
	}
	found := false
	must(t, w.Store.Engine().View(t.Context(), func(tx db.Tx) error {
		value, err := tx.Get("token.use", []byte(id))
		found = value != nil
		return err
	}))
	if !found {
		t.Error("the last use is lost")
	}
}
