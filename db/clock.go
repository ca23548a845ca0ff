package db

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The clock of a machine can be wrong: a dead battery sets it back at a boot,
// a bad time server sends it ahead for a moment. Two rules keep what expires
// right:
//
//   - What was seen expired stays expired. The latest time that is certain, the
//     mark, is kept in the store; where the clock shows less, time goes on from
//     the mark at the pace of the monotonic clock, and the fault is told.
//   - A single wrong jump ahead ends nothing that is valid under the right
//     clock. Time does follow the clock ahead, so nothing lives too long, but
//     the mark follows only when the clock has kept its new pace for settle;
//     until then nothing is removed for having expired.
const (
	backTolerance = 5 * time.Second  // a step back that time servers make
	jumpTolerance = 5 * time.Minute  // a step ahead that needs no proof
	settle        = 10 * time.Minute // the proof of a longer one
	markEvery     = time.Minute      // how old the mark in the store may get while others write
)

// clock tells the store's time. Its hot path reads one pointer.
type clock struct {
	wall      func() time.Time
	monotonic func() time.Duration

	mu    sync.Mutex
	base  atomic.Pointer[clockBase]
	saved atomic.Int64 // the mark in the store, Unix nanoseconds
	owed  atomic.Int64 // until when the mark has to reach, for what was seen expired
}

// clockBase is a moment on both clocks, and what is known of the wall clock
// since.
type clockBase struct {
	wall    int64         // Unix nanoseconds
	mono    time.Duration // since the process began
	mark    int64         // the latest certain time at mono; 0: none yet
	behind  bool          // the wall clock is set back: time goes on from the mark
	settled bool          // the mark follows the wall clock
}

func newClock(wall func() time.Time, monotonic func() time.Duration) *clock {
	began := time.Now()
	switch {
	case wall == nil:
		wall = time.Now
		if monotonic == nil {
			monotonic = func() time.Duration { return time.Since(began) }
		}
	case monotonic == nil:
		// An injected clock alone is taken for both.
		start := wall()
		monotonic = func() time.Duration { return wall().Sub(start) }
	}
	c := &clock{wall: wall, monotonic: monotonic}
	c.rebase(0)
	return c
}

// rebase begins anew from a mark, as it was read from the store.
func (c *clock) rebase(mark int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(mark)
}

// raise takes up a mark that is in the store now, which this or another process
// has kept there.
func (c *clock) raise(mark int64) {
	c.now() // a step of the clock is seen as one, before there is another mark
	c.mu.Lock()
	defer c.mu.Unlock()
	if mark > c.base.Load().certain(c.monotonic()) {
		c.begin(mark)
	}
	c.saved.Store(mark)
}

// begin is rebase; c.mu is held.
func (c *clock) begin(mark int64) {
	b := &clockBase{wall: c.wall().UnixNano(), mono: c.monotonic(), mark: mark}
	b.behind = mark-b.wall > int64(backTolerance)
	b.settled = mark == 0 || (!b.behind && b.wall-mark <= int64(jumpTolerance))
	c.saved.Store(mark)
	c.base.Store(b)
}

// now returns the store's time.
func (c *clock) now() time.Time {
	wall, mono := c.wall(), c.monotonic()
	b := c.base.Load()
	drift := time.Duration(wall.UnixNano()-b.wall) - (mono - b.mono)
	if b.behind || drift < -backTolerance || drift > jumpTolerance {
		b = c.step(wall, mono)
	}
	if b.behind {
		return time.Unix(0, b.mark+int64(mono-b.mono)).UTC()
	}
	return wall.UTC()
}

// certain returns the latest time that is certain: what the mark would be now.
func (b *clockBase) certain(mono time.Duration) int64 {
	if b.settled && !b.behind {
		return b.wall + int64(mono-b.mono)
	}
	if b.mark == 0 {
		return 0
	}
	return b.mark + int64(mono-b.mono)
}

// doubts tells whether a time lies ahead of what is certain.
func (c *clock) doubts(at time.Time) bool {
	certain := c.base.Load().certain(c.monotonic())
	return certain != 0 && at.UnixNano() > certain
}

// step looks at a clock that did not keep the pace of the monotonic one.
func (c *clock) step(wall time.Time, mono time.Duration) *clockBase {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.base.Load()
	certain := b.certain(mono)
	drift := time.Duration(wall.UnixNano()-b.wall) - (mono - b.mono)
	back := certain-wall.UnixNano() > int64(backTolerance)
	steady := drift >= -backTolerance && drift <= jumpTolerance
	if (b.behind && back) || (!b.behind && steady) {
		return b // still behind, or another goroutine has seen the step
	}
	ahead := time.Duration(wall.UnixNano() - certain)
	b = &clockBase{wall: wall.UnixNano(), mono: mono, mark: certain, behind: back, settled: !back && ahead <= jumpTolerance}
	c.base.Store(b)
	return b
}

// settledMark returns the mark to keep in the store. ok is false while a jump
// ahead is not proved: then nothing may be removed for having expired.
func (c *clock) settledMark() (mark int64, ok bool) {
	c.now()
	wall, mono := c.wall(), c.monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.base.Load()
	if !b.behind && (b.settled || mono-b.mono >= settle) {
		// Begun anew, so that the small steps of a long run do not add up to a
		// fault.
		b = &clockBase{wall: wall.UnixNano(), mono: mono, mark: b.certain(mono), settled: true}
		c.base.Store(b)
	}
	return b.certain(mono), b.settled && !b.behind
}

// fault tells by how much the wall clock is behind what was seen, or 0.
func (c *clock) fault() time.Duration {
	now := c.now()
	if !c.base.Load().behind {
		return 0
	}
	return now.Sub(c.wall())
}

const metaClock = "clock"

// clockRecord is the mark as it is stored.
type clockRecord struct {
	Seen time.Time `json:"seen"` // the latest time that is certain
}

// clockMark returns the mark that was kept; 0 where none was.
func (t *txn) clockMark() (mark int64, err error) {
	var r clockRecord
	found, err := t.getJSON(metaBucket, metaClock, &r)
	if err == nil && found {
		mark = r.Seen.UnixNano()
	}
	return mark, err
}

// loadClock takes up the mark that was kept.
func (s *Store) loadClock(t *txn) error {
	mark, err := t.clockMark()
	if err == nil && mark != 0 {
		s.clock.rebase(mark)
	}
	return err
}

// KeepTime tells that something was seen expired that ended at that time: the
// next flush writes the mark, even where there is nothing else to write.
func (s *Store) KeepTime(at time.Time) {
	for owed := s.clock.owed.Load(); at.UnixNano() > owed; owed = s.clock.owed.Load() {
		if s.clock.owed.CompareAndSwap(owed, at.UnixNano()) {
			return
		}
	}
}

// owes tells whether something was seen expired that the mark in the store
// does not cover.
func (c *clock) owes() bool { return c.owed.Load() > c.saved.Load() }

// markTime keeps the mark, with a change that is written anyway, or because it
// is owed. One that another process has kept and that is later stays.
func (s *Store) markTime(t *txn) error {
	mark, ok := s.clock.settledMark()
	if !ok || (time.Duration(mark-s.clock.saved.Load()) < markEvery && !s.clock.owes()) {
		return nil
	}
	kept, err := t.clockMark()
	if err != nil && !errors.Is(err, ErrDamaged) { // which is written anew
		return err
	}
	if t.mark = max(mark, kept); kept >= mark {
		return nil
	}
	return t.putJSON(metaBucket, metaClock, clockRecord{Seen: time.Unix(0, mark).UTC()})
}

// ClockFault tells by how much the machine's clock is behind the latest time
// that the store has seen, or 0 where it is not.
func (s *Store) ClockFault() time.Duration { return s.clock.fault() }
