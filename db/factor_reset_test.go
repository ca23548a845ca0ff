package db_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// A reset takes all that there is besides the password, ends sessions and device
// cookies, and tells the user who did it.
func TestResetFactors(t *testing.T) {
	f, ann := withAll(t)
	boss := f.as(f.user("boss@example.com", db.RoleAdmin))
	before := ann.User.Devices
	u, err := f.ResetFactors(f.ctx, boss, "ANN@example.com")
	must(t, err)
	if u.ID != ann.ID || len(u.Factors) > 0 || u.Devices == before || len(f.sessionsOf(u)) > 0 {
		t.Errorf("%+v with %d sessions", u, len(f.sessionsOf(u)))
	}
	all := f.factors(u.ID)
	if all.TOTP != nil || len(all.Passkeys)+len(all.Recovery) > 0 || len(all.Notices) != 1 {
		t.Fatalf("there is %+v", all)
	}
	if n := all.Notices[0]; n.Kind != db.NoticeReset || n.By != "boss@example.com" || n.Address != "192.0.2.1" || !n.Time.Equal(f.now()) || n.Count != 1 {
		t.Errorf("the user is told %+v", n)
	}
	events := f.events()
	if e := events[len(events)-1]; e.Action != "user.reset_second_factor" || e.Actor != boss.ID || e.Target != u.ID {
		t.Errorf("the log has %+v", e)
	}
	must(t, second1(f.enter(u, nil)))
}

func TestResetFactorsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		by   func(f *fixture, ann *db.Actor) (*db.Actor, string)
		kind error
		code string
	}{
		"one's own": {func(_ *fixture, ann *db.Actor) (*db.Actor, string) { return ann, ann.ID }, db.ErrDenied, "own_second_factor"},
		"one's own by a token": {func(f *fixture, ann *db.Actor) (*db.Actor, string) {
			return f.by(f.mint(ann, db.NewToken{Name: "robot"})), "ann@example.com"
		}, db.ErrDenied, "own_second_factor"},
		"of one who may do more": {func(f *fixture, _ *db.Actor) (*db.Actor, string) {
			boss := f.as(f.user("boss@example.com", db.RoleAdmin))
			f.withTOTP(boss)
			return f.as(f.user("bob@example.com")), boss.ID
		}, db.ErrDenied, "user_above"},
		"of who has none": {func(f *fixture, _ *db.Actor) (*db.Actor, string) { return local, f.user("bob@example.com").ID }, db.ErrConflict, "no_second_factor"},
		"of nobody":       {func(*fixture, *db.Actor) (*db.Actor, string) { return local, "none@example.com" }, db.ErrNotFound, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			actor, whose := c.by(f, ann)
			u, err := f.ResetFactors(f.ctx, actor, whose)
			wantErr(t, err, c.kind, c.code)
			if all := f.factors(ann.ID); u != nil || len(all.Methods()) != 2 || len(f.sessionsOf(ann.User)) == 0 {
				t.Errorf("it was done all the same: %+v", u)
			}
		})
	}
}

// The owner of the machine may do it to everybody, the last administrator too; and to
// who has begun and not finished.
func TestResetFactorsLocally(t *testing.T) {
	f := newStore(t)
	boss := f.as(f.user("boss@example.com", db.RoleAdmin))
	f.withTOTP(boss)
	must(t, second1(f.ResetFactors(f.ctx, local, boss.ID)))
	bob := f.withSession("bob@example.com")
	must(t, f.BeginTOTP(f.ctx, bob, sealedSecret))
	must(t, second1(f.ResetFactors(f.ctx, local, bob.ID)))
	if f.factors(bob.ID).Pending != nil {
		t.Error("what waits stays")
	}
	_, err := f.ResetFactors(f.ctx, local, bob.ID)
	wantErr(t, err, db.ErrConflict, "no_second_factor") // what is told is nothing to take
}

// losses are ways in which what a user has is lost; all of them let nobody in.
var losses = map[string]func(tx db.Tx, user string) error{
	"the record is gone": func(tx db.Tx, user string) error { return tx.Delete("factor", []byte(user)) },
	"the record is damaged": func(tx db.Tx, user string) error {
		return tx.Put("factor", []byte(user), []byte("\x01damaged, and yet long enough"))
	},
	"the record is of another user": func(tx db.Tx, user string) error { return putSealed(tx, "factor", user, `{"user":"another"}`) },
	"the record is of another time": func(tx db.Tx, user string) error {
		return putSealed(tx, "factor", user, `{"user":"`+user+`","totp":{"secret":"AA==","created":"2026-01-01T00:00:00Z"}}`)
	},
	"the record is empty": func(tx db.Tx, user string) error { return putSealed(tx, "factor", user, `{"user":"`+user+`"}`) },
}

// What is lost of a second factor lets nobody in, by whatever is shown. The check names
// who, and a reset is the way back.
func TestLostFactorLetsNobodyIn(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			f.broken = true
			f.raw(func(tx db.Tx) error { return lose(tx, ann.ID) })
			_, err := f.Factors(f.ctx, ann.ID)
			wantErr(t, err, db.ErrDamaged, "second_factor_lost")
			if errors.Is(err, db.ErrNotFound) {
				t.Error("it is told as a record that is not there")
			}
			for _, use := range []*db.FactorUse{nil, totpUse(101), recoveryUse(0, "first"), f.assertion("plain", 0, "c")} {
				if _, err := f.enter(ann.User, use); err == nil {
					t.Errorf("%+v lets in", use)
				}
			}
			wantErr(t, f.BeginTOTP(f.ctx, ann, otherSecret), db.ErrDamaged, "second_factor_lost")
			wantErr(t, f.RemoveTOTP(f.ctx, ann), db.ErrDamaged, "second_factor_lost")
			if faults := f.check(); !slices.ContainsFunc(faults, func(s string) bool { return containsAllText(s, "ann@example.com", "husk user reset-second-factor") }) {
				t.Errorf("the check says %q", faults)
			}
			u, err := f.ResetFactors(f.ctx, local, ann.ID)
			must(t, err)
			must(t, second1(f.enter(u, nil)))
			f.withPasskey(f.withSession("bob@example.com"), "counts", 0) // the passkeys are nobody's
			if name == "the record is damaged" {
				if faults := f.check(); len(faults) > 0 {
					t.Errorf("after the reset: %q", faults)
				}
			}
		})
	}
}

// A damaged record is no reason that a user can't be deleted.
func TestDeleteUserOfDamagedFactor(t *testing.T) {
	f, ann := withAll(t)
	f.raw(func(tx db.Tx) error { return losses["the record is damaged"](tx, ann.ID) })
	must(t, second1(f.DeleteUser(f.ctx, local, ann.ID)))
}

func containsAllText(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(s, part) })
}
