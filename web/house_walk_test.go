package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

var desk = chromiumtest.Look{Width: 1280, Height: 800}

// press presses a key that leads to another page, and waits for that.
func press(p *chromiumtest.Tab, key string) {
	p.Helper()
	p.Press(key)
	p.Await("Page.loadEventFired")
}

// browserSignIn signs in by the page.
func (h *testHouse) browserSignIn(p *chromiumtest.Tab) {
	h.Helper()
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("button")
	p.At("/", "Welcome, coco-default-user")
}

// Who has no mouse signs in, makes a token, finds the way past the navigation, and has
// help. Each stop on the way is seen and marked.
func TestBrowserByKeyboard(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "the house by keyboard alone")
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	focus := func() string { p.Helper(); return p.Eval("document.activeElement.id") }
	p.Visit("/login")
	if focus() != "password" {
		p.TabTo("#password")
	}
	p.Type(testPassword)
	press(p, "Enter")
	p.At("/", "Welcome, coco-default-user")

	p.TabTo("a.skip")
	p.Press("Enter")
	if got := focus(); got != "main" {
		t.Errorf("the first link leads to %q", got)
	}
	p.Press("?")
	if open := p.Eval(`document.getElementById("help").open`); open != "true" {
		t.Error("? shows no help")
	}
	p.Press("Escape")
	if open := p.Eval(`document.getElementById("help").open`); open != "false" {
		t.Error("the help can't be closed")
	}
	press(p, "/")
	p.At("/console/manual", "Manual")
	p.Press("/")
	if got := focus(); got != "q" {
		t.Errorf("/ leads to %q", got)
	}

	p.TabTo(`nav a[href="/me/tokens"]`)
	press(p, "Enter")
	p.TabTo("main a.button")
	press(p, "Enter")
	p.At("/me/tokens/new", "New token")
	if focus() != "name" {
		t.Error("the first field of the form has no focus")
	}
	p.Type("by hand/?") // what would be keys of their own elsewhere
	p.TabTo("main form button[type=submit]")
	press(p, "Enter")
	p.At("/me/tokens", "Token made")
	secret := p.Eval(`document.getElementById("secret").value`)
	if !h.works(secret) {
		t.Error("the token is not good")
	}
	p.TabTo("main form input[type=checkbox]")
	p.Press(" ")
	p.TabTo("main form button")
	press(p, "Enter")
	p.At(p.Eval("location.pathname"), "by hand/?")
	p.TabTo(`main a[href$="/revoke"]`)
	press(p, "Enter")
	p.TabTo("main form button")
	press(p, "Enter")
	if p.At("/me/tokens", "Your tokens"); h.works(secret) {
		t.Error("the token is good after it was revoked")
	}

	p.Look(chromiumtest.Look{Width: 390, Height: 844})
	p.Visit("/me")
	p.TabTo("button[popovertarget]")
	p.Press("Enter")
	p.TabTo(`nav a[href="/me/account"]`)
	press(p, "Enter")
	p.At("/me/account", "Your account")
	p.TabTo("button[popovertarget]")
	p.Press(" ")
	p.Press("Escape")
	if open := p.Eval(`document.getElementById("menu").matches(":popover-open")`); open != "false" {
		t.Error("the menu can't be closed")
	}
}

// Without a script all acts are there.
func TestBrowserWithoutScript(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "the house without a script")
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	plain := desk
	plain.NoScript = true
	p.Look(plain)
	h.browserSignIn(p)
	p.Visit("/me/tokens/new")
	p.Fill("name", "plain")
	p.Click("main form button[type=submit]")
	p.At("/me/tokens", "Token made")
	secret := p.Eval(`document.getElementById("secret").value`)
	p.Eval(`document.querySelector("main form input[type=checkbox]").checked = true`)
	p.Click("main form button")
	p.At(p.Eval("location.pathname"), "plain")

	p.Visit("/console/roles/_new")
	p.Fill("name", "helpdesk")
	p.Click("main form button[type=submit]")
	p.At("/console/roles/helpdesk", "helpdesk")

	p.Visit("/console/users/new")
	p.Fill("email", "ben@example.com")
	p.Click("main form button[type=submit]")
	if text := p.Text(); !strings.Contains(text, "ben@example.com") || p.Eval(`document.getElementById("secret").value.length > 10`) != "true" {
		t.Errorf("no password is shown once:\n%s", text)
	}
	p.Visit("/me/tokens")
	p.Click("main td a")
	p.Click(`main a[href$="/revoke"]`)
	p.Click("main form button")
	if p.At("/me/tokens", "Your tokens"); h.works(secret) {
		t.Error("the token is good after it was revoked")
	}
	p.Click(".who form button")
	if a := p.Eval("location.pathname"); a != "/login" {
		t.Errorf("after signing out at %s", a)
	}
}

// Who has signed out leaves nothing behind for who goes back, with script and without.
func TestBrowserBackAfterSignOut(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.signedIn("")
	_, secret := v.makeToken("of nobody else")
	browser := chromiumtest.Start(t)
	for _, noScript := range []bool{false, true} {
		p := browser.Open(h.base)
		look := desk
		look.NoScript = noScript
		p.Look(look)
		h.browserSignIn(p)
		p.Visit("/me/tokens")
		if !strings.Contains(p.Text(), "of nobody else") {
			t.Fatal(p.Text())
		}
		p.Click("main td a")
		p.Visit("/me/tokens/new")
		p.Fill("name", "typed but not sent")
		p.Click(".who form button")
		p.At("/login", "Sign in")
		for step := range 4 {
			p.Back()
			if text := p.Text() + p.Eval(`[...document.querySelectorAll("input")].map(i => i.value).join(" ")`); strings.Contains(text, "of nobody else") || strings.Contains(text, "typed but") || strings.Contains(text, secret) {
				t.Errorf("script %v, %d steps back: %s", !noScript, step+1, text)
			}
		}
	}
}

// With 200 % zoom a wide screen has half the room, and with 400 % as much as a small
// phone: nothing is cut off. Who wants less motion sees none.
func TestBrowserZoom(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "each page, twice and four times as large")
	h := newFilledHouse(t, 2)
	m := &matrix{p: chromiumtest.Start(t).Open(h.base)}
	m.enter(h)
	m.p.SetCookie("husk_look", "en.")
	looked := dbtest.InTurn(2) // at each page in one of both
	for i, zoom := range []chromiumtest.Look{{Width: 640, Height: 400, Scale: 2, Still: true}, {Width: 320, Height: 256, Scale: 4, Still: true}} {
		m.p.Look(zoom)
		for n, path := range h.places() {
			if !looked(n + i) {
				continue
			}
			m.p.Visit(path)
			awaitViewer(m.p, path, false)
			m.p.Eval(`document.querySelectorAll("details").forEach(d => { d.open = true; })`)
			for _, wrong := range append(problemsOf(m.p, "en"), cutOff(m.p)...) {
				t.Errorf("%s, zoomed to %d pixels: %s", path, zoom.Width, wrong)
			}
		}
		m.p.Visit("/me")
		m.p.Eval(`document.getElementById("menu").showPopover()`)
		if moving := m.p.Eval("document.getAnimations().length"); moving != "0" {
			t.Errorf("%s things move", moving)
		}
	}
}

// cutOff are the texts and controls that nobody can scroll to.
func cutOff(p *chromiumtest.Tab) []string {
	p.Helper()
	found := p.Eval(`[...document.querySelectorAll("main *:not(input, textarea, select)")].filter(e => {
		const s = getComputedStyle(e);
		return e.scrollWidth > e.clientWidth + 1 && /hidden|clip/.test(s.overflowX) && e.clientWidth || e.scrollHeight > e.clientHeight + 1 && /hidden|clip/.test(s.overflowY) && e.clientHeight;
	}).map(e => "cut off: " + e.outerHTML.slice(0, 90).replace(/\s+/g, " ")).join("\n")`)
	if found == "" {
		return nil
	}
	return strings.Split(found, "\n")
}

// A link of another site leads to a page, but no form of another site does anything,
// and no page is kept by what is in between, or framed.
func TestHouseFromOtherSites(t *testing.T) {
	t.Parallel()
	h := newFilledHouse(t, 2)
	for _, path := range h.places() {
		a := h.get(path, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		if a.StatusCode != http.StatusOK && path != "/me/nothing-here" && !namesFactor.MatchString(path) {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
		policy := a.Header.Get("Content-Security-Policy")
		cache := "no-store"
		if path == "/docs" { // the same for everybody
			cache = "public, no-cache"
		}
		if path != "/me/nothing-here" && a.Header.Get("Cache-Control") != cache || !strings.Contains(policy, "frame-ancestors 'none'") && a.Header.Get("Content-Disposition") == "" {
			t.Errorf("%s: Cache-Control %q, policy %q", path, a.Header.Get("Cache-Control"), policy)
		}
	}
	before := h.sum()
	for _, path := range h.forms() {
		a := h.do("POST", path, formType, "name=evil&email=evil@example.com&ends=90&rights=all", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("a form of another site, to %s: %d", path, a.StatusCode)
		}
	}
	if after := h.sum(); after != before {
		t.Errorf("there were %s, and are %s", before, after)
	}
}

// sum tells how much of what there is.
func (h *filledHouse) sum() string {
	h.Helper()
	counts, err := h.Store.Counts(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return fmt.Sprint(counts)
}

// Words do not touch the edge of what is around them, and what stands on a line is
// level with its neighbours.
func TestBrowserLevels(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.newAnn()
	p := chromiumtest.Start(t).Open(h.base)
	h.browserSignIn(p)
	p.Look(desk)
	p.Visit("/console/users")
	for what, expression := range map[string]string{
		"room beside the word of a state":        `[...document.querySelectorAll(".state")].map(e => parseFloat(getComputedStyle(e).paddingLeft) >= 4)`,
		"a button as high as the fields":         `[...document.querySelectorAll(".filter button")].map(e => e.offsetHeight === document.querySelector(".filter input").offsetHeight)`,
		"languages and themes, each on one line": `[...document.querySelectorAll(".looks a")].map(e => [...document.querySelectorAll(".looks [aria-current]")].some(s => Math.abs(e.getBoundingClientRect().top + parseFloat(getComputedStyle(e).paddingTop) - s.getBoundingClientRect().top) < 2))`,
	} {
		if got := p.Eval(`(all => all.length > 0 && all.every(ok => ok))(` + expression + `)`); got != "true" {
			t.Errorf("%s: %s", what, p.Eval(`JSON.stringify(`+expression+`)`))
		}
	}
}
