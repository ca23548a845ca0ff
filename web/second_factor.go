package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"husk/db"
	"husk/web/console"
	"husk/web/factor"
	"husk/web/fold"
	"husk/web/password"
)

// This file is the one place where a code of a second factor is checked, whichever
// door it came by: a sign-in, in one step or in two, and a proof. It counts with the
// password's tries. What is good once is spent by the store, in the transaction that
// makes the session or notes the proof.

const (
	codeFactorRequired = "second_factor_required"
	codeSetUpFactor    = "second_factor_setup_required"
	codeProofRequired  = "proof_required"
)

var (
	errWrongCode = forbidden("wrong_code", "the code is wrong: a code of a program is good for half a minute, a recovery code once")
	errUsedCode  = forbidden("code_used", "that code was used already: wait for the next one")

	errNoSuchFactor = &failure{status: http.StatusConflict, code: "no_second_factor", reason: "no second factor is set up that a code could be of"}

	errFactorUnreadable = &failure{status: http.StatusInternalServerError, code: "second_factor_lost",
		reason: "the secret of this account's second factor can't be read: it is damaged, or sealed under a key that the server does not have; a recovery code is good still, and 'husk user reset-second-factor' on the machine lets its owner in again"}

	errTicketEnded = forbidden("ticket_ended", "the sign-in took too long, or the password was changed meanwhile: begin again with the password")

	// errLoginCode is errLogin where a code came along: it does not tell which of them
	// is wrong.
	errLoginCode = forbidden("login_failed", "the email, the password or the code is wrong, the code was used before, or the account may not sign in")
)

func errLoginWith(code *factor.Code) error {
	if code != nil {
		return errLoginCode
	}
	return errLogin
}

// readCode reads a code, where there is one, before anything is looked up: the answer
// to what can be none can't depend on the account.
func readCode(text string) (*factor.Code, error) {
	if text == "" {
		return nil, nil
	}
	code, err := factor.ReadCode(text)
	if err != nil {
		return nil, malformed("bad_code", "a code is six digits, with nothing between them, or a recovery code as it was shown")
	}
	return &code, nil
}

// askedPerMinute is how often a right password is asked for the second factor before
// it counts as a wrong one. The first step of a sign-in is no failure, and each costs a
// hash: without a bound whoever has the password alone would make the server hash
// without end.
const askedPerMinute = 20

// askFactor answers who had the right password, and has to show a second factor. The
// try is given back, as long as there are not too many: it was no wrong one, and no
// sign-in either.
func (s *Server) askFactor(ctx context.Context, try *try, u *db.User, pass string, stale bool) error {
	if wait := s.spendAsk(try, u); wait > 0 {
		return tooMany("throttled", "too many sign-ins were begun with this password and not ended with a code; wait before the next try", wait)
	}
	try.Cancel()
	f, err := s.Store.Factors(ctx, u.ID)
	if err != nil {
		return err
	}
	if hash := s.rehash(ctx, u, pass, stale); hash != "" {
		if u, err = s.Store.Rehash(ctx, u.ID, u.Password, hash); err != nil {
			return err
		}
	}
	return &failure{status: http.StatusForbidden, code: codeFactorRequired, methods: methodsOf(f), ticket: s.newTicket(u),
		reason: "the password is right, and this account has a second factor: send its code too, or sign in with a browser at " + s.Endpoint() + "/login"}
}

// spendAsk counts strangers apart from who came with a device cookie or from a familiar
// address, as the throttle does: who has the password alone keeps nobody else out.
func (s *Server) spendAsk(try *try, u *db.User) (wait time.Duration) {
	switch {
	case try.Attempt == nil: // who owns the file
		return 0
	case try.Familiar():
		return s.asked.Spend(u.ID + " familiar")
	}
	return s.asked.Spend(u.ID)
}

// methodsOf are those of what a user has by which one could sign in now.
func methodsOf(f *db.Factors) (methods []string) {
	methods = append([]string{}, f.Methods()...)
	if len(methods) > 0 && f.CodesLeft() > 0 {
		methods = append(methods, db.MethodRecovery)
	}
	return methods
}

// factorDoor is where a code is taken, and how it is refused there.
type factorDoor struct {
	action      string // of the audit log
	wrong, used error
	byPassword  bool // that was right, too: a wrong code is told to the account's owner
}

// takeFactor finds out whether a code is good, and what the store has to spend for it.
func (s *Server) takeFactor(ctx context.Context, actor *db.Actor, try *try, u *db.User, code *factor.Code, how factorDoor) (*db.FactorUse, error) {
	f, err := s.Store.Factors(ctx, u.ID)
	if err != nil {
		try.Cancel()
		return nil, err
	}
	use, used, err := s.checkCode(ctx, try, u, f, code)
	s.tally.countCode(code, use != nil, used, err)
	if err != nil {
		try.unfinished(err)
		return nil, err
	}
	if use != nil && !used {
		return use, nil
	}
	s.Store.NoteRefusal(actor, how.action, u.Target())
	if used {
		return nil, how.used
	}
	if how.byPassword {
		s.Store.NoteWrongCode(u.ID, actor.Address)
	}
	return nil, how.wrong
}

// checkCode compares a code with what a user has; use is nil where it is none of
// theirs, and used tells that it was good before.
func (s *Server) checkCode(ctx context.Context, try *try, u *db.User, f *db.Factors, code *factor.Code) (use *db.FactorUse, used bool, err error) {
	if code.Recovery != nil {
		return s.checkRecovery(ctx, try, f, code.Recovery)
	}
	if f.TOTP == nil {
		return nil, false, nil
	}
	secret, err := s.Sealer.Open(u.ID, f.TOTP.Secret)
	if err != nil {
		s.folds.Line(slog.LevelError, "the secret of a user's second factor can't be read: it is damaged, or sealed under a key that --secrets-key-file does not have", "", fold.Source{Actor: u.ID}, "user", u.ID, "cause", err.Error())
		return nil, false, errFactorUnreadable
	}
	now := s.Store.WallClock()
	step, ok := factor.CheckTOTP(secret, code.TOTP, now)
	used = ok && step <= f.TOTP.Last
	if !used {
		s.noteCode(u, secret, code.TOTP, step, ok, now)
	}
	if !ok {
		return nil, false, nil
	}
	return &db.FactorUse{TOTP: &db.TOTPUse{Secret: f.TOTP.Secret, Step: step}}, used, nil
}

// checkRecovery costs one hash, whether there is such a code or not.
func (s *Server) checkRecovery(ctx context.Context, try *try, f *db.Factors, code *factor.RecoveryCode) (use *db.FactorUse, used bool, err error) {
	if code.Number >= len(f.Recovery) {
		return nil, false, s.Passwords.VerifyNobody(ctx, try.caller, "", code.Secret)
	}
	kept := f.Recovery[code.Number]
	ok, _, err := s.Passwords.Verify(ctx, try.caller, kept.Hash, code.Secret)
	if errors.Is(err, password.ErrDamaged) {
		s.folds.Line(slog.LevelError, "the hash of a recovery code is damaged: have its user make new ones", "", fold.Source{Actor: f.User}, "user", f.User, "cause", err.Error())
		err = s.Passwords.VerifyNobody(ctx, try.caller, "", code.Secret)
	}
	if err != nil || !ok {
		return nil, false, err
	}
	return &db.FactorUse{Recovery: &db.RecoveryUse{Number: code.Number, Verified: kept.Hash}}, !kept.Used.IsZero(), nil
}

// noFactor does the work of comparing a recovery code for who has none, or had the
// wrong password.
func (s *Server) noFactor(ctx context.Context, try *try, code *factor.Code) error {
	if code == nil || code.Recovery == nil {
		return nil
	}
	err := s.Passwords.VerifyNobody(ctx, try.caller, "", code.Recovery.Secret)
	if err != nil {
		try.unfinished(err)
	}
	return err
}

// A ticket stands for the password that was right a moment ago: the page that asks for
// the code has no other way to know it. It names the user and the password's hash, so
// that it ends with that, and it opens nothing without a second factor.

const ticketTTL = 5 * time.Minute

func (s *Server) newTicket(u *db.User) string {
	return console.Seal(s.ticketMAC, u.ID+"\n"+passwordMark(u), s.Store.Now().Add(ticketTTL))
}

func (s *Server) ticketMAC(text []byte) []byte { return mac(s.ticketKey, text) }

// passwordMark names a stored hash, and tells nothing of it.
func passwordMark(u *db.User) string {
	sum := sha256.Sum256([]byte("husk ticket\n" + u.Password))
	return hex.EncodeToString(sum[:16])
}

// ticketUser returns who had the right password.
func (s *Server) ticketUser(ctx context.Context, ticket string) (*db.User, error) {
	text, ends, ok := console.Unseal(s.ticketMAC, ticket, 256)
	id, mark, _ := strings.Cut(text, "\n")
	if !ok || !s.Store.Now().Before(ends) {
		return nil, errTicketEnded
	}
	return s.markedUser(ctx, id, mark)
}

// markedUser returns who had the right password, as long as that is theirs.
func (s *Server) markedUser(ctx context.Context, id, mark string) (*db.User, error) {
	u, err := s.Store.User(ctx, id)
	if err != nil || u.Disabled || passwordMark(u) != mark || len(u.Factors) == 0 {
		if err = credentialError(err); !isRefused(err) {
			return nil, err
		}
		return nil, errTicketEnded
	}
	return u, nil
}

// signInByTicket takes the code of who had the right password.
func (s *Server) signInByTicket(r *http.Request, actor *db.Actor, ticket string, code *factor.Code) (*verified, error) {
	ctx := r.Context()
	u, err := s.ticketUser(ctx, ticket)
	if err != nil {
		return nil, err
	}
	if code == nil {
		return nil, malformed("bad_code", "a code is needed: six digits, or a recovery code")
	}
	try, err := s.attempt(r, actor, account(u.Email))
	if err != nil {
		s.Store.NoteRefusal(actor, "session.login", u.Target())
		return nil, err
	}
	defer try.End()
	use, err := s.takeFactor(ctx, actor, try, u, code, factorDoor{action: "session.login", wrong: errWrongCode, used: errUsedCode, byPassword: true})
	if err != nil {
		return nil, err
	}
	try.Success()
	return &verified{User: u, factor: use, used: errUsedCode}, nil
}

// wantsFactor is what a session has to do about a second factor, as the profile tells
// it.
func wantsFactor(u *db.User, missing bool) string {
	switch {
	case !missing:
		return ""
	case len(u.Factors) == 0:
		return "setup"
	}
	return "proof"
}

// errNoFactor refuses a session in which no second factor was proved, where a role
// requires one.
func errNoFactor(u *db.User) error {
	if len(u.Factors) == 0 {
		return forbidden(codeSetUpFactor, "your role requires a second factor: set one up first, on the page /second-factor in a browser or with POST /account/totp")
	}
	return errUnproved(u)
}

// errUnproved asks for the second factor that a user has.
func errUnproved(u *db.User) error {
	return &failure{status: http.StatusForbidden, code: codeFactorRequired, methods: u.Factors,
		reason: "this account has a second factor that was not proved in this session: prove it, with POST /account/proof and its code"}
}

// checkProof tells whether who asks has proved lately that they still are who signed
// in; and by the second factor, where they have one: the password alone is not enough
// to take that away.
func (s *Server) checkProof(actor *db.Actor) error {
	switch {
	case len(actor.User.Factors) > 0 && !actor.Session.SecondFactor(actor.User):
		return errUnproved(actor.User)
	case s.provedUntil(actor.Session) == nil:
		return errProofRequired
	}
	return nil
}

var errProofRequired = forbidden(codeProofRequired, "that needs a fresh proof that it is you: send the password or a code to POST /account/proof, and try again within ten minutes")

// hashCodes makes a set of recovery codes: as they are shown, and as they are kept.
func (s *Server) hashCodes(ctx context.Context, actor *db.Actor) (shown, hashes []string, err error) {
	for _, code := range factor.NewRecoveryCodes() {
		hash, err := s.Passwords.Hash(ctx, password.Caller{Known: "user " + actor.ID}, code.Secret)
		if err != nil {
			return nil, nil, err
		}
		shown, hashes = append(shown, code.String()), append(hashes, hash)
	}
	return shown, hashes, nil
}
