package db

import (
	"bytes"
	"context"
)

// FactorSetUp is what setting up a second factor does besides.
type FactorSetUp struct {
	Codes []string // hashes of new recovery codes, which replace those that there are; nil: those stay
	Renew bool     // the session that was shown goes on under a new secret
}

var (
	errNoPending = fail(ErrConflict, "totp_not_begun", "no secret waits for its first code: begin with POST /account/totp")
	errNoTOTP    = fail(ErrNotFound, "not_found", "there is no such thing, or it is not yours")
	errNoFactor  = fail(ErrConflict, "no_second_factor", "recovery codes are for who has a second factor: set one up first")
)

// BeginTOTP keeps a secret of the actor's, sealed, until a code confirms it. The one
// that is in use stays until then.
func (s *Store) BeginTOTP(ctx context.Context, actor *Actor, sealed []byte) error {
	return s.update(ctx, actor, func(t *txn) error {
		_, _, err := t.changeFactors(t.actor.User, func(f *Factors) error {
			f.Pending = &TOTP{Secret: sealed, Created: t.now}
			return nil
		})
		return err
	})
}

// ConfirmTOTP puts the secret into use that waits for it: a code of it was right. It
// has to be the one that the code was checked against.
func (s *Store) ConfirmTOTP(ctx context.Context, actor *Actor, use TOTPUse, in FactorSetUp) (*Session, string, error) {
	return s.setUpFactor(ctx, actor, MethodTOTP, in, "totp.create", func(t *txn, f *Factors) error {
		if f.Pending == nil || !bytes.Equal(f.Pending.Secret, use.Secret) {
			return errNoPending
		}
		f.TOTP, f.Pending = f.Pending, nil
		f.TOTP.Last, f.TOTP.Created, f.TOTP.Used = use.Step, t.now, t.now
		return nil
	})
}

// setUpFactor adds a factor of the actor's, who proved to have it. With the first one
// the other sessions end, which were made without, and the device cookies of before
// stay: they open nothing.
func (s *Store) setUpFactor(ctx context.Context, actor *Actor, method string, in FactorSetUp, action string, add func(*txn, *Factors) error) (r *Session, secret string, err error) {
	if in.Renew {
		secret = newSessionSecret()
	}
	err = s.update(ctx, actor, func(t *txn) error {
		first := len(t.actor.User.Factors) == 0
		u, _, err := t.changeFactors(t.actor.User, func(f *Factors) error {
			if in.Codes != nil {
				f.takeCodes(in.Codes)
			}
			return add(t, f)
		})
		if err != nil {
			return err
		}
		if first {
			if _, err := t.endSessions(u.ID, actor.Session.ID); err != nil {
				return err
			}
		}
		if r, err = t.proveBy(secret, method); err != nil {
			return err
		}
		return t.audit(action, u.Target())
	})
	if err != nil {
		return nil, "", err
	}
	return r, secret, nil
}

func (f *Factors) takeCodes(hashes []string) {
	f.Recovery = make([]RecoveryCode, len(hashes))
	for i, hash := range hashes {
		f.Recovery[i].Hash = hash
	}
}

// RemoveTOTP removes the actor's secret; ErrNotFound where there is none.
func (s *Store) RemoveTOTP(ctx context.Context, actor *Actor) error {
	return s.changeOwnFactors(ctx, actor, "totp.delete", func(f *Factors) error {
		if f.TOTP == nil && f.Pending == nil {
			return errNoTOTP
		}
		f.TOTP, f.Pending = nil, nil
		return nil
	})
}

// NewRecoveryCodes replaces the actor's recovery codes.
func (s *Store) NewRecoveryCodes(ctx context.Context, actor *Actor, hashes []string) error {
	return s.changeOwnFactors(ctx, actor, "recovery_code.create", func(f *Factors) error {
		if len(f.Methods()) == 0 {
			return errNoFactor
		}
		f.takeCodes(hashes)
		return nil
	})
}

func (s *Store) changeOwnFactors(ctx context.Context, actor *Actor, action string, change func(*Factors) error) error {
	return s.update(ctx, actor, func(t *txn) error {
		u, _, err := t.changeFactors(t.actor.User, change)
		if err != nil {
			return err
		}
		return t.audit(action, u.Target())
	})
}
