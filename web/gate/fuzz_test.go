package gate

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// These tests know nothing of how the package reads and decides: beside each rule
// stands once more what it says, and paths, hosts and names of headers are read as
// other servers read them.

// plainRule is a rule, and what it says in plain words.
type plainRule struct {
	Rule
	host, path *regexp.Regexp
	methods    string // with spaces around each; "": all
	lan        bool   // from 10.0.0.0/8 alone
	lets       string // who is let in: the letters of askers
	open       bool   // nobody has to be anybody
	preflight  bool
}

func whole(expression string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)\A(?:` + expression + `)\z`)
}

const letters = "nabtshfr"

// askers are who asks, by a letter: n nobody, a Ann, b an administrator, t a token
// of the administrator for one permission, s one of Ann, h a session that has to
// change its password, f Ann with a second factor, r an administrator without one, whose
// role requires it.
var askers = map[byte]*Who{
	'n': nil,
	'a': {Email: "ann@example.com", Roles: []string{"user"}, Permissions: holds{}},
	'b': {Email: "bo@example.com", Roles: []string{"admin"}, Permissions: holds{"*"}},
	't': {Email: "bo@example.com", Roles: []string{"admin"}, Permissions: holds{"a#api/read"}, Token: true, Narrow: true},
	's': {Email: "ann@example.com", Roles: []string{"user"}, Permissions: holds{}, Token: true, Narrow: true},
	'h': {Email: "bo@example.com", Roles: []string{"admin"}, Permissions: holds{"*"}, Held: true},
	'f': {Email: "ann@example.com", Roles: []string{"user"}, Permissions: holds{}, SecondFactor: true},
	'r': {Email: "bo@example.com", Roles: []string{"admin"}, Permissions: holds{"*"}, NoFactor: true},
}

var plainRules = []plainRule{
	{Rule: Rule{Host: "a.example.com", Path: "/admin", Require: []string{"role:admin"}}, host: whole(`a\.example\.com`), path: whole(`/admin(/.*)?`), lets: "b"},
	{Rule: Rule{Host: "a.example.com", Path: "/api/", Methods: []string{"GET", "POST"}, Require: []string{"a#api/read"}}, host: whole(`a\.example\.com`), path: whole(`/api/.*`), methods: " GET POST HEAD ", lets: "bt"},
	{Rule: Rule{Host: "a.example.com", Path: "/api/", Methods: []string{"DELETE"}, Require: []string{"role:admin", "user:ann@example.com"}, Preflight: true}, host: whole(`a\.example\.com`), path: whole(`/api/.*`), methods: " DELETE ", lets: "abf", preflight: true},
	{Rule: Rule{Host: "a.example.com", Path: "/lan", From: []string{"10.0.0.0/8"}, Require: []string{"public"}}, host: whole(`a\.example\.com`), path: whole(`/lan(/.*)?`), lan: true, lets: "nabtshfr", open: true},
	{Rule: Rule{Host: "a.example.com", Path: "/two", Require: []string{"any"}, SecondFactor: true}, host: whole(`a\.example\.com`), path: whole(`/two(/.*)?`), lets: "tsf"},
	{Rule: Rule{Host: "a.example.com", Path: "/open", Require: []string{"public"}}, host: whole(`a\.example\.com`), path: whole(`/open(/.*)?`), lets: "nabtshfr", open: true},
	{Rule: Rule{Host: "a.example.com", Path: "/form", Methods: []string{"POST"}, Require: []string{"any"}}, host: whole(`a\.example\.com`), path: whole(`/form(/.*)?`), methods: " POST ", lets: "abtsf"},
	{Rule: Rule{Host: "10.1.1.1", Require: []string{"any"}}, host: whole(`10\.1\.1\.1`), path: whole(`.*`), lets: "abtsf"},
	{Rule: Rule{Host: "*.example.com", Path: "/", Require: []string{"user:ann@example.com"}}, host: whole(`[a-z0-9_-]+\.example\.com`), path: whole(`.*`), lets: "af"},
}

// plainly decides by the table alone.
func plainly(host, path, method, preflight string, client netip.Addr, asker byte) Outcome {
	lan := client.Is4() && client.As4()[0] == 10
	for _, rule := range plainRules {
		m := method
		if rule.preflight && preflight != "" {
			m = preflight
		}
		if !rule.host.MatchString(host) || !rule.path.MatchString(path) || rule.lan && !lan || rule.methods != "" && !strings.Contains(rule.methods, " "+m+" ") {
			continue
		}
		switch {
		case strings.IndexByte(rule.lets, asker) >= 0, asker == 'n' && rule.preflight && preflight != "":
			return Allowed
		case asker == 'n':
			return SignIn
		}
		return Refused
	}
	return Refused
}

// readings are the paths for which servers may take a target that is sent to them:
// each does some of what is done here.
func readings(uri string) map[string]bool {
	ways := []func(string) string{
		decoded,
		func(s string) string { return strings.ReplaceAll(s, `\`, "/") },
		withoutParameters,
		func(s string) string { before, _, _ := strings.Cut(s, "\x00"); return before },
		collapsed,
		func(s string) string { return withoutMark(s) },
		cleaned,
	}
	raw := withoutMark(uri)
	all := map[string]bool{}
	for mask := range 1 << len(ways) {
		for _, text := range []string{decoded(raw), decoded(slashesKept.Replace(raw))} {
			for i, way := range ways {
				if mask&(1<<i) != 0 {
					text = way(text)
				}
			}
			all[text] = true
		}
	}
	if u, err := url.ParseRequestURI(uri); err == nil {
		all[u.Path] = true
	}
	return all
}

// slashesKept: some servers leave an escaped slash as it is.
var slashesKept = strings.NewReplacer("%2f", "%252f", "%2F", "%252F")

// decoded takes the escapes out of a text; what is none stays.
func decoded(text string) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, low := strings.IndexByte(digits, text[i+1]|0x20), strings.IndexByte(digits, text[i+2]|0x20)
			if high >= 0 && low >= 0 && text[i+1] >= '0' && text[i+2] >= '0' {
				out.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// withoutMark is what stands before a query or a fragment.
func withoutMark(text string) string {
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		return text[:i]
	}
	return text
}

// withoutParameters takes from each segment what follows a semicolon, as servlets do.
func withoutParameters(text string) string {
	segments := strings.Split(text, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	return strings.Join(segments, "/")
}

var slashes = regexp.MustCompile(`/{2,}`)

func collapsed(text string) string { return slashes.ReplaceAllString(text, "/") }

// cleaned is path.Clean, with the slash at the end, if there is one.
func cleaned(text string) string {
	out := path.Clean(text)
	if strings.HasSuffix(text, "/") && out != "/" {
		out += "/"
	}
	return out
}

var targets = []string{
	"/", "/admin", "/admin/x", "/administrator", "/api/", "/api", "/api/v1?x=/../admin", "/lan", "/two/", "/open/a", "/a%20b", "/caf%C3%A9", "/100%25", "/.well-known/x", "/a...b",
	"/open/../admin", "/open/%2e%2e/admin", "/open/..%2fadmin", "/open/%252e%252e/admin", "/open/..;/admin", `/open\..\admin`, "/open/..%5cadmin", "//admin", "/open//../admin", "/./admin", "/admin/.", "/admin%00", "/admin%2f", "/open%2fadmin", "/api%2Fv1", "///admin", "/form", "/%61dmin", "/%2561dmin",
	"/admin#x", "/admin%23x", "/admin%3f", "/admin%3Fx", "/admin;x", "/admin%3bx", "/admin%0a", "/admin%c0%af", "/%ff", "/\xff", "/admin%", "/admin%2", "/admin%zz", "/admin%25", "/admin%253f", "admin", "*", "", "http://a.example.com/admin", "/open?/../admin", "/%u002e/", "/a+b",
}

// FuzzCleanPath: where a path is taken, all servers take the target for that path.
func FuzzCleanPath(f *testing.F) {
	for _, uri := range targets {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		clean, err := CleanPath(uri)
		if err != nil {
			if clean != "" {
				t.Fatalf("%q is refused, and %q", uri, clean)
			}
			return
		}
		if !utf8.ValidString(clean) || strings.ContainsFunc(clean, unicode.IsControl) {
			t.Fatalf("%q is taken for %q", uri, clean)
		}
		for other := range readings(uri) {
			if other != clean {
				t.Fatalf("%q is taken for %q, and may be %q elsewhere", uri, clean, other)
			}
		}
		if again, err := CleanPath((&url.URL{Path: clean}).EscapedPath()); err != nil || again != clean {
			t.Fatalf("%q is %q, and that as it is written %q, %v", uri, clean, again, err)
		}
		if again, err := CleanPath(clean); err == nil && again != clean || err != nil && !strings.Contains(clean, "%") {
			t.Fatalf("%q is %q, and that once more %q, %v", uri, clean, again, err)
		}
	})
}

// hosts are written as clients may.
var hosts = []string{"a.example.com", "A.Example.COM.", "a.example.com:8443", "b.example.com", "c.b.example.com", "example.com", "a.example.com..", "a.example.com:", "10.1.1.1", "10.1.1.1.", "[::1]:80", "::1:", "[::ffff:10.1.1.1]", "bücher.example", "a。example.com", "a.example.com, b", "a@b", "xn--a", "a.example.com\x00", "0x0a.1.1.1", "evil.example", "*.example.com", ""}

// plainHost reads a host of ASCII.
func plainHost(text string) string {
	text = strings.ToLower(text)
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, ".")
}

// FuzzFoldHost: a host that is taken is folded for good, and is the one that it was.
func FuzzFoldHost(f *testing.F) {
	for _, host := range hosts {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, err := FoldHost(text)
		if err != nil {
			return
		}
		if again, err := FoldHost(host); err != nil || again != host {
			t.Fatalf("%q is %q, and that %q, %v", text, host, again, err)
		}
		if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
			return
		}
		if !whole(`[a-z0-9_-]+(\.[a-z0-9_-]+)*`).MatchString(host) {
			t.Fatalf("%q is taken for %q", text, host)
		}
		if plain := plainHost(text); isASCII(text) && host != plain && !strings.HasPrefix(plain, "xn--") && !strings.Contains(plain, ".xn--") {
			t.Fatalf("%q is taken for %q, and is %q", text, host, plain)
		}
		for pattern, form := range map[string]string{"a.example.com": `a\.example\.com`, "*.example.com": `[^.]+\.example\.com`, "*.com": `[^.]+\.com`} {
			if HostFits(pattern, host) != whole(form).MatchString(host) {
				t.Fatalf("%q fits %q: %t", host, pattern, HostFits(pattern, host))
			}
		}
	})
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > 0x7f }) < 0
}

// asCGI is the name of a header as applications get it by CGI, from servers that
// are not choosy: lighttpd makes an underscore of all that is no letter or digit.
func asCGI(name string) string {
	return "HTTP_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// trusted are the variables that applications, or Husk, take for the proxy's word.
var trusted = []string{
	"HTTP_REMOTE_USER", "HTTP_REMOTE_NAME", "HTTP_REMOTE_EMAIL", "HTTP_REMOTE_GROUPS", "HTTP_X_FORWARDED_METHOD", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_URI",
	"HTTP_X_ORIGINAL_METHOD", "HTTP_X_ORIGINAL_URL", "HTTP_X_API_TOKEN", "HTTP_AUTHORIZATION",
}

// wellTold tells whether each header that becomes one of those is there once, and is
// spelled with hyphens, as proxies know it. X-Forwarded-For is a list of lines.
func wellTold(h http.Header) bool {
	for name, values := range h {
		variable := asCGI(name)
		isList := variable == "HTTP_X_FORWARDED_FOR"
		if !isList && !slices.Contains(trusted, variable) {
			continue
		}
		if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz-") != "" || len(values) > 1 && !isList {
			return false
		}
	}
	return true
}

// told is a question as one of the proxies asks it.
type told struct{ method, scheme, host, uri string }

// by are the ways to ask. Each has a decoy in the headers of another.
var by = []func(q told) (*http.Request, Adapter){
	func(q told) (*http.Request, Adapter) {
		return asks("GET", "auth.example.com", "/api/authz/forward-auth", "X-Original-Method", "GET", "X-Original-Url", "https://a.example.com/open",
			"X-Forwarded-Method", q.method, "X-Forwarded-Proto", q.scheme, "X-Forwarded-Host", q.host, "X-Forwarded-Uri", q.uri), ForwardAuth
	},
	func(q told) (*http.Request, Adapter) {
		return asks("GET", "auth.example.com", "/api/authz/auth-request", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "a.example.com", "X-Forwarded-Uri", "/open",
			"X-Original-Method", q.method, "X-Original-Url", q.scheme+"://"+q.host+q.uri), AuthRequest
	},
	func(q told) (*http.Request, Adapter) {
		return asks("GET", "auth.example.com", "/api/auth/nginx", "X-Original-Method", q.method, "X-Original-Url", q.scheme+"://"+q.host+q.uri), AuthRequestAlias
	},
	func(q told) (*http.Request, Adapter) {
		return asks("GET", "auth.example.com", "/api/auth/nginx", "X-Forwarded-Method", "DELETE", "X-Forwarded-Proto", q.scheme, "X-Forwarded-Host", q.host, "X-Forwarded-Uri", q.uri), AuthRequestAlias
	},
	func(q told) (*http.Request, Adapter) {
		return asks("GET", "auth.example.com", "/api/auth/nginx", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "a.example.com", "X-Forwarded-Uri", "/open",
			"X-Original-Method", q.method, "X-Original-Url", q.scheme+"://"+q.host+q.uri), AuthRequestAlias
	},
	func(q told) (*http.Request, Adapter) {
		return asks(q.method, q.host, "/api/authz/ext-authz"+q.uri, "X-Forwarded-Proto", q.scheme, "X-Forwarded-Host", "a.example.com", "X-Forwarded-Uri", "/open", "X-Original-Url", "https://a.example.com/open"), ExtAuthz("/api/authz/ext-authz/")
	},
	func(q told) (*http.Request, Adapter) {
		return asks(q.method, q.host, "/api/auth/envoy?path="+q.uri, "X-Forwarded-Proto", q.scheme), ExtAuthz("/api/auth/envoy?path=")
	},
	func(q told) (*http.Request, Adapter) {
		return asks(q.method, q.host, q.uri, "X-Forwarded-Host", "a.example.com", "X-Forwarded-Uri", "/open", "X-Original-Url", "https://a.example.com/open"), Direct(q.scheme)
	},
}

func asks(method, host, target string, headers ...string) *http.Request {
	r := &http.Request{Method: method, Host: host, RequestURI: target, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = []string{headers[i+1]}
	}
	return r
}

// FuzzDecide: whatever a client sends, by whatever proxy, it is let through only
// where the table lets it, whoever reads its path.
func FuzzDecide(f *testing.F) {
	for way := range by {
		for i, uri := range targets {
			f.Add(byte(way), byte(i), "GET", "https", "a.example.com", uri, "", "", []byte{192, 0, 2, 1})
		}
		for i, host := range hosts {
			f.Add(byte(way), byte(i), "GET", "https", host, "/open", "", "", []byte{192, 0, 2, 1})
		}
		for i, name := range []string{"Remote-User", "Remote_user", "Remote.user", "Remote!user", "X-Forwarded-Uri", "X-Forwarded_uri", "X_forwarded_for", "X-Original-Url", "X-Original.url", "Authorization", "X-Api_token", "X-Forwarded-For"} {
			f.Add(byte(way), byte(i), "GET", "https", "a.example.com", "/open", name, "/admin", []byte{10, 0, 0, 1})
		}
	}
	for asker := range askers {
		who := byte(strings.IndexByte(letters, asker))
		for _, uri := range targets {
			f.Add(byte(0), who, "GET", "https", "a.example.com", uri, "", "", []byte{192, 0, 2, 1})
		}
		for _, host := range hosts {
			f.Add(byte(1), who, "GET", "https", host, "/", "", "", []byte{192, 0, 2, 1})
		}
		for _, uri := range []string{"/admin", "/api/v1", "/lan", "/two", "/open", "/form", "/"} {
			for _, method := range []string{"OPTIONS", "HEAD", "DELETE", "get", "POST", "", "GET ", "PROPFIND"} {
				f.Add(byte(0), who, method, "wss", "a.example.com", uri, "", "", []byte{10, 0, 0, 1})
			}
			for _, method := range []string{"DELETE", "POST", "GET"} {
				f.Add(byte(0), who, "OPTIONS", "https", "a.example.com", uri, "Access-Control-Request-Method", method, []byte(nil))
			}
		}
	}
	config := Config{LoginURL: "https://auth.example.com"}
	for _, rule := range plainRules {
		config.Rules = append(config.Rules, rule.Rule)
	}
	rules := mustParse(f, config)
	f.Fuzz(func(t *testing.T, way, asker byte, method, scheme, host, uri, name, value string, address []byte) {
		r, read := by[int(way)%len(by)](told{method, scheme, host, uri})
		if isName(name) { // net/http reads no other, and writes it so
			name = http.CanonicalHeaderKey(name)
			r.Header[name] = append(r.Header[name], value)
		}
		r.Header["Origin"] = []string{"https://b.example.com"}
		q, m := read(r)
		if strings.Contains(scheme, ":") { // which would end before the host in a URL
			return
		}
		if m != nil {
			if m.Code == "" || m.Reason == "" || q != (Request{}) && q.Method != "" {
				t.Fatalf("it is refused by %+v, with %+v", m, q)
			}
			return
		}
		q.Client, _ = netip.AddrFromSlice(address)
		who := letters[int(asker)%len(letters)]
		got := rules.Decide(&q, askers[who])
		if !wellTold(r.Header) {
			t.Fatalf("%v is read as %+v", r.Header, q)
		}
		preflight := ""
		if asked := r.Header["Access-Control-Request-Method"]; method == "OPTIONS" && len(asked) == 1 {
			preflight = asked[0]
		}
		host, uri = asSent(way, host, uri)
		switch int(way) % len(by) {
		case 3: // which tells no method
			method = "GET"
		case 4: // where a client's own headers may say otherwise
			if q.Host != "a.example.com" || q.Port != "" || uri != "/open" || q.Scheme != "https" {
				t.Fatalf("%v is read as %+v", r.Header, q)
			}
		}
		if isASCII(host) && !strings.Contains(host, "[") && strings.Count(host, ":") < 2 && !strings.Contains(strings.ToLower(host), "xn--") {
			host = plainHost(host)
		} else {
			host = q.Host
		}
		for path := range readings(uri) {
			want := plainly(host, path, method, preflight, q.Client, who)
			if int(way)%len(by) == 4 { // a client may have told the method
				want = min(want, plainly(host, path, "GET", "", q.Client, who))
			}
			if got.Outcome != want {
				t.Fatalf("%s of %q at %q, asked by %c: %s by rule %+v; read as %q it is %s", method, uri, host, who, got.Outcome, got.Rule, path, want)
			}
		}
		if got.Outcome == Allowed && got.Rule == nil {
			t.Fatal("it is allowed by no rule")
		}
	})
}

// asSent are the host and the target that a question is about. A URL has no place
// between the two but the first slash; of the path behind Envoy's prefix one slash is
// of the prefix.
func asSent(way byte, host, uri string) (string, string) {
	switch int(way) % len(by) {
	case 1, 2, 4:
		host, uri, _ = strings.Cut(host+uri, "/")
		return host, "/" + uri
	case 5, 6:
		if strings.HasPrefix(uri, "//") {
			return host, uri[1:]
		}
	}
	return host, uri
}

func isName(name string) bool { return whole("[A-Za-z0-9!#$%&'*+.^_`|~-]+").MatchString(name) }

// FuzzParse: whatever a rule says, it is a rule or has faults of its own line, and
// what it decides breaks nothing.
func FuzzParse(f *testing.F) {
	f.Add("a.example.com", "/admin", "GET", "10.0.0.0/8", "role:admin", "http://127.0.0.1:3000", "https://auth.example.com", "example.com", false, "a.example.com", "/admin/x")
	f.Add("*.example.com", "/caf%C3%A9", "HEAD", "::1", "user:ann@example.com", "", "", "", true, "b.example.com", "/café")
	f.Add("*", "/", "-", "10.0.0.1/33", "public", "https://[::1]", "http://", ".com", false, "", "")
	f.Add("*.*.com", "//", "get", "fe80::1%lo", "role:", "ftp://x", "x", "10.0.0.1", true, "..", "%")
	f.Fuzz(func(t *testing.T, host, path, method, from, require, upstream, login, domain string, flag bool, askedHost, askedPath string) {
		rule := Rule{Line: 7, Host: host, Path: path, Methods: []string{method}, From: []string{from}, Require: []string{require}, SecondFactor: flag, Preflight: flag, UpstreamURL: upstream}
		rules, faults := Parse(Config{LoginURL: login, LoginLine: 3, CookieDomain: domain, DomainLine: 4, Rules: []Rule{rule}})
		if (rules == nil) != (len(faults) > 0) {
			t.Fatalf("%v, with %v", rules, faults)
		}
		for _, fault := range faults {
			if fault.Text == "" || fault.Key == "" || !slices.Contains([]int{0, 3, 4, 7}, fault.Line) {
				t.Fatalf("the fault %+v", fault)
			}
		}
		if rules == nil {
			return
		}
		q := Request{Method: method, Scheme: "https", Host: askedHost, Path: askedPath, Client: netip.MustParseAddr("10.0.0.1")}
		for letter, who := range askers {
			d := rules.Decide(&q, who)
			if d.Outcome == Allowed && (d.Rule == nil || letter == 'n' && require != RequirePublic) {
				t.Fatalf("%c is allowed by %+v", letter, d)
			}
			if d.Outcome == Allowed && strings.IndexByte("ahr", letter) >= 0 && require != RequirePublic && (flag || letter != 'a') {
				t.Fatalf("%c is allowed without a second factor, or with a password to change, by %+v", letter, d)
			}
		}
		rules.Scope(askedHost)
		rules.UpstreamOf(nil, askedHost)
		rules.Serves(askedHost)
	})
}
