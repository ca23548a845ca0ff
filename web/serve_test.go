package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/bolt"
	"husk/web/control"
	"husk/web/password"
)

// testLog is a log that can be read while it is written.
type testLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func testServer(t *testing.T, edit func(*Config)) (*Server, *testLog) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	engine, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := db.Open(t.Context(), engine, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeWhole(t, store)
	log := &testLog{}
	config := Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}),
		Log: slog.New(slog.NewJSONHandler(log, nil)), Version: "test"}
	edit(&config)
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// drained is a server in a bubble of fake time, with clients in memory.
type drained struct {
	*Server
	t    *testing.T
	l    *control.Memory
	end  context.CancelFunc // as SIGTERM does
	done chan struct{}      // closed when Serve has returned
	err  error
	hold chan struct{} // closing it ends GET /hold
}

func newDrained(t *testing.T) *drained {
	s, _ := testServer(t, func(*Config) {})
	d := &drained{Server: s, t: t, l: control.NewMemory(), done: make(chan struct{}), hold: make(chan struct{})}
	hold := func(c echo.Context, _ *db.Actor) error {
		if _, err := readBody(c); err != nil {
			return err
		}
		select {
		case <-d.hold:
			return c.String(200, "held")
		case <-c.Request().Context().Done():
			return c.Request().Context().Err()
		}
	}
	for _, method := range []string{"GET", "POST"} {
		if err := s.add(route{method: method, path: "/hold", need: isPublic, effect: onlyAsks, do: raw(hold)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.end = cancel
	go func() {
		defer close(d.done)
		d.err = s.Serve(ctx, d.l)
	}()
	return d
}

func (d *drained) dial() net.Conn {
	c, err := d.l.DialContext(d.t.Context(), "", "")
	if err != nil {
		d.t.Fatal(err)
	}
	synctest.Wait()
	return c
}

func (d *drained) send(c net.Conn, text string) {
	if text == "" {
		return
	}
	if _, err := io.WriteString(c, text); err != nil {
		d.t.Errorf("send %q: %v", text, err)
	}
}

// answer reads one answer to its end.
func (d *drained) answer(c net.Conn) (*http.Response, string) {
	d.t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		d.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Errorf("half an answer: %v", err)
	}
	return r, string(body)
}

// took ends the server and tells how long that took.
func (d *drained) took() time.Duration {
	began := time.Now()
	d.end()
	<-d.done
	if d.err != nil {
		d.t.Errorf("the end of the server: %v", d.err)
	}
	return time.Since(began)
}

const (
	wholeRequest = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	heldRequest  = "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n"
	postTo       = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)

// TestDrainIsNotHeld ends a server beside a client that waits, for each kind
// of waiting. Time is fake, so the bounds are exact.
func TestDrainIsNotHeld(t *testing.T) {
	login, nowhere := fmt.Sprintf(postTo, "/account/login"), fmt.Sprintf(postTo, "/nowhere")
	for _, c := range []struct {
		name   string
		kept   bool   // the connection has had an answer before
		sends  string // and then waits
		atMost time.Duration
	}{
		{"a silent connection", false, "", freshGrace},
		{"half a header", false, "GET /livez HTTP/1.1\r\nHo", freshGrace},
		{"a kept connection", true, "", idleGrace},
		{"half a header on a kept connection", true, "GET /livez HTTP/1.1\r\nHo", idleGrace},
		{"half a body", false, login + "Content-Length: 100\r\n\r\n{", freshGrace},
		{"half a body on a kept connection", true, login + "Content-Length: 100\r\n\r\n{", freshGrace},
		{"half a chunk", false, login + "Transfer-Encoding: chunked\r\n\r\n5\r\n{", freshGrace},
		{"a body that nobody reads", false, nowhere + "Content-Length: 100\r\n\r\n{", freshGrace},
		{"a body that is not begun", false, nowhere + "Content-Length: 100\r\n\r\n", freshGrace},
		{"a request that does not end", false, heldRequest, DrainTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrained(t)
				conn := d.dial()
				defer conn.Close()
				if c.kept {
					d.send(conn, wholeRequest)
					d.answer(conn)
				}
				d.send(conn, c.sends)
				go io.Copy(io.Discard, conn)
				// http.Server's Shutdown looks twice a second.
				if took := d.took(); took > c.atMost+510*time.Millisecond {
					t.Errorf("the end took %v, want at most %v", took, c.atMost)
				}
			})
		})
	}
}

func TestDrainWithoutClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if took := newDrained(t).took(); took > 10*time.Millisecond {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestDrainAnswers ends a server while clients are in the middle of something.
// Each gets its answer. One that was begun after the end is the last of its
// connection and says so; after another one, the next request gets that.
func TestDrainAnswers(t *testing.T) {
	login := fmt.Sprintf(postTo, "/account/login")
	for _, c := range []struct {
		name   string
		kept   bool
		before string        // sent before the end begins
		wait   time.Duration // of the end
		after  string        // sent after that
		status int
	}{
		{"accepted and not read", false, "", time.Second, wholeRequest, 200},
		{"half a header", false, wholeRequest[:20], time.Second, wholeRequest[20:], 200},
		{"on its way on a kept connection", true, "", idleGrace - 10*time.Millisecond, wholeRequest, 200},
		{"half a body", false, login + "Content-Length: 15\r\n\r\n{\"passw", time.Second, "ord\":\"\"}", 400},
		{"a slow answer", false, heldRequest, 9 * time.Second, "", 200},
		// The bound on the body must not outlast the body.
		{"a slow answer to a request with a body", false, fmt.Sprintf(postTo, "/hold") + "Content-Length: 2\r\n\r\n{", time.Second, "}", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrained(t)
				conn := d.dial()
				defer conn.Close()
				if c.kept {
					d.send(conn, wholeRequest)
					d.answer(conn)
				}
				d.send(conn, c.before)
				d.end()
				time.AfterFunc(c.wait, func() {
					d.send(conn, c.after)
					time.AfterFunc(5*time.Second, func() { close(d.hold) })
				})
				if strings.HasPrefix(c.before, heldRequest) {
					time.AfterFunc(c.wait, func() { close(d.hold) })
				}
				r, body := d.answer(conn)
				if r.StatusCode != c.status {
					t.Errorf("want %d, got %d: %s", c.status, r.StatusCode, body)
				}
				if !r.Close {
					time.Sleep(idleGrace - 10*time.Millisecond)
					d.send(conn, wholeRequest)
					r, _ = d.answer(conn)
				}
				if !r.Close {
					t.Errorf("the connection does not end with %d, %v", r.StatusCode, r.Header)
				}
				<-d.done
			})
		})
	}
}

// TestDrainAcceptsNothing: what comes after the end has begun is for the next
// server, also while this one drains.
func TestDrainAcceptsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrained(t)
		conn := d.dial()
		defer conn.Close()
		d.send(conn, heldRequest)
		d.end()
		synctest.Wait()
		if c, err := d.l.DialContext(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a server that drains accepted %v, %v", c, err)
		}
		close(d.hold)
		d.answer(conn)
		<-d.done
	})
}

// TestConnectionsAreForgotten: what is known of a connection ends with it.
func TestConnectionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conns connections
		l := control.NewMemory()
		s, _ := testServer(t, func(*Config) {})
		hs := s.HTTPServer()
		hs.ConnState = conns.note
		go hs.Serve(l)
		defer hs.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: l.DialContext, DisableKeepAlives: true}}
		for range 10 {
			r, err := client.Get("http://husk/livez")
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
		}
		synctest.Wait()
		known := 0
		conns.states.Range(func(any, any) bool { known++; return true })
		if known != 0 {
			t.Errorf("%d connections that ended are known still", known)
		}
	})
}

// TestListenerThatFails: the server ends with what its listener said.
func TestListenerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrained(t)
		synctest.Wait()
		d.l.Close()
		<-d.done
		if !errors.Is(d.err, net.ErrClosed) || !strings.Contains(d.err.Error(), "serve on memory") {
			t.Errorf("the error is %v", d.err)
		}
	})
}
