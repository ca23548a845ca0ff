package listen

import (
	"cmp"
	"net/http"
	"time"
)

// seen is what is known of a connection at one moment.
type seen struct {
	*Conn
	load   int // connections of its network; 0 for a trusted proxy
	held   bool
	idle   bool
	since  time.Time
	weight int64
}

// look returns how c is now, but for its load.
func (c *Conn) look() seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := seen{Conn: c, held: c.held, since: c.since, weight: c.weight}
	s.idle = c.phase == http.StateIdle && c.read == 0
	return s
}

// choose returns the connection among some that has to go first by an order,
// with p.mu held; nil where there is none. It looks at all of them, which some
// thousand take no longer than an accept does.
func (p *Pool) choose(among func(*Conn) bool, order func(a, b seen) int) *Conn {
	var first seen
	for c := range p.open {
		if !among(c) {
			continue
		}
		s := c.look()
		if !c.trusted {
			s.load = p.networks[c.network]
		}
		if first.Conn == nil || order(s, first) < 0 {
			first = s
		}
	}
	return first.Conn
}

// longest is the order in which connections go where there are too many.
func longest(a, b seen) int {
	return cmp.Or(last(a.held, b.held), cmp.Compare(b.load, a.load), last(!a.idle, !b.idle), a.since.Compare(b.since))
}

// heaviest is the order where they hold too much memory.
func heaviest(a, b seen) int {
	return cmp.Or(last(a.held, b.held), cmp.Compare(b.load, a.load), cmp.Compare(b.weight, a.weight))
}

// last puts what holds behind what does not.
func last(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
