package web

import (
	"context"
	"slices"

	"husk/db"
	"husk/web/api"
)

func (s *Server) passkeyRoutes() []route {
	return []route{
		{method: "GET", path: "/account/passkeys", need: isOwnSession, do: endpoint(s.ownPasskeys), setsUp: true},
		{method: "GET", path: "/account/passkeys/:id", need: isOwnSession, do: endpoint(s.ownPasskey), setsUp: true},
		{method: "PUT", path: "/account/passkeys/:id", need: isOwnSession, effect: changes, do: endpoint(s.renamePasskey), proof: true},
		{method: "DELETE", path: "/account/passkeys/:id", need: isOwnSession, effect: changes, do: endpoint(s.removePasskey), proof: true},
		{method: "POST", path: "/account/passkeys/_begin", need: isOwnSession, effect: onlyAsks, do: endpoint(s.beginPasskey), setsUp: true, proof: true},
		{method: "POST", path: "/account/passkeys/_finish", need: isOwnSession, effect: changes, do: endpoint(s.finishPasskey), setsUp: true, proof: true},

		{method: "POST", path: "/account/login/passkey/_begin", need: isPublic, effect: onlyAsks, do: endpoint(s.beginPasskeyLogin)},
		{method: "POST", path: "/account/login/passkey/_finish", need: isPublic, effect: proves, do: endpoint(s.finishPasskeyLogin)},
		{method: "POST", path: "/account/proof/passkey/_begin", need: isOwnSession, effect: onlyAsks, do: endpoint(s.beginPasskeyProof), setsUp: true},
		{method: "POST", path: "/account/proof/passkey/_finish", need: isOwnSession, effect: proves, do: endpoint(s.finishPasskeyProof), setsUp: true},
	}
}

func (s *Server) ownPasskeys(ctx context.Context, actor *db.Actor, _ *nothing) ([]api.Passkey, error) {
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	all := []api.Passkey{}
	for _, p := range f.Passkeys {
		all = append(all, showPasskey(&p))
	}
	return all, nil
}

func (s *Server) ownPasskey(ctx context.Context, actor *db.Actor, in *named) (*api.Passkey, error) {
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(f.Passkeys, func(p db.Passkey) bool { return p.ID == in.ID })
	if i < 0 {
		return nil, db.ErrNotFound
	}
	out := showPasskey(&f.Passkeys[i])
	return &out, nil
}

type passkeyName struct {
	named
	Body api.PasskeyName `body:"required"`
}

func (s *Server) renamePasskey(ctx context.Context, actor *db.Actor, in *passkeyName) (*api.Result, error) {
	if err := s.Store.RenamePasskey(ctx, actor, in.ID, in.Body.Name); err != nil {
		return nil, err
	}
	s.did(actor, "passkey renamed", "passkey", in.ID)
	return &api.Result{ID: in.ID, Result: "updated"}, nil
}

func (s *Server) removePasskey(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	if err := s.Store.RemovePasskey(ctx, actor, in.ID); err != nil {
		return nil, err
	}
	s.did(actor, "second factor removed", "method", db.MethodPasskey, "passkey", in.ID)
	return &api.Result{ID: in.ID, Result: "deleted"}, nil
}

func (s *Server) beginPasskey(ctx context.Context, actor *db.Actor, in *fromClient) (*api.NewPasskey, error) {
	party, why := s.partyOf(in.Request)
	if why != "" {
		return nil, errPasskeysUnavailable(why)
	}
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	state, challenge := s.newPasskeyState(passkeyCreates, party, actor.ID, "")
	return &api.NewPasskey{State: state, PublicKey: s.creationOptions(party, actor.User, f, challenge)}, nil
}

type passkeySetUp struct {
	fromClient
	Body api.PasskeySetUp `body:"required"`
}

func (s *Server) finishPasskey(ctx context.Context, actor *db.Actor, in *passkeySetUp) (*withCookies[api.PasskeyAdded], error) {
	asked, err := s.openPasskeyState(in.Body.State, passkeyCreates)
	if err != nil {
		return nil, err
	}
	if asked.user != actor.ID {
		return nil, errPasskeyEnded
	}
	made, err := readCreated(&in.Body.Credential)
	if err != nil {
		return nil, err
	}
	kept, err := asked.party.Create(asked.challenge, made)
	if err != nil {
		return nil, explainPasskey(err)
	}
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	var shown, hashes []string
	if f.CodesLeft() == 0 {
		if shown, hashes, err = s.hashCodes(ctx, actor); err != nil {
			return nil, err
		}
	}
	added, renewed, secret, err := s.Store.AddPasskey(ctx, actor, db.Passkey{
		Name: in.Body.Name, Credential: made.Credential, PublicKey: kept.PublicKey, Host: asked.party.Host, Counter: kept.Counter,
		Eligible: kept.Eligible, BackedUp: kept.BackedUp, Transports: kept.Transports,
	}, db.FactorSetUp{Codes: hashes, Renew: renews(in.Request, actor)})
	if err != nil {
		return nil, err
	}
	s.did(actor, "second factor set up", "method", db.MethodPasskey, "passkey", added.ID)
	cookie, err := s.renewedCookie(ctx, renewed, secret)
	if err != nil {
		return nil, err
	}
	return &withCookies[api.PasskeyAdded]{api.PasskeyAdded{Passkey: showPasskey(added), Codes: shown}, s.forBrowser(in.Request, cookie)}, nil
}

type beginPasskeyLogin struct {
	fromClient
	Body api.PasskeyBegin `body:"optional"`
}

// beginPasskeyLogin tells nobody which passkeys there are but who had the right
// password.
func (s *Server) beginPasskeyLogin(ctx context.Context, _ *db.Actor, in *beginPasskeyLogin) (*api.PasskeyQuestion, error) {
	party, why := s.partyOf(in.Request)
	if why != "" {
		return nil, errPasskeysUnavailable(why)
	}
	if in.Body.Ticket == "" {
		state, challenge := s.newPasskeyState(passkeyAlone, party, "", "")
		return askPasskey(party, state, challenge, "required", []api.PasskeyReference{}), nil
	}
	u, err := s.ticketUser(ctx, in.Body.Ticket)
	if err != nil {
		return nil, err
	}
	f, err := s.Store.Factors(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	allowed := references(f, party.Host)
	if len(allowed) == 0 {
		return nil, errNoPasskey
	}
	state, challenge := s.newPasskeyState(passkeyBeside, party, u.ID, passwordMark(u))
	return askPasskey(party, state, challenge, "discouraged", allowed), nil
}

type passkeyAnswer struct {
	fromClient
	Body api.PasskeyAnswer `body:"required"`
}

func (s *Server) finishPasskeyLogin(_ context.Context, actor *db.Actor, in *passkeyAnswer) (*withCookies[api.LoggedIn], error) {
	user, err := s.signInByPasskey(in.Request, actor, &in.Body)
	if err != nil {
		return nil, s.signInFailed(actor, err)
	}
	out, err := s.open(in.Request, actor, user)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func (s *Server) beginPasskeyProof(ctx context.Context, actor *db.Actor, in *fromClient) (*api.PasskeyQuestion, error) {
	party, why := s.partyOf(in.Request)
	if why != "" {
		return nil, errPasskeysUnavailable(why)
	}
	f, err := s.Store.Factors(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	allowed := references(f, party.Host)
	if len(allowed) == 0 {
		return nil, errNoPasskey
	}
	state, challenge := s.newPasskeyState(passkeyProves, party, actor.ID, "")
	return askPasskey(party, state, challenge, "preferred", allowed), nil
}

// finishPasskeyProof renews a session as prove does.
func (s *Server) finishPasskeyProof(ctx context.Context, actor *db.Actor, in *passkeyAnswer) (*withCookies[api.Proved], error) {
	p := passkeyTry{action: toProve.action, user: actor.User, wrong: errWrongPasskey}
	var err error
	if p.asked, err = s.openPasskeyState(in.Body.State, passkeyProves); err != nil {
		return nil, err
	}
	if p.asked.user != actor.ID {
		return nil, errPasskeyEnded
	}
	if p.answer, p.handle, err = readUsed(&in.Body.Credential); err != nil {
		return nil, err
	}
	try, err := s.attempt(in.Request, actor, account(actor.User.Email))
	if err != nil {
		s.Store.NoteRefusal(actor, p.action, actor.User.Target())
		return nil, err
	}
	defer try.End()
	use, err := s.takePasskey(ctx, actor, try, p)
	if err != nil {
		return nil, err
	}
	try.Success()
	if err := s.spendProof(ctx, actor.User); err != nil {
		return nil, err
	}
	return s.noteProof(ctx, in.Request, actor, db.Proof{Factor: use})
}
