package db

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"
)

// sweepStep bounds what one transaction of a sweep removes: nobody who writes
// waits long for it.
const sweepStep = 200

// tombstoneBucket names the deleted users whose sessions and tokens are not
// removed yet. They are dead already, since their owner is looked up at each
// use. Under endedSessions, which is no user's id, stands until when sessions
// were made that are dead, since their keys verify nothing any more.
const (
	tombstoneBucket = "estate"
	endedSessions   = "sessions"
)

// tombstone is what is known of a deleted user. Before there were any a bare time
// stood in the place of one.
type tombstone struct {
	Time   time.Time `json:"time"`
	Name   string    `json:"name"`
	By     string    `json:"by"` // who deleted the user: an id, and the name below
	ByName string    `json:"by_name"`
}

func (t *txn) leaveTombstone(u *User) error {
	return t.putJSON(tombstoneBucket, u.ID, tombstone{t.now, u.Username(), t.actor.ID, t.actor.Name})
}

// Sweep removes what has ended: expired sessions, keys that verify nothing any
// more, what deleted users left, what is known too long of tokens that are gone. It goes in small steps until nothing is left,
// and keeps the clock's mark. While the clock is in doubt it removes nothing
// for having expired.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	return s.inSweeps(ctx, s.sweepOnce)
}

// inSweeps calls once in one transaction after another, until it removes less
// than a whole step and leaves nothing for want of room.
func (s *Store) inSweeps(ctx context.Context, once func(*txn) (int, error)) (removed int, err error) {
	for more := true; more && err == nil; {
		n := 0
		err = s.update(ctx, &Actor{}, func(t *txn) (err error) {
			n, err = once(t)
			more = n >= sweepStep || t.size.cut
			return err
		})
		if err == nil {
			removed += n
		}
	}
	return removed, err
}

func (s *Store) sweepOnce(t *txn) (removed int, err error) {
	if _, certain := s.clock.settledMark(); certain {
		if removed, err = t.sweepSessions(); err != nil {
			return removed, err
		}
		if err := t.sweepKeys(); err != nil {
			return removed, err
		}
		n, err := t.sweepEndedTokens(sweepStep - removed)
		if removed += n; err != nil {
			return removed, err
		}
	}
	n, err := t.sweepTombstones(s.nouns, sweepStep-removed)
	return removed + n, err
}

func (t *txn) sweepSessions() (removed int, err error) {
	ended, err := t.sessionsBefore(byExpiry, t.now, nil, sweepStep)
	if err != nil {
		return 0, err
	}
	return t.removeAll(&sessionRecords, ended)
}

// sessionsBefore returns up to most sessions that were made, or end, before a
// time, the oldest first, beginning at a key of the index.
func (t *txn) sessionsBefore(kind string, end time.Time, from []byte, most int) ([]indexed, error) {
	prefix := indexPrefix(everything, kind)
	return t.entries(sessionRecords.indexBucket(), prefix, from, slices.Concat(prefix, timeKey(end)), most)
}

// indexed is an entry of an index: its key, and the id of the record that it
// leads to.
type indexed struct {
	key []byte
	id  string
}

// removeAll removes the records that entries of an index lead to. One that is
// damaged must not keep a password from being changed or the others from being
// removed: it goes as it stands, with the entry that led to it. What is left of
// it in other indexes and in counters is for a repair; a check tells of it. It
// tells how many went: fewer than all where the transaction has no more room.
func (t *txn) removeAll(n noun, entries []indexed) (removed int, err error) {
	s := n.shelf()
	for _, e := range entries {
		d, err := t.readDerived(n, e.id)
		if t.size.cut || (err == nil && !t.hasRoom(d.writes())) {
			return removed, nil
		}
		switch {
		case err == nil:
			err = s.remove(t, d)
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNotFound):
			t.changed(s.bucket, e.id)
			err = errors.Join(t.Delete(s.bucket, []byte(e.id)), t.Delete(indexOf(s.bucket), e.key), s.forgetUse(t, e.id))
		}
		if err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// readDerived reads what is derived from the record of id.
func (t *txn) readDerived(n noun, id string) (d derived, err error) {
	value, err := t.record(n.name(), []byte(id))
	if err != nil {
		return d, err
	}
	return n.read(id, value)
}

func (t *txn) sweepKeys() error {
	set, err := t.keySet()
	if err != nil {
		return err
	}
	for _, k := range set.ByID {
		if k.Ended(t.now) && t.hasRoom(keyRecords.derived(k).writes()) {
			if err := keyRecords.put(t, k, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepTombstones removes up to room of what deleted users left.
func (t *txn) sweepTombstones(nouns []noun, room int) (removed int, err error) {
	left, err := t.entries(tombstoneBucket, nil, nil, nil, sweepStep)
	for _, e := range left {
		if err != nil || removed >= room || t.size.cut {
			return removed, err
		}
		var n int
		n, err = t.sweepTombstone(nouns, string(e.key), room-removed)
		removed += n
	}
	return removed, err
}

func (t *txn) sweepTombstone(nouns []noun, user string, room int) (removed int, err error) {
	if user == endedSessions {
		return t.sweepEndedSessions(room)
	}
	if removed, err = t.endTokensOf(user, room); err != nil {
		return removed, err
	}
	for _, noun := range nouns {
		n, err := t.removeOwned(noun, user, room-removed)
		if removed += n; err != nil {
			return removed, err
		}
	}
	if removed < room && t.hasRoom(1) {
		err = t.Delete(tombstoneBucket, []byte(user))
	}
	return removed, err
}

// leaveEndedSessions has all sessions removed that there are, of which none is
// of use any more.
func (t *txn) leaveEndedSessions() error {
	return t.put(tombstoneBucket, []byte(endedSessions), []byte(t.now.Format(time.RFC3339Nano)))
}

func (t *txn) sweepEndedSessions(room int) (removed int, err error) {
	value, err := t.get(tombstoneBucket, []byte(endedSessions))
	if err != nil {
		return 0, err
	}
	until, err := time.Parse(time.RFC3339Nano, string(value))
	if err != nil {
		return 0, damagedRecord(tombstoneBucket, []byte(endedSessions))
	}
	ended, err := t.sessionsBefore(byCreated, until.Add(1), nil, room)
	if err != nil {
		return 0, err
	}
	if removed, err = t.removeAll(&sessionRecords, ended); err == nil && removed < room && t.hasRoom(1) {
		err = t.Delete(tombstoneBucket, []byte(endedSessions))
	}
	return removed, err
}

// removeOwned removes up to room of what belongs to a user.
func (t *txn) removeOwned(n noun, user string, room int) (int, error) {
	if !n.shelf().owned {
		return 0, nil
	}
	entries, err := t.owned(indexOf(n.name()), user, room)
	if err != nil {
		return 0, err
	}
	return t.removeAll(n, entries)
}

// owned returns up to most entries of what stands under an owner in an index.
func (t *txn) owned(index, owner string, most int) ([]indexed, error) {
	return t.entries(index, indexPrefix(owner, byCreated), nil, nil, most)
}

// entries returns up to most entries of a bucket that begin with prefix, from
// one key on and before the other; nil: there is no such bound.
func (t *txn) entries(bucket string, prefix, from, end []byte, most int) (found []indexed, err error) {
	if most <= 0 {
		return nil, nil
	}
	err = t.scan(bucket, prefix, from, false, func(key, value []byte) bool {
		if end != nil && bytes.Compare(key, end) >= 0 {
			return false
		}
		found = append(found, indexed{key, string(value)})
		return len(found) < most
	})
	return found, err
}

// SweepDue tells whether a sweep would find something; it writes nothing.
func (s *Store) SweepDue(ctx context.Context) (due bool, err error) {
	err = s.view(ctx, func(t *txn) error {
		left, err := t.entries(tombstoneBucket, nil, nil, nil, 1)
		ended, err2 := t.sessionsBefore(byExpiry, t.now, nil, 1)
		old, err3 := t.oldEndedTokens(1)
		due = len(left)+len(ended)+len(old) > 0
		return errors.Join(err, err2, err3)
	})
	return due, err
}
