package db

import (
	"errors"
	"slices"
	"time"
)

// FactorUse is one use of a second factor that was found right: exactly one member is
// set. What is good once is spent in the transaction that it is good for.
type FactorUse struct {
	TOTP     *TOTPUse
	Recovery *RecoveryUse
	Passkey  *PasskeyUse
}

// TOTPUse is a code of a program.
type TOTPUse struct {
	Secret []byte // as it was stored when the code was checked against it
	Step   int64  // of the code: the number of 30 s since 1970 (RFC 6238, 4.2)
}

// RecoveryUse is a recovery code.
type RecoveryUse struct {
	Number   int
	Verified string // the stored hash that it was checked against
}

// PasskeyUse is an assertion of a passkey (WebAuthn Level 3, 7.2).
type PasskeyUse struct {
	Credential []byte
	Counter    uint32
	BackedUp   bool
	Alone      bool // the authenticator verified its user, so no password is needed
	Challenge  []byte
	Ends       time.Time // when the challenge is stale
}

// alone tells whether no password is needed beside it.
func (f *FactorUse) alone() bool { return f != nil && f.Passkey != nil && f.Passkey.Alone }

func (f *FactorUse) method() string {
	switch {
	case f.TOTP != nil:
		return MethodTOTP
	case f.Recovery != nil:
		return MethodRecovery
	}
	return MethodPasskey
}

// Refusals of a factor that was found right and is good no more, in Husk's own words.
var (
	errCodeUsed       = fail(ErrDenied, "code_used", "that code was used already: a code is good once")
	errFactorMoved    = fail(ErrDenied, "second_factor_moved", "the second factor was changed meanwhile; try again")
	errChallengeSpent = fail(ErrDenied, "challenge_spent", "this use of the passkey was answered already; try again")
	errPasskeyCopied  = fail(ErrDenied, "passkey_copied", "the passkey's counter went back, as that of a copy does: it was not taken")
	errChallengesFull = &Error{Kind: ErrQuota, Code: "passkey_busy", Reason: "too many sign-ins with passkeys came in a few minutes; wait before the next one", Wait: time.Minute}
)

// useFactor spends what was shown, and returns the user as they are then; nil is
// nothing to spend.
func (t *txn) useFactor(u *User, use *FactorUse) (*User, error) {
	if use == nil {
		return u, nil
	}
	u, _, err := t.changeFactors(u, func(f *Factors) error {
		switch {
		case use.TOTP != nil:
			return f.useTOTP(use.TOTP, t.now)
		case use.Recovery != nil:
			return f.useRecovery(use.Recovery, t.now, t.actor.Address)
		}
		return f.usePasskey(use.Passkey, t.now)
	})
	if err != nil || use.Recovery == nil {
		return u, err
	}
	return u, t.auditAs(u, "recovery_code.use")
}

// auditAs writes an entry of what a user does who is not signed in yet.
func (t *txn) auditAs(u *User, action string) error {
	actor := t.actor
	defer func() { t.actor = actor }()
	who := *actor
	who.ID, who.Name = u.ID, u.Username()
	t.actor = &who
	return t.audit(action, u.Target())
}

// useTOTP takes a code. None up to it is good any more, whichever was shown before.
func (f *Factors) useTOTP(use *TOTPUse, now time.Time) error {
	switch {
	case f.TOTP == nil || string(f.TOTP.Secret) != string(use.Secret):
		return errFactorMoved
	case use.Step <= f.TOTP.Last:
		return errCodeUsed
	}
	f.TOTP.Last, f.TOTP.Used = use.Step, now
	return nil
}

func (f *Factors) useRecovery(use *RecoveryUse, now time.Time, address string) error {
	switch {
	case use.Number < 0 || use.Number >= len(f.Recovery) || f.Recovery[use.Number].Hash != use.Verified:
		return errFactorMoved
	case !f.Recovery[use.Number].Used.IsZero():
		return errCodeUsed
	}
	f.Recovery[use.Number].Used = now
	f.tell(FactorNotice{Kind: NoticeRecoveryUsed, Time: now, Address: address})
	return nil
}

// usePasskey takes an assertion. One that was taken before is that first: its counter
// is no sign of a copy.
func (f *Factors) usePasskey(use *PasskeyUse, now time.Time) error {
	p := f.Passkey(use.Credential)
	switch {
	case p == nil:
		return errFactorMoved
	case f.Spent(use.Challenge):
		return errChallengeSpent
	case p.CountsBack(use.Counter):
		return errPasskeyCopied
	}
	if err := f.spendChallenge(use, now); err != nil {
		return err
	}
	p.Counter, p.BackedUp, p.Used = use.Counter, use.BackedUp, now
	return nil
}

func (f *Factors) spendChallenge(use *PasskeyUse, now time.Time) error {
	f.Challenges = slices.DeleteFunc(f.Challenges, func(c SpentChallenge) bool { return now.Unix() >= c.Ends })
	switch {
	case !now.Before(use.Ends):
		return errChallengeSpent
	case len(f.Challenges) >= maxChallenges:
		return errChallengesFull
	}
	// Rounded up: it is not to be forgotten before it is stale.
	f.Challenges = append(f.Challenges, SpentChallenge{challengeHash(use.Challenge), use.Ends.Unix() + 1})
	return nil
}

// IsFactorRefusal tells a second factor that is good no more from a store that failed.
func IsFactorRefusal(err error) bool {
	return errors.Is(err, errCodeUsed) || errors.Is(err, errFactorMoved) || errors.Is(err, errChallengeSpent) || errors.Is(err, errPasskeyCopied)
}
