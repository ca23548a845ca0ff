package db

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// refusalLog collects what was refused and is no change of its own, folded by
// the minute: ten thousand wrong passwords are one entry with their number. It
// is bounded: beyond maxRefusals kinds in a minute addresses and targets are
// folded too, of strangers, of all others, and of each of these.
type refusalLog struct {
	mu        sync.Mutex
	strangers map[refusalKey]*Event
	known     map[refusalKey]*Event
	kinds     map[refusalKey]int // how many of known are of an actor in a minute
}

type refusalKey struct {
	minute                                     int64
	action, actor, target, addr, trans, result string
}

const (
	maxRefusals      = 1000
	maxActorRefusals = 20
)

// ManyAddresses stands in a folded entry for addresses that were too many to
// keep apart.
const ManyAddresses = "many"

// NoteRefusal remembers a refused act for the audit log. target is NoTarget
// where the refusal was for something that does not exist: what was typed there
// may be a password.
func (s *Store) NoteRefusal(actor *Actor, action string, target Target) {
	e := eventOf(actor, action, target)
	e.Time, e.Result = s.Now(), ResultRefused
	s.refusals.note(e)
}

// eventOf is an act of an actor.
func eventOf(actor *Actor, action string, target Target) Event {
	e := Event{Actor: actor.ID, ActorName: actor.Name, Transport: actor.Transport, Address: actor.Address,
		Action: action, RequestID: actor.RequestID, Count: 1}
	e.setTarget(target)
	return e
}

// keyOf is what entries are folded by. Strangers of one network are one: each
// of its addresses is theirs for the asking.
func keyOf(e Event) refusalKey {
	address := e.Address
	if e.stranger() {
		address = NetworkOf(address)
	}
	return refusalKey{minuteOf(e), e.Action, e.Actor, e.Target, address, e.Transport, e.Result}
}

func minuteOf(e Event) int64 { return e.Time.Unix() / int64(time.Minute/time.Second) }

// NetworkOf is what one subscriber has of addresses for the asking, as the
// throttle counts them: of IPv6 the /64, of IPv4 the address. An IPv4 address
// written as IPv6 is that IPv4 address, and a port is no part of it. What is no
// address stays as it is.
func NetworkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		a = ap.Addr()
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

func (l *refusalLog) note(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.strangers, l.known, l.kinds = map[refusalKey]*Event{}, map[refusalKey]*Event{}, map[refusalKey]int{}
	}
	events, mine := l.known, refusalKey{minute: minuteOf(e), actor: e.Actor}
	if e.stranger() {
		events = l.strangers
	}
	if _, known := events[keyOf(e)]; !known && (len(events) >= maxRefusals || l.kinds[mine] >= maxActorRefusals) {
		e.ofMany()
	}
	if kept := events[keyOf(e)]; kept != nil {
		kept.fold(e)
		return
	}
	if !e.stranger() {
		l.kinds[mine]++
	}
	events[keyOf(e)] = &e
}

// fold counts an act that is like one that was noted before.
func (e *Event) fold(other Event) {
	e.Count += other.Count
	if e.Address != other.Address {
		e.Address = NetworkOf(e.Address)
	}
}

// take empties the log and returns what was in it, the oldest first.
func (l *refusalLog) take() (events []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := slices.AppendSeq(slices.Collect(maps.Values(l.strangers)), maps.Values(l.known))
	l.strangers, l.known, l.kinds = nil, nil, nil
	slices.SortFunc(kept, func(a, b *Event) int { return a.Time.Compare(b.Time) })
	for _, e := range kept {
		events = append(events, *e)
	}
	return events
}

func (l *refusalLog) giveBack(events []Event) {
	for _, e := range events {
		l.note(e)
	}
}
