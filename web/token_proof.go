package web

import (
	"context"
	"errors"

	"husk/db"
	"husk/web/api"
)

// A token outlives the session that makes it. So that a browser that was left alone, or
// a cookie that was stolen, does not become a credential for good, a session makes one
// that is far or powerful (api.IsFar, api.Powers), or another's, after a fresh proof
// alone. Tokens, which scripts have, and the owner of the data file are asked nothing.

func (s *Server) proveNewToken(actor *db.Actor, asked api.NewToken) error {
	another := asked.Owner != "" && asked.Owner != actor.ID
	if another && actor.User != nil {
		another = db.FoldEmail(asked.Owner) != db.FoldEmail(actor.User.Email)
	}
	return s.proveToken(actor, another || isFar(s, asked.ExpireIn) || isPowerful(actor, asked.Permissions))
}

// proveTokenUpdate asks where a token gets a power that it had not. What is not there
// is for the store to refuse.
func (s *Server) proveTokenUpdate(ctx context.Context, actor *db.Actor, id string, permissions []string) error {
	wanted := api.Powers(permissions)
	if actor.Session == nil || len(wanted) == 0 {
		return nil
	}
	k, err := s.Store.TokenFor(ctx, actor, id)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	had := db.NewPermissions(k.Permissions)
	gains := len(k.Permissions) > 0 && had.Missing(db.NewPermissions(wanted)) != ""
	return s.proveToken(actor, gains)
}

// proveRotation asks as for a new token: the secret is one.
func (s *Server) proveRotation(actor *db.Actor, k *db.Token, ends int64) error {
	return s.proveToken(actor, isFar(s, ends) || isFar(s, k.Expires) || isPowerful(actor, k.Permissions))
}

func (s *Server) proveToken(actor *db.Actor, grave bool) error {
	if actor.Session == nil || !grave {
		return nil
	}
	return s.checkProof(actor)
}

func isFar(s *Server, ends int64) bool { return api.IsFar(ends, s.Store.Now()) }

// isPowerful tells whether a token with these permissions is powerful in the hands of
// the actor; none are all that its owner has.
func isPowerful(actor *db.Actor, permissions []string) bool {
	if len(permissions) == 0 {
		permissions = actor.Permissions.Keys()
	}
	return len(api.Powers(permissions)) > 0
}
