package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"husk/db"
	"husk/web/control"
)

// wantPanic looks for the one entry of a log about a panic with a value.
func wantPanic(t *testing.T, log *testLog, message, value, about string) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var e struct{ Level, Msg, Panic, Stack string }
		if json.Unmarshal([]byte(line), &e) == nil && strings.Contains(e.Panic, value) {
			if e.Level != "ERROR" || e.Msg != message || !strings.Contains(e.Stack, "guard_test.go") || !strings.Contains(line, about) {
				t.Errorf("the log tells of the panic %q: %s", value, line)
			}
			return
		}
	}
	t.Errorf("the log does not tell of the panic %q:\n%s", value, log)
}

// panicListener panics where it is to accept.
type panicListener struct{ net.Listener }

func (panicListener) Accept() (net.Conn, error) { panic("in Accept") }

// Where nothing can be accepted any more, the server ends, with an error.
func TestPanicWhereConnectionsAreAccepted(t *testing.T) {
	s, log := testServer(t, func(*Config) {})
	err := s.Serve(t.Context(), control.NewMemory(), panicListener{control.NewMemory()})
	if !errors.Is(err, errPanicked) {
		t.Errorf("Serve = %v", err)
	}
	wantPanic(t, log, "panic in the background", "in Accept", `"listener":"memory"`)
}

// panicConn panics where the server first writes to it: outside of any handler.
type panicConn struct {
	net.Conn
	once *sync.Once
}

func (c panicConn) Write(p []byte) (int, error) {
	c.once.Do(func() { panic("in Write") })
	return c.Conn.Write(p)
}

type panicConns struct{ net.Listener }

func (l panicConns) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return panicConn{c, &sync.Once{}}, err
}

// net/http catches the panic of a connection by itself; it must not be told
// where nobody looks.
func TestPanicInAConnection(t *testing.T) {
	s, log := testServer(t, func(*Config) {})
	l := control.NewMemory()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, panicConns{l}) }()
	c, err := l.DialContext(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, wholeRequest)
	_, _ = io.Copy(io.Discard, c) // to its end
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	wantPanic(t, log, "panic in a connection", "in Write", "")
}

// What else net/http tells of connections is noise.
func TestConnectionLog(t *testing.T) {
	var out bytes.Buffer
	log := connectionLog(slog.New(slog.NewJSONHandler(&out, nil)))
	log.Print("http: TLS handshake error from 192.0.2.1:1234: EOF")
	if out.Len() > 0 {
		t.Errorf("the log has %s", &out)
	}
	log.Print("http2: panic serving 192.0.2.1:1234: the value\ngoroutine 7 [running]:\nmain.go:1")
	if !strings.Contains(out.String(), `"level":"ERROR"`) || !strings.Contains(out.String(), "the value") || !strings.Contains(out.String(), "goroutine 7") {
		t.Errorf("the log has %s", &out)
	}
}

// deadlines is a ResponseWriter that takes deadlines as long as its request is
// handled, and then panics, as that of HTTP/2 does.
type deadlines struct {
	http.ResponseWriter
	mu    sync.Mutex
	ended bool
}

func (d *deadlines) SetReadDeadline(time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		panic("a deadline after the end")
	}
	return nil
}

func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
}

func bodyRequest() *http.Request {
	return &http.Request{Method: "POST", ProtoMajor: 2, ContentLength: 5, Body: io.NopCloser(strings.NewReader("12345"))}
}

// TestStopAfterARequest has the server stop just as a request ends whose body
// nobody has read.
func TestStopAfterARequest(t *testing.T) {
	s, log := testServer(t, func(*Config) {})
	w := &deadlines{}
	r, b := s.followBody(w, bodyRequest(), "the-id")
	b.finish(r)
	w.end()
	b.hurry() // it was under way when finish took it back
	if strings.Contains(log.String(), "panic") {
		t.Errorf("the log has\n%s", log)
	}
}

func TestPanicAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := testServer(t, func(*Config) {})
		w := &deadlines{ended: true}
		s.followBody(w, bodyRequest(), "the-id")
		s.beginStop()
		synctest.Wait()
		wantPanic(t, log, "panic in the background", "a deadline after the end", `"request_id":"the-id"`)
	})
}

// panicEngine panics where it is read.
type panicEngine struct {
	db.Engine
	panics bool
}

func (e *panicEngine) View(ctx context.Context, f func(db.Tx) error) error {
	if e.panics {
		panic("in View")
	}
	return e.Engine.View(ctx, f)
}

// A scrape is answered with what could be read, and the process goes on: the
// registry collects in goroutines that nobody guards.
func TestPanicInAScrape(t *testing.T) {
	engine := &panicEngine{}
	s, log := testServer(t, func(c *Config) {
		engine.Engine = c.Store.Engine()
		var err error
		if c.Store, err = db.Open(t.Context(), engine, db.Options{}); err != nil {
			t.Fatal(err)
		}
		if c.Metrics, err = NewMetrics(prometheus.NewRegistry()); err != nil {
			t.Fatal(err)
		}
	})
	engine.panics = true
	families, err := s.Metrics.registry.Gather()
	if err != nil || len(families) < 10 {
		t.Errorf("%d families, %v", len(families), err)
	}
	wantPanic(t, log, "panic in the background", "in View", "")
}

// panicOnce is a log that panics at one message, the first time.
type panicOnce struct {
	slog.Handler
	message string
	done    *bool
}

func (h panicOnce) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.message) && !*h.done {
		*h.done = true
		panic("in the log")
	}
	return h.Handler.Handle(ctx, r)
}

// A panic about one event does not keep the next from being told.
func TestPanicInTheNotifier(t *testing.T) {
	s, log := testServer(t, func(c *Config) {
		c.Log = slog.New(panicOnce{c.Log.Handler(), "notify-command failed", new(bool)})
		c.NotifyCommand = "/nonexistent/program"
	})
	ctx, cancel := context.WithCancel(t.Context())
	stop := s.startWatch(ctx)
	s.tell(notice{Event: eventFull})
	s.tell(notice{Event: eventDamaged})
	until(t, func() bool { return strings.Contains(log.String(), `"event":"store_damaged"`) })
	wantPanic(t, log, "panic in the background", "in the log", "")
	cancel()
	stop()
}

// Requests share a commit, and their functions run in the goroutine of one of
// them: each panic is that of its own request all the same.
func TestPanicInASharedCommit(t *testing.T) {
	s, log := testServer(t, func(*Config) {})
	l := control.NewMemory()
	for _, name := range []string{"first", "second", "third"} {
		err := s.add(route{method: "POST", path: "/panics/" + name, need: isPublic, effect: changes, do: raw(func(c echo.Context, _ *db.Actor) error {
			return s.Store.Engine().Update(c.Request().Context(), func(tx db.Tx) error {
				if err := tx.Put("b", []byte(name), []byte("v")); err != nil || name == "second" {
					return err
				}
				panic("in the function of " + requestID(c))
			})
		})})
		if err != nil {
			t.Fatal(err)
		}
	}
	hs := s.HTTPServer()
	go hs.Serve(l)
	defer hs.Close()
	var all sync.WaitGroup
	for _, name := range []string{"first", "second", "third"} {
		all.Go(func() {
			c, err := l.DialContext(t.Context(), "", "")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /panics/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", name)
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			id := r.Header.Get(headerRequestID)
			if want := map[bool]int{true: 200, false: 500}[name == "second"]; r.StatusCode != want {
				t.Errorf("%s is %d", name, r.StatusCode)
			} else if want == 500 {
				wantPanic(t, log, "panic in a request", "in the function of "+id, `"request_id":"`+id+`"`)
			}
		})
	}
	all.Wait()
}
