package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"husk/web/api"
	"husk/web/control"
	"husk/web/fold"
	"husk/web/logtest"
)

// testServer is a Server of a handler, and its log.
func testServer(handler http.Handler) (*Server, *logtest.Buffer) {
	out := &logtest.Buffer{}
	return New(Config{Handler: testHandler{handler}, Log: fold.New(slog.New(slog.NewJSONHandler(out, nil)), time.Now)}), out
}

// testHandler refuses with a status alone.
type testHandler struct{ http.Handler }

func (testHandler) ConnContext(ctx context.Context, _ net.Conn) context.Context { return ctx }

func (testHandler) Refuse(w http.ResponseWriter, e *api.Error) { w.WriteHeader(e.Status) }

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
	d := &drained{t: t, l: control.NewMemory(), done: make(chan struct{}), hold: make(chan struct{})}
	answers := http.NewServeMux()
	answers.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	answers.HandleFunc("POST /whole", func(w http.ResponseWriter, r *http.Request) { readWhole(w, r) })
	answers.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		if readWhole(w, r) {
			select {
			case <-d.hold:
			case <-r.Context().Done():
			}
		}
	})
	d.Server, _ = testServer(answers)
	ctx, cancel := context.WithCancel(t.Context())
	d.end = cancel
	go func() {
		defer close(d.done)
		d.err = d.Serve(ctx, d.l)
	}()
	return d
}

// readWhole reads a body, and refuses one that is cut.
func readWhole(w http.ResponseWriter, r *http.Request) (whole bool) {
	_, err := io.Copy(io.Discard, r.Body)
	if whole = err == nil; !whole {
		w.WriteHeader(http.StatusBadRequest)
	}
	return whole
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
	whole, nowhere := fmt.Sprintf(postTo, "/whole"), fmt.Sprintf(postTo, "/nowhere")
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
		{"half a body", false, whole + "Content-Length: 100\r\n\r\n{", freshGrace},
		{"half a body on a kept connection", true, whole + "Content-Length: 100\r\n\r\n{", freshGrace},
		{"half a chunk", false, whole + "Transfer-Encoding: chunked\r\n\r\n5\r\n{", freshGrace},
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
	whole := fmt.Sprintf(postTo, "/whole")
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
		{"half a body", false, whole + "Content-Length: 15\r\n\r\n{\"passw", time.Second, "ord\":\"\"}", 200},
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
		s, _ := testServer(http.NotFoundHandler())
		l, hs := control.NewMemory(), s.HTTPServer()
		hs.ConnState = s.connections.note
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
		s.connections.states.Range(func(any, any) bool { known++; return true })
		if known != 0 {
			t.Errorf("%d connections that ended are known still", known)
		}
	})
}

// TestBackgroundOutlastsTheRequests: what goes on beside them ends when the last one
// is answered, and the server when that has ended.
func TestBackgroundOutlastsTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &drained{t: t, l: control.NewMemory()}
		hold, end := make(chan struct{}), make(chan struct{})
		d.Server, _ = testServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
		var ends atomic.Bool
		d.Background = func(ctx context.Context) {
			<-ctx.Done()
			ends.Store(true)
			<-end
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Serve(ctx, d.l) }()
		conn := d.dial()
		defer conn.Close()
		d.send(conn, heldRequest)
		synctest.Wait()
		stop()
		time.Sleep(DrainTimeout / 2)
		if ends.Load() {
			t.Error("the background ended before the last answer")
		}
		close(hold)
		d.answer(conn)
		time.Sleep(idleGrace + time.Second)
		select {
		case err := <-done:
			t.Errorf("the server ended before the background, %v", err)
		default:
		}
		if !ends.Load() {
			t.Error("the background does not end")
		}
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRequestsFindTheirConnection: a handler that streams holds it.
func TestRequestsFindTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := make(chan *Conn, 1)
		s, _ := testServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { found <- From(r.Context()) }))
		d := &drained{Server: s, t: t, l: control.NewMemory()}
		hs := s.HTTPServer()
		go hs.Serve(NewPool(Limits{}).Listener(d.l))
		defer hs.Close()
		conn := d.dial()
		defer conn.Close()
		d.send(conn, wholeRequest)
		d.answer(conn)
		if c := <-found; c == nil {
			t.Error("a request does not know its connection")
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
