package db

import (
	"cmp"
	"context"
	"strings"

	"github.com/google/uuid"
)

// Setup is what Initialize makes the first administrator from.
type Setup struct {
	Name     string // may be empty
	Email    string // empty: the single user is the administrator
	Password string // a PHC string
}

var errSetupDone = fail(ErrConflict, "setup_done", "husk is set up: sign in")

// Initialize makes the first administrator who can sign in: a new user with
// that email, or without one the single user. That none can yet is checked in
// the same transaction, so that of several at once exactly one succeeds and
// the others are ErrConflict. Who may call it is the caller's to check: there
// is nobody yet whose rights could be.
func (s *Store) Initialize(ctx context.Context, actor *Actor, in Setup) (u *User, err error) {
	n := NewUser{Email: strings.TrimSpace(in.Email), Name: strings.TrimSpace(in.Name), Roles: []string{RoleAdmin}, Password: in.Password}
	if n.Password == "" {
		return nil, fail(ErrInvalid, "password_missing", "a password is needed")
	}
	if n.Email == "" {
		err = checkText("name", n.Name, maxName)
	} else {
		err = n.check()
	}
	if err != nil {
		return nil, err
	}
	id := uuid.NewString()
	err = s.update(ctx, actor, func(t *txn) error {
		if _, done, err := t.anyAdministrator(); err != nil || done {
			return cmp.Or(err, errSetupDone)
		}
		if u, err = t.putFirstAdministrator(id, n); err != nil {
			return err
		}
		if _, done, err := t.anyAdministrator(); err != nil || !done {
			return cmp.Or(err, fail(ErrInvalid, "email_required",
				"the single user is closed or no administrator on this server: give an email"))
		}
		if _, err := t.endSessions(u.ID, ""); err != nil {
			return err
		}
		t.actor = &Actor{ID: u.ID, Name: u.Username(), Transport: actor.Transport, Address: actor.Address, RequestID: actor.RequestID}
		return t.audit("setup.initialize", u.Target())
	})
	return u, err
}

func (t *txn) putFirstAdministrator(id string, n NewUser) (*User, error) {
	if n.Email != "" {
		u := &User{ID: id, Email: n.Email, Name: n.Name, Roles: n.Roles, Password: n.Password, Created: t.now, Updated: t.now}
		return u, t.putUser(nil, u)
	}
	old, err := userRecords.get(t, SingleUser)
	if err != nil {
		return nil, err
	}
	u := *old
	u.Name, u.Updated = cmp.Or(n.Name, old.Name), t.now
	u.setPassword(n.Password, false)
	return &u, t.putUser(old, &u)
}
