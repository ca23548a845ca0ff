package listen

import (
	"net/netip"
	"time"
)

// Reason is why a connection was closed to make room.
type Reason int

// The reasons.
const (
	OverTotal Reason = iota
	OverNetwork
	OverMemory
	reasons
)

// String returns the word that metrics have for it.
func (r Reason) String() string { return [...]string{"total", "address", "memory"}[r] }

type counts [reasons]int64

// Stats are a Pool's figures.
type Stats struct {
	Open   int
	Closed map[string]int64 // to make room, since the start, by Reason
}

// Stats returns the figures of now.
func (p *Pool) Stats() Stats {
	s := Stats{Closed: map[string]int64{}}
	for r := range reasons {
		s.Closed[r.String()] = p.closed[r].Load()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Open = len(p.open)
	return s
}

// tellEvery is how often the log hears of what was closed.
const tellEvery = time.Minute

// Tell logs what was closed since it last did so, if that is a minute ago. It
// is called with each connection that is closed; call it now and then to have
// the last ones told too.
func (p *Pool) Tell() {
	p.mu.Lock()
	now, n := p.Now(), p.untold
	if n == (counts{}) || now.Sub(p.told) < tellEvery {
		p.mu.Unlock()
		return
	}
	p.told, p.untold = now, counts{}
	open := len(p.open)
	network, most := p.largest()
	p.mu.Unlock()
	name := "local"
	if network.IsValid() {
		name = network.String()
	}
	p.Log.Warn("connections were closed to make room for others", "door", p.Door, "over_total", n[OverTotal], "over_address", n[OverNetwork], "over_memory", n[OverMemory],
		"open", open, "most_from", name, "its_connections", most)
}

// largest returns the network with the most connections, with p.mu held.
func (p *Pool) largest() (network netip.Addr, most int) {
	for a, n := range p.networks {
		if n > most {
			network, most = a, n
		}
	}
	return network, most
}
