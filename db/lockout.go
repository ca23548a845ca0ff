package db

import (
	"context"
	"errors"
)

// A throttle of sign-ins locks out who guesses passwords (package web/ratelimit).
// What a store keeps for it is the generation of a user's device cookies, by
// which the browsers that they signed in with have attempts of their own.

// setPassword sets a password that the user did not choose, or nobody proved
// that they did: whoever had the account before has nothing of it left.
func (u *User) setPassword(hash string, mustChange bool) {
	u.Password, u.MustChange, u.Imported = hash, mustChange, false
	u.Devices++
}

// endDevices makes all device cookies of a user worth nothing.
func (t *txn) endDevices(old *User) (*User, error) {
	u := *old
	u.Devices++
	return &u, t.putUser(old, &u)
}

// UnlockUser writes down that the throttle of a user's sign-ins is cleared, and
// ends the device cookies, by which somebody else may have tried. Of a user
// who is gone nothing is left to end. That of a user who may do more than the
// actor is ErrDenied: it guards their password against the actor too.
func (s *Store) UnlockUser(ctx context.Context, actor *Actor, id string) error {
	return s.update(ctx, actor, func(t *txn) error {
		u, err := userRecords.get(t, id)
		if err == nil {
			err = t.mayTouch(u)
		}
		if err == nil {
			_, err = t.endDevices(u)
		}
		if err != nil && !(errors.Is(err, ErrNotFound) && t.actor.Local()) {
			return err
		}
		target := Literal(id)
		if err == nil {
			target = u.Target()
		}
		return t.audit("user.unlock", target)
	})
}
