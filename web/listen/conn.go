package listen

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Conn is a connection of a Pool. Note, Hold, PassOn and Stream do nothing on nil, which
// is what Of and From return for a connection that has no limits.
type Conn struct {
	net.Conn
	pool    *Pool
	network netip.Addr
	trusted bool

	mu      sync.Mutex
	phase   http.ConnState
	since   time.Time // when the phase, or the request, began
	read    int64     // bytes, since then
	streams int64     // weight of HTTP/2's
	weight  int64     // as the pool counts it
	ending  int64     // the same when it was closed in a header
	passes  bool      // see PassOn
	held    bool
	gone    bool
}

// Of returns the *Conn beneath c, which may be wrapped by what has a NetConn
// method, as tls.Conn; nil where there is none.
func Of(c net.Conn) *Conn {
	for c != nil {
		if own, is := c.(*Conn); is {
			return own
		}
		wrapped, is := c.(interface{ NetConn() net.Conn })
		if !is {
			return nil
		}
		c = wrapped.NetConn()
	}
	return nil
}

type contextKey struct{}

// Context returns ctx with what From finds: the *Conn beneath c.
func Context(ctx context.Context, c net.Conn) context.Context {
	if own := Of(c); own != nil {
		return context.WithValue(ctx, contextKey{}, own)
	}
	return ctx
}

// From returns the connection of a request, or nil.
func From(ctx context.Context) *Conn {
	c, _ := ctx.Value(contextKey{}).(*Conn)
	return c
}

// NetConn returns the connection that c bounds.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.pool.mu.Lock()
	c.pool.remove(c)
	if ended := c.ended(); ended > 0 {
		c.pool.ending.Add(-ended)
		c.pool.freed.Broadcast()
	}
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets net/http end its side first, so that a refusal arrives
// before the connection is reset.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ReadFrom implements io.ReaderFrom: files go out by the kernel where it can.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// Read implements net.Conn. Nothing is read of a connection that is closed for
// what it has read: it would be taken apart, and held, for nobody.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.count(int64(n)) {
		return 0, net.ErrClosed
	}
	return n, err
}

// count tells whether c is still open.
func (c *Conn) count(n int64) bool {
	c.change(func() {
		if c.phase == http.StateIdle && c.read == 0 {
			c.since = c.pool.Now() // the next request begins
		}
		c.read += n
	})
	c.pool.awaitRoom(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone
}

// Note takes what an http.Server's ConnState tells. For HTTP/1 that is
// StateActive only when a whole header was read.
func (c *Conn) Note(state http.ConnState) {
	if c == nil {
		return
	}
	c.change(func() {
		c.phase, c.read = state, 0
		if state == http.StateIdle {
			c.since, c.held, c.passes = c.pool.Now(), false, false
		}
	})
}

// Hold keeps a connection as long as there is another one to close, until its
// request is answered. It is for streams that somebody with rights asked for:
// they take long, and would be the oldest.
func (c *Conn) Hold() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.held = true
	c.mu.Unlock()
}

// PassOn tells that what comes is passed on at once, and not kept: until the
// connection is idle, it weighs as much as the buffers for that.
func (c *Conn) PassOn() {
	if c == nil {
		return
	}
	c.change(func() { c.passes = true })
}

// Stream counts a request of HTTP/2, of which a connection has many at once,
// until done is called.
func (c *Conn) Stream(body bool) (done func()) {
	if c == nil {
		return func() {}
	}
	n := int64(streamWeight)
	if body {
		n += streamBody
	}
	c.change(func() { c.streams += n })
	return func() { c.change(func() { c.streams -= n }) }
}

// What half-read requests hold, as measured with 1,000 connections: net/http
// keeps 20 bytes and more for a byte of a header that is all short fields, and
// a body that is read as a whole takes up to twice its size.
const (
	freeBytes    = 3 << 10   // a TLS handshake, and a header as clients send it
	headerWeight = 32        // of a byte
	bodyWeight   = 2         // of a byte
	bodyBytes    = 256 << 10 // of a body; what is longer is streamed
	passWeight   = 64 << 10  // two buffers
	streamWeight = 32 << 10
	streamBody   = 128 << 10
)

// weigh estimates what c holds and returns by how much that has grown, with
// c.mu held.
func (c *Conn) weigh() (more int64) {
	if c.gone {
		return 0
	}
	now := c.streams
	switch beyond := max(0, c.read-freeBytes); {
	case c.passes:
		now += min(beyond, passWeight)
	case c.phase == http.StateActive:
		now += bodyWeight * min(beyond, bodyBytes)
	default:
		now += headerWeight * beyond
	}
	more, c.weight = now-c.weight, now
	return more
}

// change changes what c is weighed by, and has the pool make room where it is too
// heavy.
func (c *Conn) change(f func()) {
	c.mu.Lock()
	f()
	more, p := c.weigh(), c.pool
	c.mu.Unlock()
	if more != 0 && p.weight.Add(more) > p.Memory && p.Memory > 0 && more > 0 {
		p.lighten()
	}
}

// leave ends the counting and returns what c weighed, and how much of that is a
// header's, which its server holds until it has found out.
func (c *Conn) leave() (weight, ending int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	weight = c.weight
	if c.phase != http.StateActive {
		c.ending = weight
	}
	c.weight, c.gone = 0, true
	return weight, c.ending
}

// ended returns, once, what leave did.
func (c *Conn) ended() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	ending := c.ending
	c.ending = 0
	return ending
}
