package web

import (
	"context"
	"net/http"

	"husk/db"
	"husk/web/api"
	"husk/web/factor"
)

func (s *Server) secondFactorRoutes() []route {
	return []route{
		{method: "GET", path: "/account/second_factor", need: isOwnSession, do: endpoint(s.ownFactors), setsUp: true},
		{method: "POST", path: "/account/second_factor/_seen", need: isOwnSession, effect: ends, do: endpoint(s.seenNotices), setsUp: true},
		{method: "POST", path: "/account/totp", need: isOwnSession, effect: changes, do: endpoint(s.beginTOTP), setsUp: true, proof: true},
		{method: "PUT", path: "/account/totp", need: isOwnSession, effect: changes, do: endpoint(s.confirmTOTP), setsUp: true, proof: true},
		{method: "DELETE", path: "/account/totp", need: isOwnSession, effect: changes, do: endpoint(s.removeTOTP), proof: true},
		{method: "POST", path: "/account/recovery_codes", need: isOwnSession, effect: changes, do: endpoint(s.newRecoveryCodes), proof: true},
		{method: "DELETE", path: "/security/user/:id/second_factor", need: permission(db.PermUserUpdate), effect: changes, do: endpoint(s.resetFactors)},
	}
}

// ownFactors tells what one has besides the password.
func (s *Server) ownFactors(ctx context.Context, actor *db.Actor, in *fromClient) (*api.SecondFactor, error) {
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	out := &api.SecondFactor{
		Methods: methodsOf(f), Passkeys: []api.Passkey{}, Notices: noticesOf(f),
		Recovery: api.RecoveryCodes{Total: len(f.Recovery), Left: f.CodesLeft()},
		Required: roles.RequiresSecondFactor(actor.User.Roles), Proved: optionalTime(actor.Session.Factored),
	}
	if f.TOTP != nil {
		out.TOTP = &api.TOTP{Created: f.TOTP.Created, Used: optionalTime(f.TOTP.Used)}
	}
	_, out.PasskeysHere = s.partyOf(in.Request)
	for _, p := range f.Passkeys {
		out.Passkeys = append(out.Passkeys, showPasskey(&p))
	}
	return out, nil
}

func showPasskey(p *db.Passkey) api.Passkey {
	return api.Passkey{ID: p.ID, Name: p.Name, Host: p.Host, Created: p.Created, Used: optionalTime(p.Used),
		BackedUp: p.BackedUp, Suspected: optionalTime(p.Suspected)}
}

func noticesOf(f *db.Factors) []api.FactorNotice {
	all := []api.FactorNotice{}
	for _, n := range f.Notices {
		one := api.FactorNotice{Kind: n.Kind, Time: n.Time, Address: n.Address, By: n.By, Name: n.Name, Count: n.Count}
		if n.Kind == db.NoticeRecoveryUsed && len(f.Recovery) > 0 { // they are gone with the last factor
			left := f.CodesLeft()
			one.Left = &left
		}
		all = append(all, one)
	}
	return all
}

// tellFactors adds to the answer of a sign-in what there is to tell of second factors.
func (s *Server) tellFactors(ctx context.Context, u *db.User, session *db.Session, out *api.LoggedIn) error {
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return err
	}
	out.SetUpRequired = !session.SecondFactor(u) && roles.RequiresSecondFactor(u.Roles)
	f, err := s.Store.Factors(ctx, u.ID)
	if err != nil {
		return err
	}
	out.Notices = noticesOf(f)
	return nil
}

type seenNotices struct {
	Body api.SeenNotices `body:"required"`
}

func (s *Server) seenNotices(ctx context.Context, actor *db.Actor, in *seenNotices) (*api.Status, error) {
	if err := s.Store.SeenNotices(ctx, actor, in.Body.Until); err != nil {
		return nil, err
	}
	return &api.Status{Status: "ok"}, nil
}

// beginTOTP makes a secret. It is shown this once, and in no log.
func (s *Server) beginTOTP(ctx context.Context, actor *db.Actor, _ *nothing) (*api.NewTOTP, error) {
	secret := factor.NewTOTPSecret()
	uri, err := factor.TOTPURI(secret, s.issuer(), actor.User.Username())
	if err != nil {
		return nil, err
	}
	if err := s.Store.BeginTOTP(ctx, actor, s.Sealer.Seal(actor.ID, secret)); err != nil {
		return nil, err
	}
	return &api.NewTOTP{Secret: factor.SecretText(secret), URI: uri}, nil
}

// issuer is by which a program on a phone tells several Husks apart.
func (s *Server) issuer() string {
	if s.publicHost != "" {
		return "Husk " + s.publicHost
	}
	return "Husk"
}

type confirmTOTP struct {
	fromClient
	Body api.ConfirmTOTP `body:"required"`
}

var errNotBegun = &failure{status: http.StatusConflict, code: "totp_not_begun", reason: "no secret waits for its first code: begin with POST /account/totp"}

// errPendingUnreadable is for who can begin again; the code of their program would be
// right no more.
var errPendingUnreadable = &failure{status: http.StatusConflict, code: errNotBegun.code,
	reason: "the secret that waits for its first code can't be read any more: it is damaged, or the server's key was changed meanwhile; begin again with POST /account/totp, and scan the new code"}

// confirmTOTP counts as a try at the account: nothing is behind a door of its own.
func (s *Server) confirmTOTP(ctx context.Context, actor *db.Actor, in *confirmTOTP) (out *withCookies[api.NewRecoveryCodes], err error) {
	code, err := readCode(in.Body.Code)
	if err != nil {
		return nil, err
	}
	if code == nil || code.Recovery != nil {
		return nil, malformed("bad_code", "six digits are needed, which the program shows")
	}
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	if f.Pending == nil {
		return nil, errNotBegun
	}
	try, err := s.attempt(in.Request, actor, account(actor.User.Email))
	if err != nil {
		return nil, err
	}
	defer try.End()
	secret, err := s.Sealer.Open(actor.ID, f.Pending.Secret)
	if err != nil {
		try.Cancel()
		return nil, errPendingUnreadable
	}
	now := s.Store.WallClock()
	step, ok := factor.CheckTOTP(secret, code.TOTP, now)
	s.noteCode(actor.User, secret, code.TOTP, step, ok, now)
	if !ok {
		return nil, errWrongCode
	}
	// Given back, and no more: who asks has the secret from here, so its code shows
	// nothing by which wrong passwords were to be forgotten.
	try.Cancel()
	shown, hashes, err := s.hashCodes(ctx, actor)
	if err != nil {
		return nil, err
	}
	renewed, secretOfSession, err := s.Store.ConfirmTOTP(ctx, actor, db.TOTPUse{Secret: f.Pending.Secret, Step: step},
		db.FactorSetUp{Codes: hashes, Renew: renews(in.Request, actor)})
	if err != nil {
		return nil, err
	}
	s.did(actor, "second factor set up", "method", db.MethodTOTP)
	cookie, err := s.renewedCookie(ctx, renewed, secretOfSession)
	if err != nil {
		return nil, err
	}
	return &withCookies[api.NewRecoveryCodes]{api.NewRecoveryCodes{Codes: shown}, s.forBrowser(in.Request, cookie)}, nil
}

// renews tells whether a session goes on under a new secret when a second factor is
// proved in it: it is worth more from then on, and whoever knew the secret of its
// cookie before is not to gain by that. Who sends a header knows what it holds, and
// would not look for another one.
func renews(r *http.Request, actor *db.Actor) bool {
	return !decides(r.Header) && !actor.Session.SecondFactor(actor.User)
}

func (s *Server) removeTOTP(ctx context.Context, actor *db.Actor, _ *nothing) (*api.Result, error) {
	if err := s.Store.RemoveTOTP(ctx, actor); err != nil {
		return nil, err
	}
	s.did(actor, "second factor removed", "method", db.MethodTOTP)
	return &api.Result{ID: actor.ID, Result: "deleted"}, nil
}

func (s *Server) newRecoveryCodes(ctx context.Context, actor *db.Actor, _ *nothing) (*api.NewRecoveryCodes, error) {
	shown, hashes, err := s.hashCodes(ctx, actor)
	if err != nil {
		return nil, err
	}
	if err := s.Store.NewRecoveryCodes(ctx, actor, hashes); err != nil {
		return nil, err
	}
	s.did(actor, "recovery codes replaced")
	return &api.NewRecoveryCodes{Codes: shown}, nil
}

// resetFactors is the way back for who lost theirs.
func (s *Server) resetFactors(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	u, err := s.Store.ResetFactors(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	s.logins.Estrange(account(u.Email))
	s.clocks.forget(u.ID)
	s.did(actor, "second factor reset", "user", u.ID)
	return &api.Result{ID: u.ID, Result: "deleted"}, nil
}
