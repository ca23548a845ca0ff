package db

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"
)

// How often a token was used stands beside when it was last, as numbers by day: it
// is written with that and goes with the token. An older program reads the record
// without them, and writes it anew without them: so they are no schema step, and
// begin anew after one.

// RequestDays is for how many days the requests of a token are kept, today
// included.
const RequestDays = 30

// dayOf is a day, UTC, as a number.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

func dayText(day int64) string {
	return time.Unix(day*24*60*60, 0).UTC().Format(time.DateOnly)
}

// lastDay is the day of the last of Requests; false: there are none.
func (u *LastUsed) lastDay() (day int64, ok bool) {
	t, err := time.Parse(time.DateOnly, u.Day)
	return dayOf(t), err == nil && len(u.Requests) > 0
}

// count adds n requests of a day. Days that lie ahead of today were told by a clock
// that was wrong: they go, for they stand in the place of older ones.
func (u *LastUsed) count(day int64, n uint64, today int64) {
	last, ok := u.lastDay()
	if !ok {
		u.Requests, last = nil, day
	}
	if ahead := last - today; ahead > 1 { // of one day another machine may be ahead
		u.Requests, last = u.Requests[:max(0, int64(len(u.Requests))-ahead)], today
	}
	for ; last < day && len(u.Requests) > 0; last++ {
		u.nextDay()
	}
	last = max(last, day)
	back := int(last - day)
	if back >= RequestDays {
		return
	}
	for len(u.Requests) <= back {
		u.Requests = slices.Insert(u.Requests, 0, 0)
	}
	u.Requests[len(u.Requests)-1-back] += n
	u.Day = dayText(last)
}

// nextDay makes place for the next day.
func (u *LastUsed) nextDay() {
	u.Requests = append(u.Requests, 0)
	u.Requests = u.Requests[max(0, len(u.Requests)-RequestDays):]
	for len(u.Requests) > 0 && u.Requests[0] == 0 {
		u.Requests = u.Requests[1:]
	}
}

// on is how many requests there were on a day.
func (u *LastUsed) on(day int64) uint64 {
	last, ok := u.lastDay()
	if at := int64(len(u.Requests)) - 1 - (last - day); ok && at >= 0 && at < int64(len(u.Requests)) {
		return u.Requests[at]
	}
	return 0
}

// dayCount is how many requests were noted of a day, and of others, which are few:
// a flush comes every half minute, but for a disk that is full.
type dayCount struct {
	n    uint32
	day  int32 // as dayOf
	more *dayCount
}

// add counts n requests of a day; of more than RequestDays other ones the last of
// the list are forgotten.
func (c *dayCount) add(day int32, n uint32) {
	if c.n == 0 {
		c.day = day
	}
	at, days := c, 1
	for ; at.day != day && at.more != nil; at = at.more {
		days++
	}
	switch {
	case at.day == day:
		at.n += n
	case days < RequestDays:
		at.more = &dayCount{n: n, day: day}
	}
}

// each calls f for each day.
func (c *dayCount) each(f func(day int32, n uint32)) {
	for ; c != nil && c.n > 0; c = c.more {
		f(c.day, c.n)
	}
}

// forgetRequests forgets the numbers, and no more.
func (t *takenUses) forgetRequests() {
	for _, uses := range t {
		for _, noted := range uses {
			noted.requests = dayCount{}
		}
	}
}

// maxDoubt is how far ahead of what is certain a time may be that requests are
// counted by: much further, and a clock that is wrong for a moment would push out the
// numbers of weeks.
const maxDoubt = 7 * 24 * time.Hour

// NoteTokenRequests adds n requests that were made with a token, the last of them
// at that time from that address, as NoteTokenUse has told.
func (s *Store) NoteTokenRequests(id, address string, at time.Time, n uint32) {
	if s.clock.doubts(at.Add(-maxDoubt)) {
		return
	}
	k := useKey{tokenUseBucket, id}
	shard := s.use.shard(id)
	shard.Lock()
	defer shard.Unlock()
	if shard.uses[k] == nil {
		u := LastUsed{Time: at, Address: address}
		if k.remembers(address) {
			u.see(address)
		}
		s.use.keep(shard, k, k.noted(u))
	}
	if noted := shard.uses[k]; noted != nil {
		noted.requests.add(int32(dayOf(at)), n)
	}
}

// TokenRequests returns how many requests were made with a token on each of the
// last RequestDays days, the oldest first, and the first of these days. Where the
// record of them is damaged, it begins anew.
func (s *Store) TokenRequests(ctx context.Context, id string) (first time.Time, days [RequestDays]uint64, err error) {
	var u LastUsed
	err = s.view(ctx, func(t *txn) error {
		u = LastUsed{}
		_, err := t.getJSON(tokenUseBucket, id, &u)
		if errors.Is(err, ErrDamaged) {
			u, err = LastUsed{}, nil
		}
		return err
	})
	today := dayOf(s.Now())
	s.use.requests(id, func(day int32, n uint32) { u.count(int64(day), uint64(n), today) })
	begin := today - RequestDays + 1
	for i := range days {
		days[i] = u.on(begin + int64(i))
	}
	return time.Unix(begin*24*60*60, 0).UTC(), days, err
}

// requests calls f for each day that requests of a token are noted of and not
// written yet.
func (l *useLog) requests(id string, f func(day int32, n uint32)) {
	shard := l.shard(id)
	shard.Lock()
	defer shard.Unlock()
	if noted := shard.uses[useKey{tokenUseBucket, id}]; noted != nil {
		noted.requests.each(f)
	}
}

func (l *useLog) shard(id string) *useShard {
	return &l.shards[maphash.String(l.seed, id)%cacheShards]
}
