package web_test

import (
	"testing"

	"husk/db"
	"husk/web/api"
)

// What must be audited is not answered as done where its entry can't be
// written: the change and its entry are one transaction.
func TestNothingIsDoneOnAFullDisk(t *testing.T) {
	s, disk := newFaulty(t)
	admin, ann := s.single(), s.newUser(annEmail)
	with := admin.session()
	made := s.mint(with, api.NewToken{})
	s.do("POST", "/security/role", `{"name":"reader","grants":{"permissions":[]}}`, with).want(200)
	var sessions api.Search[api.Session]
	s.do("GET", "/security/session/_search?user="+annEmail, "", with).json(&sessions)
	session := sessions.Hits.Hits[0].ID
	second := s.signIn(ann)
	for _, c := range []struct {
		method, path, body string
		with               edit
	}{
		{"POST", "/account/login", jsonOf(api.Login{Email: annEmail, Password: ann.password}), nobody},
		{"POST", "/account/logout", "", second.session()},
		{"GET", "/account/logout", "", second.session()},
		{"PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: "nine crates of quinces"}), second.session()},
		{"DELETE", "/account/sessions", "", second.session()},
		{"DELETE", "/account/sessions/" + session, "", second.session()},
		{"DELETE", "/security/session/" + session, "", with},
		{"POST", "/auth/access_token", "", with},
		{"POST", "/auth/request_access_token", "", with},
		{"PUT", "/auth/access_token/" + made.ID, `{"name":"y"}`, with},
		{"POST", "/auth/access_token/" + made.ID + "/_rename", `{"name":"y"}`, with},
		{"POST", "/auth/access_token/" + made.ID + "/_rotate", "", with},
		{"DELETE", "/auth/access_token/" + made.ID, "", with},
		{"POST", "/security/user", `{"email":"eve@example.com","no_password":true}`, with},
		{"PUT", "/security/user/" + annEmail, `{"name":"Annette"}`, with},
		{"PUT", "/security/user/" + annEmail, `{"disabled":true}`, with},
		{"POST", "/security/user/" + annEmail + "/_unlock", "", with},
		{"DELETE", "/security/user/" + annEmail, "", with},
		{"POST", "/security/role", `{"name":"writer","grants":{"permissions":[]}}`, with},
		{"PUT", "/security/role/reader", `{"description":"reads"}`, with},
		{"DELETE", "/security/role/reader", "", with},
		{"POST", "/security/key/_rotate", "", with},
	} {
		before := len(s.events())
		disk.set(full, nil)
		s.do(c.method, c.path, c.body, c.with).want(507, "disk_full")
		disk.set(nil, nil)
		if n := len(s.events()) - before; n != 0 {
			t.Errorf("%s %s wrote %d entries", c.method, c.path, n)
		}
		// All is as it was: who was signed in is, and what there was is there.
		s.do("GET", "/account/profile", "", ann.session()).want(200)
		s.do("GET", "/account/profile", "", second.session()).want(200)
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
		s.do("GET", "/security/role/reader", "", with).want(200)
	}
}

// A sign-out that could not be written down has not happened: of no session, and
// the cookie stays, so that it can be tried again.
func TestNobodyIsSignedOutOnAFullDisk(t *testing.T) {
	s, disk := newFaulty(t)
	for name, more := range map[string][]edit{"program": nil, "page": {header("Accept", "text/html"), contentType("application/x-www-form-urlencoded")}} {
		for fits := range 2 { // so many updates
			one, other := s.single(), s.single()
			disk.set(func(update int) error {
				if update < fits {
					return nil
				}
				return db.ErrFull
			}, nil)
			a := s.do("POST", "/account/logout", "", append(more, cookie(one.jwt), cookie(other.jwt))...)
			disk.set(nil, nil)
			alive := 0
			for _, p := range []*person{one, other} {
				if s.do("GET", "/account/profile", "", p.session()).status == 200 {
					alive++
				}
			}
			done := a.status == 200 || a.status == 303
			if done == (fits == 0) || done != (alive == 0) || done != (a.header.Get("Set-Cookie") != "") || !done && (alive != 2 || a.status != 507) {
				t.Errorf("%s, %d updates fit: %d, %d sessions live on, the cookie is %q", name, fits, a.status, alive, a.header.Get("Set-Cookie"))
			}
		}
	}
}
