package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/web/control"
	"husk/web/gate"
)

func TestKnownHost(t *testing.T) {
	for host, want := range map[string]bool{
		"":          true, // HTTP/1.0
		"localhost": true, "localhost:9000": true, "LocalHost.": true, "localhost.:9000": true, "app.localhost": true, "a.b.LOCALHOST:80": true,
		"127.0.0.1": true, "127.0.0.1:9000": true, "127.8.8.8": true, "127.0.0.1.": true, "192.0.2.7:9000": true, "0.0.0.0": true,
		"[::1]": true, "[::1]:9000": true, "[2001:db8::1]:9000": true, "[::ffff:127.0.0.1]": true, "[fe80::1%25eth0]": true,
		"id.example.com": true, "ID.example.COM.": true, "id.example.com:8443": true,

		"evil.example": false, "evil.example:9000": false, "id.example.com.evil.example": false, "evil-id.example.com": false, "example.com": false, "x.id.example.com": false,
		"localhost.evil.example": false, "notlocalhost": false, ".localhost": false, "localhost..": false, "localhost:9000.evil.example": false,
		"127.0.0.1.evil.example": false, "127.0.0.1:80@evil.example": false, "127.0.0.1:9000.evil.example": false, "127.1": false, "2130706433": false, "0x7f000001": false, "127.0.0.1.nip.io": false,
		"[::1": false, "[::1]evil.example": false, "[::1].evil.example:80": false, "[evil.example]": false, "[]": false, "::1": false,
		":9000": false, ".": false, "evil.example:": false, "*": false, "a,localhost": false, "localhost evil.example": false, "husk": false,
	} {
		if got := knownHost(host, "id.example.com"); got != want {
			t.Errorf("knownHost(%q) = %t", host, got)
		}
	}
	if knownHost(".", "") || knownHost(":80", "") || knownHost("evil.example", "") {
		t.Error("without a public host any is one")
	}
}

// FuzzKnownHost: what is taken is an address, localhost, or the public host,
// with nothing but a port behind it.
func FuzzKnownHost(f *testing.F) {
	for _, host := range []string{"localhost:9000", "[::1]:9000", "127.0.0.1.", "id.example.com", "evil.example", "[::1]evil.example"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if host == "" || !knownHost(host, "id.example.com") {
			return
		}
		u, err := url.Parse("http://" + strings.ReplaceAll(host, "%", "%25"))
		if err != nil {
			return // no browser goes there
		}
		name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		address, _, _ := strings.Cut(name, "%")
		if name != "id.example.com" && name != "localhost" && !strings.HasSuffix(name, ".localhost") && net.ParseIP(address) == nil {
			t.Errorf("%q is known, and browsers read %q there", host, name)
		}
	})
}

func TestKnownHostAllocatesNothing(t *testing.T) {
	for _, host := range []string{"127.0.0.1:9000", "localhost:9000", "[::1]:9000", "id.example.com"} {
		if n := testing.AllocsPerRun(1000, func() { knownHost(host, "id.example.com") }); n != 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}

// TestOnLoopback: one listener that others reach is enough to be known by any
// name.
func TestOnLoopback(t *testing.T) {
	at := func(addr net.Addr) net.Listener { return addressed{addr: addr} }
	tcp := func(ip string) net.Listener { return at(&net.TCPAddr{IP: net.ParseIP(ip), Port: 9000}) }
	socket := at(&net.UnixAddr{Name: "husk.sock", Net: "unix"})
	for name, c := range map[string]struct {
		listeners []net.Listener
		want      bool
	}{
		"IPv4":                        {[]net.Listener{tcp("127.0.0.1")}, true},
		"another of IPv4":             {[]net.Listener{tcp("127.0.1.1")}, true},
		"IPv6":                        {[]net.Listener{tcp("::1")}, true},
		"IPv4 in IPv6":                {[]net.Listener{tcp("::ffff:127.0.0.1")}, true},
		"both, and the socket":        {[]net.Listener{tcp("127.0.0.1"), tcp("::1"), socket}, true},
		"the socket first":            {[]net.Listener{socket, tcp("127.0.0.1")}, true},
		"every address":               {[]net.Listener{tcp("0.0.0.0")}, false},
		"every address of both":       {[]net.Listener{tcp("::")}, false},
		"no address":                  {[]net.Listener{at(&net.TCPAddr{Port: 9000})}, false},
		"a network":                   {[]net.Listener{tcp("192.0.2.1"), socket}, false},
		"loopback and a network":      {[]net.Listener{tcp("127.0.0.1"), tcp("192.0.2.1"), socket}, false},
		"the socket alone":            {[]net.Listener{socket}, false},
		"nothing":                     {nil, false},
		"something that is not known": {[]net.Listener{tcp("127.0.0.1"), at(&net.IPAddr{})}, false},
	} {
		if got := onLoopback(c.listeners); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

type addressed struct {
	net.Listener
	addr net.Addr
}

func (l addressed) Addr() net.Addr { return l.addr }

// TestRebinding is a page whose name leads to this machine: the browser lets it
// ask for all of it, as its own, and the Host tells.
func TestRebinding(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.CORSOrigins = []string{"http://evil.example"} })
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	for _, r := range h.routes() {
		path := strings.NewReplacer(":id", "x", ":name", "x").Replace(r.path)
		a := rebound(v, r.method, path, "evil.example")
		a.fails(t, http.StatusMisdirectedRequest, "misdirected")
		if !strings.Contains(a.body, "--public-url") || strings.Contains(a.body, "evil.example") || len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %s %v", r.method, path, a.body, a.Header)
		}
		if a.Header.Get("X-Request-Id") == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %v", r.method, path, a.Header)
		}
	}
	for _, r := range [][2]string{{"HEAD", "/health"}, {"OPTIONS", "/account/profile"}, {"GET", "/absent"}, {"PATCH", "/health"}, {"GET", "//health"}} {
		if a := rebound(v, r[0], r[1], "evil.example"); a.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%v: %d", r, a.StatusCode)
		}
	}
	if log := h.log.String(); !strings.Contains(log, "code=misdirected") || strings.Contains(log, "evil.example") {
		t.Error("the log does not tell of it, or what was sent")
	}
	for _, host := range []string{"localhost", "localhost:1", "app.localhost", "127.0.0.1", "[::1]:9000"} {
		if a := rebound(v, "GET", "/livez", host); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", host, a.StatusCode, a.body)
		}
	}
}

// TestHostOfTheSignIn: to where the gate leads people, they can come.
func TestHostOfTheSignIn(t *testing.T) {
	s, _ := testServer(t, func(c *Config) {
		c.Gate, _ = gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{{Host: "app.example.com", Require: []string{"any"}}}})
	})
	s.loopback.Store(true)
	for host, want := range map[string]int{"auth.example.com": 200, "AUTH.example.com.:9000": 200, "app.example.com": 200, "b.example.com": 421, "": 200} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/health", nil)
		r.Host = host
		if s.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}

// rebound sends what the page sends: nothing in it says another site.
func rebound(v *visitor, method, path, host string) answer {
	v.Helper()
	r, err := http.NewRequestWithContext(v.Context(), method, v.base+path, strings.NewReader(`{"password":"`+testPassword+`"}`))
	if err != nil {
		v.Fatal(err)
	}
	r.Host = host
	r.Header = http.Header{"Content-Type": {"application/json"}, "Origin": {"http://" + host}, "Sec-Fetch-Site": {"same-origin"}}
	res, err := v.client.Do(r)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answer{res, string(body)}
}

// TestPublicHost: behind a proxy that passes on what it was asked for, and by
// other spellings of the name that is configured.
func TestPublicHost(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "https://ID.example.com:8443" })
	for host, want := range map[string]int{
		"id.example.com": 200, "id.example.com:8443": 200, "ID.EXAMPLE.COM.": 200, "localhost": 200,
		"example.com": 421, "evil.example": 421, "id.example.com.evil.example": 421,
	} {
		if a := rebound(h.visitor(), "GET", "/health", host); a.StatusCode != want {
			t.Errorf("%s: %d", host, a.StatusCode)
		}
	}
	// Not even a trusted proxy's other headers are the host.
	a := h.visitor().get("/health", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example")
	if a.StatusCode != http.StatusOK {
		t.Errorf("X-Forwarded-Host: %d", a.StatusCode)
	}
}

// TestHostOfOldClients: HTTP/1.0 may name none; a whole URL in the first line
// is the host (RFC 9112, 3.2.2), and no page can send one.
func TestHostOfOldClients(t *testing.T) {
	h := newTestHouse(t, nil)
	for request, want := range map[string]int{
		"GET /health HTTP/1.0\r\n\r\n":                                                            200,
		"GET /health HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n":                              200,
		"GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n":                                      421,
		"GET /health HTTP/1.1\r\n\r\n":                                                            400,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n":                   400,
		"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": 421,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, request)
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		conn.Close()
		if a.StatusCode != want {
			t.Errorf("%q = %d, want %d", request, a.StatusCode, want)
		}
	}
}

// A page that has its own name lead here can't ask the gate as the proxy on this
// machine, which it would be by its address.
func TestGateKnowsItsHost(t *testing.T) {
	rules, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{{Host: "app.example.com", Require: []string{"public"}}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s, _ := testServer(t, func(c *Config) {
		c.Gate, c.TrustedProxies = rules, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} // of httptest
	})
	s.loopback.Store(true)
	for host, want := range map[string]int{"127.0.0.1:9000": 200, "app.example.com": 200, "evil.example": 403} {
		for _, path := range []string{"/api/authz/forward-auth", "/api/authz/auth-request", "/api/auth/nginx"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			for name, value := range map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com", "X-Forwarded-Uri": "/",
				"X-Original-Method": "GET", "X-Original-URL": "https://app.example.com/"} {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, r); w.Code != want {
				t.Errorf("%s at %s: %d %s", path, host, w.Code, w.Body)
			}
		}
	}
}

// TestHostElsewhere: a server that others reach has names that it does not
// know, and what did not come by TCP has none.
func TestHostElsewhere(t *testing.T) {
	s, _ := testServer(t, func(*Config) {})
	ask := func(r *http.Request) int {
		w := httptest.NewRecorder()
		r.Host = "evil.example"
		s.ServeHTTP(w, r)
		return w.Code
	}
	s.loopback.Store(onLoopback([]net.Listener{addressed{addr: &net.TCPAddr{IP: net.IPv4zero}}}))
	if got := ask(httptest.NewRequest("GET", "/health", nil)); got != http.StatusOK {
		t.Errorf("on every address: %d", got)
	}
	s.loopback.Store(true)
	if got := ask(httptest.NewRequest("GET", "/health", nil)); got != http.StatusMisdirectedRequest {
		t.Errorf("on loopback: %d", got)
	}
	l := control.NewMemory()
	hs := s.HTTPServer()
	go hs.Serve(l)
	defer hs.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: l.DialContext}}
	a, err := client.Get("http://evil.example/account/profile")
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != http.StatusOK {
		t.Errorf("by the command line's own server: %d", a.StatusCode)
	}
}

func TestLoopbackOnly(t *testing.T) {
	h := LoopbackOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }), "https://id.example.com")
	for host, want := range map[string]int{"localhost:9100": 200, "127.0.0.1:9100": 200, "id.example.com": 200, "evil.example": 421} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		r.Host = host
		h.ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), "metrics") != (want == 200) {
			t.Errorf("%s: %d %s", host, w.Code, w.Body)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "a.localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "example.com": false, "10.0.0.1": false, "192.0.2.1": false, "0.0.0.0": false, "::": false, "localhost.example.com": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %t", host, got)
		}
	}
}
