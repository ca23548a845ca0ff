package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

const idle = 30 * time.Minute

func endsIdle(c *web.Config) { c.SessionIdle = idle }

// A session ends when it was not used for so long, and not while it is: by
// whichever way the server knows of its last use.
func TestSessionIdle(t *testing.T) {
	s := newServer(t, endsIdle)
	used, unused := s.newUser(annEmail), s.newUser("bob@example.com")
	token := s.mint(used.session(), api.NewToken{})
	look := func(with edit) answer { return s.do("GET", "/account/profile", "", with) }
	for range 5 {
		s.clock.advance(idle - time.Second)
		look(used.session()).want(200)
	}
	look(unused.session()).want(401, "invalid_token").challenge(challengeInvalid)
	look(cookie(unused.jwt)).want(401, "invalid_token")
	r, err := s.store.SessionBySecret(t.Context(), jtiOf(unused.jwt))
	must(t, err)
	told, err := s.local.GetSession(t.Context(), r.ID)
	must(t, err)
	if told.Source.Introspection.Valid || told.Source.Introspection.Code != "idle" {
		t.Errorf("who asks why is told %+v", told.Source.Introspection)
	}
	s.clock.advance(idle)
	look(used.session()).want(401, "invalid_token")
	look(used.session()).want(401, "invalid_token") // being refused is no use
	look(apiToken(token.AccessToken)).want(200)     // a token has no idle end
}

// What a server before this one wrote down of the last use counts.
func TestSessionIdleKnowsUsesOfBefore(t *testing.T) {
	s := newServer(t, endsIdle)
	ann := s.newUser(annEmail)
	s.clock.advance(idle - time.Second)
	s.do("GET", "/account/profile", "", ann.session()).want(200)
	must(t, s.store.FlushLastUsed(t.Context()))
	s.clock.advance(idle - time.Second)
	next, err := web.New(web.Config{Store: s.store, Passwords: s.hasher, Log: s.Server.Log, SessionIdle: idle})
	must(t, err)
	s.Server = next
	s.listen()
	s.do("GET", "/account/profile", "", ann.session()).want(200)
	s.clock.advance(idle)
	s.do("GET", "/account/profile", "", ann.session()).want(401, "invalid_token")
}

// Sessions that were not used are ended, so that they stay so under another
// setting; those that were stay.
func TestEndIdleSessions(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	for range 450 { // more than one step
		_, _, err := s.store.CreateSession(t.Context(), &db.Actor{}, db.SignIn{User: ann.id, Verified: s.hashOf(ann.id), TTL: time.Hour})
		must(t, err)
	}
	s.clock.advance(idle)
	s.do("GET", "/account/profile", "", bob.session()).want(200) // noted, not written
	s.clock.advance(time.Second)
	fresh := s.signIn(ann)
	n, err := s.store.EndIdleSessions(t.Context(), idle)
	if err != nil || n != 451 {
		t.Errorf("%d ended, %v; want 451", n, err)
	}
	for _, p := range []*person{bob, fresh} {
		s.do("GET", "/account/profile", "", p.session()).want(200)
	}
	s.do("GET", "/account/profile", "", ann.session()).want(401)
}

func (s *server) hashOf(user string) string {
	s.t.Helper()
	u, err := s.store.User(s.t.Context(), user)
	must(s.t, err)
	return u.Password
}

// A browser's session goes on under a new secret when the password changes:
// what a cookie held before, and whoever else had it, is good for nothing.
func TestNewPasswordRenewsTheCookie(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	before, err := s.store.SessionBySecret(t.Context(), jtiOf(ann.jwt))
	must(t, err)
	s.clock.advance(time.Hour)
	const fresh = "nine crates of quinces"
	s.secret(fresh)
	body := jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: fresh})
	a := s.do("PUT", "/account/password", body, cookie(ann.jwt), header("Sec-Fetch-Site", "same-origin")).want(200)
	given := sessionCookieOf(t, a)
	s.secret(given.Value)
	s.secret(jtiOf(given.Value))
	if left := int(before.Expires.Sub(s.clock.now()).Seconds()); given.MaxAge != left {
		t.Errorf("the new cookie lives %d s, want the %d that the sign-in has left", given.MaxAge, left)
	}
	s.do("GET", "/account/profile", "", cookie(given.Value)).want(200)
	s.do("GET", "/account/profile", "", cookie(ann.jwt)).want(401, "invalid_token")
	s.do("GET", "/account/profile", "", bearer(ann.jwt)).want(401, "invalid_token")
	after, err := s.store.SessionBySecret(t.Context(), jtiOf(given.Value))
	must(t, err)
	if after.ID == before.ID || !after.Created.Equal(before.Created) || !after.Expires.Equal(before.Expires) {
		t.Errorf("%+v came of %+v", after, before)
	}
	if e := s.lastEvent(); e.Action != "user.password" || s.countOf("session.renew") != 1 {
		t.Errorf("the audit ends with %+v", e)
	}

	// Who holds the JWT itself, and would not look for another, keeps it.
	bob := s.newUser("bob@example.com")
	body = jsonOf(api.PasswordChange{OldPassword: bob.password, NewPassword: fresh})
	a = s.do("PUT", "/account/password", body, bob.session()).want(200)
	if set := a.header["Set-Cookie"]; len(set) > 0 {
		t.Errorf("who sends a header is set %q", set)
	}
	s.do("GET", "/account/profile", "", bob.session()).want(200)
}

func sessionCookieOf(t *testing.T, a answer) *http.Cookie {
	t.Helper()
	for _, line := range a.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		must(t, err)
		if strings.HasSuffix(c.Name, "husk_session") {
			return c
		}
	}
	t.Fatal("no session cookie was set")
	return nil
}

func (s *server) countOf(action string) (n int) {
	for _, e := range s.events() {
		if e.Action == action {
			n++
		}
	}
	return n
}

// A sign-in that is old and in use does not end for being renewed.
func TestRenewedSessionIsInUse(t *testing.T) {
	s := newServer(t, endsIdle)
	ann := s.newUser(annEmail)
	for range 3 {
		s.clock.advance(idle - time.Second)
		s.do("GET", "/account/profile", "", cookie(ann.jwt)).want(200)
	}
	const fresh = "nine crates of quinces"
	s.secret(fresh)
	a := s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: fresh}), cookie(ann.jwt), header("Sec-Fetch-Site", "same-origin")).want(200)
	s.do("GET", "/account/profile", "", cookie(sessionCookieOf(t, a).Value)).want(200)
}
