package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/password"
)

func (s *Server) showUser(u *db.User) api.User {
	out := api.User{
		ID: u.ID, Name: u.DisplayName(), Email: u.Email, Roles: append([]string{}, u.Roles...), Disabled: u.Disabled,
		Created: u.Created, Updated: u.Updated, LastLogin: optionalTime(u.LastLogin),
		SecondFactor: append([]string{}, u.Factors...),
	}
	out.Throttled = optionalTime(s.throttledUntil(account(u.Email)))
	return out
}

// throttledUntil is when the last delay of an account ends: of tries from
// browsers that it knows, or of others; zero where there is none.
func (s *Server) throttledUntil(account string) (latest time.Time) {
	for _, device := range []bool{false, true} {
		if _, until := s.logins.State(account, device); until.After(latest) {
			latest = until.UTC().Truncate(time.Second)
		}
	}
	return latest
}

type userSearch struct {
	listed
	Role string `query:"role"`
}

func (s *Server) searchUsers(ctx context.Context, _ *db.Actor, in *userSearch) (*api.Search[api.User], error) {
	began := time.Now()
	page, err := s.users(ctx, in)
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(u *db.User) api.Hit[api.User] { return api.Hit[api.User]{ID: u.ID, Source: s.showUser(u)} }), nil
}

func (s *Server) users(ctx context.Context, in *userSearch) (page db.Page[db.User], err error) {
	if in.Role == "" {
		return s.Store.Users(ctx, in.query())
	}
	if _, err := s.Store.Role(ctx, in.Role); err != nil {
		return page, err
	}
	return s.Store.UsersWith(ctx, in.query(), in.Role)
}

type newUser struct {
	Body api.NewUser `body:"required"`
}

func (s *Server) createUser(ctx context.Context, actor *db.Actor, in *newUser) (*api.UserCreated, error) {
	asked, generated := in.Body, ""
	if asked.NoPassword && asked.Password != "" {
		return nil, malformed("bad_user", "no_password and a password exclude each other")
	}
	n := db.NewUser{Email: asked.Email, Name: asked.Name, Roles: asked.Roles}
	if asked.Password == "" && !asked.NoPassword {
		generated = password.Generate()
		asked.Password, n.MustChange = generated, true
	} else if asked.Password != "" {
		n.Wrong = wrong(password.Check(asked.Password, asked.Email, asked.Name))
	}
	if asked.Password != "" && n.Wrong == nil {
		var err error
		if n.Password, err = s.Passwords.Hash(ctx, callerOf(actor), asked.Password); err != nil {
			return nil, err
		}
	}
	u, err := s.Store.CreateUser(ctx, actor, n)
	if err != nil {
		return nil, err
	}
	s.did(actor, "user created", "user", u.ID)
	return &api.UserCreated{Result: api.Result{ID: u.ID, Result: "created"}, User: s.showUser(u), Password: generated}, nil
}

func (s *Server) readUser(ctx context.Context, actor *db.Actor, in *named) (*api.Found[api.User], error) {
	u, err := s.Store.FindUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &api.Found[api.User]{ID: u.ID, Found: true, Source: s.showUser(u)}
	out.Source.CodeClockOff = s.clocks.offOf(u.ID, s.Store.Now())
	out.Source.Above, err = s.Store.Above(ctx, actor, u)
	return out, err
}

type userUpdate struct {
	named
	Body api.UserUpdate `body:"required"`
}

func (s *Server) updateUser(ctx context.Context, actor *db.Actor, in *userUpdate) (*api.UserUpdated, error) {
	generated := ""
	if in.Body.GeneratePassword {
		if in.Body.Password != nil {
			return nil, malformed("bad_user", "generate_password and a password exclude each other")
		}
		generated = password.Generate()
		in.Body.Password = &generated
	}
	change := db.UserChange{Name: in.Body.Name, Email: in.Body.Email, Disabled: in.Body.Disabled}
	if in.Body.Roles != nil {
		change.Roles = append([]string{}, *in.Body.Roles...)
	}
	if in.Body.Password != nil {
		hash, err := s.newPassword(ctx, actor, in)
		if err != nil {
			return nil, err
		}
		change.Password, change.MustChange = &hash, in.Body.GeneratePassword
	}
	u, err := s.Store.UpdateUser(ctx, actor, in.ID, change)
	if err != nil {
		return nil, err
	}
	if change.Password != nil {
		s.logins.Clear(account(u.Email))
	}
	s.did(actor, "user updated", "user", u.ID)
	done := &api.UserUpdated{Result: api.Result{ID: u.ID, Result: "updated"}, Password: generated}
	if change.Password != nil || change.Disabled != nil && !*change.Disabled {
		done.KeptOut = s.keptOut(u)
	}
	return done, nil
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
func (s *Server) newPassword(ctx context.Context, actor *db.Actor, in *userUpdate) (hash string, err error) {
	pass := *in.Body.Password
	if pass == "" {
		return "", errPasswordMissing
	}
	u, err := s.Store.FindUser(ctx, in.ID)
	if err != nil {
		return "", err
	}
	personal := []string{u.Email, u.Name}
	for _, next := range []*string{in.Body.Email, in.Body.Name} {
		if next != nil {
			personal = append(personal, *next)
		}
	}
	if err := password.Check(pass, personal...); err != nil {
		return "", err
	}
	return s.Passwords.Hash(ctx, callerOf(actor), pass)
}

func (s *Server) deleteUser(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	id, err := s.Store.DeleteUser(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	s.did(actor, "user deleted", "user", id)
	return &api.Result{ID: id, Result: "deleted"}, nil
}

// unlockUser clears the throttle of an account and ends its device cookies.
func (s *Server) unlockUser(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	u, err := s.Store.FindUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.Store.UnlockUser(ctx, actor, u.ID); err != nil {
		return nil, err
	}
	s.logins.Clear(account(u.Email))
	s.did(actor, "user unlocked", "user", u.ID)
	return &api.Result{ID: u.ID, Result: "updated", KeptOut: s.keptOut(u)}, nil
}
