package web

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

// This file tells those who may ask what a credential is worth and why it is
// refused: what resolve finds out at each use, and hides from the one who shows
// the credential.

// checkToken tells what a token is worth that the actor may see. It is neither
// used nor noted as used.
func (s *Server) checkToken(c echo.Context, actor *db.Actor) error {
	var in api.TokenCheck
	if err := bind(c, &in, false); err != nil {
		return err
	}
	id, err := token.Parse(in.AccessToken)
	if err != nil {
		return malformed("bad_token", "access_token is no API token of husk: it is mistyped or cut")
	}
	if _, err := s.Store.TokenFor(c.Request().Context(), actor, id); err != nil {
		return err
	}
	who, err := s.resolve(c.Request(), credential{token: in.AccessToken}, sha256.Sum256([]byte(in.AccessToken)))
	if err == nil && !who.token.Allows(parseAddress(actor.Address)) {
		err = errFromElsewhere
	}
	worth, err := worthOf(who, err)
	if err != nil {
		return err
	}
	return write(c, api.TokenWorth{ID: id, Worth: worth})
}

// worthOf tells what a credential that was resolved is worth; err is why it was
// refused. One that could not be looked at is an error.
func worthOf(who *identity, err error) (api.Worth, error) {
	var f *failure
	switch {
	case err == nil:
		return api.Worth{Valid: true, Permissions: who.expanded()}, nil
	case errors.As(err, &f) && f.cause != nil:
		return api.Worth{Code: f.cause.code, Reason: f.cause.reason, Permissions: []string{}}, nil
	}
	return api.Worth{}, err
}

func (s *Server) readSession(c echo.Context, actor *db.Actor) error {
	ctx := c.Request().Context()
	r, err := s.Store.Session(ctx, c.Param("id"))
	if err != nil {
		return err
	}
	shown, err := s.showSession(ctx, actor, r)
	if err != nil {
		return err
	}
	out := api.SessionDetails{Session: shown}
	who, err := s.sessionWorth(ctx, r)
	out.MustChange = err == nil && who.user.MustChange
	if out.Worth, err = worthOf(who, err); err != nil {
		return err
	}
	return write(c, api.Found[api.SessionDetails]{ID: r.ID, Found: true, Source: out})
}

// sessionWorth is resolve for a session without its JWT.
func (s *Server) sessionWorth(ctx context.Context, r *db.Session) (*identity, error) {
	who := &identity{session: r}
	if err := s.sessionNow(ctx, who); err != nil {
		return who, err
	}
	return who, s.resolveOwner(ctx, who, r.User)
}
