package web

import (
	"context"
	"net/http"
	"time"

	"husk/db"
	"husk/web/api"
)

// A proof shows that who uses a session still is who signed in: by the password, or by
// a second factor. What changes the second factor needs a fresh one (route.proof), and so
// does a token without an end or with powers; so that a browser that was left alone is
// not enough. The pages ask for it before more than that.

func (s *Server) proofRoutes() []route {
	return []route{
		{method: "POST", path: "/account/proof", need: isOwnSession, effect: proves, do: endpoint(s.prove), setsUp: true},
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

// prove renews a session in which a second factor is proved for the first time, see
// renews. Else it leaves the session its secret: with that its passes would end, and
// with them whatever streams behind the gate, each time.
func (s *Server) prove(ctx context.Context, actor *db.Actor, in *ownProof) (*withCookies[api.Proved], error) {
	shown := in.Body
	if shown.Password != "" || shown.Code == "" {
		if err := checkGiven(shown.Password); err != nil {
			return nil, err
		}
	}
	if shown.Code != "" && len(actor.User.Factors) == 0 {
		return nil, errNoSuchFactor
	}
	proof, err := s.proveOwn(in.Request, actor, toProve, shown)
	if err != nil {
		return nil, err
	}
	return s.noteProof(ctx, in.Request, actor, proof)
}

// noteProof notes in a session what was found right.
func (s *Server) noteProof(ctx context.Context, req *http.Request, actor *db.Actor, proof db.Proof) (*withCookies[api.Proved], error) {
	proof.Renew = proof.Factor != nil && renews(req, actor)
	r, secret, err := s.Store.Prove(ctx, actor, proof)
	if err != nil {
		return nil, err
	}
	cookie, err := s.renewedCookie(ctx, r, secret)
	if err != nil {
		return nil, err
	}
	return &withCookies[api.Proved]{api.Proved{Status: "ok", ProvedUntil: s.Store.ProvedUntil(r)}, s.forBrowser(req, cookie)}, nil
}

// provedUntil is until when a session's last proof is fresh; nil where it is not.
func (s *Server) provedUntil(r *db.Session) *time.Time {
	until := s.Store.ProvedUntil(r)
	if until.IsZero() {
		return nil
	}
	return &until
}
