package web_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// rotate rotates a token and returns its new secret and end.
func (s *server) rotate(id string, in api.Rotate, with edit) api.TokenCreated {
	s.t.Helper()
	var out api.TokenCreated
	s.do("POST", "/auth/access_token/"+id+"/_rotate", jsonOf(in), with).want(200).
		like(`{"_id":"` + id + `","name":"<text>","access_token":"<token>","expire_in":"<number>","status":"ok"}`).json(&out)
	s.secret(out.AccessToken)
	return out
}

// valid fails unless a secret is, or is not, accepted.
func (s *server) valid(secret string, want bool) {
	s.t.Helper()
	status := map[bool]int{true: 200, false: 401}[want]
	s.do("GET", "/account/profile", "", apiToken(secret)).want(status)
}

// The secret changes and nothing else does; without grace the old one is
// refused at once.
func TestRotateToken(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{Name: "nightly", Description: "the backup", Permissions: []string{db.PermTokenSearch}, AllowedIPs: []string{"192.0.2.0/24"}})
	before := s.shown(made.ID)
	s.clock.advance(time.Minute)
	next := s.rotate(made.ID, api.Rotate{}, ann.session())
	s.valid(made.AccessToken, false)
	s.valid(next.AccessToken, true)
	after := s.shown(made.ID)
	if after.Name != before.Name || after.Description != before.Description || after.Owner != before.Owner || !after.Created.Equal(before.Created) ||
		!slices.Equal(after.Permissions, before.Permissions) || !slices.Equal(after.AllowedIPs, before.AllowedIPs) {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if after.Previous != nil || !after.Updated.Equal(s.clock.now()) {
		t.Errorf("without grace it is %+v", after)
	}
	s.do("GET", "/account/profile", "", apiToken(next.AccessToken), from("203.0.113.1")).want(401)
	if e := s.lastEvent(); e.Action != "token.rotate" || e.Target != made.ID || e.Actor != ann.id {
		t.Errorf("the audit log tells %+v", e)
	}
}

// In the time of grace both secrets work, the list tells whether the old one
// is still used, and at its end the old one alone is refused.
func TestRotateWithGrace(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{})
	s.valid(made.AccessToken, true) // before the rotation: that is not told
	s.clock.advance(time.Minute)
	next := s.rotate(made.ID, api.Rotate{Grace: "2h"}, ann.session())
	ends := s.clock.now().Add(2 * time.Hour).Unix()
	listed := func() api.Token {
		t.Helper()
		page, err := s.client(ann.session()).SearchTokens(t.Context(), api.ListOptions{})
		must(t, err)
		return page.Hits.Hits[0].Source
	}
	if p := listed().Previous; p == nil || p.Ends != ends || p.LastUsed != nil {
		t.Errorf("after the rotation the list tells %+v, want an end at %d", p, ends)
	}
	s.clock.advance(time.Minute)
	s.valid(next.AccessToken, true)
	if p := listed().Previous; p == nil || p.LastUsed != nil {
		t.Errorf("the new secret was used, and of the old one the list tells %+v", p)
	}
	s.clock.advance(time.Minute)
	s.valid(made.AccessToken, true)
	usedAt := s.clock.now()
	for _, what := range []string{"in memory", "in the file"} {
		if p := listed().Previous; p == nil || p.LastUsed == nil || !p.LastUsed.Equal(usedAt) {
			t.Errorf("%s: the old secret was used at %v, the list tells %+v", what, usedAt, p)
		}
		must(t, s.store.FlushLastUsed(t.Context()))
		s.clock.advance(time.Minute)
		s.valid(next.AccessToken, true)
	}
	s.clock.advance(time.Unix(ends, 0).Sub(s.clock.now()) - time.Nanosecond)
	s.valid(made.AccessToken, true)
	s.clock.advance(time.Nanosecond)
	s.valid(made.AccessToken, false)
	s.valid(next.AccessToken, true)
	if p := listed().Previous; p != nil {
		t.Errorf("after its end the old secret is told of: %+v", p)
	}
}

// A grace is a duration like every other.
func TestGraceInDays(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	for grace, want := range map[string]time.Duration{"1d": 24 * time.Hour, "2w": 14 * 24 * time.Hour, "90m": 90 * time.Minute} {
		made := s.mint(ann.session(), api.NewToken{})
		s.rotate(made.ID, api.Rotate{Grace: grace}, ann.session())
		shown, err := s.client(ann.session()).GetToken(t.Context(), made.ID)
		must(t, err)
		if p := shown.Source.Previous; p == nil || p.Ends != s.clock.now().Add(want).Unix() {
			t.Errorf("a grace of %s: %+v", grace, p)
		}
	}
}

// A further rotation leaves one old secret at most, and none without grace.
func TestRotateAgain(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	first := s.mint(ann.session(), api.NewToken{})
	second := s.rotate(first.ID, api.Rotate{Grace: "1h"}, ann.session())
	s.clock.advance(time.Second)
	s.valid(first.AccessToken, true)
	s.clock.advance(time.Second)
	third := s.rotate(first.ID, api.Rotate{Grace: "1h"}, ann.session())
	if p := s.shown(first.ID).Previous; p == nil || p.LastUsed != nil {
		t.Errorf("a use of the first secret is told of the second: %+v", p)
	}
	s.valid(first.AccessToken, false)
	s.valid(second.AccessToken, true)
	s.valid(third.AccessToken, true)
	fourth := s.rotate(first.ID, api.Rotate{}, ann.session())
	s.valid(second.AccessToken, false)
	s.valid(third.AccessToken, false)
	s.valid(fourth.AccessToken, true)
}

// How long the new secret lives: by a session and locally as long as the old
// one did, by a token until its end.
func TestRotatedLife(t *testing.T) {
	const life = 10 * time.Hour
	s := newServer(t)
	ann := s.newUser(annEmail)
	mint := func(expires int64) api.TokenCreated {
		ann = s.signIn(ann) // what never ends needs a fresh proof
		return s.mint(ann.session(), api.NewToken{ExpireIn: expires})
	}
	for _, c := range []struct {
		name  string
		with  func(own api.TokenCreated) edit
		keeps bool
	}{
		{"by a session", func(api.TokenCreated) edit { return ann.session() }, false},
		{"locally", func(api.TokenCreated) edit { return local }, false},
		{"by itself", func(own api.TokenCreated) edit { return apiToken(own.AccessToken) }, true},
		{"by another token", func(api.TokenCreated) edit { return apiToken(mint(db.Never).AccessToken) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := mint(s.clock.now().Add(life).Unix())
			s.clock.advance(time.Hour)
			want := s.clock.now().Add(life).Unix()
			if c.keeps {
				want = made.ExpireIn
			}
			next := s.rotate(made.ID, api.Rotate{}, c.with(made))
			if next.ExpireIn != want || s.shown(made.ID).ExpireIn != want {
				t.Errorf("it ends at %d, shown as %d, want %d", next.ExpireIn, s.shown(made.ID).ExpireIn, want)
			}
			// Once more: the life is that of the secret, not of the token.
			s.clock.advance(time.Hour)
			if !c.keeps {
				want = s.clock.now().Add(life).Unix()
			}
			if again := s.rotate(made.ID, api.Rotate{}, c.with(next)); again.ExpireIn != want {
				t.Errorf("rotated again it ends at %d, want %d", again.ExpireIn, want)
			}
			never := mint(db.Never)
			if next := s.rotate(never.ID, api.Rotate{}, c.with(never)); next.ExpireIn != db.Never {
				t.Errorf("one that never ended ends at %d", next.ExpireIn)
			}
		})
	}
	made := mint(s.clock.now().Add(life).Unix())
	asked := s.clock.now().Add(time.Hour).Unix()
	if next := s.rotate(made.ID, api.Rotate{ExpireIn: asked}, ann.session()); next.ExpireIn != asked {
		t.Errorf("asked for %d it ends at %d", asked, next.ExpireIn)
	}
	if next := s.rotate(made.ID, api.Rotate{ExpireIn: db.Never}, ann.session()); next.ExpireIn != db.Never {
		t.Errorf("asked for never it ends at %d", next.ExpireIn)
	}
}

// The grace ends with the old secret's own end and with the new one's.
func TestGraceEndsWithTheToken(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	soon := s.clock.now().Add(time.Hour).Unix()
	for name, c := range map[string]struct{ old, asked int64 }{
		"the old one's end": {soon, 0},
		"the new one's end": {db.Never, soon},
	} {
		made := s.mint(ann.session(), api.NewToken{ExpireIn: c.old})
		s.rotate(made.ID, api.Rotate{Grace: "24h", ExpireIn: c.asked}, ann.session())
		if p := s.shown(made.ID).Previous; p == nil || p.Ends != soon {
			t.Errorf("%s: the old secret is %+v, want an end at %d", name, p, soon)
		}
		if minted := s.mint(apiToken(made.AccessToken), api.NewToken{}); minted.ExpireIn != soon {
			t.Errorf("%s: the old secret made a token that ends at %d, itself ends at %d", name, minted.ExpireIn, soon)
		}
	}
}

// The server's bound on lives holds at a rotation too, whoever asks.
func TestMaxTokenTTLAtRotate(t *testing.T) {
	const day = 24 * time.Hour
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := []api.TokenCreated{s.mint(ann.session(), api.NewToken{}), s.mint(ann.session(), api.NewToken{ExpireIn: db.Never})}
	s.MaxTokenTTL = 30 * day // as after a restart with the setting
	bound := s.clock.now().Add(30 * day).Unix()
	for _, k := range made {
		for name, with := range map[string]edit{"session": ann.session(), "local": local} {
			for _, asked := range []int64{bound + 1, db.Never} {
				s.do("POST", "/auth/access_token/"+k.ID+"/_rotate", jsonOf(api.Rotate{ExpireIn: asked}), with).want(400, "ttl_too_long")
			}
			if next := s.rotate(k.ID, api.Rotate{}, with); next.ExpireIn != bound {
				t.Errorf("%s: the default is %d, want %d", name, next.ExpireIn, bound)
			}
			s.rotate(k.ID, api.Rotate{ExpireIn: bound}, with)
		}
	}
	// By a token the end is kept, and is not behind the bound either.
	s.MaxTokenTTL = 0
	k := s.mint(ann.session(), api.NewToken{ExpireIn: db.Never})
	s.MaxTokenTTL = 30 * day
	if next := s.rotate(k.ID, api.Rotate{}, apiToken(k.AccessToken)); next.ExpireIn != bound {
		t.Errorf("by itself it ends at %d, want %d", next.ExpireIn, bound)
	}
}

// Who may not, and what is no rotation; all of it leaves the secret alone.
func TestRotateRefuses(t *testing.T) {
	s := newServer(t)
	admin, ann, bob := s.single(), s.newUser(annEmail), s.newUser("bob@example.com")
	manage := []string{db.PermTokenCreate, db.PermTokenUpdate}
	ends := s.clock.now().Add(time.Hour).Unix()
	k := s.mint(ann.session(), api.NewToken{})
	narrow := s.mint(ann.session(), api.NewToken{Permissions: manage, ExpireIn: ends})
	like := s.mint(ann.session(), api.NewToken{Permissions: manage, ExpireIn: ends})
	for _, c := range []struct {
		name, id, body string
		with           edit
		status         int
		code           string
	}{
		{"nobody", k.ID, "", nobody, 401, "not_signed_in"},
		{"another user", k.ID, "", bob.session(), 404, "not_found"},
		{"an administrator", k.ID, "", admin.session(), 403, "not_owner"},
		{"absent", absentID, "", ann.session(), 404, "not_found"},
		{"a narrower token", k.ID, "", apiToken(narrow.AccessToken), 403, "above_token"},
		{"a later end by a token", like.ID, jsonOf(api.Rotate{ExpireIn: ends + 1}), apiToken(narrow.AccessToken), 403, "outlives_token"},
		{"never by a token", narrow.ID, jsonOf(api.Rotate{ExpireIn: db.Never}), apiToken(narrow.AccessToken), 403, "outlives_token"},
		{"a past end", k.ID, `{"expire_in":1}`, ann.session(), 400, "bad_expiry"},
		{"a grace of words", k.ID, `{"grace":"soon"}`, ann.session(), 400, "bad_grace"},
		{"a negative grace", k.ID, `{"grace":"-1h"}`, ann.session(), 400, "bad_grace"},
		{"a grace of a number", k.ID, `{"grace":24}`, ann.session(), 400, "bad_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.do("POST", "/auth/access_token/"+c.id+"/_rotate", c.body, c.with).want(c.status, c.code)
		})
	}
	for _, secret := range []string{k.AccessToken, narrow.AccessToken, like.AccessToken} {
		s.valid(secret, true)
	}
	s.rotate(like.ID, api.Rotate{}, apiToken(narrow.AccessToken)) // no more than itself
	s.rotate(k.ID, api.Rotate{}, local)
}

// Of many rotations at once each is acknowledged, and one secret is left.
func TestRotateAtOnce(t *testing.T) {
	const n = 8
	s := newServer(t)
	ann := s.newUser(annEmail)
	k := s.mint(ann.session(), api.NewToken{})
	secrets := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			out, err := s.client(ann.session()).RotateToken(t.Context(), k.ID, api.Rotate{})
			if err != nil {
				t.Errorf("rotate: %v", err)
			}
			secrets[i] = out.AccessToken
		})
	}
	all.Wait()
	good := 0
	for _, secret := range append(secrets, k.AccessToken) {
		s.secret(secret)
		if _, err := s.client(apiToken(secret)).Profile(t.Context()); err == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d secrets are valid", good)
	}
}
