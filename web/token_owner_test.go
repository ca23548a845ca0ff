package web_test

import (
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
)

// The tokens of somebody who is disabled say so wherever they are shown, and those of
// others have no such member.
func TestTokensOfTheDisabledSaySo(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{Name: "hers"})
	s.mint(admin.session(), api.NewToken{Name: "admin's"})
	shown := func() (disabled map[string]bool) {
		disabled = map[string]bool{}
		for _, path := range []string{"/auth/access_token/_search?owner=*", "/auth/access_token/_search?owner=*&query=hers"} {
			var page api.Search[api.Token]
			a := s.do("GET", path, "", admin.session()).want(200)
			a.json(&page)
			for _, hit := range page.Hits.Hits {
				disabled[hit.Source.Name] = hit.Source.OwnerDisabled
			}
			if has := strings.Contains(a.body, "owner_disabled"); has != disabled["hers"] {
				t.Errorf("%s: has the member: %t\n%s", path, has, a.body)
			}
		}
		return disabled
	}
	for _, disabled := range []bool{false, true, false} {
		s.do("PUT", "/security/user/"+ann.id, jsonOf(api.UserUpdate{Disabled: &disabled}), admin.session()).want(200)
		if got := shown(); len(got) != 2 || got["hers"] != disabled || got["admin's"] {
			t.Errorf("disabled %t: the lists tell %v", disabled, got)
		}
		if got := s.shown(made.ID); got.OwnerDisabled != disabled || got.ExpireIn == db.Never {
			t.Errorf("disabled %t: %+v", disabled, got)
		}
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(map[bool]int{false: 200, true: 401}[disabled])
	}
}
