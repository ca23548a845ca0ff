package db

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
)

// What is known of the last use of tokens and sessions stands beside their
// records, so that a use does not change the record that every check reads.
const (
	tokenUseBucket   = "token.use"
	sessionUseBucket = "session.use"
)

// LastUsed is when and from where a credential was last used.
type LastUsed struct {
	Time    time.Time `json:"time"`
	Address string    `json:"address"`
	Old     time.Time `json:"old,omitzero"` // when the replaced secret of a rotated token was last used

	// Seen are the addresses that a token was used from, the newest last, at
	// most maxAddresses, of an IPv6 network the newest alone. A use from another
	// one is audited.
	Seen []string `json:"seen,omitempty"`

	// Requests are how many were made with a token on each day, the last of them Day
	// (2006-01-02, UTC), at most RequestDays.
	Day      string   `json:"day,omitempty"`
	Requests []uint64 `json:"requests,omitempty"`
}

func (u *LastUsed) readFast(j *fastJSON) {
	j.time("time", &u.Time)
	j.text("address", &u.Address)
	j.time("old", &u.Old)
	j.texts("seen", &u.Seen)
	j.text("day", &u.Day)
	j.naturals("requests", &u.Requests)
}

// maxAddresses is how many addresses of a token are remembered.
const maxAddresses = 16

// see remembers an address; new tells that it was not known.
func (u *LastUsed) see(address string) (new bool) {
	if i := slices.IndexFunc(u.Seen, func(known string) bool { return sameNetwork(known, address) }); i >= 0 {
		u.Seen = append(slices.Delete(u.Seen, i, i+1), address)
		return false
	}
	u.Seen = append(u.Seen, address)
	u.Seen = u.Seen[max(0, len(u.Seen)-maxAddresses):]
	return true
}

// useLog collects uses in memory until FlushLastUsed writes them. It is bounded: at
// maxUses it asks for a flush, at twice that it forgets those of credentials
// that it does not hold yet.
type useLog struct {
	seed   maphash.Seed
	shards [cacheShards]useShard
	full   chan struct{} // has a place for one; see askFlush
}

type useShard struct {
	sync.Mutex
	uses map[useKey]*notedUse
}

type useKey struct{ bucket, id string }

// remembers tells whether address is one to be remembered: of a token, and not
// on the machine itself, where there is none.
func (k useKey) remembers(address string) bool { return k.bucket == tokenUseBucket && address != "" }

// notedUse is a LastUsed in memory. There are tens of thousands, most of them from
// one address: small things count.
type notedUse struct {
	time    int64    // Unix nanoseconds
	old     int64    // as time; 0: none
	address string   // the newest
	others  []string // what Seen has besides

	requests dayCount // of a token
}

func (k useKey) noted(u LastUsed) *notedUse {
	others := u.Seen
	if k.remembers(u.Address) {
		others = others[:len(others)-1] // it is the last
	}
	n := &notedUse{address: u.Address, others: append([]string(nil), others...)}
	n.at(u)
	return n
}

// at sets the times to those of u, but for one that it does not have.
func (n *notedUse) at(u LastUsed) {
	n.time = u.Time.UnixNano()
	if !u.Old.IsZero() {
		n.old = u.Old.UnixNano()
	}
}

func (k useKey) use(n *notedUse) LastUsed {
	u := LastUsed{Time: time.Unix(0, n.time).UTC(), Address: n.address, Seen: slices.Clone(n.others)}
	if n.old != 0 {
		u.Old = time.Unix(0, n.old).UTC()
	}
	if k.remembers(n.address) {
		u.Seen = append(u.Seen, n.address)
	}
	return u
}

const maxUses = 1 << 15

func newUseLog() *useLog {
	return &useLog{seed: maphash.MakeSeed(), full: make(chan struct{}, 1)}
}

func (l *useLog) note(bucket, id string, u LastUsed) {
	s := l.shard(id)
	s.Lock()
	defer s.Unlock()
	k := useKey{bucket, id}
	before := s.uses[k]
	if before == nil {
		if k.remembers(u.Address) {
			u.see(u.Address)
		}
		l.keep(s, k, k.noted(u))
		return
	}
	if before.address == u.Address {
		before.at(u)
		return
	}
	known := k.use(before)
	u.Seen = known.Seen
	if u.Old.IsZero() {
		u.Old = known.Old
	}
	if k.remembers(u.Address) {
		u.see(u.Address)
	}
	n := k.noted(u)
	n.requests = before.requests
	s.uses[k] = n
}

// askFlush has a flush come before its time.
func (l *useLog) askFlush() {
	select {
	case l.full <- struct{}{}:
	default: // it is asked for already
	}
}

// keep takes a use of a credential of which none is held, within the bounds; the
// shard is locked.
func (l *useLog) keep(s *useShard, k useKey, n *notedUse) {
	if s.uses == nil {
		s.uses = map[useKey]*notedUse{}
	}
	if len(s.uses) >= maxUses/cacheShards {
		l.askFlush()
	}
	if len(s.uses) < 2*maxUses/cacheShards {
		s.uses[k] = n
	}
}

// takenUses are the maps of all shards, as they were taken: a copy of all uses
// would be a good part of what the process has in memory.
type takenUses [cacheShards]map[useKey]*notedUse

func (l *useLog) take() (taken *takenUses) {
	taken = new(takenUses)
	for i := range l.shards {
		s := &l.shards[i]
		s.Lock()
		taken[i], s.uses = s.uses, nil
		s.Unlock()
	}
	return taken
}

// takenUse is where one of them stands.
type takenUse struct {
	useKey
	shard int
}

// inOrder returns the places in the order of keys.
func (t *takenUses) inOrder() []takenUse {
	n := 0
	for _, uses := range t {
		n += len(uses)
	}
	places := make([]takenUse, 0, n)
	for i, uses := range t {
		for k := range uses {
			places = append(places, takenUse{k, i})
		}
	}
	slices.SortFunc(places, func(a, b takenUse) int {
		return cmp.Or(strings.Compare(a.bucket, b.bucket), strings.Compare(a.id, b.id))
	})
	return places
}

// giveBack keeps uses that could not be written: of a credential that was used
// again meanwhile, the addresses and when the replaced secret was used.
func (l *useLog) giveBack(taken *takenUses) {
	for i, uses := range taken {
		s := &l.shards[i]
		s.Lock()
		for k, u := range uses {
			s.giveBack(k, u)
		}
		s.Unlock()
	}
}

// giveBack keeps one use; the shard is locked.
func (s *useShard) giveBack(k useKey, n *notedUse) {
	if s.uses == nil {
		s.uses = map[useKey]*notedUse{}
	}
	later := s.uses[k]
	if later != nil {
		u, now := k.use(n), k.use(later)
		for _, address := range now.Seen {
			u.see(address)
		}
		now.Seen = u.Seen
		if now.Old.IsZero() {
			now.Old = u.Old
		}
		kept := k.noted(now)
		kept.requests = later.requests
		n.requests.each(func(day int32, n uint32) { kept.requests.add(day, n) })
		s.uses[k] = kept
	} else if len(s.uses) < 2*maxUses/cacheShards {
		s.uses[k] = n
	}
}

// NoteTokenUse remembers that a token was used now; old tells that it was by
// its replaced secret.
func (s *Store) NoteTokenUse(id, address string, old bool) {
	u := LastUsed{Time: s.Now(), Address: address}
	if old {
		u.Old = u.Time
	}
	s.use.note(tokenUseBucket, id, u)
}

// NoteSessionUse remembers that a session was used now.
func (s *Store) NoteSessionUse(id, address string) {
	s.use.note(sessionUseBucket, id, LastUsed{Time: s.Now(), Address: address})
}

// UsesFull delivers when uses should be flushed before their time.
func (s *Store) UsesFull() <-chan struct{} { return s.use.full }

// flushStep is how many uses one transaction of a flush writes at most: others
// who write wait for no more than one.
const flushStep = 1000

// flushed is what one transaction of a flush wrote.
type flushed struct {
	uses, refused int
	told          newAddresses
}

// FlushLastUsed writes the wrong codes, the uses and the refusals that were noted since the last
// flush, in steps and in the order of keys, and the time where it is owed. What belongs to a credential that
// is gone is dropped.
func (s *Store) FlushLastUsed(ctx context.Context) error {
	return errors.Join(s.writeWrongCodes(ctx, s.wrongCodes.users()...), s.flushNoted(ctx))
}

func (s *Store) flushNoted(ctx context.Context) error {
	uses, refused := s.use.take(), s.refusals.take()
	places := uses.inOrder()
	var done flushed
	for owed := s.clock.owes(); owed || len(places)+len(refused) > 0; owed = false {
		told := done.told
		err := s.update(ctx, &Actor{}, func(t *txn) (err error) {
			done, err = t.putNoted(places, uses, refused, told.step())
			return err
		})
		if err != nil {
			if errors.Is(err, ErrUnknown) {
				uses.forgetRequests() // they may be there: better too few than twice
			}
			// A full disk must not cost what an inquiry needs.
			s.use.giveBack(uses)
			s.refusals.giveBack(refused)
			return err
		}
		for _, at := range places[:done.uses] {
			delete(uses[at.shard], at.useKey)
		}
		places, refused = places[done.uses:], refused[done.refused:]
	}
	return nil
}

// putNoted writes the first of what was noted, as much as there is room for.
func (t *txn) putNoted(places []takenUse, uses *takenUses, refused []Event, told newAddresses) (done flushed, err error) {
	done.told = told
	if done.refused, err = t.putRefusals(refused); err != nil {
		return done, err
	}
	for _, at := range places[:min(len(places), flushStep)] {
		noted := uses[at.shard][at.useKey]
		u := at.use(noted)
		if !t.hasRoom(1 + auditWrites*(len(u.Seen)+len(told.more)+1)) {
			break
		}
		if err := t.putUse(at.useKey, u, &noted.requests, told); err != nil {
			return done, err
		}
		done.uses++
	}
	return done, t.auditMoreAddresses(told)
}

// putUse merges a use with what is known: another process may have written of
// the same credential, also of a later use than this one. A time that lies ahead
// was taken from a clock that was wrong, and would stand for years.
func (t *txn) putUse(k useKey, u LastUsed, requests *dayCount, told newAddresses) error {
	owner := tokenRecords.bucket
	if k.bucket == sessionUseBucket {
		owner = sessionRecords.bucket
	}
	record, err := t.Get(owner, []byte(k.id))
	if err != nil || record == nil {
		return err
	}
	var known LastUsed
	_, err = t.getJSON(k.bucket, k.id, &known)
	switch {
	case errors.Is(err, ErrDamaged):
		known = LastUsed{} // written anew: it must not keep the others from being written
	case err != nil:
		return err
	}
	if err := t.auditSeen(k.id, u, &known, told); err != nil {
		return err
	}
	if u.Old.After(known.Old) {
		known.Old = u.Old
	}
	if !u.Time.Before(known.Time) || known.Time.After(t.now.Add(jumpTolerance)) {
		known.Time, known.Address = u.Time, u.Address
	} else if k.remembers(known.Address) {
		known.see(known.Address) // the newest last
	}
	today := dayOf(t.now)
	requests.each(func(day int32, n uint32) { known.count(int64(day), uint64(n), today) })
	return t.putJSON(k.bucket, k.id, known)
}

// auditSeen adds the addresses of a use to what is known of a token's, and tells of the
// new ones.
func (t *txn) auditSeen(id string, u LastUsed, known *LastUsed, told newAddresses) error {
	for _, address := range u.Seen {
		if !known.see(address) {
			continue
		}
		e := Event{Time: u.Time, Transport: TransportHTTP, Address: address, Action: "token.use", Target: id}
		if err := t.auditNewAddress(told, e); err != nil {
			return err
		}
	}
	return nil
}

// TokenLastUsed returns the last use of a token; zero where it was never used.
func (s *Store) TokenLastUsed(ctx context.Context, id string) (LastUsed, error) {
	return s.lastUse(ctx, useKey{tokenUseBucket, id})
}

// SessionLastUsed returns the last use of a session; zero where there was none.
func (s *Store) SessionLastUsed(ctx context.Context, id string) (LastUsed, error) {
	return s.lastUse(ctx, useKey{sessionUseBucket, id})
}

// noted returns the use of a credential that is not written yet.
func (l *useLog) noted(k useKey) (u LastUsed, ok bool) {
	shard := l.shard(k.id)
	shard.Lock()
	defer shard.Unlock()
	kept, ok := shard.uses[k]
	if ok {
		u = k.use(kept)
	}
	return u, ok
}

func (s *Store) lastUse(ctx context.Context, k useKey) (u LastUsed, err error) {
	noted, ok := s.use.noted(k)
	if ok && (!noted.Old.IsZero() || k.bucket != tokenUseBucket) {
		return noted, nil
	}
	err = s.view(ctx, func(t *txn) error {
		_, err := t.getJSON(k.bucket, k.id, &u)
		return err
	})
	if ok {
		noted.Old = u.Old // what is noted since the last flush is not all
		u = noted
	}
	return u, err
}

// TokensLastUsed returns the last uses of the tokens of a page, by id, read in one
// transaction; zero where one was never used. Beside the ErrDamaged of some it
// returns those of the others.
func (s *Store) TokensLastUsed(ctx context.Context, ids []string) (map[string]LastUsed, error) {
	return s.lastUses(ctx, tokenUseBucket, ids)
}

// SessionsLastUsed is TokensLastUsed of sessions.
func (s *Store) SessionsLastUsed(ctx context.Context, ids []string) (map[string]LastUsed, error) {
	return s.lastUses(ctx, sessionUseBucket, ids)
}

func (s *Store) lastUses(ctx context.Context, bucket string, ids []string) (uses map[string]LastUsed, err error) {
	uses = make(map[string]LastUsed, len(ids))
	err = s.view(ctx, func(t *txn) error {
		all, err := t.GetMany(bucket, keysOf(ids))
		var damage error
		for i, sealed := range all {
			var u LastUsed
			if sealed != nil {
				damage = errors.Join(damage, readUse(bucket, ids[i], sealed, &u))
			}
			uses[ids[i]] = u
		}
		return errors.Join(err, damage)
	})
	for _, id := range ids {
		if noted, ok := s.use.noted(useKey{bucket, id}); ok {
			uses[id] = uses[id].later(noted)
		}
	}
	return uses, err
}

// readUse reads a use, which stays zero where it is damaged.
func readUse(bucket, id string, sealed []byte, u *LastUsed) error {
	value, err := unseal(bucket, []byte(id), sealed)
	if err == nil && unmarshal(value, u) != nil {
		*u, err = LastUsed{}, damagedRecord(bucket, []byte(id))
	}
	return err
}

// later returns the later of two uses, as far as it is shown.
func (u LastUsed) later(other LastUsed) LastUsed {
	if other.Time.Before(u.Time) {
		u, other = other, u
	}
	if u.Old.After(other.Old) {
		other.Old = u.Old
	}
	return other
}
