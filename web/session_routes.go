package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/api"
)

func (s *Server) searchOwnSessions(ctx context.Context, actor *db.Actor, in *listed) (*api.Search[api.Session], error) {
	q := in.query()
	q.Owner = actor.ID
	return s.listSessions(ctx, actor, q)
}

type ofUser struct {
	User string `query:"user"` // an email or an id
}

type sessionSearch struct {
	listed
	ofUser
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
	return s.listSessions(ctx, actor, q)
}

// listSessions lists those of one user, or of everybody where q names no owner.
func (s *Server) listSessions(ctx context.Context, actor *db.Actor, q db.ListQuery) (*api.Search[api.Session], error) {
	began := time.Now()
	page, err := s.Store.Sessions(ctx, q)
	if err != nil {
		return nil, err
	}
	show, err := s.sessionsShown(ctx, actor, page.Items...)
	if err != nil {
		return nil, err
	}
	return listOf(began, page, idOfSession, show), nil
}

func idOfSession(r *db.Session) string { return r.ID }

// sessionsShown shows any of these sessions: what is beside their records is read
// for all of them at once.
func (s *Server) sessionsShown(ctx context.Context, actor *db.Actor, sessions ...*db.Session) (func(*db.Session) api.Session, error) {
	uses, err := s.Store.SessionUses(ctx, idsOf(sessions, idOfSession))
	if err != nil {
		return nil, err
	}
	names, err := s.Store.Usernames(ctx, idsOf(sessions, func(r *db.Session) string { return r.User }))
	return func(r *db.Session) api.Session {
		out := api.Session{
			ID: r.ID, User: r.User, UserName: names[r.User], Created: r.Created, Expires: r.Expires, LastSeen: r.Created,
			IP: r.IP, UserAgent: r.UserAgent, Current: actor.Session != nil && actor.Session.ID == r.ID,
		}
		if use := uses[r.ID]; use.Time.After(r.Created) {
			out.LastSeen = use.Time
		}
		return out
	}, err
}

// readSession shows a session, and what it may do now.
func (s *Server) readSession(ctx context.Context, actor *db.Actor, in *named) (*api.Found[api.SessionDetails], error) {
	r, err := s.Store.Session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	show, err := s.sessionsShown(ctx, actor, r)
	if err != nil {
		return nil, err
	}
	out := &api.Found[api.SessionDetails]{ID: r.ID, Found: true, Source: api.SessionDetails{Session: show(r)}}
	who, err := s.identifySession(ctx, r)
	out.Source.MustChange = err == nil && who.user.MustChange
	out.Source.Introspection, err = introspect(who, err)
	return out, err
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
