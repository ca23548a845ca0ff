package web

import (
	"strings"
	"testing"

	"husk/web/chromiumtest"
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
