package db

import (
	"context"
	"errors"
)

var (
	errOwnFactorReset = fail(ErrDenied, "own_second_factor", "nobody resets their own second factor: remove it where it was set up, or use 'husk user reset-second-factor' on the machine")
	errNothingToReset = fail(ErrConflict, "no_second_factor", "that user has no second factor")
)

// ResetFactors takes a user, by id or email, all that they have besides the password,
// and ends their sessions and device cookies: the way back for who lost it. The user
// is told at the next sign-in. That of a user who may do more than the actor, and the
// actor's own, is ErrDenied; where there is nothing to take, ErrConflict.
func (s *Store) ResetFactors(ctx context.Context, actor *Actor, idOrEmail string) (u *User, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := t.findUser(idOrEmail)
		if err != nil {
			return err
		}
		f, err := t.resettable(old)
		if err != nil {
			return err
		}
		f.TOTP, f.Pending, f.Passkeys = nil, nil, nil
		f.tell(FactorNotice{Kind: NoticeReset, Time: t.now, Address: t.actor.Address, By: t.actor.Name})
		if u, err = t.putFactors(old, f); err != nil {
			return err
		}
		if _, err := t.endSessions(u.ID, ""); err != nil {
			return err
		}
		if u, err = t.endDevices(u); err != nil {
			return err
		}
		return t.audit("user.reset_second_factor", u.Target())
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// resettable returns what a user has that the actor may take.
func (t *txn) resettable(u *User) (*Factors, error) {
	if u.ID == t.actor.ID {
		return nil, errOwnFactorReset
	}
	if err := t.mayTouch(u); err != nil {
		return nil, err
	}
	f, err := t.factorsOf(u)
	switch {
	case errors.Is(err, ErrDamaged): // the way back is for that, too
		return &Factors{User: u.ID}, t.dropFoundBy(u.ID)
	case err == nil && len(f.Methods()) == 0 && f.Pending == nil:
		return nil, errNothingToReset
	}
	return f, err
}
