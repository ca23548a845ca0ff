package etcdtest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Relay stands between clients and a member. It can lose what the member answers, cut
// the connections, and refuse new ones.
type Relay struct {
	Endpoint string // HOST:PORT of it

	to     string
	deaf   atomic.Bool // what the member says is lost
	closed atomic.Bool // no new connections

	mu    sync.Mutex
	conns []net.Conn
}

// NewRelay stands before a member until the test's end.
func NewRelay(t testing.TB, to string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Endpoint: l.Addr().String(), to: to}
	t.Cleanup(func() { l.Close(); r.Cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil || r.closed.Load() {
				in.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(answers{r, in}, out); in.Close() }()
		}
	}()
	return r
}

type answers struct {
	r  *Relay
	to io.Writer
}

func (a answers) Write(b []byte) (int, error) {
	if a.r.deaf.Load() {
		return len(b), nil
	}
	return a.to.Write(b)
}

// Lose loses what the member answers from now on, or no more.
func (r *Relay) Lose(lose bool) { r.deaf.Store(lose) }

// Refuse refuses new connections from now on, or no more.
func (r *Relay) Refuse(refuse bool) { r.closed.Store(refuse) }

// Cut ends all connections.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}
