package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/logtest"
	"husk/web/password"
	"husk/web/upkeep"
)

// damaged is a server, with what goes on beside it, over a file that a test can damage.
type damaged struct {
	*Server
	path   string
	t      *testing.T
	engine db.Engine
	log    *logtest.Buffer
}

func newDamaged(t *testing.T, damage ...func(path string)) *damaged {
	t.Helper()
	p := &damaged{t: t, log: &logtest.Buffer{}}
	store := bolttest.Store(t, bolttest.Options{Damaged: func(path string) {
		p.path = path
		for _, do := range damage {
			do(path)
		}
	}})
	p.engine = store.Engine()
	var err error
	p.Server, err = NewKept(Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.NewTextHandler(p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// begin runs it until the test ends.
func (p *damaged) begin() {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	go func() { p.Upkeep.Run(ctx); close(ended) }()
	p.t.Cleanup(func() { cancel(); <-ended })
}

func (p *damaged) ready() bool {
	a := ask(p, "GET", "/readyz", "")
	if a.Code != http.StatusOK && !strings.Contains(a.Body.String(), "the store is damaged") {
		p.t.Errorf("readyz is %d %s", a.Code, a.Body)
	}
	return a.Code == http.StatusOK
}

// Damage that nobody has asked for ends readiness: the server is not ready, and
// health is yellow.
func TestDamageEndsReadiness(t *testing.T) {
	p := newDamaged(t)
	if !p.ready() {
		t.Fatal("a sound store is not ready")
	}
	bolttest.Flip(t, p.engine, "role", "user")
	p.begin()
	until(t, func() bool { return !p.ready() })
	if s := p.healthStatus(t.Context()); s != "yellow" {
		t.Errorf("health is %s", s)
	}
}

// A store that was opened by the header before the last says so.
func TestOldHeaderIsTold(t *testing.T) {
	p := newDamaged(t, func(path string) {
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
	until(t, func() bool { return strings.Contains(p.log.String(), upkeep.OldHeader) })
	if s := p.healthStatus(t.Context()); s != "yellow" || !p.ready() || strings.Count(p.log.String(), upkeep.OldHeader) != 1 {
		t.Errorf("health is %s, ready %t\n%s", s, p.ready(), p.log)
	}
	var problems []error
	if _, err := p.checkStore(t.Context(), func(err error) { problems = append(problems, err) }); err != nil || len(problems) != 1 || problems[0].Error() != upkeep.OldHeader {
		t.Errorf("the check names %v, %v", problems, err)
	}
}

// A check of a store whose pages are damaged while it is served names the page,
// goes on with what can be reached, and is an answer.
func TestCheckOfDamagedPages(t *testing.T) {
	p := newDamaged(t)
	for i := range 60 {
		if _, err := p.Store.CreateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, db.NewUser{Email: fmt.Sprintf("user%d@example.com", i)}); err != nil {
			t.Fatal(err)
		}
	}
	bolttest.Flip(t, p.engine, "audit", "\x00\x00\x00\x00\x00\x00\x00\x01")
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
