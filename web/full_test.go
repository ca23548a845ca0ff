package web_test

import (
	"testing"

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
