package db

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
)

const (
	// MaxPasskeys is how many of them a user has at most.
	MaxPasskeys = 20

	maxPasskeyName  = 100
	maxCredential   = 1023    // bytes: WebAuthn Level 3, 4, "Credential ID"
	maxPublicKey    = 2 << 10 // of RSA with 8,192 bits it is half of that
	maxPasskeyWords = 512     // of host and transports
	maxTransports   = 16      // WebAuthn Level 3, 5.8.4 knows six
)

var errManyPasskeys = fail(ErrConflict, "too_many_passkeys", "there are 20 passkeys, as many as a user may have; remove one first")

// AddPasskey adds a passkey, whose ID is made here. One that is set up already, by
// anybody, is ErrConflict.
func (s *Store) AddPasskey(ctx context.Context, actor *Actor, p Passkey, in FactorSetUp) (added *Passkey, r *Session, secret string, err error) {
	p.ID = uuid.NewString()
	if err := p.check(); err != nil {
		return nil, nil, "", err
	}
	r, secret, err = s.setUpFactor(ctx, actor, MethodPasskey, in, "passkey.create", func(t *txn, f *Factors) error {
		switch {
		case f.Passkey(p.Credential) != nil: // no other record's, so the index refuses nothing
			return factorRecords.taken
		case len(f.Passkeys) >= MaxPasskeys:
			return errManyPasskeys
		}
		p.Created = t.now
		f.Passkeys = append(f.Passkeys, p)
		return nil
	})
	if err != nil {
		return nil, nil, "", err
	}
	return &p, r, secret, nil
}

// check refuses what no authenticator makes: all of it is the browser's word, and is
// read at each sign-in.
func (p *Passkey) check() error {
	words := len(p.Host)
	for _, w := range p.Transports {
		words += len(w)
	}
	if n := len(p.Credential); n == 0 || n > maxCredential || len(p.PublicKey) > maxPublicKey || words > maxPasskeyWords || len(p.Transports) > maxTransports {
		return fail(ErrInvalid, "bad_passkey", "that passkey is of a form that no authenticator makes")
	}
	return checkPasskeyName(&p.Name)
}

func checkPasskeyName(name *string) error {
	if *name = strings.TrimSpace(*name); *name == "" {
		return fail(ErrInvalid, "bad_name", "a passkey needs a name")
	}
	return checkText("name", *name, maxPasskeyName)
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
