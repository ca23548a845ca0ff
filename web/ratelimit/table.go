package ratelimit

import "time"

// rule is how one kind of bucket counts. Forgive is zero where nothing is
// forgiven by and by.
type rule struct {
	free                       int
	base, max, forget, forgive time.Duration
}

// delay is what the last of so many failures costs.
func (r rule) delay(failures int) time.Duration {
	if failures < r.free {
		return 0
	}
	d := r.base
	for range failures - r.free {
		if d >= r.max {
			break
		}
		d *= 2
	}
	return min(d, r.max)
}

// entry is one bucket. Times are counted from the Limiter's start.
type entry struct {
	key      uint64
	failures int
	pending  int           // of the failures, those of attempts that are not decided
	serial   uint64        // of this entry, never used again
	last     time.Duration // the last booking
	forgiven time.Duration // up to when failures were forgiven
	until    time.Duration // the end of the delay

	queue      *queue
	prev, next *entry
}

// table holds the buckets of one kind, at most limit of them.
//
// A flood of made-up accounts must neither grow it nor push out the count of
// an account under attack. Two queues, each in the order of the last booking,
// keep the light entries (fewer than free failures) apart from the heavy ones.
// When the table is full the oldest light entry goes, or the oldest heavy one
// while these fill more than three quarters.
//
// So a flood of new keys pushes out light entries only, and a guesser who has
// such a flood drop their own count first has to make limit/4 further attempts
// that pass, each with a password verified and counted for an address, to be
// given back fewer than free guesses. Dropping a heavy entry takes bookings on
// three quarters of the limit as many accounts that are heavy themselves.
//
// Within a queue age decides, not the number of failures: if the fewest went
// first, someone could fill the table once with entries a little heavier than
// a new one. Then each new entry would drop the one made just before it, and a
// guess would cost one more made-up account. The quarter is there against the
// same trick with heavy entries.
type table struct {
	rule
	limit   int
	entries map[uint64]*entry
	light   queue
	heavy   queue
	serial  uint64
}

func newTable(r rule, limit int) *table {
	return &table{rule: r, limit: limit, entries: map[uint64]*entry{}}
}

// get returns the entry of key as it stands now, nil if nothing is counted.
func (t *table) get(key uint64, now time.Duration) *entry {
	e := t.entries[key]
	if e == nil {
		return nil
	}
	if t.expired(e, now) {
		t.drop(e)
		return nil
	}
	return e
}

// expired brings e up to now and tells whether it still says anything.
func (t *table) expired(e *entry, now time.Duration) bool {
	if t.forgive > 0 {
		n := max(0, (now-e.forgiven)/t.forgive)
		e.forgiven += n * t.forgive
		e.failures -= int(min(n, time.Duration(e.failures)))
	}
	if e.until > now {
		return false
	}
	return e.failures == 0 || now-max(e.last, e.until) >= t.forget
}

// wait returns how long key is still delayed.
func (t *table) wait(key uint64, now time.Duration) time.Duration {
	e := t.get(key, now)
	if e == nil {
		return 0
	}
	return max(0, e.until-now)
}

// booking is one failure that was counted in advance.
type booking struct {
	table  *table
	key    uint64
	serial uint64
	until  time.Duration // the delay that it began, zero if none
}

// book counts one failure for key, which is not delayed.
func (t *table) book(key uint64, now time.Duration) booking {
	e := t.get(key, now)
	if e == nil {
		e = t.add(key, now)
	}
	e.failures++
	e.pending++
	e.last = now
	b := booking{table: t, key: key, serial: e.serial}
	if d := t.delay(e.failures); d > 0 {
		e.until = now + d
		b.until = e.until
	}
	t.place(e)
	return b
}

// giveBack takes the booking back, unless what it was booked on is gone. A
// delay that a later booking began stays.
func (b booking) giveBack() {
	t := b.table
	e := t.entries[b.key]
	if e == nil || e.serial != b.serial {
		return
	}
	e.failures = max(0, e.failures-1)
	e.pending--
	if e.failures < t.free || e.until == b.until {
		e.until = 0
	}
	if e.failures == 0 {
		t.drop(e)
	} else {
		t.place(e)
	}
}

// decide makes the booking a failure for good.
func (b booking) decide() {
	if e := b.table.entries[b.key]; e != nil && e.serial == b.serial {
		e.pending--
	}
}

// undecided tells whether key would not be delayed if all of its attempts that
// are not decided yet turned out well.
func (t *table) undecided(key uint64) bool {
	e := t.entries[key]
	return e != nil && e.pending > 0 && e.failures-e.pending < t.free
}

func (t *table) reset(key uint64) {
	if e := t.entries[key]; e != nil {
		t.drop(e)
	}
}

func (t *table) add(key uint64, now time.Duration) *entry {
	t.makeRoom(now)
	t.serial++
	e := &entry{key: key, serial: t.serial, forgiven: now}
	t.entries[key] = e
	return e
}

// place puts e at the young end of the queue that it belongs to.
func (t *table) place(e *entry) {
	q := &t.light
	if e.failures >= t.free {
		q = &t.heavy
	}
	e.leave()
	q.push(e)
}

func (t *table) drop(e *entry) {
	e.leave()
	delete(t.entries, e.key)
}

// makeRoom drops what has expired at the old ends, and one entry more if the
// table is still full. Each drop is paid for by the booking that made the entry.
func (t *table) makeRoom(now time.Duration) {
	for _, q := range []*queue{&t.light, &t.heavy} {
		for q.oldest != nil && t.expired(q.oldest, now) {
			t.drop(q.oldest)
		}
	}
	if len(t.entries) < t.limit {
		return
	}
	if t.heavy.len > t.limit/4*3 {
		t.drop(t.heavy.oldest)
	} else {
		t.drop(t.light.oldest)
	}
}

// queue is a list of entries from the oldest to the youngest booking.
type queue struct {
	oldest, youngest *entry
	len              int
}

func (q *queue) push(e *entry) {
	e.queue, e.prev, e.next = q, q.youngest, nil
	if q.youngest == nil {
		q.oldest = e
	} else {
		q.youngest.next = e
	}
	q.youngest = e
	q.len++
}

func (e *entry) leave() {
	q := e.queue
	if q == nil {
		return
	}
	if e.prev == nil {
		q.oldest = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		q.youngest = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.queue, e.prev, e.next = nil, nil, nil
	q.len--
}
