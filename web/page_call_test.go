package web_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	recorded "net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/listen"
)

// byForm is a form that a browser sends, which takes pages.
func (s *server) byForm(path string, fields []string, edits ...edit) answer {
	s.t.Helper()
	return s.do("POST", path, form(fields...), append([]edit{contentType(formType), acceptPage}, edits...)...)
}

// page is a page that a browser opens.
func (s *server) page(path string, edits ...edit) answer {
	s.t.Helper()
	return s.do("GET", path, "", append([]edit{acceptPage}, edits...)...)
}

var connectForm = []string{"product", "coco", "provider", "x", "request_id", "7f9c24e5-2f1a-4d0b-8f53-6a1c9d0e3b7a"}

// requestsCounted is how many requests the figures of routes have.
func requestsCounted(t *testing.T, registry *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "husk_http_requests_total" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// What a page does is one act: one line and one entry, with the address of the
// browser and the id of its request. The access log and the figures have one
// request, that for the page.
func TestPageActsOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := newServer(t, func(c *web.Config) {
		c.AccessLog = true
		c.Metrics, _ = web.NewMetrics(registry)
	})
	const next = "nine crates of quinces"
	ann := s.newUser(annEmail)
	spare := s.signIn(ann)
	for _, c := range []struct {
		path   string
		fields []string
		with   edit
		status int
		msg    string // of its line; "": it has none
		action string // of its entry; "": it has none, or one that is written later
	}{
		{"/account/login", []string{"email", annEmail, "password", ann.password}, nobody, 303, "sign-in", "session.login"},
		{"/account/login", []string{"email", annEmail, "password", "wrong and long"}, nobody, 403, "sign-in refused", ""},
		{"/account/login", []string{"email", annEmail}, nobody, 400, "", ""},
		{"/account/logout", nil, cookie(spare.jwt), 303, "sign-out", "session.logout"},
		{"/connect", connectForm, cookie(ann.jwt), 200, "token created", "token.create"},
		{"/connect", []string{"product", "evil"}, cookie(ann.jwt), 400, "", ""},
		{"/connect", connectForm, cookie("nonsense"), 401, "", ""},
		{"/password", []string{"old_password", "wrong and long", "new_password", next, "again", next}, cookie(ann.jwt), 403, "request refused", ""},
		{"/password", []string{"old_password", ann.password, "new_password", next, "again", next}, cookie(ann.jwt), 303, "password changed", "user.password"},
	} {
		before := requestsCounted(t, registry)
		a := s.byForm(c.path, c.fields, c.with)
		if a.status != c.status {
			t.Fatalf("%s is %d %s", c.path, a.status, a.body)
		}
		if n := requestsCounted(t, registry) - before; n != 1 {
			t.Errorf("%s is counted as %v requests", c.path, n)
		}
		s.checkOneAct(a, c.path, c.msg, c.action)
	}
	if a := s.page("/login", cookie("nonsense")); a.status != 200 || len(s.lines(a.header.Get("X-Request-Id"))) != 1 {
		t.Errorf("a sign-in page with an old cookie is %d, and has the lines %v", a.status, s.lines(a.header.Get("X-Request-Id")))
	}
}

// checkOneAct holds the lines and entries of the request that was answered against
// what they are to be.
func (s *server) checkOneAct(a answer, path, msg, action string) {
	s.t.Helper()
	id := a.header.Get("X-Request-Id")
	acts, accesses := 0, 0
	for _, line := range s.lines(id) {
		if line["msg"] == "request" {
			accesses++
			if line["path"] != path {
				s.t.Errorf("the access log has %v for %s", line, path)
			}
			continue
		}
		acts++
		if line["msg"] != msg || line["address"] != stranger || line["transport"] != "http" {
			s.t.Errorf("%s has the line %v, want %q", path, line, msg)
		}
	}
	if accesses != 1 || acts != min(len(msg), 1) {
		s.t.Errorf("%s has %d lines of access and %d of what was done", path, accesses, acts)
	}
	entries := 0
	for _, e := range s.events() {
		if e.RequestID == id && e.Action == action {
			entries++
			if e.Address != stranger || e.Transport != db.TransportHTTP {
				s.t.Errorf("%s has the entry %+v", path, e)
			}
		}
	}
	if entries != min(len(action), 1) {
		s.t.Errorf("%s has %d entries of %q", path, entries, action)
	}
}

// A refused sign-in counts once, for the address that asked for the page.
func TestPageTriesCountOnce(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.LoginLimits.Account, c.LoginLimits.Address = 100, 3
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(stranger + "/32")}
	})
	wrong := []string{"password", "wrong and long"}
	through := header("X-Forwarded-For", "198.51.100.7")
	for range 3 {
		if a := s.byForm("/account/login", wrong, through); a.status != 403 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := s.byForm("/account/login", wrong, through); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("the fourth is %d %v", a.status, a.header)
	}
	if a := s.byForm("/account/login", wrong, header("X-Forwarded-For", "198.51.100.8")); a.status != 403 {
		t.Errorf("another address is %d", a.status)
	}
	if a := s.byForm("/account/login", wrong, from("203.0.113.9"), header("X-Forwarded-For", "198.51.100.7")); a.status != 403 {
		t.Errorf("who is no proxy is believed: %d", a.status)
	}
}

// Tries that come forwarded to the control socket share a count, by pages and by the
// API.
func TestPageTriesOfForwardedCountTogether(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.LoginLimits.Address = 2 })
	through := header("X-Forwarded-For", "198.51.100.7")
	for range 2 {
		if a := s.byForm("/account/login", []string{"password", "wrong and long"}, local, through); a.status != 403 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for name, want := range map[string]int{"": 429, "nobody@example.com": 429} {
		if a := s.do("POST", "/account/login", form("email", name, "password", "wrong and long"), contentType(formType), local, through); a.status != want {
			t.Errorf("the next one, by the API, is %d, want %d", a.status, want)
		}
	}
}

// A change by a page is one change of its user.
func TestPageChangesCountOnce(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 2}))
	ann := s.newUser(annEmail)
	for _, want := range []int{200, 200, 429} {
		if a := s.byForm("/connect", connectForm, cookie(ann.jwt)); a.status != want {
			t.Errorf("a program is connected with %d, want %d: %s", a.status, want, a.body)
		}
	}
}

// On a connection of the owner of the file a page is nobody's: it may what its
// credential may, and its tries at passwords count.
func TestPageIsNobodysOwner(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.LoginLimits.Account = 2 })
	s.do("POST", "/auth/access_token", "", local).want(200) // the owner itself
	for _, path := range []string{"/", "/password", "/connect?product=coco&provider=x&request_id=" + connectForm[5]} {
		if a := s.page(path, local); a.status != 403 {
			t.Errorf("GET %s is %d %s", path, a.status, a.body)
		}
	}
	for path, fields := range map[string][]string{"/connect": connectForm, "/password": {"old_password", "x", "new_password", "y", "again", "y"}} {
		if a := s.byForm(path, fields, local); a.status != 403 || strings.Contains(a.body, "code=") {
			t.Errorf("POST %s is %d %s", path, a.status, a.body)
		}
	}
	if a := s.page("/login", local); a.status != 200 || !strings.Contains(a.body, `name="password"`) {
		t.Errorf("the sign-in page is %d %s", a.status, a.body)
	}
	for _, want := range []int{403, 403, 429} {
		a := s.byForm("/account/login", []string{"password", "wrong and long"}, local)
		if a.status != want {
			t.Errorf("a wrong password by the page is %d, want %d", a.status, want)
		}
		if lines := s.lines(a.header.Get("X-Request-Id")); len(lines) != 1 || lines[0]["transport"] != db.TransportOffline || lines[0]["address"] != "" {
			t.Errorf("it has the lines %v", lines)
		}
	}
}

// No header makes a request one of a page, nor a page that of another address.
func TestPageCallIsNotForged(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	s.byForm("/account/login", []string{"email", annEmail, "password", ann.password},
		header("X-Forwarded-For", "198.51.100.7"), header("X-Real-Ip", "198.51.100.7"), header("X-Request-Id", "mine"), header("Forwarded", "for=198.51.100.7"))
	if e := s.lastEvent(); e.Action != "session.login" || e.Address != stranger || e.RequestID == "mine" || e.RequestID == "" {
		t.Errorf("%+v", e)
	}
}

// What no browser sends to a page gets an answer of its kind, and no page more than
// it would get from the API.
func TestPageOddRequests(t *testing.T) {
	s := newServer(t)
	ann, admin := s.newUser(annEmail), s.single()
	token := s.mint(ann.session(), api.NewToken{}).AccessToken
	for _, c := range []struct {
		name, path string
		with       []edit
		want       int
	}{
		{"a token at the sign-in", "/login", []edit{apiToken(token)}, 200},
		{"a token at home", "/", []edit{apiToken(token)}, 403},
		{"a session in a header", "/", []edit{bearer(ann.jwt)}, 200},
		{"two credentials", "/", []edit{bearer(ann.jwt), apiToken(token)}, 400},
		{"two credentials at the sign-in", "/login", []edit{bearer(ann.jwt), apiToken(token)}, 200},
		{"a header for somebody else", "/", []edit{header("Authorization", "Basic eDp5"), cookie(ann.jwt)}, 200},
		{"cookies of two users", "/", []edit{cookie(ann.jwt), cookie(admin.jwt)}, 400},
		{"cookies of two users at the sign-in", "/login", []edit{cookie(ann.jwt), cookie(admin.jwt)}, 200},
		{"a bad cookie before the good one", "/", []edit{cookie("nonsense"), cookie(ann.jwt)}, 200},
		{"a good session at the sign-in", "/login", []edit{cookie(ann.jwt)}, 303},
		{"a large cookie at the sign-in", "/login", []edit{cookie(strings.Repeat("x", 14<<10))}, 200},
		{"a large cookie at home", "/", []edit{cookie(strings.Repeat("x", 14<<10))}, 303},
		{"many cookies", "/login", []edit{header("Cookie", strings.Repeat("husk_session=x; ", 800))}, 200},
		{"lines of cookies", "/login", []edit{func(r *http.Request) {
			for range 90 {
				r.Header.Add("Cookie", "husk_session=x")
			}
		}}, 200},
		{"a head", "/login", []edit{func(r *http.Request) { r.Method = "HEAD" }}, 200},
		{"HTTP/1.0, no host", "/login", []edit{onHost("")}, 200},
	} {
		a := s.page(c.path, c.with...)
		if a.status != c.want {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if set := a.header["Set-Cookie"]; len(set) > 0 {
			t.Errorf("%s is set %v", c.name, set)
		}
	}
}

// A token without the right to connect a program is told of that, and the audit has
// it, though with the right it would be refused too.
func TestPageWantOfRightsIsToldFirst(t *testing.T) {
	s := newServer(t)
	few := s.mint(s.newUser(annEmail).session(), api.NewToken{Permissions: []string{db.PermTokenSearch}})
	a := s.do("GET", "/connect", "", apiToken(few.AccessToken))
	if a.status != http.StatusForbidden || !strings.Contains(a.body, "not_permitted") || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if told := s.told("access.refused"); len(told) != 1 || told[0].Target != db.PermTokenCreate {
		t.Errorf("%+v", told)
	}
}

// A script of another origin that is let in is set no cookie by a page either.
func TestPageSetsNoForeignCookie(t *testing.T) {
	const app = "https://app.example"
	s := newServer(t, func(c *web.Config) { c.PublicURL, c.CORSOrigins = "https://id.example", []string{app} })
	signIn := []string{"password", singlePassword}
	a := s.byForm("/account/login", signIn, header("Origin", app), header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "cors"))
	if len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("%d %v", a.status, a.header)
	}
	a = s.byForm("/account/login", signIn, header("Origin", "https://id.example"), header("Sec-Fetch-Site", "same-origin"))
	if a.status != 303 || len(a.header["Set-Cookie"]) != 2 {
		t.Errorf("%d %v", a.status, a.header)
	}
	for _, set := range a.header["Set-Cookie"] {
		if !strings.Contains(set, "; HttpOnly; Secure; SameSite=Lax") {
			t.Errorf("the cookie is passed on as %q", set)
		}
	}
}

// Each request for a page ends its connections, whether the page is answered, or
// who asked has left; and nothing of the console runs when no page is asked for.
func TestPageLeavesNothing(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	s.transport.CloseIdleConnections()
	before := runtime.NumGoroutine()
	for range 20 {
		if a := s.page("/", cookie(ann.jwt)); a.status != 200 {
			t.Fatal(a.status)
		}
		s.page("/login", cookie("nonsense"))
	}
	s.transport.CloseIdleConnections()
	goroutines(t, before)

	for range 20 {
		c, err := s.far.dial(t.Context(), stranger+":80")
		must(t, err)
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nAccept: text/html\r\nCookie: husk_session="+ann.jwt+"\r\n\r\n")
		must(t, err)
		c.Close()
	}
	for range 20 {
		ctx, leave := context.WithCancel(t.Context())
		r := recorded.NewRequestWithContext(ctx, "POST", "/account/login", strings.NewReader(form("email", annEmail, "password", "wrong and long")))
		r.Header = http.Header{"Content-Type": {formType}, "Accept": {"text/html"}}
		left := make(chan struct{})
		go func() {
			defer close(left)
			s.ServeHTTP(recorded.NewRecorder(), r)
		}()
		leave()
		<-left
	}
	goroutines(t, before)
}

// A browser that leaves before its page comes is no failure of the server: each
// navigation that is broken off would count as one.
func TestPageThatNobodyWaitsFor(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	s.page("/", cookie(ann.jwt)).want(200)
	left, leave := context.WithCancel(t.Context())
	leave()
	for _, path := range []string{"/", "/login", "/password", "/setup"} {
		r := recorded.NewRequestWithContext(left, "GET", path, nil)
		r.Header.Set("Accept", "text/html")
		if path != "/login" {
			r.AddCookie(&http.Cookie{Name: "husk_session", Value: ann.jwt})
		}
		a := recorded.NewRecorder()
		s.ServeHTTP(a, r)
		if a.Code >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
}

// What a page holds of a form beside the form itself counts in what connections may
// hold: a long one of many at once would take most of a small machine.
func TestPageWeighs(t *testing.T) {
	s := newServer(t)
	pool := listen.NewPool(listen.Limits{Memory: 200 << 10, Log: slog.New(slog.DiscardHandler)})
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pool.Listener(tcp)) }()
	defer func() {
		stop()
		must(t, <-done)
	}()
	for _, c := range []struct {
		name, accept, email string
		closed              int64
	}{
		{"a form for a page", "text/html", annEmail, 0},
		{"a long one for a program", "*/*", strings.Repeat("a", 60_000), 0},
		{"a long one for a page", "text/html", strings.Repeat("a", 60_000), 1},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+tcp.Addr().String()+"/account/login", strings.NewReader(form("email", c.email, "password", "wrong and long")))
		must(t, err)
		r.Header = http.Header{"Content-Type": {formType}, "Accept": {c.accept}}
		a, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err == nil {
			a.Body.Close()
		}
		if n := pool.Stats().Closed["memory"]; n != c.closed || (err == nil) != (n == 0) {
			t.Errorf("%s: %d connections were closed, %v", c.name, n, err)
		}
	}
}

// A page is the same over HTTP/2.
func TestPageOverHTTP2(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	tls := recorded.NewUnstartedServer(s.Server)
	tls.EnableHTTP2 = true
	tls.StartTLS()
	defer tls.Close()
	client := tls.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, want := range map[string]int{"/": 200, "/login": 303} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", tls.URL+path, nil)
		must(t, err)
		r.Header.Set("Accept", "text/html")
		r.AddCookie(&http.Cookie{Name: "husk_session", Value: ann.jwt})
		r.AddCookie(&http.Cookie{Name: "another", Value: strings.Repeat("x", 8<<10)})
		a, err := client.Do(r)
		must(t, err)
		a.Body.Close()
		if a.StatusCode != want || a.ProtoMajor != 2 {
			t.Errorf("%s is %d by %s", path, a.StatusCode, a.Proto)
		}
	}
}

// While a server stops, pages that are under way are answered.
func TestPageDuringStop(t *testing.T) {
	s := newServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	answers := bufio.NewReader(c)
	alive, err := http.ReadResponse(answers, nil) // the connection is known now
	must(t, err)
	_, err = io.Copy(io.Discard, alive.Body)
	must(t, err)
	body := form("password", singlePassword)
	_, err = io.WriteString(c, "POST /account/login HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nContent-Type: "+formType+"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body[:3])
	must(t, err)
	stop()
	_, err = io.WriteString(c, body[3:])
	must(t, err)
	a, err := http.ReadResponse(answers, nil)
	must(t, err)
	if a.StatusCode != 303 || len(a.Cookies()) != 2 {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	must(t, <-done)
}
