package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/web/api"
	"husk/web/control"
	"husk/web/fold"
	"husk/web/listen"
	"husk/web/logtest"
)

// stage is a Relay before an application, in a server with the limits that
// Husk's has.
type stage struct {
	*testing.T
	relay *Relay
	log   *logtest.Buffer
	pass  Pass // of every request

	server *listen.Server
	http   *http.Server
	url    string // of the server
	client *http.Client
	dial   func() net.Conn

	mu      sync.Mutex
	serving int // requests
}

// ServeHTTP, ConnContext and Refuse are a listen.Handler.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.count(1)
	defer s.count(-1)
	var pass Pass
	s.passes(func(p *Pass) { pass = *p })
	s.relay.Serve(w, r, pass)
}

// passes looks at the Pass of the requests that come, or changes it.
func (s *stage) passes(f func(*Pass)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.pass)
}

func (s *stage) count(n int) (serving int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving += n
	return s.serving
}

// settles waits, in fake time, until all requests are handled.
func (s *stage) settles() {
	for s.count(0) > 0 {
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *stage) ConnContext(ctx context.Context, _ net.Conn) context.Context { return ctx }

func (s *stage) Refuse(w http.ResponseWriter, e *api.Error) { w.WriteHeader(e.Status) }

// identity is what a Pass of the tests tells of who asks.
func identity() http.Header {
	return http.Header{"Remote-User": {"user@example.com"}, "Remote-Name": {"User"}, "Remote-Email": {"user@example.com"}, "Remote-Groups": {""}}
}

func newStage(t *testing.T, c Config) *stage {
	s := &stage{T: t, log: &logtest.Buffer{}}
	c.Log = fold.New(slog.New(slog.NewJSONHandler(s.log, nil)), time.Now)
	c.Cookies = []string{"husk_session", "__Host-husk_session", "husk_gate"}
	s.relay = New(c)
	s.pass = Pass{Identity: identity(), Scheme: "https", Host: "app.example.com", Client: "192.0.2.7", RequestID: "id-1", Remove: []string{"X-Api-Token"}}
	s.server = listen.New(listen.Config{Handler: s, Log: c.Log})
	s.http = s.server.HTTPServer()
	return s
}

// onLoopback serves on real sockets, before an application that does as well. When
// the test ends nothing may be left running.
func onLoopback(t *testing.T, application http.HandlerFunc, c Config) *stage {
	return limited(t, application, c, listen.Limits{})
}

// limited is onLoopback with limits of connections.
func limited(t *testing.T, application http.HandlerFunc, c Config, limits listen.Limits) *stage {
	before := runtime.NumGoroutine()
	behind := httptest.NewServer(application)
	s := newStage(t, c)
	s.pass.Upstream = mustURL(t, behind.URL)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	limits.Log = slog.New(slog.DiscardHandler)
	pool := listen.NewPool(limits)
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(pool.Listener(l)) }()
	transport := &http.Transport{DisableCompression: true}
	s.url, s.client = "http://"+l.Addr().String(), &http.Client{Transport: transport}
	s.dial = func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.relay.Close()
		s.http.Close()
		<-done
		behind.Close()
		s.relay.Close()
		nothingRuns(t, before)
		if log := s.log.String(); strings.Contains(log, "panic") {
			t.Errorf("the log tells of a panic: %s", log)
		}
	})
	return s
}

// inBubble serves in memory, for a test in a bubble of fake time: it fails where
// something is left running.
func inBubble(t *testing.T, application http.HandlerFunc, c Config) *stage {
	s := newStage(t, c)
	front, behind := control.NewMemory(), control.NewMemory()
	s.relay.transport.DialContext = behind.DialContext
	s.pass.Upstream = mustURL(t, "http://application.example")
	hidden := &http.Server{Handler: application}
	go hidden.Serve(behind)
	s.http.Protocols = &http.Protocols{}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	go s.http.Serve(front)
	transport := &http.Transport{DialContext: front.DialContext, DisableCompression: true}
	s.url, s.client = "http://app.example.com", &http.Client{Transport: transport}
	s.dial = func() net.Conn {
		conn, err := front.DialContext(t.Context(), "", "")
		must(t, err)
		return conn
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.relay.Close()
		s.http.Close()
		hidden.Close()
		s.relay.Close()
		front.Close()
		behind.Close()
		time.Sleep(time.Second) // of fake time, which net/http takes to close
	})
	return s
}

// overHTTP2 has the clients of a stage in a bubble speak HTTP/2.
func (s *stage) overHTTP2() *stage {
	transport := s.client.Transport.(*http.Transport)
	transport.Protocols = &http.Protocols{}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return s
}

func nothingRuns(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, want %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	must(t, err)
	return u
}

// do sends a request and reads the answer to its end.
func (s *stage) do(method, path string, body io.Reader, header http.Header) (*http.Response, string) {
	s.Helper()
	res := s.open(method, path, body, header)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Errorf("half an answer: %v", err)
	}
	return res, string(text)
}

// open sends a request and reads the head of the answer.
func (s *stage) open(method, path string, body io.Reader, header http.Header) *http.Response {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+path, body)
	must(s, err)
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := s.client.Do(r)
	must(s, err)
	return res
}

// say sends bytes as they are, on a connection of its own, and reads the answer's
// head.
func (s *stage) say(text string) (*http.Response, net.Conn, *bufio.Reader) {
	s.Helper()
	conn := s.dial()
	_, err := io.WriteString(conn, text)
	must(s, err)
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	must(s, err)
	return res, conn, in
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// seen is what an application was asked, one after another.
type seen chan *http.Request

// answers is an application that keeps what it is asked.
func (s seen) answers(_ http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, r.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		panic(err)
	}
	s <- r
}
