package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"husk/db"
	"husk/web/console"
)

// An ordinary user is shown nothing of the rooms of others, not even an empty form.
func TestRoomsOfOthersAreShut(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	u := h.user("bob@example.com", testPassword, false)
	h.signedIn(u.Email).makeToken("of bob")
	ids := map[string]string{"/console/tokens/": h.allTokens()[0].ID}
	looked := 0
	for _, p := range console.Places() {
		if p.Method != http.MethodGet || !strings.HasPrefix(p.Path, "/console") || strings.HasPrefix(p.Path, "/console/manual") {
			continue
		}
		id := u.ID
		for room, other := range ids {
			if strings.HasPrefix(p.Path, room) {
				id = other
			}
		}
		a := v.get(strings.ReplaceAll(p.Path, ":id", id))
		if a.StatusCode != http.StatusForbidden && (a.StatusCode != http.StatusNotFound || !strings.Contains(p.Path, "/tokens/:id")) {
			t.Errorf("%s: %d", p.Path, a.StatusCode)
		}
		a.lacks(t, "bob@example.com", "of bob", "<form method=\"post\" action=\"/console")
		looked++
	}
	if looked < 25 {
		t.Errorf("%d pages", looked)
	}
}

// Beside records the API has routes with an underscore, which are none.
func TestNoRecordIsARoute(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	for _, p := range console.Places() {
		if !strings.Contains(p.Path, ":id") {
			continue
		}
		for _, id := range []string{"_search", "_ended", "_cat", "_import"} {
			v.do(p.Method, strings.ReplaceAll(p.Path, ":id", id), formType, "").isPage(t, http.StatusNotFound)
		}
	}
}

// What people copy names the server as it is configured, whatever was asked for.
func TestWhatIsCopiedNamesThePublicURL(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://husk.example.com" })
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	v.send("/me/tokens", url.Values{"name": {"x"}, "ends": {"90"}, "rights": {"these"}, "permissions": {db.PermTokenSearch}}).isPage(t, http.StatusOK, "http://husk.example.com/account/profile")
	v.post("/console/users", "email", annEmailHere, "way", "invite").isPage(t, http.StatusOK, "http://husk.example.com/login")
}
