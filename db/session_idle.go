package db

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// EndIdleSessions ends the sessions that were not used for so long, in small
// steps, and tells how many. While the clock is in doubt it ends none.
func (s *Store) EndIdleSessions(ctx context.Context, idle time.Duration) (ended int, err error) {
	if _, certain := s.clock.settledMark(); !certain {
		return 0, nil
	}
	for from, more := []byte(nil), true; more && err == nil; {
		var old []indexed
		err = s.view(ctx, func(t *txn) (err error) {
			old, err = t.sessionsBefore(byCreated, t.now.Add(-idle), from, sweepStep)
			return err
		})
		if err != nil || len(old) == 0 {
			return ended, err
		}
		more, from = len(old) == sweepStep, append(bytes.Clone(old[len(old)-1].key), 0)
		if old, err = s.notUsedSince(ctx, s.Now().Add(-idle), old); err != nil || len(old) == 0 {
			continue
		}
		for len(old) > 0 && err == nil {
			n := 0
			err = s.update(ctx, &Actor{}, func(t *txn) (err error) { n, err = t.removeAll(&sessionRecords, old); return err })
			if err == nil {
				ended, old = ended+n, old[n:]
			}
		}
	}
	return ended, err
}

// notUsedSince returns those that were not used since. What can't be read of a use
// is none, as for LastSeen.
func (s *Store) notUsedSince(ctx context.Context, since time.Time, entries []indexed) (unused []indexed, err error) {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	uses, err := s.SessionsLastUsed(ctx, ids)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	for _, e := range entries {
		if uses[e.id].Time.Before(since) {
			unused = append(unused, e)
		}
	}
	return unused, nil
}

// LastSeen returns when a session was last used: when it was made, where it was
// not, or where the record of its use is damaged.
func (s *Store) LastSeen(ctx context.Context, r *Session) (time.Time, error) {
	use, err := s.SessionLastUsed(ctx, r.ID)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return time.Time{}, err
	}
	if use.Time.Before(r.Created) {
		return r.Created, nil
	}
	return use.Time, nil
}
