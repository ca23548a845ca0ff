package web

import (
	"context"
	"crypto/sha256"
	"errors"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

// Introspection (after RFC 7662) tells those who may ask what a credential is
// worth and why it is refused: what resolve finds out at each use, and hides from
// the one who shows the credential.

type tokenCheck struct {
	Body api.TokenCheck `body:"required"`
}

// checkToken tells what a token is worth that the actor may see. It is neither
// used nor noted as used.
func (s *Server) checkToken(ctx context.Context, actor *db.Actor, in *tokenCheck) (*api.TokenWorth, error) {
	secret := in.Body.AccessToken
	id, err := token.Parse(secret)
	if err != nil {
		return nil, malformed("bad_token", "access_token is no API token of husk: it is mistyped or cut")
	}
	if _, err := s.Store.TokenFor(ctx, actor, id); err != nil {
		return nil, err
	}
	who, err := s.resolve(ctx, credential{token: secret}, sha256.Sum256([]byte(secret)))
	if err == nil && !who.token.Allows(parseAddress(actor.Address)) {
		err = errFromElsewhere
	}
	found, err := introspect(who, err)
	worth := &api.TokenWorth{ID: id, Introspection: found}
	if found.Valid {
		k := who.token
		worth.AllowedHosts, worth.AllowedPaths, worth.AllowedMethods = k.AllowedHosts, k.AllowedPaths, k.AllowedMethods
	}
	return worth, err
}

// introspect tells what a credential that was resolved is worth; err is why it was
// refused. One that could not be looked at is an error.
func introspect(who *identity, err error) (api.Introspection, error) {
	var f *failure
	switch {
	case err == nil:
		return api.Introspection{Valid: true, Permissions: who.expanded()}, nil
	case errors.As(err, &f) && f.cause != nil:
		return api.Introspection{Code: f.cause.code, Reason: f.cause.reason, Permissions: []string{}}, nil
	}
	return api.Introspection{}, err
}

// identifySession is resolve for a session without its JWT.
func (s *Server) identifySession(ctx context.Context, r *db.Session) (*identity, error) {
	who := &identity{session: r}
	if err := s.sessionNow(ctx, who); err != nil {
		return who, err
	}
	return who, s.resolveOwner(ctx, who, r.User)
}
