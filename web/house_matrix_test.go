package web

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// view is one way in which a page is looked at.
type view struct {
	house    int // of houses
	width    int // pixels
	lang     string
	dark     bool
	noScript bool
}

// viewOf is how the page of a number is looked at in a house: as all pages are, each two
// choices meet, and each page meets each choice.
func viewOf(house, page int) view {
	n := house + page
	return view{house, []int{390, 1280, 820}[n%3], []string{"en", "zh"}[n%2], (house+page/2)%2 == 1, (house/2+page/4)%2 == 1}
}

func (v view) String() string {
	return fmt.Sprintf("%s-%d-%s-%s-%s", houses[v.house].name, v.width, v.lang, map[bool]string{false: "light", true: "dark"}[v.dark], map[bool]string{false: "script", true: "plain"}[v.noScript])
}

// Each page, in a real browser: each once by default, with HUSK_LONG in two houses and
// with HUSK_LONG=all in all of them.
func TestBrowserEveryPage(t *testing.T) {
	t.Parallel()
	another := 0
	if dbtest.Long() {
		another = 1 + rand.IntN(len(houses)-1)
	}
	m := &matrix{p: chromiumtest.Start(t).Open("http://127.0.0.1")}
	for i := range houses {
		m.enter(newFilledHouse(t, i))
		for n, path := range m.h.places() {
			if dbtest.Whole() || n%len(houses) == i || (n+another)%len(houses) == i {
				m.check(viewOf(i, n), path)
			}
		}
	}
	t.Logf("looked at %d pages", m.looks)
}

// Any two choices meet in some page.
func TestViewsMeet(t *testing.T) {
	const pages = 24
	met := map[string]bool{}
	for house := range houses {
		for page := range pages {
			v := viewOf(house, page)
			choices := []string{"page " + fmt.Sprint(page), "house " + fmt.Sprint(v.house), fmt.Sprint(v.width), v.lang, fmt.Sprint("dark ", v.dark), fmt.Sprint("plain ", v.noScript)}
			for i, a := range choices {
				for _, b := range choices[i+1:] {
					met[a+", "+b] = true
				}
			}
		}
	}
	axes := []int{pages, len(houses), 3, 2, 2, 2}
	want := 0
	for i, a := range axes {
		for _, b := range axes[i+1:] {
			want += a * b
		}
	}
	if len(met) != want {
		t.Errorf("%d of %d pairs meet in %d pages", len(met), want, pages)
	}
}

// matrix is the browser that looks at pages of one house after the other.
type matrix struct {
	p     *chromiumtest.Tab
	h     *filledHouse
	looks int
}

// enter has the browser be signed in to a house.
func (m *matrix) enter(h *filledHouse) {
	m.h = h
	m.p.Move(h.base)
	for _, c := range h.cookies() {
		m.p.SetCookie(c.Name, c.Value)
	}
}

func (v *visitor) cookies() []*http.Cookie {
	v.Helper()
	base, err := url.Parse(v.base)
	if err != nil {
		v.Fatal(err)
	}
	return v.client.Jar.Cookies(base)
}

// check looks at a page: what it was answered with first, then what the browser makes
// of it.
func (m *matrix) check(v view, path string) {
	m.h.Helper()
	fail := func(format string, args ...any) {
		m.h.Helper()
		m.h.Errorf("%s %s: "+format, append([]any{v, path}, args...)...)
	}
	a := m.h.get(path, "Cookie", "husk_look="+v.lang+".")
	want := http.StatusOK
	if path == "/me/nothing-here" || m.h.records == 0 && namesRecord.MatchString(path) {
		want = http.StatusNotFound
	}
	if namesFactor.MatchString(path) && (a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusConflict) {
		want = a.StatusCode
	}
	if a.StatusCode != want {
		fail("status %d, not %d", a.StatusCode, want)
		return
	}
	if a.Header.Get("Content-Disposition") != "" {
		return // a file, which no browser shows
	}
	for _, bad := range brokenMarkup.FindAllString(a.body, -1) {
		fail("the page has %s", bad)
	}
	p := m.p
	p.SetCookie("husk_look", v.lang+".")
	p.Look(chromiumtest.Look{Width: v.width, Height: 844, Dark: v.dark, NoScript: v.noScript})
	p.Visit(path)
	awaitViewer(p, path, v.noScript)
	m.looks++
	for _, wrong := range problemsOf(p, v.lang) {
		fail("%s", wrong)
	}
	if !v.noScript {
		if moved := p.Shifts(); moved != "" {
			fail("what was there moved: %s", moved)
		}
	}
	p.Keep(strings.Trim(strings.Map(fileRune, path), "_") + "-" + v.String())
}

// awaitViewer waits for what /docs alone brings after it has been loaded.
func awaitViewer(p *chromiumtest.Tab, path string, noScript bool) {
	p.Helper()
	if path == "/docs" && !noScript {
		awaitShown(p, ".opblock")
	}
}

// awaitShown waits until what the selector finds is there.
func awaitShown(p *chromiumtest.Tab, selector string) {
	p.Helper()
	p.Eval(fmt.Sprintf(`new Promise(there => { const look = () => document.querySelector(%q) ? there("") : requestAnimationFrame(look); look() })`, selector))
}

var namesRecord = regexp.MustCompile(`^/(me|console)/.*([0-9a-f]{4}-[0-9a-f]{4}-|/team-)`)

// namesFactor finds pages of a second factor, which nobody has in these houses:
// TestBrowserSecondFactor looks at them.
var namesFactor = regexp.MustCompile(`^/me/second-factor/(codes|totp/remove|passkeys/[^/]+(/remove)?)$|^/console/users/[^/]+/second-factor$`)

func fileRune(r rune) rune {
	if r == '/' || r == '?' || r == '&' || r == '=' {
		return '_'
	}
	return r
}

// brokenMarkup is what no page has: a value that a template refused, and what Go prints
// where a value is missing or is not what the format says.
var brokenMarkup = regexp.MustCompile(`ZgotmplZ|%![a-zA-Z(]|&lt;nil&gt;|<nil>|0001-01-01|1970-01-01|map\[|\d \+0000 UTC`)

// problemsOf is what is wrong with the page that stands in p.
func problemsOf(p *chromiumtest.Tab, lang string) (wrong []string) {
	p.Helper()
	if err := json.Unmarshal([]byte(p.Eval(fmt.Sprintf("(%s)(%q, %s)", pageProblems, lang, knownKeys()))), &wrong); err != nil {
		p.Fatal(err)
	}
	return wrong
}

// knownKeys are those of all messages, as JSON, but for those that are actions of the
// audit log, too.
var knownKeys = sync.OnceValue(func() string {
	text, err := os.ReadFile("console/messages/en.json")
	messages := map[string]string{}
	if err == nil {
		err = json.Unmarshal(text, &messages)
	}
	for _, action := range db.Actions() {
		delete(messages, action)
	}
	keys, err2 := json.Marshal(slices.Sorted(maps.Keys(messages)))
	if err != nil || err2 != nil || len(messages) == 0 {
		panic("no messages")
	}
	return string(keys)
})

const pageProblems = `(lang, keys) => {
	const wrong = [], root = document.documentElement, main = document.querySelector("main");
	const name = e => e.outerHTML.replace(/\s+/g, " ").slice(0, 110);
	const scrolls = e => { for (; e && e !== root; e = e.parentElement) if (!/visible|clip/.test(getComputedStyle(e).overflowX)) return true; return false; };
	const away = e => { for (; e && e !== root; e = e.parentElement) if (getComputedStyle(e).position === "absolute" || e.matches("[popover]")) return true; return false; };
	if (root.scrollWidth > root.clientWidth) wrong.push("is " + root.scrollWidth + " pixels wide, of " + root.clientWidth); // innerWidth of a phone grows with the page
	if (main) {
		const box = main.getBoundingClientRect();
		for (const e of main.querySelectorAll("*")) {
			const r = e.getBoundingClientRect();
			if (r.width && e.checkVisibility() && r.right > box.right + 1 && !scrolls(e.parentElement) && !away(e)) { wrong.push("goes beyond the page: " + name(e)); break; }
		}
	}
	const h1 = document.querySelectorAll("h1");
	if (h1.length !== 1 || !h1[0].textContent.trim()) wrong.push(h1.length + " headings of the page, or an empty one");
	if (!document.title.replace("· Husk", "").trim()) wrong.push("has no title");
	if (root.lang !== lang) wrong.push("is in " + root.lang + ", not in " + lang);
	const said = document.body.innerText, words = new Set(said.match(/[a-z_]+(?:\.[a-z_]+)+/g));
	for (const key of keys) if (words.has(key)) wrong.push("shows the key " + key);
	if (!document.querySelector(".manual, .swagger-ui, .plain") && /\{[a-z_]+\}/.test(said)) wrong.push("shows a place for a value: " + said.match(/.{0,20}\{[a-z_]+\}/)[0]);
	if (/\bundefined\b|\bNaN\b|Invalid Date/.test(said)) wrong.push("shows what is no value");
	if (document.activeElement.matches(".danger")) wrong.push("what can't be undone is a press of Enter away: " + name(document.activeElement));
	for (const e of document.querySelectorAll("img")) if (!e.complete || !e.naturalWidth) wrong.push("has a broken picture: " + name(e));
	return JSON.stringify(wrong);
}`

// Each link of a page leads to a page, and so on, as far as there are new kinds of them.
func TestHouseHasNoDeadLinks(t *testing.T) {
	t.Parallel()
	h := newFilledHouse(t, 2)
	link := regexp.MustCompile(`href="([^"]+)"`)
	value := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|0{12}-\w+|=[^&]+|team-\w+`)
	met, open := map[string]bool{}, h.places()
	for len(open) > 0 {
		path := open[0]
		open = open[1:]
		if kind := value.ReplaceAllString(path, "*"); met[kind] {
			continue
		} else {
			met[kind] = true
		}
		a := h.get(path, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate")
		if a.StatusCode != http.StatusOK && path != "/me/nothing-here" && !namesFactor.MatchString(path) {
			t.Errorf("%s: %d", path, a.StatusCode)
			continue
		}
		base, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(a.body, -1) {
			to, err := base.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Errorf("%s leads to %q", path, m[1])
				continue
			}
			if to.Host == "" && !to.Query().Has("lang") && !to.Query().Has("theme") && to.Path != "/account/logout" {
				open = append(open, to.RequestURI())
			}
		}
	}
	t.Logf("%d kinds of links", len(met))
}
