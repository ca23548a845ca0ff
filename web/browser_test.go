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
	"husk/web/chromiumtest"
)

func TestBrowserSingleUser(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	p := chromiumtest.Start(t).Open(h.base)

	p.Visit("/")
	p.At("/setup", "Set up Husk")
	p.Shoot("setup")
	p.Fill("code", "aaaaa-bbbbb-ccccc")
	p.Fill("password", testPassword)
	p.Fill("again", testPassword)
	p.Click("button")
	p.At("/setup/_initialize", "Set up Husk")
	if text := p.Text(); !strings.Contains(text, "set-up code is missing or wrong") {
		t.Errorf("a wrong code is answered with:\n%s", text)
	}
	p.Shoot("setup-wrong")
	p.Fill("code", strings.ToUpper(h.SetupCode()))
	p.Fill("password", testPassword)
	p.Fill("again", testPassword)
	p.Click("button")

	p.At("/", "Welcome, coco-default-user") // who sets up is signed in
	p.Click("form button")
	p.At("/login", "Sign in")
	p.Shoot("login")
	p.Fill("password", "not the password")
	p.Click("button")
	p.At("/account/login", "Sign in")
	if text := p.Text(); !strings.Contains(text, "password is wrong") {
		t.Errorf("a wrong password is answered with:\n%s", text)
	}
	p.Shoot("login-wrong")
	p.Fill("password", testPassword)
	p.Click("button")

	p.At("/", "Welcome, coco-default-user")
	p.Shoot("home")
	p.Visit("/login/")
	p.At("/", "Welcome, coco-default-user")
	p.Visit("/password")
	p.Shoot("password")
	p.Fill("old", testPassword)
	p.Fill("new", testPassword+"!")
	p.Fill("again", testPassword+"!")
	p.Click("main form button")
	p.At("/me/account", "Your account")
	p.Click("form button")
	p.At("/login", "Sign in")
	p.Visit("/")
	p.At("/login", "Sign in")
}

// The wait of a throttled page is counted down to its end: in the browser's own
// time, which is set ahead.
func TestBrowserCountsDown(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1, Address: 100, Delay: 75 * time.Second} })
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/nosuch")
	p.At("/nosuch", "Nothing here")
	p.Shoot("nothing-here")
	p.Visit("/login")
	for range 2 {
		p.Fill("password", "not the password")
		p.Click("button")
	}
	p.At("/account/login", "Sign in")
	if text := p.Text(); !strings.Contains(text, "You can try again in 7") {
		t.Errorf("no time is told:\n%s", text)
	}
	p.Shoot("login-throttled")
	p.Do("Emulation.setVirtualTimePolicy", map[string]any{"policy": "advance", "budget": 76_000}, nil)
	p.Await("Emulation.virtualTimeBudgetExpired")
	if text := p.Text(); !strings.Contains(text, "You can try again now.") {
		t.Errorf("the time is not counted down:\n%s", text)
	}
}

// On plain http to another name than the machine's own a browser sends no
// Sec-Fetch-Site: then the forms hang on the Origin that it sends.
func TestBrowserPlainHTTP(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://husk.test" })
	h.user("", testPassword, false)
	h.user("ann@example.com", "generated-for-ann", true)
	p := chromiumtest.Start(t).Open(strings.Replace(h.base, "127.0.0.1", "husk.test", 1))

	p.Visit("/")
	p.At("/login", "Sign in")
	if p.Eval("String(isSecureContext)") != "false" {
		t.Error("the test is about an insecure context")
	}
	p.Shoot("login-multi")
	p.Fill("email", "ann@example.com")
	p.Fill("password", "wrong and wrong")
	p.Click("button")
	if got := p.Eval("document.getElementById('email').value"); got != "ann@example.com" {
		t.Errorf("the email is forgotten: %q", got)
	}
	p.Shoot("login-multi-wrong")
	p.Fill("password", "generated-for-ann")
	p.Click("button")

	p.At("/password", "Change password")
	p.Shoot("password-must")
	p.Fill("old", "generated-for-ann")
	p.Fill("new", testPassword)
	p.Fill("again", "another one")
	p.Click("button")
	if text := p.Text(); !strings.Contains(text, "not the same") {
		t.Errorf("two different passwords are answered with:\n%s", text)
	}
	p.Fill("old", "generated-for-ann")
	p.Fill("new", testPassword)
	p.Fill("again", testPassword)
	p.Click("button")
	p.At("/", "Welcome, ann")
	p.Shoot("home-multi")
	p.Click("form button")
	p.At("/login", "Sign in")
	p.Visit("/")
	p.At("/login", "Sign in")
}

func TestBrowserDesktop(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)

	p.Visit("/login/?provider=coco-cloud&product=coco&request_id=" + testRequest)
	p.At("/login/", "Sign in")
	p.Shoot("login-desktop")
	p.Fill("password", testPassword)
	p.Click("button")
	p.At("/connect", "Connect Coco AI?")
	p.Shoot("connect")
	p.Click("button")
	p.At("/connect", "Coco AI is connected")
	p.Await("Page.frameRequestedNavigation")
	p.Shoot("connected")
	p.Eval("document.querySelector('details').open = true")
	p.Shoot("connected-open")

	link := p.Eval("document.querySelector('a').href")
	if len(p.Seen) == 0 || p.Seen[len(p.Seen)-1] != link {
		t.Errorf("the browser wanted to open %q, the link is %q", p.Seen, link)
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

// besideForeign is the browser, signed in to base alone, by the first of the names, and
// led to the foreign page at evil, by the second.
func (h *testHouse) besideForeign(t *testing.T, browser *chromiumtest.Browser, hosts [2]string) (p *chromiumtest.Tab, base, evil string) {
	t.Helper()
	browser.During(t)
	foreign := httptest.NewServer(http.HandlerFunc(foreignPage))
	t.Cleanup(foreign.Close)
	base = strings.Replace(h.base, "127.0.0.1", hosts[0], 1)
	evil = strings.Replace(foreign.URL, "127.0.0.1", hosts[1], 1)
	p = browser.Open(base)
	p.Do("Network.clearBrowserCookies", nil, nil)
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("button")
	p.At("/", "Welcome, coco-default-user")
	p.Foreign = true
	return p, base, evil
}

// A page of a sibling is of the same site: the browser sends our cookie with
// what it makes people click, and only the origin tells it from our own.
func TestBrowserSiblingSite(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://id.husk.test" })
	h.user("", testPassword, false)
	h.user("eve@example.com", "a phrase of her own", false)
	browser := chromiumtest.Start(t)
	for name, hosts := range map[string][2]string{
		"no Sec-Fetch-Site": {"id.husk.test", "evil.husk.test"}, // plain http to a name
		"another port":      {"127.0.0.1", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			p, base, evil := h.besideForeign(t, browser, hosts)
			trap := func(path, to string, pairs ...string) {
				t.Helper()
				q := url.Values{"to": {base + to}}
				for i := 0; i < len(pairs); i += 2 {
					q.Set(pairs[i], pairs[i+1])
				}
				p.Do("Page.navigate", map[string]any{"url": evil + path + "?" + q.Encode()}, nil)
				p.Await("Page.loadEventFired")
				p.Click("button, a")
				p.At(to, "Not permitted")
				if text := p.Text(); !strings.Contains(text, "set public-url") {
					t.Errorf("%s is answered with:\n%s", to, text)
				}
				p.Visit("/")
				p.At("/", "Welcome, coco-default-user")
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
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://id.husk.test" })
	h.user("", testPassword, false)
	browser := chromiumtest.Start(t)
	for name, hosts := range map[string][2]string{
		"Sec-Fetch-Site":           {"127.0.0.1", "127.0.0.1"},
		"a sibling on plain http":  {"id.husk.test", "evil.husk.test"},
		"a stranger on plain http": {"id.husk.test", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			p, base, evil := h.besideForeign(t, browser, hosts)
			for _, policy := range []string{"unsafe-url", "no-referrer"} {
				q := url.Values{"to": {base + "/account/logout"}, "policy": {policy}}
				p.Do("Page.navigate", map[string]any{"url": evil + "/link?" + q.Encode()}, nil)
				p.Await("Page.loadEventFired")
				p.Click("a")
				if text := p.Text(); !strings.Contains(text, "Stay signed in") { // a page asks
					t.Errorf("the link is answered with:\n%s", text)
				}
				p.Visit("/")
				p.At("/", "Welcome, coco-default-user")
			}
			if hosts[0] == "127.0.0.1" {
				p.Visit("/account/logout") // typed in by the person
			} else {
				p.Eval("document.body.innerHTML = '<a href=\"/account/logout\">out</a>'") // of the own page
				p.Click("a")
			}
			if text := p.Text(); !strings.Contains(text, `"ok"`) {
				t.Errorf("the own page is answered with:\n%s", text)
			}
			p.Visit("/")
			p.At("/login", "Sign in")
		})
	}
}

// A name of somebody else's that leads to this machine opens nothing here.
func TestBrowserRebinding(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(strings.Replace(h.base, "127.0.0.1", "evil.husk.test", 1))
	p.Visit("/login")
	if text := p.Text(); !strings.Contains(text, `"misdirected"`) || !strings.Contains(text, "--public-url") {
		t.Errorf("the page gets:\n%s", text)
	}
	p.Visit("/account/profile")
	if text := p.Text(); !strings.Contains(text, `"misdirected"`) {
		t.Errorf("the API gives it:\n%s", text)
	}
}
