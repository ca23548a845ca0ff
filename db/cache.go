package db

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const cacheShards = 64

// cache keeps decoded records of one bucket, bounded. What it hands out is
// shared by all requests: read only.
//
// A record that is read from a snapshot while another transaction changes it
// must not be kept: fill remembers the generation from before its snapshot,
// and every commit raises the generation before it drops its keys. A fill that
// came too late sees the other generation and keeps nothing; one that came in
// time is dropped.
type cache[T any] struct {
	seed       maphash.Seed
	id         func(*T) string // of a record, for what it is kept under
	generation atomic.Uint64
	perShard   int
	shards     [cacheShards]cacheShard[T]
	misses     atomic.Uint64
}

type cacheShard[T any] struct {
	sync.RWMutex
	records map[string]*T
	// hits shares its cache line with the lock that every get takes anyway: a
	// counter of the whole cache would be one more line that all cores fight for.
	hits atomic.Uint64
}

func newCache[T any](size int, id func(*T) string) *cache[T] {
	c := &cache[T]{seed: maphash.MakeSeed(), id: id, perShard: max(1, size/cacheShards)}
	for i := range c.shards {
		c.shards[i].records = make(map[string]*T)
	}
	return c
}

func (c *cache[T]) shard(id string) *cacheShard[T] {
	return &c.shards[maphash.String(c.seed, id)%cacheShards]
}

// get returns the record of id, which load reads where it is not kept.
func (c *cache[T]) get(id string, load func() (*T, error)) (*T, error) {
	s := c.shard(id)
	s.RLock()
	r := s.records[id]
	s.RUnlock()
	if r != nil {
		s.hits.Add(1)
		return r, nil
	}
	c.misses.Add(1)
	generation := c.generation.Load()
	r, err := load()
	if err != nil {
		return nil, err
	}
	s.Lock()
	defer s.Unlock()
	if c.generation.Load() == generation {
		c.makeRoom(s)
		// Not under the id that was asked for: that can be a part of a longer
		// text, such as a whole token, which would stay in memory with it.
		s.records[c.id(r)] = r
	}
	return r, nil
}

// makeRoom drops an arbitrary record when the shard is full: the order of a Go
// map is as good as any other guess, and costs nothing to keep.
func (c *cache[T]) makeRoom(s *cacheShard[T]) {
	if len(s.records) < c.perShard {
		return
	}
	for id := range s.records {
		delete(s.records, id)
		return
	}
}

// drop forgets the records; their change has been committed.
func (c *cache[T]) drop(ids []string) {
	c.generation.Add(1)
	for _, id := range ids {
		s := c.shard(id)
		s.Lock()
		delete(s.records, id)
		s.Unlock()
	}
}

// dropAll forgets all records: whichever changed is not known.
func (c *cache[T]) dropAll() {
	c.generation.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		s.Lock()
		clear(s.records)
		s.Unlock()
	}
}

// kept returns the record of id where it is in memory, else nil.
func (c *cache[T]) kept(id string) *T {
	s := c.shard(id)
	s.RLock()
	defer s.RUnlock()
	return s.records[id]
}

func (c *cache[T]) stats() CacheStats {
	stats := CacheStats{Misses: c.misses.Load()}
	for i := range c.shards {
		stats.Hits += c.shards[i].hits.Load()
	}
	return stats
}
