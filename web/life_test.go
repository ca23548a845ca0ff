package web_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/password"
)

// goroutines waits until there are no more than most, or fails with what runs.
func goroutines(t *testing.T, most int) {
	t.Helper()
	// A hasher of another test may be giving back its memory just now.
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if runtime.NumGoroutine() <= most {
			return
		}
		runtime.Gosched()
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, want %d:\n%s", runtime.NumGoroutine(), most, stacks[:runtime.Stack(stacks, true)])
}

func TestNewStartsNothing(t *testing.T) {
	s := newServer(t)
	s.transport.CloseIdleConnections()
	before := runtime.NumGoroutine()
	for range 20 {
		if _, err := web.New(s.Config); err != nil {
			t.Fatal(err)
		}
	}
	goroutines(t, before)
}

// A use as offline: open, serve in memory, ask, close. Nothing is left of it.
func TestOfflineLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	must(t, bolt.Create(path, db.Init))
	before := runtime.NumGoroutine()
	for range 3 {
		engine, err := bolt.Open(path, bolt.Options{})
		must(t, err)
		store, err := db.Open(t.Context(), engine, db.Options{})
		must(t, err)
		handler, err := web.New(web.Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.DiscardHandler)})
		must(t, err)
		memory := control.NewMemory()
		transport := &http.Transport{DialContext: memory.DialContext}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- handler.Serve(ctx, memory) }()
		c := &api.Client{Base: "http://husk", HTTP: &http.Client{Transport: transport}}
		_, err = c.CreateToken(t.Context(), api.NewToken{})
		must(t, err)
		transport.CloseIdleConnections()
		stop()
		must(t, <-done)
		must(t, store.Close())
	}
	goroutines(t, before)
}

// What was used is written down when the server stops.
func TestLastUsesAreWrittenAtTheEnd(t *testing.T) {
	s := newServer(t)
	made := s.mint(s.single().session(), api.NewToken{})
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, tcp) }()
	transport := &http.Transport{}
	c := &api.Client{Base: "http://" + tcp.Addr().String(), Token: made.AccessToken, HTTP: &http.Client{Transport: transport}}
	_, err = c.Profile(t.Context())
	must(t, err)
	transport.CloseIdleConnections()
	stop()
	must(t, <-done)
	store, err := db.Open(t.Context(), s.store.Engine(), db.Options{Now: s.clock.now})
	must(t, err)
	if use, err := store.TokenLastUsed(t.Context(), made.ID); err != nil || use.Address != "127.0.0.1" || !use.Time.Equal(s.clock.now()) {
		t.Errorf("the last use is %+v, %v", use, err)
	}
	if _, err := net.Dial("tcp", tcp.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestServeTellsAFailingListener(t *testing.T) {
	s := newServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	if err := s.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Serve = %v", err)
	}
}

// A panic ends the request, not the process; the log has what happened, the
// client has the request's id.
func TestPanic(t *testing.T) {
	s := newServer(t)
	must(t, s.AddPublic("GET", "/panics", func(http.ResponseWriter, *http.Request) { panic("at " + marker) }))
	must(t, s.AddPublic("GET", "/panics/nil", func(_ http.ResponseWriter, r *http.Request) { _ = *r.TLS }))
	must(t, s.AddPublic("GET", "/panics/late", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(200)
		panic("late " + marker)
	}))
	must(t, s.AddPublic("GET", "/aborts", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for _, path := range []string{"/panics", "/panics/nil"} {
		for _, with := range []edit{nobody, local} {
			a := s.do("GET", path, "", with).want(500, "internal").quiet(marker, "runtime", "goroutine", ".go")
			id := a.header.Get("X-Request-Id")
			if line := s.logLine(id); !strings.Contains(line, "panic in a request") || !strings.Contains(line, "life_test.go") {
				t.Errorf("the log of %s says %q", id, line)
			}
		}
	}
	for _, path := range []string{"/aborts", "/panics/late"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+stranger+path, nil)
		must(t, err)
		response, err := s.transport.RoundTrip(r)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil && path == "/aborts" {
			t.Errorf("%s was answered", path)
		}
	}
	s.do("GET", "/health", "").want(200)
}

// logLine is the line of the log that has the request's id.
func (s *server) logLine(id string) string {
	for line := range strings.Lines(s.log.String()) {
		if id != "" && strings.Contains(line, `"`+id+`"`) {
			return line
		}
	}
	return ""
}

// What went wrong inside is for the log; the client gets a sentence.
func TestErrorsInside(t *testing.T) {
	s := newServer(t)
	for i, c := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{errors.New("open /var/lib/husk/husk.db: " + marker), 500, "internal", ""},
		{fmt.Errorf("%w: "+marker, db.ErrDamaged), 500, "store_damaged", ""},
		{fmt.Errorf("%w: "+marker, db.ErrFull), 507, "disk_full", ""},
		{&db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: "the disk failed", Cause: errors.New(marker)}, 500, "disk_failed", ""},
		{fmt.Errorf("%w: "+marker, db.ErrLocked), 503, "store_locked", "1"},
		{fmt.Errorf("hash: %w", password.ErrBusy), 503, "busy", "1"},
		{&db.Error{Kind: db.ErrConflict, Code: "taken", Reason: "that is taken", Cause: errors.New(marker)}, 409, "taken", ""},
		{fmt.Errorf("more: %w", &db.Error{Kind: db.ErrInvalid, Code: "odd", Reason: "that is odd"}), 400, "odd", ""},
		{context.Canceled, 500, "internal", ""},
		{password.ErrDamaged, 500, "internal", ""},
	} {
		path := fmt.Sprintf("/fails/%d", i)
		must(t, s.AddFailing(path, c.err))
		a := s.do("GET", path, "").want(c.status, c.code).quiet(marker, "/var/lib")
		if got := a.header.Get("Retry-After"); got != c.retry {
			t.Errorf("%v: Retry-After = %q, want %q", c.err, got, c.retry)
		}
		if line := s.logLine(a.header.Get("X-Request-Id")); c.status >= 500 && !strings.Contains(line, "ERROR") {
			t.Errorf("%v: the log says %q", c.err, line)
		}
		if line := s.logLine(a.header.Get("X-Request-Id")); c.code == "disk_failed" && !strings.Contains(line, marker) {
			t.Errorf("%v: the cause is not in the log: %q", c.err, line)
		}
	}
}

// While the queue of hashes is full, a sign-in is 503 with Retry-After,
// whoever it is for, and what needs no hash goes on.
func TestHashingUnderLoad(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.Passwords = password.New(password.Config{Params: password.Params{Memory: 47104, Time: 1, Threads: 1}, MaxConcurrent: 1, MaxQueue: 1, MaxWait: time.Minute})
	})
	single := s.single()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	// Callers from one network, who come again and again, keep the one place and
	// the queue taken.
	neighbour := password.Caller{Address: netip.MustParseAddr(stranger), Fresh: true}
	done := make(chan struct{})
	const callers = 4
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				s.hasher.VerifyNobody(ctx, neighbour, "", "a made-up password")
			}
		}()
	}
	for s.hasher.Stats().Busy == 0 {
		runtime.Gosched()
	}
	for name, body := range map[string]string{
		"known": `{"password":"` + singlePassword + `"}`, "wrong": `{"password":"wrong and long"}`, "unknown": `{"email":"x@example.com","password":"wrong and long"}`,
	} {
		for tries := 0; ; tries++ {
			a := s.do("POST", "/account/login", body)
			if a.status == 503 {
				a.want(503, "busy").quiet()
				if got := a.header.Get("Retry-After"); got != "1" {
					t.Errorf("%s: Retry-After = %q", name, got)
				}
				break
			}
			if tries > 200 {
				t.Fatalf("%s: never busy", name)
			}
		}
	}
	for range 5 {
		s.do("GET", "/account/profile", "", single.session()).want(200)
		s.do("GET", "/account/profile", "", bearer("x")).want(401)
	}
	stop()
	for range callers {
		<-done
	}
	s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`).want(200)
}

// The log tells sign-ins and refusals, and a successful request only where
// that was asked for.
func TestAccessLog(t *testing.T) {
	for _, asked := range []bool{false, true} {
		s := newServer(t, func(c *web.Config) { c.AccessLog = asked })
		id := s.do("GET", "/health?access_token="+marker, "").header.Get("X-Request-Id")
		line := s.logLine(id)
		if strings.Contains(line, `"msg":"request"`) != asked || strings.Contains(line, marker) {
			t.Errorf("access log %t: %q", asked, line)
		}
		if asked {
			var entry map[string]any
			must(t, json.Unmarshal([]byte(line), &entry))
			for name, want := range map[string]any{"method": "GET", "path": "/health", "status": 200.0, "address": stranger, "transport": "http"} {
				if entry[name] != want {
					t.Errorf("%s = %v, want %v", name, entry[name], want)
				}
			}
		}
		id = s.do("POST", "/account/login", `{"email":"forged\ninjected@example.com","password":"wrong and long"}`).header.Get("X-Request-Id")
		if line := s.logLine(id); strings.Contains(s.log.String(), "injected") || line == "" {
			t.Errorf("a refused sign-in: %q", line)
		}
	}
}

func TestBackup(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	made := s.mint(admin.session(), api.NewToken{})
	var out bytes.Buffer
	must(t, s.client(admin.session()).Backup(t.Context(), &out, ""))
	r := tar.NewReader(&out)
	h, err := r.Next()
	must(t, err)
	if h.Name != archive.ManifestName || h.Mode != 0o600 {
		t.Errorf("first is %s, %o", h.Name, h.Mode)
	}
	var m archive.Manifest
	must(t, json.NewDecoder(r).Decode(&m))
	h, err = r.Next()
	must(t, err)
	content, err := io.ReadAll(r)
	must(t, err)
	sum := sha256.Sum256(content)
	if h.Name != archive.StoreName || h.Mode != 0o600 || m.SHA256 != hex.EncodeToString(sum[:]) || m.Size != int64(len(content)) || m.Version != "1.2.3" || m.Schema != db.SchemaVersion ||
		jsonOf(m.Counts) != `{"ended_tokens":0,"factors":0,"keys":1,"roles":2,"sessions":1,"tokens":1,"users":1}` || !m.Created.Equal(s.clock.now()) {
		t.Errorf("%s with the manifest %+v", h.Name, m)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("more in the backup: %v", err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, os.WriteFile(path, content, 0o600))
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	defer engine.Close()
	store, err := db.Open(t.Context(), engine, db.Options{})
	must(t, err)
	if _, err := store.Token(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	if _, err := store.Check(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
	narrow := s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermUserRead}})
	s.do("GET", "/system/backup", "", apiToken(narrow.AccessToken)).want(403)
}

func TestBackupThatCanNotBeProved(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.OpenCopy = func(string) (db.Engine, error) { return nil, fmt.Errorf("%w: "+marker, db.ErrDamaged) }
	})
	s.do("GET", "/system/backup", "", local).want(500).quiet(marker)
	gone := newServer(t, func(c *web.Config) { c.Dir = filepath.Join(c.Dir, "absent") })
	gone.do("GET", "/system/backup", "", local).want(500).quiet("absent")
}

// Of a store that is gone everything but livez tells so, without its words.
func TestStoreThatFails(t *testing.T) {
	s := newServer(t)
	config := s.Config
	engine := &failing{Engine: s.store.Engine()}
	broken, err := db.Open(t.Context(), engine, db.Options{Now: s.clock.now})
	must(t, err)
	config.Store = broken
	handler, err := web.New(config)
	must(t, err)
	engine.err = fmt.Errorf("%w: %s", db.ErrDamaged, marker)
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/health": 200, "/account/profile": 401} {
		w := httptest(handler, "GET", path)
		if w.status != want || strings.Contains(w.body.String(), marker) {
			t.Errorf("%s = %d %s, want %d", path, w.status, &w.body, want)
		}
		if path == "/readyz" && w.header.Get("Retry-After") == "" {
			t.Error("readyz has no Retry-After")
		}
		if path == "/health" && !strings.Contains(w.body.String(), `"red"`) {
			t.Errorf("health says %s", &w.body)
		}
	}
	engine.err = nil
	if w := httptest(handler, "GET", "/readyz"); w.status != 200 {
		t.Errorf("readyz = %d", w.status)
	}
}

// failing is an engine that answers err where there is one.
type failing struct {
	db.Engine
	err error
}

func (f *failing) View(ctx context.Context, do func(db.Tx) error) error {
	if f.err != nil {
		return f.err
	}
	return f.Engine.View(ctx, do)
}

type written struct {
	recorder
	body bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) { return w.body.Write(p) }

func httptest(h http.Handler, method, path string) *written {
	w := &written{recorder: recorder{header: http.Header{}}}
	r, err := http.NewRequest(method, path, nil)
	if err != nil {
		panic(err)
	}
	r.RemoteAddr = stranger + ":1"
	h.ServeHTTP(w, r)
	return w
}
