package cmd

import (
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// Here a person walks through the gate in a real browser: before Husk's own proxy,
// before nginx as 'husk proxy config' sets it up, and before one application alone.
// What programs get is tried elsewhere.

// walk is a browser, and where it can go.
type walk struct {
	*testing.T
	*chromiumtest.Tab
	browser *chromiumtest.Browser
	husk    program
	email   string // of who walks

	id              string   // origin of Husk's own pages
	one, two, other string   // origins of applications; other is not under the domain of the others
	domain          string   // for which one cookie is good; "": each has its own
	hosts           []string // all origins
	foreign         bool     // another's proxy: what it has let through goes on
}

const (
	walkEmail    = "ann@example.com"
	walkPassword = "tin cup on the shelf"
)

// newWalk starts Husk with a rule for each of the hosts, and a browser. extra goes
// into the gate of the configuration file.
func newWalk(t *testing.T, scheme, extra string) *walk {
	t.Helper()
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	w := &walk{T: t, email: walkEmail}
	at := func(name string) string { return scheme + "://" + name + ".test:" + port }
	w.id, w.one, w.two, w.other = at("id.husk"), at("one.husk"), at("two.husk"), at("other")
	var rules strings.Builder
	for _, origin := range []string{w.one, w.two, w.other} {
		u, _ := url.Parse(origin)
		fmt.Fprintf(&rules, "    - {host: %s, path: /admin, require: \"role:admin\", upstream: %s}\n    - {host: %[1]s, require: any, upstream: %[2]s}\n", u.Hostname(), newWalked(t))
	}
	settings := fmt.Sprintf("public-url: %s\ngate:\n%s  rules:\n%s", w.id, extra, &rules)
	args := []string{"--addr", addr, "--config", writeFile(t, t.TempDir(), "husk.yaml", settings)}
	if scheme == "https" {
		files := newPairFiles(t, goodPair(t, "id.husk.test"))
		args = append(args, "--tls-cert", files.cert, "--tls-key", files.key)
	}
	if _, found := strings.CutPrefix(extra, "  cookie_domain: "); found {
		w.domain = ".husk.test"
	}
	w.serve(args...)
	w.start()
	return w
}

// serve starts Husk for two users.
func (w *walk) serve(args ...string) *server {
	w.Helper()
	w.husk.data = filepath.Join(w.TempDir(), "data")
	setUp := w.husk
	setUp.stdin = walkPassword + "\n"
	setUp.ok(w.T, "user", "create", "operator@example.com", "--role", "admin", "--password-stdin")
	setUp.ok(w.T, "user", "create", walkEmail, "--name", "Ann Example", "--password-stdin")
	s := w.husk.spawn(w.T, append([]string{"serve"}, args...)...)
	s.ready()
	w.Cleanup(func() {
		if w.Failed() {
			w.Logf("the server says:\n%s", &s.log)
		}
	})
	return s
}

// start starts the browser. The certificates are of nobody that it knows.
func (w *walk) start() {
	w.Helper()
	w.hosts = []string{w.id, w.one, w.two, w.other}
	w.browser = chromiumtest.Start(w.T, "--ignore-certificate-errors")
	w.Tab = w.open()
}

func (w *walk) open() *chromiumtest.Tab {
	w.Helper()
	return w.browser.Open(w.id, w.hosts...)
}

// newWalked is an application: pages with a form, events and WebSockets.
func newWalked(t testing.TB) string {
	t.Helper()
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") == "websocket":
			echoUpgraded(w, r.Header.Get("Sec-WebSocket-Key"))
		case r.URL.Path == "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: begun\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case r.URL.Path == "/moved":
			http.Redirect(w, r, r.FormValue("to"), http.StatusFound)
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!DOCTYPE html><title>An application</title><h1>%s</h1><p id="who">%s</p><p id="method">%s</p>
<form method="post" action="/form"><input name="text" value="all that was written"><button>Send</button></form>`,
				html.EscapeString(r.Host), html.EscapeString(r.Header.Get("Remote-User")), r.Method)
		}
	}))
	t.Cleanup(at.Close)
	return at.URL
}

// wantAt: the page is that of an application, at just this address, for ann.
func (w *walk) wantAt(p *chromiumtest.Tab, address string) {
	w.Helper()
	u, err := url.Parse(address)
	if err != nil {
		w.Fatal(err)
	}
	if got := p.Eval("location.href"); got != address {
		w.Fatalf("at %s, not %s:\n%s", got, address, p.Text())
	}
	p.At(u.Path, u.Host)
	if who := p.Eval("document.getElementById('who').textContent"); who != w.email {
		w.Errorf("at %s one is %q", address, who)
	}
}

// wantSignIn: the page is the sign-in, for the application of that origin.
func (w *walk) wantSignIn(p *chromiumtest.Tab, origin string) {
	w.Helper()
	p.At("/login", "Sign in")
	u, _ := url.Parse(origin)
	if got := p.Eval("location.origin"); got != w.id {
		w.Fatalf("the sign-in is at %s", got)
	}
	if text := p.Text(); !strings.Contains(text, "go on to "+u.Hostname()+".") || strings.Contains(text, "cookie") {
		w.Errorf("the sign-in for %s is:\n%s", u.Hostname(), text)
	}
}

func (w *walk) signIn(p *chromiumtest.Tab, password string) {
	w.Helper()
	p.Fill("email", w.email)
	p.Fill("password", password)
	p.Click("button")
}

// wantCookies: the browser has so many for the gate, with which no script can do
// anything.
func (w *walk) wantCookies(n int) {
	w.Helper()
	all := w.Cookies("husk_gate")
	if len(all) != n {
		w.Errorf("%d cookies: %v", len(all), all)
	}
	for _, c := range all {
		if !c.HTTPOnly || c.Secure != strings.HasPrefix(w.id, "https:") || c.SameSite != "Lax" || c.Path != "/" || strings.HasPrefix(c.Domain, ".") != (c.Domain == w.domain) {
			w.Errorf("a cookie is %+v", c)
		}
	}
	if seen := w.Eval("document.cookie"); strings.Contains(seen, "husk_") {
		w.Errorf("a script sees %s", seen)
	}
}

func TestBrowserWalks(t *testing.T) {
	dbtest.TakesVeryLong(t, "the gate in a browser")
	t.Parallel()
	const each, domain = "", "  cookie_domain: husk.test\n"
	for _, c := range [][2]string{{"http", each}, {"https", domain}, {"http", domain}, {"https", each}} {
		t.Run(c[0]+" "+strings.Fields(c[1] + "each")[0], func(t *testing.T) {
			w := newWalk(t, c[0], c[1])
			w.in()
			w.on()
			w.out()
		})
	}
}

// in is the way to an application, by the sign-in.
func (w *walk) in() {
	w.Helper()
	target := w.one + "/page?x=1&y=a%20b"
	w.Go(target)
	w.wantSignIn(w.Tab, w.one)
	w.signIn(w.Tab, walkPassword)
	w.wantAt(w.Tab, target)
	w.wantCookies(1)

	w.Back() // to the sign-in, which leads on
	w.wantAt(w.Tab, target)
	w.Back()
	if got := w.Eval("location.href"); got != "about:blank" {
		w.Errorf("one can't go back: at %s", got)
	}
}

// on is the way to other applications, without a second sign-in.
func (w *walk) on() {
	w.Helper()
	for _, target := range []string{w.two + "/", w.other + "/deep/page?a&b=c", w.one + "/"} {
		w.Go(target)
		w.wantAt(w.Tab, target)
	}
	if w.domain == "" {
		w.wantCookies(3)
	} else {
		w.wantCookies(2)
	}
	w.wantScript(w.Tab, "/data", "200 false basic")
	w.Go(w.one + "/admin")
	if text := w.Text(); !w.foreign && !strings.Contains(text, "may not open this") || strings.Contains(text, "{") || !strings.Contains(strings.ToLower(w.Eval("document.title")), map[bool]string{true: "forbidden", false: "not permitted"}[w.foreign]) {
		w.Errorf("who may not is answered with:\n%s", text)
	}
}

// wantScript: a script of the page learns that of an answer: the status, whether it
// was led elsewhere, and whose it is.
func (w *walk) wantScript(p *chromiumtest.Tab, path, want string) {
	w.Helper()
	const script = "fetch(%q).then(r => r.status + ' ' + r.redirected + ' ' + r.type, e => 'failed: ' + e)"
	if got := p.Eval(fmt.Sprintf(script, path)); got != want {
		w.Errorf("a script gets %q, not %q", got, want)
	}
}

// out is the way out: at all hosts at once.
func (w *walk) out() {
	w.Helper()
	tabs := map[string]*chromiumtest.Tab{w.one: w.open(), w.two: w.open(), w.other: w.open()}
	for origin, p := range tabs {
		p.Go(origin + "/")
		w.wantAt(p, origin+"/")
		if opened := p.Eval(opening); opened != "open begun" {
			w.Fatalf("at %s: %s", origin, opened)
		}
	}
	w.Go(w.id + "/")
	w.At("/", "Welcome, Ann Example")
	ended := time.Now().UnixMilli()
	w.Click("form button")
	w.At("/login", "Sign in")
	for origin, p := range tabs {
		if !w.foreign {
			var socket, events int64
			if _, err := fmt.Sscan(p.Eval("Promise.all([socketEnds, eventsEnd]).then(a => a.join(' '))"), &socket, &events); err != nil || max(socket, events)-ended > 5000 {
				w.Errorf("at %s a WebSocket ended after %d ms, events after %d, %v", origin, socket-ended, events-ended, err)
			}
		}
		w.wantScript(p, "/data", "401 false basic")
	}
	w.again(tabs[w.one])
}

// opening opens a WebSocket and events, and tells when both are; it keeps when they
// end.
const opening = `new Promise(done => {
	const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/live'), events = new EventSource('/events')
	window.socketEnds = new Promise(end => socket.onclose = () => end(Date.now()))
	window.eventsEnd = new Promise(end => events.onerror = () => { events.close(); end(Date.now()) })
	Promise.all([new Promise(r => socket.onopen = () => r('open')), new Promise(r => events.onmessage = e => r(e.data))]).then(a => done(a.join(' ')))
})`

// again is a form that is sent from a page which is still shown. What was written is
// lost, and where the browser tells that it is a form a person is told so; then one
// signs in, at the second try, and comes back.
func (w *walk) again(p *chromiumtest.Tab) {
	w.Helper()
	p.Click("button")
	switch {
	case w.foreign:
		p.Go(p.Eval("location.href"))
	case strings.HasPrefix(w.id, "https:"):
		p.At("/form", "You are not signed in")
		if text := p.Text(); !strings.Contains(text, "what you sent did not arrive") {
			w.Errorf("a form is answered with:\n%s", text)
		}
		p.Click("a")
	}
	w.wantSignIn(p, w.one)
	w.signIn(p, "not the password")
	if text := p.Text(); !strings.Contains(text, "password is wrong") || !strings.Contains(text, "go on to ") {
		w.Errorf("a wrong password is answered with:\n%s", text)
	}
	p.Fill("password", walkPassword)
	p.Click("button")
	w.wantAt(p, w.one+"/form")
	if method := p.Eval("document.getElementById('method').textContent"); method != "GET" {
		w.Errorf("it comes back by %s", method)
	}
}

// Where one application is behind every host, the sign-in is there too.
func TestBrowserWalkAlone(t *testing.T) {
	dbtest.TakesVeryLong(t, "the gate in a browser")
	t.Parallel()
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	w := &walk{T: t, email: walkEmail}
	w.one = "http://wiki.test:" + port
	w.id, w.two, w.other = w.one, w.one, w.one
	w.serve("--addr", addr, "--upstream", newWalked(t))
	w.start()
	w.in()
	w.Go(w.one + "/")
	w.wantAt(w.Tab, w.one+"/")
	w.wantScript(w.Tab, "/data", "200 false basic")
	w.wantScript(w.Tab, "/account/logout", "200 false basic") // a link of the application's own
	w.wantScript(w.Tab, "/data", "401 false basic")
	w.Go(w.one + "/x")
	w.wantSignIn(w.Tab, w.one)
}

// Behind nginx all is as before Husk's own proxy, but for what it has let through,
// which goes on, and its own pages for refusals.
func TestBrowserWalkNginx(t *testing.T) {
	dbtest.TakesVeryLong(t, "the gate in a browser")
	if _, err := exec.LookPath("nginx"); err != nil {
		prerequisite(t, err.Error())
	}
	t.Parallel()
	g := startBehind(t, "nginx", "nginx")
	g.app.addr = strings.TrimPrefix(newWalked(t), "http://")
	g.run(gatedNginx(g))
	w := &walk{T: t, email: walkEmail, husk: g.husk, foreign: true, id: g.at("id.example.com", ""), one: g.at("app.example.com", ""), two: g.at("a.apps.example.com", ""), other: g.at("b.apps.example.com", "")}
	w.start()
	w.in()
	w.on()
	w.out()
}

// Two pages that lead to the sign-in at the same time come back to where each was.
func TestBrowserTwoTabs(t *testing.T) {
	dbtest.TakesVeryLong(t, "the gate in a browser")
	t.Parallel()
	w := newWalk(t, "https", "")
	first, second, third := w.open(), w.open(), w.open()
	first.Go(w.one + "/a?1")
	second.Go(w.one + "/b?2")
	third.Go(w.two + "/c?3")
	for _, p := range []*chromiumtest.Tab{first, second} {
		w.signIn(p, walkPassword)
	}
	third.Eval("setTimeout(() => location.reload())")
	third.Await("Page.loadEventFired")
	w.wantAt(first, w.one+"/a?1")
	w.wantAt(second, w.one+"/b?2")
	w.wantAt(third, w.two+"/c?3")
}

// Who was given a password chooses one before anything else, and gets to the
// application then. That it leads on to another host is its own affair.
func TestBrowserGivenPassword(t *testing.T) {
	dbtest.TakesVeryLong(t, "the gate in a browser")
	t.Parallel()
	w := newWalk(t, "https", "")
	var made struct{ Password string }
	if text := w.husk.ok(t, "user", "create", "ben@example.com", "--json"); json.Unmarshal([]byte(text), &made) != nil {
		t.Fatal(text)
	}
	w.email = "ben@example.com"
	target := w.one + "/moved?to=" + url.QueryEscape(w.other+"/there")
	w.Go(target)
	w.signIn(w.Tab, made.Password)
	w.At("/password", "Change password")
	w.Go(w.two + "/") // one is signed in, but for this
	w.At("/password", "Change password")
	w.Back()
	w.Fill("old", made.Password)
	w.Fill("new", walkPassword)
	w.Fill("again", walkPassword)
	w.Click("button")
	w.wantAt(w.Tab, w.other+"/there")
}

// A browser that keeps no cookie is told so, and is not led around in a circle.
func TestBrowserWithoutCookies(t *testing.T) {
	dbtest.TakesVeryLong(t, "the gate in a browser")
	t.Parallel()
	w := newWalk(t, "https", "")
	for origin, want := range map[string]string{w.id: "did not keep its cookie", w.one: "comes back from one.husk.test again and again"} {
		b := chromiumtest.StartWithoutCookies(t, origin, "--ignore-certificate-errors")
		p := b.Open(w.id, w.hosts...)
		p.Go(w.one + "/x")
		for range 2 {
			w.signIn(p, walkPassword)
			if text := p.Text(); !strings.Contains(text, want) {
				t.Errorf("without cookies of %s: at %s\n%s", origin, p.Eval("location.href"), text)
			}
			if origin == w.one {
				break
			}
		}
	}
}
