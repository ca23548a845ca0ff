package control

import (
	"context"
	"net"
	"sync"
)

// Memory is a net.Listener inside the process: what DialContext returns talks
// to what Accept returns. It lets a command serve the handler to itself, so
// that there is one HTTP path whether a server runs or not. It runs no
// goroutine of its own.
type Memory struct {
	conns  chan net.Conn
	peer   Peer
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*Memory)(nil)

// NewMemory returns an open Memory. Its peer is this process with the user that
// it has now.
func NewMemory() *Memory {
	me := self()
	me.Offline = true
	return &Memory{conns: make(chan net.Conn), closed: make(chan struct{}), peer: me}
}

// Accept waits for a DialContext and returns its other end, a *Conn whose peer
// is this process. After Close the error is net.ErrClosed.
func (m *Memory) Accept() (net.Conn, error) {
	if m.isClosed() {
		return nil, m.error("accept", net.ErrClosed)
	}
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, m.error("accept", net.ErrClosed)
	}
}

// DialContext connects to the Accept of the same Memory and waits for it as
// long as ctx lasts. Network and address are ignored: it fits
// http.Transport.DialContext. After Close the error is net.ErrClosed.
func (m *Memory) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if m.isClosed() {
		return nil, m.error("dial", net.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, m.error("dial", err)
	}
	client, server := net.Pipe()
	select {
	case m.conns <- &Conn{Conn: server, who: is(m.peer, true)}:
		return client, nil
	case <-m.closed:
		return nil, m.error("dial", net.ErrClosed)
	case <-ctx.Done():
		return nil, m.error("dial", ctx.Err())
	}
}

// Close ends every waiting Accept and DialContext. Connections that were made
// stay open.
func (m *Memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr returns the address "memory" of the network "memory".
func (m *Memory) Addr() net.Addr { return memoryAddr{} }

// isClosed is asked first: a select takes either of two ready channels.
func (m *Memory) isClosed() bool {
	select {
	case <-m.closed:
		return true
	default:
		return false
	}
}

func (m *Memory) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Addr: m.Addr(), Err: err}
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
