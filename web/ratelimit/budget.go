package ratelimit

import (
	"sync"
	"time"
)

// Budget says how much each key may do: so many acts in a minute, and as many
// at once after a quiet one. It is a token bucket, kept as the one moment at
// which the bucket of a key is full again (GCRA, ITU-T I.371).
//
// What was not touched for a minute is full, and says nothing: so there are two
// maps, which change places every minute, and the older one is forgotten whole.
// Its methods may be called at the same time, and on a nil Budget, which lets
// everything pass.
type Budget struct {
	now   func() time.Time
	start time.Time
	cost  time.Duration // of an act: the time in which it is given back
	limit int           // of keys in each map

	mu     sync.Mutex
	full   map[string]time.Duration // when, since start; of those touched since turned
	before map[string]time.Duration // of those touched in the minute before
	turned time.Duration
	excess Excess
}

// Excess is the newest act of one who may go beyond the budget, and was far
// beyond: more than Far was spent that was not given back yet.
type Excess struct {
	Key string
	At  time.Time // zero: there was none
}

// Far is what a budget gives back in this time.
const Far = 10 * time.Minute

const budgetKeys = 100_000

// NewBudget returns a budget of perMinute acts for each key; nil where that is
// not positive. now must not go backwards, nor call the Budget.
func NewBudget(perMinute int, now func() time.Time) *Budget {
	if perMinute <= 0 {
		return nil
	}
	return &Budget{now: now, start: now(), cost: max(time.Minute/time.Duration(perMinute), 1), limit: budgetKeys,
		full: map[string]time.Duration{}}
}

// Spend takes one act off the budget of key, or tells in how many whole seconds
// there is one.
func (b *Budget) Spend(key string) (wait time.Duration) { return b.SpendMany(key, 1) }

// SpendMany is Spend for so many acts, of which none passes where not all do:
// no more than a minute has can ever pass.
func (b *Budget) SpendMany(key string, n int) (wait time.Duration) {
	if b == nil || n <= 0 {
		return 0
	}
	cost := time.Duration(n) * b.cost
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().Sub(b.start)
	spent := b.spent(key, now)
	if over := spent + cost - time.Minute; over > 0 {
		return wholeSeconds(over)
	}
	b.full[key] = now + spent + cost
	return 0
}

// Count counts an act of one who may go beyond the budget; see Excess. It takes
// nothing off the budget of the same key, which a lesser credential may need.
func (b *Budget) Count(key string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.now()
	now := at.Sub(b.start)
	free := "*" + key
	spent := min(b.spent(free, now)+b.cost, Far+time.Minute)
	b.full[free] = now + spent
	if spent > Far {
		b.excess = Excess{key, at}
	}
}

// Excess returns the newest one.
func (b *Budget) Excess() Excess {
	if b == nil {
		return Excess{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.excess
}

// spent is what key spent and was not given back.
func (b *Budget) spent(key string, now time.Duration) time.Duration {
	if now-b.turned >= time.Minute || len(b.full) >= b.limit {
		b.before, b.full, b.turned = b.full, map[string]time.Duration{}, now
	}
	full, ok := b.full[key]
	if !ok {
		full = b.before[key]
	}
	return max(full-now, 0)
}
