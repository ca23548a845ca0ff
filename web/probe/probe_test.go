package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	goodToken = "5a1d7b16-6a54-4f3c-9d2c-8f1f3f0d2c11_good"
	madeUp    = "5a1d7b16-6a54-4f3c-9d2c-8f1f3f0d2c11_bad"
)

// deployment is a proxy with the gate and the application in one handler: careful
// where all fields are false, and careless in what one names.
type deployment struct {
	open           bool // nobody is asked for a credential
	openCookie     bool // any cookie of the gate is taken
	openOptions    bool // by what the client says of the method
	openPOST       bool
	openUpgrade    bool
	openDotDot     bool
	noSignIn       bool // a page gets 401
	elsewhere      bool // a page is led to another site
	keepsUser      bool // the client's Remote-User is not replaced
	keepsLookAlike bool
	keepsGroups    bool
	tellsNobody    bool
	keepsAddress   bool // X-Forwarded-For is passed on
	addsAddress    bool // and added to
	keepsForwarded bool
	dropsNamed     bool // what Connection names goes
	takesFirst     bool // of two tokens
	passesPath     bool
	leadsBack      bool // to the host that the client says
	silent         bool // another application than the echo
}

func (d deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.openDotDot && strings.Contains(r.RequestURI, "..;") {
		d.application(w, r)
		return
	}
	token := r.Header.Values("X-API-TOKEN")
	if d.takesFirst && len(token) > 1 {
		token = token[:1]
	}
	in := len(token) == 1 && token[0] == goodToken && r.Header.Get("Authorization") == ""
	in = in || d.open || d.openCookie && strings.Contains(r.Header.Get("Cookie"), "husk_gate=")
	in = in || d.openOptions && r.Header.Get("X-Forwarded-Method") == "OPTIONS"
	in = in || d.openPOST && r.Method == "POST" || d.openUpgrade && r.Header.Get("Upgrade") != ""
	if !in {
		d.signIn(w, r)
		return
	}
	if strings.ContainsAny(r.RequestURI, ";%#\\") || strings.Contains(r.RequestURI, "//") || strings.Contains(r.RequestURI, "..") {
		if !d.open && !d.passesPath {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	d.application(w, r)
}

func (d deployment) signIn(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Mode") != "navigate" || d.noSignIn {
		w.Header().Set("WWW-Authenticate", `Bearer realm="husk"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	back := "https://app.example.com/"
	if host := r.Header.Get("X-Forwarded-Host"); d.leadsBack && host != "" {
		back = "https://" + host + "/"
	}
	to := "/login?return=" + url.QueryEscape(back)
	if d.elsewhere {
		to = "/welcome"
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// application hands on what the proxy makes of a request.
func (d deployment) application(w http.ResponseWriter, r *http.Request) {
	if d.silent {
		return
	}
	h := r.Header
	for name := range h {
		switch f := folded(name); {
		case f == "remote-user" && d.keepsUser && f == strings.ToLower(name), f != strings.ToLower(name) && d.keepsLookAlike, f == "remote-groups" && d.keepsGroups:
		case slices.Contains(identityHeaders, f):
			delete(h, name)
		}
	}
	if !d.tellsNobody && h.Get("Remote-User") == "" {
		h.Set("Remote-User", "ann@example.com")
	}
	from := netip.MustParseAddrPort(r.RemoteAddr).Addr().String()
	switch {
	case d.addsAddress && h.Get("X-Forwarded-For") != "":
		h.Set("X-Forwarded-For", h.Get("X-Forwarded-For")+", "+from)
	case !d.keepsAddress || h.Get("X-Forwarded-For") == "":
		h.Set("X-Forwarded-For", from)
	}
	if !d.keepsForwarded {
		for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url"} {
			h.Del(name)
		}
	}
	for name := range strings.SplitSeq(h.Get("Connection"), ",") {
		if d.dropsNamed {
			h.Del(strings.TrimSpace(name))
		}
	}
	Echo().ServeHTTP(w, r)
}

func serve(t *testing.T, h http.Handler) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL + "/app/")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// outcome is the names of what failed and of what was not told.
func outcome(t *testing.T, c Config) (failed, untold []string) {
	t.Helper()
	asked := 0
	all, err := Run(t.Context(), c, func() { asked++ })
	if err != nil {
		t.Fatal(err)
	}
	if most := Asks(c); asked > most || asked < most && c.Token != "another" {
		t.Errorf("it asked %d times, and said %d", asked, most)
	}
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.Name] || r.Detail == "" || (r.Advice != "") != r.Failed() {
			t.Errorf("a result that is told twice, without a reason, or with advice where there is none needed: %+v", r)
		}
		seen[r.Name] = true
		if r.Failed() {
			failed = append(failed, r.Name)
		}
		if r.Held == nil {
			untold = append(untold, r.Name)
		}
	}
	return failed, untold
}

// One mistake fails what it is about, and nothing else.
func TestMistakesAreTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		d    deployment
		want []string
	}{
		"none":                          {deployment{}, nil},
		"any cookie is taken":           {deployment{openCookie: true}, []string{"bad-cookie", "connection-cookie"}},
		"the client says the method":    {deployment{openOptions: true}, []string{"forwarded-method"}},
		"POST is open":                  {deployment{openPOST: true}, []string{"post-without-credential", "two-lengths"}},
		"an upgrade is open":            {deployment{openUpgrade: true}, []string{"websocket"}},
		"a path is open":                {deployment{openDotDot: true}, []string{"path-dot-dot-semicolon"}},
		"there is no sign-in":           {deployment{noSignIn: true}, []string{"page-without-credential"}},
		"a page is led to another page": {deployment{elsewhere: true}, []string{"page-without-credential"}},
		"the user is the client's":      {deployment{keepsUser: true}, []string{"identity-user", "identity-case", "identity-doubled"}},
		"the groups are the client's":   {deployment{keepsGroups: true}, []string{"identity-groups", "identity-case", "identity-underscore", "identity-dot", "identity-doubled"}},
		"look-alikes pass":              {deployment{keepsLookAlike: true}, []string{"identity-underscore", "identity-dot"}},
		"nobody is told":                {deployment{tellsNobody: true}, []string{"identity-told"}},
		"the address is the client's":   {deployment{keepsAddress: true}, []string{"forwarded-for"}},
		"the address is added to":       {deployment{addsAddress: true}, []string{"forwarded-for"}},
		"forwarded headers pass":        {deployment{keepsForwarded: true}, []string{"forwarded-host", "forwarded-proto", "original-url", "rewrite-url", "forwarded", "real-ip"}},
		"named headers are dropped": {deployment{dropsNamed: true},
			[]string{"connection-remote-user", "connection-forwarded"}},
		"the first of two tokens is taken": {deployment{takesFirst: true}, []string{"doubled-api-token"}},
		"raw paths pass": {deployment{passesPath: true},
			[]string{"path-dot-dot", "path-dot-dot-semicolon", "path-semicolon", "path-double-slash", "path-encoded-slash", "path-encoded-backslash",
				"path-backslash", "path-encoded-dots", "path-twice-encoded", "path-nul", "path-fragment", "path-absolute"}},
		"the sign-in leads anywhere": {deployment{leadsBack: true}, []string{"redirect-forwarded-host"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed, untold := outcome(t, Config{URL: serve(t, c.d), Token: goodToken, MadeUp: madeUp})
			if !slices.Equal(failed, c.want) {
				t.Errorf("failed: %q\nwant:   %q", failed, c.want)
			}
			if want := []string{"direct-access"}; !slices.Equal(untold, want) {
				t.Errorf("not told: %q", untold)
			}
		})
	}
}

// Without the gate everything fails but what the server itself refuses, and all that
// is advised is to ask the gate.
func TestNothingProtects(t *testing.T) {
	t.Parallel()
	all, err := Run(t.Context(), Config{URL: serve(t, Echo()), MadeUp: madeUp, Proxy: "nginx"}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		switch {
		case r.Name == "doubled-host" || r.Name == "preflight": // net/http's, and a note
			if r.Failed() {
				t.Errorf("%+v", r)
			}
		case strings.HasPrefix(r.Detail, "not tried"):
		case !r.Failed() || !strings.Contains(r.Advice, "auth_request /_husk;"):
			t.Errorf("%+v", r)
		}
	}
}

// What can't be seen is not told, and never ok.
func TestAnotherApplication(t *testing.T) {
	t.Parallel()
	needs := []string{"identity-told", "token-kept-back", "identity-user", "identity-name", "identity-email", "identity-groups", "identity-case", "identity-underscore", "identity-dot", "identity-doubled",
		"forwarded-for", "forwarded-host", "forwarded-proto", "forwarded-uri", "forwarded-method", "original-url", "original-method", "rewrite-url", "forwarded", "real-ip",
		"connection-remote-user", "connection-remote-name", "connection-remote-email", "connection-remote-groups", "connection-forwarded", "direct-access"}
	u := serve(t, deployment{silent: true})
	failed, untold := outcome(t, Config{URL: u, Token: goodToken, MadeUp: madeUp})
	if failed != nil || !slices.Equal(untold, needs) {
		t.Errorf("failed: %q; not told: %q", failed, untold)
	}
	failed, untold = outcome(t, Config{URL: u, MadeUp: madeUp})
	if want := append([]string{"token-let-through"}, needs...); failed != nil || !slices.Equal(untold, want) {
		t.Errorf("without a token failed: %q; not told: %q", failed, untold)
	}
	failed, _ = outcome(t, Config{URL: u, Token: "another", MadeUp: madeUp})
	if want := []string{"token-let-through"}; !slices.Equal(failed, want) {
		t.Errorf("with a bad token failed: %q", failed)
	}
}

// A server that refuses everything in other words than Husk's is not taken for it.
func TestAnotherGate(t *testing.T) {
	t.Parallel()
	for status, want := range map[int][]string{
		http.StatusUnauthorized: {"page-without-credential"},
		http.StatusForbidden:    {"page-without-credential", "program-without-credential"},
		http.StatusNotFound:     {"page-without-credential", "program-without-credential"},
	} {
		u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		failed, untold := outcome(t, Config{URL: u, MadeUp: madeUp})
		if !slices.Equal(failed, want) {
			t.Errorf("%d: failed: %q", status, failed)
		}
		if status == http.StatusUnauthorized && !slices.Contains(untold, "program-without-credential") {
			t.Error("a 401 that is not Husk's is told to be")
		}
		if status == http.StatusNotFound && !slices.Contains(untold, "bad-api-token") {
			t.Error("a 404 is told to be the gate's")
		}
	}
}

func TestDirectAccess(t *testing.T) {
	t.Parallel()
	u, upstream := serve(t, deployment{}), serve(t, Echo())
	if failed, _ := outcome(t, Config{URL: u, Upstream: upstream, MadeUp: madeUp}); !slices.Equal(failed, []string{"direct-access"}) {
		t.Errorf("an application that answers: %q", failed)
	}
	secure := httptest.NewTLSServer(Echo())
	t.Cleanup(secure.Close)
	if failed, _ := outcome(t, Config{URL: u, Upstream: &url.URL{Scheme: "https", Host: secure.Listener.Addr().String(), Path: "/"}, MadeUp: madeUp}); !slices.Equal(failed, []string{"direct-access"}) {
		t.Errorf("one with a certificate of its own: %q", failed)
	}
	mute := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if _, untold := outcome(t, Config{URL: u, Upstream: mute, MadeUp: madeUp}); !slices.Contains(untold, "direct-access") {
		t.Errorf("one that takes connections is told to be closed: %q", untold)
	}
	if failed, untold := outcome(t, Config{URL: u, Upstream: &url.URL{Scheme: "http", Host: deaf(t), Path: "/"}, MadeUp: madeUp}); failed != nil || slices.Contains(untold, "direct-access") {
		t.Errorf("one that does not: %q, %q", failed, untold)
	}
}

// deaf is an address where nobody listens.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	gone := 0
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone++; gone > 20 {
			server.Listener.Close()
		}
		deployment{}.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	stops, err := url.Parse(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	down := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	for name, u := range map[string]*url.URL{"nobody listens": {Scheme: "http", Host: deaf(t), Path: "/"}, "it stops": stops, "behind it nobody answers": down} {
		all, err := Run(t.Context(), Config{URL: u, MadeUp: madeUp}, func() {})
		var away *UnreachableError
		if !errors.As(err, &away) || all != nil {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// TestSchemeIsAWord: that an application behind TLS is told https is no success of who
// made up http.
func TestSchemeIsAWord(t *testing.T) {
	for _, c := range []struct {
		got, value string
		shown      bool
	}{{"https", "http", false}, {"http", "http", true}, {"https,http", "http", true}, {"http, https", "http", true}, {"https", "https", true}, {"https://x/made-up", "/made-up", true}} {
		if shows(c.got, c.value) != c.shown {
			t.Errorf("%q shows %q: %v", c.got, c.value, !c.shown)
		}
	}
}

// TestNamesUnderLocalhost: they are this machine's, whatever the resolver says.
func TestNamesUnderLocalhost(t *testing.T) {
	for text, want := range map[string]string{
		"http://wiki.localhost/":       "localhost:80",
		"https://a.b.LOCALHOST.:8443/": "localhost:8443",
		"https://localhost/":           "localhost:443",
		"http://localhost.example.com": "localhost.example.com:80",
		"http://[::1]:8080/":           "[::1]:8080",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		if got := place(u, port); got != want {
			t.Errorf("%s is looked for at %s, not %s", text, got, want)
		}
	}
}

// An interrupted run ends at once, also while an answer is waited for.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	u := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	}))
	all, err := Run(ctx, Config{URL: u, MadeUp: madeUp}, func() { t.Error("an answer was counted") })
	close(release)
	if !errors.Is(err, context.Canceled) || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// A run keeps to its URL, gives the token to nobody else, and sends it with nothing that changes.
func TestKeepsToItsURL(t *testing.T) {
	t.Parallel()
	u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.RequestURI, "http://"+evilHost), "?")
		if !strings.HasPrefix(path, "/app") && !strings.Contains(path, evilHost) {
			t.Errorf("asked for %s", r.RequestURI)
		}
		if strings.Contains(strings.Join(r.Header.Values("X-API-TOKEN"), " "), goodToken) && r.Method != "GET" {
			t.Errorf("%s has the token", r.Method)
		}
		deployment{}.ServeHTTP(w, r)
	}))
	upstream := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-TOKEN") != "" {
			t.Error("the application's own address gets the token")
		}
	}))
	outcome(t, Config{URL: u, Upstream: upstream, Token: goodToken, MadeUp: madeUp})
}

func TestLeadsAway(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"https://evil.example/": true, "https://id.example.com/login?return=https%3A%2F%2Fevil.example%2F": true,
		"https://id.example.com/login?r=aHR0cHM6Ly9ldmlsLmV4YW1wbGUvYQ.c2lnbmF0dXJl": true, "https://id.example.com/login?return=https%3A%2F%2Fapp.example.com%2F": false,
		"https://id.example.com/login": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if leadsAway(u) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}

// Each topic has lines for each proxy, and a proxy that says who it is gets its own.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for about := topicGate; about <= topicUpstream; about++ {
		for _, name := range append([]string{""}, Proxies...) {
			if advise(about, name) == "" {
				t.Errorf("topic %d has nothing for %q", about, name)
			}
		}
	}
	for said, want := range map[string]string{"nginx/1.22.1": "nginx", "Caddy": "caddy", "envoy": "envoy", "Apache": "", "": ""} {
		if got := recognize(http.Header{"Server": {said}}); got != want {
			t.Errorf("%q is taken for %q", said, got)
		}
	}
	if got := recognize(http.Header{"Via": {"1.1 Caddy"}}); got != "caddy" {
		t.Errorf("Via is taken for %q", got)
	}
}

// What was told is told by what was seen, and not by what was sent.
func TestSeesWho(t *testing.T) {
	t.Parallel()
	told := func(h map[string][]string) *Echoed { return &Echoed{Mark: true, Headers: h} }
	p := &prober{good: &answer{echo: told(map[string][]string{"Remote-User": {"ann"}, "Remote-Groups": {"a,b"}})}}
	for name, c := range map[string]struct {
		h    map[string][]string
		want verdict
		text string
	}{
		"the same":     {map[string][]string{"Remote-User": {"ann"}, "Remote-Groups": {"a,b"}, "X": {forgedName}}, held, "what Husk says"},
		"forged":       {map[string][]string{"Remote-User": {forgedName}, "Remote-Groups": {"a,b"}}, failed, "the forged remote-user"},
		"spelled":      {map[string][]string{"Remote-User": {"ann"}, "Remote_user": {forgedName}, "Remote-Groups": {"a,b"}}, failed, "the forged remote-user"},
		"gone":         {map[string][]string{"Remote-Groups": {"a,b"}}, failed, "was not told remote-user"},
		"another":      {map[string][]string{"Remote-User": {"bob"}, "Remote-Groups": {"a,b"}}, failed, "remote-user otherwise"},
		"one more":     {map[string][]string{"Remote-User": {"ann", ""}, "Remote-Groups": {"a,b"}}, failed, "remote-user otherwise"},
		"another kind": {map[string][]string{"Remote-User": {"ann"}, "Remote-Groups": {"a,b"}, "Remote-Name": {"x"}}, failed, "remote-name otherwise"},
	} {
		if f := seesWho(p, ask{}, told(c.h)); f.verdict != c.want || !strings.Contains(f.text, c.text) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// A request that is taken for two gets through where either does.
func TestTakenForTwo(t *testing.T) {
	t.Parallel()
	const refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
	for text, want := range map[string]bool{
		refused: false, refused + refused: false, refused + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok": true,
		"HTTP/1.1 100 Continue\r\n\r\n" + refused: false, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n": true, "": false, "no HTTP": false,
	} {
		if a := readAnswer(strings.NewReader(text), ask{}); a.reached() != want || (a.status == 0) != (a.closed != "") {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

// Another site of the proxy, which answers at another host, is not the application.
func TestAnotherSite(t *testing.T) {
	t.Parallel()
	two := func(d deployment, status int) *url.URL {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host == evilHost {
				w.WriteHeader(status)
				return
			}
			d.ServeHTTP(w, r)
		}))
	}
	for name, c := range map[string]struct {
		d      deployment
		token  string
		status int
		want   bool // it is not told
	}{
		"a page beside the echo":             {deployment{}, goodToken, http.StatusOK, false},
		"a page beside what nobody knows":    {deployment{silent: true}, "", http.StatusOK, true},
		"nothing beside the echo":            {deployment{}, goodToken, http.StatusNotFound, false},
		"nothing beside what nobody knows":   {deployment{}, "", http.StatusNotFound, true},
		"a refusal beside what nobody knows": {deployment{}, "", http.StatusMisdirectedRequest, false},
	} {
		bad, untold := outcome(t, Config{URL: two(c.d, c.status), Token: c.token, MadeUp: madeUp})
		if bad != nil || slices.Contains(untold, "redirect-host") != c.want || slices.Contains(untold, "path-absolute") != c.want {
			t.Errorf("%s: failed: %q; not told: %q", name, bad, untold)
		}
	}
}

// Neither an answer that does not come nor answers that come late hold a run for longer
// than it may take.
func TestTime(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration // before each answer
		took  time.Duration
		says  string
	}{
		"no answer":    {time.Hour, askTime, "no answer within 10s"},
		"slow answers": {9 * time.Second, runTime, "too slowly"},
	} {
		synctest.Test(t, func(t *testing.T) {
			dial := func(context.Context, *url.URL, *tls.Config) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					defer there.Close()
					r, err := http.ReadRequest(bufio.NewReader(there))
					if err != nil {
						return
					}
					select {
					case <-time.After(c.pause):
					case <-t.Context().Done():
					}
					_ = r.Body.Close()
					_, _ = io.WriteString(there, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
				}()
				return here, nil
			}
			began := time.Now()
			all, err := Run(t.Context(), Config{URL: &url.URL{Scheme: "http", Host: "app.example.com", Path: "/"}, MadeUp: madeUp, dial: dial}, func() {})
			if took := time.Since(began); all != nil || err == nil || !strings.Contains(err.Error(), c.says) || took != c.took {
				t.Errorf("%s: after %v: %v, %v", name, took, all, err)
			}
		})
	}
}

// An answer without an end is not read to it.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	in := &endless{begins: strings.NewReader("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")}
	if a := readAnswer(in, ask{}); a.status != http.StatusOK || in.read > 2*mostBytes {
		t.Errorf("%+v, after %d bytes", a, in.read)
	}
	head := &endless{begins: strings.NewReader("HTTP/1.1 200 OK\r\nX: ")}
	if a := readAnswer(head, ask{}); a.status != 0 || head.read > 2*mostBytes {
		t.Errorf("a head: %+v, after %d bytes", a, head.read)
	}
}

type endless struct {
	begins io.Reader
	read   int
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.begins.Read(p)
	if err != nil {
		n = copy(p, strings.Repeat("x", len(p)))
	}
	if e.read += n; e.read > 64*mostBytes {
		panic("it reads on")
	}
	return n, nil
}
