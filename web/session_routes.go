package web

import (
	"context"
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

func (s *Server) searchOwnSessions(c echo.Context, actor *db.Actor) error {
	return s.listSessions(c, actor, actor.ID)
}

func (s *Server) searchSessions(c echo.Context, actor *db.Actor) error {
	owner := c.QueryParam("user")
	if owner != "" {
		user, err := s.Store.FindUser(c.Request().Context(), owner)
		if err != nil {
			return err
		}
		owner = user.ID
	}
	return s.listSessions(c, actor, owner)
}

// listSessions lists those of one user, or of everybody where owner is empty.
func (s *Server) listSessions(c echo.Context, actor *db.Actor, owner string) error {
	began := time.Now()
	q, err := listQuery(c.QueryParams())
	if err != nil {
		return err
	}
	q.Owner = owner
	page, err := s.Store.Sessions(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(r *db.Session) string { return r.ID }, func(r *db.Session) (api.Session, error) {
		return s.showSession(c.Request().Context(), actor, r)
	})
}

func (s *Server) showSession(ctx context.Context, actor *db.Actor, r *db.Session) (api.Session, error) {
	use, err := s.Store.SessionUse(ctx, r.ID)
	if err != nil {
		return api.Session{}, err
	}
	out := api.Session{
		ID: r.ID, User: r.User, Created: r.Created, Expires: r.Expires, LastSeen: r.Created,
		IP: r.IP, UserAgent: r.UserAgent, Current: actor.Session != nil && actor.Session.ID == r.ID,
	}
	if use.Time.After(r.Created) {
		out.LastSeen = use.Time
	}
	out.UserName, err = s.username(ctx, r.User)
	return out, err
}

// username is the email of a user, or the id of one who has none or is gone.
func (s *Server) username(ctx context.Context, id string) (string, error) {
	user, err := s.Store.User(ctx, id)
	switch {
	case err == nil:
		return user.Username(), nil
	case errors.Is(err, db.ErrNotFound):
		return id, nil
	}
	return "", err
}

func (s *Server) endOwnSession(c echo.Context, actor *db.Actor) error {
	return s.ended(c, actor, s.Store.EndOwnSession(c.Request().Context(), actor, c.Param("id")))
}

func (s *Server) endSession(c echo.Context, actor *db.Actor) error {
	return s.ended(c, actor, s.Store.EndSession(c.Request().Context(), actor, c.Param("id")))
}

func (s *Server) ended(c echo.Context, actor *db.Actor, err error) error {
	if err != nil {
		return err
	}
	s.did(actor, "session ended", "session", c.Param("id"))
	return write(c, api.Result{ID: c.Param("id"), Result: "deleted"})
}

func (s *Server) endOtherSessions(c echo.Context, actor *db.Actor) error {
	n, err := s.Store.EndOtherSessions(c.Request().Context(), actor)
	if err != nil {
		return err
	}
	s.did(actor, "other sessions ended", "count", n)
	return write(c, api.Ended{Result: "deleted", Count: n})
}

// endUserSessions ends all of one user's, and what else is left of their
// sign-ins: the device cookies and the familiar addresses.
func (s *Server) endUserSessions(c echo.Context, actor *db.Actor) error {
	owner := c.QueryParam("user")
	if owner == "" {
		return malformed("user_missing", "say whose sessions end: ?user= with an email or an id")
	}
	u, n, err := s.Store.EndUserSessions(c.Request().Context(), actor, owner)
	if err != nil {
		return err
	}
	s.tries.Estrange(account(u.Email))
	s.did(actor, "all sessions of a user ended", "user", u.ID, "count", n)
	return write(c, api.Ended{Result: "deleted", Count: n})
}
