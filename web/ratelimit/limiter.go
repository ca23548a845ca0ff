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
// There are three kinds of bucket:
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
//   - Address: AddressFree failures over all accounts, then delays as above.
//     One failure is forgiven each AddressForgive, since people who share an
//     address never make a quiet time together. A success gives back only its
//     own attempt: else a sprayer would sign in to an account of their own
//     between two guesses.
//
// What this can't do: someone who tries all the time without a cookie also
// takes the one attempt at the end of a delay. The owner's ways past that are
// the device cookie and Clear.
//
// Nothing is written to disk. A restart forgets the counts; memory is bounded
// (see table).
package ratelimit

import (
	"context"
	"errors"
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
	// AddressFree is the same for an address, over all accounts. Default 20.
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
	// and so the pace to which a steady sprayer is held. Default 5 min.
	AddressForgive time.Duration
	// MaxKeys bounds the number of buckets of each of the three kinds, at
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
	addresses *table
	decided   chan struct{} // closed and made anew when an attempt is decided
	waiting   int           // in Await
}

// New returns a Limiter without counts.
func New(c Config) *Limiter {
	c = c.withDefaults()
	account := rule{free: c.Free, base: c.Base, max: c.Max, forget: c.Forget}
	address := account
	address.free, address.forgive = c.AddressFree, c.AddressForgive
	return &Limiter{
		now:       c.Now,
		start:     c.Now(),
		hash:      newHasher(),
		accounts:  newTable(account, c.MaxKeys),
		devices:   newTable(account, c.MaxKeys),
		addresses: newTable(address, c.MaxKeys),
		decided:   make(chan struct{}),
	}
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
	buckets := l.bucketsFor(account, address, device)
	l.mu.Lock()
	defer l.mu.Unlock()
	a, retryAfter, _ = l.allow(buckets)
	return a, retryAfter
}

// ErrCrowded says that too many wait for attempts that are under way.
var ErrCrowded = errors.New("too many sign-ins at once")

// maxWaiting bounds how many wait at once, over all accounts.
const maxWaiting = 64

// Await is Allow, but for attempts that are refused only because others are
// not decided yet: it waits for these, until ctx ends. It answers at once where
// what was decided already is reason enough.
func (l *Limiter) Await(ctx context.Context, account, address string, device bool) (a *Attempt, retryAfter time.Duration, err error) {
	buckets := l.bucketsFor(account, address, device)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		a, wait, undecided := l.allow(buckets)
		switch {
		case a != nil || !undecided:
			return a, wait, nil
		case l.waiting >= maxWaiting:
			return nil, 0, ErrCrowded
		}
		if err := l.waitUnlocked(ctx); err != nil {
			return nil, 0, err
		}
	}
}

// waitUnlocked gives up the lock until an attempt is decided or ctx ends.
func (l *Limiter) waitUnlocked(ctx context.Context) error {
	decided := l.decided
	l.waiting++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.waiting--
	}()
	select {
	case <-decided:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// allow books an attempt, or tells how long to wait, and whether that is only
// for attempts that are not decided yet.
func (l *Limiter) allow(buckets []bucket) (a *Attempt, retryAfter time.Duration, undecided bool) {
	now := l.elapsed()
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
	a = &Attempt{limiter: l}
	for _, b := range buckets {
		a.bookings = append(a.bookings, b.table.book(b.key, now))
	}
	return a, 0, false
}

// Clear forgets what was counted for account, with and without a device
// cookie: after an unlock and when the password was set anew.
func (l *Limiter) Clear(account string) {
	key := l.hash.account(account)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts.reset(key)
	l.devices.reset(key)
	l.announce()
}

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
	now := l.elapsed()
	e := l.accountTable(device).get(key, now)
	if e == nil {
		return 0, time.Time{}
	}
	if e.until > now {
		until = l.start.Add(e.until)
	}
	return e.failures, until
}

type bucket struct {
	table *table
	key   uint64
}

// bucketsFor hashes outside the lock: an account may be as long as a request.
func (l *Limiter) bucketsFor(account, address string, device bool) []bucket {
	own := bucket{l.accountTable(device), l.hash.account(account)}
	if device || address == "" {
		return []bucket{own}
	}
	return []bucket{own, {l.addresses, l.hash.address(address)}}
}

func (l *Limiter) accountTable(device bool) *table {
	if device {
		return l.devices
	}
	return l.accounts
}

// elapsed is the time since New. With time.Now it is read off the monotonic
// clock, so that setting the machine's clock neither ends nor stretches delays.
func (l *Limiter) elapsed() time.Duration { return l.now().Sub(l.start) }

func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// Attempt is one attempt that Allow let pass, booked as failed. Success and
// Cancel take that back, End leaves it so; only the first call to any of them
// counts. All may be called on a nil Attempt, for callers who don't limit.
type Attempt struct {
	limiter *Limiter
	// bookings are those of the account and, where it counts, the address.
	bookings []booking
}

// Success says that the password was right: the account's count, of the kind
// that the attempt belonged to, begins anew. The address only gets this one
// attempt back.
func (a *Attempt) Success() {
	a.settle(func(account booking) { account.table.reset(account.key) })
}

// Cancel says that the password was not verified: the attempt counts nowhere.
func (a *Attempt) Cancel() {
	a.settle(booking.giveBack)
}

// End says that nothing more is going to be learned: an attempt that was
// neither right nor cancelled was wrong.
func (a *Attempt) End() {
	a.decide(booking.decide, booking.decide)
}

func (a *Attempt) settle(account func(booking)) { a.decide(account, booking.giveBack) }

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
