package db

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// This file bounds what one user may have. Who may do everything, as the owner
// of the file may, is bound by none of it but the number of sessions.

// roomForToken refuses one more token to an owner who has most of them; 0 is no
// bound. What has ended makes room, the longest ended first.
func (s *Store) roomForToken(t *txn, k *Token, most int) error {
	if most <= 0 || t.actor.Administrator() {
		return nil
	}
	n, err := t.count(tokensOf(k.Owner))
	over := int(n) + 1 - most
	if err != nil || over <= 0 {
		return err
	}
	ended, next, err := s.endedTokens(t, k.Owner, min(over, sweepStep))
	if err != nil {
		return err
	}
	if len(ended) < over { // before anything is written: see Engine
		return tooManyTokens(n, next.Sub(t.now))
	}
	beside := tokenRecords.derived(k).writes()
	t.size.writes += beside
	evicted, err := t.evictTokens(ended)
	t.size.writes -= beside
	if err == nil && evicted < over {
		return &makeRoom{func(t *txn) (int, error) {
			ended, _, err := s.endedTokens(t, k.Owner, over)
			if err != nil {
				return 0, err
			}
			return t.evictTokens(ended)
		}}
	}
	return err
}

// evictTokens removes tokens to make room, as many as the transaction has room
// for, and tells of each.
func (t *txn) evictTokens(ended []indexed) (evicted int, err error) {
	for _, e := range ended {
		target, err := t.tokenTarget(e.id)
		if err != nil {
			return evicted, err
		}
		n, err := t.endToken(e, EndedToken{Reason: EndedExpired})
		if err != nil || n == 0 {
			return evicted, err
		}
		if err := t.audit("token.evict", target); err != nil {
			return evicted, err
		}
		evicted++
	}
	return evicted, nil
}

// longestWait is how long one who has too much is told to wait at most.
const longestWait = time.Hour

func tooManyTokens(n int64, wait time.Duration) error {
	return &Error{Kind: ErrQuota, Code: "too_many_tokens", Wait: min(max(wait, time.Second), longestWait),
		Reason: fmt.Sprintf("there are %d API tokens of that user, and max-tokens-per-user allows no more: delete those that are not needed", n)}
}

// endedTokens returns up to most tokens of an owner that have ended, the
// longest ended first, and where there are fewer, when the next one ends. While
// the clock is in doubt none has.
func (s *Store) endedTokens(t *txn, owner string, most int) (ended []indexed, next time.Time, err error) {
	prefix := indexPrefix(owner, byExpiry)
	next = t.now.Add(longestWait)
	_, certain := s.clock.settledMark()
	if !certain {
		return nil, next, nil
	}
	err = t.scan(tokenRecords.indexBucket(), prefix, nil, false, func(key, id []byte) bool {
		ends := key[len(prefix):]
		if bytes.Compare(ends[:8], expiryKey(t.now.Unix()+1)) >= 0 {
			if ends[0] != 0xff { // what never ends; see expiryKey
				next = time.Unix(0, int64(binary.BigEndian.Uint64(ends)))
			}
			return false
		}
		ended = append(ended, indexed{key, string(id)})
		return len(ended) < most
	})
	return ended, next, err
}

// unused is a session and when it was used last; zero where it has ended.
type unused struct {
	indexed
	since time.Time
}

// endUnused ends those sessions of a user that were unused the longest, where
// there are more than most with the one that was just made; 0 is no bound. It
// reads no more than there may be, and as many as a sweep removes; those that there
// is no room for are left to the next sign-in.
func (s *Store) endUnused(t *txn, made *Session, most int) error {
	if most <= 0 {
		return nil
	}
	n, err := t.count(sessionsOf(made.User))
	over := min(int(n)-most, sweepStep)
	if err != nil || over <= 0 {
		return err
	}
	entries, err := t.owned(sessionRecords.indexBucket(), made.User, most+sweepStep)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e indexed) bool { return e.id == made.ID })
	all, err := s.unusedSince(t, entries)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b unused) int { return a.since.Compare(b.since) })
	for _, u := range all[:min(over, len(all))] {
		if err := t.evictSession(u); err != nil {
			return err
		}
	}
	return nil
}

// evictSession removes a session of the actor, who signs in; one that has ended
// by itself was not ended.
func (t *txn) evictSession(u unused) error {
	if n, err := t.removeAll(&sessionRecords, []indexed{u.indexed}); err != nil || n == 0 || u.since.IsZero() {
		return err
	}
	return t.audit("session.evict", Target{u.id, t.actor.Name})
}

// unusedSince tells when sessions were used last, zero where one is of no use any
// more. A use that a flush is just writing is not seen: then it is the one
// before that counts, half a minute older.
func (s *Store) unusedSince(t *txn, entries []indexed) (all []unused, err error) {
	keys := make([][]byte, len(entries))
	for i, e := range entries {
		keys[i] = []byte(e.id)
	}
	sessions, err := t.GetMany(sessionRecords.bucket, keys)
	if err != nil {
		return nil, err
	}
	uses, err := t.GetMany(sessionUseBucket, keys)
	for i := range uses {
		all = append(all, unused{entries[i], s.lastSeen(t.now, entries[i].id, sessions[i], uses[i])})
	}
	return all, err
}

// lastSeen is unusedSince of one, by what stands in the store of it.
func (s *Store) lastSeen(now time.Time, id string, session, use []byte) time.Time {
	r, err := sessionRecords.open(id, session)
	if err != nil || r.Expired(now) {
		return time.Time{}
	}
	u, noted := s.use.noted(useKey{sessionUseBucket, id})
	if !noted && use != nil {
		_ = readUse(sessionUseBucket, id, use, &u) // what is damaged of a use is none
	}
	if u.Time.After(r.Created) {
		return u.Time
	}
	return r.Created
}

// Hoards are the owners of more than so many tokens.
type Hoards struct {
	Owners int    // how many there are
	Most   int64  // tokens of the one who has the most
	Owner  string // the id of that one
}

// hoardStep is how many counters a transaction of TokenHoards reads.
const hoardStep = 1000

// TokenHoards looks at how many tokens each user has. It goes in small steps,
// and reads the counters alone.
func (s *Store) TokenHoards(ctx context.Context, more int64) (h Hoards, err error) {
	prefix := []byte(tokensOf(""))
	for from, left := prefix, true; left && err == nil; {
		err = s.view(ctx, func(t *txn) error { from, left, err = t.hoards(&h, prefix, from, more); return err })
	}
	return h, err
}

// hoards takes one step, and returns from where to take the next one.
func (t *txn) hoards(h *Hoards, prefix, from []byte, more int64) (next []byte, left bool, err error) {
	seen := 0
	var damage error
	err = t.scan(countBucket, prefix, from, false, func(key, value []byte) bool {
		if seen++; seen > hoardStep {
			next, left = key, true
			return false
		}
		n, err := countOf(key, value)
		if err != nil {
			damage = err
			return false
		}
		if n > more {
			h.Owners++
			if n > h.Most {
				h.Most, h.Owner = n, string(key[len(prefix):])
			}
		}
		return true
	})
	return next, left, errors.Join(err, damage)
}
