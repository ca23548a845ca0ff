// Package fold keeps a log readable, and its size bounded, whatever others do.
//
// Whoever reaches the server can make it log: a refusal is a line, and a program
// with a wrong token sends thousands a second. So what many can cause goes through
// Log.Line. Of one kind and from one network, or by one known user, the first few
// lines of a minute are written, and at its end how many more there were. What
// known users cause and what others do have bounds of their own, and so have the
// failures that others meet: no flood hides what an operator did, nor, of refused
// sign-ins, that the disk fails.
package fold

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	every      = time.Minute
	free       = 5    // lines of one kind from one source
	freeDebug  = 100  // the same for who looks closely
	maxLines   = 300  // lines of all kinds and sources
	maxSources = 2048 // sources that are told apart; the others are one
	maxTold    = 20   // sources that are told by name at the end of the minute; the others are one
)

// Log is a log with lines that many can cause, by who they are. What is logged by
// the Logger itself is not folded.
type Log struct {
	Logger *slog.Logger
	now    func() time.Time

	mu                         sync.Mutex
	since                      time.Time // when the minute began
	strangers, failures, known minute
}

// minute is the lines of one.
type minute struct {
	of    map[lineKey]*tally
	lines int // that were written
}

type lineKey struct {
	level        slog.Level
	what, kind   string
	source, name string // such as a network and which one; "" for those that are not told apart
}

type tally struct {
	came, left int // all of them, and those without a line
}

// New makes a Log over log; its minutes are those of now.
func New(log *slog.Logger, now func() time.Time) *Log {
	return &Log{Logger: log, now: now, since: now()}
}

// Source is who caused a line.
type Source struct {
	Actor     string // the id of a known user; "": the network counts
	Address   string // an IP address, or ""
	Transport string // stands for the network where there is no address
}

// Line writes a line about something that its source caused, or counts it. kind
// tells apart what has the same words.
func (l *Log) Line(level slog.Level, what, kind string, from Source, attrs ...any) {
	if !l.Logger.Enabled(context.Background(), level) {
		return
	}
	key := lineKey{level: level, what: what, kind: kind}
	key.source, key.name = from.named()
	over, write := l.count(key)
	l.tellAll(over)
	if write {
		l.Logger.Log(context.Background(), level, what, attrs...)
	}
}

// count tells whether a line is to be written, and what the minute before has
// left, where it is over.
func (l *Log) count(key lineKey) (over []*summed, write bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := l.now().Sub(l.since); age < 0 || age >= every {
		over = l.take()
	}
	most := free
	if key.level < slog.LevelInfo {
		most = freeDebug
	}
	set := l.setOf(key)
	c := set.find(key)
	c.came++
	if write = c.came <= most && set.lines < maxLines; write {
		set.lines++
	} else {
		c.left++
	}
	return over, write
}

func (l *Log) setOf(key lineKey) *minute {
	switch {
	case key.source == "actor":
		return &l.known
	case key.level > slog.LevelInfo:
		return &l.failures
	}
	return &l.strangers
}

func (m *minute) find(key lineKey) *tally {
	if m.of == nil {
		m.of = map[lineKey]*tally{}
	}
	if m.of[key] == nil && len(m.of) >= maxSources {
		key.kind, key.name = "", ""
	}
	if m.of[key] == nil {
		m.of[key] = &tally{}
	}
	return m.of[key]
}

type summed struct {
	lineKey
	left, sources int
}

// take ends the minute and returns what had no line. l.mu is held.
func (l *Log) take() []*summed {
	all := slices.Concat(l.strangers.summary(), l.failures.summary(), l.known.summary())
	l.strangers, l.failures, l.known, l.since = minute{}, minute{}, minute{}, l.now()
	return all
}

// summary is what had no line: those with most of it by name, the others as one
// for each kind.
func (m *minute) summary() (all []*summed) {
	for key, c := range m.of {
		if c.left > 0 {
			all = append(all, &summed{key, c.left, 1})
		}
	}
	slices.SortFunc(all, func(a, b *summed) int { return cmp.Or(b.left-a.left, cmp.Compare(a.name, b.name)) })
	if len(all) <= maxTold {
		return all
	}
	rest := map[lineKey]*summed{}
	for _, one := range all[maxTold:] {
		key := lineKey{level: one.level, what: one.what, source: one.source}
		if rest[key] == nil {
			rest[key] = &summed{lineKey: key}
		}
		rest[key].left += one.left
		rest[key].sources += one.sources
	}
	return append(all[:maxTold], slices.Collect(maps.Values(rest))...)
}

// Tell ends the minute before its time. Call it each minute, so that what was
// counted is told also where no line follows, and at the end.
func (l *Log) Tell() {
	l.mu.Lock()
	over := l.take()
	l.mu.Unlock()
	l.tellAll(over)
}

func (l *Log) tellAll(over []*summed) {
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
		l.Logger.Log(context.Background(), one.level, one.what+": more like that", attrs...)
	}
}

// named is what counts as one source. A network is what one subscriber or one
// small provider has for the asking; where there is none it is the transport.
func (s Source) named() (kind, name string) {
	if s.Actor != "" {
		return "actor", s.Actor
	}
	addr, err := netip.ParseAddr(s.Address)
	if err != nil {
		return "network", s.Transport
	}
	bits := 64
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	network, _ := addr.Prefix(bits)
	return "network", network.String()
}
