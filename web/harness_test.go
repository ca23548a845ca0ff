package web_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
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
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/db/bolt/bolttest"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/logtest"
	"husk/web/password"
)

// server is a Husk over a store of its own. There are two ways in: the
// in-memory listener, where the caller owns the data file, and a made-up
// network, where everybody is a stranger with an address.
type server struct {
	*web.Server
	t         testing.TB
	store     *db.Store
	hasher    *password.Hasher
	clock     *clock
	log       *logtest.Buffer
	path      string
	far       *network
	transport *http.Transport
	local     *api.Client // the owner of the data file

	mu      sync.Mutex
	secrets map[string]bool // what must stand neither in the log nor in the file
}

const (
	singlePassword = "seven crates of apricots"
	stranger       = "192.0.2.1" // the address from which requests come
	host           = "husk.test" // the Host that they name
)

// newServer makes a server where the single user has a password.
func newServer(t testing.TB, edits ...func(*web.Config)) *server {
	t.Helper()
	s := newBareServer(t, edits...)
	s.setPassword(db.SingleUser, singlePassword)
	return s
}

// newBareServer makes a server where nobody can sign in yet.
func newBareServer(t testing.TB, edits ...func(*web.Config)) *server {
	t.Helper()
	s := &server{t: t, clock: newClock(), log: &logtest.Buffer{}, path: filepath.Join(t.TempDir(), "husk.db"), secrets: map[string]bool{}}
	s.store = bolttest.Store(t, bolttest.Options{Path: s.path, Options: db.Options{Now: s.clock.now}})
	engine := s.store.Engine().(*bolt.Engine) // a test may put another one before it
	config := web.Config{
		Store: s.store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}),
		Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "1.2.3", Dir: filepath.Dir(s.path),
		OpenCopy: func(path string) (db.Engine, error) { return bolt.Open(path, bolt.Options{}) },
		// Most tests are not about the throttle, and try one password after
		// another; those in throttle_test.go set its limits.
		LoginLimits: web.LoginLimits{Account: 1 << 20, Address: 1 << 20, Now: s.clock.now},
	}
	for _, edit := range edits {
		edit(&config)
	}
	s.hasher = config.Passwords
	var err error
	s.Server, err = web.NewKept(config)
	must(t, err)
	s.listen()
	t.Cleanup(func() { s.checkInvariants(engine) })
	return s
}

// listen serves both networks until the test ends.
func (s *server) listen() {
	memory := control.NewMemory()
	s.far = &network{conns: make(chan net.Conn), closed: make(chan struct{})}
	hs := s.HTTPServer()
	var serving sync.WaitGroup
	for _, l := range []net.Listener{memory, s.far} {
		serving.Go(func() {
			if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.t.Errorf("Serve: %v", err)
			}
		})
	}
	s.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "local:") {
				return memory.DialContext(ctx, network, address)
			}
			return s.far.dial(ctx, address)
		},
		DisableCompression: true,
	}
	s.local = &api.Client{Base: "http://local", HTTP: &http.Client{Transport: s.transport}}
	s.t.Cleanup(func() {
		s.transport.CloseIdleConnections()
		hs.Close()
		memory.Close()
		s.far.Close()
		serving.Wait()
	})
}

// checkInvariants is the end of every test: the store fits together, and no
// secret was written down.
func (s *server) checkInvariants(engine *bolt.Engine) {
	ctx := context.Background()
	report := func(err error) { s.t.Errorf("check: %v", err) }
	s.HandCounts()
	if err := errors.Join(s.store.FlushLastUsed(ctx), s.store.FlushCounts(ctx)); err != nil {
		s.t.Errorf("flush: %v", err)
	}
	if _, err := s.store.Check(ctx, report); err != nil {
		s.t.Errorf("check: %v", err)
	}
	if err := engine.Check(ctx, report); err != nil {
		s.t.Errorf("check of pages: %v", err)
	}
	must(s.t, s.store.Close())
	file, err := os.ReadFile(s.path)
	must(s.t, err)
	log := s.log.String()
	for secret := range s.secrets {
		if bytes.Contains(file, []byte(secret)) {
			s.t.Errorf("the file holds a secret: %.12s…", secret)
		}
		if strings.Contains(log, secret) {
			s.t.Errorf("the log holds a secret: %.12s…", secret)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), ".husk-*")); len(left) > 0 {
		s.t.Errorf("left behind: %v", left)
	}
}

func (s *server) secret(text string) {
	if len(text) >= password.MinLength {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.secrets[text] = true
	}
}

// client is the API client of a stranger with a credential.
func (s *server) client(edits ...edit) *api.Client {
	c := &api.Client{Base: "http://" + stranger, HTTP: &http.Client{Transport: s.transport}}
	r := &http.Request{Header: http.Header{}}
	for _, e := range edits {
		e(r)
	}
	c.Token = r.Header.Get("X-API-TOKEN")
	c.JWT = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return c
}

// edit changes a request before it is sent.
type edit func(*http.Request)

func bearer(jwt string) edit          { return header("Authorization", "Bearer "+jwt) }
func apiToken(secret string) edit     { return header("X-API-TOKEN", secret) }
func header(name, value string) edit  { return func(r *http.Request) { r.Header.Set(name, value) } }
func another(name, value string) edit { return func(r *http.Request) { r.Header.Add(name, value) } }
func from(address string) edit        { return func(r *http.Request) { r.URL.Host = address } }
func onHost(name string) edit         { return func(r *http.Request) { r.Host = name } }
func local(r *http.Request)           { r.URL.Host = "local" }
func nobody(*http.Request)            {}
func chunked(r *http.Request)         { r.ContentLength = -1; r.GetBody = nil }
func contentType(t string) edit       { return header("Content-Type", t) }
func cookie(jwt string) edit {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "husk_session", Value: jwt}) }
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   string
}

// do sends a request as a stranger without a credential; a body is JSON.
func (s *server) do(method, path, body string, edits ...edit) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+stranger+path, reader)
	must(s.t, err)
	r.Host = host
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edits {
		e(r)
	}
	response, err := s.transport.RoundTrip(r)
	if err != nil {
		s.t.Fatalf("%s %.80s: %v", method, path, err)
	}
	return s.read(method+" "+path, response)
}

// raw sends bytes as they are and reads one answer.
func (s *server) raw(request string) answer {
	s.t.Helper()
	c, err := s.far.dial(s.t.Context(), stranger+":80")
	must(s.t, err)
	defer c.Close()
	go io.WriteString(c, request) // the answer may come before its end
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(s.t, err)
	return s.read("raw", response)
}

func (s *server) read(what string, response *http.Response) answer {
	s.t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(s.t, err)
	a := answer{s.t, what, response.StatusCode, response.Header, string(body)}
	s.noteSecrets(a)
	return a
}

func (s *server) noteSecrets(a answer) {
	var m map[string]any
	if json.Unmarshal([]byte(a.body), &m) != nil {
		return
	}
	for _, name := range []string{"access_token", "password"} {
		if text, ok := m[name].(string); ok {
			s.secret(text)
		}
	}
}

// json reads the body into v.
func (a answer) json(v any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("%s: %v in %.200q", a.what, err, a.body)
	}
}

// want fails unless the answer has the status; a code is that of the error.
func (a answer) want(status int, code ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%.100s = %d %.300s; want %d", a.what, a.status, a.body, status)
		return a
	}
	if status >= 400 && a.body != "" {
		var e api.Error
		a.json(&e)
		if e.Status != status || e.Detail.Reason == "" || e.Detail.Code == "" {
			a.t.Errorf("%.100s = %d with the error %s", a.what, status, a.body)
		}
		if len(code) > 0 && e.Detail.Code != code[0] {
			a.t.Errorf("%.100s = %d %s %q; want %s", a.what, status, e.Detail.Code, e.Detail.Reason, code[0])
		}
	}
	return a
}

// like fails unless the body is JSON of that shape; see matches.
func (a answer) like(want string) answer {
	a.t.Helper()
	var got, expected any
	a.json(&got)
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		a.t.Fatalf("%v in %s", err, want)
	}
	if place := matches(expected, got, ""); place != "" {
		a.t.Errorf("%s = %s\nwhich at %s is not like %s", a.what, a.body, place, want)
	}
	return a
}

var placeholders = map[string]*regexp.Regexp{
	"<uuid>":   regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`),
	"<time>":   regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`),
	"<text>":   regexp.MustCompile(`.`),
	"<jwt>":    regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]{43}$`),
	"<token>":  regexp.MustCompile(`^[0-9a-f-]{36}_[0-9A-Za-z]{49}$`),
	"<masked>": regexp.MustCompile(`^[0-9a-f]{8}\*\*\*$`),
}

// matches compares decoded JSON; a placeholder stands for any text of its form,
// "<number>" for any number. It returns the place of the first difference.
func matches(want, got any, at string) string {
	at = cmp.Or(at, "top")
	switch want := want.(type) {
	case string:
		if _, isNumber := got.(float64); want == "<number>" && isNumber {
			return ""
		}
		if form := placeholders[want]; form != nil {
			if text, ok := got.(string); ok && form.MatchString(text) {
				return ""
			}
			return at
		}
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			return at
		}
		for name := range want {
			value, present := object[name]
			if !present {
				return at + "." + name
			}
			if place := matches(want[name], value, at+"."+name); place != "" {
				return place
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return at
		}
		for i := range want {
			if place := matches(want[i], list[i], fmt.Sprintf("%s[%d]", at, i)); place != "" {
				return place
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return at
	}
	return ""
}

// person is a user who is signed in.
type person struct {
	id, email, password, jwt string
	state                    string // of the passkey that they asked for last
}

func (p *person) session() edit { return bearer(p.jwt) }

func (s *server) setPassword(user, pass string) {
	s.t.Helper()
	s.secret(pass)
	_, err := s.local.UpdateUser(s.t.Context(), user, api.UserUpdate{Password: &pass})
	must(s.t, err)
}

// single is the single user, signed in.
func (s *server) single() *person {
	s.t.Helper()
	return s.signIn(&person{id: db.SingleUser, password: singlePassword})
}

// newUser makes a user with a password and signs in.
func (s *server) newUser(email string, roles ...string) *person {
	s.t.Helper()
	p := &person{email: email, password: "a fine day for " + email}
	s.secret(p.password)
	made, err := s.local.CreateUser(s.t.Context(), api.NewUser{Email: email, Roles: roles, Password: p.password})
	must(s.t, err)
	p.id = made.User.ID
	return s.signIn(p)
}

// signIn makes a new session for p.
func (s *server) signIn(p *person) *person {
	s.t.Helper()
	in, err := s.client().Login(s.t.Context(), api.Login{Email: p.email, Password: p.password})
	must(s.t, err)
	s.secret(in.AccessToken)
	s.secret(jtiOf(in.AccessToken))
	again := *p
	again.jwt = in.AccessToken
	return &again
}

// jtiOf is the secret of a session, from its JWT.
func jtiOf(jwt string) string {
	_, rest, _ := strings.Cut(jwt, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, _ := base64.RawURLEncoding.DecodeString(payload)
	var claims struct{ Jti string }
	_ = json.Unmarshal(text, &claims)
	return claims.Jti
}

// mint makes an API token with a credential.
func (s *server) mint(with edit, n api.NewToken) api.TokenCreated {
	s.t.Helper()
	made, err := s.client(with).CreateToken(s.t.Context(), n)
	must(s.t, err)
	s.secret(made.AccessToken)
	return made
}

// mintFor makes an API token for a user, as the local owner.
func (s *server) mintFor(p *person, n api.NewToken) api.TokenCreated {
	s.t.Helper()
	n.Owner = p.id
	made, err := s.local.CreateToken(s.t.Context(), n)
	must(s.t, err)
	s.secret(made.AccessToken)
	return made
}

// role makes a role, as the owner of the file.
func (s *server) role(name string, permissions ...string) {
	s.t.Helper()
	owner := &db.Actor{ID: db.LocalActor, Name: db.LocalActor, Permissions: db.AllPermissions}
	must(s.t, s.store.CreateRole(s.t.Context(), owner, name, db.RoleChange{Permissions: permissions}))
}

// sealed is a value in the store's envelope.
func sealed(bucket, key, value string) []byte {
	lengths := []byte{byte(len(bucket) >> 8), byte(len(bucket)), byte(len(key) >> 8), byte(len(key))}
	sum := sha256.Sum256([]byte(string(lengths) + bucket + key + value))
	return append(append([]byte{1}, sum[:8]...), value...)
}

// events returns the audit log, oldest first.
func (s *server) events() []db.Event {
	s.t.Helper()
	var events []db.Event
	err := s.store.Engine().View(s.t.Context(), func(tx db.Tx) error {
		return tx.Scan("audit", nil, nil, false, func(_, value []byte) bool {
			var e db.Event
			must(s.t, json.Unmarshal(value[9:], &e)) // behind the envelope
			events = append(events, e)
			return true
		})
	})
	must(s.t, err)
	return events
}

func (s *server) lastEvent() db.Event {
	events := s.events()
	return events[len(events)-1]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// status is the status of an error of the API client.
func status(err error) int {
	var e *api.Error
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &e):
		return e.Status
	}
	return -1
}

// clock is a clock that stands still until it is moved. It begins after the
// making of every store.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2040, 5, 6, 7, 8, 9, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// network is a listener inside the process whose connections tell a TCP
// address of the one who connects.
type network struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

type farConn struct {
	net.Conn
	remote net.Addr
}

func (c *farConn) RemoteAddr() net.Addr { return c.remote }

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	client, served := net.Pipe()
	select {
	case n.conns <- &farConn{served, net.TCPAddrFromAddrPort(a)}:
		return client, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 255), Port: 80} }
