package web_test

import (
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
)

// Who reads a user, or a session, is told where its user may do more: then it can't be
// changed or ended by them, as the API says when it is tried.
func TestAboveIsTold(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	s.role("desk", db.PermUserRead, db.PermUserUpdate, db.PermSessionSearch, db.PermSessionDelete)
	desk := s.newUser("desk@example.com", "desk")
	for name, c := range map[string]struct {
		with  edit
		who   *person
		above bool
	}{
		"an administrator, for the desk": {desk.session(), admin, true},
		"a user, for the desk":           {desk.session(), ann, true}, // who has tokens, and the desk none
		"oneself":                        {desk.session(), desk, false},
		"the desk, for an administrator": {admin.session(), desk, false},
		"oneself, as administrator":      {admin.session(), admin, false},
		"an administrator, for root":     {local, admin, false},
	} {
		t.Run(name, func(t *testing.T) {
			var user api.Found[api.User]
			a := s.do("GET", "/security/user/"+c.who.id, "", c.with).want(200)
			if a.json(&user); user.Source.Above != c.above || strings.Contains(a.body, `"above"`) != c.above {
				t.Errorf("the user: %s", a.body)
			}
			var found api.Search[api.Session]
			s.do("GET", "/security/session/_search?user="+c.who.id, "", c.with).want(200).json(&found)
			var session api.Found[api.SessionDetails]
			a = s.do("GET", "/security/session/"+found.Hits.Hits[0].ID, "", c.with).want(200)
			if a.json(&session); session.Source.Above != c.above || strings.Contains(a.body, `"above"`) != c.above {
				t.Errorf("the session: %s", a.body)
			}
			if c.above {
				s.do("PUT", "/security/user/"+c.who.id, jsonOf(api.UserUpdate{Name: ptr("x")}), c.with).want(403, "user_above")
				s.do("DELETE", "/security/session/"+found.Hits.Hits[0].ID, "", c.with).want(403, "user_above")
			}
		})
	}
}
