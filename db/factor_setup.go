package db

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// FactorSetUp is what setting up a second factor does besides.
type FactorSetUp struct {
	Codes []string // hashes of new recovery codes, which replace those that there are; nil: those stay
	Renew bool     // the session that was shown goes on under a new secret
}

var (
	errNoPending      = fail(ErrConflict, "totp_not_begun", "no secret waits for its first code: begin with POST /account/totp")
	errNoTOTP         = fail(ErrNotFound, "not_found", "there is no such thing, or it is not yours")
	errNoFactor       = fail(ErrConflict, "no_second_factor", "recovery codes are for who has a second factor: set one up first")
	errManyPasskeys   = fail(ErrConflict, "too_many_passkeys", "there are 20 passkeys, as many as a user may have; remove one first")
	errOwnFactorReset = fail(ErrDenied, "own_second_factor", "nobody resets their own second factor: remove it where it was set up, or use 'husk user reset-second-factor' on the machine")
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

// AddPasskey adds a passkey, whose ID is made here. One that is set up already, by
// anybody, is ErrConflict.
func (s *Store) AddPasskey(ctx context.Context, actor *Actor, p Passkey, in FactorSetUp) (added *Passkey, r *Session, secret string, err error) {
	p.ID = uuid.NewString()
	if err := checkPasskeyName(&p.Name); err != nil {
		return nil, nil, "", err
	}
	r, secret, err = s.setUpFactor(ctx, actor, MethodPasskey, in, "passkey.create", func(t *txn, f *Factors) error {
		if len(f.Passkeys) >= MaxPasskeys {
			return errManyPasskeys
		}
		p.Created = t.now
		f.Passkeys = append(f.Passkeys, p)
		return nil
	})
	return &p, r, secret, err
}

func checkPasskeyName(name *string) error {
	if *name = strings.TrimSpace(*name); *name == "" {
		return fail(ErrInvalid, "bad_name", "a passkey needs a name")
	}
	return checkText("name", *name, maxPasskeyName)
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

// RenamePasskey renames a passkey of the actor's, by its ID.
func (s *Store) RenamePasskey(ctx context.Context, actor *Actor, id, name string) error {
	if err := checkPasskeyName(&name); err != nil {
		return err
	}
	return s.changeOwnFactors(ctx, actor, "passkey.update", func(f *Factors) error {
		i := f.passkeyAt(id)
		if i < 0 {
			return errAbsentRecord
		}
		f.Passkeys[i].Name = name
		return nil
	})
}

// RemovePasskey removes a passkey of the actor's, by its ID.
func (s *Store) RemovePasskey(ctx context.Context, actor *Actor, id string) error {
	return s.changeOwnFactors(ctx, actor, "passkey.delete", func(f *Factors) error {
		i := f.passkeyAt(id)
		if i < 0 {
			return errAbsentRecord
		}
		f.Passkeys = slices.Delete(f.Passkeys, i, i+1)
		return nil
	})
}

func (f *Factors) passkeyAt(id string) int {
	return slices.IndexFunc(f.Passkeys, func(p Passkey) bool { return p.ID == id })
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

// ResetFactors takes a user, by id or email, all that they have besides the password,
// and ends their sessions and device cookies: the way back for who lost it. The user
// is told at the next sign-in. That of a user who may do more than the actor, and the
// actor's own, is ErrDenied; where there is nothing to take, ErrNotFound.
func (s *Store) ResetFactors(ctx context.Context, actor *Actor, idOrEmail string) (u *User, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := t.findUser(idOrEmail)
		if err != nil {
			return err
		}
		if old.ID == t.actor.ID {
			return errOwnFactorReset
		}
		if err := t.mayTouch(old); err != nil {
			return err
		}
		f, err := t.factorsOf(old)
		switch {
		case errors.Is(err, ErrDamaged): // the way back is for that, too
			f = &Factors{User: old.ID}
		case err != nil:
			return err
		case len(f.Methods()) == 0 && f.Pending == nil:
			return errNothingToReset
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
	return u, err
}

var errNothingToReset = fail(ErrConflict, "no_second_factor", "that user has no second factor")

// dropFactors removes what a user had who is deleted.
func (t *txn) dropFactors(user string) error {
	f, err := factorRecords.get(t, user)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrDamaged):
		return t.dropDamagedFactors(user)
	case err != nil:
		return err
	}
	return factorRecords.put(t, f, nil)
}
