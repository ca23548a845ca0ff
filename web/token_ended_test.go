package web_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// gone returns the ended tokens that somebody is shown of an owner.
func (s *server) gone(owner string, with edit) (all []api.EndedToken) {
	s.t.Helper()
	var page api.Search[api.EndedToken]
	s.do("GET", "/auth/access_token/_ended?owner="+url.QueryEscape(owner), "", with).want(200).json(&page)
	for _, hit := range page.Hits.Hits {
		all = append(all, hit.Source)
	}
	return all
}

// TestEndedTokens: whose they were sees that they are gone, and who may read the
// audit log by whom, too.
func TestEndedTokens(t *testing.T) {
	s := newServer(t)
	admin, ann, bob := s.single(), s.newUser(annEmail), s.newUser("bob@example.com")
	mint := func() api.TokenCreated { s.clock.advance(time.Second); return s.mint(ann.session(), api.NewToken{}) }
	own, shown, others := mint(), mint(), mint()
	s.do("DELETE", "/auth/access_token/"+own.ID, "", ann.session()).want(200)
	s.clock.advance(time.Second)
	s.revoke(shown.AccessToken, ann.session()).want(200)
	s.clock.advance(time.Second)
	s.do("DELETE", "/auth/access_token/"+others.ID, "", admin.session()).want(200)

	for name, with := range map[string]edit{"an administrator": admin.session(), "the owner of the file": local} {
		got := s.gone(annEmail, with)
		if len(got) != 3 || got[0].ID != others.ID || got[0].By != db.SingleUser || got[1].By != ann.id || got[1].ByName != annEmail || got[2].ID != own.ID {
			t.Errorf("%s is shown %+v", name, got)
		}
		if all := s.gone("*", with); len(all) != 3 {
			t.Errorf("%s is shown %d of everybody's", name, len(all))
		}
	}
	got := s.gone("", ann.session())
	if len(got) != 3 || got[0].By+got[0].ByName != "" || got[0].Reason != db.EndedRevoked || got[1].ID != shown.ID || got[2].By != ann.id {
		t.Errorf("she is shown %+v", got)
	}
	if got := s.gone("", bob.session()); len(got) != 0 {
		t.Errorf("another is shown %+v", got)
	}
	for _, owner := range []string{"*", annEmail, db.SingleUser, "nobody@example.com"} {
		s.do("GET", "/auth/access_token/_ended?owner="+owner, "", bob.session()).want(403, "administrator_required")
	}
	s.do("GET", "/auth/access_token/_ended?owner=nobody@example.com", "", admin.session()).want(404)
	// What a narrow token may see is one's own, also an administrator's.
	narrow := s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermTokenSearch}})
	s.do("GET", "/auth/access_token/_ended?owner=*", "", apiToken(narrow.AccessToken)).want(403, "administrator_required")
	if got := s.gone("", apiToken(narrow.AccessToken)); len(got) != 0 {
		t.Errorf("a narrow token is shown %+v", got)
	}

	// What is gone is as if it had never been to whoever asks what it is worth.
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: own.AccessToken}), ann.session()).want(404, "not_found")
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: own.AccessToken}), bob.session()).want(404, "not_found")
}

// TestTokenFilters: each filter of the API, with whose tokens they are.
func TestTokenFilters(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	soon := s.mint(ann.session(), api.NewToken{Name: "soon", ExpireIn: s.clock.now().Add(24 * time.Hour).Unix()})
	s.clock.advance(time.Second)
	s.mint(ann.session(), api.NewToken{Name: "always", ExpireIn: db.Never, AllowedIPs: []string{"10.0.0.0/8"}})
	s.clock.advance(time.Second)
	s.mint(admin.session(), api.NewToken{Name: "admin's"})
	s.do("GET", "/account/profile", "", apiToken(soon.AccessToken), from("198.51.100.7")).want(200)

	for _, test := range []struct {
		query string
		with  edit
		want  []string
	}{
		{"filter=expiring", ann.session(), []string{"soon"}},
		{"filter=expiring", admin.session(), nil},
		{"filter=expiring&owner=*", admin.session(), []string{"soon"}},
		{"filter=no_expiry&owner=" + annEmail, admin.session(), []string{"always"}},
		{"filter=never", ann.session(), []string{"always"}},
		{"filter=never&owner=*", admin.session(), []string{"admin's", "always"}},
		{"filter=never&owner=*&query=alw", admin.session(), []string{"always"}},
		{"filter=unused&owner=*", admin.session(), nil},
		{"address=198.51.100.0/24", ann.session(), []string{"soon"}},
		{"address=198.51.100.9/24&owner=*", local, []string{"soon"}},
		{"address=10.0.0.0/8", ann.session(), []string{"always"}},
		{"address=198.51.100.7", admin.session(), nil},
		{"filter=&address=", admin.session(), []string{"admin's"}},
	} {
		var page api.Search[api.Token]
		s.do("GET", "/auth/access_token/_search?"+test.query, "", test.with).want(200).json(&page)
		var got []string
		for _, hit := range page.Hits.Hits {
			got = append(got, hit.Source.Name)
		}
		if !slices.Equal(got, test.want) || page.Hits.Total != (api.Total{Value: int64(len(test.want)), Relation: "eq"}) {
			t.Errorf("%s: %q of %+v, want %q", test.query, got, page.Hits.Total, test.want)
		}
	}
	for query, code := range map[string]string{
		"filter=unusual": "bad_filter", "filter=never&from=1": "bad_page", "filter=unused&sort=name": "bad_sort", "address=here": "bad_prefix", "address=::ffff:10.0.0.0/104": "bad_prefix",
	} {
		s.do("GET", "/auth/access_token/_search?"+query, "", admin.session()).want(400, code)
	}
	s.do("GET", "/auth/access_token/_search?filter=never&owner=*", "", ann.session()).want(403, "administrator_required")
}

func TestSessionsByAddress(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	s.do("GET", "/account/profile", "", ann.session(), from("198.51.100.7")).want(200)
	for query, want := range map[string]int64{"address=198.51.100.0/24": 1, "address=198.51.100.7&user=" + annEmail: 1, "address=198.51.100.7&user=" + db.SingleUser: 0, "address=203.0.113.1": 0} {
		var page api.Search[api.Session]
		s.do("GET", "/security/session/_search?"+query, "", admin.session()).want(200).json(&page)
		if page.Hits.Total != (api.Total{Value: want, Relation: "eq"}) {
			t.Errorf("%s: %+v, want %d", query, page.Hits.Total, want)
		}
	}
	s.do("GET", "/security/session/_search?address=here", "", admin.session()).want(400, "bad_prefix")
}
