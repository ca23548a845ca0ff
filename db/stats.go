package db

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are figures of a store since it was opened, and of its engine.
type Stats struct {
	Engine  EngineStats           // zero where the engine tells none
	Caches  map[string]CacheStats // by noun
	Updates LatencyStats          // of changes, from the call to their being durable or refused
	Full    uint64                // calls that failed for want of space
	Disk    uint64                // calls that failed because the disk did
	Damaged uint64                // calls that met damage, and damages that scrubs found
	Moved   uint64                // calls that were refused because the file is elsewhere
}

// CacheStats tell how often a record was in memory.
type CacheStats struct{ Hits, Misses uint64 }

// LatencyStats are spans of time in buckets.
type LatencyStats struct {
	Count   uint64
	Sum     time.Duration
	Buckets map[float64]uint64 // upper bound in seconds to how many took at most so long
}

// Stats returns the figures as they are now.
func (s *Store) Stats() Stats {
	stats := Stats{
		Caches:  map[string]CacheStats{},
		Updates: s.figures.updates.stats(),
		Full:    s.figures.full.Load(),
		Disk:    s.figures.disk.Load(),
		Damaged: s.figures.damaged.Load(),
		Moved:   s.figures.moved.Load(),
	}
	for _, n := range s.nouns {
		if m := n.memoryIn(s); m != nil {
			stats.Caches[n.name()] = m.stats()
		}
	}
	if m, ok := s.engine.(Measurer); ok {
		stats.Engine = m.Stats()
	}
	return stats
}

// figures counts what happens to the calls into the engine.
type figures struct {
	updates                    latency
	full, disk, damaged, moved atomic.Uint64
	met                        chan struct{} // has a place for one: damage was met

	refusing sync.Mutex // held to change refusal
	refusal  atomic.Pointer[Refusal]
}

// Refusal is the last time that a change was refused for what is no fault of the
// change: the disk is full, has failed, or the file is elsewhere.
type Refusal struct {
	N   uint64 // how many there were with it
	At  time.Time
	Err error
}

// Refusal returns the last one; the zero value where there was none.
func (s *Store) Refusal() Refusal {
	if r := s.figures.refusal.Load(); r != nil {
		return *r
	}
	return Refusal{}
}

// refused counts a change that failed by err, where that is no fault of its own.
func (f *figures) refused(err error, now time.Time) {
	if !errors.Is(err, ErrFull) && !errors.Is(err, ErrDisk) && !errors.Is(err, ErrMoved) && !errors.Is(err, ErrUnavailable) {
		return
	}
	f.refusing.Lock()
	defer f.refusing.Unlock()
	next := Refusal{N: 1, At: now, Err: err}
	if last := f.refusal.Load(); last != nil {
		next.N += last.N
	}
	f.refusal.Store(&next)
}

func (f *figures) failed(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrFull):
		f.full.Add(1)
	case errors.Is(err, ErrDisk):
		f.disk.Add(1)
	case errors.Is(err, ErrMoved):
		f.moved.Add(1)
	case errors.Is(err, ErrDamaged):
		f.damaged.Add(1)
		select {
		case f.met <- struct{}{}:
		default:
		}
	}
}

// latencyBounds are in seconds. A commit on flash takes some milliseconds, on
// a turning disk some tens; what is beyond the last one waits for a disk in
// trouble.
var latencyBounds = [...]float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5}

// latency counts spans of time.
type latency struct {
	buckets [len(latencyBounds) + 1]atomic.Uint64
	sum     atomic.Int64
}

func (l *latency) add(d time.Duration) {
	i := 0
	for i < len(latencyBounds) && d.Seconds() > latencyBounds[i] {
		i++
	}
	l.buckets[i].Add(1)
	l.sum.Add(int64(d))
}

func (l *latency) stats() LatencyStats {
	s := LatencyStats{Sum: time.Duration(l.sum.Load()), Buckets: map[float64]uint64{}}
	for i := range l.buckets {
		s.Count += l.buckets[i].Load()
		if i < len(latencyBounds) {
			s.Buckets[latencyBounds[i]] = s.Count
		}
	}
	return s
}
