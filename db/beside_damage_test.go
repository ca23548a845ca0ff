package db_test

import (
	"errors"
	"testing"
	"time"

	"husk/db"
)

// damage writes over the record of a key.
func (f *fixture) damage(bucket, key string) {
	f.t.Helper()
	f.broken = true
	f.raw(func(tx db.Tx) error { return tx.Put(bucket, []byte(key), []byte("this was a record once")) })
	f.Store = f.reopened()
}

// A damaged session must not keep a password from being changed, other sessions
// from ending, or the server from sweeping; it is gone with them.
func TestSessionsEndBesideADamagedOne(t *testing.T) {
	for name, end := range map[string]func(f *fixture, u *db.User, own *db.Actor) error{
		"a password set by another": func(f *fixture, u *db.User, _ *db.Actor) error {
			hash := "another hash"
			return second1(f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Password: &hash}))
		},
		"a password changed": func(f *fixture, u *db.User, own *db.Actor) error {
			_, _, err := f.ChangePassword(f.ctx, own, db.PasswordChange{Verified: u.Password, Password: "another hash"})
			return err
		},
		"all others ended": func(f *fixture, _ *db.User, own *db.Actor) error {
			return second1(f.EndOtherSessions(f.ctx, own))
		},
		"all keys replaced at once": func(f *fixture, _ *db.User, _ *db.Actor) error {
			return second1(f.RotateKey(f.ctx, local, true))
		},
		"swept": func(f *fixture, _ *db.User, _ *db.Actor) error {
			f.advance(2 * time.Hour)
			f.advance(time.Hour)
			_, err := f.Sweep(f.ctx)
			return err
		},
		"of a deleted user": func(f *fixture, u *db.User, _ *db.Actor) error {
			return errors.Join(second1(f.DeleteUser(f.ctx, local, u.ID)), second1(f.Sweep(f.ctx)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			u := f.user("ann@example.com")
			first, second, own := f.as(u), f.as(u), f.as(u)
			f.damage("session", second.Session.ID)
			must(t, end(f, u, own))
			for what, a := range map[string]*db.Actor{"the first": first, "the damaged one": second} {
				if _, err := f.Session(f.ctx, a.Session.ID); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// What a deleted user leaves goes also where a token of it is damaged.
func TestTombstoneWithADamagedToken(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	lost, whole := f.mint(ann, db.NewToken{Name: "lost"}), f.mint(ann, db.NewToken{Name: "whole"})
	f.damage("token", lost.ID)
	must(t, second1(f.DeleteUser(f.ctx, local, ann.ID)))
	must(t, second1(f.Sweep(f.ctx)))
	for _, id := range []string{lost.ID, whole.ID} {
		if _, err := f.Token(f.ctx, id); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("token %s: %v", id, err)
		}
	}
	if due, err := f.SweepDue(f.ctx); err != nil || due {
		t.Errorf("there is more to sweep: %t, %v", due, err)
	}
}

// Uses and refusals are written also where one of the places is damaged.
func TestUsesAreWrittenBesideDamage(t *testing.T) {
	for _, bucket := range []string{"token.use", "token"} {
		t.Run(bucket, func(t *testing.T) {
			f := newStore(t)
			ann := f.as(f.user("ann@example.com"))
			lost, whole := f.mint(ann, db.NewToken{Name: "lost"}), f.mint(ann, db.NewToken{Name: "whole"})
			f.damage(bucket, lost.ID)
			f.NoteTokenUse(lost.ID, "192.0.2.7", false)
			f.NoteTokenUse(whole.ID, "192.0.2.8", false)
			f.NoteRefusal(&db.Actor{Transport: db.TransportHTTP, Address: "192.0.2.9"}, "session.login", db.NoTarget)
			f.advance(2 * time.Minute)
			must(t, f.FlushLastUsed(f.ctx))
			for id, address := range map[string]string{lost.ID: "192.0.2.7", whole.ID: "192.0.2.8"} {
				if u, err := f.TokenLastUsed(f.ctx, id); err != nil || u.Address != address {
					t.Errorf("the use is %+v, %v", u, err)
				}
				page, err := f.Audit(f.ctx, db.AuditQuery{Action: "token.use", Target: id, Size: 5})
				if err != nil || len(page.Items) != 1 || page.Items[0].Address != address {
					t.Errorf("%s is not in the audit log: %v", address, err)
				}
			}
			if page, err := f.Audit(f.ctx, db.AuditQuery{Action: "session.login", Size: 5}); err != nil || len(page.Items) == 0 || page.Items[0].Result != db.ResultRefused {
				t.Errorf("the refusal is not in the audit log: %v", err)
			}
		})
	}
}
