package upkeep

import (
	"context"
	"errors"
	"sync"
	"time"

	"husk/db"
)

const (
	// ProofLife is how long a proof holds: probes don't wear the disk.
	ProofLife     = 10 * time.Second
	proofPatience = 5 * time.Second // how long a probe waits for one
)

// ErrNotProved says that it is not known whether changes can be written.
var ErrNotProved = errors.New("no server runs: nothing is written to find out")

var errSlowWrite = errors.New("a write takes longer than " + proofPatience.String())

// proof is whether changes can be written, found out by one at a time.
type proof struct {
	mu      sync.Mutex
	at      time.Time     // of the last result; zero: none yet
	err     error         // that result
	heeded  uint64        // how many refusals of changes it knows of
	running chan struct{} // closed when the try under way ends; nil: none is
	told    time.Time     // when the log heard of err
}

// Prove tells whether a change can be written, by writing one, at most once in
// ProofLife. What others met counts more: a change that was refused is the result
// at once, and stays it until a try that began after it succeeds. A disk that
// hangs costs one goroutine, and those who ask their patience. Nothing is written
// where no server runs; then it is ErrNotProved.
func (u *Upkeep) Prove(ctx context.Context) error {
	if u == nil || !u.running.Load() {
		return ErrNotProved
	}
	if err := u.lookForFile(); err != nil {
		return err
	}
	p := &u.proof
	if running := u.beginProof(ctx); running != nil {
		patience := time.NewTimer(u.proofPatience)
		defer patience.Stop()
		select {
		case <-running:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return errSlowWrite
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// beginProof begins a try where one is due. It returns what the try under way
// closes at its end, or nil.
func (u *Upkeep) beginProof(ctx context.Context) (running <-chan struct{}) {
	p := &u.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heed(u.Store.Refusal())
	if p.running == nil && !within(ProofLife, u.Store.Now(), p.at) {
		p.running = make(chan struct{})
		// The result is for all who ask: it must not depend on whether the first
		// one stays.
		go u.guard(func() { u.tryWrite(context.WithoutCancel(ctx)) })
	}
	return p.running
}

// heed makes a refusal that came since the last result the result. One that
// comes while the result is bad already does not put off the next try. p.mu is
// held.
func (p *proof) heed(r db.Refusal) {
	if r.N == p.heeded {
		return
	}
	p.heeded = r.N
	if p.err == nil {
		p.at, p.err = r.At, r.Err
	}
}

func (u *Upkeep) tryWrite(ctx context.Context) {
	err := errors.New("the try to write was cut short") // by a panic
	before := u.Store.Refusal().N
	defer func() {
		p := &u.proof
		p.mu.Lock()
		defer p.mu.Unlock()
		now, last := u.Store.Now(), u.Store.Refusal()
		if err == nil && last.N != before {
			err = last.Err // whether it came before or after, nobody can tell
		}
		u.tellProof(err, now)
		p.at, p.err, p.heeded = now, err, last.N
		close(p.running)
		p.running = nil
	}()
	err = u.Store.ProveWrite(ctx)
}

// tellProof logs a result that is bad, when it begins and hourly as long as it
// lasts, and its end. u.proof.mu is held.
func (u *Upkeep) tellProof(err error, now time.Time) {
	p := &u.proof
	switch {
	case err == nil && !p.told.IsZero():
		p.told = time.Time{}
		u.Log.Info("changes can be written to the store again")
	case err != nil && !within(tellAgain, now, p.told):
		p.told = now
		u.Log.Error("changes can't be written to the store: they are refused, and credentials are still checked", "error", WithCause(err))
	}
}

// lookForFile tells whether the store's file is where it was opened. The log
// hears of it when that changes.
func (u *Upkeep) lookForFile() error {
	err := u.Store.Located()
	if gone := err != nil; u.fileGone.Swap(gone) != gone {
		if gone {
			u.Log.Error("changes are refused: the data file is not where it was opened", "error", WithCause(err))
		} else {
			u.Log.Info("the data file is back: changes are made again")
		}
	}
	return err
}
