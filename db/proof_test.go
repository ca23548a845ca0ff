package db_test

import (
	"errors"
	"testing"
	"time"

	"husk/db"
)

func TestProvedUntil(t *testing.T) {
	f := newStore(t)
	at := f.Now()
	for name, c := range map[string]struct {
		proved, ends time.Time
		want         time.Time // zero: not fresh
	}{
		"never":               {time.Time{}, at.Add(time.Hour), time.Time{}},
		"now":                 {at, at.Add(time.Hour), at.Add(db.ProofLife)},
		"almost over":         {at.Add(time.Nanosecond - db.ProofLife), at.Add(time.Hour), at.Add(time.Nanosecond)},
		"over":                {at.Add(-db.ProofLife), at.Add(time.Hour), time.Time{}},
		"the session ends":    {at, at.Add(time.Minute), at.Add(time.Minute)},
		"the session is over": {at.Add(-time.Minute), at, time.Time{}},
		"a small step back":   {at.Add(time.Second), at.Add(time.Hour), at.Add(time.Second + db.ProofLife)},
		"by a clock ahead":    {at.Add(time.Hour), at.Add(24 * time.Hour), time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := f.ProvedUntil(&db.Session{Proved: c.proved, Expires: c.ends}); !got.Equal(c.want) {
				t.Errorf("fresh until %s, want %s", got, c.want)
			}
		})
	}
}

// A proof that was seen ended stays so after a restart with the clock set back.
func TestSeenUnprovedIsKept(t *testing.T) {
	f := newTimedStore(t)
	f.write()
	r := f.session(f.user("ann@example.com"), time.Hour)
	f.clock.pass(db.ProofLife - time.Second)
	f.write() // the mark is of just before its end
	f.clock.pass(2 * time.Second)
	if !f.ProvedUntil(r).IsZero() {
		t.Error("it is fresh for longer")
	}
	must(t, f.FlushLastUsed(t.Context()))
	f.clock.step(-5 * time.Minute)
	f.reopen()
	if until := f.ProvedUntil(r); !until.IsZero() {
		t.Errorf("it is fresh again, until %s", until)
	}
}

// A proof is written down for one session, which keeps its secret and its passes; the
// audit log has nothing of it.
func TestProve(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	pass := f.passOf(ann, passScope)
	other, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: ann.ID, Verified: ann.User.Password, TTL: time.Hour})
	must(t, err)
	before := len(f.events())
	f.advance(20 * time.Minute)
	proved, _, err := f.Prove(f.ctx, ann, db.Proof{Verified: ann.User.Password})
	must(t, err)
	until := f.ProvedUntil(proved)
	if want := f.Now().Add(db.ProofLife); !until.Equal(want) {
		t.Errorf("fresh until %s, want %s", until, want)
	}
	s := f.reopened()
	r, err := s.Session(f.ctx, ann.Session.ID)
	must(t, err)
	if !s.ProvedUntil(r).Equal(until) || string(r.Hash) != string(ann.Session.Hash) {
		t.Errorf("the record is %+v", r)
	}
	if r, err = s.Session(f.ctx, other.ID); err != nil || !s.ProvedUntil(r).IsZero() {
		t.Errorf("another session has it too: %+v, %v", r, err)
	}
	if !f.isGood(pass) {
		t.Error("a pass ended by a proof")
	}
	if n := len(f.events()); n != before {
		t.Errorf("the audit log has %d entries more", n-before)
	}
}

func TestProveMeanwhile(t *testing.T) {
	f := newStore(t)
	ann, bob := f.withSession("ann@example.com"), f.withSession("bob@example.com")
	if _, _, err := f.Prove(f.ctx, ann, db.Proof{Verified: "the hash before"}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("the password was changed meanwhile: %v", err)
	}
	must(t, f.EndOwnSession(f.ctx, ann, ann.Session.ID))
	if _, _, err := f.Prove(f.ctx, ann, db.Proof{Verified: ann.User.Password}); !errors.Is(err, db.ErrEnded) {
		t.Errorf("the session has ended meanwhile: %v", err)
	}
	yes := true
	_, err := f.UpdateUser(f.ctx, &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, bob.ID, db.UserChange{Disabled: &yes})
	must(t, err)
	if _, _, err := f.Prove(f.ctx, bob, db.Proof{Verified: bob.User.Password}); !errors.Is(err, db.ErrEnded) {
		t.Errorf("the user was disabled meanwhile: %v", err)
	}
}

// Who changes their password has just shown it, whether the session goes on as it is
// or under a new secret.
func TestNewPasswordIsAProof(t *testing.T) {
	for name, renew := range map[string]bool{"as it is": false, "renewed": true} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			ann := f.withSession("ann@example.com")
			f.advance(20 * time.Minute)
			renewed, _, err := f.ChangePassword(f.ctx, ann, db.PasswordChange{Verified: ann.User.Password, Password: "another hash", Renew: renew})
			must(t, err)
			id := ann.Session.ID
			if renewed != nil {
				id = renewed.ID
			}
			r, err := f.Session(f.ctx, id)
			must(t, err)
			if !f.ProvedUntil(r).Equal(f.Now().Add(db.ProofLife)) {
				t.Errorf("proved at %s, and it is %s", r.Proved, f.now())
			}
		})
	}
}
