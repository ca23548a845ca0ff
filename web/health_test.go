package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/api"
	"husk/web/password"
	"husk/web/upkeep"
)

// watched is a server, with what goes on beside it, that has a disk that can fail
// and clocks that can be set.
type watched struct {
	*Server
	t      *testing.T
	engine *bolttest.Faulty
	bolttest.Clocks
}

func newWatched(t *testing.T, change func(*Config)) *watched {
	t.Helper()
	w := &watched{t: t}
	store, disk := bolttest.Watched(t, &w.Clocks)
	w.engine = disk
	config := Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&config)
	}
	var err error
	if w.Server, err = NewKept(config); err != nil {
		t.Fatal(err)
	}
	return w
}

// begin runs what goes on beside it, until the test ends.
func (w *watched) begin() {
	w.t.Helper()
	before := w.engine.Views.Load()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() { w.Upkeep.Run(ctx); close(ended) }()
	w.t.Cleanup(func() { cancel(); <-ended })
	until(w.t, func() bool { return w.engine.Views.Load() > before }) // it looks around at once
}

// flush writes down what was noted in memory, as Upkeep does.
func (w *watched) flush() {
	w.t.Helper()
	if err := w.Store.FlushLastUsed(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets time go by.
func (w *watched) pass(d time.Duration) {
	w.Mono.Add(int64(d))
	w.Wall.Add(int64(d))
}

// markTime makes the store keep the time, as the sweep does.
func (w *watched) markTime() {
	w.t.Helper()
	w.pass(time.Hour)
	if _, err := w.Store.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) status() string {
	w.t.Helper()
	var h api.Health
	if err := json.Unmarshal(ask(w, "GET", "/health", "").Body.Bytes(), &h); err != nil {
		w.t.Fatal(err)
	}
	return h.Status
}

func TestHealthWhileNothingRunsWritesNothing(t *testing.T) {
	w := newWatched(t, nil)
	for _, path := range []string{"/health", "/readyz"} {
		if a := ask(w, "GET", path, ""); a.Code != http.StatusOK {
			t.Errorf("%s is %d", path, a.Code)
		}
	}
	if n := w.engine.Updates.Load(); n != 0 {
		t.Errorf("%d updates were made by asking", n)
	}
	if err := w.Upkeep.Prove(t.Context()); !errors.Is(err, upkeep.ErrNotProved) {
		t.Errorf("Prove = %v", err)
	}
}

func TestReadyProvesAWriteEachTenSeconds(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	for i, step := range []struct {
		pass time.Duration
		want int64
	}{{0, 1}, {0, 1}, {9 * time.Second, 1}, {time.Second, 2}, {time.Second, 2}, {time.Hour, 3}} {
		w.pass(step.pass)
		if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusOK {
			t.Fatalf("step %d: %d %s", i, a.Code, a.Body)
		}
		if n := w.engine.Updates.Load(); n != step.want {
			t.Errorf("step %d: %d writes, want %d", i, n, step.want)
		}
	}
}

func TestReadyTellsWhyItIsNot(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		words string
	}{
		{"full", &db.Error{Kind: db.ErrFull}, "the disk is full"},
		{"failed", &db.Error{Kind: db.ErrDisk}, "the disk failed"},
		{"damaged", &db.Error{Kind: db.ErrDamaged}, "the store is damaged"},
		{"other", errors.New("/secret/path: input/output error"), "changes can't be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatched(t, nil)
			w.begin()
			w.engine.Fail(c.err)
			a := ask(w, "GET", "/readyz", "")
			if a.Code != http.StatusServiceUnavailable || !strings.Contains(a.Body.String(), c.words) || a.Header().Get("Retry-After") == "" {
				t.Errorf("readyz is %d %s", a.Code, a.Body)
			}
			if strings.Contains(a.Body.String(), "secret") {
				t.Errorf("the cause is told to everybody: %s", a.Body)
			}
			if s := w.status(); s != "yellow" {
				t.Errorf("health is %s", s)
			}
			w.engine.Fail(nil)
			if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusServiceUnavailable {
				t.Error("the result was not kept")
			}
			w.pass(upkeep.ProofLife)
			if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusOK || w.status() != "green" {
				t.Errorf("readyz stays %d %s", a.Code, a.Body)
			}
		})
	}
}

func TestHealthColours(t *testing.T) {
	var ends time.Time
	var stale bool
	w := newWatched(t, func(c *Config) {
		c.CertExpiry = func() time.Time { return ends }
		c.CertStale = func() bool { return stale }
	})
	w.begin()
	now := w.Store.Now()
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"well", func() {}, "green"},
		{"certificate ends soon", func() { ends = now.Add(time.Minute) }, "green"},
		{"certificate ended", func() { ends = now }, "yellow"},
		{"renewed", func() { ends = now.Add(24 * time.Hour) }, "green"},
		{"half renewed", func() { stale = true }, "yellow"},
		{"wholly", func() { stale = false }, "green"},
		{"unreadable", func() { w.engine.FailReads(db.ErrDamaged) }, "red"},
		{"readable", func() { w.engine.FailReads(nil) }, "green"},
		{"clock set back", func() { w.markTime(); w.Wall.Add(-int64(time.Hour)) }, "yellow"},
	} {
		c.do()
		if got := w.status(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "clock is set back") {
		t.Errorf("readyz with the clock set back is %d %s", a.Code, a.Body)
	}
}

func TestHealthDetailsNeedThePermission(t *testing.T) {
	m := newMeasured(t, nil)
	if a := ask(m, "GET", "/system/health", ""); a.Code != http.StatusUnauthorized {
		t.Errorf("nobody gets %d", a.Code)
	}
	// The session's user is the administrator.
	a := ask(m, "GET", "/system/health", "", "Authorization", "Bearer "+m.jwt)
	var h api.HealthDetails
	if err := json.Unmarshal(a.Body.Bytes(), &h); err != nil || a.Code != http.StatusOK {
		t.Fatalf("%d %v", a.Code, err)
	}
	if h.Status != "green" || h.Writable != "unknown" || h.Users != 1 || h.Tokens != 1 || h.Sessions != 1 || h.StoreBytes < 4096 ||
		h.Warnings == nil || h.CertExpires == nil || h.CertExpires.Unix() != 2_000_000_000 || h.TokensExpiring != 0 {
		t.Errorf("%+v", h)
	}
	for _, personal := range []string{`"name"`, db.SingleUser, "@"} {
		if strings.Contains(a.Body.String(), personal) {
			t.Errorf("the answer names %q: %s", personal, a.Body)
		}
	}
}

func TestHealthDetailsOfAStoreThatFails(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	read := func() (h api.HealthDetails) {
		out := ask(w.asOwner(), "GET", "/system/health", "")
		if err := json.Unmarshal(out.Body.Bytes(), &h); err != nil || out.Code != http.StatusOK {
			t.Fatalf("%d %v", out.Code, err)
		}
		return h
	}
	w.engine.Fail(&db.Error{Kind: db.ErrFull})
	if h := read(); h.Status != "yellow" || h.Writable != "no" || len(h.Warnings) != 1 || h.Warnings[0].Code != "disk_full" {
		t.Errorf("full: %+v", h)
	}
	w.engine.FailReads(db.ErrDamaged)
	if h := read(); h.Status != "red" || h.Warnings[len(h.Warnings)-1].Code != "store_unreadable" {
		t.Errorf("unreadable: %+v", h)
	}
}

// asOwner makes every request one of the owner of the data file.
func (w *watched) asOwner() http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		who := local{transport: db.TransportOffline, owner: true, name: "uid 0"}
		w.ServeHTTP(out, r.WithContext(who.with(r.Context())))
	})
}
