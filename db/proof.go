package db

import (
	"context"
	"time"
)

// ProofLife is how long a proof of one's password or second factor is fresh.
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

// Proof is what was found right once more.
type Proof struct {
	Verified string     // the stored hash that the password was checked against; "": it was not shown
	Factor   *FactorUse // nil: none was shown
	Renew    bool       // the session goes on under a new secret
}

func (p Proof) methods() (methods []string) {
	if p.Verified != "" {
		methods = append(methods, MethodPassword)
	}
	if p.Factor != nil {
		methods = append(methods, p.Factor.method())
	}
	return methods
}

// Prove notes a proof in the session that the actor shows. Had the stored hash that
// was verified changed since, it would prove nothing: that is ErrConflict; a code that
// was used since is ErrDenied. Where the session is renewed it is returned with its
// new secret.
func (s *Store) Prove(ctx context.Context, actor *Actor, p Proof) (r *Session, secret string, err error) {
	if p.Renew {
		secret = newSessionSecret()
	}
	err = s.update(ctx, actor, func(t *txn) error {
		if p.Verified != "" && t.actor.User.Password != p.Verified {
			return errPasswordMoved
		}
		if _, err := t.useFactor(t.actor.User, p.Factor); err != nil {
			return err
		}
		r, err = t.proveBy(secret, p.methods()...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return r, secret, nil
}

// prove notes a proof of now by one method in the session that the actor shows.
func (t *txn) prove(method, secret string) (*Session, error) { return t.proveBy(secret, method) }

// proveBy notes a proof of now in the session that the actor shows. With a secret the
// session goes on under that.
func (t *txn) proveBy(secret string, methods ...string) (*Session, error) {
	old, err := sessionRecords.get(t, t.actor.Session.ID)
	if err != nil {
		return nil, err
	}
	if len(old.Methods) == 0 { // of before schema 5
		methods = append(methods, MethodPassword)
	}
	r := old.provedBy(t.now, methods...)
	if secret != "" {
		return t.renewSession(old, r, secret)
	}
	return r, sessionRecords.put(t, old, r)
}
