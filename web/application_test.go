package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	apps "net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"husk/web"
	"husk/web/api"
	"husk/web/gate"
)

// newApp is an application that answers with what reached it.
func newApp(t testing.TB) *apps.Server {
	t.Helper()
	app := apps.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", r.Method, r.Host, r.RequestURI)
		_ = r.Header.Write(w)
	}))
	t.Cleanup(app.Close)
	return app
}

// Who is refused in the place of an application is told what to do about it, and by
// which id the log has it.
func TestRefusalsOfOwnProxy(t *testing.T) {
	c := gateRules()
	c.Rules = append([]gate.Rule{
		{Host: "own.example.com", Path: "/admin", Require: []string{"role:admin"}},
		{Host: "own.example.com", Require: []string{"any"}, UpstreamURL: "http://127.0.0.1:1"},
	}, c.Rules...)
	s := newGate(t, c)
	ann := s.newUser("ann@example.com")
	own, takesPages := onHost("own.example.com"), header("Accept", "text/html,*/*;q=0.8")
	a := s.do("GET", "/admin", "", own, bearer(ann.jwt), navigates, takesPages)
	if a.status != 403 || !strings.Contains(a.body, "signed in as ann@example.com, and may not") || !strings.Contains(a.body, `href="https://auth.example.com/account/logout"`) {
		t.Errorf("a page that leads nowhere: %s", a.body)
	}
	token := s.mintFor(ann, api.NewToken{}).AccessToken
	if a := s.do("GET", "/admin", "", own, apiToken(token), navigates, takesPages); a.status != 403 || strings.Contains(a.body, "href=") {
		t.Errorf("a token is to sign out: %s", a.body)
	}
	a = s.do("GET", "/", "", own, bearer(ann.jwt), navigates, takesPages)
	if id := a.header.Get("X-Request-Id"); a.status != 502 || id == "" || !strings.HasPrefix(a.body, "<!DOCTYPE html>") || strings.Count(s.log.String(), `"request_id":"`+id+`"`) != 1 {
		t.Errorf("the answer has the id %q, and the page is %s", id, a.body)
	}
	if a := s.do("GET", "/", "", own, bearer(ann.jwt), header("Accept", "text/html;q=0, */*")).want(502); !strings.HasPrefix(a.body, "{") {
		t.Errorf("who takes no pages gets %s", a.body)
	}
}

// A host with an upstream is wholly the application's.
func TestApplicationHasItsHost(t *testing.T) {
	app := newApp(t)
	c := gateRules()
	c.Rules = append([]gate.Rule{
		{Host: "own.example.com", Path: "/open", Require: []string{"public"}},
		{Host: "own.example.com", Require: []string{"any"}, UpstreamURL: app.URL},
	}, c.Rules...)
	s := newGate(t, c)
	secret := s.mint(s.single().session(), api.NewToken{}).AccessToken
	for _, c := range []struct {
		name, method, path string
		edits              []edit
		status             int
		line               string
	}{
		{"nobody", "GET", "/", nil, 401, ""},
		{"nobody, for a page", "GET", "/login", []edit{navigates}, 302, ""},
		{"public", "GET", "/open/a%20b?x;y=%zz", nil, 200, "GET own.example.com /open/a%20b?x;y=%zz\n"},
		{"a path that is Husk's", "GET", "/account/profile", []edit{apiToken(secret)}, 200, "GET own.example.com /account/profile\n"},
		{"a slash at the end", "POST", "/account/login/", []edit{apiToken(secret)}, 200, "POST own.example.com /account/login/\n"},
		{"an endpoint of the gate", "GET", "/api/authz/forward-auth", []edit{apiToken(secret)}, 200, "GET own.example.com /api/authz/forward-auth\n"},
		{"a trick", "GET", "/open/..%2fadmin", []edit{apiToken(secret)}, 400, ""},
		{"another spelling", "GET", "/open", []edit{onHost("Own.Example.com.:8443")}, 200, "GET Own.Example.com.:8443 /open\n"},
	} {
		a := s.do(c.method, c.path, "", append([]edit{onHost("own.example.com")}, c.edits...)...)
		if a.status != c.status || !strings.HasPrefix(a.body, c.line) {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		for _, leak := range []string{"X-Request-Id", "Content-Security-Policy", "Remote-User"} {
			if a.status == 200 && a.header.Get(leak) != "" {
				t.Errorf("%s: the answer has %s", c.name, leak)
			}
		}
	}
}

// What reaches an application is of Husk's own making, and none of its credentials.
func TestApplicationSees(t *testing.T) {
	app := newApp(t)
	s := newGate(t, gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{{Host: "own.example.com", Require: []string{"any"}, UpstreamURL: app.URL}}})
	single := s.single()
	secret := s.mint(single.session(), api.NewToken{}).AccessToken
	a := s.do("GET", "/", "", onHost("own.example.com"), apiToken(secret), header("Remote-User", "admin"), header("X-Forwarded-Host", "evil.example"), header("X-Forwarded-Proto", "https"),
		header("X-Forwarded-For", "10.9.8.7"), header("Connection", "Remote-User"), header("Authorization", "Bearer glsa_own"),
		header("Cookie", "theme=dark; husk_session="+single.jwt+"; husk_gate=x; __Host-husk_session="+single.jwt+"; husk_device=y")).want(200)
	for _, want := range []string{"Remote-User: coco-default-user\r\n", "Remote-Groups: admin\r\n", "X-Forwarded-Host: own.example.com\r\n", "X-Forwarded-For: " + stranger + "\r\n", "X-Forwarded-Proto: http\r\n", "Authorization: Bearer glsa_own\r\n", "Cookie: theme=dark\r\n"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("it lacks %q in\n%s", want, a.body)
		}
	}
	for _, no := range []string{secret, single.jwt, "husk_", "evil.example", "10.9.8.7", "X-Api-Token"} {
		if strings.Contains(a.body, no) {
			t.Errorf("it sees %s", no)
		}
	}
	behind := []edit{from(proxyAddress), onHost("own.example.com"), apiToken(secret), header("X-Forwarded-Proto", "https"), header("X-Forwarded-For", "10.9.8.7")}
	if a := s.do("GET", "/", "", behind...).want(200); !strings.Contains(a.body, "X-Forwarded-Proto: https\r\n") || !strings.Contains(a.body, "X-Forwarded-For: 10.9.8.7\r\n") {
		t.Errorf("behind a proxy that is trusted it sees\n%s", a.body)
	}
	for name, e := range map[string]edit{"Bearer": bearer(secret), "Basic": basicAuth("x", secret), "JWT": bearer(single.jwt)} {
		if a := s.do("GET", "/", "", onHost("own.example.com"), e).want(200); strings.Contains(a.body, "Authorization") {
			t.Errorf("%s: it sees\n%s", name, a.body)
		}
	}
}

// newAlone is a server with one application behind every host.
func newAlone(t testing.TB) *server {
	t.Helper()
	return newGate(t, gate.Config{Rules: []gate.Rule{{Host: gate.AnyHost, Require: []string{"any"}, UpstreamURL: newApp(t).URL}}},
		func(c *web.Config) { c.PublicURL = "" })
}

// Where one application is behind every host, Husk keeps its own paths, and the whole
// way in is at that host.
func TestApplicationAtAnyHost(t *testing.T) {
	s := newAlone(t)
	at := onHost("wiki.internal:8000")
	if a := s.do("GET", "/health", "", at).want(200); !strings.Contains(a.body, "version") {
		t.Errorf("%s", a.body)
	}
	s.do("GET", "/account/profile/", "", at, apiToken("x")).want(401, "invalid_token")
	s.do("GET", "/account/nothing", "", at).want(401, "not_signed_in")
	s.do("GET", "/api/authz/forward-auth", "", at).want(400, "untrusted_proxy")
	s.do("GET", "/api/authz/forward-authority", "", at).want(401, "not_signed_in")
	s.do("GET", "/", "", at).want(401, "not_signed_in")

	login := s.do("GET", "/x?y", "", at, navigates).want(302).header.Get("Location")
	if !strings.HasPrefix(login, "/login?return=") {
		t.Fatalf("it leads to %s", login)
	}
	page := s.page(login, at)
	sealed := hiddenIn(t, page.body, "return")
	in := s.byForm("/account/login", []string{"password", singlePassword, "return", sealed}, at).want(303)
	session := cookieNamed("husk_session", cookieIn(t, in, "husk_session"))
	back := s.page(in.header.Get("Location"), at, session).want(303).header.Get("Location")
	if !strings.HasPrefix(back, "/x?y&husk_code=") {
		t.Fatalf("it leads back to %s", back)
	}
	s.do("GET", back, "", onHost("evil.example"), navigates).want(302) // without a cookie
	a := s.do("GET", back, "", at, navigates).want(302)
	if a.header.Get("Location") != "/x?y" {
		t.Errorf("it leads on to %s", a.header.Get("Location"))
	}
	if a.cookie("husk_gate").Secure {
		t.Error("by http no browser keeps the cookie")
	}
	pass := gateCookie(cookieIn(t, a, "husk_gate"))
	s.do("GET", "/x?y", "", at, pass).want(200)
	s.do("GET", "/x?y", "", onHost("evil.example"), pass).want(401)
}

func cookieIn(t testing.TB, a answer, name string) string {
	t.Helper()
	c := a.cookie(name)
	if c == nil {
		t.Fatalf("%s sets no %s: %v", a.what, name, a.header)
	}
	return c.Value
}

// Commands and pages ask Husk, whatever host is an application's.
func TestApplicationIsNotAskedByCommands(t *testing.T) {
	named := newGate(t, gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{{Host: "local", Require: []string{"any"}, UpstreamURL: newApp(t).URL}}})
	named.do("GET", "/account/profile", "", onHost("local")).want(401) // of the gate
	s := newAlone(t)
	for _, s := range []*server{s, named} {
		if _, err := s.local.Profile(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if a := s.page("/login", onHost("localhost")); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// newEchoing is an application that answers all that comes by a WebSocket with the
// same.
func newEchoing(t testing.TB) *apps.Server {
	t.Helper()
	app := apps.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(c, rw)
	}))
	t.Cleanup(app.Close)
	return app
}

// socket is an open WebSocket.
type socket struct {
	testing.TB
	net.Conn
	in *bufio.Reader
}

// openSocket opens a WebSocket of an application by the credential that is in a line
// of the header.
func (s *server) openSocket(path, credential string) *socket {
	s.t.Helper()
	c, err := s.far.dial(s.t.Context(), stranger+":80")
	must(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	must(s.t, c.SetDeadline(time.Now().Add(30*time.Second))) // a loaded machine is slow
	_, err = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: own.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+credential+"\r\n\r\n")
	must(s.t, err)
	opened := &socket{s.t, c, bufio.NewReader(c)}
	a, err := http.ReadResponse(opened.in, nil)
	must(s.t, err)
	if a.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("%s", a.Status)
	}
	opened.goesOn()
	return opened
}

func (c *socket) goesOn() {
	c.Helper()
	_, err := io.WriteString(c, "ping")
	must(c, err)
	echoed := make([]byte, 4)
	if _, err := io.ReadFull(c.in, echoed); err != nil || string(echoed) != "ping" {
		c.Fatalf("%q, %v", echoed, err)
	}
}

// An open WebSocket ends with what it was opened with, and with the rule that let it
// through. None other does; that it is open is no use of its session.
func TestWebSocketsEnd(t *testing.T) {
	t.Parallel()
	c := gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{{Host: "own.example.com", Require: []string{"any"}, UpstreamURL: newEchoing(t).URL}}}
	s := newGate(t, c, endsIdle)
	ann, leaves := s.newUser("ann@example.com"), s.single()
	made := s.mintFor(ann, api.NewToken{})
	stays := s.openSocket("/", "Authorization: Bearer "+ann.jwt)
	ends := map[string]*socket{ // after it they are looked at
		"its session has ended": s.openSocket("/", "Authorization: Bearer "+leaves.jwt),
		"its token has ended":   s.openSocket("/", "X-API-TOKEN: "+made.AccessToken),
		"no rule lets it in":    s.openSocket("/admin", "Authorization: Bearer "+ann.jwt),
	}
	s.clock.advance(idle - time.Second)
	s.do("POST", "/account/logout", "", leaves.session()).want(200)
	s.revoke(made.AccessToken, apiToken(made.AccessToken)).want(200)
	c.Rules = append([]gate.Rule{{Host: "own.example.com", Path: "/admin", Require: []string{"role:admin"}}}, c.Rules...)
	rules, _ := gate.Parse(c)
	s.SetGate(rules)
	for why, c := range ends {
		if rest, err := io.ReadAll(c.in); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, and it goes on: %q, %v", why, rest, err)
		}
	}
	stays.goesOn()
	s.clock.advance(time.Second)
	s.do("GET", "/account/profile", "", ann.session()).want(401)
}
