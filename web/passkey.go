package web

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"

	"husk/db"
	"husk/web/api"
	"husk/web/factor"
)

// This file is the one place where the answer of a passkey is checked, whichever door
// it came by: a sign-in by it alone, one beside a password, and a proof. It counts with
// the password's tries, and the store spends its challenge.

var (
	errBadPasskey = malformed("bad_passkey", "credential is not what a browser makes of a passkey (WebAuthn Level 3, toJSON)")
	errNoPasskey  = &failure{status: http.StatusConflict, code: "no_passkey", reason: "no passkey is set up that is good at this host"}

	// errLoginPasskey is the one answer to a passkey that signs nobody in: it does not
	// tell which accounts and passkeys there are.
	errLoginPasskey = forbidden("login_failed", "the passkey is not known here, or the account may not sign in")
	errWrongPasskey = forbidden("wrong_passkey", "that is no passkey of this account, or its signature is wrong")
	errSpentPasskey = forbidden("challenge_spent", "this use of the passkey was answered already; try again")
	errCopiedKey    = forbidden("passkey_copied", "the passkey's counter went back, as that of a copy does: it was not taken")
)

var base64URL = base64.RawURLEncoding.Strict()

func bytesText(b []byte) string { return base64URL.EncodeToString(b) }

// readBytes reads base64url of one spelling: the decoder alone skips line ends.
func readBytes(text string) ([]byte, error) {
	b, err := base64URL.DecodeString(text)
	if err != nil || bytesText(b) != text {
		return nil, errBadPasskey
	}
	return b, nil
}

// maxUserHandle is how long one may be (WebAuthn Level 3, 5.4.3).
const maxUserHandle = 64

// readCreated reads what a browser made.
func readCreated(in *api.CreatedPasskey) (c factor.Creation, err error) {
	if c.Credential, err = readCredential(in.ID, in.RawID, in.Type); err != nil {
		return c, err
	}
	if c.ClientData, err = readBytes(in.Response.ClientDataJSON); err != nil {
		return c, err
	}
	c.AttestationObject, err = readBytes(in.Response.AttestationObject)
	c.Transports = in.Response.Transports
	return c, err
}

// readUsed reads what a passkey signed, and whose it says to be.
func readUsed(in *api.UsedPasskey) (a factor.Assertion, handle string, err error) {
	if a.Credential, err = readCredential(in.ID, in.RawID, in.Type); err != nil {
		return a, "", err
	}
	whose, err := readBytes(in.Response.UserHandle)
	if err != nil || len(whose) > maxUserHandle {
		return a, "", errBadPasskey
	}
	if a.ClientData, err = readBytes(in.Response.ClientDataJSON); err != nil {
		return a, "", err
	}
	if a.AuthenticatorData, err = readBytes(in.Response.AuthenticatorData); err != nil {
		return a, "", err
	}
	a.Signature, err = readBytes(in.Response.Signature)
	return a, string(whose), err
}

func readCredential(id, raw, kind string) ([]byte, error) {
	if id == "" || id != raw || kind != publicKeyType {
		return nil, errBadPasskey
	}
	return readBytes(id)
}

// explainPasskey puts why an answer is not taken into the words of the one who gave it.
func explainPasskey(err error) error {
	switch {
	case errors.Is(err, factor.ErrPasskeyForm):
		return errBadPasskey
	case errors.Is(err, factor.ErrUnverified):
		return forbidden("passkey_unverified", err.Error())
	case slices.ContainsFunc(factor.PasskeyErrors, func(known error) bool { return errors.Is(err, known) }):
		return forbidden("passkey_refused", err.Error())
	}
	return err
}

// passkeyTry is an answer of a passkey that is being checked.
type passkeyTry struct {
	action string   // of the audit log, where it is refused
	user   *db.User // whose it has to be; nil: nobody's
	asked  passkeyState
	answer factor.Assertion
	handle string // whose it says to be; "": it does not
	wrong  error  // how it is refused that it is not theirs
}

// takePasskey finds out whether an answer is good, and what the store has to spend for
// it. It compares one signature, whether there is such a passkey or not.
func (s *Server) takePasskey(ctx context.Context, actor *db.Actor, try *try, p passkeyTry) (*db.FactorUse, error) {
	f, kept, err := s.keptPasskey(ctx, p)
	if err != nil {
		try.Cancel()
		return nil, err
	}
	key, eligible := s.nobodysKey, false
	if kept != nil {
		key, eligible = kept.PublicKey, kept.Eligible
	}
	got, err := p.asked.party.Assert(p.asked.challenge, key, eligible, p.asked.purpose == passkeyAlone, p.answer)
	theirs := kept != nil && !errors.Is(err, factor.ErrSignature) && !errors.Is(err, factor.ErrBackupMoved)
	switch {
	case err != nil && !errors.Is(err, factor.ErrSignature) && !errors.Is(err, factor.ErrBackupMoved): // whoever it is
		s.Store.NoteRefusal(actor, p.action, p.user.Target())
		return nil, explainPasskey(err)
	case !theirs || p.user.Disabled:
		return nil, s.wrongPasskey(actor, p)
	case f.Spent(p.asked.challenge):
		s.Store.NoteRefusal(actor, p.action, p.user.Target())
		return nil, errSpentPasskey
	case kept.CountsBack(got.Counter):
		s.Store.NoteRefusal(actor, p.action, p.user.Target())
		if err := s.Store.NotePasskeyCopy(ctx, actor, p.user.ID, kept.Credential); err != nil {
			return nil, err
		}
		return nil, errCopiedKey
	}
	use := p.asked.use
	use.Credential, use.Counter, use.BackedUp = kept.Credential, got.Counter, got.BackedUp
	use.Alone = p.asked.purpose == passkeyAlone && got.Verified
	return &db.FactorUse{Passkey: &use}, nil
}

// keptPasskey is what is kept of the passkey that answers; nil where it is not the
// user's, or not good at the host.
func (s *Server) keptPasskey(ctx context.Context, p passkeyTry) (*db.Factors, *db.Passkey, error) {
	if p.user == nil {
		return nil, nil, nil
	}
	f, err := s.Store.Factors(ctx, p.user.ID)
	if err != nil {
		return nil, nil, err
	}
	kept := f.Passkey(p.answer.Credential)
	if kept == nil || kept.Host != p.asked.party.Host || (p.handle != "" && p.handle != p.user.ID) {
		return f, nil, nil
	}
	return f, kept, nil
}

// wrongPasskey refuses one that is not theirs; who showed a right password before is
// told at the next sign-in.
func (s *Server) wrongPasskey(actor *db.Actor, p passkeyTry) error {
	s.Store.NoteRefusal(actor, p.action, p.user.Target())
	if p.asked.purpose == passkeyBeside {
		s.Store.NoteWrongCode(p.user.ID, actor.Address)
	}
	return p.wrong
}

// signInByPasskey finds out who signs in by a passkey, alone or beside a password that
// was right.
func (s *Server) signInByPasskey(r *http.Request, actor *db.Actor, in *api.PasskeyAnswer) (v *verified, err error) {
	defer func() { s.tally.countLogin(v != nil, err) }()
	ctx := r.Context()
	if required, err := s.Store.SetupRequired(ctx); err != nil {
		return nil, err
	} else if required {
		return nil, errSetUpFirst
	}
	p := passkeyTry{action: "session.login", wrong: errLoginPasskey}
	if p.asked, err = s.openPasskeyState(in.State, passkeyAlone, passkeyBeside); err != nil {
		return nil, err
	}
	if p.answer, p.handle, err = readUsed(&in.Credential); err != nil {
		return nil, err
	}
	name := "passkey of " + p.handle // nobody's, who so count as anybody would
	if p.asked.purpose == passkeyBeside {
		p.wrong = errWrongPasskey
		if p.user, err = s.markedUser(ctx, p.asked.user, p.asked.mark); err != nil {
			return nil, err
		}
	} else if p.user, err = s.userOfHandle(ctx, p.handle); err != nil {
		return nil, err
	}
	if p.user != nil {
		name = account(p.user.Email)
	}
	try, err := s.attempt(r, actor, name)
	if err != nil {
		s.Store.NoteRefusal(actor, p.action, p.user.Target())
		return nil, err
	}
	defer try.End()
	use, err := s.takePasskey(ctx, actor, try, p)
	if err != nil {
		return nil, err
	}
	try.Success()
	return &verified{User: p.user, factor: use}, nil
}

// userOfHandle is whom a passkey names; nil for nobody.
func (s *Server) userOfHandle(ctx context.Context, handle string) (*db.User, error) {
	if handle == "" {
		return nil, nil
	}
	u, err := s.Store.User(ctx, handle)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return u, err
}
