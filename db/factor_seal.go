package db

import (
	"context"
	"errors"
)

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
func (s *Store) RewriteTOTP(ctx context.Context, reseal func(user string, sealed []byte) ([]byte, error)) (changed int, err error) {
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
		n, err := s.rewriteTOTP(ctx, id, reseal)
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// rewriteTOTP seals one user's secrets anew; of one who is gone, none.
func (s *Store) rewriteTOTP(ctx context.Context, user string, reseal func(user string, sealed []byte) ([]byte, error)) (n int, err error) {
	err = s.update(ctx, &Actor{}, func(t *txn) error {
		n = 0
		old, err := factorRecords.get(t, user)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			return nil
		}
		if err != nil {
			return err
		}
		f := *old
		for _, secret := range []**TOTP{&f.TOTP, &f.Pending} {
			if *secret == nil {
				continue
			}
			sealed, err := reseal(user, (*secret).Secret)
			if err != nil {
				return err
			}
			if sealed != nil {
				other := **secret
				other.Secret = sealed
				*secret = &other
				n++
			}
		}
		if n == 0 {
			return nil
		}
		return factorRecords.put(t, old, &f)
	})
	return n, err
}
