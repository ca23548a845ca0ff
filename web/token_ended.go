package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/api"
)

// tokenEndRoutes are of API tokens that are gone.
func (s *Server) tokenEndRoutes() []route {
	return []route{
		{method: "GET", path: "/auth/access_token/_ended", need: permission(db.PermTokenSearch), turn: ifLarge, do: endpoint(s.endedTokens)},
	}
}

type endedSearch struct {
	listed
	Owner string `query:"owner"`
}

// endedTokens lists them to those whose tokens they were; see listedOwner.
func (s *Server) endedTokens(ctx context.Context, actor *db.Actor, in *endedSearch) (*api.Search[api.EndedToken], error) {
	began, q := time.Now(), in.query()
	owner, err := s.listedOwner(ctx, actor, in.Owner)
	if err != nil {
		return nil, err
	}
	q.Owner = owner
	page, err := s.Store.EndedTokens(ctx, q)
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(e *db.EndedToken) api.Hit[api.EndedToken] {
		return api.Hit[api.EndedToken]{ID: e.ID, Source: showEndedToken(actor, e)}
	}), nil
}

// showEndedToken leaves out who ended it for those who did not, and may not read
// the audit log, where it stands, too.
func showEndedToken(actor *db.Actor, e *db.EndedToken) api.EndedToken {
	out := api.EndedToken{
		ID: e.ID, Name: e.Name, Owner: e.Owner, OwnerName: e.OwnerName, Created: e.Created, ExpireIn: e.Expires,
		LastUsed: optionalTime(e.Used), LastIP: e.Address, Ended: e.Ended, Reason: e.Reason,
	}
	if e.By == actor.ID || actor.Permissions.Has(db.PermAuditSearch) {
		out.By, out.ByName = e.By, e.ByName
	}
	return out
}
