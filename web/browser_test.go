package web

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/db"
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

// The wait of a throttled page is counted down to its end: in the browser's own
// time, which is set ahead.
func TestBrowserCountsDown(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1, Address: 100, Delay: 75 * time.Second} })
	h.user("", testPassword, false)
	p := startChromium(t).open(h.base)
	p.visit("/nosuch")
	p.at("/nosuch", "Nothing here")
	p.shoot("nothing-here")
	p.visit("/login")
	for range 2 {
		p.fill("password", "not the password")
		p.click("button")
	}
	p.at("/account/login", "Sign in")
	if text := p.text(); !strings.Contains(text, "You can try again in 7") {
		t.Errorf("no time is told:\n%s", text)
	}
	p.shoot("login-throttled")
	p.do("Emulation.setVirtualTimePolicy", map[string]any{"policy": "advance", "budget": 76_000}, nil)
	p.await("Emulation.virtualTimeBudgetExpired")
	if text := p.text(); !strings.Contains(text, "You can try again now.") {
		t.Errorf("the time is not counted down:\n%s", text)
	}
}

// On plain http to another name than the machine's own a browser sends no
// Sec-Fetch-Site: then the forms hang on the Origin that it sends.
func TestBrowserPlainHTTP(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://husk.test" })
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
	p.click("form button")
	p.at("/login", "Sign in")
	p.visit("/")
	p.at("/login", "Sign in")
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

// foreignPage is another's page, with one form or one link that leads to us.
func foreignPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if policy := r.FormValue("policy"); policy != "" {
		w.Header().Set("Referrer-Policy", policy)
	}
	to := html.EscapeString(r.FormValue("to"))
	if r.URL.Path == "/link" {
		fmt.Fprintf(w, `<h1>A prize</h1><a href="%s">Take it</a>`, to)
		return
	}
	fmt.Fprintf(w, `<h1>A prize</h1><form method="post" action="%s">`, to)
	for name, values := range r.Form {
		fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(values[0]))
	}
	fmt.Fprint(w, `<button>Take it</button></form>`)
}

// besideForeign is a browser that is signed in to base, by the first of the
// names, and is led to the foreign page at evil, by the second.
func (h *testHouse) besideForeign(t *testing.T, hosts [2]string) (p *tab, base, evil string) {
	t.Helper()
	foreign := httptest.NewServer(http.HandlerFunc(foreignPage))
	t.Cleanup(foreign.Close)
	base = strings.Replace(h.base, "127.0.0.1", hosts[0], 1)
	evil = strings.Replace(foreign.URL, "127.0.0.1", hosts[1], 1)
	p = startChromium(t).open(base)
	p.visit("/login")
	p.fill("password", testPassword)
	p.click("button")
	p.at("/", "coco-default-user")
	p.foreign = true
	return p, base, evil
}

// A page of a sibling is of the same site: the browser sends our cookie with
// what it makes people click, and only the origin tells it from our own.
func TestBrowserSiblingSite(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://id.husk.test" })
	h.user("", testPassword, false)
	h.user("eve@example.com", "a phrase of her own", false)
	for name, hosts := range map[string][2]string{
		"no Sec-Fetch-Site": {"id.husk.test", "evil.husk.test"}, // plain http to a name
		"another port":      {"127.0.0.1", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			p, base, evil := h.besideForeign(t, hosts)
			trap := func(path, to string, pairs ...string) {
				t.Helper()
				q := url.Values{"to": {base + to}}
				for i := 0; i < len(pairs); i += 2 {
					q.Set(pairs[i], pairs[i+1])
				}
				p.do("Page.navigate", map[string]any{"url": evil + path + "?" + q.Encode()}, nil)
				p.await("Page.loadEventFired")
				p.click("button, a")
				p.at(to, "Not permitted")
				if text := p.text(); !strings.Contains(text, "--public-url") {
					t.Errorf("%s is answered with:\n%s", to, text)
				}
				p.visit("/")
				p.at("/", "coco-default-user")
			}
			trap("/form", "/account/logout")
			trap("/form", "/account/login", "email", "eve@example.com", "password", "a phrase of her own")
			trap("/form", "/connect", "product", "coco", "provider", "coco-cloud", "request_id", testRequest)
			trap("/form", "/password", "old_password", testPassword, "new_password", "a phrase of hers too", "again", "a phrase of hers too")
			if tokens, err := h.Store.Tokens(t.Context(), db.ListQuery{Size: 10}); err != nil || len(tokens.Items) != 0 {
				t.Errorf("%d tokens, %v", len(tokens.Items), err)
			}
		})
	}
}

// A link signs nobody out, also where the browser does not tell from which site
// it was led, and where the page keeps its own address back.
func TestBrowserForeignLogoutLink(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://id.husk.test" })
	h.user("", testPassword, false)
	for name, hosts := range map[string][2]string{
		"Sec-Fetch-Site":           {"127.0.0.1", "127.0.0.1"},
		"a sibling on plain http":  {"id.husk.test", "evil.husk.test"},
		"a stranger on plain http": {"id.husk.test", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			p, base, evil := h.besideForeign(t, hosts)
			for _, policy := range []string{"unsafe-url", "no-referrer"} {
				q := url.Values{"to": {base + "/account/logout"}, "policy": {policy}}
				p.do("Page.navigate", map[string]any{"url": evil + "/link?" + q.Encode()}, nil)
				p.await("Page.loadEventFired")
				p.click("a")
				if text := p.text(); !strings.Contains(text, `"cross_origin"`) {
					t.Errorf("the link is answered with:\n%s", text)
				}
				p.visit("/")
				p.at("/", "coco-default-user")
			}
			if hosts[0] == "127.0.0.1" {
				p.visit("/account/logout") // typed in by the person
			} else {
				p.eval("document.body.innerHTML = '<a href=\"/account/logout\">out</a>'") // of the own page
				p.click("a")
			}
			if text := p.text(); !strings.Contains(text, `"ok"`) {
				t.Errorf("the own page is answered with:\n%s", text)
			}
			p.visit("/")
			p.at("/login", "Sign in")
		})
	}
}

// A name of somebody else's that leads to this machine opens nothing here.
func TestBrowserRebinding(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := startChromium(t).open(strings.Replace(h.base, "127.0.0.1", "evil.husk.test", 1))
	p.visit("/login")
	if text := p.text(); !strings.Contains(text, `"misdirected"`) || !strings.Contains(text, "--public-url") {
		t.Errorf("the page gets:\n%s", text)
	}
	p.visit("/account/profile")
	if text := p.text(); !strings.Contains(text, `"misdirected"`) {
		t.Errorf("the API gives it:\n%s", text)
	}
}
