package db

import (
	"math/rand/v2"
	"sync/atomic"
)

// setCache keeps what was made of all records of a bucket at once, such as the
// roles. What it hands out is shared by all requests: read only. A get takes no
// lock.
//
// It keeps the rule of cache about generations: a fill must not keep what it
// read from a snapshot from before a commit that has dropped since. Each drop
// puts a generation of its own in place, and a fill replaces the very one that
// it met, from before its snapshot, or nothing.
type setCache[T any] struct {
	current atomic.Pointer[generation[T]]
	hits    stripedCounter
	misses  atomic.Uint64
}

// generation is the time between two drops. Its identity counts: it is never
// used again.
type generation[T any] struct {
	set *T // nil: not read yet
}

// get returns the set, which load reads where it is not kept.
func (c *setCache[T]) get(load func() (*T, error)) (*T, error) {
	met := c.current.Load()
	if met != nil && met.set != nil {
		c.hits.add()
		return met.set, nil
	}
	c.misses.Add(1)
	set, err := load()
	if err != nil {
		return nil, err
	}
	c.current.CompareAndSwap(met, &generation[T]{set})
	return set, nil
}

// drop forgets the set, whichever of its records changed.
func (c *setCache[T]) drop([]string) { c.current.Store(&generation[T]{}) }

// dropAll is drop: there is one set.
func (c *setCache[T]) dropAll() { c.drop(nil) }

func (c *setCache[T]) stats() CacheStats {
	return CacheStats{Hits: c.hits.sum(), Misses: c.misses.Load()}
}

// stripedCounter is a counter that many cores add to at once: in one word they
// would fight for its cache line at each request.
type stripedCounter [16]struct {
	n atomic.Uint64
	_ [56]byte // the rest of the line
}

func (c *stripedCounter) add() { c[rand.Uint32()%uint32(len(c))].n.Add(1) }

func (c *stripedCounter) sum() (n uint64) {
	for i := range c {
		n += c[i].n.Load()
	}
	return n
}
