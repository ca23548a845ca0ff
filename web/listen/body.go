package listen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// body is a request's body. When the server stops, it may stand still for
// freshGrace at most: a client that sends half of it and waits would hold the
// server.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	forget  func() bool // ends the wait for the stop

	mu       sync.Mutex
	id       string        // of the request, for the log; see Name
	patience time.Duration // how long the next piece of a long body may take; 0: the limit of the server is for all of it
	hurried  bool
	ended    bool // nothing more is to be read, or the request is handled
}

// followBody returns the request with a body that does not outlast a stop by
// much; call its finish when the request is handled. What is returned is a copy:
// net/http looks at the type of its own request's body.
func (s *Server) followBody(w http.ResponseWriter, r *http.Request) (*http.Request, *body) {
	b := &body{ReadCloser: r.Body, control: http.NewResponseController(w)}
	b.forget = context.AfterFunc(s.stopping, func() { Guard(s.Log.Logger, b.hurry, "request_id", b.name()) })
	r = r.WithContext(r.Context())
	r.Body = b
	return r, b
}

// Name tells the id of a request, with which the log has what goes wrong about
// its body.
func Name(r *http.Request, id string) {
	if b, ok := r.Body.(*body); ok {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.id = id
	}
}

func (b *body) name() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.id
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
