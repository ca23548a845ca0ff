package web

import (
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
	"husk/web/chromiumtest"
	"husk/web/gate"
)

// The first minute of somebody who opens the address: set-up, the first token, and a
// request with it.
func TestBrowserFirstMinute(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/")
	p.At("/setup", "Set up Husk")
	p.Fill("code", h.SetupCode())
	p.Fill("password", testPassword)
	p.Fill("again", testPassword)
	p.Click("button")
	p.At("/", "Welcome, coco-default-user")
	p.Shoot("me")
	p.Visit("/me/tokens")
	p.At("/me/tokens", "Your tokens")
	p.Shoot("tokens-0")
	p.Click("main a.button")
	p.At("/me/tokens/new", "New token")
	p.Fill("name", "nightly backup")
	p.Shoot("token-new")
	p.Click("main form button")
	p.At("/me/tokens", "Token made")
	p.Shoot("token-made")
	secret := p.Eval(`document.getElementById("secret").value`)
	a := h.visitor().get("/account/profile", "X-API-TOKEN", secret)
	if a.StatusCode != 200 || !strings.Contains(a.body, `"administrator":true`) {
		t.Errorf("the token is not good: %d %s", a.StatusCode, a.body)
	}
	p.Eval(`document.querySelector("main form input").click()`)
	p.Click("main form button")
	p.At(p.Eval("location.pathname"), "nightly backup")
	p.Shoot("token")
	p.Visit("/me/tokens")
	p.Shoot("tokens-1")
}

// The rooms of everybody, with long names in them, as they are seen.
func TestBrowserMyRooms(t *testing.T) {
	dbtest.TakesVeryLong(t, "one's own rooms in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	rules, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "wiki.example.com", Require: []string{"any"}}, {Host: "status.example.com", Require: []string{"public"}},
		{Host: "grafana.monitoring.internal.example.com", Require: []string{"any", "grafana#dashboard/read"}},
	}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h.SetGate(rules)
	v := newRoomsVisitor(h)
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("email", annEmailHere)
	p.Fill("password", testPassword)
	p.Click("button")
	p.Shoot("me-start")
	p.Visit("/me/tokens")
	p.Shoot("me-tokens")
	p.Visit("/me/tokens/ended")
	p.Shoot("me-tokens-ended")
	p.Visit("/me/tokens/new")
	p.Eval(`document.querySelector("input[value=these]").click(); document.querySelector("select").value = "date"; document.querySelector("details").open = true; "" + scrollTo(0, 300)`)
	p.Shoot("me-token-new")
	p.Fill("name", "nightly")
	p.Click("main form button[type=submit]")
	p.At("/me/tokens", "New token")
	p.Shoot("me-token-refused")
	p.Visit("/me/tokens/" + v)
	p.Shoot("me-token")
	p.Visit("/me/tokens/" + v + "/edit")
	p.Shoot("me-token-edit")
	p.Visit("/me/tokens/" + v + "/rotate")
	p.Shoot("me-token-rotate")
	p.Click("main form button[type=submit]")
	p.At("/me/tokens/"+v+"/rotate", "A new secret")
	p.Shoot("me-token-rotated")
	p.Click(`main p a`)
	p.Shoot("me-token-unsettled")
	p.Visit("/me/tokens/" + v + "/revoke")
	p.Shoot("me-token-revoke")
	p.Visit("/me/sessions")
	p.Shoot("me-sessions")
	p.Visit("/me/applications")
	p.Shoot("me-applications")
	p.Visit("/me/account")
	p.Shoot("me-account")
	p.Visit("/password")
	p.Fill("new", "password")
	if told := p.Eval(`document.querySelector(".strength").textContent`); told != "Easy to guess" {
		t.Errorf("it is told to be %q", told)
	}
	p.Shoot("me-password")
	p.Visit("/me/tokens?lang=zh")
	p.Shoot("me-tokens-zh")
	p.Visit("/me/tokens/" + v)
	p.Shoot("me-token-zh")
	p.Visit("/me/tokens/new")
	p.Shoot("me-token-new-zh")
	p.Visit("/me/account?lang=en")
	p.Visit("/me/sessions/signout")
	p.Click("main form button")
	p.Fill("password", testPassword)
	p.Click("button")
	p.Shoot("me-steps")
	p.Visit("/console/tokens")
	p.Shoot("all-tokens")
	p.Visit("/console/tokens/" + v)
	p.Shoot("all-token")
}

// newRoomsVisitor makes somebody who has a bit of everything, and returns the id of a
// token.
func newRoomsVisitor(h *testHouse) string {
	h.Helper()
	v := h.newAnn()
	h.signedIn(annEmailHere)
	id, _ := v.makeToken("gone by now")
	v.post("/me/tokens/" + id + "/revoke")
	v.makeToken("مفتاح النسخ الاحتياطي الليلي 🌙")
	v.makeToken(strings.Repeat("夜间备份脚本", 20))
	v.post("/me/tokens", "name", "nightly backup", "ends", "30", "rights", "all")
	h.wait(time.Second)
	v.post("/me/tokens", "name", "wiki robot", "description", "Writes the changelog into the wiki.", "ends", "90", "rights", "these", "permissions", db.PermTokenSearch,
		"addresses", "10.0.0.0/8 2001:db8::/32", "hosts", "wiki.example.com", "paths", "/api/ /changelog", "methods", "GET POST")
	return h.allTokens()[0].ID
}
