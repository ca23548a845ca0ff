package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"husk/db"
)

// forged are the headers by which a client may try to be somebody else. Only
// X-Forwarded-For of a trusted proxy is ever believed.
var forged = map[string]string{
	"X-Real-Ip":                "198.51.100.66",
	"Forwarded":                "for=198.51.100.66;proto=https;host=evil.example",
	"X-Forwarded":              "198.51.100.66",
	"Forwarded-For":            "198.51.100.66",
	"X-Client-Ip":              "198.51.100.66",
	"X-Cluster-Client-Ip":      "198.51.100.66",
	"True-Client-Ip":           "198.51.100.66",
	"Cf-Connecting-Ip":         "198.51.100.66",
	"Fastly-Client-Ip":         "198.51.100.66",
	"X-Original-Forwarded-For": "198.51.100.66",
	"X-Originating-Ip":         "198.51.100.66",
	"X-Forwarded-Proto":        "https",
	"X-Forwarded-Protocol":     "https",
	"X-Forwarded-Ssl":          "on",
	"X-Url-Scheme":             "https",
	"X-Forwarded-Host":         "evil.example",
	"X-Forwarded-Port":         "443",
	"X-Forwarded-Server":       "evil.example",
}

func proxied(trusted ...string) *Server {
	s := &Server{}
	for _, t := range trusted {
		s.TrustedProxies = append(s.TrustedProxies, netip.MustParsePrefix(t))
	}
	return s
}

func requestFrom(peer string, forwardedFor ...string) *http.Request {
	r := httptest.NewRequest("GET", "/health", nil)
	r.RemoteAddr = peer
	for name, value := range forged {
		r.Header.Set(name, value)
	}
	if len(forwardedFor) > 0 {
		r.Header["X-Forwarded-For"] = forwardedFor
	}
	return r
}

func TestClientAddress(t *testing.T) {
	trusting := []string{"10.0.0.0/8", "fd00::/8", "fe80::/10"}
	for _, c := range []struct {
		name    string
		trusted []string
		peer    string
		header  []string
		want    string
	}{
		{"nothing is trusted by default", nil, "10.0.0.1:5", []string{"192.0.2.7"}, "10.0.0.1"},
		{"not even loopback", nil, "127.0.0.1:5", []string{"192.0.2.7"}, "127.0.0.1"},
		{"an untrusted peer", trusting, "192.0.2.1:5", []string{"192.0.2.7"}, "192.0.2.1"},
		{"an untrusted peer that claims to be behind a proxy", trusting, "192.0.2.1:5", []string{"192.0.2.7, 10.0.0.1"}, "192.0.2.1"},
		{"a trusted peer", trusting, "10.0.0.1:5", []string{"192.0.2.7"}, "192.0.2.7"},
		{"what the client wrote itself", trusting, "10.0.0.1:5", []string{"198.51.100.66, 192.0.2.7"}, "192.0.2.7"},
		{"a trusted address that the client wrote itself", trusting, "10.0.0.1:5", []string{"10.9.9.9, 192.0.2.7"}, "192.0.2.7"},
		{"two proxies", trusting, "10.0.0.1:5", []string{"198.51.100.66, 192.0.2.7, 10.0.0.2"}, "192.0.2.7"},
		{"several lines are one header", trusting, "10.0.0.1:5", []string{"198.51.100.66", "192.0.2.7,10.0.0.3", "10.0.0.2"}, "192.0.2.7"},
		{"no header", trusting, "10.0.0.1:5", nil, "10.0.0.1"},
		{"an empty header", trusting, "10.0.0.1:5", []string{""}, "10.0.0.1"},
		{"empty elements", trusting, "10.0.0.1:5", []string{" , 192.0.2.7 ,, ", ","}, "192.0.2.7"},
		{"trusted hops only", trusting, "10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"a hop that is no address", trusting, "10.0.0.1:5", []string{"192.0.2.7, unknown"}, "10.0.0.1"},
		{"a hop that is no address behind a good one", trusting, "10.0.0.1:5", []string{"192.0.2.7, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"what the client wrote itself is no address", trusting, "10.0.0.1:5", []string{"unknown, 192.0.2.7"}, "192.0.2.7"},
		{"quotes", trusting, "10.0.0.1:5", []string{`"192.0.2.7"`}, "10.0.0.1"},
		{"an address with more behind it", trusting, "10.0.0.1:5", []string{"192.0.2.7 10.0.0.1"}, "10.0.0.1"},
		{"a port", trusting, "10.0.0.1:5", []string{"192.0.2.7:4711"}, "192.0.2.7"},
		{"IPv6", trusting, "[fd00::1]:5", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets", trusting, "[fd00::1]:5", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 with a port", trusting, "[fd00::1]:5", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv6 with a zone", trusting, "[fe80::1%eth0]:5", []string{"192.0.2.7, fe80::2%eth1"}, "192.0.2.7"},
		{"IPv4 in IPv6", trusting, "[::ffff:10.0.0.1]:5", []string{"::ffff:192.0.2.7, ::ffff:10.0.0.2"}, "192.0.2.7"},
		{"brackets without an end", trusting, "10.0.0.1:5", []string{"[2001:db8::7"}, "10.0.0.1"},
		{"no TCP peer", trusting, "@", []string{"192.0.2.7"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := proxied(c.trusted...).clientAddress(requestFrom(c.peer, c.header...)); got != c.want {
				t.Errorf("X-Forwarded-For %q from %s: want %q, got %q", c.header, c.peer, c.want, got)
			}
		})
	}
}

func TestClientAddressAllocatesNothing(t *testing.T) {
	r := requestFrom("192.0.2.1:5", "192.0.2.7, 10.0.0.1")
	for name, s := range map[string]*Server{"without a proxy": proxied(), "from an untrusted peer": proxied("10.0.0.0/8")} {
		if n := testing.AllocsPerRun(1000, func() { s.clientAddress(r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkClientAddress(b *testing.B) {
	for name, s := range map[string]*Server{"direct": proxied(), "proxy": proxied("10.0.0.0/8")} {
		b.Run(name, func(b *testing.B) {
			r := requestFrom("10.0.0.1:5", "192.0.2.7, 10.0.0.2")
			b.ReportAllocs()
			for b.Loop() {
				s.clientAddress(r)
			}
		})
	}
}

// FuzzClientAddress holds the walk to its rule: the answer is the peer, or an
// address that stands in the header with nothing but trusted ones behind it.
func FuzzClientAddress(f *testing.F) {
	f.Add("198.51.100.66, 192.0.2.7:80,[fd00::1]:9", "unknown,,")
	f.Fuzz(func(t *testing.T, first, second string) {
		s := proxied("10.0.0.0/8", "fd00::/8")
		got, err := netip.ParseAddr(s.clientAddress(requestFrom("10.0.0.1:5", first, second)))
		if err != nil {
			t.Fatalf("%q, %q: not an address: %v", first, second, err)
		}
		hops := strings.Split(first+","+second, ",")
		if got == netip.MustParseAddr("10.0.0.1") {
			return
		}
		for _, hop := range slices.Backward(hops) {
			address, ok := parseHop(strings.Trim(hop, " \t"))
			if ok && address == got {
				return
			}
			if ok && !s.trusts(address) {
				break
			}
		}
		t.Fatalf("%q, %q: %s is not what the nearest proxy says", first, second, got)
	})
}

// TestForgedHeaders sends every header that could lie, from a stranger and
// through a proxy, and looks at what follows from them: the address in the
// log, the scheme of cookies and HSTS.
func TestForgedHeaders(t *testing.T) {
	for _, c := range []struct {
		name, peer, want string
		header           []string
	}{
		{"from a stranger", "192.0.2.1:5", "192.0.2.1", []string{"198.51.100.66"}},
		{"through a proxy", "10.0.0.1:5", "192.0.2.7", []string{"198.51.100.66, 192.0.2.7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, log := testServer(t, func(config *Config) {
				config.AccessLog = true
				config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			})
			w := httptest.NewRecorder()
			r := requestFrom(c.peer, c.header...)
			r.Method, r.URL.Path = "GET", "/account/logout"
			r.Header.Set("Cookie", "husk_session=x")
			s.ServeHTTP(w, r)
			if w.Code != 200 || !strings.Contains(log.String(), `"address":"`+c.want+`"`) {
				t.Errorf("want 200 and the address %s, got %d and the log %s", c.want, w.Code, log)
			}
			if h := w.Header(); h.Get("Strict-Transport-Security") != "" || strings.Contains(h.Get("Set-Cookie"), "Secure") {
				t.Errorf("a header made it https: %v", h)
			}
			for _, values := range w.Header() {
				if strings.Contains(strings.Join(values, " "), "evil.example") {
					t.Errorf("a forged host came back: %v", w.Header())
				}
			}
		})
	}
}

// TestEchoBelievesNobody: by its own defaults echo takes the scheme from the
// headers of every peer in a private network, this machine among them.
func TestEchoBelievesNobody(t *testing.T) {
	s, _ := testServer(t, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	var said string
	asked := route{method: "GET", path: "/asked", need: isPublic, do: raw(func(c echo.Context, _ *db.Actor) error {
		said = c.Scheme() + " " + c.RealIP()
		return c.NoContent(http.StatusOK)
	})}
	if err := s.add(asked); err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "127.0.0.1:5": "127.0.0.1", "10.0.0.1:5": "10.0.0.1", "192.168.0.1:5": "192.168.0.1",
		"[::1]:5": "::1", "[fe80::1]:5": "fe80::1", "[fd00::1]:5": "fd00::1",
	} {
		r := requestFrom(peer, "198.51.100.66")
		r.URL.Path = "/asked"
		s.ServeHTTP(httptest.NewRecorder(), r)
		if said != "http "+want {
			t.Errorf("from %s: %q", peer, said)
		}
	}
}

// TestEchoIsNotAsked: who calls is clientAddress's to say, and cookies and
// redirects follow from the configuration.
func TestEchoIsNotAsked(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "RealIP" || f.Sel.Name == "Scheme") {
				t.Errorf("%s asks echo for %s, which headers can decide", file, f.Sel.Name)
			}
			return true
		})
	}
}

func TestStrictTransportSecurity(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"http", func(*Config) {}, ""},
		{"a public http address", func(c *Config) { c.PublicURL = "http://id.example.com" }, ""},
		{"the own listener", func(c *Config) { c.TLS = true }, "max-age=31536000"},
		{"the proxy's listener", func(c *Config) { c.PublicURL = "https://id.example.com" }, "max-age=31536000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := testServer(t, c.edit)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
			if got := w.Header().Get("Strict-Transport-Security"); got != c.want {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}
