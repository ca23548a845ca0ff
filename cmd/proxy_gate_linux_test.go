package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"husk/db/dbtest"
)

// What 'husk proxy config' prints is run here by the proxies themselves, before a
// real server and an application that shows what reached it. In the files nothing is
// changed but where nginx keeps what it has in between, and that Caddy is not
// managed.

// gatedProxies are how each proxy is started with a file.
var gatedProxies = map[string]func(g *gated) *exec.Cmd{
	"nginx": gatedNginx, "caddy": gatedCaddy, "haproxy": gatedHAProxy,
}

func TestGateBehindAProxy(t *testing.T) {
	t.Parallel()
	for kind := range gatedProxies {
		t.Run(kind, func(t *testing.T) {
			if kind == "haproxy" {
				dbtest.TakesVeryLong(t, "its way with what is half sent takes ten seconds")
			}
			t.Parallel()
			newBehind(t, kind, kind).tried()
		})
	}
}

// The newest Caddy is a module of Go.
func TestGateBehindNewestCaddy(t *testing.T) {
	dbtest.NoRace(t, "the gate behind the real proxy")
	dbtest.TakesVeryLong(t, "the newest Caddy is built, which takes minutes")
	t.Parallel()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "install", "github.com/caddyserver/caddy/v2/cmd/caddy@latest")
	build.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		prerequisite(t, fmt.Sprintf("the newest Caddy can't be had: %v\n%s", err, out))
	}
	newBehind(t, "caddy", filepath.Join(bin, "caddy")).tried()
}

// The files in dist/proxy are taken by the proxies' own checks, once a certificate is
// where they look for it.
func TestShippedProxyFilesAreTaken(t *testing.T) {
	dbtest.NoRace(t, "the proxies' own checks")
	dbtest.TakesLong(t, "the proxies' own checks")
	dir := t.TempDir()
	p := goodPair(t, "*.example.com")
	files := newPairFiles(t, p)
	both := writeFile(t, dir, "both.pem", string(p.cert)+string(p.key))
	lua, err := os.ReadFile("../dist/proxy/" + luaOfHAProxy)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, luaOfHAProxy, string(lua))
	pairs := []string{}
	for _, host := range []string{"auth.example.com", "wiki.example.com"} {
		pairs = append(pairs, "/etc/letsencrypt/live/"+host+"/fullchain.pem", files.cert, "/etc/letsencrypt/live/"+host+"/privkey.pem", files.key)
	}
	for _, c := range []struct {
		proxy, file string
		pairs, args []string
	}{
		{"nginx", "nginx.conf", pairs, []string{"-t", "-g", "pid " + dir + "/pid;", "-c"}},
		{"caddy", "Caddyfile", nil, []string{"validate", "--adapter", "caddyfile", "--config"}},
		{"haproxy", "haproxy.cfg", []string{"/etc/haproxy/certs/", both}, []string{"-c", "-f"}},
	} {
		if _, err := exec.LookPath(c.proxy); err != nil {
			prerequisite(t, err.Error())
		}
		f := &front{t: t, log: filepath.Join(dir, "log")}
		f.accepts(c.proxy, append(c.args, writeFile(t, dir, c.file, f.shipped("proxy/"+c.file, c.pairs...)))...)
	}
}

// tried is all that has to hold behind a proxy.
func (g *gated) tried() {
	g.leadsToSignIn()
	g.signsInAndBack()
	g.hidesPlantedCookies()
	g.takesCredentials()
	g.leavesTheApplicationItsOwn()
	g.dropsForgedHeaders()
	g.refuses()
	g.refusesTricks()
	g.upgrades()
	g.streams()
	g.keepsQuestionsInside()
	g.leavesToHusk()
	g.asksForASecondFactor()
	g.refusesWithoutHusk()
}

// gated is an application behind a proxy that asks Husk.
type gated struct {
	*front
	program string // of the proxy
	kind    string
	port    string // of the proxy
	config  string // of Husk
	server  *server
	app     *showing
	token   string // an API token of ann@example.com
	signed  *http.Client
}

func newBehind(t testing.TB, kind, program string) *gated {
	t.Helper()
	dbtest.NoRace(t, "the gate behind the real proxy")
	dbtest.TakesLong(t, "the gate behind the real proxy")
	if _, err := exec.LookPath(program); err != nil {
		prerequisite(t, err.Error())
	}
	g := startBehind(t, kind, program)
	g.run(gatedProxies[kind](g))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the proxy says:\n%s", g.logged())
		}
	})
	return g
}

// startBehind starts all but the proxy.
func startBehind(t testing.TB, kind, program string) *gated {
	t.Helper()
	addr := freeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	g := &gated{kind: kind, program: program, port: port, app: newShowing(t), front: &front{t: t, http: addr, https: addr, log: filepath.Join(t.TempDir(), "log")}}
	g.husk.data = filepath.Join(t.TempDir(), "data")
	setUp := g.husk
	setUp.stdin = "tin cup on the shelf\n"
	setUp.ok(t, "user", "create", "operator@example.com", "--role", "admin", "--password-stdin") // or Husk is to be set up first
	setUp.ok(t, "user", "create", "ann@example.com", "--name", "Ann Example", "--password-stdin")
	g.token = g.husk.ok(t, "token", "create", "--user", "ann@example.com", "--quiet")
	g.config = writeFile(t, t.TempDir(), "husk.yaml", fmt.Sprintf(gatedRules, port, g.app.addr))
	g.server = g.husk.serve(t, "--config", g.config)
	return g
}

// print runs husk proxy config for the application, with a certificate for all of
// its hosts.
func (g *gated) print(args ...string) string {
	g.t.Helper()
	p := newPair(g.t, "*.example.com", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour), "*.apps.example.com")
	files := newPairFiles(g.t, p)
	g.roots = x509.NewCertPool()
	g.roots.AppendCertsFromPEM(p.cert)
	all := append([]string{"proxy", "config", g.kind, "--quiet", "--addr", g.server.addr, "--config", g.config, "--public-url", "https://id.example.com:" + g.port, "--listen", g.https}, args...)
	for _, host := range []string{"app.example.com", "open.example.com", "*.apps.example.com", "norule.example.com"} {
		all = append(all, "--app", host+"="+g.app.addr)
	}
	if g.kind == "haproxy" {
		both := writeFile(g.t, g.t.TempDir(), "both.pem", string(p.cert)+string(p.key))
		return g.husk.ok(g.t, append(all, "--cert", both)...) + "\n"
	}
	return g.husk.ok(g.t, append(all, "--cert", files.cert, "--key", files.key)...) + "\n"
}

func gatedNginx(g *gated) *exec.Cmd {
	dir := filepath.Dir(g.log)
	var between strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&between, "%s_temp_path %s/%s;\n", name, dir, name)
	}
	conf := writeFile(g.t, dir, "nginx.conf", strings.Replace(g.print(), "http {\n", "http {\naccess_log off;\n"+between.String(), 1))
	g.accepts(g.program, "-t", "-e", g.log, "-c", conf, "-g", "pid "+dir+"/pid;")
	return exec.Command(g.program, "-e", g.log, "-c", conf, "-g", "daemon off; pid "+dir+"/pid;")
}

func gatedCaddy(g *gated) *exec.Cmd {
	dir := filepath.Dir(g.log)
	conf := writeFile(g.t, dir, "Caddyfile", strings.Replace(g.print(), "{\n", "{\n\tadmin off\n", 1))
	g.accepts(g.program, "validate", "--adapter", "caddyfile", "--config", conf)
	c := exec.Command(g.program, "run", "--adapter", "caddyfile", "--config", conf)
	c.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	return c
}

func gatedHAProxy(g *gated) *exec.Cmd {
	dir := filepath.Dir(g.log)
	conf := writeFile(g.t, dir, "haproxy.cfg", g.print())
	writeFile(g.t, dir, luaOfHAProxy, g.husk.ok(g.t, "proxy", "config", "haproxy", "--lua")+"\n")
	g.accepts(g.program, "-c", "-f", conf)
	return exec.Command(g.program, "-db", "-f", conf)
}

// showing is an application that shows what reached it.
type showing struct {
	addr    string
	reached atomic.Int64
}

// shown is what reached the application.
type shown struct {
	Method, URI, Host string
	Header            http.Header
	Bytes             int64
}

func newShowing(t testing.TB) *showing {
	t.Helper()
	s := &showing{}
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	s.addr = at.Listener.Addr().String()
	return s
}

func (s *showing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.reached.Add(1)
	if r.Header.Get("Upgrade") == "websocket" {
		echoUpgraded(w, r.Header.Get("Sec-WebSocket-Key"))
		return
	}
	n, _ := io.Copy(io.Discard, r.Body) // an upload that ends early is told by its length
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(shown{r.Method, r.RequestURI, r.Host, r.Header, n})
}

// echoUpgraded switches to a protocol that answers with each line.
func echoUpgraded(w http.ResponseWriter, key string) {
	c, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	proof := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, 4.2.2: HAProxy looks at it
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(proof[:]))
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprint(c, "got ", line)
	}
}

// at is a URL behind the proxy.
func (g *gated) at(host, uri string) string { return "https://" + host + ":" + g.port + uri }

// gateAnswer is what came back.
type gateAnswer struct {
	*http.Response
	body  string
	shown *shown // nil: the application was not reached
}

// ask sends a request; headers are Name: value.
func (g *gated) ask(client *http.Client, method, url string, body io.Reader, headers ...string) gateAnswer {
	g.t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[name] = append(r.Header[name], value) // spelled as it stands
	}
	if client == nil {
		client = g.client()
	}
	before := g.app.reached.Load()
	answer, err := client.Do(r)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, url, err)
	}
	a := gateAnswer{Response: answer, body: string(text)}
	if g.app.reached.Load() > before {
		a.shown = &shown{}
		if err := json.Unmarshal(text, a.shown); err != nil {
			g.t.Errorf("%s %s: the application was reached, and the answer is %s %s", method, url, answer.Status, text)
		}
	}
	return a
}

// wantRefused: with this status, and not one byte to the application.
func (g *gated) wantRefused(what string, a gateAnswer, statuses ...int) {
	g.t.Helper()
	for _, s := range statuses {
		if a.StatusCode == s && a.shown == nil {
			return
		}
	}
	g.t.Errorf("%s: %s, want %v; the application saw %+v", what, a.Status, statuses, a.shown)
}

// wantAs: the application was reached, and told of who it is.
func (g *gated) wantAs(what string, a gateAnswer, user string) {
	g.t.Helper()
	if a.StatusCode != http.StatusOK || a.shown == nil {
		g.t.Errorf("%s: %s %s", what, a.Status, a.body)
		return
	}
	want := map[string]string{"Remote-User": user, "Remote-Name": "", "Remote-Email": user, "Remote-Groups": ""}
	if user != "" {
		want["Remote-Name"], want["Remote-Groups"] = "Ann Example", "user"
	}
	for name, value := range want {
		if got := strings.Join(a.shown.Header[name], "|"); got != value {
			g.t.Errorf("%s: %s is %q, not %q", what, name, got, value)
		}
	}
	for name, values := range a.shown.Header {
		plain := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		if strings.HasPrefix(plain, "remote-") && want[http.CanonicalHeaderKey(plain)] != strings.Join(values, "|") {
			g.t.Errorf("%s: the application sees %s: %q", what, name, values)
		}
	}
	for _, name := range []string{"X-Api-Token", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri", "X-Forwarded-Method", "Forwarded"} {
		if a.shown.Header.Get(name) != "" {
			g.t.Errorf("%s: the application sees %s: %q", what, name, a.shown.Header[name])
		}
	}
	if cookie := a.shown.Header.Get("Cookie"); strings.Contains(cookie, "husk_") {
		g.t.Errorf("%s: the application sees the cookie %q", what, cookie)
	}
	forwarded := map[string]string{"X-Forwarded-For": otherMachine, "X-Forwarded-Proto": "https", "X-Forwarded-Host": a.shown.Host}
	for name, value := range forwarded {
		if got := strings.Join(a.shown.Header[name], "|"); got != value {
			g.t.Errorf("%s: %s is %q, not %q", what, name, got, value)
		}
	}
}

const navigating = "Sec-Fetch-Mode: navigate"

func (g *gated) leadsToSignIn() {
	g.t.Helper()
	url := g.at("app.example.com", "/page?x=1&y")
	a := g.ask(nil, "GET", url, nil, navigating)
	g.wantRefused("a page", a, http.StatusFound)
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, g.at("id.example.com", "/login?return=")) || a.Header.Get("Cache-Control") != "no-store" {
		g.t.Errorf("a page leads to %q, %v", to, a.Header)
	}
	g.wantRefused("a form", g.ask(nil, "POST", url, strings.NewReader("a=b"), "Accept: text/html"), http.StatusSeeOther)
	for what, accept := range map[string]string{"a program": "*/*", "a script": "Sec-Fetch-Mode: cors"} {
		a := g.ask(nil, "GET", url, nil, "Accept: "+accept)
		if what == "a script" {
			a = g.ask(nil, "GET", url, nil, accept, "Accept: text/html")
		}
		g.wantRefused(what, a, http.StatusUnauthorized)
		if len(a.Header["Www-Authenticate"]) != 1 || a.Header.Get("Location") != "" {
			g.t.Errorf("%s is told %v", what, a.Header)
		}
	}
}

// signsInAndBack is what a browser does.
func (g *gated) signsInAndBack() {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	g.signed = g.client()
	g.signed.Jar = jar
	target := g.at("app.example.com", "/page?x=1&y")
	to := g.ask(g.signed, "GET", target, nil, navigating).Header.Get("Location")
	page := g.ask(g.signed, "GET", to, nil, navigating)
	m := regexp.MustCompile(`name="return" value="([^"]*)"`).FindStringSubmatch(page.body)
	if m == nil {
		g.t.Fatalf("the sign-in has no way back: %s %s", page.Status, page.body)
	}
	form := url.Values{"email": {"ann@example.com"}, "password": {"tin cup on the shelf"}, "return": {html.UnescapeString(m[1])}}
	a := g.ask(g.signed, "POST", g.at("id.example.com", "/account/login"), strings.NewReader(form.Encode()),
		"Content-Type: application/x-www-form-urlencoded", "Accept: text/html", "Origin: https://id.example.com:"+g.port)
	for step := 0; a.StatusCode >= 300 && a.StatusCode < 400 && step < 5; step++ {
		to, err := a.Request.URL.Parse(a.Header.Get("Location"))
		if err != nil {
			g.t.Fatal(err)
		}
		a = g.ask(g.signed, "GET", to.String(), nil, navigating)
	}
	g.wantAs("back from the sign-in", a, "ann@example.com")
	if a.shown == nil || a.shown.URI != "/page?x=1&y" {
		g.t.Errorf("it came back to %+v", a.shown)
	}
	a = g.ask(g.signed, "GET", target, nil, "Cookie: mine=1; other=a b")
	g.wantAs("with the cookie", a, "ann@example.com")
	if a.shown == nil || strings.Join(a.shown.Header["Cookie"], "; ") != "mine=1; other=a b" {
		g.t.Errorf("of the application's own cookies it sees %+v", a.shown)
	}
}

// hidesPlantedCookies: another host of the domain can plant cookies around Husk's own,
// by which it reaches no application either.
func (g *gated) hidesPlantedCookies() {
	g.t.Helper()
	target := g.at("app.example.com", "/")
	u, err := url.Parse(target)
	if err != nil {
		g.t.Fatal(err)
	}
	planted := []string{"husk_device=1", "husk_session=2", "__Secure-husk_gate=3", "__Secure-husk_device=4", "__Secure-husk_session=5", "mine=1"}
	for _, own := range g.signed.Jar.Cookies(u) {
		for at := range planted {
			all := strings.Join(slices.Insert(slices.Clone(planted), at, own.Name+"="+own.Value), "; ")
			a := g.ask(nil, "GET", target, nil, "Cookie: "+all)
			g.wantAs("among planted cookies", a, "ann@example.com")
			if a.shown != nil && strings.Contains(strings.Join(a.shown.Header["Cookie"], ";"), "husk_") {
				g.t.Errorf("of %q the application sees %q", all, a.shown.Header["Cookie"])
			}
		}
	}
}

// takesCredentials: programs come with a token, which the application never sees.
func (g *gated) takesCredentials() {
	g.t.Helper()
	basic := &http.Request{Header: http.Header{}}
	for _, user := range []string{"", "a", "ab", "ann@example.com"} {
		basic.SetBasicAuth(user, g.token)
		g.takesCredential("Basic for "+user, "Authorization: "+basic.Header.Get("Authorization"))
	}
	g.takesCredential("Bearer", "Authorization: Bearer "+g.token)
	g.takesCredential("a header", "X-Api-Token: "+g.token)
	var login struct {
		JWT string `json:"access_token"`
	}
	a := g.ask(nil, "POST", g.at("id.example.com", "/account/login"), strings.NewReader(`{"email":"ann@example.com","password":"tin cup on the shelf"}`), "Content-Type: application/json")
	if err := json.Unmarshal([]byte(a.body), &login); err != nil || login.JWT == "" {
		g.t.Fatalf("the sign-in: %s %s, %v", a.Status, a.body, err)
	}
	g.takesCredential("a JWT", "Authorization: Bearer "+login.JWT)
	g.wantRefused("a bad token", g.ask(nil, "GET", g.at("app.example.com", "/"), nil, "X-Api-Token: "+g.token+"x"), http.StatusUnauthorized)
	g.wantRefused("two tokens", g.ask(nil, "GET", g.at("app.example.com", "/"), nil, "X-Api-Token: "+g.token, "X-Api-Token: "+g.token), http.StatusBadRequest, http.StatusForbidden)
}

func (g *gated) takesCredential(what, header string) {
	g.t.Helper()
	a := g.ask(nil, "GET", g.at("app.example.com", "/a%20b?q=%2F"), nil, header)
	g.wantAs(what, a, "ann@example.com")
	if a.shown != nil && (a.shown.Header.Get("Authorization") != "" || a.shown.URI != "/a%20b?q=%2F") {
		g.t.Errorf("%s: the application sees %+v", what, a.shown)
	}
	g.wantAs(what+" under a pattern", g.ask(nil, "GET", g.at("one.apps.example.com", "/"), nil, header), "ann@example.com")
}

// leavesTheApplicationItsOwn: another's Authorization passes.
func (g *gated) leavesTheApplicationItsOwn() {
	g.t.Helper()
	for _, own := range []string{"Basic YW5uOnBhc3N3b3Jk", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJvdGhlciJ9.c2ln", "Digest username=\"a\"", "Bearer 0123",
		"Basic " + strings.Repeat("QUJD", 60)} {
		a := g.ask(g.signed, "GET", g.at("app.example.com", "/"), nil, "Authorization: "+own)
		g.wantAs(own, a, "ann@example.com")
		if a.shown != nil && a.shown.Header.Get("Authorization") != own {
			g.t.Errorf("of %q the application sees %q", own, a.shown.Header["Authorization"])
		}
	}
}

// spellings are headers that an application may take for one of Husk's or the
// proxy's.
var spellings = []string{"Remote-User", "REMOTE-USER", "remote_user", "Remote_User", "Remote.User", "Remote-Email", "Remote_Groups", "remote-name"}

func (g *gated) dropsForgedHeaders() {
	g.t.Helper()
	for _, name := range spellings {
		for _, url := range []string{g.at("open.example.com", "/"), g.at("app.example.com", "/open")} {
			a := g.ask(nil, "GET", url, nil, name+": admin")
			if a.shown == nil {
				g.wantRefused(name, a, http.StatusBadRequest, http.StatusForbidden)
				continue
			}
			g.wantAs(name, a, "")
		}
		g.wantRefused(name+" alone", g.ask(nil, "GET", g.at("app.example.com", "/"), nil, name+": ann@example.com"), http.StatusUnauthorized, http.StatusBadRequest, http.StatusForbidden)
	}
	a := g.ask(nil, "GET", g.at("app.example.com", "/"), nil, "Authorization: Bearer "+g.token, "Remote-User: admin", "Remote-Groups: admin",
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil.example", "X-Forwarded-Uri: /open", "X-Original-URL: https://open.example.com/", "X-Rewrite-Url: /admin", "X-Real-Ip: 203.0.113.9", "Forwarded: for=203.0.113.9")
	g.wantAs("beside a token", a, "ann@example.com")
	g.wantRefused("another's path", g.ask(nil, "GET", g.at("app.example.com", "/"), nil, "X-Forwarded-Uri: /open", "X-Original-Url: https://open.example.com/", "X-Forwarded-Host: open.example.com"), http.StatusUnauthorized)
	a = g.ask(nil, "GET", g.at("app.example.com", "/"), nil, "Authorization: Bearer "+g.token, "Connection: Remote-User, X-Forwarded-For")
	if a.shown == nil {
		g.wantRefused("named by Connection", a, http.StatusBadRequest)
	} else if g.wantAs("named by Connection", a, "ann@example.com"); strings.Contains(a.shown.Header.Get("Connection"), "Remote") {
		g.t.Errorf("further on Remote-User would be taken away: %v", a.shown.Header)
	}
	if g.kind != "nginx" { // which can only be told of names
		g.wantAs("one more of the kind", g.ask(nil, "GET", g.at("open.example.com", "/"), nil, "Remote-Role: admin"), "")
	}
	a = g.ask(nil, "GET", g.at("app.example.com", "/"), nil, "Authorization: Bearer "+g.token, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
	if a.shown != nil && a.shown.Header.Get("Upgrade") != "" {
		g.t.Errorf("another protocol reaches the application: %v", a.shown.Header)
	}
}

func (g *gated) refuses() {
	g.t.Helper()
	g.wantRefused("another method", g.ask(nil, "POST", g.at("app.example.com", "/open"), strings.NewReader("a=b")), http.StatusUnauthorized)
	for what, url := range map[string]string{"no rule": g.at("norule.example.com", "/"), "another's": g.at("app.example.com", "/admin/x")} {
		a := g.ask(g.signed, "GET", url, nil, navigating, "Authorization: Bearer "+g.token)
		g.wantRefused(what, a, http.StatusForbidden)
		if a.Header.Get("Location") != "" {
			g.t.Errorf("%s leads to %s", what, a.Header.Get("Location"))
		}
	}
}

// refusesTricks: what nginx or an application could take for another path or host.
func (g *gated) refusesTricks() {
	g.t.Helper()
	token := "Authorization: Bearer " + g.token
	for _, line := range []string{
		"GET /open/../admin/x HTTP/1.1", "GET /open/%2e%2e/admin/x HTTP/1.1", "GET /open/..%2fadmin HTTP/1.1", "GET //admin/x HTTP/1.1",
		"GET /open/..;/admin HTTP/1.1", "GET /open/%252e%252e/admin HTTP/1.1", `GET /open/..\admin HTTP/1.1`, "GET /x/..//admin HTTP/1.1",
		"GET /%61dmin/x HTTP/1.1", "GET /admin%2fx HTTP/1.1", "GET /open#/../admin HTTP/1.1",
	} {
		g.refusesRaw(line, "app.example.com", token)
	}
	// Whose application it is must not be told twice.
	g.refusesRaw("GET https://app.example.com:"+g.port+"/x HTTP/1.1", "open.example.com")
	g.refusesRaw("GET https://open.example.com:"+g.port+"/x HTTP/1.1", "app.example.com\r\nHost: app.example.com")
	g.refusesRaw("GET /x HTTP/1.1", "open.example.com\r\nHost: app.example.com")
	g.refusesRaw("GET /x HTTP/1.1", "APP.example.com.:"+g.port)
	g.refusesRaw("GET /x HTTP/1.1", "unknown.example.com")
}

// refusesRaw sends a request as it stands.
func (g *gated) refusesRaw(line, host string, headers ...string) {
	g.t.Helper()
	c := g.dial("app.example.com")
	defer c.Close()
	before := g.app.reached.Load()
	fmt.Fprintf(c, "%s\r\nHost: %s\r\nConnection: close\r\n", line, host)
	for _, h := range headers {
		fmt.Fprintf(c, "%s\r\n", h)
	}
	fmt.Fprint(c, "\r\n")
	answer, err := io.ReadAll(c)
	status, _, _ := strings.Cut(string(answer), "\r\n")
	if g.app.reached.Load() > before || !strings.HasPrefix(status, "HTTP/1.1 4") && !strings.HasPrefix(status, "HTTP/1.0 4") {
		g.t.Errorf("%s for %q is answered with %q, %v", line, host, answer, err)
	}
}

func (g *gated) dial(host string) net.Conn {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	d := &tls.Dialer{Config: &tls.Config{RootCAs: g.roots, ServerName: host}}
	c, err := d.DialContext(ctx, "tcp", g.https)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// upgrades: a WebSocket passes for who may, and for nobody else.
func (g *gated) upgrades() {
	g.t.Helper()
	const request = "GET /live HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	g.refusesRaw("GET /live HTTP/1.1", "app.example.com", "Upgrade: websocket")
	c := g.dial("app.example.com")
	defer c.Close()
	fmt.Fprint(c, request+"Authorization: Bearer "+g.token+"\r\n\r\n")
	answer := bufio.NewReader(c)
	r, err := http.ReadResponse(answer, nil)
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		g.t.Errorf("the upgrade is answered with %+v, %v", r, err)
		return
	}
	for _, line := range []string{"hello\n", "again\n"} {
		fmt.Fprint(c, line)
		if got, err := answer.ReadString('\n'); got != "got "+line || err != nil {
			g.t.Errorf("after the upgrade: %q, %v", got, err)
		}
	}
}

// uploaded is more than any proxy keeps in memory.
const uploaded = 24 << 20

func (g *gated) streams() {
	g.t.Helper()
	url := g.at("app.example.com", "/upload")
	a := g.ask(nil, "POST", url, bytes.NewReader(make([]byte, uploaded)), "Authorization: Bearer "+g.token)
	if g.wantAs("an upload", a, "ann@example.com"); a.shown != nil && a.shown.Bytes != uploaded {
		g.t.Errorf("of %d bytes %d reached the application", uploaded, a.shown.Bytes)
	}
	a = g.ask(nil, "PUT", url, io.LimitReader(zeros{}, uploaded), "X-Api-Token: "+g.token) // of no known length
	if g.wantAs("a chunked upload", a, "ann@example.com"); a.shown != nil && (a.shown.Bytes != uploaded || a.shown.Method != "PUT") {
		g.t.Errorf("%d bytes by %s reached the application", a.shown.Bytes, a.shown.Method)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// keepsQuestionsInside: nobody asks through the proxy, which Husk trusts.
func (g *gated) keepsQuestionsInside() {
	g.t.Helper()
	for _, path := range []string{"/api/authz/forward-auth", "/api/authz/auth-request", "/api/authz/ext-authz/open", "/api/auth/nginx", "/api/auth/traefik", "/api/auth/caddy",
		"/api/authz/forward-auth/", "/api/authz/auth-request/", "/api/auth/nginx/", "/api/auth/traefik/", "/api/auth/caddy/", "/api/auth/envoy/?path=/",
		"/api/auth/envoy?path=/", "/api/%61uthz/auth-request", "//api/authz/auth-request"} {
		a := g.ask(nil, "GET", "https://id.example.com:"+g.port+path, nil, "Authorization: Bearer "+g.token, "X-Original-Method: GET", "X-Original-URL: https://app.example.com/",
			"X-Forwarded-Uri: /open", "X-Forwarded-Method: GET")
		if g.wantRefused(path, a, http.StatusNotFound); a.Header.Get("Remote-User") != "" {
			g.t.Errorf("%s answers %v", path, a.Header)
		}
	}
	a := g.ask(nil, "GET", g.at("app.example.com", "/_husk"), nil, "X-Original-URL: https://open.example.com/")
	if g.kind == "nginx" {
		g.wantRefused("the question of nginx", a, http.StatusNotFound)
	}
}

// leavesToHusk: where the rules say where an application is, Husk is its proxy.
func (g *gated) leavesToHusk() {
	g.t.Helper()
	url := g.at("own.example.com", "/page")
	g.wantRefused("a page of Husk's proxy", g.ask(nil, "GET", url, nil, navigating), http.StatusFound)
	g.wantRefused("a program at Husk's proxy", g.ask(nil, "GET", url, nil, "Remote-User: ann@example.com"), http.StatusUnauthorized)
	g.wantAs("a token at Husk's proxy", g.ask(nil, "GET", url, nil, "Authorization: Bearer "+g.token), "ann@example.com")
}

func (g *gated) refusesWithoutHusk() {
	g.t.Helper()
	g.server.kill()
	for what, url := range map[string]string{"what is for all": g.at("open.example.com", "/"), "the application": g.at("app.example.com", "/")} {
		g.wantRefused(what+" without Husk", g.ask(g.signed, "GET", url, nil, "Authorization: Bearer "+g.token), http.StatusBadGateway, http.StatusServiceUnavailable)
	}
}
