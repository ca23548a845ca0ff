package gate

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func mustParse(t testing.TB, c Config) *Rules {
	t.Helper()
	r, faults := Parse(c)
	for _, f := range faults {
		t.Fatalf("%s: %s", f.Key, f)
	}
	return r
}

type holds []string

func (h holds) Has(key string) bool {
	for _, k := range h {
		if k == key || k == "*" {
			return true
		}
	}
	return false
}

func TestFoldHost(t *testing.T) {
	for text, want := range map[string]string{
		"app.example.com": "app.example.com", "App.Example.COM.": "app.example.com", "app.example.com:8443": "app.example.com",
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example", "a_b.example": "a_b.example",
		"127.0.0.1:80": "127.0.0.1", "[::1]:80": "::1", "[::1]": "::1", "::1": "::1", "localhost": "localhost", "[2001:DB8::1]": "2001:db8::1",
		"app。example": "app.example",
		"":            "", "a..b": "", ".a": "", "a.b..": "", "a b": "", "a/b": "", "a@b": "", "a,b": "", "a:x": "", "a:": "", "a:65536": "", "a:+1": "", "a:000080": "", "[::1": "", "[::1]x": "", "[a]": "", "a\x00": "", "a#b": "", "a?b": "", "a%2eb": "", "[::1%25lo]": "", "::1%lo": "", "*.a": "",
	} {
		if got, err := FoldHost(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What is too long for a host is told before the work of IDNA, of which a few
// kilobytes take seconds.
func TestLongHostCostsNothing(t *testing.T) {
	var name strings.Builder
	for r := rune(0x4e00); name.Len() < 8<<10; r++ {
		name.WriteRune(r)
	}
	long := name.String()
	if n := testing.AllocsPerRun(1, func() { _, _ = FoldHost(long) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := FoldHost(long); err == nil {
		t.Error("it is taken")
	}
}

func TestCleanPath(t *testing.T) {
	for uri, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/a/": "/a/", "/a?b=../c": "/a", "/a%20b": "/a b", "/%C3%A9": "/é", "/é": "/é", "/100%25": "/100%", "/a...b": "/a...b", "/.well-known/x": "/.well-known/x", "/a?": "/a",
		"": "", "a": "", "*": "", "http://x/": "", "//a": "", "/a//b": "", "/a//": "", "/./a": "", "/a/..": "", "/../a": "", "/a/.": "", "/%2e%2e/a": "", "/a/%2e": "", "/a%2fb": "", "/a%2Fb": "", "/a%5cb": "", `/a\b`: "",
		"/a;b": "", "/a%3bb": "", "/a#b": "", "/a%23b": "", "/a%3fb": "", "/a%3F": "", "/a%00": "", "/a\x01": "", "/a%0d": "", "/a%7f": "", "/a%c2%85": "", "/%ff": "", "/\xff": "", "/%252e": "", "/%25%32%65": "", "/a%2": "", "/a%zz": "", "/..;/a": "", "?a": "",
	} {
		if got, err := CleanPath(uri); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", uri, got, err)
		}
	}
}

func TestDecide(t *testing.T) {
	rules := mustParse(t, Config{LoginURL: "https://auth.example.com", Rules: []Rule{
		{Host: "a.example.com", Path: "/admin", Require: []string{"role:admin"}},
		{Host: "a.example.com", Path: "/api/", Methods: []string{"GET"}, Require: []string{"a#api/read"}},
		{Host: "a.example.com", Path: "/cors", Methods: []string{"PUT"}, Require: []string{"any"}, Preflight: true},
		{Host: "a.example.com", Path: "/lan", From: []string{"10.0.0.0/8"}, Require: []string{"public"}},
		{Host: "a.example.com", Path: "/two", Require: []string{"any"}, SecondFactor: true},
		{Host: "*.example.com", Require: []string{"user:ann@example.com", "a#b/c"}},
	}})
	ann := &Who{Email: "ann@example.com", Roles: []string{"user"}, Permissions: holds{}}
	admin := &Who{Email: "bo@example.com", Roles: []string{"admin"}, Permissions: holds{"*"}}
	narrow := &Who{Email: "ann@example.com", Roles: []string{"admin"}, Permissions: holds{"a#api/read"}, Token: true, Narrow: true}
	lan := netip.MustParseAddr("10.1.2.3")
	for _, c := range []struct {
		name, method, host, path string
		who                      *Who
		from                     netip.Addr
		preflight                string
		want                     Outcome
		why                      Why
		rule                     int
	}{
		{name: "nobody at admin", path: "/admin", want: SignIn, why: Nobody, rule: 1},
		{name: "under admin", path: "/admin/x", who: ann, why: Lacks, rule: 1},
		{name: "beside admin", path: "/administrator", who: ann, want: Allowed, why: HasWhatNeeds, rule: 6},
		{name: "admin", path: "/admin", who: admin, want: Allowed, why: HasWhatNeeds, rule: 1},
		{name: "a narrow token is no role", path: "/admin", who: narrow, why: Lacks, rule: 1},
		{name: "a narrow token is no user", path: "/", who: narrow, why: Lacks, rule: 6},
		{name: "its permission", path: "/api/x", who: narrow, want: Allowed, why: HasWhatNeeds, rule: 2},
		{name: "HEAD is GET", method: "HEAD", path: "/api/x", who: narrow, want: Allowed, why: HasWhatNeeds, rule: 2},
		{name: "the folder itself", path: "/api", who: narrow, why: Lacks, rule: 6},
		{name: "another method", method: "POST", path: "/api/x", who: narrow, why: Lacks, rule: 6},
		{name: "preflight", method: "OPTIONS", path: "/cors", preflight: "PUT", want: Allowed, why: Preflight, rule: 3},
		{name: "preflight of another method", method: "OPTIONS", path: "/cors", preflight: "DELETE", want: SignIn, why: Nobody, rule: 6},
		{name: "no preflight", method: "OPTIONS", path: "/cors", want: SignIn, why: Nobody, rule: 6},
		{name: "from the network", path: "/lan", from: lan, want: Allowed, why: Public, rule: 4},
		{name: "from elsewhere", path: "/lan", want: SignIn, why: Nobody, rule: 6},
		{name: "a second factor", path: "/two", who: ann, why: NeedsFactor, rule: 5},
		{name: "a second factor of a token", path: "/two", who: narrow, want: Allowed, why: HasWhatNeeds, rule: 5},
		{name: "a second factor that was proved", path: "/two", who: &Who{Permissions: holds{}, SecondFactor: true}, want: Allowed, why: HasWhatNeeds, rule: 5},
		{name: "who may not, with none either", path: "/admin", who: &Who{Permissions: holds{}}, why: Lacks, rule: 1},
		{name: "a role that asks for one", path: "/", who: &Who{Email: ann.Email, Permissions: holds{}, NoFactor: true}, why: RoleFactor, rule: 6},
		{name: "a role that asks for one, in public", path: "/lan", from: lan, who: &Who{Permissions: holds{}, NoFactor: true}, want: Allowed, why: Public, rule: 4},
		{name: "a password to change first", path: "/", who: &Who{Email: ann.Email, Permissions: holds{}, NoFactor: true, Held: true}, why: MustChange, rule: 6},
		{name: "a wildcard", host: "b.example.com", path: "/", who: ann, want: Allowed, why: HasWhatNeeds, rule: 6},
		{name: "two labels", host: "c.b.example.com", path: "/", who: admin, why: NoRule},
		{name: "the domain", host: "example.com", path: "/", who: admin, why: NoRule},
		{name: "another host", host: "evil.example", path: "/", who: admin, why: NoRule},
		{name: "held", path: "/", who: &Who{Email: ann.Email, Permissions: holds{}, Held: true}, why: MustChange, rule: 6},
	} {
		q := &Request{Method: "GET", Host: "a.example.com", Path: c.path, Client: c.from, Preflight: c.preflight}
		if c.method != "" {
			q.Method = c.method
		}
		if c.host != "" {
			q.Host = c.host
		}
		d := rules.Decide(q, c.who)
		number := 0
		if d.Rule != nil {
			number = d.Rule.Number()
		}
		if d.Outcome != c.want || d.Why != c.why || number != c.rule {
			t.Errorf("%s: %s, %s, rule %d", c.name, d.Outcome, d.Why, number)
		}
	}
}

// The headers of the other endpoints never decide.
func TestAdapters(t *testing.T) {
	forward := map[string]string{"X-Forwarded-Method": "POST", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "A.example.com:8443", "X-Forwarded-Uri": "/x?y"}
	original := map[string]string{"X-Original-Method": "PUT", "X-Original-URL": "http://b.example.com/z"}
	for _, c := range []struct {
		name   string
		read   Adapter
		target string
		set    []map[string]string
		more   func(h http.Header)
		want   string
	}{
		{name: "forward-auth", read: ForwardAuth, set: []map[string]string{forward, original}, want: "POST https a.example.com:8443 /x"},
		{name: "without its method", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h.Del("X-Forwarded-Method") }, want: "gate_metadata"},
		{name: "nothing", read: ForwardAuth, set: []map[string]string{original}, want: "gate_metadata"},
		{name: "auth-request", read: AuthRequest, set: []map[string]string{forward, original}, want: "PUT http b.example.com /z"},
		{name: "nothing for it", read: AuthRequest, set: []map[string]string{forward}, want: "gate_metadata"},
		{name: "no URL", read: AuthRequest, set: []map[string]string{{"X-Original-Method": "GET", "X-Original-URL": "/x"}}, want: "gate_metadata"},
		{name: "userinfo", read: AuthRequest, set: []map[string]string{{"X-Original-Method": "GET", "X-Original-URL": "http://a@b/x"}}, want: "bad_host"},
		{name: "alias", read: AuthRequestAlias, set: []map[string]string{original}, want: "PUT http b.example.com /z"},
		{name: "alias by forwarded headers", read: AuthRequestAlias, set: []map[string]string{forward}, want: "GET https a.example.com:8443 /x"},
		{name: "alias with both", read: AuthRequestAlias, set: []map[string]string{forward, original}, want: "contradictory_headers"},
		{name: "envoy", read: ExtAuthz("/api/authz/ext-authz/"), target: "/api/authz/ext-authz//x?y", set: []map[string]string{forward, original}, want: "GET https example.com /x"},
		{name: "envoy with one slash", read: ExtAuthz("/api/authz/ext-authz/"), target: "/api/authz/ext-authz/x", set: []map[string]string{forward}, want: "GET https example.com /x"},
		{name: "envoy with a trick", read: ExtAuthz("/api/authz/ext-authz/"), target: "/api/authz/ext-authz///x", set: []map[string]string{forward}, want: "bad_path"},
		{name: "envoy's alias", read: ExtAuthz("/api/auth/envoy?path="), target: "/api/auth/envoy?path=/x?y", set: []map[string]string{forward}, want: "GET https example.com /x"},
		{name: "envoy's alias with a trick", read: ExtAuthz("/api/auth/envoy?path="), target: "/api/auth/envoy?path=//open/admin", set: []map[string]string{forward}, want: "bad_path"},
		{name: "alias with the same in both", read: AuthRequestAlias, set: []map[string]string{forward, {"X-Original-Method": "GET", "X-Original-URL": "https://a.example.com:8443/x?y"}}, want: "GET https a.example.com:8443 /x"},
		{name: "alias with another method", read: AuthRequestAlias, set: []map[string]string{forward, {"X-Original-Method": "POST", "X-Original-URL": "http://a.example.com/x?y"}}, want: "POST https a.example.com /x"},
		{name: "alias with another port", read: AuthRequestAlias, set: []map[string]string{forward, {"X-Original-Method": "POST", "X-Original-URL": "https://a.example.com:4444/x?y"}}, want: "contradictory_headers"},
		{name: "alias with a port of one", read: AuthRequestAlias, set: []map[string]string{forward, {"X-Forwarded-Host": "a.example.com", "X-Original-Method": "POST", "X-Original-URL": "https://a.example.com:4444/x?y"}}, want: "POST https a.example.com /x"},
		{name: "alias beside another host", read: AuthRequestAlias, set: []map[string]string{original, {"X-Forwarded-Host": "c.example.com"}}, want: "contradictory_headers"},
		{name: "alias beside another path", read: AuthRequestAlias, set: []map[string]string{original, {"X-Forwarded-Uri": "/zz"}}, want: "contradictory_headers"},
		{name: "alias beside a scheme", read: AuthRequestAlias, set: []map[string]string{original, {"X-Forwarded-Proto": "https"}}, want: "PUT https b.example.com /z"},
		{name: "doubled", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h.Add("X-Forwarded-Host", "b") }, want: "doubled_header"},
		{name: "an identity twice", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h["Remote-User"] = []string{"a", "b"} }, want: "doubled_header"},
		{name: "one identity", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h["Remote-User"] = []string{"a"} }, want: "POST https a.example.com:8443 /x"},
		{name: "an underscore", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h["Remote_user"] = []string{"a"} }, want: "look_alike_header"},
		{name: "a dot", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h["X-Forwarded.host"] = []string{"a"} }, want: "look_alike_header"},
		{name: "another character", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h["Remote!user"] = []string{"a"} }, want: "look_alike_header"},
		{name: "two hosts in one", read: ForwardAuth, set: []map[string]string{forward}, more: func(h http.Header) { h.Set("X-Forwarded-Host", "a, b") }, want: "bad_host"},
	} {
		target := c.target
		if target == "" {
			target = "/ask"
		}
		r := httptest.NewRequest("GET", target, nil)
		for _, headers := range c.set {
			for name, value := range headers {
				r.Header.Set(name, value)
			}
		}
		if c.more != nil {
			c.more(r.Header)
		}
		got := ""
		if q, m := c.read(r); m != nil {
			got = m.Code
		} else {
			got = q.Method + " " + strings.Replace(q.Origin(), "://", " ", 1) + " " + q.Path
		}
		if got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// Whatever tells who asks, or for what, is there once and spelled with hyphens.
func TestGuardedHeaders(t *testing.T) {
	for _, name := range []string{
		"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-For",
		"X-Original-Method", "X-Original-Url", "X-Api-Token", "Authorization",
	} {
		for what, c := range map[string]struct{ name, want string }{
			"doubled": {name, "doubled_header"}, "underscore": {strings.ReplaceAll(name, "-", "_"), "look_alike_header"}, "dot": {strings.ReplaceAll(name, "-", "."), "look_alike_header"},
		} {
			values := []string{"x"}
			switch {
			case what == "doubled":
				values = []string{"x", "x"}
			case c.name == name:
				continue
			}
			if name == "X-Forwarded-For" && what == "doubled" { // a list
				c.want = ""
			}
			got := ""
			if m := refuseHeaders(http.Header{c.name: values}, nil); m != nil {
				got = m.Code
			}
			if got != c.want {
				t.Errorf("%s, %s: %q", name, what, got)
			}
		}
	}
}

// Only what a browser asks before another page's request is a preflight.
func TestPreflights(t *testing.T) {
	for _, c := range []struct {
		method, origin, asks, want string
	}{
		{"OPTIONS", "https://b.example.com", "PUT", "PUT"},
		{"OPTIONS", "", "PUT", ""},
		{"OPTIONS", "https://b.example.com", "", ""},
		{"OPTIONS", "https://b.example.com", "put it", ""},
		{"GET", "https://b.example.com", "PUT", ""},
	} {
		r := httptest.NewRequest(c.method, "http://a.example.com/x", nil)
		r.RequestURI = "/x"
		for name, value := range map[string]string{"Origin": c.origin, "Access-Control-Request-Method": c.asks} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if q, m := Direct("https")(r); m != nil || q.Preflight != c.want {
			t.Errorf("%+v: %q, %v", c, q.Preflight, m)
		}
	}
}

// A rule leads to its own application, one without to the first of its host.
func TestUpstreams(t *testing.T) {
	rules := mustParse(t, Config{LoginURL: "https://auth.example.com", Rules: []Rule{
		{Host: "a.example.com", Path: "/open", Require: []string{"public"}},
		{Host: "a.example.com", Path: "/api", Require: []string{"any"}, UpstreamURL: "http://127.0.0.1:1"},
		{Host: "a.example.com", Require: []string{"any"}, UpstreamURL: "http://127.0.0.1:2"},
		{Host: "*.example.com", Require: []string{"any"}, UpstreamURL: "http://127.0.0.1:3"},
	}})
	for target, want := range map[string]string{"a.example.com/open": "http://127.0.0.1:1", "a.example.com/api/x": "http://127.0.0.1:1", "a.example.com/x": "http://127.0.0.1:2", "b.example.com/x": "http://127.0.0.1:3"} {
		host, path, _ := strings.Cut(target, "/")
		d := rules.Decide(&Request{Method: "GET", Host: host, Path: "/" + path}, nil)
		if got := rules.UpstreamOf(d.Rule, host); got == nil || got.String() != want {
			t.Errorf("%s leads to %v", target, got)
		}
	}
}

// A method that a client may have chosen opens nothing that GET does not.
func TestUnsureMethod(t *testing.T) {
	rules := mustParse(t, Config{LoginURL: "https://auth.example.com", Rules: []Rule{
		{Host: "a.example.com", Path: "/cors", Methods: []string{"PUT"}, Require: []string{"any"}, Preflight: true},
		{Host: "a.example.com", Path: "/hook", Methods: []string{"POST"}, Require: []string{"public"}},
		{Host: "a.example.com", Path: "/read", Methods: []string{"GET"}, Require: []string{"public"}},
		{Host: "a.example.com", Require: []string{"role:admin"}},
	}})
	for _, c := range []struct {
		method, path, preflight string
		want, unsure            Outcome
	}{
		{"POST", "/hook", "", Allowed, SignIn},
		{"OPTIONS", "/cors", "PUT", Allowed, SignIn},
		{"POST", "/read", "", SignIn, SignIn},
		{"GET", "/read", "", Allowed, Allowed},
		{"HEAD", "/read", "", Allowed, Allowed},
	} {
		for _, unsure := range []bool{false, true} {
			want := c.want
			if unsure {
				want = c.unsure
			}
			q := &Request{Method: c.method, Host: "a.example.com", Path: c.path, Preflight: c.preflight, Unsure: unsure}
			if d := rules.Decide(q, nil); d.Outcome != want {
				t.Errorf("%s %s, unsure %v: %s", c.method, c.path, unsure, d.Outcome)
			}
		}
	}
	r := httptest.NewRequest("GET", "/ask", nil)
	for name, value := range map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example.com", "X-Forwarded-Uri": "/hook", "X-Original-Method": "POST", "X-Original-URL": "https://a.example.com/hook"} {
		r.Header.Set(name, value)
	}
	if q, m := AuthRequestAlias(r); m != nil || !q.Unsure {
		t.Errorf("a method by both is sure: %v", m)
	}
}

func TestFaults(t *testing.T) {
	ok := Rule{Line: 7, Host: "a.example.com", Require: []string{"any"}}
	for _, c := range []struct {
		name string
		c    Config
		rule func(r *Rule)
		key  string
	}{
		{name: "none"},
		{name: "host", rule: func(r *Rule) { r.Host = "a b" }, key: "host"},
		{name: "any host", rule: func(r *Rule) { r.Host = "*" }, key: "host"},
		{name: "no host", rule: func(r *Rule) { r.Host = "" }, key: "host"},
		{name: "path", rule: func(r *Rule) { r.Path = "/a/../b" }, key: "path"},
		{name: "a query", rule: func(r *Rule) { r.Path = "/a?b" }, key: "path"},
		{name: "method", rule: func(r *Rule) { r.Methods = []string{"get"} }, key: "methods"},
		{name: "from", rule: func(r *Rule) { r.From = []string{"10.0.0.0/33"} }, key: "from"},
		{name: "require", rule: func(r *Rule) { r.Require = []string{"everybody"} }, key: "require"},
		{name: "nothing required", rule: func(r *Rule) { r.Require = nil }, key: "require"},
		{name: "public and more", rule: func(r *Rule) { r.Require = []string{"public", "any"} }, key: "require"},
		{name: "no role", rule: func(r *Rule) { r.Require = []string{"role:"} }, key: "require"},
		{name: "upstream", rule: func(r *Rule) { r.UpstreamURL = "127.0.0.1:3000" }, key: "upstream"},
		{name: "own host", rule: func(r *Rule) { r.Host, r.UpstreamURL = "auth.example.com", "http://127.0.0.1:1" }, key: "upstream"},
		{name: "login_url", c: Config{LoginURL: "auth.example.com"}, key: "login_url"},
		{name: "cookie_domain", c: Config{CookieDomain: "com"}, key: "cookie_domain"},
		{name: "return_ttl", c: Config{ReturnTTL: 1}, key: "return_ttl"},
	} {
		r := ok
		if c.rule != nil {
			c.rule(&r)
		}
		if c.c.LoginURL == "" {
			c.c.LoginURL = "https://auth.example.com"
		}
		c.c.Rules = []Rule{r}
		_, faults := Parse(c.c)
		switch {
		case c.key == "" && len(faults) > 0, c.key != "" && (len(faults) != 1 || faults[0].Key != c.key):
			t.Errorf("%s: %v", c.name, faults)
		}
	}
}

func TestIsMethod(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "PROPFIND": true, "M-SEARCH": true, "PURGE": true, "X": true, "V2_SYNC": true, "A!#$%&'*+-.^_`|~9": true, strings.Repeat("A", 32): true,
		"": false, "get": false, "Get": false, "GET ": false, "GET/": false, "G\x00T": false, "GÉT": false, "GET,POST": false, "(GET)": false, strings.Repeat("A", 33): false,
	} {
		if IsMethod(method) != want {
			t.Errorf("%q is taken for one: %t", method, !want)
		}
	}
}
