package db

import (
	"slices"
	"sync"
	"time"
)

// refusalLog collects what was refused and is no change of its own, folded by
// the minute: ten thousand wrong passwords are one entry with their number. It
// is bounded: beyond maxRefusals kinds in a minute, addresses are folded too.
type refusalLog struct {
	mu     sync.Mutex
	events map[refusalKey]*Event
}

type refusalKey struct {
	minute                             int64
	action, actor, target, addr, trans string
}

const maxRefusals = 1000

// ManyAddresses stands in a folded entry for addresses that were too many to
// keep apart.
const ManyAddresses = "many"

// NoteRefusal remembers a refused act for the audit log. target is an id, or
// empty where the refusal was for something that does not exist: what was
// typed there may be a password.
func (s *Store) NoteRefusal(actor *Actor, action, target string) {
	now := s.Now()
	e := Event{Time: now, Actor: actor.ID, ActorName: actor.Name, Transport: actor.Transport, Address: actor.Address,
		Action: action, Target: target, Result: ResultRefused, RequestID: actor.RequestID, Count: 1}
	s.refusals.note(e)
}

func keyOf(e Event) refusalKey {
	return refusalKey{e.Time.Unix() / int64(time.Minute/time.Second), e.Action, e.Actor, e.Target, e.Address, e.Transport}
}

func (l *refusalLog) note(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.events == nil {
		l.events = map[refusalKey]*Event{}
	}
	if _, known := l.events[keyOf(e)]; !known && len(l.events) >= maxRefusals {
		e.Address, e.Target = ManyAddresses, ""
	}
	if kept := l.events[keyOf(e)]; kept != nil {
		kept.Count += e.Count
		return
	}
	l.events[keyOf(e)] = &e
}

// take empties the log and returns what was in it, the oldest first.
func (l *refusalLog) take() (events []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		events = append(events, *e)
	}
	l.events = nil
	slices.SortFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return events
}

func (l *refusalLog) giveBack(events []Event) {
	for _, e := range events {
		l.note(e)
	}
}
