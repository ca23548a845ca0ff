package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"husk/db"
	"husk/web/gate"
	"husk/web/password"
)

// A tally counts what is told in more than one way, once: figures read it at each
// scrape, and the store is handed what was added since the last time. A successful
// check of a credential counts in its own identity alone, where it leaves a mark
// anyway; from there it is taken over once a second, or when somebody asks.
type tally struct {
	logins    map[string]*atomic.Uint64 // by result; the map never changes
	throttled atomic.Uint64
	factors   map[factorCount]*atomic.Uint64 // the map never changes

	sessions, tokens, none, refused atomic.Uint64 // requests, by kind of credential

	gate atomic.Pointer[gateTally]

	handing sync.Mutex // held while the store is handed something
	handed  db.Counts  // what was, but for the gate
}

// Results of a sign-in.
const (
	loginOK        = "ok"
	loginRefused   = "refused"   // wrong email or password, or an account that may not sign in
	loginThrottled = "throttled" // not looked at
	loginBusy      = "busy"      // not looked at: too many at once
	loginSetup     = "setup"     // nobody can sign in yet
	loginFactor    = "factor"    // the password was right, and a second factor is asked for
	loginError     = "error"     // something else went wrong
)

var loginResults = []string{loginOK, loginRefused, loginThrottled, loginBusy, loginSetup, loginFactor, loginError}

func newTally() *tally {
	t := &tally{logins: map[string]*atomic.Uint64{}, factors: newFactorCounts()}
	for _, result := range loginResults {
		t.logins[result] = new(atomic.Uint64)
	}
	return t
}

// countLogin counts a sign-in that ended with err. One that the client gave up
// has no result.
func (t *tally) countLogin(ok bool, err error) {
	if !errors.Is(err, context.Canceled) {
		t.logins[loginResult(ok, err)].Add(1)
	}
}

func loginResult(ok bool, err error) string {
	if ok {
		return loginOK
	}
	if err == nil { // a panic on its way
		return loginError
	}
	switch f := explain(err); {
	case f.code == codeSetupRequired:
		return loginSetup
	case f.code == codeFactorRequired:
		return loginFactor
	case f.status == http.StatusForbidden:
		return loginRefused
	case f.status == http.StatusTooManyRequests:
		return loginThrottled
	case errors.Is(err, password.ErrBusy):
		return loginBusy
	}
	return loginError
}

// gateTally counts what the gate decided, by rule: of none, then of each in order. A
// decision looks nothing up.
type gateTally struct {
	labels []string // what a rule is about, as it is configured: those of one host and path are one
	hosts  []string // its host; "": of no rule
	counts []gateOutcomes
	handed [][outcomes]uint64
}

const outcomes = int(gate.Allowed) + 1

type gateOutcomes [outcomes]atomic.Uint64

func newGateTally(rules *gate.Rules) *gateTally {
	t := &gateTally{labels: []string{"none"}, hosts: []string{""}}
	for _, rule := range rules.List() {
		t.labels, t.hosts = append(t.labels, rule.Host+rule.Path), append(t.hosts, rule.Host)
	}
	t.counts, t.handed = make([]gateOutcomes, len(t.labels)), make([][outcomes]uint64, len(t.labels))
	return t
}

// countGate counts a decision of a rule, which may be one of before.
func (t *tally) countGate(rule int, outcome gate.Outcome) {
	if now := t.gate.Load(); rule < len(now.counts) {
		now.counts[rule][outcome].Add(1)
	}
}

// countNobody counts a request that needs a credential and has no good one. Of one
// that failed it is not known.
func (t *tally) countNobody(err error) {
	switch {
	case err == nil:
		t.none.Add(1)
	case explain(err).status < http.StatusInternalServerError:
		t.refused.Add(1)
	}
}

// settle takes over what an identity has counted.
func (s *Server) settle(who *identity) {
	address := who.address.Load()
	if address == nil { // its first use is being noted
		return
	}
	n := who.requests.Swap(0)
	switch {
	case n == 0:
	case who.token != nil:
		s.tally.tokens.Add(uint64(n))
		s.Store.NoteTokenRequests(who.token.ID, *address, time.Unix(who.noted.Load(), 0).UTC(), n)
	default:
		s.tally.sessions.Add(uint64(n))
	}
}

// HandCounts hands the store what was counted since the last time. Whoever writes
// it down calls it first.
func (s *Server) HandCounts() {
	s.tally.handing.Lock()
	defer s.tally.handing.Unlock()
	s.identities.each(s.settle)
	c := s.tally.since()
	c.Gate = s.tally.gate.Load().since()
	c.Store = s.Store.Stats().Engine.Size
	s.Store.NoteCounts(c)
}

// handGate hands the store what was counted of the rules of before.
func (s *Server) handGate(old *gateTally) {
	s.tally.handing.Lock()
	defer s.tally.handing.Unlock()
	s.Store.NoteCounts(db.Counts{Gate: old.since()})
}

// since returns what was counted since the last call, but for the gate; t.handing
// is held.
func (t *tally) since() (c db.Counts) {
	for _, one := range []struct {
		now            uint64
		handed, differ *uint64
	}{
		{t.logins[loginOK].Load(), &t.handed.SignIns.OK, &c.SignIns.OK},
		{t.logins[loginRefused].Load(), &t.handed.SignIns.Refused, &c.SignIns.Refused},
		{t.throttled.Load(), &t.handed.SignIns.Throttled, &c.SignIns.Throttled},
		{t.sessions.Load(), &t.handed.Requests.Session, &c.Requests.Session},
		{t.tokens.Load(), &t.handed.Requests.Token, &c.Requests.Token},
		{t.none.Load(), &t.handed.Requests.None, &c.Requests.None},
		{t.refused.Load(), &t.handed.Requests.Refused, &c.Requests.Refused},
	} {
		*one.differ, *one.handed = one.now-*one.handed, one.now
	}
	return c
}

// since is what was decided since the last call, by host.
func (t *gateTally) since() map[string]db.GateCounts {
	hosts := map[string]db.GateCounts{}
	for i := range t.counts {
		var n [outcomes]uint64
		for outcome := range n {
			now := t.counts[i][outcome].Load()
			n[outcome], t.handed[i][outcome] = now-t.handed[i][outcome], now
		}
		if n == [outcomes]uint64{} {
			continue
		}
		sum := hosts[t.hosts[i]]
		sum.Allowed += n[gate.Allowed]
		sum.Refused += n[gate.Refused]
		sum.SignIn += n[gate.SignIn]
		hosts[t.hosts[i]] = sum
	}
	return hosts
}
