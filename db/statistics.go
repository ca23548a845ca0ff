package db

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// What a server counts is kept by the hour and by the day, UTC, for charts. It is
// noted in memory and written in batches, added to what stands there: several
// servers over one store add to the same records. Whoever is killed loses what was
// noted since the last batch. A record that is damaged begins anew, and a check
// tells of it.

const statisticsBucket = "statistics"

// Counts are what was counted in some time.
type Counts struct {
	SignIns  SignInCounts          `json:"sign_ins,omitzero"`
	Requests RequestCounts         `json:"requests,omitzero"`
	Gate     map[string]GateCounts `json:"gate,omitempty"`  // by what the host of the rule is, at most MaxGateHosts; "": all others
	Store    int64                 `json:"store,omitempty"` // its size in bytes at the end; 0: not known
}

// SignInCounts are of tries at passwords.
type SignInCounts struct {
	OK        uint64 `json:"ok,omitempty"`
	Refused   uint64 `json:"refused,omitempty"`
	Throttled uint64 `json:"throttled,omitempty"` // not looked at
}

// RequestCounts are of requests that need a credential, by its kind.
type RequestCounts struct {
	Session uint64 `json:"session,omitempty"`
	Token   uint64 `json:"token,omitempty"`
	None    uint64 `json:"none,omitempty"`
	Refused uint64 `json:"refused,omitempty"` // it was not good
}

// GateCounts are of requests for applications.
type GateCounts struct {
	Allowed uint64 `json:"allowed,omitempty"`
	Refused uint64 `json:"refused,omitempty"`
	SignIn  uint64 `json:"sign_in,omitempty"`
}

// MaxGateHosts is how many hosts one record tells of: the rules may change daily.
const MaxGateHosts = 50

// none tells that nothing was counted: a size alone is not worth a record.
func (c *Counts) none() bool {
	return c.SignIns == SignInCounts{} && c.Requests == RequestCounts{} && len(c.Gate) == 0
}

// Add adds what was counted later.
func (c *Counts) Add(later Counts) {
	c.SignIns.OK += later.SignIns.OK
	c.SignIns.Refused += later.SignIns.Refused
	c.SignIns.Throttled += later.SignIns.Throttled
	c.Requests.Session += later.Requests.Session
	c.Requests.Token += later.Requests.Token
	c.Requests.None += later.Requests.None
	c.Requests.Refused += later.Requests.Refused
	for _, host := range slices.Sorted(maps.Keys(later.Gate)) {
		c.addGate(host, later.Gate[host])
	}
	if later.Store != 0 {
		c.Store = later.Store
	}
}

func (c *Counts) addGate(host string, n GateCounts) {
	if c.Gate == nil {
		c.Gate = map[string]GateCounts{}
	}
	known := len(c.Gate)
	if _, others := c.Gate[""]; others {
		known--
	}
	if _, again := c.Gate[host]; !again && known >= MaxGateHosts {
		host = ""
	}
	sum := c.Gate[host]
	sum.Allowed += n.Allowed
	sum.Refused += n.Refused
	sum.SignIn += n.SignIn
	c.Gate[host] = sum
}

// Period is how long one record counts.
type Period struct {
	mark   string // begins its keys
	layout string // of the time in them, which sorts
	length time.Duration
	keep   int // how many are kept, the one that runs included
}

// The periods that are counted by.
var (
	Hourly = &Period{mark: "h", layout: "2006-01-02T15", length: time.Hour, keep: 48}
	Daily  = &Period{mark: "d", layout: time.DateOnly, length: 24 * time.Hour, keep: 400}

	periods = []*Period{Hourly, Daily}
)

func (p *Period) key(at time.Time) string { return p.mark + at.Format(p.layout) }

// first is when the oldest of the last n began.
func (p *Period) first(now time.Time, n int) time.Time {
	return now.Truncate(p.length).Add(-time.Duration(n-1) * p.length)
}

// countLog holds what was counted and is not written yet, by key. It is bounded as
// the bucket is, also where nothing can be written for a year.
type countLog struct {
	mu     sync.Mutex
	counts map[string]*Counts
}

// NoteCounts adds what was counted since the last time, as of now.
func (s *Store) NoteCounts(c Counts) {
	if c.none() {
		return
	}
	l := &s.counts
	l.mu.Lock()
	defer l.mu.Unlock()
	now := s.Now()
	for _, p := range periods {
		l.add(p.key(now), c)
		l.bound(p)
	}
}

func (l *countLog) add(key string, c Counts) {
	if l.counts == nil {
		l.counts = map[string]*Counts{}
	}
	if l.counts[key] == nil {
		l.counts[key] = &Counts{}
	}
	l.counts[key].Add(c)
}

// bound forgets the oldest of a period where there are more than are kept.
func (l *countLog) bound(p *Period) {
	var keys []string
	for key := range l.counts {
		if key[:1] == p.mark {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:max(0, len(keys)-p.keep)] {
		delete(l.counts, key)
	}
}

func (l *countLog) take() (taken map[string]*Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken, l.counts = l.counts, nil
	return taken
}

// giveBack keeps what could not be written, before what was counted meanwhile.
func (l *countLog) giveBack(taken map[string]*Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	later := l.counts
	l.counts = taken
	for key, c := range later {
		l.add(key, *c)
	}
	for _, p := range periods {
		l.bound(p)
	}
}

// FlushCounts adds what was noted since the last flush to what is kept, and drops
// what is too old. Where nothing was noted, it writes nothing.
func (s *Store) FlushCounts(ctx context.Context) error {
	taken := s.counts.take()
	for keys := slices.Sorted(maps.Keys(taken)); len(keys) > 0; {
		written := 0
		err := s.update(ctx, &Actor{}, func(t *txn) (err error) {
			written, err = s.putCounts(t, keys, taken)
			return err
		})
		if errors.Is(err, ErrUnknown) {
			return err // it may be there: better a minute too little than twice
		}
		if err != nil {
			s.counts.giveBack(taken)
			return err
		}
		for _, key := range keys[:written] {
			delete(taken, key)
		}
		keys = keys[written:]
	}
	return nil
}

// putCounts adds the first of the counts, as many as there is room for.
func (s *Store) putCounts(t *txn, keys []string, taken map[string]*Counts) (written int, err error) {
	if _, certain := s.clock.settledMark(); certain {
		err = t.dropOldCounts()
	}
	for _, key := range keys {
		if err != nil || !t.hasRoom(1) {
			return written, err
		}
		var sum Counts
		if _, err = t.getJSON(statisticsBucket, key, &sum); errors.Is(err, ErrDamaged) {
			sum, err = Counts{}, nil
		}
		sum.Add(*taken[key])
		err = errors.Join(err, t.putJSON(statisticsBucket, key, sum))
		written++
	}
	return written, err
}

// dropOldStep bounds what one flush drops; the next one drops more.
const dropOldStep = 100

// dropOldCounts drops what is too old, and what lies ahead: a clock was wrong, or
// would be, and another machine is not ahead by an hour.
func (t *txn) dropOldCounts() error {
	var old [][]byte
	for _, p := range periods {
		first, last := p.key(p.first(t.now, p.keep)), p.key(t.now.Add(time.Hour))
		err := t.Scan(statisticsBucket, []byte(p.mark), nil, false, func(key, _ []byte) bool {
			older := string(key) < first
			if older {
				old = append(old, key)
			}
			return older && len(old) < dropOldStep
		})
		if err != nil {
			return err
		}
		err = t.Scan(statisticsBucket, []byte(p.mark), nil, true, func(key, _ []byte) bool {
			ahead := string(key) > last
			if ahead {
				old = append(old, key)
			}
			return ahead && len(old) < dropOldStep
		})
		if err != nil {
			return err
		}
	}
	for _, key := range old {
		if err := t.Delete(statisticsBucket, key); err != nil {
			return err
		}
	}
	return nil
}

// PeriodCounts are what was counted in one period.
type PeriodCounts struct {
	Begin time.Time // UTC
	Counts
}

// Statistics returns what was counted in each of the last n periods, the one that
// runs included, the oldest first; where nothing was, the counts are zero, and the
// size of the store is the one before.
func (s *Store) Statistics(ctx context.Context, p *Period, n int) ([]PeriodCounts, error) {
	now := s.Now()
	begin := p.first(now, n)
	found := map[string]*Counts{}
	err := s.view(ctx, func(t *txn) error {
		clear(found)
		return t.Scan(statisticsBucket, []byte(p.mark), []byte(p.key(begin)), false, func(key, sealed []byte) bool {
			if c := openCounts(key, sealed); c != nil {
				found[string(key)] = c
			}
			return true
		})
	})
	all := make([]PeriodCounts, n)
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	for i := range all {
		one := &all[i]
		one.Begin = begin.Add(time.Duration(i) * p.length)
		if i > 0 {
			one.Store = all[i-1].Store
		}
		for _, from := range []map[string]*Counts{found, s.counts.counts} {
			if c := from[p.key(one.Begin)]; c != nil {
				one.Add(*c)
			}
		}
	}
	return all, err
}

// openCounts reads a record; nil: it is damaged.
func openCounts(key, sealed []byte) *Counts {
	value, err := unseal(statisticsBucket, key, sealed)
	var c Counts
	if err != nil || json.Unmarshal(value, &c) != nil {
		return nil
	}
	return &c
}

// isCounts tells whether something is a record that a flush writes.
func isCounts(key, value []byte) bool {
	var c Counts
	for _, p := range periods {
		if at, err := time.Parse(p.mark+p.layout, string(key)); err == nil {
			return p.key(at) == string(key) && json.Unmarshal(value, &c) == nil
		}
	}
	return false
}

// statistics looks at what was counted.
func (w *walk) statistics() error {
	return w.each(statisticsBucket, func(key, value []byte) {
		if !isCounts(key, value) {
			w.report(cause(damagedRecord(statisticsBucket, key)))
		}
	})
}

// takeCounts is how a repair takes a record over.
func takeCounts(t *txn, key string, value []byte) error {
	if !isCounts([]byte(key), value) {
		return damagedRecord(statisticsBucket, []byte(key))
	}
	return t.put(statisticsBucket, []byte(key), value)
}
