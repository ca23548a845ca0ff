package etcd

import (
	"context"
	"sync"
)

const (
	keptValues = 1 << 14 // that a base remembers between commits
	keptBytes  = 8 << 20
)

// base is what updates start from: the store as of a head, and what was read of it so
// far. As long as no other process commits, it is carried on from commit to commit, so
// that a change of what was read before needs one question, the commit.
type base struct {
	snap *snapshot

	mu      sync.Mutex
	values  map[string][]byte // nil: absent
	bytes   int
	wanted  map[string]bool // what the next question asks for
	asking  chan struct{}   // closed when the question under way is answered; nil: none is
	failure error
}

func newBase(s *snapshot) *base {
	return &base{snap: s, values: map[string][]byte{}, wanted: map[string]bool{}}
}

// get implements source. Those who read at once, as functions that are tried side by
// side do, share their questions: while one is under way, what else is wanted waits for
// the next.
func (b *base) get(ctx context.Context, keys []string) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		missing := false
		for _, key := range keys {
			if _, known := b.values[key]; !known {
				b.wanted[key] = true
				missing = true
			}
		}
		switch {
		case b.failure != nil:
			return nil, b.failure
		case !missing:
			values := make([][]byte, len(keys))
			for i, key := range keys {
				values[i] = b.values[key]
			}
			return values, nil
		case b.asking != nil:
			answered := b.asking
			b.mu.Unlock()
			<-answered
			b.mu.Lock()
		default:
			b.ask(ctx)
		}
	}
}

// ask reads all that is wanted. The lock is held when it is called and when it returns.
func (b *base) ask(ctx context.Context) {
	var keys []string
	for key := range b.wanted {
		if _, known := b.values[key]; !known {
			keys = append(keys, key)
		}
	}
	clear(b.wanted)
	b.asking = make(chan struct{})
	b.mu.Unlock()
	values, err := b.snap.get(ctx, keys)
	b.mu.Lock()
	if err != nil {
		b.failure = err
	}
	for i, value := range values {
		b.keep(keys[i], value)
	}
	close(b.asking)
	b.asking = nil
}

// fail makes a base that could not be read of no use to anybody.
func (b *base) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		b.failure = err
	}
}

func (b *base) keep(key string, value []byte) {
	if old, known := b.values[key]; known {
		b.bytes -= len(key) + len(old)
	}
	b.values[key] = value
	b.bytes += len(key) + len(value)
}

func (b *base) pages(lo, hi string, reverse bool) *pager { return b.snap.pages(lo, hi, reverse) }

// after is the base that a commit has made of this one; nil where it is better to begin
// anew, since it has come to remember too much. This one is not used any more.
func (b *base) after(s *snapshot, w *writes) *base {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure != nil || len(b.values) > keptValues || b.bytes > keptBytes {
		return newBase(s)
	}
	b.snap = s
	for _, key := range w.order {
		b.keep(key, w.values[key])
	}
	return b
}
