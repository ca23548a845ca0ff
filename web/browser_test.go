package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestBrowserSingleUser(t *testing.T) {
	h := newTestHouse(t, nil)
	p := startChromium(t).open(h.base)

	p.visit("/")
	p.at("/setup", "Set up Husk")
	p.shoot("setup")
	p.fill("code", "aaaaa-bbbbb-ccccc")
	p.fill("password", testPassword)
	p.fill("again", testPassword)
	p.click("button")
	p.at("/setup/_initialize", "Set up Husk")
	if text := p.text(); !strings.Contains(text, "set-up code is missing or wrong") {
		t.Errorf("a wrong code is answered with:\n%s", text)
	}
	p.shoot("setup-wrong")
	p.fill("code", strings.ToUpper(h.SetupCode()))
	p.fill("password", testPassword)
	p.fill("again", testPassword)
	p.click("button")

	p.at("/login", "Sign in")
	p.shoot("login")
	p.fill("password", "not the password")
	p.click("button")
	p.at("/account/login", "Sign in")
	if text := p.text(); !strings.Contains(text, "password is wrong") {
		t.Errorf("a wrong password is answered with:\n%s", text)
	}
	p.shoot("login-wrong")
	p.fill("password", testPassword)
	p.click("button")

	p.at("/", "coco-default-user")
	p.shoot("home")
	p.visit("/login/")
	p.at("/", "coco-default-user")
	p.visit("/password")
	p.shoot("password")
	p.fill("old", testPassword)
	p.fill("new", testPassword+"!")
	p.fill("again", testPassword+"!")
	p.click("button")
	p.at("/", "coco-default-user")
	p.click("form button")
	p.at("/login", "Sign in")
	p.visit("/")
	p.at("/login", "Sign in")
}

// On plain http to another name than the machine's own a browser sends no
// Sec-Fetch-Site: then the forms hang on the Origin that it sends.
func TestBrowserPlainHTTP(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", "generated-for-ann", true)
	p := startChromium(t).open(strings.Replace(h.base, "127.0.0.1", "husk.test", 1))

	p.visit("/")
	p.at("/login", "Sign in")
	if p.eval("String(isSecureContext)") != "false" {
		t.Error("the test is about an insecure context")
	}
	p.shoot("login-multi")
	p.fill("email", "ann@example.com")
	p.fill("password", "wrong and wrong")
	p.click("button")
	if got := p.eval("document.getElementById('email').value"); got != "ann@example.com" {
		t.Errorf("the email is forgotten: %q", got)
	}
	p.shoot("login-multi-wrong")
	p.fill("password", "generated-for-ann")
	p.click("button")

	p.at("/password", "Change password")
	p.shoot("password-must")
	p.fill("old", "generated-for-ann")
	p.fill("new", testPassword)
	p.fill("again", "another one")
	p.click("button")
	if text := p.text(); !strings.Contains(text, "not the same") {
		t.Errorf("two different passwords are answered with:\n%s", text)
	}
	p.fill("old", "generated-for-ann")
	p.fill("new", testPassword)
	p.fill("again", testPassword)
	p.click("button")
	p.at("/", "ann")
	p.shoot("home-multi")
}

func TestBrowserDesktop(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := startChromium(t).open(h.base)

	p.visit("/login/?provider=coco-cloud&product=coco&request_id=" + testRequest)
	p.at("/login/", "Sign in")
	p.shoot("login-desktop")
	p.fill("password", testPassword)
	p.click("button")
	p.at("/connect", "Connect Coco AI?")
	p.shoot("connect")
	p.click("button")
	p.at("/connect", "Coco AI is connected")
	p.await("Page.frameRequestedNavigation")
	p.shoot("connected")
	p.eval("document.querySelector('details').open = true")
	p.shoot("connected-open")

	link := p.eval("document.querySelector('a').href")
	if len(p.seen) == 0 || p.seen[len(p.seen)-1] != link {
		t.Errorf("the browser wanted to open %q, the link is %q", p.seen, link)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	a := h.visitor().get("/account/profile", "X-Api-Token", u.Query().Get("code"))
	if a.StatusCode != http.StatusOK {
		t.Errorf("the token of the link: %d %s", a.StatusCode, a.body)
	}
}
