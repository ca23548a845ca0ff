package relay

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"husk/web/listen"
)

// errNotAsked and errNoStatus are answers that are none.
var (
	errNotAsked = errors.New("it switches to a protocol that nobody asked for")
	errNoStatus = errors.New("its status is none")
)

// upgraded is the connection of a client that is a WebSocket now. net/http has no
// limits for it any more, and a server that stops does not know it.
type upgraded struct {
	net.Conn
	early    *bufio.Reader // what the client sent before it was answered; nil: nothing more
	patience time.Duration
	turns    turns
	half     atomic.Bool // one side has said its last; the other is given a while to do so
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	x := a.of
	x.mu.Lock()
	defer x.mu.Unlock()
	c, rw, err := x.control().Hijack()
	if err != nil {
		return c, rw, err
	}
	a.begun.Store(true)
	x.conn = &upgraded{Conn: c, patience: x.relay.StallTimeout}
	if rw.Reader.Buffered() > 0 {
		x.conn.early = rw.Reader
	}
	x.hold()
	listen.From(x).PassOn()
	if x.broken != nil || !x.relay.remember(x) {
		c.Close()
	}
	return x.conn, rw, nil
}

// remember tells false where the server has begun to stop.
func (p *Relay) remember(x *exchange) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upgraded[x] = struct{}{}
	return !p.closed
}

func (p *Relay) forget(x *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.upgraded, x)
}

// Read implements net.Conn.
func (c *upgraded) Read(p []byte) (n int, err error) {
	if early := c.early; early != nil {
		n, err = early.Read(p[:min(len(p), early.Buffered())])
		if early.Buffered() == 0 {
			c.early = nil
		}
	} else {
		n, err = c.Conn.Read(p)
	}
	c.turns.Add(1)
	if err != nil {
		c.half.Store(true)
	}
	return n, err
}

// Write implements net.Conn.
func (c *upgraded) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(c.patience))
	n, err := c.Conn.Write(p)
	c.turns.Add(1)
	return n, err
}

// CloseWrite passes on that the upstream has said its last.
func (c *upgraded) CloseWrite() error {
	c.half.Store(true)
	if one, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return one.CloseWrite()
	}
	return http.ErrNotSupported
}

// A WebSocket is open for hours and mostly silent: its buffers are small.
const upgradedBuffer = 4 << 10

// WriteTo implements io.WriterTo.
func (c *upgraded) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(w, struct{ io.Reader }{c}, make([]byte, upgradedBuffer))
}

// ReadFrom implements io.ReaderFrom.
func (c *upgraded) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{c}, r, make([]byte, upgradedBuffer))
}
