package password

import (
	"net/netip"
	"slices"
)

// Caller tells for whom a password is hashed, which decides whose turn is
// next. The zero value is a stranger of whom nothing is known.
type Caller struct {
	// Known names one who has shown already that they are no stranger: by a
	// device cookie, a session, the connection. Empty for a stranger.
	Known string
	// Address is where a stranger asks from. All whose address is not known are
	// one network.
	Address netip.Addr
	// Fresh says that from the networks of Address no wrong password came lately.
	Fresh bool
}

// Lanes of the queue. Who waits in one goes before all who wait in a later one.
const (
	laneKnown = iota
	laneFresh
	laneOther
	lanes
)

// inRow is how many of a lane go while others wait in a later one, before one
// of these has a turn: else a few who are let in, and ask all the time, would
// keep everybody else out.
const inRow = 4

// place is a step on the way to where somebody waits: a network, or the name
// of one who is known.
type place struct {
	network netip.Prefix
	name    string
}

// networks are the sizes of networks between which turns are shared, the
// largest first: to get more turns than others one has to have more of the
// largest, and these are few, whatever number of addresses is in them.
var networks = map[int][]int{32: {16, 24, 32}, 128: {48, 56, 64, 128}}

// places is the way to where a stranger waits.
func (c Caller) places() (way []place) {
	address := c.Address.Unmap().WithZone("")
	if !address.IsValid() {
		return []place{{}}
	}
	for _, bits := range networks[address.BitLen()] {
		network, _ := address.Prefix(bits) // fails for other sizes only
		way = append(way, place{network: network})
	}
	return way
}

// waiter is somebody in the queue.
type waiter struct {
	slots int
	turn  chan error // gets nil, or ErrBusy for who has to go; holds one
	lane  int
	at    *node
}

// queue holds those who wait for their turn. Turns go round: between the
// largest networks, within one between those inside it, and at last between
// the addresses.
//
// Nobody is turned away because others came before: who has to go when it is
// full is the last of the network that most wait from, and of those from whose
// networks wrong passwords came before all others. Who is known has room of
// their own, of which one name takes a quarter; what does not fit waits like a
// stranger from a fresh network.
type queue struct {
	lanes [lanes]node
	row   [lanes]int // how many in a row went from a lane
	room  int        // for strangers; and as much for who is known
}

func (q *queue) strangers() int { return q.lanes[laneFresh].waiting + q.lanes[laneOther].waiting }

func (q *queue) len() int { return q.lanes[laneKnown].waiting + q.strangers() }

// add lets w wait, and returns who has to go for it, w itself maybe; nil for
// nobody.
func (q *queue) add(w *waiter, c Caller) (out *waiter) {
	known := &q.lanes[laneKnown]
	if name := (place{name: c.Known}); c.Known != "" && known.waiting < q.room && known.waitingAt(name) < max(1, q.room/4) {
		w.lane = laneKnown
		known.add(w, []place{name})
		return nil
	}
	w.lane = laneOther
	if c.Fresh || c.Known != "" {
		w.lane = laneFresh
	}
	q.lanes[w.lane].add(w, c.places())
	if q.strangers() <= q.room {
		return nil
	}
	for lane := laneOther; out == nil; lane-- {
		out = q.lanes[lane].last()
	}
	q.remove(out)
	return out
}

// next is who has the next turn; nil for nobody.
func (q *queue) next() *waiter {
	for lane := range q.lanes {
		if q.lanes[lane].waiting > 0 && !q.givesWay(lane) {
			return q.lanes[lane].first()
		}
	}
	return nil
}

// givesWay tells whether a lane has had its turns in a row while others wait.
func (q *queue) givesWay(lane int) bool { return q.row[lane] >= inRow && q.behind(lane) }

// behind tells whether somebody waits in a later lane.
func (q *queue) behind(lane int) bool {
	return slices.ContainsFunc(q.lanes[lane+1:], func(n node) bool { return n.waiting > 0 })
}

// take removes w, whose turn it is.
func (q *queue) take(w *waiter) {
	for lane := range w.lane {
		q.row[lane] = 0
	}
	q.row[w.lane]++
	if !q.behind(w.lane) {
		q.row[w.lane] = 0
	}
	w.at.goRound()
	q.remove(w)
}

func (q *queue) remove(w *waiter) {
	w.at.remove(w)
	w.at = nil
}

// node is a network in which somebody waits, or a lane: then it has no parent.
type node struct {
	parent  *node
	place   place
	waiting int // in it and all inside it
	inside  map[place]*node
	ring    []*node   // those inside, in the order of their turns
	line    []*waiter // of one address or name
}

func (n *node) waitingAt(p place) int {
	if inside := n.inside[p]; inside != nil {
		return inside.waiting
	}
	return 0
}

func (n *node) add(w *waiter, way []place) {
	n.waiting++
	if len(way) == 0 {
		n.line, w.at = append(n.line, w), n
		return
	}
	inside := n.inside[way[0]]
	if inside == nil {
		inside = &node{parent: n, place: way[0]}
		if n.inside == nil {
			n.inside = map[place]*node{}
		}
		n.inside[way[0]], n.ring = inside, append(n.ring, inside)
	}
	inside.add(w, way[1:])
}

// first is who has the next turn here.
func (n *node) first() *waiter {
	for len(n.ring) > 0 {
		n = n.ring[0]
	}
	return n.line[0]
}

// last is who came last from where most wait; nil where nobody waits.
func (n *node) last() *waiter {
	if n.waiting == 0 {
		return nil
	}
	for len(n.ring) > 0 {
		most := n.ring[0]
		for _, inside := range n.ring[1:] {
			if inside.waiting >= most.waiting {
				most = inside
			}
		}
		n = most
	}
	return n.line[len(n.line)-1]
}

// goRound puts n, and all around it, behind the others there.
func (n *node) goRound() {
	for ; n.parent != nil; n = n.parent {
		ring := n.parent.ring
		i := slices.Index(ring, n)
		n.parent.ring = append(slices.Delete(ring, i, i+1), n)
	}
}

func (n *node) remove(w *waiter) {
	i := slices.Index(n.line, w)
	n.line = slices.Delete(n.line, i, i+1)
	for ; n.parent != nil; n = n.parent {
		if n.waiting--; n.waiting == 0 {
			around := n.parent
			delete(around.inside, n.place)
			i := slices.Index(around.ring, n)
			around.ring = slices.Delete(around.ring, i, i+1)
		}
	}
	n.waiting-- // the lane itself
}
