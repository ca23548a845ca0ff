package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/console"
)

// setsUp are the routes of the API by which a second factor is set up or proved, and
// nothing else: they answer while a role requires one.
var setsUp = []string{
	"GET /account/second_factor", "POST /account/second_factor/_seen", "POST /account/totp", "PUT /account/totp", "POST /account/proof",
	"GET /account/passkeys", "GET /account/passkeys/:id", "POST /account/passkeys/_begin", "POST /account/passkeys/_finish",
	"POST /account/proof/passkey/_begin", "POST /account/proof/passkey/_finish",
}

// heldAt tells whether a session that a role holds back is refused at a route.
func heldAt(r web.RouteInfo) bool { return r.Need != "public" && !r.Early && !r.SetsUp }

// What a session may do that a role holds back is written twice.
func TestRoutesThatSetUpASecondFactor(t *testing.T) {
	for _, r := range newServer(t).Table() {
		if r.Page || console.InHouse(r.Path) {
			continue
		}
		if name := r.Method + " " + r.Path; r.SetsUp != slices.Contains(setsUp, name) {
			t.Errorf("%s answers while a role requires a second factor: %t", name, r.SetsUp)
		}
	}
}

// While a role requires a second factor, sessions without one do nothing at any route
// but set it up or prove it: administrators too, and before anything else is looked at.
// API tokens and the owner of the store are not held back.
func TestHeldBackByARole(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	s.requires(db.RoleAdmin, true)
	s.requires(db.RoleUser, true)
	token := s.mintFor(admin, api.NewToken{}).AccessToken
	ben := s.newUser("ben@example.com")
	a, _ := s.enrol(ben.session())
	ben = s.unproved(a.signIn(ben))
	held := 0
	for _, r := range s.Table() {
		if !heldAt(r) || r.Page || console.InHouse(r.Path) {
			continue
		}
		held++
		path := strings.ReplaceAll(r.Path, ":id", "someid")
		for _, p := range []*person{admin, ann} {
			s.do(r.Method, path, "", p.session()).want(http.StatusForbidden, "second_factor_setup_required")
		}
		s.do(r.Method, path, "", ben.session()).want(http.StatusForbidden, "second_factor_required")
	}
	if held < 50 {
		t.Errorf("only %d routes were asked", held)
	}
	for _, with := range []edit{apiToken(token), local} {
		s.do("GET", "/security/user/_search", "", with).want(200)
	}
	for p, want := range map[*person]string{admin: "setup", ann: "setup", ben: "proof"} {
		var profile api.Profile
		if s.do("GET", "/account/profile", "", p.session()).want(200).json(&profile); profile.SecondFactor != want {
			t.Errorf("the profile of %s says %q", p.email, profile.SecondFactor)
		}
	}
	s.do("POST", "/account/logout", "", ann.session()).want(200)
	s.do("GET", "/account/profile", "", ann.session()).want(401)
}

// A role holds sessions back from their next request on, whoever gave it to whom, and
// lets them go when it requires nothing any more.
func TestRolesHoldBackAtOnce(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	const path = "/auth/access_token/_search"
	held, free := func() { s.t.Helper(); s.do("GET", path, "", ann.session()).want(403, "second_factor_setup_required") },
		func() { s.t.Helper(); s.do("GET", path, "", ann.session()).want(200) }
	free()
	s.requires(db.RoleUser, true)
	held()
	s.requires(db.RoleUser, false)
	free()
	strict := true
	_, err := s.local.CreateRole(t.Context(), api.RoleChange{Name: "strict", RequireSecondFactor: &strict, NoPermissions: true})
	must(t, err)
	roles := []string{"user", "strict"}
	_, err = s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Roles: &roles})
	must(t, err)
	held()
	shown, err := s.local.GetSession(t.Context(), s.sessionOf(ann))
	must(t, err)
	if shown.Source.WantsFactor != "setup" || !shown.Source.Valid {
		t.Errorf("the session is shown as %+v", shown.Source)
	}
	s.enrol(ann.session())
	free()
	if shown, _ = s.local.GetSession(t.Context(), shown.ID); shown.Source.WantsFactor != "" || shown.Source.SecondFactor == nil || !slices.Equal(shown.Source.Methods, []string{"password", "totp"}) {
		t.Errorf("the session is shown as %+v", shown.Source)
	}
}

// sessionOf names the newest session of p.
func (s *server) sessionOf(p *person) string {
	s.t.Helper()
	found, err := s.local.SearchSessions(s.t.Context(), api.ListOptions{Filter: map[string]string{"user": p.id}})
	must(s.t, err)
	return found.Hits.Hits[0].ID
}
