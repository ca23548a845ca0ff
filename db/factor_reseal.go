package db

import (
	"context"
	"errors"
)

// Reseal makes of a sealed TOTP secret of a user's what it is to be stored as, or nil
// where it stays as it is. It may run again.
type Reseal func(user string, sealed []byte) ([]byte, error)

// EachTOTP shows the secrets of all users, in use or waiting for a code, as they are
// sealed. A record that is damaged is passed over: the scrub tells of it.
func (s *Store) EachTOTP(ctx context.Context, show func(user string, sealed []byte)) error {
	return s.view(ctx, func(t *txn) error {
		return t.Scan(factorRecords.bucket, nil, nil, false, func(id, stored []byte) (more bool) {
			value, err := unseal(factorRecords.bucket, id, stored)
			if err != nil {
				return true
			}
			f, err := factorRecords.decode(string(id), value)
			if err != nil {
				return true
			}
			for _, secret := range []*TOTP{f.TOTP, f.Pending} {
				if secret != nil {
					show(f.User, secret.Secret)
				}
			}
			return true
		})
	})
}

// RewriteTOTP has all secrets be sealed anew: reseal is given one with its user's id,
// and returns what it becomes, or nil where it stays as it is; it may be asked again
// about the same one. It goes in steps of one user each, writes nothing where all stay,
// and returns how many were changed.
func (s *Store) RewriteTOTP(ctx context.Context, reseal Reseal) (changed int, err error) {
	var ids []string
	var failed error
	err = s.EachTOTP(ctx, func(user string, sealed []byte) {
		again, err := reseal(user, sealed)
		if failed == nil {
			failed = err
		}
		if again != nil && (len(ids) == 0 || ids[len(ids)-1] != user) {
			ids = append(ids, user)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	for _, id := range ids {
		n, err := s.rewriteTOTPOf(ctx, id, reseal)
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// rewriteTOTPOf seals one user's secrets anew; of one who is gone, or whose record is
// damaged, none.
func (s *Store) rewriteTOTPOf(ctx context.Context, user string, reseal Reseal) (changed int, err error) {
	err = s.update(ctx, &Actor{}, func(t *txn) error {
		changed = 0
		old, err := factorRecords.get(t, user)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			return nil
		}
		if err != nil {
			return err
		}
		f := *old
		for _, secret := range []**TOTP{&f.TOTP, &f.Pending} {
			done, err := rewriteTOTP(user, secret, reseal)
			if err != nil {
				return err
			}
			changed += done
		}
		if changed == 0 {
			return nil
		}
		return factorRecords.put(t, old, &f)
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// rewriteTOTP puts another secret in the place of one, where there is one and it
// becomes another; the one before stays as it was.
func rewriteTOTP(user string, secret **TOTP, reseal Reseal) (changed int, err error) {
	if *secret == nil {
		return 0, nil
	}
	sealed, err := reseal(user, (*secret).Secret)
	if err != nil || sealed == nil {
		return 0, err
	}
	other := **secret
	other.Secret = sealed
	*secret = &other
	return 1, nil
}
