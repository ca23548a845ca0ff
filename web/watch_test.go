package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/web/api"
	"husk/web/password"
)

// faultyEngine is an engine whose disk can fail.
type faultyEngine struct {
	db.Engine
	failing atomic.Pointer[error] // what Update answers
	reading atomic.Pointer[error] // what View answers
	updates atomic.Int64
	hold    chan struct{} // nil, or what Update waits for
}

func (e *faultyEngine) Update(ctx context.Context, f func(db.Tx) error) error {
	e.updates.Add(1)
	if e.hold != nil {
		<-e.hold
	}
	if err := e.failing.Load(); err != nil {
		return *err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.Engine.Update(ctx, f)
}

func (e *faultyEngine) View(ctx context.Context, f func(db.Tx) error) error {
	if err := e.reading.Load(); err != nil {
		return *err
	}
	return e.Engine.View(ctx, f)
}

// set makes what fails or, with nil, ends it.
func set(where *atomic.Pointer[error], err error) {
	if err == nil {
		where.Store(nil)
		return
	}
	where.Store(&err)
}

// watchLog is a log that is read while others write.
type watchLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *watchLog) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *watchLog) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *watchLog) count(text string) int { return strings.Count(b.String(), text) }

// watched is a server with a disk that can fail and clocks that can be set.
type watched struct {
	*Server
	t      *testing.T
	engine *faultyEngine
	wall   atomic.Int64 // Unix nanoseconds
	mono   atomic.Int64 // nanoseconds
	log    *watchLog
}

func newWatched(t *testing.T, change func(*Config)) *watched {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	engine, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, engine: &faultyEngine{Engine: engine}, log: &watchLog{}}
	w.wall.Store(time.Now().Add(time.Hour).UnixNano())
	store, err := db.Open(t.Context(), w.engine, db.Options{
		Now:       func() time.Time { return time.Unix(0, w.wall.Load()) },
		Monotonic: func() time.Duration { return time.Duration(w.mono.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	closeWhole(t, store)
	t.Cleanup(func() { set(&w.engine.reading, nil) })
	config := Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.NewTextHandler(w.log, nil))}
	if change != nil {
		change(&config)
	}
	if w.Server, err = New(config); err != nil {
		t.Fatal(err)
	}
	return w
}

// pass lets time go by.
func (w *watched) pass(d time.Duration) {
	w.mono.Add(int64(d))
	w.wall.Add(int64(d))
}

// begin makes the server one that runs, without the goroutine of Run.
func (w *watched) begin() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	stop := w.startWatch(ctx)
	w.t.Cleanup(func() { cancel(); stop() })
}

// hear puts a queue that nobody empties in the place of the program's.
func (w *watched) hear() {
	w.watcher.notify = &notifier{log: w.Server.log, waiting: make(chan notice, notifyWaiting)}
}

// told returns the events since the last time.
func (w *watched) told() (kinds []string) {
	for {
		select {
		case e := <-w.watcher.notify.waiting:
			kinds = append(kinds, e.Event)
		default:
			return kinds
		}
	}
}

func (w *watched) token(name string, expires time.Duration) string {
	w.t.Helper()
	sum := [32]byte{byte(len(name))}
	id := fmt.Sprintf("0d3b1b52-37ad-4a05-8a0c-%012x", []byte(name))
	_, err := w.Store.CreateToken(w.t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions},
		db.NewToken{ID: id, Hash: sum[:], Name: name, Expires: w.Store.Now().Add(expires).Unix()})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
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
	if n := w.engine.updates.Load(); n != 0 {
		t.Errorf("%d updates were made by asking", n)
	}
	if err := w.proveWrite(t.Context()); !errors.Is(err, errNotProved) {
		t.Errorf("proveWrite = %v", err)
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
		if n := w.engine.updates.Load(); n != step.want {
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
			set(&w.engine.failing, c.err)
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
			set(&w.engine.failing, nil)
			if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusServiceUnavailable {
				t.Error("the result was not kept")
			}
			w.pass(proofLife)
			if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusOK || w.status() != "green" {
				t.Errorf("readyz stays %d %s", a.Code, a.Body)
			}
		})
	}
}

// While one tries, the others wait for it; those who have no patience left, and
// those who come for a disk that hangs, are told so.
func TestOneProofAtATime(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.engine.hold = make(chan struct{})
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if err := w.proveWrite(context.Background()); err != nil {
				t.Errorf("proveWrite = %v", err)
			}
		})
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if err := w.proveWrite(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("one who left got %v", err)
	}
	close(w.engine.hold)
	asking.Wait()
	if n := w.engine.updates.Load(); n != 1 {
		t.Errorf("%d writes at once", n)
	}
}

// Whoever asks first may leave: the result is for all.
func TestTheFirstWhoAsksMayLeave(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	gone, leave := context.WithCancel(t.Context())
	leave()
	_ = w.proveWrite(gone)
	if err := w.proveWrite(t.Context()); err != nil {
		t.Errorf("the next one got %v", err)
	}
	if n := w.engine.updates.Load(); n != 1 {
		t.Errorf("%d writes", n)
	}
}

func TestADiskThatHangs(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.proofPatience = time.Nanosecond
	w.engine.hold = make(chan struct{})
	for range 2 {
		a := ask(w, "GET", "/readyz", "")
		if a.Code != http.StatusServiceUnavailable || !strings.Contains(a.Body.String(), "takes longer") {
			t.Errorf("readyz is %d %s", a.Code, a.Body)
		}
	}
	w.proof.mu.Lock()
	running := w.proof.running
	w.proof.mu.Unlock()
	close(w.engine.hold)
	<-running
	if a := ask(w, "GET", "/readyz", ""); a.Code != http.StatusOK {
		t.Errorf("readyz stays %d", a.Code)
	}
	if n := w.engine.updates.Load(); n != 1 {
		t.Errorf("%d writes to a disk that hangs", n)
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
		{"unreadable", func() { set(&w.engine.reading, db.ErrDamaged) }, "red"},
		{"readable", func() { set(&w.engine.reading, nil) }, "green"},
		{"clock set back", func() { w.markTime(); w.wall.Add(-int64(time.Hour)) }, "yellow"},
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

// markTime makes the store keep the time, as the sweep does.
func (w *watched) markTime() {
	w.t.Helper()
	w.pass(time.Hour)
	if _, err := w.Store.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
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
	set(&w.engine.failing, &db.Error{Kind: db.ErrFull})
	if h := read(); h.Status != "yellow" || h.Writable != "no" || len(h.Warnings) != 1 || h.Warnings[0].Code != "disk_full" {
		t.Errorf("full: %+v", h)
	}
	set(&w.engine.reading, db.ErrDamaged)
	if h := read(); h.Status != "red" || h.Warnings[len(h.Warnings)-1].Code != "store_unreadable" {
		t.Errorf("unreadable: %+v", h)
	}
}

// asOwner makes every request one of the owner of the data file.
func (w *watched) asOwner() http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		who := local{transport: db.TransportOffline, owner: true, name: "uid 0"}
		w.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), localKey{}, who)))
	})
}

func TestExpiringTokensAreToldDaily(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.hear()
	w.token("late", 100*24*time.Hour)
	w.pass(tellEvery) // the look at the start saw none
	w.watch(t.Context())
	if got := w.told(); got != nil {
		t.Errorf("none expires, and told %v", got)
	}
	id := w.token("soon", 3*24*time.Hour)
	for range 26 * 60 { // a day and two hours, each minute
		w.pass(time.Minute)
		w.watch(t.Context())
	}
	if got := w.told(); len(got) != 1 || got[0] != eventTokens {
		t.Errorf("in a day it told %v", got)
	}
	if n := w.log.count("API tokens expire within 30 days"); n != 1 {
		t.Errorf("%d lines in a day:\n%s", n, w.log)
	}
	if !strings.Contains(w.log.String(), id+" (soon)") || strings.Contains(w.log.String(), "(late)") {
		t.Errorf("the log does not name the one token:\n%s", w.log)
	}
}

func TestOnlyTheFirstFewAreNamed(t *testing.T) {
	w := newWatched(t, nil)
	for i := range 9 {
		w.token(string(rune('a'+i)), time.Duration(i+1)*time.Hour)
	}
	w.watcher.told = map[string]told{}
	w.hear()
	w.watch(t.Context())
	e := <-w.watcher.notify.waiting
	if e.Count != 9 || len(e.Tokens) != 5 || e.Tokens[0].Name != "a" || e.Tokens[4].Name != "e" {
		t.Errorf("%+v", e)
	}
	if strings.Contains(w.log.String(), "(f)") || !strings.Contains(w.log.String(), "count=9") {
		t.Errorf("the log:\n%s", w.log)
	}
}

func TestACertificateThatExpiresIsTold(t *testing.T) {
	var ends time.Time
	w := newWatched(t, func(c *Config) { c.CertExpiry = func() time.Time { return ends } })
	w.begin()
	w.hear()
	now := w.Store.Now()
	for i, step := range []struct {
		ends time.Duration
		pass time.Duration
		want int
	}{
		{31 * 24 * time.Hour, 0, 0},
		{29 * 24 * time.Hour, 0, 1},
		{29 * 24 * time.Hour, time.Hour, 0},
		{29 * 24 * time.Hour, 24 * time.Hour, 1},
		{90 * 24 * time.Hour, 0, 0}, // renewed
		{20 * 24 * time.Hour, 0, 0}, // the old one again: at most hourly
		{90 * 24 * time.Hour, 0, 0}, //
		{20 * 24 * time.Hour, 2 * time.Hour, 1},
	} {
		w.pass(step.pass)
		ends = now.Add(step.ends)
		w.watch(t.Context())
		if got := w.told(); len(got) != step.want {
			t.Errorf("step %d told %v, want %d", i, got, step.want)
		}
	}
}

func TestFaultsOfTheStoreAreTold(t *testing.T) {
	for kind, err := range map[string]error{eventFull: &db.Error{Kind: db.ErrFull}, eventDisk: &db.Error{Kind: db.ErrDisk}, eventDamaged: &db.Error{Kind: db.ErrDamaged}} {
		t.Run(kind, func(t *testing.T) {
			w := newWatched(t, nil)
			w.begin()
			w.hear()
			w.watch(t.Context())
			set(&w.engine.failing, err)
			w.NoteUse()
			w.flush(t.Context())
			w.watch(t.Context())
			if got := w.told(); len(got) != 1 || got[0] != kind {
				t.Errorf("told %v", got)
			}
			w.pass(time.Minute)
			w.flush(t.Context())
			w.watch(t.Context())
			if got := w.told(); got != nil {
				t.Errorf("told again: %v", got)
			}
			set(&w.engine.failing, nil)
			w.pass(2 * tellEvery)
			w.watch(t.Context())
			if got := w.told(); got != nil {
				t.Errorf("told of what has ended: %v", got)
			}
		})
	}
}

// NoteUse leaves something to flush.
func (w *watched) NoteUse() { w.Store.NoteRefusal(&db.Actor{}, "session.login", db.NoTarget) }

func TestAClockThatIsSetBackIsTold(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.hear()
	w.markTime()
	w.watch(t.Context())
	w.wall.Add(-int64(time.Hour))
	shows, held := time.Unix(0, w.wall.Load()).UTC().Format(time.RFC3339), w.Store.Now().Format(time.RFC3339)
	w.watch(t.Context())
	w.sweep(t.Context(), false)
	w.pass(time.Minute)
	w.watch(t.Context())
	e := <-w.watcher.notify.waiting
	if got := w.told(); e.Event != eventClock || len(got) != 0 {
		t.Errorf("told %v, and %v", e, got)
	}
	// Both times are told: what the clock shows, and what is held to be true.
	for _, text := range []string{e.Message, w.log.String()} {
		if !strings.Contains(text, "set back by 1h0m0s: it shows "+shows) || !strings.Contains(text, held) || shows == held {
			t.Errorf("%q tells not both %s and %s", text, shows, held)
		}
	}
}
