package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

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

	// Nor by a form that came over a sign-in, or that lacks the password.
	h.wait(11 * time.Minute)
	for _, p := range console.Places() {
		if p.Method == http.MethodGet || !strings.HasPrefix(p.Path, "/console") {
			continue
		}
		path, mine := strings.ReplaceAll(p.Path, ":id", u.ID), ""
		if p.Path == "/console/tokens" {
			mine = "yes" // without it that makes a token of one's own, as anywhere
		}
		for _, kept := range []string{"yes", mine} {
			form := url.Values{"kept": {kept}, "way": {"invite"}, "email": {"eve@example.com"}, "roles": {"admin"}, "user": {u.ID}}
			maps.DeleteFunc(form, func(name string, _ []string) bool { return !slices.Contains(p.Handler.Reads(), name) })
			a := v.send(path, form)
			if p.Handler.Uploads {
				a = v.upload(path, twoUsers, nil, "kept", kept)
			}
			if a.StatusCode < 400 || strings.Contains(a.body, "not known here") {
				t.Errorf("POST %s: %d %s", path, a.StatusCode, a.Header.Get("Location"))
			}
		}
		looked++
	}
	if looked < 40 {
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
