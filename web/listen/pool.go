// Package listen owns the connections of a server: how many there are and what
// they may hold, what is refused before a handler sees it, and how all of them
// end. It knows no routes.
//
// The flow. A Pool belongs to one door, and its Listener goes beneath TLS, so
// that handshakes count too. Nobody is turned away: where a bound is reached, a
// connection is closed to make room for the new one. Who has most of them gives
// first, and of these the one that has been idle for longest. Where none is
// idle it is the oldest that has not ended its request, else as many slow
// senders as there is room for would keep out everybody else. A Pool has no
// goroutine: room is made by who needs it. What a connection is at is told by
// Note, which is for an http.Server's ConnState.
//
// A Server takes the listeners of all doors and serves one Handler on them.
// What net/http refuses by itself is said in Husk's words (refusal.go); what has
// too many fields goes to Handler.Refuse, all else to its ServeHTTP, with a body
// that does not outlast a stop (body.go). When Serve is to end, nothing more is
// accepted, what was accepted is answered, and then what went on beside the
// requests ends. Guard keeps a panic in any goroutine from ending the process.
package listen

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a Pool. A bound of 0 is none.
type Limits struct {
	Door       string // what the log calls it
	Total      int    // connections
	PerNetwork int    // of an IPv4 address or an IPv6 /64

	// Memory bounds the estimated bytes that requests under way hold beyond
	// what every connection costs.
	Memory int64

	// Trusted tells the addresses of proxies, which speak for many: PerNetwork
	// is not for them, and what others have is closed first. nil: there are none.
	Trusted func(netip.Addr) bool

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// Pool is the connections of one door, which may have several listeners.
type Pool struct {
	Limits

	mu       sync.Mutex
	open     map[*Conn]struct{}
	networks map[netip.Addr]int // connections of each
	told     time.Time          // when the log was told last
	untold   counts

	weight atomic.Int64 // of all connections, see Conn.weigh
	ending atomic.Int64 // of those that were closed in a header, until their server let go of them
	freed  *sync.Cond   // on mu: ending has fallen, or a connection was closed
	closed [reasons]atomic.Int64
}

// NewPool makes a Pool without connections.
func NewPool(limits Limits) *Pool {
	if limits.Now == nil {
		limits.Now = time.Now
	}
	p := &Pool{Limits: limits, open: map[*Conn]struct{}{}, networks: map[netip.Addr]int{}}
	p.freed = sync.NewCond(&p.mu)
	return p
}

// Listener returns l with the limits of p. Its connections are of the type
// *Conn.
func (p *Pool) Listener(l net.Listener) net.Listener { return listener{l, p} }

type listener struct {
	net.Listener
	pool *Pool
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.pool.take(c), nil
}

// take adds a connection, for which another one may have to go.
func (p *Pool) take(c net.Conn) *Conn {
	address := addressOf(c)
	taken := &Conn{Conn: c, pool: p, network: networkOf(address), since: p.Now()}
	taken.trusted = p.Trusted != nil && address.IsValid() && p.Trusted(address)
	p.mu.Lock()
	victim, reason := p.crowded(taken)
	p.remove(victim)
	p.open[taken] = struct{}{}
	p.networks[taken.network]++
	p.mu.Unlock()
	p.end(victim, reason)
	return taken
}

// crowded returns the connection that has to go for a new one, or nil.
func (p *Pool) crowded(taken *Conn) (*Conn, Reason) {
	if n := p.PerNetwork; n > 0 && !taken.trusted && p.networks[taken.network] >= n {
		return p.choose(func(c *Conn) bool { return c.network == taken.network }, longest), OverNetwork
	}
	if n := p.Total; n > 0 && len(p.open) >= n {
		return p.choose(func(*Conn) bool { return true }, longest), OverTotal
	}
	return nil, 0
}

// lighten closes connections until what is left is within the bound.
func (p *Pool) lighten() {
	for victim := p.tooHeavy(); victim != nil; victim = p.tooHeavy() {
		p.end(victim, OverMemory)
	}
}

// tooHeavy removes the connection that has to go where they hold too much.
func (p *Pool) tooHeavy() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.weight.Load() <= p.Memory {
		return nil
	}
	victim := p.choose(func(c *Conn) bool { return c.look().weight > 0 }, heaviest)
	p.remove(victim)
	return victim
}

// remove forgets a connection, if it is known, with p.mu held. What it held is
// held until its server lets go of it.
func (p *Pool) remove(c *Conn) {
	if _, known := p.open[c]; !known {
		return
	}
	delete(p.open, c)
	if p.networks[c.network]--; p.networks[c.network] == 0 {
		delete(p.networks, c.network)
	}
	weight, ending := c.leave()
	p.ending.Add(ending)
	p.weight.Add(-weight)
	p.freed.Broadcast()
}

// awaitRoom has what was read of c wait until those that were closed hold no more
// than the others may: else thousands of headers are taken apart at once, of
// connections that have long been closed, and everybody else waits for that.
// Whose header it is ends as soon as it has the processor, so it is no long wait.
func (p *Pool) awaitRoom(c *Conn) {
	if p.Memory <= 0 || p.ending.Load() <= p.Memory {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, open := p.open[c]; open && p.ending.Load() > p.Memory; _, open = p.open[c] {
		p.freed.Wait()
	}
}

// end counts a connection that was removed, and closes it: whoever sees its end
// finds it counted. Its server finds out by its next read or write.
func (p *Pool) end(c *Conn, reason Reason) {
	if c == nil {
		return
	}
	p.closed[reason].Add(1)
	p.mu.Lock()
	p.untold[reason]++
	p.mu.Unlock()
	_ = c.Conn.Close()
	p.Tell()
}

// addressOf returns the peer's address, not valid for one that has none, such
// as that of a Unix socket. These count as one network.
func addressOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// networkOf returns what one subscriber has for the asking: an IPv4 address, or
// an IPv6 /64.
func networkOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}
