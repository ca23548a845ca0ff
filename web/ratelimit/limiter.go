// Package ratelimit limits password sign-ins, per account and per address.
//
// The flow. Before a password is verified the handler calls Allow. A nil
// Attempt means throttled: answer 429 with Retry-After and verify nothing, so
// that a right and a wrong password look alike. Otherwise verify, and call
// Success when the password was right, Cancel when it could not be verified
// (the server was busy), and End in any case: without one of the others before,
// the password was wrong.
//
// An attempt counts as failed from the moment Allow lets it pass. Were it
// counted only after its password was verified, which takes some 20 ms, any
// number of parallel guesses would pass before the first one is booked. Await
// is Allow for those who come while as many are under way: it waits until these
// are decided, so that sign-ins which are right do not refuse each other.
//
// There are these kinds of bucket:
//
//   - Account: Free failures in a row pass, whatever address they come from.
//     Each one from then on delays the next attempt: Base, twice that, up to
//     Max. An attempt made during a delay is refused and changes nothing, so a
//     delay always ends when it was said to and one attempt passes. A success
//     forgets the count, and so does a quiet time of Forget.
//   - Device: attempts with a valid device cookie have a bucket of their own
//     for the account, and are no concern of the address's bucket either.
//     Whoever has the cookie signed in to this very account before; strangers
//     delay neither them nor the others behind one proxy who have a cookie.
//   - Familiar: attempts without a cookie from an address from which somebody
//     signed in to this very account lately have one bucket for the account,
//     too. It is the owner's way in from another browser at home while
//     strangers elsewhere try the account all the time.
//   - Address: AddressFree failures over all accounts, then delays as above.
//     One failure is forgiven each AddressForgive, since people who share an
//     address never make a quiet time together. A success gives back only its
//     own attempt: else a sprayer would sign in to an account of their own
//     between two guesses. The networks around it (see networks) count alike,
//     with more allowance.
//
// So one account is guessed at three times as often at most as its own bucket
// says. With the defaults, that is Free, 8 while the delay grows to an hour, and
// then one an hour: at most 108 guesses in the first day and 72 in each later
// one, and all but 36 and 24 of them only by those who have a device cookie of
// the account or share an address with its owner.
//
// An attempt that ends before its password was verified because its client is
// gone counts for the address alone (Abandon): else tries that nobody waits for
// would fill the queues for nothing.
//
// What this can't do: someone who tries all the time without a cookie also
// takes the one attempt at the end of a delay. The owner's ways past that are
// the device cookie, a familiar address and Clear.
//
// Nothing is written to disk. A restart forgets the counts; memory is bounded
// (see table).
package ratelimit

import (
	"slices"
	"sync"
	"time"
)

// MaxDelay bounds every delay, whatever the Config says.
const MaxDelay = time.Hour

// Config says how much is allowed. A field that is zero or less takes its
// default.
type Config struct {
	// Free is the number of failures in a row that an account may have before
	// the first delay. Default 5.
	Free int
	// AddressFree is the same for an address, over all accounts; for a network
	// around it that times its factor. Default 20.
	AddressFree int
	// Base is the first delay, doubled by each further failure. Default 15 s.
	Base time.Duration
	// Max is the longest delay. Default, and at most, MaxDelay.
	Max time.Duration
	// Forget is how long a count outlives its last failure or, if it ends
	// later, its delay. A guesser who rests this long has Free guesses again,
	// so it is long. Default 24 h.
	Forget time.Duration
	// AddressForgive is the time in which an address is forgiven one failure,
	// and so the pace to which a steady sprayer is held; for a network around it
	// that divided by its factor. Default 5 min.
	AddressForgive time.Duration
	// MaxKeys bounds the number of buckets of each kind, at
	// about 120 bytes each. Default 100,000; at least 4.
	MaxKeys int
	// Now is the clock. Default time.Now. It must not go backwards, nor call
	// the Limiter.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.Free = positive(c.Free, 5)
	c.AddressFree = positive(c.AddressFree, 20)
	c.Base = positive(c.Base, 15*time.Second)
	c.Max = min(positive(c.Max, MaxDelay), MaxDelay)
	c.Forget = positive(c.Forget, 24*time.Hour)
	c.AddressForgive = positive(c.AddressForgive, 5*time.Minute)
	c.MaxKeys = max(positive(c.MaxKeys, 100_000), 4)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Limiter counts attempts. Its methods may be called at the same time, and
// cost the same however many buckets there are.
type Limiter struct {
	now   func() time.Time
	start time.Time
	hash  hasher

	// One lock for all: an attempt touches two buckets, which must be checked
	// and booked together, and whatever passes costs a slow hash anyway.
	mu        sync.Mutex
	accounts  *table
	devices   *table
	familiars *table
	networks  [len(networks)]*table
	familiar  *familiar
	decided   chan struct{} // closed and made anew when an attempt is decided
	waiting   []*waiter     // in Await, as they came
}

// New returns a Limiter without counts.
func New(c Config) *Limiter {
	c = c.withDefaults()
	account := rule{free: c.Free, base: c.Base, max: c.Max, forget: c.Forget}
	l := &Limiter{
		now:       c.Now,
		start:     c.Now(),
		hash:      newHasher(),
		accounts:  newTable(account, c.MaxKeys),
		devices:   newTable(account, c.MaxKeys),
		familiars: newTable(account, c.MaxKeys),
		familiar:  newFamiliar(c.MaxKeys),
		decided:   make(chan struct{}),
	}
	for i, n := range networks {
		wide := account
		wide.free, wide.forgive = c.AddressFree*n.factor, c.AddressForgive/time.Duration(n.factor)
		l.networks[i] = newTable(wide, c.MaxKeys)
	}
	return l
}

// Allow asks for one attempt at account's password from address, and books it
// as failed. Throttled, the Attempt is nil and retryAfter is the time to wait,
// in whole seconds, at least one.
//
// Account is the folded email, known or not: unknown ones are counted like
// known ones. Address is the client's IP address; without one ("") only the
// account counts. Device says that a valid device cookie for this account came
// with the attempt.
func (l *Limiter) Allow(account, address string, device bool) (a *Attempt, retryAfter time.Duration) {
	s := l.subjectOf(account, address, device)
	l.mu.Lock()
	defer l.mu.Unlock()
	a, retryAfter, _ = l.allow(s)
	return a, retryAfter
}

// allow books an attempt, or tells how long to wait, and whether that is only
// for attempts that are not decided yet.
func (l *Limiter) allow(s subject) (a *Attempt, retryAfter time.Duration, undecided bool) {
	now := l.elapsed()
	buckets := l.bucketsOf(s)
	undecided = true
	for _, b := range buckets {
		if wait := b.table.wait(b.key, now); wait > 0 {
			retryAfter = max(retryAfter, wait)
			undecided = undecided && b.table.undecided(b.key)
		}
	}
	if retryAfter > 0 {
		return nil, wholeSeconds(retryAfter), undecided
	}
	a = &Attempt{limiter: l, subject: s, fresh: true}
	for i, b := range buckets {
		a.fresh = a.fresh && (i == 0 || b.table.get(b.key, now) == nil)
		a.bookings = append(a.bookings, b.table.book(b.key, now))
	}
	a.familiar = buckets[0].table == l.familiars
	a.fresh = a.fresh || a.familiar
	return a, 0, false
}

// Clear forgets what was counted for account, and what Estrange does: after an
// unlock and when the password was set anew.
func (l *Limiter) Clear(account string) {
	key := l.hash.account(account)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.own() {
		t.reset(key)
	}
	l.familiar.forget(key)
	l.announce()
}

// AddressWaits tells whether an attempt waits for the count of its address or of
// a network around it: a wait that Clear does not end.
func (l *Limiter) AddressWaits(account, address string, device bool) bool {
	s := l.subjectOf(account, address, device)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.elapsed()
	return slices.ContainsFunc(l.bucketsOf(s)[1:], func(b bucket) bool { return b.table.wait(b.key, now) > 0 })
}

// Estrange forgets from which addresses somebody signed in to account.
func (l *Limiter) Estrange(account string) {
	key := l.hash.account(account)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.familiar.forget(key)
}

// own are the tables of what counts for one account.
func (l *Limiter) own() []*table { return []*table{l.accounts, l.devices, l.familiars} }

// announce wakes those who wait for a decision.
func (l *Limiter) announce() {
	close(l.decided)
	l.decided = make(chan struct{})
}

// State tells how many failures account has in a row, among the attempts with
// a device cookie or among those without, and when its delay ends: the zero
// time if there is none now. It is for operators; telling it to the client
// would tell which attempts others make.
func (l *Limiter) State(account string, device bool) (failures int, until time.Time) {
	key := l.hash.account(account)
	l.mu.Lock()
	defer l.mu.Unlock()
	tables := []*table{l.accounts, l.familiars}
	if device {
		tables = []*table{l.devices}
	}
	now := l.elapsed()
	for _, t := range tables {
		e := t.get(key, now)
		if e == nil {
			continue
		}
		failures = max(failures, e.failures)
		if end := l.start.Add(e.until); e.until > now && end.After(until) {
			until = end
		}
	}
	return failures, until
}

// subject is whose attempt it is, in keys.
type subject struct {
	account  uint64
	device   bool
	address  bool // it is known, and counts
	networks [len(networks)]uint64
}

// subjectOf hashes outside the lock: an account may be as long as a request.
func (l *Limiter) subjectOf(account, address string, device bool) subject {
	s := subject{account: l.hash.account(account), device: device, address: address != ""}
	if s.address {
		s.networks = l.hash.address(address)
	}
	return s
}

type bucket struct {
	table *table
	key   uint64
}

// bucketsOf returns that of the account, and those of the address and the
// networks around it where they count.
func (l *Limiter) bucketsOf(s subject) []bucket {
	switch {
	case s.device:
		return []bucket{{l.devices, s.account}}
	case !s.address:
		return []bucket{{l.accounts, s.account}}
	}
	all := make([]bucket, 1, 1+len(networks))
	all[0] = bucket{l.accounts, s.account}
	if l.familiar.has(s.account, s.networks[0]) {
		all[0].table = l.familiars
	}
	for i, key := range s.networks {
		if key != 0 {
			all = append(all, bucket{l.networks[i], key})
		}
	}
	return all
}

// elapsed is the time since New. With time.Now it is read off the monotonic
// clock, so that setting the machine's clock neither ends nor stretches delays.
func (l *Limiter) elapsed() time.Duration { return l.now().Sub(l.start) }

func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// Attempt is one attempt that Allow let pass, booked as failed. Success and
// Cancel take that back, Abandon for the account alone, End leaves it so; only
// the first call to any of them counts. All may be called on a nil Attempt, for
// callers who don't limit.
type Attempt struct {
	limiter *Limiter
	subject subject
	fresh   bool
	// familiar is the address to the account.
	familiar bool
	// bookings are those of the account and, where they count, of the address
	// and the networks around it.
	bookings []booking
}

// Fresh tells whether the address and the networks around it had no failure
// that is not forgiven yet, or the address is familiar to the account.
func (a *Attempt) Fresh() bool { return a != nil && a.fresh }

// Familiar tells whether a device cookie of the account came with the attempt, or it
// came from an address that is familiar to the account.
func (a *Attempt) Familiar() bool {
	return a != nil && (a.subject.device || a.familiar)
}

// Success says that the password was right: the account's count, of the kind
// that the attempt belonged to, begins anew. The address only gets this one
// attempt back, and is familiar to the account from now on.
func (a *Attempt) Success() {
	a.decide(func(account booking) {
		account.table.reset(account.key)
		if a.subject.networks[0] != 0 {
			a.limiter.familiar.add(a.subject.account, a.subject.networks[0])
		}
	}, booking.giveBack)
}

// Cancel says that the password was not verified: the attempt counts nowhere.
func (a *Attempt) Cancel() { a.decide(booking.giveBack, booking.giveBack) }

// Abandon says that the client was gone before the password was verified: the
// address pays for that, and the account, whose owner may be another, does not.
func (a *Attempt) Abandon() { a.decide(booking.giveBack, booking.decide) }

// End says that nothing more is going to be learned: an attempt that was
// neither right nor given up was wrong.
func (a *Attempt) End() { a.decide(booking.decide, booking.decide) }

// decide calls address for the address and each network around it.
func (a *Attempt) decide(account, address func(booking)) {
	if a == nil {
		return
	}
	a.limiter.mu.Lock()
	defer a.limiter.mu.Unlock()
	if len(a.bookings) == 0 {
		return
	}
	for i, b := range a.bookings {
		if i == 0 {
			account(b)
		} else {
			address(b)
		}
	}
	a.bookings = nil
	a.limiter.announce()
}
