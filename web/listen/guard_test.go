package listen

import (
	"bytes"
	"context"
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

	"husk/web/control"
	"husk/web/fold"
	"husk/web/logtest"
)

// panicListener panics where it is to accept.
type panicListener struct{ net.Listener }

func (panicListener) Accept() (net.Conn, error) { panic("in Accept") }

// Where nothing can be accepted any more, the server ends, with an error.
func TestPanicWhereConnectionsAreAccepted(t *testing.T) {
	s, log := testServer(http.NotFoundHandler())
	err := s.Serve(t.Context(), control.NewMemory(), panicListener{control.NewMemory()})
	if !errors.Is(err, errPanicked) {
		t.Errorf("Serve = %v", err)
	}
	logtest.WantPanic(t, log, "panic in the background", "in Accept", `"listener":"memory"`)
}

// A server whose work in the background has ended for a panic ends too: last uses
// would not be written down any more.
func TestPanicInTheBackground(t *testing.T) {
	s, log := testServer(http.NotFoundHandler())
	s.Background = func(context.Context) { panic("in the work") }
	if err := s.Serve(t.Context(), control.NewMemory()); !errors.Is(err, errPanicked) || !strings.Contains(err.Error(), "background") {
		t.Errorf("Serve = %v", err)
	}
	logtest.WantPanic(t, log, "panic in the background", "in the work", "")
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
	s, log := testServer(http.NotFoundHandler())
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
	logtest.WantPanic(t, log, "panic in a connection", "in Write", "")
}

// What else net/http tells of connections is noise.
func TestConnectionLog(t *testing.T) {
	var out bytes.Buffer
	log := connectionLog(fold.New(slog.New(slog.NewJSONHandler(&out, nil)), time.Now))
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
	s, log := testServer(http.NotFoundHandler())
	w := &deadlines{}
	r, b := s.followBody(w, bodyRequest())
	b.finish(r)
	w.end()
	b.hurry() // it was under way when finish took it back
	if strings.Contains(log.String(), "panic") {
		t.Errorf("the log has\n%s", log)
	}
}

func TestPanicAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := testServer(http.NotFoundHandler())
		w := &deadlines{ended: true}
		r, _ := s.followBody(w, bodyRequest())
		Name(r, "the-id")
		s.beginStop()
		synctest.Wait()
		logtest.WantPanic(t, log, "panic in the background", "a deadline after the end", `"request_id":"the-id"`)
	})
}
