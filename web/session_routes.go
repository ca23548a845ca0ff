package web

import (
	"context"
	"net/netip"
	"time"

	"husk/db"
	"husk/web/api"
)

func (s *Server) searchOwnSessions(ctx context.Context, actor *db.Actor, in *listed) (*api.Search[api.Session], error) {
	q := in.query()
	q.Owner = actor.ID
	return s.listSessions(ctx, actor, q, netip.Prefix{})
}

type ofUser struct {
	User string `query:"user"` // an email or an id
}

type sessionSearch struct {
	listed
	ofUser
	fromAddress
}

func (s *Server) searchSessions(ctx context.Context, actor *db.Actor, in *sessionSearch) (*api.Search[api.Session], error) {
	q := in.query()
	if in.User != "" {
		user, err := s.Store.FindUser(ctx, in.User)
		if err != nil {
			return nil, err
		}
		q.Owner = user.ID
	}
	from, err := in.network()
	if err != nil {
		return nil, err
	}
	return s.listSessions(ctx, actor, q, from)
}

// listSessions lists those of one user, or of everybody where q names no owner,
// and with a network those that were used from there.
func (s *Server) listSessions(ctx context.Context, actor *db.Actor, q db.ListQuery, from netip.Prefix) (*api.Search[api.Session], error) {
	began, list := time.Now(), s.Store.Sessions
	if from.IsValid() {
		list = func(ctx context.Context, q db.ListQuery) (db.Page[db.Session], error) {
			return s.Store.SessionsFrom(ctx, q, from)
		}
	}
	page, err := list(ctx, q)
	if err != nil {
		return nil, err
	}
	shown, err := s.showSessions(ctx, actor, page.Items...)
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(r *db.Session) api.Hit[api.Session] { return api.Hit[api.Session]{ID: r.ID, Source: shown[r.ID]} }), nil
}

// showSessions shows sessions by id. What stands beside their records is read in
// one transaction, however many they are.
func (s *Server) showSessions(ctx context.Context, actor *db.Actor, sessions ...*db.Session) (map[string]api.Session, error) {
	ids, owners := make([]string, len(sessions)), make([]string, len(sessions))
	for i, r := range sessions {
		ids[i], owners[i] = r.ID, r.User
	}
	uses, err := s.Store.SessionsLastUsed(ctx, ids)
	if err != nil {
		return nil, err
	}
	users, err := s.Store.Owners(ctx, owners)
	if err != nil {
		return nil, err
	}
	shown := make(map[string]api.Session, len(sessions))
	for _, r := range sessions {
		shown[r.ID] = showSession(actor, r, uses[r.ID], users[r.User].Username)
	}
	return shown, nil
}

func showSession(actor *db.Actor, r *db.Session, use db.LastUsed, username string) api.Session {
	out := api.Session{
		ID: r.ID, User: r.User, UserName: username, Created: r.Created, Expires: r.Expires, LastSeen: r.Created,
		IP: r.IP, UserAgent: r.UserAgent, Current: actor.Session != nil && actor.Session.ID == r.ID,
		Methods: r.Methods, Proved: optionalTime(r.Proved), SecondFactor: optionalTime(r.Factored),
	}
	if len(out.Methods) == 0 { // from before that was kept
		out.Methods = []string{db.MethodPassword}
	}
	if use.Time.After(r.Created) {
		out.LastSeen = use.Time
	}
	return out
}

// readSession shows a session, and what it may do now.
func (s *Server) readSession(ctx context.Context, actor *db.Actor, in *named) (*api.Found[api.SessionDetails], error) {
	r, err := s.Store.Session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := s.showSessions(ctx, actor, r)
	if err != nil {
		return nil, err
	}
	out := &api.Found[api.SessionDetails]{ID: r.ID, Found: true, Source: api.SessionDetails{Session: shown[r.ID]}}
	who, err := s.identifySession(ctx, r)
	if err == nil {
		out.Source.MustChange, out.Source.WantsFactor = who.user.MustChange, wantsFactor(who.user, who.noFactor)
	}
	if out.Source.Introspection, err = introspect(who, err); err != nil {
		return nil, err
	}
	if u, err := s.Store.User(ctx, r.User); err == nil { // else anybody who may ends what is left of them
		out.Source.Above, err = s.Store.Above(ctx, actor, u)
		return out, err
	}
	return out, nil
}

func (s *Server) endOwnSession(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	return s.ended(actor, in.ID, s.Store.EndOwnSession(ctx, actor, in.ID))
}

func (s *Server) endSession(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	return s.ended(actor, in.ID, s.Store.EndSession(ctx, actor, in.ID))
}

func (s *Server) ended(actor *db.Actor, id string, err error) (*api.Result, error) {
	if err != nil {
		return nil, err
	}
	s.did(actor, "session ended", "session", id)
	return &api.Result{ID: id, Result: "deleted"}, nil
}

func (s *Server) endOtherSessions(ctx context.Context, actor *db.Actor, _ *nothing) (*api.Ended, error) {
	n, err := s.Store.EndOtherSessions(ctx, actor)
	if err != nil {
		return nil, err
	}
	s.did(actor, "other sessions ended", "count", n)
	return &api.Ended{Result: "deleted", Count: n}, nil
}

// endUserSessions ends all of one user's, and what else is left of their
// sign-ins: the device cookies and the familiar addresses.
func (s *Server) endUserSessions(ctx context.Context, actor *db.Actor, in *ofUser) (*api.Ended, error) {
	if in.User == "" {
		return nil, malformed("user_missing", "say whose sessions end: ?user= with an email or an id")
	}
	u, n, err := s.Store.EndUserSessions(ctx, actor, in.User)
	if err != nil {
		return nil, err
	}
	s.logins.Estrange(account(u.Email))
	s.did(actor, "all sessions of a user ended", "user", u.ID, "count", n)
	return &api.Ended{Result: "deleted", Count: n}, nil
}
