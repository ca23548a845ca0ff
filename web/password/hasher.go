package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// ErrBusy means that the queue is full or that the wait was too long. No work
// was done: answer 503 with Retry-After (RFC 9110, 10.2.3).
var ErrBusy = errors.New("too many sign-ins at once")

const (
	// queuePerHash is about what is served while the last one waits: who would
	// not be served in time is told at once.
	queuePerHash   = 256
	defaultMaxWait = 5 * time.Second

	// idleAfter is how long nothing is hashed before the memory goes back.
	idleAfter = 2 * time.Second
)

// Config is what a Hasher is made from. The zero value is a good one.
type Config struct {
	// Params of new hashes; zero: DefaultParams.
	Params Params
	// MaxConcurrent hashes with Params run at once; 0: half of GOMAXPROCS, at
	// least one. Of stored ones that take more memory or lanes it is fewer.
	MaxConcurrent int
	// MaxQueue strangers wait for their turn, and as many who are known; 0: 256
	// for each concurrent hash.
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

// Hasher hashes and verifies passwords, a few at a time. Whose turn is next the
// [Caller] decides: one who is known goes before strangers, and strangers take
// turns by network. It is safe for concurrent use and needs no closing.
//
// Each argon2id hash allocates its Memory anew, as x/crypto/argon2 offers no
// reuse. During a flood the heap therefore holds MaxConcurrent hashes plus
// about as much again before the collector runs (GOGC=100): a stored hash that
// takes more memory than Params counts as several. Afterwards nothing
// would run the collector for two minutes, so a Hasher that was idle for two
// seconds does, and gives the memory back to the system.
type Hasher struct {
	params  Params
	maxWait time.Duration

	mu      sync.Mutex
	queue   queue
	slots   int // for a hash with params each
	taken   int // of them
	running int

	derive     deriveFunc
	freeMemory func()
	idle       *time.Timer

	waited, hashed atomic.Int64
	total, busy    atomic.Uint64
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
		maxWait:    c.MaxWait,
		queue:      queue{room: c.MaxQueue},
		slots:      c.MaxConcurrent,
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
func (h *Hasher) Hash(ctx context.Context, c Caller, password string) (string, error) {
	if err := Length(password); err != nil {
		return "", err
	}
	p := &phc{Params: h.params, salt: make([]byte, saltLen)}
	rand.Read(p.salt) // never fails: crypto/rand ends the program instead
	err := h.run(ctx, c, p, func() {
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
// ErrDamaged, ErrBusy, the context's. With ErrDamaged no work was done, and
// VerifyNobody has to be, so that the time does not tell it from outside; log
// it and answer as for a wrong password.
func (h *Hasher) Verify(ctx context.Context, c Caller, encoded, password string) (ok, stale bool, err error) {
	rec, err := parse(encoded)
	if err != nil {
		return false, false, err
	}
	if err := h.run(ctx, c, rec, func() { ok = rec.verify(h.derive, password) }); err != nil {
		return false, false, err
	}
	return ok, ok && rec.stale(h.params), nil
}

// Makes tells whether a stored hash is just like those that Hash makes.
func (h *Hasher) Makes(encoded string) bool {
	p, err := parsePHC(encoded)
	return err == nil && p.Params == h.params && len(p.salt) == saltLen && len(p.tag) == tagLen
}

// VerifyNobody does the work of a Verify that fails, for a user who does not
// exist or has no password: the time of the answer must not tell who has an
// account (ASVS 6.3.8). It costs what a hash does that begins with like (all
// that stands before the salt, for instance $2b$10): what most stored ones
// begin with. Where no hash begins so, it is the configured parameters. Errors:
// ErrBusy, the context's, just like Verify.
func (h *Hasher) VerifyNobody(ctx context.Context, c Caller, like, password string) error {
	nobody := h.nobody(like)
	return h.run(ctx, c, nobody, func() { nobody.verify(h.derive, password) })
}

func (h *Hasher) nobody(like string) record {
	salt, tag := make([]byte, saltLen), make([]byte, tagLen)
	for _, rest := range []string{"$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(tag), "$" + strings.Repeat(".", bcryptLen-bcryptSaltAt)} {
		if rec, err := parse(like + rest); err == nil {
			return rec
		}
	}
	return &phc{Params: h.params, salt: salt, tag: tag}
}

// Stats returns the figures as they are now.
func (h *Hasher) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{
		Queued:    h.queue.len(),
		Running:   h.running,
		Total:     h.total.Load(),
		Busy:      h.busy.Load(),
		WaitTotal: time.Duration(h.waited.Load()),
		HashTotal: time.Duration(h.hashed.Load()),
	}
}

// run does work under a permit. The work can't be interrupted and is done in
// the caller's goroutine: the permit is given back when the work ends, not
// when the client leaves, or clients that hang up would run without a limit.
func (h *Hasher) run(ctx context.Context, c Caller, rec record, work func()) error {
	slots := min(rec.slots(h.params), h.slots)
	if err := h.acquire(ctx, c, slots); err != nil {
		if errors.Is(err, ErrBusy) {
			h.busy.Add(1)
		}
		return err
	}
	defer h.giveBack(time.Now(), slots)
	work()
	return nil
}

// acquire takes a permit of so many slots, at once or in the queue.
func (h *Hasher) acquire(ctx context.Context, c Caller, slots int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter{slots: slots, turn: make(chan error, 1)}
	h.mu.Lock()
	if h.queue.len() == 0 && h.fits(slots) {
		h.take(slots)
		h.mu.Unlock()
		return nil
	}
	if out := h.queue.add(w, c); out != nil {
		out.turn <- ErrBusy
	}
	h.admit() // past a large one that waits for room
	h.mu.Unlock()
	return h.wait(ctx, w)
}

// wait is for a turn: it ends with a permit, with ErrBusy or with the client.
func (h *Hasher) wait(ctx context.Context, w *waiter) error {
	begin := time.Now()
	defer func() { h.waited.Add(int64(time.Since(begin))) }()
	patience := time.NewTimer(h.maxWait)
	defer patience.Stop()
	select {
	case err := <-w.turn:
		return h.stillThere(ctx, w, err)
	case <-ctx.Done():
		return h.leave(w, ctx.Err())
	case <-patience.C:
		return h.leave(w, ErrBusy)
	}
}

// leave gives up waiting, and the permit with it where the turn came in the
// same moment.
func (h *Hasher) leave(w *waiter, why error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.at != nil {
		h.queue.remove(w)
	} else if err := <-w.turn; err == nil {
		h.free(w.slots)
	}
	h.admit() // a large one may have stood before smaller ones
	return why
}

// stillThere gives the permit back when the client left in the moment that its
// turn came: select takes any of the cases that are ready.
func (h *Hasher) stillThere(ctx context.Context, w *waiter, turn error) error {
	if turn != nil || ctx.Err() == nil {
		return turn
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free(w.slots)
	h.admit()
	return ctx.Err()
}

func (h *Hasher) giveBack(begin time.Time, slots int) {
	h.hashed.Add(int64(time.Since(begin)))
	h.total.Add(1)
	h.idle.Reset(idleAfter)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free(slots)
	h.admit()
}

// The rest is called with the lock held.

func (h *Hasher) fits(slots int) bool { return h.taken+slots <= h.slots }

func (h *Hasher) take(slots int) {
	h.taken += slots
	h.running++
}

func (h *Hasher) free(slots int) {
	h.taken -= slots
	h.running--
}

// admit lets in whose turn it is. One that does not fit is waited for: else
// small ones would keep it out for ever.
func (h *Hasher) admit() {
	for w := h.queue.next(); w != nil && h.fits(w.slots); w = h.queue.next() {
		h.queue.take(w)
		h.take(w.slots)
		w.turn <- nil
	}
}

// tidy gives the memory of past hashes back to the system, unless one is
// computed right now: its end will set the timer again.
func (h *Hasher) tidy() {
	if h.Stats().Running == 0 {
		h.freeMemory()
	}
}
