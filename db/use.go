package db

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"maps"
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

// Use is when and from where a credential was last used.
type Use struct {
	Time    time.Time `json:"time"`
	Address string    `json:"address"`
	Old     time.Time `json:"old,omitzero"` // when the replaced secret of a rotated token was last used

	// Seen are the addresses that a token was used from, the newest last, at
	// most maxAddresses. A use from another one is audited.
	Seen []string `json:"seen,omitempty"`
}

func (u *Use) readWritten(w *written) {
	w.time("time", &u.Time)
	w.text("address", &u.Address)
	w.time("old", &u.Old)
	w.texts("seen", &u.Seen)
}

// maxAddresses is how many addresses of a token are remembered.
const maxAddresses = 16

// see remembers an address; new tells that it was not known.
func (u *Use) see(address string) (new bool) {
	if i := slices.Index(u.Seen, address); i >= 0 {
		u.Seen = append(slices.Delete(u.Seen, i, i+1), address)
		return false
	}
	u.Seen = append(u.Seen, address)
	u.Seen = u.Seen[max(0, len(u.Seen)-maxAddresses):]
	return true
}

// useLog collects uses in memory until FlushUse writes them. It is bounded: at
// maxUses it asks for a flush, at twice that it forgets those of credentials
// that it does not hold yet.
type useLog struct {
	seed   maphash.Seed
	shards [cacheShards]useShard
	full   chan struct{} // has a place for one; asks for a flush
}

type useShard struct {
	sync.Mutex
	uses map[useKey]Use
}

type useKey struct{ bucket, id string }

const maxUses = 1 << 15

func newUseLog() *useLog {
	return &useLog{seed: maphash.MakeSeed(), full: make(chan struct{}, 1)}
}

func (l *useLog) note(bucket, id string, u Use) {
	s := &l.shards[maphash.String(l.seed, id)%cacheShards]
	s.Lock()
	defer s.Unlock()
	if s.uses == nil {
		s.uses = map[useKey]Use{}
	}
	before, known := s.uses[useKey{bucket, id}]
	n := len(s.uses)
	if n >= 2*maxUses/cacheShards && !known {
		return
	}
	if n >= maxUses/cacheShards {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	if u.Old.IsZero() {
		u.Old = before.Old
	}
	u.Seen = before.Seen
	if bucket == tokenUseBucket && u.Address != "" { // which it has not on the machine itself
		u.see(u.Address)
	}
	s.uses[useKey{bucket, id}] = u
}

func (l *useLog) take() map[useKey]Use {
	all := map[useKey]Use{}
	for i := range l.shards {
		s := &l.shards[i]
		s.Lock()
		for k, u := range s.uses {
			all[k] = u
		}
		s.uses = nil
		s.Unlock()
	}
	return all
}

// giveBack keeps uses that could not be written: of a credential that was used
// again meanwhile, the addresses and when the replaced secret was used.
func (l *useLog) giveBack(uses map[useKey]Use) {
	for k, u := range uses {
		s := &l.shards[maphash.String(l.seed, k.id)%cacheShards]
		s.Lock()
		later, again := s.uses[k]
		for _, address := range later.Seen {
			u.see(address)
		}
		if again {
			later.Seen = u.Seen
			if later.Old.IsZero() {
				later.Old = u.Old
			}
			s.uses[k] = later
		} else if len(s.uses) < 2*maxUses/cacheShards {
			if s.uses == nil {
				s.uses = map[useKey]Use{}
			}
			s.uses[k] = u
		}
		s.Unlock()
	}
}

// NoteTokenUse remembers that a token was used now; old tells that it was by
// its replaced secret.
func (s *Store) NoteTokenUse(id, address string, old bool) {
	u := Use{Time: s.Now(), Address: address}
	if old {
		u.Old = u.Time
	}
	s.use.note(tokenUseBucket, id, u)
}

// NoteSessionUse remembers that a session was used now.
func (s *Store) NoteSessionUse(id, address string) {
	s.use.note(sessionUseBucket, id, Use{Time: s.Now(), Address: address})
}

// UsesFull delivers when uses should be flushed before their time.
func (s *Store) UsesFull() <-chan struct{} { return s.use.full }

// flushStep is how many uses one transaction of a flush writes: others who
// write wait for no more than one.
const flushStep = 1000

// FlushUse writes the uses and the refusals that were noted since the last
// flush, in steps and in the order of keys, and the time where it is owed. What belongs to a credential that
// is gone is dropped.
func (s *Store) FlushUse(ctx context.Context) error {
	uses, refused := s.use.take(), s.refusals.take()
	keys := slices.SortedFunc(maps.Keys(uses), func(a, b useKey) int {
		return cmp.Or(strings.Compare(a.bucket, b.bucket), strings.Compare(a.id, b.id))
	})
	for owed := s.clock.owes(); owed || len(keys)+len(refused) > 0; owed = false {
		step := keys[:min(len(keys), flushStep)]
		err := s.update(ctx, &Actor{}, func(t *txn) error { return t.putNoted(step, uses, refused) })
		if err != nil {
			// A full disk must not cost what an inquiry needs.
			s.use.giveBack(uses)
			s.refusals.giveBack(refused)
			return err
		}
		for _, k := range step {
			delete(uses, k)
		}
		keys, refused = keys[len(step):], nil
	}
	return nil
}

func (t *txn) putNoted(keys []useKey, uses map[useKey]Use, refused []Event) error {
	for _, e := range refused {
		if err := t.append(e); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := t.putUse(k, uses[k]); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) putUse(k useKey, u Use) error {
	owner := tokenRecords.bucket
	if k.bucket == sessionUseBucket {
		owner = sessionRecords.bucket
	}
	record, err := t.Get(owner, []byte(k.id))
	if err != nil || record == nil {
		return err
	}
	var before Use
	_, err = t.getJSON(k.bucket, k.id, &before)
	switch {
	case errors.Is(err, ErrDamaged):
		before = Use{} // written anew: it must not keep the others from being written
	case err != nil:
		return err
	}
	if u.Old.IsZero() {
		u.Old = before.Old
	}
	seen := u.Seen
	u.Seen = before.Seen
	for _, address := range seen {
		if u.see(address) {
			if err := t.auditNewAddress(k.id, address, u.Time); err != nil {
				return err
			}
		}
	}
	return t.putJSON(k.bucket, k.id, u)
}

// auditNewAddress tells that a token was used from an address that it was not
// used from lately.
func (t *txn) auditNewAddress(id, address string, at time.Time) error {
	e := Event{Time: at, Transport: TransportHTTP, Address: address, Action: "token.use", Target: id}
	k, err := tokenRecords.get(t, id)
	switch {
	case err == nil:
		e.Actor = k.Owner
	case !errors.Is(err, ErrDamaged): // of a damaged one nobody knows whose it was
		return err
	}
	if owner, err := userRecords.get(t, e.Actor); err == nil {
		e.ActorName = owner.Username()
	}
	return t.append(e)
}

// TokenUse returns the last use of a token; zero where it was never used.
func (s *Store) TokenUse(ctx context.Context, id string) (Use, error) {
	return s.lastUse(ctx, useKey{tokenUseBucket, id})
}

// SessionUse returns the last use of a session; zero where there was none.
func (s *Store) SessionUse(ctx context.Context, id string) (Use, error) {
	return s.lastUse(ctx, useKey{sessionUseBucket, id})
}

func (s *Store) lastUse(ctx context.Context, k useKey) (u Use, err error) {
	shard := &s.use.shards[maphash.String(s.use.seed, k.id)%cacheShards]
	shard.Lock()
	noted, ok := shard.uses[k]
	shard.Unlock()
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
