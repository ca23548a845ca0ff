package web

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/logtest"
	"husk/web/password"
)

// testHouse is a server on a loopback address, with a store of its own, a
// clock that is turned by hand and a log that can be read.
type testHouse struct {
	*testing.T
	*Server
	base string
	log  *logtest.Buffer
	// visitors keep connections, which a server that ends waits for.
	visitors http.Transport

	mu  sync.Mutex
	now time.Time
}

const testPassword = "four unrelated words here"

// newTestHouse serves until the test ends; then the store's invariants must
// hold. change may be nil.
func newTestHouse(t *testing.T, change func(*Config)) *testHouse {
	t.Helper()
	h := &testHouse{T: t, log: &logtest.Buffer{}, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	dir := t.TempDir()
	store := bolttest.Store(t, bolttest.Options{Path: filepath.Join(dir, "husk.db"), Options: db.Options{Now: h.time}})
	config := Config{
		Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams(), MaxConcurrent: 8}),
		Log: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "1.2.3", Dir: dir,
	}
	if change != nil {
		change(&config)
	}
	var err error
	if h.Server, err = NewKept(config); err != nil {
		t.Fatal(err)
	}
	h.serve()
	return h
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not come about in 30 s")
		}
	}
}

// testServer is a Server that nobody serves yet, and its log.
func testServer(t *testing.T, edit func(*Config)) (*Server, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	config := Config{Store: bolttest.Store(t, bolttest.Options{}), Passwords: password.New(password.Config{Params: password.InsecureTestParams()}),
		Log: slog.New(slog.NewJSONHandler(log, nil)), Version: "test"}
	edit(&config)
	s, err := NewKept(config)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// newSignedIn is a visitor of a new house who is signed in as its single user.
func newSignedIn(t *testing.T) *visitor {
	t.Helper()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	return v
}

func (h *testHouse) serve() {
	h.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	h.base = "http://" + l.Addr().String()
	h.ListensOn(l)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := h.Server // a test may put another one in its place
	go func() { done <- s.Serve(ctx, l) }()
	h.Cleanup(func() {
		h.visitors.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			h.Error(err)
		}
	})
}

func (h *testHouse) time() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *testHouse) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// localActor is the command line beside the store.
var localActor = &db.Actor{ID: db.LocalActor, Name: "local", Permissions: db.AllPermissions, Transport: db.TransportOffline}

// user makes a user; "" is the single one, who gets the password.
func (h *testHouse) user(email, pass string, mustChange bool, roles ...string) *db.User {
	h.Helper()
	hash, err := h.Passwords.Hash(h.Context(), password.Caller{}, pass)
	if err != nil {
		h.Fatal(err)
	}
	var u *db.User
	if email == "" {
		u, err = h.Store.UpdateUser(h.Context(), localActor, db.SingleUser, db.UserChange{Password: &hash, MustChange: mustChange})
	} else {
		u, err = h.Store.CreateUser(h.Context(), localActor, db.NewUser{Email: email, Password: hash, MustChange: mustChange, Roles: roles})
	}
	if err != nil {
		h.Fatal(err)
	}
	return u
}

// visitor is a browser without a screen: it keeps cookies, says that it wants
// pages and follows nothing.
type visitor struct {
	*testHouse
	client *http.Client
}

func (h *testHouse) visitor() *visitor {
	h.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.Fatal(err)
	}
	return &visitor{h, &http.Client{Transport: &h.visitors, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body string
}

const browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func (v *visitor) do(method, path, contentType, body string, header ...string) answer {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", browserAccept)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answer{res, string(text)}
}

func (v *visitor) get(path string, header ...string) answer {
	v.Helper()
	return v.do("GET", path, "", "", header...)
}

// post sends a form of names and values.
func (v *visitor) post(path string, pairs ...string) answer {
	v.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.do("POST", path, formType, form.Encode())
}

// json sends a JSON object as a program does.
func (v *visitor) json(method, path, body string, header ...string) answer {
	v.Helper()
	return v.do(method, path, "application/json", body, append([]string{"Accept", "application/json"}, header...)...)
}

func (v *visitor) signIn(email, pass string) {
	v.Helper()
	if a := v.post("/account/login", "email", email, "password", pass); a.StatusCode != http.StatusSeeOther {
		v.Fatalf("sign-in: %d %s", a.StatusCode, a.body)
	}
}

func (a answer) leadsTo(t *testing.T, path string) {
	t.Helper()
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != path {
		t.Errorf("%d %q, want 303 to %q; %s", a.StatusCode, a.Header.Get("Location"), path, a.body)
	}
}

// isPage fails unless the answer is a page with that status and all the texts.
func (a answer) isPage(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %s, want the page with %d: %s", a.StatusCode, a.Header.Get("Content-Type"), status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page has no %q:\n%s", text, a.body)
		}
	}
}

// fails fails unless the answer is the JSON error of status and code.
func (a answer) fails(t *testing.T, status int, code string) {
	t.Helper()
	var e struct {
		Status int
		Error  struct{ Reason, Code string }
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.StatusCode != status || e.Status != status || e.Error.Code != code || e.Error.Reason == "" {
		t.Errorf("%d %s, want %d %s", a.StatusCode, a.body, status, code)
	}
}
