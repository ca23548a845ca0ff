package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/web/password"
)

// patrolled is a server over a file that a test can damage.
type patrolled struct {
	*Server
	path   string
	t      *testing.T
	engine *bolt.Engine
	log    *watchLog
}

func newPatrolled(t *testing.T, damage ...func(path string)) *patrolled {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	for _, do := range damage {
		do(path)
	}
	engine, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := db.Open(t.Context(), engine, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	p := &patrolled{t: t, path: path, engine: engine, log: &watchLog{}}
	p.Server, err = New(Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.NewTextHandler(p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// begin starts what works beside the server.
func (p *patrolled) begin() {
	ctx, cancel := context.WithCancel(p.t.Context())
	stop := p.startWatch(ctx)
	p.t.Cleanup(func() { cancel(); stop() })
}

// flip changes a byte of a record in the file and returns how it was.
func (p *patrolled) flip(bucket, key string) (whole []byte) {
	p.t.Helper()
	err := p.engine.Update(p.t.Context(), func(tx db.Tx) error {
		sealed, err := tx.Get(bucket, []byte(key))
		if err != nil || sealed == nil {
			return errors.Join(err, errors.New("no such record"))
		}
		whole = bytes.Clone(sealed)
		sealed[len(sealed)-1] ^= 1
		return tx.Put(bucket, []byte(key), sealed)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return whole
}

func (p *patrolled) put(bucket, key string, sealed []byte) {
	p.t.Helper()
	if err := p.engine.Update(p.t.Context(), func(tx db.Tx) error { return tx.Put(bucket, []byte(key), sealed) }); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patrolled) becomes(what string, holds func() bool) {
	p.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain: %s\n%s", what, p.log)
		}
	}
}

func (p *patrolled) ready() bool {
	a := ask(p, "GET", "/readyz", "")
	if a.Code != http.StatusOK && !strings.Contains(a.Body.String(), "the store is damaged") {
		p.t.Errorf("readyz is %d %s", a.Code, a.Body)
	}
	return a.Code == http.StatusOK
}

// Damage that nobody has asked for is found soon after the start: the server
// is not ready, health is yellow, the log names the place, once.
func TestPatrolFindsWhatNobodyReads(t *testing.T) {
	for _, place := range [][2]string{{"audit", "\x00\x00\x00\x00\x00\x00\x00\x01"}, {"role", "user"}, {"count", "role"}} {
		t.Run(place[0], func(t *testing.T) {
			p := newPatrolled(t)
			if !p.ready() {
				t.Fatal("a sound store is not ready")
			}
			p.flip(place[0], place[1])
			p.begin()
			p.becomes("not ready", func() bool { return !p.ready() })
			if s := p.healthStatus(t.Context()); s != "yellow" {
				t.Errorf("health is %s", s)
			}
			p.background(func() { p.patrolRound(t.Context()) })
			if n := p.log.count("place="); n != 1 || !strings.Contains(p.log.String(), place[0]) {
				t.Errorf("the log tells %d times:\n%s", n, p.log)
			}
			if n := p.Store.Stats().Damaged; n < 2 {
				t.Errorf("%d damages are counted", n)
			}
		})
	}
}

// A sound store stays ready.
func TestPatrolOfASoundStore(t *testing.T) {
	p := newPatrolled(t)
	p.patrolRound(t.Context())
	if p.damage.found() || !p.ready() || p.Store.Stats().Damaged != 0 || p.log.String() != "" {
		t.Errorf("a sound store:\n%s", p.log)
	}
}

// Damage that a request meets is looked for at once, and what is whole again
// is forgotten.
func TestDamageMetBeginsAPatrol(t *testing.T) {
	p := newPatrolled(t)
	p.begin()
	p.becomes("the first round is over", func() bool { return p.ready() })
	whole := p.flip("user", db.SingleUser)
	if _, err := p.Store.User(t.Context(), db.SingleUser); !errors.Is(err, db.ErrDamaged) {
		t.Fatalf("a damaged user: %v", err)
	}
	p.becomes("not ready", func() bool { return !p.ready() })
	p.put("user", db.SingleUser, whole)
	whole = p.flip("role", "user")
	p.becomes("another round", func() bool {
		_, _ = p.Store.Roles(t.Context())
		return !p.ready() && strings.Contains(p.log.String(), "role")
	})
	p.put("role", "user", whole)
	p.background(func() { p.patrolRound(t.Context()) })
	p.becomes("ready again", p.ready)
}

// A store that was opened by the header before the last says so.
func TestOldHeaderIsTold(t *testing.T) {
	p := newPatrolled(t, func(path string) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt(make([]byte, 64), int64(os.Getpagesize())+16) // the second header; the first is that of the only commit
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	p.begin()
	if s := p.healthStatus(t.Context()); s != "yellow" || !p.ready() || p.log.count(headerText) != 1 {
		t.Errorf("health is %s, ready %t\n%s", s, p.ready(), p.log)
	}
	var problems []error
	if _, err := p.checkStore(t.Context(), func(err error) { problems = append(problems, err) }); err != nil || len(problems) != 1 || problems[0].Error() != headerText {
		t.Errorf("the check names %v, %v", problems, err)
	}
}

// A check of a store whose pages are damaged while it is served names the page,
// goes on with what can be reached, and is an answer.
func TestCheckOfDamagedPages(t *testing.T) {
	p := newPatrolled(t)
	for i := range 60 {
		if _, err := p.Store.CreateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, db.NewUser{Email: fmt.Sprintf("user%d@example.com", i)}); err != nil {
			t.Fatal(err)
		}
	}
	p.flip("audit", "\x00\x00\x00\x00\x00\x00\x00\x01")
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(os.Getpagesize())
	page := make([]byte, size)
	// The last page with users in it: of those with some it is the newest, and
	// no other one than the leaf that is in use.
	last := int64(0)
	for at := 2 * size; ; at += size {
		if _, err := f.ReadAt(page, at); err != nil {
			break
		}
		if bytes.Contains(page, []byte(`"email":"user59@example.com"`)) {
			last = at
		}
	}
	if _, err := f.WriteAt(make([]byte, size), last); err != nil || last == 0 {
		t.Fatal(last, err)
	}
	var problems []string
	if _, err := p.checkStore(t.Context(), func(err error) { problems = append(problems, err.Error()) }); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(problems, "\n")
	if !strings.Contains(all, fmt.Sprintf("page %d is damaged", last/size)) || !strings.Contains(all, "audit entry 1 ") {
		t.Errorf("the check names\n%s", all)
	}
}
