package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// ErrBusy means that the queue is full or that the wait was too long. No work
// was done: answer 503 with Retry-After (RFC 9110, 10.2.3).
var ErrBusy = errors.New("too many sign-ins at once")

const (
	queuePerHash   = 64
	defaultMaxWait = 5 * time.Second

	// idleAfter is how long nothing is hashed before the memory goes back.
	idleAfter = 2 * time.Second
)

// Config is what a Hasher is made from. The zero value is a good one.
type Config struct {
	// Params of new hashes; zero: DefaultParams.
	Params Params
	// MaxConcurrent hashes run at once; 0: half of GOMAXPROCS, at least one.
	MaxConcurrent int
	// MaxQueue callers wait for their turn; 0: 64 for each concurrent hash.
	MaxQueue int
	// MaxWait is how long a caller waits for its turn; 0: 5 s.
	MaxWait time.Duration
}

// Stats are the figures of a Hasher since it was made.
type Stats struct {
	Queued, Running int           // callers waiting now, hashes computed now
	Total           uint64        // hashes computed
	Busy            uint64        // callers turned away with ErrBusy
	WaitTotal       time.Duration // time spent in the queue, by all callers
	HashTotal       time.Duration // time spent computing
}

// Hasher hashes and verifies passwords, a few at a time, in the order of
// arrival. It is safe for concurrent use and needs no closing.
//
// Each argon2id hash allocates its Memory anew, as x/crypto/argon2 offers no
// reuse. During a flood the heap therefore holds MaxConcurrent hashes plus
// about as much again before the collector runs (GOGC=100). Afterwards nothing
// would run the collector for two minutes, so a Hasher that was idle for two
// seconds does, and gives the memory back to the system.
type Hasher struct {
	params  Params
	permits chan struct{} // a send takes a permit; waiting senders are served first come, first served
	queue   int64
	maxWait time.Duration

	derive     deriveFunc
	freeMemory func()
	idle       *time.Timer

	queued, waited, hashed atomic.Int64
	total, busy            atomic.Uint64
}

// New makes a Hasher. It computes and allocates nothing worth mentioning. It
// panics when the parameters are below the floor of the OWASP Password Storage
// Cheat Sheet (or above the ceilings of stored hashes) and are not
// InsecureTestParams: they come from a program, not from its user.
func New(c Config) *Hasher {
	c = c.withDefaults()
	if !c.Params.allowed() {
		panic(fmt.Sprintf("password: parameters out of range: %+v", c.Params))
	}
	h := &Hasher{
		params:     c.Params,
		permits:    make(chan struct{}, c.MaxConcurrent),
		queue:      int64(c.MaxQueue),
		maxWait:    c.MaxWait,
		derive:     argon2.IDKey,
		freeMemory: debug.FreeOSMemory,
	}
	h.idle = time.AfterFunc(idleAfter, h.tidy)
	h.idle.Stop()
	return h
}

func (c Config) withDefaults() Config {
	if c.Params == (Params{}) {
		c.Params = DefaultParams()
	}
	if c.MaxConcurrent <= 0 {
		c.MaxConcurrent = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.MaxQueue <= 0 {
		c.MaxQueue = queuePerHash * c.MaxConcurrent
	}
	if c.MaxWait <= 0 {
		c.MaxWait = defaultMaxWait
	}
	return c
}

// Hash returns the argon2id hash of a password as a PHC string, with a new
// random salt of 16 bytes and a tag of 32. Errors: those of Length, ErrBusy,
// the context's.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := Length(password); err != nil {
		return "", err
	}
	p := &phc{Params: h.params, salt: make([]byte, saltLen)}
	rand.Read(p.salt) // never fails: crypto/rand ends the program instead
	err := h.run(ctx, func() {
		p.tag = h.derive([]byte(password), p.salt, p.Time, p.Memory, p.Threads, tagLen)
	})
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

// Verify tells whether password is the one that encoded was made from, and,
// only where it is, whether a new Hash of it would be stronger (stale): its
// parameters are weaker than the configured ones, or it is bcrypt. Errors:
// ErrDamaged, ErrBusy, the context's. A damaged hash costs the same work as a
// wrong password, so that the time does not tell it from outside; log it and
// answer as for a wrong password.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (ok, stale bool, err error) {
	rec, err := parse(encoded)
	if err != nil {
		if busy := h.VerifyNobody(ctx, password); busy != nil {
			return false, false, busy
		}
		return false, false, err
	}
	if err := h.run(ctx, func() { ok = rec.verify(h.derive, password) }); err != nil {
		return false, false, err
	}
	return ok, ok && rec.stale(h.params), nil
}

// VerifyNobody does the work of a Verify that fails, with the configured
// parameters, for a user who does not exist or has no password: the time of
// the answer must not tell who has an account (ASVS 6.3.8). Errors: ErrBusy,
// the context's, just like Verify.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	nobody := &phc{Params: h.params, salt: make([]byte, saltLen), tag: make([]byte, tagLen)}
	return h.run(ctx, func() { nobody.verify(h.derive, password) })
}

// Stats returns the figures as they are now.
func (h *Hasher) Stats() Stats {
	return Stats{
		Queued:    int(h.queued.Load()),
		Running:   len(h.permits),
		Total:     h.total.Load(),
		Busy:      h.busy.Load(),
		WaitTotal: time.Duration(h.waited.Load()),
		HashTotal: time.Duration(h.hashed.Load()),
	}
}

// run does work under a permit. The work can't be interrupted and is done in
// the caller's goroutine: the permit is given back when the work ends, not
// when the client leaves, or clients that hang up would run without a limit.
func (h *Hasher) run(ctx context.Context, work func()) error {
	if err := h.acquire(ctx); err != nil {
		return err
	}
	defer h.giveBack(time.Now())
	work()
	return nil
}

// acquire takes a permit, at once or in the queue.
func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.permits <- struct{}{}:
		return nil
	default:
	}
	defer h.queued.Add(-1)
	if h.queued.Add(1) > h.queue {
		h.busy.Add(1)
		return ErrBusy
	}
	return h.wait(ctx)
}

// wait is the queue: it ends with a permit, with ErrBusy or with the client.
func (h *Hasher) wait(ctx context.Context) error {
	begin := time.Now()
	defer func() { h.waited.Add(int64(time.Since(begin))) }()
	patience := time.NewTimer(h.maxWait)
	defer patience.Stop()
	select {
	case h.permits <- struct{}{}:
		return h.stillThere(ctx)
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		h.busy.Add(1)
		return ErrBusy
	}
}

// stillThere gives the permit back when the client left in the moment that its
// turn came: select takes any of the cases that are ready.
func (h *Hasher) stillThere(ctx context.Context) error {
	err := ctx.Err()
	if err != nil {
		<-h.permits
	}
	return err
}

func (h *Hasher) giveBack(begin time.Time) {
	h.hashed.Add(int64(time.Since(begin)))
	h.total.Add(1)
	h.idle.Reset(idleAfter)
	<-h.permits
}

// tidy gives the memory of past hashes back to the system, unless one is
// computed right now: its end will set the timer again.
func (h *Hasher) tidy() {
	if len(h.permits) == 0 {
		h.freeMemory()
	}
}
