package db_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
)

const passScope = "app.example.com"

// withSession is a user with a session.
func (f *fixture) withSession(email string) *db.Actor {
	f.t.Helper()
	u := f.user(email)
	r, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour})
	must(f.t, err)
	actor := f.as(u)
	actor.Session = r
	return actor
}

func (f *fixture) code(actor *db.Actor, scope string) string {
	f.t.Helper()
	code, err := f.MakeCode(f.ctx, actor, scope, time.Minute)
	must(f.t, err)
	return code
}

func (f *fixture) passOf(actor *db.Actor, scope string) string {
	f.t.Helper()
	pass, ends, err := f.TakeCode(f.ctx, &db.Actor{}, f.code(actor, scope), scope)
	must(f.t, err)
	if !ends.Equal(actor.Session.Expires) {
		f.t.Errorf("the pass ends at %s, the session at %s", ends, actor.Session.Expires)
	}
	return pass
}

func (f *fixture) isGood(pass string) bool {
	f.t.Helper()
	_, _, err := f.SessionByPass(f.ctx, pass)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		f.t.Fatal(err)
	}
	return err == nil
}

func TestPass(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	code := f.code(ann, passScope)
	if f.isGood(code) {
		t.Error("a code is a pass")
	}
	for name, c := range map[string]struct{ code, scope string }{
		"another host": {code, "other.example.com"}, "a domain": {code, "." + passScope}, "cut": {code[1:], passScope},
		"mistyped": {strings.Repeat("A", db.PassLength), passScope}, "nothing": {"", passScope}, "with an end": {code + "=", passScope},
	} {
		if known, err := f.KnowsCode(f.ctx, c.code, c.scope); known || err != nil {
			t.Errorf("%s is known: %v", name, err)
		}
		if _, _, err := f.TakeCode(f.ctx, &db.Actor{}, c.code, c.scope); !errors.Is(err, db.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if known, err := f.KnowsCode(f.ctx, code, passScope); !known {
		t.Errorf("the code is not known: %v", err)
	}
	pass, _, err := f.TakeCode(f.ctx, &db.Actor{Address: "192.0.2.7"}, code, passScope)
	must(t, err)
	r, p, err := f.SessionByPass(f.ctx, pass)
	must(t, err)
	if r.ID != ann.Session.ID || p.Scope != passScope {
		t.Errorf("it is of %s for %s", r.ID, p.Scope)
	}
	if known, _ := f.KnowsCode(f.ctx, pass, passScope); known {
		t.Error("a pass is a code")
	}
	if _, _, err := f.TakeCode(f.ctx, &db.Actor{}, code, passScope); !errors.Is(err, db.ErrDenied) {
		t.Errorf("the code is good twice: %v", err)
	}
	events := f.events()
	if e := events[len(events)-1]; e.Action != "gate.enter" || e.Target != passScope || e.Actor != ann.ID || e.Address != "192.0.2.7" {
		t.Errorf("the log has %+v", e)
	}
	must(t, f.EndOwnSession(f.ctx, ann, ann.Session.ID))
	if f.isGood(pass) {
		t.Error("the pass outlives its session")
	}
}

func TestCodeEnds(t *testing.T) {
	f := newStore(t)
	code := f.code(f.withSession("ann@example.com"), passScope)
	f.advance(time.Minute)
	if _, _, err := f.TakeCode(f.ctx, &db.Actor{}, code, passScope); !errors.Is(err, db.ErrDenied) {
		t.Errorf("a code that has ended: %v", err)
	}
}

func TestCodeOfDisabledUser(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	code := f.code(ann, passScope)
	root := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	_, err := f.UpdateUser(f.ctx, root, ann.ID, db.UserChange{Disabled: ptr(true)})
	must(t, err)
	if pass, _, err := f.TakeCode(f.ctx, &db.Actor{}, code, passScope); err == nil {
		t.Errorf("a disabled user gets a pass: %.4s", pass)
	}
}

// Of many at once one has the pass.
func TestCodeIsGoodOnce(t *testing.T) {
	f := newStore(t)
	code := f.code(f.withSession("ann@example.com"), passScope)
	var got atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := f.TakeCode(f.ctx, &db.Actor{}, code, passScope); err == nil {
				got.Add(1)
			} else if !errors.Is(err, db.ErrDenied) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := got.Load(); n != 1 {
		t.Errorf("%d have it", n)
	}
}

// A session has so many passes at most, however often it is led through; codes that
// were not used are no reason for one to go.
func TestPassesAreBounded(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	first := f.passOf(ann, passScope)
	for range 100 {
		f.code(ann, passScope)
		f.advance(time.Second)
	}
	if r, err := f.Session(f.ctx, ann.Session.ID); err != nil || len(r.Passes) != 9 || !f.isGood(first) {
		t.Errorf("codes push a pass out: %d, %v", len(r.Passes), err)
	}
	var last string
	for range 40 {
		last = f.passOf(ann, passScope)
	}
	r, err := f.Session(f.ctx, ann.Session.ID)
	must(t, err)
	if len(r.Passes) > 40 || f.isGood(first) || !f.isGood(last) {
		t.Errorf("%d passes, the first %v, the last %v", len(r.Passes), f.isGood(first), f.isGood(last))
	}
}

// A new password ends what the old one opened: the session goes on under another
// secret, without passes.
func TestNewPasswordEndsPasses(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	pass, code := f.passOf(ann, passScope), f.code(ann, passScope)
	renewed, _, err := f.ChangePassword(f.ctx, ann, db.PasswordChange{Verified: ann.User.Password, Password: "another hash", Renew: true})
	must(t, err)
	if len(renewed.Passes) > 0 || f.isGood(pass) {
		t.Error("a pass outlives the password")
	}
	if known, _ := f.KnowsCode(f.ctx, code, passScope); known {
		t.Error("a code outlives the password")
	}
}
