package web_test

import (
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// settle ends a rotation that was begun.
func (s *server) settle(id string, in api.Settle, with edit) answer {
	s.t.Helper()
	return s.do("POST", "/auth/access_token/"+id+"/_settle", jsonOf(in), with)
}

// Until it is settled a rotation takes nothing away: the old secret, its end
// and the one in its time of grace are what they were, and the new one is good.
func TestRotationIsHeld(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	first := s.mint(ann.session(), api.NewToken{ExpireIn: s.clock.now().Add(90 * 24 * time.Hour).Unix()})
	second := s.rotate(first.ID, api.Rotate{Grace: "100h"}, ann.session())
	before := s.shown(first.ID)
	s.clock.advance(time.Minute)
	soon := s.clock.now().Add(time.Hour).Unix()
	third := s.begin(first.ID, api.Rotate{Hold: true, ExpireIn: soon}, ann.session())
	if third.ExpireIn != soon {
		t.Errorf("it is to end at %d", third.ExpireIn)
	}
	if e := s.lastEvent(); e.Action != "token.rotate_begin" || e.Target != first.ID || e.Actor != ann.id {
		t.Errorf("the audit log tells %+v", e)
	}
	for _, secret := range []string{first.AccessToken, second.AccessToken, third.AccessToken} {
		s.valid(secret, true)
	}
	after := s.shown(first.ID)
	if after.ExpireIn != before.ExpireIn || after.Previous == nil || after.Previous.Ends != before.Previous.Ends || after.Next == nil || after.Next.Ends != soon {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	// As the new one has it the token ends when that does.
	s.clock.advance(time.Hour)
	s.valid(third.AccessToken, false)
	s.valid(second.AccessToken, true)
}

func TestSettle(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	bob := s.newUser("bob@example.com")
	old := s.mint(ann.session(), api.NewToken{})
	next := s.begin(old.ID, api.Rotate{Hold: true}, ann.session())
	// Who has no part in it: others, and who does not know the new secret.
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken}, bob.session()).want(404)
	s.settle(old.ID, api.Settle{AccessToken: old.AccessToken, Undo: true}, ann.session()).want(409, "no_rotation")
	s.settle(old.ID, api.Settle{}, ann.session()).want(400, "bad_token")
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken, Grace: "soon"}, ann.session()).want(400, "bad_grace")
	s.valid(old.AccessToken, true)

	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken, Grace: "1h"}, apiToken(old.AccessToken)).want(200)
	if e := s.lastEvent(); e.Action != "token.rotate" || e.Target != old.ID {
		t.Errorf("the audit log tells %+v", e)
	}
	if k := s.shown(old.ID); k.Next != nil || k.Previous == nil || k.ExpireIn != next.ExpireIn {
		t.Errorf("it is %+v", k)
	}
	s.valid(old.AccessToken, true)
	s.clock.advance(time.Hour)
	s.valid(old.AccessToken, false)
	s.valid(next.AccessToken, true)
	// Once more is no more; it can't be undone then.
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken}, ann.session()).want(200)
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken, Undo: true}, ann.session()).want(409, "no_rotation")
	s.valid(next.AccessToken, true)
}

// What is undone leaves the token as it was, and of two that were begun the
// later one counts.
func TestUndoRotation(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	old := s.mint(ann.session(), api.NewToken{})
	before := s.shown(old.ID)
	lost := s.begin(old.ID, api.Rotate{Hold: true}, ann.session())
	next := s.begin(old.ID, api.Rotate{Hold: true}, ann.session())
	s.valid(lost.AccessToken, false)
	s.settle(old.ID, api.Settle{AccessToken: lost.AccessToken}, ann.session()).want(409, "no_rotation")
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken, Undo: true}, ann.session()).want(200)
	if e := s.lastEvent(); e.Action != "token.rotate_undo" {
		t.Errorf("the audit log tells %+v", e)
	}
	s.valid(next.AccessToken, false)
	s.valid(old.AccessToken, true)
	if after := s.shown(old.ID); after.Next != nil || after.ExpireIn != before.ExpireIn || !after.Updated.Equal(before.Updated) {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	// A rotation in one step ends what was begun.
	begun := s.begin(old.ID, api.Rotate{Hold: true}, ann.session())
	done := s.rotate(old.ID, api.Rotate{}, ann.session())
	s.valid(begun.AccessToken, false)
	s.valid(old.AccessToken, false)
	s.valid(done.AccessToken, true)
}

// A secret that is not settled mints nothing that outlives it.
func TestHeldSecretIsBound(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	old := s.mint(ann.session(), api.NewToken{ExpireIn: db.Never})
	ends := s.clock.now().Add(time.Hour).Unix()
	next := s.begin(old.ID, api.Rotate{Hold: true, ExpireIn: ends}, ann.session())
	by := apiToken(next.AccessToken)
	s.do("POST", "/auth/access_token", `{"expire_in":-1}`, by).want(403, "outlives_token")
	var made api.TokenCreated
	s.do("POST", "/auth/access_token", "", by).want(200).json(&made)
	s.secret(made.AccessToken)
	if made.ExpireIn != ends {
		t.Errorf("it made one until %d", made.ExpireIn)
	}
}

func (s *server) begin(id string, in api.Rotate, with edit) (out api.TokenCreated) {
	s.t.Helper()
	s.do("POST", "/auth/access_token/"+id+"/_rotate", jsonOf(in), with).want(200).json(&out)
	if !out.Held {
		s.t.Error("it is not held")
	}
	s.secret(out.AccessToken)
	return out
}

// A rotation to a secret that has ended meanwhile can't be settled: the token
// would end with it, and nobody would have a secret that is good.
func TestSettleTooLate(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	old := s.mint(ann.session(), api.NewToken{ExpireIn: db.Never})
	next := s.begin(old.ID, api.Rotate{Hold: true, ExpireIn: s.clock.now().Add(time.Hour).Unix()}, ann.session())
	if k := s.shown(old.ID); k.Next == nil {
		t.Error("the rotation is not shown")
	}
	s.clock.advance(time.Hour)
	if k := s.shown(old.ID); k.Next != nil {
		t.Error("a secret that has ended is shown as one to settle")
	}
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken, Grace: "24h"}, ann.session()).want(409, "rotation_ended")
	s.valid(old.AccessToken, true)
	s.settle(old.ID, api.Settle{AccessToken: next.AccessToken, Undo: true}, ann.session()).want(200)
	s.valid(old.AccessToken, true)
}
