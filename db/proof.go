package db

import (
	"context"
	"time"
)

// ProofLife is how long a proof of one's password is fresh.
const ProofLife = 10 * time.Minute

// ProvedUntil is until when the last proof of a session is fresh; zero where it is
// not. What was seen ended stays so, whatever the clock shows after a restart.
func (s *Store) ProvedUntil(r *Session) time.Time {
	now, until := s.Now(), r.proofEnds()
	switch {
	case r.Proved.IsZero() || until.Sub(now) > ProofLife+backTolerance: // never, or by a clock that was ahead
		return time.Time{}
	case !now.Before(until):
		s.KeepTime(until)
		return time.Time{}
	}
	return until
}

// proofEnds is when the last proof ends, or ended: with its session at the latest.
func (s *Session) proofEnds() time.Time {
	if until := s.Proved.Add(ProofLife); until.Before(s.Expires) {
		return until
	}
	return s.Expires
}

// Prove notes that the password of the actor, who shows a session, was found right
// once more, and returns until when that is fresh. Had the stored hash that was
// verified changed since, it would prove nothing: that is ErrConflict.
func (s *Store) Prove(ctx context.Context, actor *Actor, verified string) (until time.Time, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		if t.actor.User.Password != verified {
			return errPasswordMoved
		}
		r, err := t.prove(actor.Session)
		if err == nil {
			until = r.proofEnds()
		}
		return err
	})
	return until, err
}

// prove notes a proof of now in the record of a session.
func (t *txn) prove(shown *Session) (*Session, error) {
	old, err := sessionRecords.get(t, shown.ID)
	if err != nil {
		return nil, err
	}
	r := *old
	r.Proved = t.now
	return &r, sessionRecords.put(t, old, &r)
}
