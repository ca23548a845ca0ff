package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
	"husk/web/password"
	"husk/web/session"
	"husk/web/token"
)

// CheckPassword tells whether a new password may be one, as far as that can be
// told without its user: its error is for the one who typed it.
func CheckPassword(pass string) error { return password.Check(pass) }

// errLogin is the one answer to a failed sign-in: it tells nothing about which
// accounts exist.
var errLogin = forbidden("login_failed", "the email or the password is wrong, or the account may not sign in")

const codeSetupRequired = "setup_required"

var errSetUpFirst = forbidden(codeSetupRequired, "no password is set yet: run 'husk passwd' on the machine where husk runs, or open /setup in a browser")

var errPasswordMissing = malformed("password_missing", "a password is needed")

// readLogin reads a sign-in from JSON or from a form.
func readLogin(c echo.Context) (in api.Login, err error) {
	switch mediaType(c) {
	case "application/json":
		err = bind(c, &in, false)
	case formType:
		form, failed := bindForm(c, console.SignIn.Reads(), nil)
		in, err = api.Login{Email: form.Get("email"), Login: form.Get("login"), Password: form.Get("password"),
			Code: form.Get("code"), Ticket: form.Get("ticket")}, failed
	default:
		if c.Request().ContentLength == 0 {
			return in, errPasswordMissing
		}
		err = errMediaType(c, nil, "application/json or application/x-www-form-urlencoded")
	}
	if err == nil && in.Ticket == "" {
		err = checkGiven(in.Password)
	}
	return in, err
}

// checkGiven runs before any look-up, so that the answer can't depend on the
// account.
func checkGiven(pass string) error {
	if pass == "" {
		return errPasswordMissing
	}
	return password.Length(pass)
}

// login reads by itself what is JSON or a form.
func (s *Server) login(c echo.Context, actor *db.Actor) error {
	in, err := readLogin(c)
	if err != nil {
		return err
	}
	out, err := s.enter(c.Request(), actor, in)
	if err != nil {
		return err
	}
	return writeAnswer(c, out)
}

// enter is the sign-in itself: it ends with the session and its cookie.
func (s *Server) enter(r *http.Request, actor *db.Actor, in api.Login) (out withCookies[api.LoggedIn], err error) {
	user, err := s.signIn(r, actor, in)
	if err != nil {
		return out, s.signInFailed(actor, err)
	}
	return s.open(r, actor, user)
}

// signInFailed tells the log of a sign-in that was refused.
func (s *Server) signInFailed(actor *db.Actor, err error) error {
	f := explain(err)
	if f.isRefusal() && f.code != codeFactorRequired {
		return s.refused(actor, "sign-in refused", f)
	}
	return f
}

// open answers who was found right with a session.
func (s *Server) open(r *http.Request, actor *db.Actor, user *verified) (out withCookies[api.LoggedIn], err error) {
	if err := s.spendProof(r.Context(), user.User); err != nil {
		return out, err
	}
	session, jwt, err := s.openSession(r, actor, user)
	if db.IsFactorRefusal(err) {
		s.Store.NoteRefusal(actor, "session.login", user.Target())
		err = user.used
	}
	if err != nil {
		return out, s.signInFailed(actor, err)
	}
	s.did(actor, "sign-in", "user", user.ID, "session", session.ID)
	life := int(s.SessionTTL.Seconds())
	out.body = api.LoggedIn{AccessToken: jwt, ExpireIn: int64(life), ID: user.ID, Status: "ok", Username: user.Username()}
	if err := s.tellFactors(r.Context(), user.User, session, &out.body); err != nil {
		return out, err
	}
	out.cookies = s.forBrowser(r, s.newSessionCookie(jwt, life), s.newDeviceCookie(user.User))
	return out, nil
}

// verified is a user who was found right.
type verified struct {
	*db.User
	rehash string        // the password in a hash of Husk's own, where the stored one ages or was imported
	factor *db.FactorUse // nil: they have none
	used   error         // how it is refused that somebody else was faster with the code
}

// signIn finds out who signs in, by a password or what stands for one, and by a second
// factor where they have one. Every refusal costs the same work, whether the account
// exists, is disabled, or has no password; and with a code it is the same, whichever
// of them is wrong.
func (s *Server) signIn(r *http.Request, actor *db.Actor, in api.Login) (v *verified, err error) {
	defer func() { s.tally.countLogin(v != nil, err) }()
	ctx := r.Context()
	if required, err := s.Store.SetupRequired(ctx); err != nil {
		return nil, err
	} else if required {
		return nil, errSetUpFirst
	}
	code, err := readCode(in.Code)
	if err != nil {
		return nil, err
	}
	if in.Ticket != "" {
		return s.signInByTicket(r, actor, in.Ticket, code)
	}
	email := cmp.Or(in.Email, in.Login)
	try, err := s.attempt(r, actor, account(email))
	if err != nil {
		// Whose account it is would have to be looked up, which takes longer where
		// there is one.
		s.Store.NoteRefusal(actor, "session.login", db.NoTarget)
		return nil, err
	}
	defer try.End()
	user, err := s.lookUp(ctx, email)
	if err != nil {
		try.Cancel()
		return nil, err
	}
	ok, stale, err := s.verify(ctx, try, user, in.Password)
	if err != nil {
		return nil, err
	}
	if !ok || user.Disabled {
		if err := s.noFactor(ctx, try, code); err != nil {
			return nil, err
		}
		s.Store.NoteRefusal(actor, "session.login", user.Target())
		return nil, errLoginWith(code)
	}
	v = &verified{User: user, used: errLoginCode}
	switch {
	case len(user.Factors) == 0:
	case code == nil:
		return nil, s.askFactor(ctx, try, user, in.Password, stale)
	default:
		if v.factor, err = s.takeFactor(ctx, actor, try, user, code, factorDoor{action: "session.login", wrong: errLoginCode, used: errLoginCode, byPassword: true}); err != nil {
			return nil, err
		}
	}
	try.Success()
	v.rehash = s.rehash(ctx, user, in.Password, stale)
	return v, nil
}

// rehash is the hash that takes the place of a stale one; "" for none. The sign-in is
// good either way: a busy server hashes next time.
func (s *Server) rehash(ctx context.Context, u *db.User, pass string, stale bool) (hash string) {
	if stale {
		hash, _ = s.Passwords.Hash(ctx, password.Caller{Known: "user " + u.ID}, pass)
	}
	return hash
}

// lookUp returns the user who signs in, or nil where there is none. The single
// user has no email; where a form insists on one, its id is one. See account: it
// is the same account to the throttle.
func (s *Server) lookUp(ctx context.Context, email string) (user *db.User, err error) {
	if email == "" || db.FoldEmail(email) == db.SingleUser {
		user, err = s.Store.User(ctx, db.SingleUser)
	} else {
		user, err = s.Store.UserByEmail(ctx, email)
	}
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return user, err
}

// openSession makes the session and its JWT; the session is durable when it
// returns.
func (s *Server) openSession(r *http.Request, actor *db.Actor, user *verified) (*db.Session, string, error) {
	ctx := r.Context()
	opened, secret, err := s.Store.CreateSession(ctx, actor, db.SignIn{
		User: user.ID, Verified: user.Password, Factor: user.factor, Rehash: user.rehash, TTL: s.SessionTTL,
		IP: actor.Address, UserAgent: r.UserAgent(), MaxPerUser: s.Quotas.Sessions,
	})
	if err != nil {
		return nil, "", err
	}
	jwt, err := s.sign(ctx, opened, secret)
	return opened, jwt, err
}

// sign returns the JWT of a session that was just made. With the key of now, not
// of before: one that is retired meanwhile verifies as long as the sessions last
// that were there.
func (s *Server) sign(ctx context.Context, r *db.Session, secret string) (string, error) {
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return "", err
	}
	return session.Sign(keys.Signing, r, secret)
}

// errForeignLogout also names what a person can do: where a browser does not
// tell what led it here, on plain http, a typed address looks like a trap.
var errForeignLogout = forbidden("cross_origin", "nothing shows that a page of this server asked to sign you out: do it on its own page, at /, or send a POST")

// fromClient is the request of a client, for what is about the browser that sent
// it.
type fromClient struct{ Request *http.Request }

// logout ends the session of each credential that was shown, all of them or
// none. It is 200 also when there was none: who wants to be signed out is.
func (s *Server) logout(_ context.Context, actor *db.Actor, in *fromClient) (*withCookies[api.SignedOut], error) {
	out := &withCookies[api.SignedOut]{}
	r := in.Request
	byCookie, err := s.shown(r, actor.RequestID, allCookies(r, s.sessionCookie()))
	if err != nil {
		return out, err
	}
	own := s.ownLogout(r)
	if len(byCookie) > 0 && !own {
		return out, errForeignLogout
	}
	byHeader, err := s.shown(r, actor.RequestID, bearers(r))
	if err != nil {
		return out, err
	}
	// The cookie goes when its session has: cleared before, nobody could try again.
	if err := s.endShown(r, append(byHeader, byCookie...)); err != nil {
		return out, err
	}
	if own {
		out.cookies = s.forBrowser(r, s.newSessionCookie("", -1))
	}
	out.body = api.SignedOut{Status: "ok", Note: tokenNote(r)}
	return out, nil
}

func (s *Server) endShown(r *http.Request, shown []*db.Actor) error {
	if len(shown) == 0 {
		return nil
	}
	err := s.Store.Logout(r.Context(), shown...)
	if errors.Is(err, db.ErrNotFound) { // ended meanwhile
		return nil
	}
	for _, actor := range shown {
		if err == nil {
			s.did(actor, "sign-out", "session", actor.Session.ID)
		}
	}
	return err
}

// tokenNote says what a sign-out does not end. Whether the token is good is not
// looked up: that would tell somebody who may not use it from there.
func tokenNote(r *http.Request) string {
	isToken := func(text string) bool { _, err := token.Parse(text); return err == nil }
	if !slices.ContainsFunc(r.Header["X-Api-Token"], isToken) {
		return ""
	}
	return "an API token is no session, and stays as it is: to end it, revoke it"
}

// shown returns the sessions that JWTs are of, each with its user as the actor.
// The user may be disabled, and the session unused for too long: it would be good
// again with the next change of that.
func (s *Server) shown(r *http.Request, requestID string, jwts []string) (actors []*db.Actor, err error) {
	for _, jwt := range jwts {
		who := &identity{}
		_, err := s.resolveSession(r.Context(), who, jwt)
		switch {
		case err == nil || (isRefused(err) && who.session != nil):
			actor := s.nobody(r, requestID)
			actor.ID, actor.Session = who.session.User, who.session
			actors = append(actors, actor)
		case !isRefused(err):
			return nil, err
		}
	}
	return actors, nil
}

// ownLogout tells whether a page of this server, the person or a program asked
// for the sign-out, and not a link of another site. A POST was looked at when
// it came in. A header with a credential is nothing a site can add, unless its
// scripts are let in: then cookies are not theirs to use.
func (s *Server) ownLogout(r *http.Request) bool {
	if decides(r.Header) {
		return !s.foreign(r)
	}
	return r.Method != http.MethodGet || s.fromOwnPage(r)
}

// asksFirst tells whether a person who is signed in was led to the sign-out by a link
// of another site, such as an application behind the gate: then a page asks.
func (s *Server) asksFirst(r *http.Request) bool {
	if !s.wantsPage(r) || s.ownLogout(r) {
		return false
	}
	shown, err := s.shown(r, "", allCookies(r, s.sessionCookie()))
	return err == nil && len(shown) > 0
}

// profile tells who asks. For a credential the answer was made when it was
// first seen.
func (s *Server) profile(c echo.Context, actor *db.Actor) error {
	if actor.Session != nil && !decides(c.Request().Header) {
		return s.consoleProfile(c, actor)
	}
	if actor.Profile != nil {
		return c.JSONBlob(http.StatusOK, actor.Profile)
	}
	roles, err := s.Store.Roles(c.Request().Context())
	if err != nil {
		return err
	}
	return write(c, api.Profile{ID: actor.ID, Name: actor.Name, Roles: []string{db.RoleAdmin},
		Permissions: actor.Permissions.Expand(roles.Known()), Preferences: map[string]any{}, Administrator: actor.Administrator()})
}

// consoleProfile is the profile for a browser, which shows a cookie: without the
// permission by which Coco's console offers settings, since Husk has none for it; its
// own pages have what that permission is for. What the session may do is the same.
func (s *Server) consoleProfile(c echo.Context, actor *db.Actor) error {
	roles, err := s.Store.Roles(c.Request().Context())
	if err != nil {
		return err
	}
	all := actor.Permissions.Expand(roles.Known())
	if !isPageCall(c.Request().Context()) {
		all = slices.DeleteFunc(all, func(key string) bool { return key == db.PermSystemRead })
	}
	out := profileOf(actor.User, all, actor.Administrator())
	out.ProvedUntil = s.provedUntil(actor.Session)
	out.SecondFactor = wantsFactor(actor.User, actor.NoFactor)
	if len(actor.User.Factors) > 0 && !actor.Session.SecondFactor(actor.User) {
		out.ProvedUntil, out.ProveBy = nil, actor.User.Factors
	}
	f, err := s.Store.Factors(c.Request().Context(), actor.ID)
	if err != nil {
		return err
	}
	out.Notices = noticesOf(f)
	return write(c, out)
}

type ownPassword struct {
	fromClient
	Body api.PasswordChange `body:"required"`
}

func (s *Server) changePassword(ctx context.Context, actor *db.Actor, in *ownPassword) (*withCookies[api.Result], error) {
	out := &withCookies[api.Result]{}
	change := in.Body
	if change.OldPassword == "" || change.NewPassword == "" {
		return out, malformed("password_missing", "both old_password and new_password are needed")
	}
	if err := password.Length(change.OldPassword); err != nil {
		return out, err
	}
	if change.OldPassword == change.NewPassword {
		return out, malformed("password_unchanged", "the new password is the old one")
	}
	if err := password.Check(change.NewPassword, actor.User.Email, actor.User.Name); err != nil {
		return out, err
	}
	if _, err := s.proveOwn(in.Request, actor, toChange, api.Proof{Password: change.OldPassword}); err != nil {
		return out, err
	}
	hash, err := s.Passwords.Hash(ctx, callerOf(actor), change.NewPassword)
	if err != nil {
		return out, err
	}
	// What a cookie holds may be of another's choosing, and is exchanged where it
	// gains in worth. Who sends a header knows what it holds, and would not look
	// for another one.
	renewed, secret, err := s.Store.ChangePassword(ctx, actor, db.PasswordChange{
		Verified: actor.User.Password, Password: hash, Renew: !decides(in.Request.Header),
	})
	if err != nil {
		return out, err
	}
	s.did(actor, "password changed")
	cookie, err := s.renewedCookie(ctx, renewed, secret)
	out.cookies = s.forBrowser(in.Request, cookie)
	out.body = api.Result{ID: actor.ID, Result: "updated"}
	return out, err
}

// proveOwn checks the password of who is signed in, or their second factor, or both,
// and counts it as one try.
func (s *Server) proveOwn(r *http.Request, actor *db.Actor, use passwordUse, shown api.Proof) (proof db.Proof, err error) {
	code, err := readCode(shown.Code)
	if err != nil {
		return proof, err
	}
	ctx := r.Context()
	try, err := s.attempt(r, actor, account(actor.User.Email))
	if err != nil {
		s.Store.NoteRefusal(actor, use.action, actor.User.Target())
		return proof, err
	}
	defer try.End()
	if shown.Password != "" {
		ok, _, err := s.verify(ctx, try, actor.User, shown.Password)
		if err != nil {
			return proof, err
		}
		if !ok {
			s.Store.NoteRefusal(actor, use.action, actor.User.Target())
			return proof, use.wrong
		}
		proof.Verified = actor.User.Password
	}
	if code != nil {
		how := factorDoor{action: use.action, wrong: errWrongCode, used: errUsedCode, byPassword: shown.Password != ""}
		if proof.Factor, err = s.takeFactor(ctx, actor, try, actor.User, code, how); err != nil {
			return proof, err
		}
	}
	if code == nil && len(actor.User.Factors) > 0 {
		try.Cancel() // the password alone does not make wrong codes forgotten
	}
	try.Success()
	return proof, s.spendProof(ctx, actor.User)
}

// renewedCookie is the cookie of a session that goes on under a new secret; nil
// where it does not.
func (s *Server) renewedCookie(ctx context.Context, renewed *db.Session, secret string) (*http.Cookie, error) {
	if secret == "" {
		return nil, nil
	}
	jwt, err := s.sign(ctx, renewed, secret)
	return s.newSessionCookie(jwt, int(renewed.Expires.Sub(s.Store.Now()).Seconds())), err
}
