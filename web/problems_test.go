package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
)

// Who sends several things that can't be is told of all of them; one alone has the
// form that errors always had. Nothing is made or changed.
func TestAllThatIsWrongIsTold(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	kept := s.mint(ann.session(), api.NewToken{Name: "kept"})
	s.role("clerk", db.PermUserRead)
	long := strings.Repeat("x", 1001)
	for name, c := range map[string]struct {
		method, path string
		body         any
		with         edit
		status       int
		want         string // codes, and the field where the code does not tell; the first is that of the whole
	}{
		"token, one": {"POST", "/auth/access_token", api.NewToken{AllowedHosts: []string{"a b"}}, ann.session(), 400, "bad_host"},
		"token, all": {"POST", "/auth/access_token", api.NewToken{Name: "a\u202eb", Description: long, ExpireIn: 1, Permissions: []string{"x"}, Owner: "nobody@example.com",
			AllowedIPs: []string{"here"}, AllowedHosts: []string{"a b"}, AllowedPaths: []string{"/../"}, AllowedMethods: []string{"get"}}, admin.session(), 400,
			"bad_prefix bad_host bad_path bad_method text_not_plain:name text_too_long:description not_found bad_expiry bad_permission"},
		"token, denied": {"POST", "/auth/access_token", api.NewToken{ExpireIn: 1, Permissions: []string{db.PermUserCreate}, AllowedMethods: []string{"get"}}, ann.session(), 403,
			"asks_more bad_method bad_expiry"},
		"token, in the store": {"POST", "/auth/access_token", api.NewToken{Owner: "nobody@example.com", ExpireIn: 1}, admin.session(), 404, "not_found bad_expiry"},
		"change of a token": {"PUT", "/auth/access_token/" + kept.ID, api.TokenUpdate{Description: &long, Permissions: []string{""}, AllowedIPs: &[]string{"here"}, AllowedPaths: &[]string{"//"}}, ann.session(), 400,
			"bad_prefix bad_path name_required text_too_long:description bad_permission"},
		"change, in the store":   {"PUT", "/auth/access_token/" + kept.ID, api.TokenUpdate{Name: "a\tb", Permissions: []string{db.PermUserCreate}}, ann.session(), 403, "asks_more text_not_plain:name"},
		"change of another's":    {"PUT", "/auth/access_token/" + kept.ID, api.TokenUpdate{Name: "a\tb", AllowedIPs: &[]string{"here"}}, s.newUser("bob@example.com").session(), 400, "bad_prefix"},
		"user":                   {"POST", "/security/user", api.NewUser{Email: "nobody", Name: "a\tb", Password: "short", Roles: []string{"nothing"}}, admin.session(), 400, "password_too_short bad_email text_not_plain:name unknown_role"},
		"change of a user":       {"PUT", "/security/user/" + ann.id, api.UserUpdate{Email: ptr("nobody"), Name: ptr("a\tb")}, admin.session(), 400, "text_not_plain:name bad_email"},
		"role":                   {"POST", "/security/role", api.RoleChange{Name: "a b", Description: &long, Grants: &api.Grants{Permissions: []string{"x"}}}, admin.session(), 400, "bad_role_name text_too_long:description bad_permission"},
		"change of a role":       {"PUT", "/security/role/clerk", api.RoleChange{Description: &long, Grants: &api.Grants{Permissions: []string{"x"}}}, admin.session(), 400, "text_too_long:description bad_permission"},
		"description of a token": {"POST", "/auth/access_token", api.NewToken{Description: long}, ann.session(), 400, "text_too_long:description"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(c.method, c.path, jsonOf(c.body), c.with).want(c.status)
			var e api.Error
			a.json(&e)
			var got []string
			for _, one := range e.All() {
				got = append(got, strings.TrimSuffix(one.Detail.Code+":"+one.Detail.Field, ":"))
			}
			if strings.Join(got, " ") != c.want || e.Detail.Code != e.All()[0].Detail.Code || e.Detail.Reason != e.All()[0].Detail.Reason {
				t.Errorf("%v, want %s\n%s", got, c.want, a.body)
			}
			if has := strings.Contains(a.body, `"errors"`); has != (len(got) > 1) {
				t.Errorf("a list of errors: %t\n%s", has, a.body)
			}
		})
	}
	if a := s.shown(kept.ID); a.Name != "kept" || len(a.AllowedIPs)+len(a.Permissions) != 0 {
		t.Errorf("it was changed: %+v", a)
	}
	var all api.Search[api.Token]
	s.do("GET", "/auth/access_token/_search?owner=*", "", admin.session()).want(http.StatusOK).json(&all)
	if all.Hits.Total.Value != 1 {
		t.Errorf("%d tokens", all.Hits.Total.Value)
	}
	must(t, s.store.FlushLastUsed(t.Context()))
	if e := s.events(); !slices.ContainsFunc(e, func(e db.Event) bool { return e.Result == "refused" && e.Actor == ann.id }) {
		t.Errorf("what was denied among others is not in the audit log: %+v", e)
	}
}
