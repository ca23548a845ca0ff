package web

import (
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/password"
)

func (s *Server) showUser(u *db.User) api.User {
	out := api.User{
		ID: u.ID, Name: u.DisplayName(), Email: u.Email, Roles: append([]string{}, u.Roles...), Disabled: u.Disabled,
		Created: u.Created, Updated: u.Updated, LastLogin: optionalTime(u.LastLogin),
	}
	out.Throttled = optionalTime(s.throttledUntil(account(u.Email)))
	return out
}

// throttledUntil is when the last delay of an account ends: of tries from
// browsers that it knows, or of others; zero where there is none.
func (s *Server) throttledUntil(account string) (latest time.Time) {
	for _, device := range []bool{false, true} {
		if _, until := s.tries.State(account, device); until.After(latest) {
			latest = until.UTC().Truncate(time.Second)
		}
	}
	return latest
}

func (s *Server) searchUsers(c echo.Context, _ *db.Actor) error {
	began := time.Now()
	q, err := listQuery(c.QueryParams())
	if err != nil {
		return err
	}
	page, err := s.Store.Users(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(u *db.User) string { return u.ID }, func(u *db.User) (api.User, error) { return s.showUser(u), nil })
}

func (s *Server) createUser(c echo.Context, actor *db.Actor) error {
	var in api.NewUser
	if err := bind(c, &in, false); err != nil {
		return err
	}
	if in.NoPassword && in.Password != "" {
		return malformed("bad_user", "no_password and a password exclude each other")
	}
	n := db.NewUser{Email: in.Email, Name: in.Name, Roles: in.Roles}
	generated := ""
	if in.Password == "" && !in.NoPassword {
		generated = password.Generate()
		in.Password, n.MustChange = generated, true
	} else if in.Password != "" {
		if err := password.Check(in.Password, in.Email, in.Name); err != nil {
			return err
		}
	}
	if in.Password != "" {
		var err error
		if n.Password, err = s.Passwords.Hash(c.Request().Context(), callerOf(actor), in.Password); err != nil {
			return err
		}
	}
	u, err := s.Store.CreateUser(c.Request().Context(), actor, n)
	if err != nil {
		return err
	}
	s.did(actor, "user created", "user", u.ID)
	return write(c, api.UserCreated{Result: api.Result{ID: u.ID, Result: "created"}, User: s.showUser(u), Password: generated})
}

func (s *Server) readUser(c echo.Context, _ *db.Actor) error {
	u, err := s.Store.FindUser(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return write(c, api.Found[api.User]{ID: u.ID, Found: true, Source: s.showUser(u)})
}

func (s *Server) updateUser(c echo.Context, actor *db.Actor) error {
	var in api.UserUpdate
	if err := bind(c, &in, false); err != nil {
		return err
	}
	change := db.UserChange{Name: in.Name, Email: in.Email, Disabled: in.Disabled}
	if in.Roles != nil {
		change.Roles = append([]string{}, *in.Roles...)
	}
	if in.Password != nil {
		hash, err := s.newPassword(c, actor, in)
		if err != nil {
			return err
		}
		change.Password = &hash
	}
	u, err := s.Store.UpdateUser(c.Request().Context(), actor, c.Param("id"), change)
	if err != nil {
		return err
	}
	if change.Password != nil {
		s.tries.Clear(account(u.Email))
	}
	s.did(actor, "user updated", "user", u.ID)
	done := api.Result{ID: u.ID, Result: "updated"}
	if change.Password != nil || change.Disabled != nil && !*change.Disabled {
		done.KeptOut = s.keptOut(u)
	}
	return write(c, done)
}

// keptOut tells what keeps a user from signing in, of what does not depend on
// where they are: "" for nothing. Who lets somebody in relies on the answer.
func (s *Server) keptOut(u *db.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.Password == "":
		return "no_password"
	case !s.throttledUntil(account(u.Email)).IsZero():
		return "throttled"
	}
	return ""
}

// newPassword checks and hashes a password that is set for another user: it is
// made from nothing that the user is called, before the change or after it.
func (s *Server) newPassword(c echo.Context, actor *db.Actor, in api.UserUpdate) (hash string, err error) {
	if *in.Password == "" {
		return "", errPasswordMissing
	}
	u, err := s.Store.FindUser(c.Request().Context(), c.Param("id"))
	if err != nil {
		return "", err
	}
	personal := []string{u.Email, u.Name}
	for _, next := range []*string{in.Email, in.Name} {
		if next != nil {
			personal = append(personal, *next)
		}
	}
	if err := password.Check(*in.Password, personal...); err != nil {
		return "", err
	}
	return s.Passwords.Hash(c.Request().Context(), callerOf(actor), *in.Password)
}

func (s *Server) deleteUser(c echo.Context, actor *db.Actor) error {
	id, err := s.Store.DeleteUser(c.Request().Context(), actor, c.Param("id"))
	if err != nil {
		return err
	}
	s.did(actor, "user deleted", "user", id)
	return write(c, api.Result{ID: id, Result: "deleted"})
}

// unlockUser clears the throttle of an account and ends its device cookies.
func (s *Server) unlockUser(c echo.Context, actor *db.Actor) error {
	u, err := s.Store.FindUser(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	if err := s.Store.UnlockUser(c.Request().Context(), actor, u.ID); err != nil {
		return err
	}
	s.tries.Clear(account(u.Email))
	s.did(actor, "user unlocked", "user", u.ID)
	return write(c, api.Result{ID: u.ID, Result: "updated", KeptOut: s.keptOut(u)})
}
