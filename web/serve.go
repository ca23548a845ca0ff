package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"husk/web/listen"
)

// Limits of connections: net/http's own defaults wait for ever.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // the whole request; routes that stream lift it
	writeTimeout      = 60 * time.Second // the whole answer, from the end of the header
	idleTimeout       = 60 * time.Second

	// maxHeader is the longest header of a request, its first line included.
	maxHeader      = 16 << 10
	maxHeaderBytes = maxHeader - 4096 // net/http allows itself so much more

	// maxFields is how many lines it may have. A short field takes some 100
	// bytes of memory, as long as its request does.
	maxFields = 100
	// maxStreams is how many requests of HTTP/2 a connection has at once.
	maxStreams = 32
	// maxUnreadStreams is how much of their bodies waits unread.
	maxUnreadStreams = 256 << 10
)

// Limits of the end of a server, counted from its beginning unless told
// otherwise.
const (
	// DrainTimeout is how long what is in flight may take to finish.
	DrainTimeout = 10 * time.Second
	// freshGrace is how long a connection may take to send its first request,
	// or a request to send the next piece of its body.
	freshGrace = 2 * time.Second
	// idleGrace is how long a kept connection may still send a request, from
	// when it became idle. It is answered with "Connection: close". Closed at
	// once, it would lose the request that is on its way just then.
	idleGrace = 500 * time.Millisecond
	// closeGrace is how long connections that were closed may take to be gone.
	closeGrace = time.Second
)

// HTTPServer returns an http.Server for s with its limits.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ConnContext:       ConnContext,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxUnreadStreams},
		ErrorLog:          connectionLogBy(s.folds),
	}
}

// Serve answers on the listeners and does the background work until ctx ends
// or a listener fails. Then it closes the listeners, lets what was accepted
// finish for at most DrainTimeout, and returns when everything is written.
//
// It serves once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.loopback.Store(onLoopback(listeners))
	hs := s.HTTPServer()
	var conns connections
	hs.ConnState = conns.note
	var accepting, working sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() {
			err := errPanicked
			s.background(func() { err = hs.Serve(ownWords{l}) }, "listener", l.Addr().String())
			if ctx.Err() == nil {
				stop(fmt.Errorf("serve on %s: %w", l.Addr(), err))
			}
		})
	}
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	working.Go(func() {
		if !s.background(func() { s.Run(background) }) {
			stop(fmt.Errorf("work in the background: %w", errPanicked))
		}
	})

	<-ctx.Done()
	// Shutdown would close the listeners too, but drop what was accepted and
	// not read yet. So nothing is accepted any more before anything is closed;
	// what the kernel queues on an inherited socket is for the next server.
	for _, l := range listeners {
		l.Close()
	}
	accepting.Wait()
	s.drain(hs, &conns)
	endBackground()
	working.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// drain answers what was accepted, and ends all connections. Neither one that
// says nothing nor one that stops in the middle of a request holds it.
func (s *Server) drain(hs *http.Server, conns *connections) {
	conns.ending.Store(true)
	s.beginStop()
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for now := began; conns.sweep(began, now) > 0; now = <-tick.C {
		if now.Sub(began) >= DrainTimeout {
			hs.Close()
			return
		}
	}
	// Shutdown waits for those that were closed and are not gone yet.
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if hs.Shutdown(ctx) != nil {
		hs.Close()
	}
}

// connections knows the state of every connection of an http.Server, which
// knows it too and does not tell. A request costs it no lock.
type connections struct {
	states sync.Map    // net.Conn to *connection
	ending atomic.Bool // from now on it matters since when one is idle
}

type connection struct {
	limited *listen.Conn
	state   atomic.Int32 // an http.ConnState; StateNew is 0
	idle    atomic.Int64 // since when, in Unix nanoseconds; 0: since before the end
}

// note is an http.Server's ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.states.Store(conn, &connection{limited: listen.Of(conn)})
	case http.StateClosed, http.StateHijacked:
		c.states.Delete(conn)
	default:
		v, ok := c.states.Load(conn)
		if !ok {
			return
		}
		known := v.(*connection)
		if state == http.StateIdle {
			nextHeader(conn)
			if c.ending.Load() {
				known.idle.Store(time.Now().UnixNano())
			}
		}
		known.state.Store(int32(state))
		known.limited.Note(state)
	}
}

// sweep closes the connections whose time is over and counts the others.
//
// One that becomes idle after the end began has its grace from then on: the
// header of its answer may have left before, and did not tell the client that
// the connection ends.
func (c *connections) sweep(began, now time.Time) (open int) {
	c.states.Range(func(conn, v any) bool {
		known := v.(*connection)
		over := false
		switch http.ConnState(known.state.Load()) {
		case http.StateNew:
			over = now.Sub(began) > freshGrace
		case http.StateIdle:
			since := max(began.UnixNano(), known.idle.Load())
			over = now.UnixNano()-since > int64(idleGrace)
		}
		if over {
			conn.(net.Conn).Close()
		} else {
			open++
		}
		return true
	})
	return open
}

// body is a request's body. When the server stops, it may stand still for
// freshGrace at most: a client that sends half of it and waits would hold the
// server.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	forget  func() bool // ends the wait for the stop

	mu       sync.Mutex
	patience time.Duration // how long the next piece of a long body may take; 0: the limit of the server is for all of it
	hurried  bool
	ended    bool // nothing more is to be read, or the request is handled
}

// followBody returns the request of an id with a body that does not outlast a
// stop by much; call its finish when the request is handled. What is returned is a copy: net/http
// looks at the type of its own request's body.
func (s *Server) followBody(w http.ResponseWriter, r *http.Request, id string) (*http.Request, *body) {
	b := &body{ReadCloser: r.Body, control: http.NewResponseController(w)}
	b.forget = context.AfterFunc(s.stopping, func() { s.background(b.hurry, "request_id", id) })
	r = r.WithContext(r.Context())
	r.Body = b
	return r, b
}

// maxUnread is how much of an unread body is read on. It is net/http's own
// bound.
const maxUnread = 256 << 10

// finish reads on to the end of a short body that nobody read. net/http would
// do so before it sends the answer, but without an end to its patience. A
// client that was told nothing yet (100-continue) may never send it.
//
// Afterwards nothing touches the connection any more, also where a stop has
// just begun: net/http's HTTP/2 panics where a deadline is set for a request
// that is handled.
func (b *body) finish(r *http.Request) {
	defer func() {
		b.forget()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ended = true
	}()
	if r.ProtoMajor == 1 && r.ContentLength <= maxUnread && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, b, maxUnread)
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.awaitPiece()
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended || !b.hurried && b.patience == 0:
	case errors.Is(err, io.EOF):
		// net/http reads on, to see the client leave, and takes a deadline
		// that passes for that. It has lifted it just now; hurry may have
		// come after that.
		b.setDeadline(time.Time{})
	case err == nil && b.hurried:
		b.setDeadline(time.Now().Add(freshGrace))
	}
	b.ended = b.ended || err != nil
	return n, err
}

// awaitPiece gives the next piece of a long body its time.
func (b *body) awaitPiece() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.patience > 0 && !b.hurried && !b.ended {
		b.setDeadline(time.Now().Add(b.patience))
	}
}

// patientBody lifts the time limit of a whole body, for one that is long: only
// a piece of it that does not come ends it.
func patientBody(c echo.Context, patience time.Duration) {
	if b, ok := c.Request().Body.(*body); ok {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.patience = patience
	}
}

func (b *body) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.hurried = true
		b.setDeadline(time.Now().Add(freshGrace))
	}
}

// setDeadline has no effect on a connection in memory, as of a test.
func (b *body) setDeadline(t time.Time) { _ = b.control.SetReadDeadline(t) }
