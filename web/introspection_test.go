package web_test

import (
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

func (s *server) worth(with edit, secret string) (w api.TokenWorth) {
	s.t.Helper()
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: secret}), with).want(200).json(&w)
	return w
}

// Whatever is the matter with a token, the one who shows it gets the same
// answer, and those who may ask are told.
func TestWhyATokenIsRefused(t *testing.T) {
	for code, c := range map[string]struct {
		new   api.NewToken
		spoil func(s *server, owner *person, id string)
	}{
		"expired": {api.NewToken{}, func(s *server, _ *person, _ string) { s.clock.advance(400 * 24 * time.Hour) }},
		"replaced": {api.NewToken{}, func(s *server, _ *person, id string) {
			made, err := s.local.RotateToken(s.t.Context(), id, api.Rotate{})
			must(s.t, err)
			s.secret(made.AccessToken)
		}},
		"address": {api.NewToken{AllowedIPs: []string{"198.51.100.0/24"}}, func(*server, *person, string) {}},
		"owner_disabled": {api.NewToken{}, func(s *server, owner *person, _ string) {
			_, err := s.local.UpdateUser(s.t.Context(), owner.id, api.UserUpdate{Disabled: ptr(true)})
			must(s.t, err)
		}},
		"owner_deleted": {api.NewToken{}, func(s *server, owner *person, _ string) {
			_, err := s.local.DeleteUser(s.t.Context(), owner.id)
			must(s.t, err)
		}},
	} {
		t.Run(code, func(t *testing.T) {
			s := newServer(t)
			owner := s.newUser(annEmail)
			made := s.mintFor(owner, c.new)
			if code != "address" {
				if w := s.worth(local, made.AccessToken); !w.Valid || w.ID != made.ID || w.Code != "" || len(w.Permissions) != 5 {
					t.Errorf("before: %+v", w)
				}
			}
			c.spoil(s, owner, made.ID)
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).golden("error_invalid_token")
			w := s.worth(local, made.AccessToken)
			if w.Valid || w.Code != code || w.Reason == "" || w.Permissions == nil || len(w.Permissions) != 0 {
				t.Errorf("%+v, want the code %s", w, code)
			}
		})
	}
}

func TestATokensWorthIsForWhoMaySeeIt(t *testing.T) {
	s := newServer(t)
	admin, ann, bob := s.single(), s.newUser(annEmail), s.newUser("bob@example.com")
	made := s.mintFor(ann, api.NewToken{Permissions: []string{db.PermTokenSearch}, AllowedIPs: []string{stranger}})
	body := jsonOf(api.TokenCheck{AccessToken: made.AccessToken})
	for name, with := range map[string]edit{"its owner": ann.session(), "an administrator": admin.session(), "itself": apiToken(made.AccessToken)} {
		if w := s.worth(with, made.AccessToken); !w.Valid || len(w.Permissions) != 1 {
			t.Errorf("%s: %+v", name, w)
		}
	}
	absent, _ := token.New()
	s.secret(absent)
	theirs := s.do("POST", "/auth/access_token/_check", body, bob.session()).want(404)
	if none := s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: absent}), bob.session()).want(404); none.body != theirs.body {
		t.Errorf("another's token is told from one that is absent: %s", theirs.body)
	}
	s.do("POST", "/auth/access_token/_check", body, nobody).want(401)
	cut := made.AccessToken[:len(made.AccessToken)-1]
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: cut}), admin.session()).want(400, "bad_token")
	s.do("POST", "/auth/access_token/_check", `{}`, admin.session()).want(400, "bad_token")
	// To look at a token is not to use it.
	fresh := s.mintFor(ann, api.NewToken{})
	s.worth(admin.session(), fresh.AccessToken)
	shown, err := s.local.GetToken(t.Context(), fresh.ID)
	if err != nil || shown.Source.LastUsed != nil {
		t.Errorf("a look counts as a use: %+v, %v", shown.Source, err)
	}
}

func TestWhatASessionIsWorth(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	sessions, err := s.local.SearchSessions(t.Context(), api.ListOptions{Filter: map[string]string{"user": annEmail}})
	must(t, err)
	id := sessions.Hits.Hits[0].ID
	want := func(when string, valid bool, code string, permissions int, mustChange bool) {
		t.Helper()
		found, err := s.local.GetSession(t.Context(), id)
		must(t, err)
		d := found.Source
		if found.ID != id || d.ID != id || d.UserName != annEmail || d.Valid != valid || d.Code != code || len(d.Permissions) != permissions || d.MustChange != mustChange {
			t.Errorf("%s: %+v", when, d)
		}
		status := map[bool]int{true: 200, false: 401}[valid]
		s.do("GET", "/account/profile", "", ann.session()).want(status)
	}
	want("new", true, "", 5, false)
	s.clock.advance(25 * time.Hour)
	want("expired", false, "expired", 0, false)
	s.do("GET", "/security/session/00000000-0000-4000-8000-000000000000", "", local).want(404)
	s.do("GET", "/security/session/"+id, "", ann.session()).want(401)

	bob, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "bob@example.com"})
	must(t, err)
	s.secret(bob.Password)
	_, err = s.local.Login(t.Context(), api.Login{Email: "bob@example.com", Password: bob.Password})
	must(t, err)
	sessions, err = s.local.SearchSessions(t.Context(), api.ListOptions{Filter: map[string]string{"user": "bob@example.com"}})
	must(t, err)
	found, err := s.local.GetSession(t.Context(), sessions.Hits.Hits[0].ID)
	if err != nil || !found.Source.Valid || !found.Source.MustChange {
		t.Errorf("with a generated password: %+v, %v", found.Source, err)
	}
	// Of a user who was deleted there are sessions until they are swept away.
	_, err = s.local.DeleteUser(t.Context(), "bob@example.com")
	must(t, err)
	if found, err = s.local.GetSession(t.Context(), sessions.Hits.Hits[0].ID); err != nil || found.Source.Code != "owner_deleted" {
		t.Errorf("of a deleted user: %+v, %v", found.Source, err)
	}
}

// What one request did is found by the id that its answer had.
func TestAuditOfARequest(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	a := s.do("POST", "/security/user", `{"email":"ann@example.com","no_password":true}`, admin.session()).want(200)
	s.do("POST", "/security/user", `{"email":"bob@example.com","no_password":true}`, admin.session()).want(200)
	var page api.Search[api.AuditEvent]
	s.do("GET", "/security/audit/_search?request_id="+a.header.Get("X-Request-Id"), "", admin.session()).want(200).json(&page)
	if n := len(page.Hits.Hits); n != 1 || page.Hits.Total.Value != 1 || page.Hits.Hits[0].Source.Action != "user.create" {
		t.Errorf("%d entries: %+v", n, page.Hits)
	}
	s.do("GET", "/security/audit/_search?request_id=none", "", admin.session()).want(200).json(&page)
	if len(page.Hits.Hits) != 0 {
		t.Errorf("of no request: %+v", page.Hits)
	}
}
