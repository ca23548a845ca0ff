package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/api"
)

// A proof shows that who uses a session still is who signed in. The API asks it for
// nothing, not for another email either: its clients know no such step, and programs do
// the same with tokens, which prove nothing. The pages do, before what is grave, so that
// a browser that was left alone is not enough. It is no defence against who has the
// session's secret and calls the API.

func (s *Server) proofRoutes() []route {
	return []route{
		{method: "POST", path: "/account/proof", need: isOwnSession, effect: proves, do: endpoint(s.prove)},
	}
}

// passwordUse is what one's own password is asked for.
type passwordUse struct {
	action string // of the audit log, where it is refused
	wrong  error
}

// Both count as sign-ins do.
var (
	toChange = passwordUse{"user.password", forbidden("wrong_password", "the old password is wrong")}
	toProve  = passwordUse{"session.prove", forbidden("wrong_password", "the password is wrong")}
)

type ownProof struct {
	fromClient
	Body api.Proof `body:"required"`
}

// prove leaves the session its secret: nothing is worth more at the API for it. Were
// that so, it would have to be exchanged, as by a change of the password.
func (s *Server) prove(ctx context.Context, actor *db.Actor, in *ownProof) (*api.Proved, error) {
	pass := in.Body.Password
	if err := checkGiven(pass); err != nil {
		return nil, err
	}
	if err := s.provePassword(in.Request, actor, toProve, pass); err != nil {
		return nil, err
	}
	until, err := s.Store.Prove(ctx, actor, actor.User.Password)
	if err != nil {
		return nil, err
	}
	s.did(actor, "password proved")
	return &api.Proved{Status: "ok", ProvedUntil: until}, nil
}

// provedUntil is until when a session's last proof is fresh; nil where it is not.
func (s *Server) provedUntil(r *db.Session) *time.Time {
	until := s.Store.ProvedUntil(r)
	if until.IsZero() {
		return nil
	}
	return &until
}
