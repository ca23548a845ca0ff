package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

const absentID = "5f0c3a52-91a8-4d9a-8a3e-6d7b6b1f0a11"

func TestHeadersOfEveryAnswer(t *testing.T) {
	s := newServer(t)
	single := s.single()
	seen := map[string]bool{}
	for _, a := range []answer{
		s.do("GET", "/health", ""), s.do("GET", "/absent", ""), s.do("DELETE", "/health", ""),
		s.do("GET", "/account/profile", ""), s.do("GET", "/account/profile", "", single.session()),
		s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`), s.do("POST", "/account/login", `{"password":"wrong and long"}`),
		s.do("POST", "/auth/access_token", "", single.session()), s.do("GET", "/auth/access_token/_search", "", single.session()),
		s.do("GET", "/security/user/_search", "", single.session()), s.do("GET", "/account/profile", "", local),
	} {
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "application/json",
			"Referrer-Policy": "no-referrer",
		} {
			if got := a.header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s = %q, want %q", a.what, name, got, want)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy = %q", a.what, csp)
		}
		for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Server", "X-Powered-By"} {
			if got := a.header.Get(name); got != "" {
				t.Errorf("%s: %s = %q", a.what, name, got)
			}
		}
		id := a.header.Get("X-Request-Id")
		if id == "" || seen[id] {
			t.Errorf("%s: X-Request-Id %q is empty or used before", a.what, id)
		}
		seen[id] = true
	}
}

func TestRequestIDIsNotTheClients(t *testing.T) {
	s := newServer(t)
	a := s.do("GET", "/health", "", header("X-Request-Id", "mine"))
	if ids := a.header.Values("X-Request-Id"); len(ids) != 1 || ids[0] == "mine" {
		t.Errorf("X-Request-Id = %q", ids)
	}
	other := newServer(t)
	if a, b := a.header.Get("X-Request-Id"), other.do("GET", "/health", "").header.Get("X-Request-Id"); a[:12] == b[:12] {
		t.Errorf("two servers begin their request ids alike: %s and %s", a, b)
	}
}

// What is absent and what is not yours can't be told apart by a single byte.
func TestNotFoundTellsNothing(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser("ann@example.com"), s.newUser("bob@example.com")
	foreign := s.mint(bob.session(), api.NewToken{}).ID
	want := s.do("GET", "/auth/access_token/"+absentID, "", ann.session()).want(404, "not_found")
	for _, id := range []string{foreign, absentID, "x", "%00", "..", "a%2Fb", "%2e%2e", strings.Repeat("a", 5000), "ü", db.SingleUser} {
		for _, r := range []struct{ method, body string }{{"GET", ""}, {"PUT", `{"name":"mine"}`}, {"DELETE", ""}} {
			got := s.do(r.method, "/auth/access_token/"+id, r.body, ann.session())
			if got.status != 404 || got.body != want.body {
				t.Errorf("%s %.40s = %d %s, want %s", r.method, id, got.status, got.body, want.body)
			}
			for _, h := range []http.Header{got.header, want.header} {
				h.Del("X-Request-Id")
				h.Del("Date")
			}
			if jsonOf(got.header) != jsonOf(want.header) {
				t.Errorf("%s %.40s: headers %v, want %v", r.method, id, got.header, want.header)
			}
		}
	}
	for _, path := range []string{"/absent", "/account", "/account/", "//account/login", "/account//login", "/system/../health", "/health//", "/HEALTH", "/_license"} {
		if got := s.do("GET", path, ""); got.status != 404 || got.body != want.body {
			t.Errorf("GET %s = %d %s", path, got.status, got.body)
		}
	}
	s.do("GET", "/auth/access_token/"+foreign, "", bob.session()).want(200)
}

func TestMethodNotAllowed(t *testing.T) {
	s := newServer(t)
	allowed := map[string][]string{}
	for _, r := range s.Table() {
		allowed[r.Path] = append(allowed[r.Path], r.Method)
	}
	for path, methods := range allowed {
		asked := strings.ReplaceAll(path, ":id", absentID)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"} {
			// GET /auth/access_token/_search and the like share their path with :id.
			if slices.Contains(methods, method) || (strings.Contains(path, "_") && slices.Contains(allowed[path[:strings.LastIndexByte(path, '/')]+"/:id"], method)) {
				continue
			}
			a := s.do(method, asked, "").want(405, "method_not_allowed")
			for _, m := range methods {
				if !strings.Contains(a.header.Get("Allow"), m) {
					t.Errorf("%s %s: Allow = %q, without %s", method, path, a.header.Get("Allow"), m)
				}
			}
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"} {
		s.do("GET", "/auth/access_token/"+absentID, "", s.single().session(), header(name, "DELETE")).want(404)
		s.do("POST", "/auth/access_token/"+absentID, "", s.single().session(), header(name, "DELETE")).want(405)
	}
	a := s.do("OPTIONS", "/account/login", "", header("Origin", "https://evil.example"), header("Access-Control-Request-Method", "POST"))
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("OPTIONS = %d %v", a.status, a.header)
	}
}

// HEAD is GET without the body, as RFC 9110, 9.3.2 has it and monitors send
// it; but a GET that changes something is none to look with.
func TestHead(t *testing.T) {
	s := newServer(t)
	single := s.single()
	id := s.mint(single.session(), api.NewToken{}).ID
	for _, r := range s.Table() {
		path := strings.NewReplacer("/auth/access_token/:id", "/auth/access_token/"+id, ":id", db.SingleUser, ":name", "absent").Replace(r.Path)
		if r.Method != "GET" || r.Path == "/account/logout" || r.Path == "/continue" {
			continue
		}
		for who, edits := range map[string][]edit{"nobody": nil, "single": {single.session()}, "browser": {header("Accept", "text/html")}} {
			got, want := s.do("HEAD", path, "", edits...), s.do("GET", path, "", edits...)
			if got.status != want.status || got.body != "" {
				t.Errorf("HEAD %s by %s = %d %q, and GET %d", path, who, got.status, got.body, want.status)
			}
			for _, name := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate"} {
				if got.header.Get(name) != want.header.Get(name) {
					t.Errorf("HEAD %s by %s: %s = %q, and GET %q", path, who, name, got.header.Get(name), want.header.Get(name))
				}
			}
		}
	}
	s.do("HEAD", "/account/logout", "", single.session()).want(405)
	s.do("HEAD", "/continue", "", single.session()).want(405)
	s.do("GET", "/account/profile", "", single.session()).want(200)
	s.do("HEAD", "/auth/access_token", "", single.session()).want(405)
	if allow := s.do("PUT", "/health", "").header.Get("Allow"); !strings.Contains(allow, "HEAD") {
		t.Errorf("Allow = %q", allow)
	}
}

func TestTrailingSlash(t *testing.T) {
	s := newServer(t)
	single := s.single()
	made := s.mint(single.session(), api.NewToken{})
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/health/", ""}, {"GET", "/livez/", ""}, {"GET", "/readyz/", ""},
		{"POST", "/account/login/", `{"password":"` + singlePassword + `"}`},
		{"GET", "/account/profile/", ""}, {"POST", "/auth/access_token/", ""}, {"POST", "/auth/access_token/", `{"name":"a"}`},
		{"GET", "/auth/access_token/" + made.ID + "/", ""}, {"PUT", "/auth/access_token/" + made.ID + "/", `{"name":"b"}`},
		{"DELETE", "/auth/access_token/" + made.ID + "/", ""}, {"POST", "/security/user/", `{"email":"ann@example.com"}`},
		{"GET", "/security/user/ann@example.com/", ""}, {"PUT", "/security/user/ann@example.com/", `{"name":"Ann"}`},
		{"DELETE", "/security/user/ann@example.com/", ""}, {"GET", "/security/user/_search/?size=1", ""},
		{"PUT", "/account/password/", jsonOf(api.PasswordChange{OldPassword: singlePassword, NewPassword: "eleven crates of plums"})},
		{"GET", "/account/logout/", ""},
	} {
		if a := s.do(r.method, r.path, r.body, single.session()); a.status != 200 || a.header.Get("Location") != "" {
			t.Errorf("%s %s = %d %s", r.method, r.path, a.status, a.body)
		}
	}
}

// A path has one decoding: an escaped character is the character.
func TestEscapedPath(t *testing.T) {
	s := newServer(t)
	ann := s.newUser("ann+x@example.com")
	jürgen := s.newUser("jürgen@example.com")
	for path, id := range map[string]string{
		"/security/user/ann%2Bx%40example.com":     ann.id,
		"/security/user/ann+x@example.com":         ann.id,
		"/security/user/ANN+X@example.com":         ann.id,
		"/security/user/%6A%C3%BCrgen@example.com": jürgen.id,
		"/%73ecurity/user/" + ann.id:               ann.id,
	} {
		s.do("GET", path, "", local).want(200).like(`{"_id":"` + id + `","found":true,"_source":{"id":"` + id +
			`","name":"<text>","email":"<text>","roles":["user"],"disabled":false,"created":"<time>","updated":"<time>","last_login":"<time>","second_factor":[]}}`)
	}
	if found, err := s.local.GetUser(t.Context(), jürgen.email); err != nil || found.ID != jürgen.id {
		t.Errorf("GetUser = %+v, %v", found, err)
	}
}

func TestQueriesThatAreIgnored(t *testing.T) {
	s := newServer(t)
	single := s.single()
	for _, query := range []string{
		"?&from=0&size=10&sort=&t=1&tab=user", "?", "?&&", "?from=&size=&after=&query=&sort=&owner=", "?unknown=%zz", "?a;b", "?;", "?%", "?=", "?from=0;size=1",
		"?size=1000&from=9000", "?query=+", "?query=-",
	} {
		for _, path := range []string{"/auth/access_token/_search", "/security/user/_search"} {
			s.do("GET", path+query, "", single.session()).want(200)
		}
		s.do("GET", "/health"+query, "").want(200)
		s.do("GET", "/account/profile"+query, "", single.session()).want(200)
		s.do("POST", "/auth/access_token"+query, "", single.session()).want(200)
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	s := newServer(t)
	single := s.single()
	for range 3 {
		s.mint(single.session(), api.NewToken{})
	}
	var page api.Search[api.Token]
	s.do("GET", "/auth/access_token/_search?size=1", "", single.session()).json(&page)
	cursor := page.Hits.After
	if cursor == "" {
		t.Fatal("a full page has no cursor")
	}
	codes := map[string]string{
		"from=-1": "bad_page", "size=-1": "bad_page", "from=x": "bad_page", "size=1e3": "bad_page", "size=0x10": "bad_page", "from=1.0": "bad_page",
		"size=1001": "bad_page", "from=9001&size=1000": "bad_page", "from=10001": "bad_page", "from=99999999999999999999": "bad_page",
		"from=9223372036854775807": "bad_page", "from=9223372036854775800&size=1000": "bad_page", "size=9223372036854775807": "bad_page",
		"from=9223372036854775807&query=t": "bad_page", "size=%20": "bad_page", "from=٣": "bad_page",
		"sort=id": "bad_sort", "sort=created:up": "bad_sort", "sort=:desc": "bad_sort", "sort=created:desc:asc": "bad_sort", "sort=CREATED": "bad_sort",
		"after=x": "bad_cursor", "after=" + cursor + "A": "bad_cursor", "after=" + cursor[:len(cursor)-1]: "bad_cursor",
		"after=" + strings.ToUpper(cursor): "bad_cursor", "after=" + cursor + "&sort=name": "bad_cursor", "after=" + cursor + "&query=t": "bad_cursor",
		"after=" + cursor + "&owner=*": "bad_cursor", "after=" + url.QueryEscape("../../etc"): "bad_cursor", "after=" + strings.Repeat("A", 9000): "bad_cursor",
	}
	for query, code := range codes {
		s.do("GET", "/auth/access_token/_search?"+query, "", single.session()).want(400, code)
		if !strings.Contains(query, "owner") {
			s.do("GET", "/security/user/_search?"+query, "", single.session()).want(400, code)
		}
	}
	s.do("GET", "/security/user/_search?sort=expire_in", "", single.session()).want(400, "bad_sort")
	s.do("GET", "/auth/access_token/_search?size=1&after="+cursor, "", single.session()).want(200)
}

func TestHealth(t *testing.T) {
	s := newServer(t)
	s.clock.advance(90*time.Second + time.Millisecond)
	s.do("GET", "/health", "").want(200).like(`{"status":"green","version":"1.2.3","uptime":90}`)
	s.do("GET", "/livez", "").want(200).like(`{"status":"ok"}`)
	s.do("GET", "/readyz", "").want(200).like(`{"status":"ok","warnings":[]}`)
	s.clock.advance(-time.Hour)
	s.do("GET", "/health", "").want(200).like(`{"status":"green","version":"1.2.3","uptime":0}`)
	// Nobody's credential matters on a public route, not even a bad one.
	s.do("GET", "/health", "", bearer("x")).want(200)
	s.do("GET", "/health", "", apiToken("x"), bearer("x")).want(200)
	h, err := s.client().Health(t.Context())
	if err != nil || h.Version != "1.2.3" {
		t.Errorf("Health = %+v, %v", h, err)
	}
}

func TestNewRefuses(t *testing.T) {
	s := newServer(t)
	nothing, noKey := s.AddUndeclared()
	if nothing == nil || noKey == nil {
		t.Errorf("a route that declares nothing was taken: %v, %v", nothing, noKey)
	}
	for _, u := range []string{"id.example.com", "ftp://id.example.com", "https://", "https://id.example.com/path", "https://id.example.com?x=1", "https://u@id.example.com", "https://a b", "%", "https:///x"} {
		if _, err := web.New(web.Config{Store: s.store, Passwords: s.hasher, Log: s.Logger(), PublicURL: u}); err == nil || !strings.HasPrefix(err.Error(), "public-url: ") {
			t.Errorf("New with the public URL %q = %v", u, err)
		}
	}
	for _, u := range []string{"https://id.example.com", "https://id.example.com/", "http://127.0.0.1:9000", "http://[::1]:9000"} {
		if _, err := web.New(web.Config{Store: s.store, Passwords: s.hasher, Log: s.Logger(), PublicURL: u}); err != nil {
			t.Errorf("New with the public URL %q = %v", u, err)
		}
	}
}
