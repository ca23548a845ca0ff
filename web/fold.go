package web

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"husk/db"
)

// Whoever reaches the server can make it log: a refusal is a line, and a program
// with a wrong token sends thousands a second. So what many can cause goes through
// here. Of one kind and from one network, or by one known user, the first few
// lines of a minute are written, and at its end how many more there were. What
// known users cause and what others do have bounds of their own, and so have the
// failures that others meet: no flood hides what an operator did, nor, of refused
// sign-ins, that the disk fails.

const (
	foldEvery     = time.Minute
	foldFree      = 5    // lines of one kind from one source
	foldFreeDebug = 100  // the same for who looks closely
	foldLines     = 300  // lines of all kinds and sources
	foldSources   = 2048 // sources that are told apart; the others are one
	foldTold      = 20   // sources that are told by name at the end of the minute; the others are one
)

// folds is what many can make the log say, by who they are.
type folds struct {
	log *slog.Logger
	now func() time.Time

	mu                         sync.Mutex
	since                      time.Time // when the minute began
	strangers, failures, known folded
}

// folded are the lines of a minute.
type folded struct {
	of    map[foldKey]*foldCount
	lines int // that were written
}

type foldKey struct {
	level        slog.Level
	what, kind   string
	source, name string // such as a network and which one; "" for those that are not told apart
}

type foldCount struct {
	came, left int // all of them, and those without a line
}

func newFolds(log *slog.Logger, now func() time.Time) *folds {
	return &folds{log: log, now: now, since: now()}
}

// line writes a line about something that actor caused, or counts it. kind tells
// apart what has the same words.
func (f *folds) line(level slog.Level, what, kind string, actor *db.Actor, attrs ...any) {
	if !f.log.Enabled(context.Background(), level) {
		return
	}
	key := foldKey{level, what, kind, "network", networkOf(actor)}
	if actor.ID != "" {
		key.source, key.name = "actor", actor.ID
	}
	over, write := f.count(key)
	f.tellAll(over)
	if write {
		f.log.Log(context.Background(), level, what, attrs...)
	}
}

// count tells whether a line is to be written, and what the minute before has
// left, where it is over.
func (f *folds) count(key foldKey) (over []foldKeyed, write bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if age := f.now().Sub(f.since); age < 0 || age >= foldEvery {
		over = f.take()
	}
	free := foldFree
	if key.level < slog.LevelInfo {
		free = foldFreeDebug
	}
	set := f.setOf(key)
	c := set.find(key)
	c.came++
	if write = c.came <= free && set.lines < foldLines; write {
		set.lines++
	} else {
		c.left++
	}
	return over, write
}

func (f *folds) setOf(key foldKey) *folded {
	switch {
	case key.source == "actor":
		return &f.known
	case key.level > slog.LevelInfo:
		return &f.failures
	}
	return &f.strangers
}

func (s *folded) find(key foldKey) *foldCount {
	if s.of == nil {
		s.of = map[foldKey]*foldCount{}
	}
	if s.of[key] == nil && len(s.of) >= foldSources {
		key.kind, key.name = "", ""
	}
	if s.of[key] == nil {
		s.of[key] = &foldCount{}
	}
	return s.of[key]
}

type foldKeyed struct {
	foldKey
	left, sources int
}

// take ends the minute and returns what had no line. f.mu is held.
func (f *folds) take() []foldKeyed {
	all := slices.Concat(f.strangers.summary(), f.failures.summary(), f.known.summary())
	f.strangers, f.failures, f.known, f.since = folded{}, folded{}, folded{}, f.now()
	return all
}

// summary is what had no line: those with most of it by name, the others as one
// for each kind.
func (s *folded) summary() (all []foldKeyed) {
	for key, c := range s.of {
		if c.left > 0 {
			all = append(all, foldKeyed{key, c.left, 1})
		}
	}
	slices.SortFunc(all, func(a, b foldKeyed) int { return cmp.Or(b.left-a.left, cmp.Compare(a.name, b.name)) })
	if len(all) <= foldTold {
		return all
	}
	rest := map[foldKey]foldKeyed{}
	for _, one := range all[foldTold:] {
		key := foldKey{level: one.level, what: one.what, source: one.source}
		rest[key] = foldKeyed{key, rest[key].left + one.left, rest[key].sources + one.sources}
	}
	return append(all[:foldTold], slices.Collect(maps.Values(rest))...)
}

// tell ends the minute before its time.
func (f *folds) tell() {
	f.mu.Lock()
	over := f.take()
	f.mu.Unlock()
	f.tellAll(over)
}

func (f *folds) tellAll(over []foldKeyed) {
	for _, one := range over {
		attrs := []any{"count", one.left}
		if one.kind != "" {
			attrs = append(attrs, "kind", one.kind)
		}
		if one.name != "" {
			attrs = append(attrs, one.source, one.name)
		} else {
			attrs = append(attrs, "sources", one.sources)
		}
		f.log.Log(context.Background(), one.level, one.what+": more like that", attrs...)
	}
}

// networkOf is the network that an actor came from: what one subscriber or one
// small provider has for the asking. Where there is none it is the transport.
func networkOf(actor *db.Actor) string {
	addr, err := netip.ParseAddr(actor.Address)
	if err != nil {
		return actor.Transport
	}
	bits := 64
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	network, _ := addr.Prefix(bits)
	return network.String()
}
