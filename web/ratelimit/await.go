package ratelimit

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrCrowded says that too many wait for attempts that are under way.
var ErrCrowded = errors.New("too many sign-ins at once")

// How many wait at once: without a device cookie over all accounts, with one
// for each account.
const (
	maxWaiting        = 256
	maxDevicesWaiting = 16
)

// waiter is an attempt that waits for others to be decided.
type waiter struct {
	subject
	out chan struct{} // closed when it has to go
}

// Await is Allow, but for attempts that are refused only because others are
// not decided yet: it waits for these, until ctx ends. It answers at once where
// what was decided already is reason enough. Who is gone before that, which is
// when ctx was cancelled, pays with a failure of the address.
//
// When too many wait, the last one of the network from which most wait gets
// ErrCrowded.
func (l *Limiter) Await(ctx context.Context, account, address string, device bool) (a *Attempt, retryAfter time.Duration, err error) {
	w := &waiter{subject: l.subjectOf(account, address, device), out: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	a, wait, undecided := l.allow(w.subject)
	if a != nil || !undecided {
		return a, wait, nil
	}
	if !l.enqueue(w) {
		return nil, 0, ErrCrowded
	}
	defer l.dequeue(w)
	for a == nil && undecided {
		if err := l.waitUnlocked(ctx, w); err != nil {
			return nil, 0, err
		}
		a, wait, undecided = l.allow(w.subject)
	}
	return a, wait, nil
}

// enqueue lets w wait, and tells whether there was room.
func (l *Limiter) enqueue(w *waiter) bool {
	var rivals []*waiter
	for _, other := range l.waiting {
		if other.device == w.device && (!w.device || other.account == w.account) {
			rivals = append(rivals, other)
		}
	}
	l.waiting = append(l.waiting, w)
	switch {
	case w.device && len(rivals) < maxDevicesWaiting, !w.device && len(rivals) < maxWaiting:
		return true
	case w.device:
		l.dequeue(w)
		return false
	}
	out := mostCrowded(append(rivals, w))
	l.dequeue(out)
	close(out.out)
	return out != w
}

func (l *Limiter) dequeue(w *waiter) {
	if i := slices.Index(l.waiting, w); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

// mostCrowded returns the last one of those from the network that most are
// from: from the widest kind of network to the narrowest.
func mostCrowded(all []*waiter) *waiter {
	for kind := range slices.Backward(networks[:]) {
		count := map[uint64]int{}
		for _, w := range all {
			count[w.networks[kind]]++
		}
		most := all[len(all)-1].networks[kind]
		for network, n := range count {
			if n > count[most] {
				most = network
			}
		}
		all = slices.DeleteFunc(all, func(w *waiter) bool { return w.networks[kind] != most })
	}
	return all[len(all)-1]
}

// waitUnlocked gives up the lock until an attempt is decided, w has to go, or
// ctx ends.
func (l *Limiter) waitUnlocked(ctx context.Context, w *waiter) error {
	decided := l.decided
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-decided:
		return nil
	case <-w.out:
		return ErrCrowded
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			defer l.chargeAddress(w.subject)
		}
		return ctx.Err()
	}
}

// chargeAddress counts a failure for the networks of s, unless they are
// delayed. It takes the lock.
func (l *Limiter) chargeAddress(s subject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.elapsed()
	for _, b := range l.bucketsOf(s)[1:] {
		if b.table.wait(b.key, now) == 0 {
			b.table.book(b.key, now).decide()
		}
	}
}
