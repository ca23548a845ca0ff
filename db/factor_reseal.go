package db

import (
	"context"
	"errors"
)

// Reseal makes of a sealed TOTP secret of a user's what it is to be stored as, or nil
// where it stays as it is. It may run again.
type Reseal func(user string, sealed []byte) ([]byte, error)

// RewriteTOTP has all secrets be sealed anew. It goes in steps of one user each, and
// returns how many secrets were changed. A record that is damaged is passed over: it
// opens nothing.
func (s *Store) RewriteTOTP(ctx context.Context, reseal Reseal) (changed int, err error) {
	var ids []string
	for more := true; more; more = len(ids) == sweepStep {
		if ids, err = s.factorIDs(ctx, ids); err != nil {
			return changed, err
		}
		for _, id := range ids {
			n, err := s.rewriteTOTPOf(ctx, id, reseal)
			if err != nil {
				return changed, err
			}
			changed += n
		}
	}
	return changed, nil
}

// factorIDs returns up to a step of the users of whom there is a record, in order,
// after the last of those before.
func (s *Store) factorIDs(ctx context.Context, before []string) (ids []string, err error) {
	var from []byte
	if n := len(before); n > 0 {
		from = append([]byte(before[n-1]), 0)
	}
	err = s.view(ctx, func(t *txn) error {
		ids = nil
		return t.Scan(factorRecords.bucket, nil, from, false, func(id, _ []byte) bool {
			ids = append(ids, string(id))
			return len(ids) < sweepStep
		})
	})
	return ids, err
}

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
