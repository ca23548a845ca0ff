package db

import (
	"context"
	"errors"
	"strings"
)

// This file holds what the guard against guessed passwords keeps in the store.

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

// Users are counted by what their hashes cost, so that the work for an account
// that does not exist can be like that for most that do.
const hashCounters = "user/hash/"

func hashCounter(hash string) string { return hashCounters + hashCost(hash) }

// hashCost is all of a password hash that stands before its salt, with one name
// for the versions of bcrypt; "other" where it is of no known kind.
func hashCost(hash string) string {
	fields := strings.Split(hash, "$")
	switch {
	case len(hash) > maxHash || len(fields) < 4:
	case fields[1] == "argon2id" && len(fields) == 6:
		return strings.Join(fields[:4], "$")
	case len(fields) == 4 && len(fields[1]) == 2 && fields[1][0] == '2':
		return "$2b$" + fields[2]
	}
	return "other"
}

const (
	maxHash      = 512 // bytes; longer ones are none
	maxHashKinds = 256 // that are looked at: who imports could make many
)

// CommonHash returns all that stands before the salt in the password hashes of
// most users: "$argon2id$v=19$m=19456,t=2,p=1" or "$2b$10"; "" where there is
// none.
func (s *Store) CommonHash(ctx context.Context) (common string, err error) {
	most, seen := int64(0), 0
	err = s.view(ctx, func(t *txn) error {
		var failed error
		err := t.scan(countBucket, []byte(hashCounters), nil, false, func(name, _ []byte) bool {
			n, err := t.count(string(name))
			if cost := string(name[len(hashCounters):]); n > most && cost != "other" {
				most, common = n, cost
			}
			failed = err
			seen++
			return err == nil && seen < maxHashKinds
		})
		return errors.Join(err, failed)
	})
	return common, err
}
