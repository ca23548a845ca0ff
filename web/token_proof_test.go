package web_test

import (
	"net/http"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// What a session may do with tokens without a fresh proof, and what not; API tokens and
// the owner of the file are asked nothing.
func TestTokensThatNeedAProof(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.role("daily", db.PermTokenCreate, db.PermTokenSearch, db.PermTokenUpdate)
	admin, bob := s.single(), s.newUser("bob@example.com", "daily")
	daily := []string{db.PermTokenCreate, db.PermTokenSearch}
	ordinary := s.mintFor(bob, api.NewToken{Permissions: daily})
	far := s.mintFor(bob, api.NewToken{ExpireIn: db.Never})
	strong := s.mintFor(admin, api.NewToken{Permissions: []string{db.PermBackup, db.PermTokenUpdate}})
	weak := s.mintFor(admin, api.NewToken{Permissions: daily})
	all := s.mintFor(admin, api.NewToken{})
	s.clock.advance(time.Hour)
	in := func(days int) int64 { return s.clock.now().Add(time.Duration(days) * 24 * time.Hour).Unix() }
	create, update := "/auth/access_token", func(id string) string { return "/auth/access_token/" + id }
	for name, c := range map[string]struct {
		who          *person
		method, path string
		body         any
		asks         bool
	}{
		"ordinary":                     {bob, "POST", create, api.NewToken{Name: "a"}, false},
		"ordinary, older clients":      {bob, "POST", "/auth/request_access_token", api.NewToken{Name: "a"}, false},
		"one's own by name":            {bob, "POST", create, api.NewToken{Owner: " BOB@example.com"}, false},
		"one's own by id":              {bob, "POST", create, api.NewToken{Owner: bob.id}, false},
		"a year":                       {bob, "POST", create, api.NewToken{ExpireIn: in(365)}, false},
		"the last day of a year":       {bob, "POST", create, api.NewToken{ExpireIn: in(366)}, false},
		"no end":                       {bob, "POST", create, api.NewToken{ExpireIn: -1}, true},
		"no end, older clients":        {bob, "POST", "/auth/request_access_token", api.NewToken{ExpireIn: -1}, true},
		"far off":                      {bob, "POST", create, api.NewToken{ExpireIn: in(366) + 1}, true},
		"in the year 2262":             {bob, "POST", create, api.NewToken{ExpireIn: db.MaxExpiry}, true},
		"all of an administrator":      {admin, "POST", create, api.NewToken{}, true},
		"all of one, older clients":    {admin, "POST", "/auth/request_access_token", nil, true},
		"few of an administrator":      {admin, "POST", create, api.NewToken{Permissions: daily}, false},
		"a backup's":                   {admin, "POST", create, api.NewToken{Permissions: []string{db.PermBackup}}, true},
		"everything":                   {admin, "POST", create, api.NewToken{Permissions: []string{db.PermAll}}, true},
		"for another":                  {admin, "POST", create, api.NewToken{Permissions: daily, Owner: bob.email}, true},
		"a new name":                   {bob, "PUT", update(ordinary.ID), api.TokenUpdate{Name: "b"}, false},
		"fewer permissions":            {bob, "PUT", update(ordinary.ID), api.TokenUpdate{Name: "b", Permissions: daily[:1]}, false},
		"a power more":                 {admin, "PUT", update(weak.ID), api.TokenUpdate{Name: "c", Permissions: []string{db.PermBackup}}, true},
		"the power that it has":        {admin, "PUT", update(strong.ID), api.TokenUpdate{Name: "c", Permissions: []string{db.PermBackup}}, false},
		"one power for another":        {admin, "PUT", update(s.mintFor(admin, api.NewToken{Permissions: []string{db.PermBackup}}).ID), api.TokenUpdate{Name: "c", Permissions: []string{db.PermKeys}}, true},
		"less than all":                {admin, "PUT", update(all.ID), api.TokenUpdate{Name: "c", Permissions: []string{db.PermBackup}}, false},
		"rotate an ordinary one":       {bob, "POST", update(ordinary.ID) + "/_rotate", api.Rotate{}, false},
		"rotate one to no end":         {bob, "POST", update(s.mintFor(bob, api.NewToken{Permissions: daily}).ID) + "/_rotate", api.Rotate{ExpireIn: -1}, true},
		"rotate one without an end":    {bob, "POST", update(far.ID) + "/_rotate", api.Rotate{}, true},
		"begin to rotate a strong one": {admin, "POST", update(strong.ID) + "/_rotate", api.Rotate{Hold: true}, true},
		"revoke a strong one":          {admin, "DELETE", update(s.mintFor(admin, api.NewToken{}).ID), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			body := ""
			if c.body != nil {
				body = jsonOf(c.body)
			}
			try := func(with edit) answer { return s.do(c.method, c.path, body, with) }
			if c.asks {
				before := len(s.events())
				try(c.who.session()).want(403, "proof_required")
				try(cookie(c.who.jwt)).want(403, "proof_required")
				if n := len(s.events()); n != before {
					t.Errorf("%d entries of what was not done", n-before)
				}
			}
			fresh := c.who
			if c.asks {
				fresh = s.signIn(c.who) // which is a proof
			}
			try(fresh.session()).want(200)
		})
	}
	root := s.mintFor(admin, api.NewToken{ExpireIn: -1})
	for _, with := range []edit{apiToken(root.AccessToken), local} {
		s.do("POST", create, jsonOf(api.NewToken{ExpireIn: -1}), with).want(200)
		s.do("POST", create, jsonOf(api.NewToken{Owner: bob.email}), with).want(200)
		s.do("PUT", update(weak.ID), jsonOf(api.TokenUpdate{Name: "c", Permissions: []string{db.PermKeys}}), with).want(200)
	}
	s.do("POST", "/account/proof", jsonOf(api.Proof{Password: admin.password}), admin.session()).want(200)
	s.do("POST", create, jsonOf(api.NewToken{ExpireIn: -1}), admin.session()).want(200)
	s.clock.advance(db.ProofLife)
	s.do("POST", create, jsonOf(api.NewToken{ExpireIn: -1}), admin.session()).want(403, "proof_required")
	s.do("PUT", update("00000000-0000-4000-8000-000000000000"), jsonOf(api.TokenUpdate{Name: "c", Permissions: []string{db.PermKeys}}), admin.session()).want(404)
}

// What a page offers at /connect goes on: it has asked for the proof.
func TestConnectAfterAProof(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.single()
	const asked = "provider=cvj0lm8d5sk2s9bcn2mg&product=coco&request_id=3d0ff5a2-0f0f-4a3b-9a3c-7d0b1f6d0a11"
	s.clock.advance(time.Hour)
	connect := func(more string) answer {
		return s.do("POST", "/connect", asked+more, cookie(admin.jwt), contentType(formType), acceptPage, header("Sec-Fetch-Site", "same-origin"))
	}
	if a := connect(""); a.status == http.StatusOK && len(s.told("token.create")) > 0 {
		t.Errorf("without a proof: %d", a.status)
	}
	connect("&proof=" + "seven+crates+of+apricots")
	if n := len(s.told("token.create")); n != 1 {
		t.Errorf("%d tokens", n)
	}
}
