package db_test

import (
	"errors"
	"fmt"
	"testing"

	"husk/db"
)

// What ends the device cookies of an account, and what leaves them.
func TestDeviceGeneration(t *testing.T) {
	hash := ownHash
	name := "Ann"
	for what, c := range map[string]struct {
		change func(f *fixture, u *db.User) error
		ends   bool
	}{
		"unlock": {func(f *fixture, u *db.User) error { return f.UnlockUser(f.ctx, local, u.ID) }, true},
		"password set by others": {func(f *fixture, u *db.User) error {
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Password: &hash})
			return err
		}, true},
		"all sessions ended": {func(f *fixture, u *db.User) error { _, _, err := f.EndUserSessions(f.ctx, local, u.Email); return err }, true},
		"own change of the password": {func(f *fixture, u *db.User) error {
			_, _, err := f.ChangePassword(f.ctx, f.as(u), db.PasswordChange{Verified: u.Password, Password: hash})
			return err
		}, false},
		"sign-in": {func(f *fixture, u *db.User) error { f.as(u); return nil }, false},
		"rename": {func(f *fixture, u *db.User) error {
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: &name})
			return err
		}, false},
		"one session ended":     {func(f *fixture, u *db.User) error { return f.EndSession(f.ctx, local, f.as(u).Session.ID) }, false},
		"other sessions ended":  {func(f *fixture, u *db.User) error { _, err := f.EndOtherSessions(f.ctx, f.as(u)); return err }, false},
		"unlock that is denied": {func(f *fixture, u *db.User) error { return denied(f.UnlockUser(f.ctx, f.as(u), db.SingleUser)) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			f := newStore(t)
			u := f.user("ann@example.com")
			must(t, c.change(f, u))
			now, err := f.User(f.ctx, u.ID)
			must(t, err)
			if (now.Devices != u.Devices) != c.ends {
				t.Errorf("the generation was %d and is %d", u.Devices, now.Devices)
			}
		})
	}
	// The single user's first password is set for them, too.
	f := newStore(t)
	before, err := f.User(f.ctx, db.SingleUser)
	must(t, err)
	after, err := f.Initialize(f.ctx, &db.Actor{}, db.Setup{Password: hash})
	if err != nil || after.Devices == before.Devices {
		t.Errorf("after set-up the generation is %d, %v", after.Devices, err)
	}
}

func denied(err error) error {
	if errors.Is(err, db.ErrDenied) {
		return nil
	}
	return fmt.Errorf("not denied: %w", err)
}

// All sessions of a user end in one act, which is told once, and those of
// others stay.
func TestEndUserSessions(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	for range 3 {
		f.as(ann)
	}
	others := f.as(bob)
	u, n, err := f.EndUserSessions(f.ctx, local, " ANN@example.com")
	if err != nil || u.ID != ann.ID || n != 3 {
		t.Errorf("%d sessions of %+v ended, %v", n, u, err)
	}
	if _, err := f.Session(f.ctx, others.Session.ID); err != nil {
		t.Errorf("another's session: %v", err)
	}
	page, err := f.Audit(f.ctx, db.AuditQuery{Action: "session.revoke", Size: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].Target != ann.ID {
		t.Errorf("the audit log has %+v, %v", page.Items, err)
	}
	if _, n, err = f.EndUserSessions(f.ctx, local, ann.ID); err != nil || n != 0 {
		t.Errorf("once more: %d, %v", n, err)
	}
	if _, _, err := f.EndUserSessions(f.ctx, f.as(bob), db.SingleUser); !errors.Is(err, db.ErrDenied) {
		t.Errorf("of one who may do more: %v", err)
	}
	if _, _, err := f.EndUserSessions(f.ctx, local, "nobody@example.com"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}
