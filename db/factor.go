package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

// How a session was made, and what was proved in it since.
const (
	MethodPassword = "password"
	MethodTOTP     = "totp"
	MethodPasskey  = "passkey"
	MethodRecovery = "recovery"
)

// Factors is what a user has besides the password, and what there is to tell them
// about it. It stands under the user's id. That there is one at all is in the user's
// record too (User.Factors): a record of this kind that is lost lets nobody in.
type Factors struct {
	User       string           `json:"user"`
	TOTP       *TOTP            `json:"totp,omitempty"`
	Pending    *TOTP            `json:"pending,omitempty"` // not confirmed by a code yet
	Passkeys   []Passkey        `json:"passkeys,omitempty"`
	Recovery   []RecoveryCode   `json:"recovery,omitempty"`   // by the number that a code begins with
	Challenges []SpentChallenge `json:"challenges,omitempty"` // the oldest first
	Notices    []FactorNotice   `json:"notices,omitempty"`    // the oldest first
}

// TOTP is a secret that a program of the user's makes codes from (RFC 6238).
type TOTP struct {
	Secret  []byte    `json:"secret"`        // as Husk's factor package sealed it; see RewriteTOTP
	Last    int64     `json:"last,omitzero"` // the newest time step of which a code was taken: none up to it is good any more
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
}

// Passkey is a public key of an authenticator (WebAuthn Level 3, 4).
type Passkey struct {
	ID         string    `json:"id"`         // names it in lists
	Name       string    `json:"name"`       // the user's own word for it
	Credential []byte    `json:"credential"` // the credential ID, 1,023 bytes at most
	PublicKey  []byte    `json:"public_key"` // a COSE_Key
	Host       string    `json:"host"`       // the relying party's id: it is good there alone
	Counter    uint32    `json:"counter"`    // of its last signature; 0: it counts none
	Eligible   bool      `json:"backup_eligible,omitempty"`
	BackedUp   bool      `json:"backed_up,omitempty"`
	Transports []string  `json:"transports,omitempty"`
	Created    time.Time `json:"created"`
	Used       time.Time `json:"used,omitzero"`
	Suspected  time.Time `json:"suspected,omitzero"` // when its counter last went back, as that of a copy does
}

// RecoveryCode is good once.
type RecoveryCode struct {
	Hash string    `json:"hash"` // a PHC string
	Used time.Time `json:"used,omitzero"`
}

// SpentChallenge is a challenge that a passkey has answered: it is good once.
type SpentChallenge struct {
	Hash []byte `json:"hash"` // the first 16 bytes of its SHA-256
	Ends int64  `json:"ends"` // Unix seconds: from then on it is stale anyway
}

const (
	// MaxPasskeys is how many of them a user has at most.
	MaxPasskeys = 20

	maxChallenges  = 64 // of a user within the life of one
	maxPasskeyName = 100
)

var factorRecords = collection[Factors]{
	bucket: "factor",
	id:     func(f *Factors) string { return f.User },
	unique: func(f *Factors) (keys []string) {
		for _, p := range f.Passkeys {
			sum := sha256.Sum256(p.Credential)
			keys = append(keys, hex.EncodeToString(sum[:]))
		}
		return keys
	},
	count: func(*Factors) []string { return []string{"factor"} },
	taken: fail(ErrConflict, "passkey_taken", "that passkey is set up here already"),
}

// Methods are those of the factors that are set up, sorted; recovery codes are none
// by themselves.
func (f *Factors) Methods() (methods []string) {
	if len(f.Passkeys) > 0 {
		methods = append(methods, MethodPasskey)
	}
	if f.TOTP != nil {
		methods = append(methods, MethodTOTP)
	}
	return methods
}

// CodesLeft is how many recovery codes are good.
func (f *Factors) CodesLeft() (n int) {
	for _, c := range f.Recovery {
		if c.Used.IsZero() {
			n++
		}
	}
	return n
}

// Passkey returns the passkey of a credential ID, or nil.
func (f *Factors) Passkey(credential []byte) *Passkey {
	for i := range f.Passkeys {
		if string(f.Passkeys[i].Credential) == string(credential) {
			return &f.Passkeys[i]
		}
	}
	return nil
}

// Spent tells whether a challenge was answered already.
func (f *Factors) Spent(challenge []byte) bool {
	hash := challengeHash(challenge)
	return slices.ContainsFunc(f.Challenges, func(c SpentChallenge) bool { return string(c.Hash) == string(hash) })
}

func challengeHash(challenge []byte) []byte {
	sum := sha256.Sum256(challenge)
	return sum[:16]
}

// CountsBack tells whether a counter does not go on, as that of a copy does; but for
// authenticators that count nothing (WebAuthn Level 3, 6.1.1).
func (p *Passkey) CountsBack(counter uint32) bool {
	return (p.Counter > 0 || counter > 0) && counter <= p.Counter
}

// isNothing tells whether there is nothing to keep.
func (f *Factors) isNothing() bool {
	return f.TOTP == nil && f.Pending == nil && len(f.Passkeys) == 0 && len(f.Recovery) == 0 && len(f.Notices) == 0
}

var errFactorsLost = fail(ErrDamaged, "second_factor_lost", "what is kept of this account's second factor is damaged or gone: run 'husk check'; 'husk user reset-second-factor' on the machine lets its owner in again")

// Factors returns what a user has besides the password; empty where there is nothing.
// What should be there and is not is ErrDamaged.
func (s *Store) Factors(ctx context.Context, user string) (f *Factors, err error) {
	err = s.view(ctx, func(t *txn) error {
		u, err := userRecords.get(t, user)
		if err != nil {
			return err
		}
		f, err = t.factorsOf(u)
		return err
	})
	return f, err
}

// factorsOf reads what a user has, to be changed; see putFactors.
func (t *txn) factorsOf(u *User) (*Factors, error) {
	f, err := factorRecords.get(t, u.ID)
	switch {
	case errors.Is(err, ErrNotFound) && len(u.Factors) == 0:
		return &Factors{User: u.ID}, nil
	case errors.Is(err, ErrNotFound), err == nil && !slices.Equal(f.Methods(), u.Factors):
		return nil, errFactorsLost
	}
	return f, err
}

// changeFactors changes what a user has, and says so in the user's record.
func (t *txn) changeFactors(u *User, change func(f *Factors) error) (*User, *Factors, error) {
	f, err := t.factorsOf(u)
	if err != nil {
		return nil, nil, err
	}
	if err := change(f); err != nil {
		return nil, nil, err
	}
	u, err = t.putFactors(u, f)
	return u, f, err
}

// putFactors writes what a user has, or removes it where it is nothing. Without any
// factor recovery codes are good for nothing.
func (t *txn) putFactors(u *User, f *Factors) (*User, error) {
	if len(f.Methods()) == 0 {
		f.Recovery, f.Challenges = nil, nil
	}
	old, err := factorRecords.get(t, u.ID)
	switch {
	case errors.Is(err, ErrDamaged):
		if err := t.dropDamagedFactors(u.ID); err != nil {
			return nil, err
		}
		old = nil
	case errors.Is(err, ErrNotFound):
		old = nil
	case err != nil:
		return nil, err
	}
	new := f
	if f.isNothing() {
		new = nil
	}
	if old != nil || new != nil {
		if err := factorRecords.put(t, old, new); err != nil {
			return nil, err
		}
	}
	if slices.Equal(u.Factors, f.Methods()) {
		return u, nil
	}
	changed := *u
	changed.Factors = f.Methods()
	return &changed, t.putUser(u, &changed)
}

// dropDamagedFactors removes a record that can't be read. What it was found by stays
// until a repair.
func (t *txn) dropDamagedFactors(user string) error {
	if err := t.putCounts([]string{factorRecords.bucket}, nil); err != nil {
		return err
	}
	t.changed(factorRecords.bucket, user)
	return t.Delete(factorRecords.bucket, []byte(user))
}
