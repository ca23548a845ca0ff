package web_test

import (
	"encoding/base64"
	"html"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"husk/web"
	"husk/web/api"
	"husk/web/gate"
)

const proxyAddress = "203.0.113.7" // of the proxy that is trusted

// gateRules are the rules of most tests.
func gateRules() gate.Config {
	return gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "app.example.com", Path: "/admin", Require: []string{"role:admin"}},
		{Host: "app.example.com", Path: "/open", Require: []string{"public"}},
		{Host: "app.example.com", Path: "/api", Require: []string{"app#api/read"}},
		{Host: "app.example.com", Require: []string{"any"}},
		{Host: "other.example.net", Require: []string{"any"}},
	}}
}

func newGate(t testing.TB, c gate.Config, edits ...func(*web.Config)) *server {
	t.Helper()
	rules, faults := gate.Parse(c)
	if len(faults) > 0 {
		t.Fatalf("%v", faults)
	}
	return newServer(t, append([]func(*web.Config){func(c *web.Config) {
		c.Gate, c.PublicURL = rules, "https://auth.example.com"
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(proxyAddress + "/32")}
	}}, edits...)...)
}

// ask asks the gate by forward-auth.
func (s *server) ask(target string, edits ...edit) answer {
	s.t.Helper()
	u, err := url.Parse(target)
	must(s.t, err)
	all := append([]edit{from(proxyAddress), header("X-Forwarded-Method", "GET"), header("X-Forwarded-Proto", u.Scheme),
		header("X-Forwarded-Host", u.Host), header("X-Forwarded-Uri", u.RequestURI()), header("X-Forwarded-For", stranger)}, edits...)
	return s.do("GET", "/api/authz/forward-auth", "", all...)
}

// asSubrequest asks the gate as nginx does.
func (s *server) asSubrequest(target string, edits ...edit) answer {
	s.t.Helper()
	all := append([]edit{from(proxyAddress), header("X-Original-Method", "GET"), header("X-Original-URL", target), header("X-Forwarded-For", stranger)}, edits...)
	return s.do("GET", "/api/authz/auth-request", "", all...)
}

func basicAuth(user, password string) edit {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func cookieNamed(name, value string) edit { return header("Cookie", name+"="+value) }

// cookie is the one of a name that an answer sets; nil: none.
func (a answer) cookie(name string) *http.Cookie {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// hiddenIn is the value of a hidden field of a page.
func hiddenIn(t testing.TB, page, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no field %s in %s", name, page)
	}
	return html.UnescapeString(m[1])
}

// mistyped is a token with one character of its secret changed, and its check as it
// was.
func mistyped(secret string) string {
	b := []byte(secret)
	if b[40] == 'a' {
		b[40] = 'b'
	} else {
		b[40] = 'a'
	}
	return string(b)
}

var navigates = header("Sec-Fetch-Mode", "navigate")

func gateCookie(value string) edit { return header("Cookie", "husk_gate="+value) }

func identityOf(a answer) string {
	var all []string
	for _, name := range []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"} {
		if values, there := a.header[name]; there {
			all = append(all, strings.Join(values, "+"))
		} else {
			all = append(all, "-")
		}
	}
	return strings.Join(all, "|")
}

const singleIdentity = "coco-default-user|coco-default-user||admin"

func TestGateAnswers(t *testing.T) {
	s := newGate(t, gateRules())
	jwt := s.single().jwt
	secret := s.mint(bearer(jwt), api.NewToken{}).AccessToken
	for _, c := range []struct {
		name, target string
		edits        []edit
		status       int
		identity     string
		location     bool
	}{
		{"nobody", "https://app.example.com/", nil, 401, "|||", false},
		{"nobody, for a page", "https://app.example.com/x?y", []edit{navigates}, 302, "|||", true},
		{"nobody, from an older browser", "https://app.example.com/x?y", []edit{acceptPage}, 302, "|||", true},
		{"the head of a page", "https://app.example.com/", []edit{navigates, header("X-Forwarded-Method", "HEAD")}, 302, "|||", true},
		{"a script", "https://app.example.com/", []edit{acceptPage, header("Sec-Fetch-Mode", "cors")}, 401, "|||", false},
		{"a form", "https://app.example.com/", []edit{acceptPage, header("X-Forwarded-Method", "POST")}, 303, "|||", true},
		{"public", "https://app.example.com/open/x", nil, 200, "|||", false},
		{"somebody where it is public", "https://app.example.com/open", []edit{apiToken(secret)}, 200, singleIdentity, false},
		{"a token", "https://app.example.com/", []edit{apiToken(secret)}, 200, singleIdentity, false},
		{"a token as Bearer", "https://app.example.com/", []edit{bearer(secret)}, 200, singleIdentity, false},
		{"a token as Basic", "https://app.example.com/admin", []edit{basicAuth("x", secret)}, 200, singleIdentity, false},
		{"a JWT", "https://app.example.com/", []edit{bearer(jwt)}, 200, singleIdentity, false},
		{"a password as Basic", "https://app.example.com/", []edit{basicAuth("coco-default-user", singlePassword)}, 401, "|||", false},
		{"a bad token", "https://app.example.com/open", []edit{apiToken(mistyped(secret))}, 401, "|||", false},
		{"a bad token, for a page", "https://app.example.com/", []edit{apiToken(mistyped(secret)), navigates}, 401, "|||", false},
		{"one of them bad", "https://app.example.com/", []edit{apiToken(secret), bearer(mistyped(secret))}, 401, "|||", false},
		{"two", "https://app.example.com/", []edit{apiToken(secret), bearer(jwt)}, 400, "|||", false},
		{"the application's own", "https://app.example.com/", []edit{bearer("glsa_abc")}, 401, "|||", false},
		{"a token beside the application's own", "https://app.example.com/", []edit{bearer("glsa_abc"), apiToken(secret)}, 200, singleIdentity, false},
		{"a session cookie", "https://app.example.com/", []edit{cookie(jwt)}, 401, "|||", false},
		{"a JWT as the gate's cookie", "https://app.example.com/", []edit{gateCookie(jwt)}, 401, "|||", false},
		{"no rule", "https://evil.example/", []edit{apiToken(secret), navigates}, 403, "|||", false},
		{"no rule and a bad token", "https://evil.example/", []edit{apiToken("x")}, 403, "|||", false},
		{"a trick", "https://app.example.com/open/%2e%2e/admin", []edit{apiToken(secret), navigates}, 400, "|||", false},
		{"a token as basic", "https://app.example.com/", []edit{header("Authorization", "bASIC "+base64.StdEncoding.EncodeToString([]byte(":"+secret)))}, 200, singleIdentity, false},
		{"a made-up identity", "https://app.example.com/open", []edit{header("Remote-User", "admin")}, 200, "|||", false},
		{"a look-alike", "https://app.example.com/open", []edit{header("Remote_User", "admin")}, 400, "|||", false},
		{"another proxy", "https://app.example.com/open", []edit{from("203.0.113.8")}, 400, "|||", false},
		{"nothing of use", "https://app.example.com/open", []edit{header("X-Forwarded-Uri", "")}, 400, "|||", false},
	} {
		a := s.ask(c.target, c.edits...)
		if a.status != c.status || identityOf(a) != c.identity || (a.header.Get("Location") != "") != c.location || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %q %s", c.name, a.status, identityOf(a), a.header.Get("Location"), a.body)
		}
		if a.status == 200 && a.body != "" || a.status == 401 && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %v %s", c.name, a.header, a.body)
		}
	}
}

// By default nobody is trusted, whatever is asked.
func TestNobodyIsTrusted(t *testing.T) {
	s := newGate(t, gateRules(), func(c *web.Config) { c.TrustedProxies = nil })
	s.ask("https://app.example.com/open").want(400, "untrusted_proxy")
	s.asSubrequest("https://app.example.com/open").want(400, "untrusted_proxy")
}

// A token for some hosts, paths or methods is good there alone, and at no route of
// the API.
func TestTokenOfTheGate(t *testing.T) {
	s := newGate(t, gateRules())
	for name, c := range map[string]struct {
		n    api.NewToken
		edit edit
		path string
	}{
		"host":   {api.NewToken{AllowedHosts: []string{"app.example.com"}}, nobody, "https://other.example.net/"},
		"path":   {api.NewToken{AllowedPaths: []string{"/in"}}, nobody, "https://app.example.com/inside"},
		"method": {api.NewToken{AllowedMethods: []string{"GET"}}, header("X-Forwarded-Method", "POST"), "https://app.example.com/in"},
	} {
		secret := s.mint(s.single().session(), c.n).AccessToken
		s.ask("https://app.example.com/in?x", apiToken(secret)).want(200)
		s.ask(c.path, apiToken(secret), c.edit).want(403, "token_reach")
		s.ask(strings.Replace(c.path, "app.example.com/inside", "app.example.com/open", 1), apiToken(secret), c.edit).want(403, "token_reach")
		s.ask("https://app.example.com/open", apiToken(secret), header("X-Forwarded-Method", "DELETE")).want(map[string]int{"host": 200, "path": 403, "method": 403}[name]) // though it is public
		if a := s.do("GET", "/account/profile", "", apiToken(secret)); a.status != 401 {
			t.Errorf("%s: the API answers %d", name, a.status)
		}
	}
	lan := s.mint(s.single().session(), api.NewToken{AllowedIPs: []string{"10.0.0.0/8"}}).AccessToken
	s.ask("https://app.example.com/", apiToken(lan)).want(401, "invalid_token")
	s.ask("https://app.example.com/", apiToken(lan), header("X-Forwarded-For", "10.1.2.3")).want(200)
}

// What a user may do counts as it is now, and so does the credential.
func TestGateForgetsNothing(t *testing.T) {
	s := newGate(t, gateRules())
	s.role("reader", "app#api/read")
	ann := s.newUser("ann@example.com", "reader")
	secret := s.mintFor(ann, api.NewToken{})
	const target = "https://app.example.com/api/x"
	s.ask(target, apiToken(secret.AccessToken)).want(200)
	none := []string{"user"}
	_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Roles: &none})
	must(t, err)
	s.ask(target, apiToken(secret.AccessToken)).want(403, "not_permitted")
	disabled := true
	_, err = s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Disabled: &disabled})
	must(t, err)
	s.ask(target, apiToken(secret.AccessToken)).want(401)
	s.ask(target, bearer(ann.jwt)).want(401)
}

// A person is refused with a page, a program in JSON, both with the same status.
func TestGateRefusesPeople(t *testing.T) {
	s := newGate(t, gateRules())
	jwt := s.newUser("ann@example.com").jwt
	scripts := []edit{acceptPage, header("Sec-Fetch-Mode", "cors")}
	for name, c := range map[string]struct {
		target string
		edits  []edit
		status int
		text   string
	}{
		"who may not":     {"https://app.example.com/admin", []edit{bearer(jwt)}, 403, "may not open this"},
		"no rule":         {"https://evil.example/", nil, 403, "No rule of the gate"},
		"a trick":         {"https://app.example.com//x", nil, 400, "could be taken for another"},
		"a bad token":     {"https://app.example.com/", []edit{apiToken("x")}, 401, "not valid"},
		"a form":          {"https://app.example.com/x", []edit{header("X-Forwarded-Method", "POST")}, 401, `<a href="https://auth.example.com/login?return=`},
		"another's proxy": {"https://app.example.com/", []edit{from("203.0.113.8")}, 400, "--trusted-proxy"},
	} {
		a := s.ask(c.target, append(c.edits, navigates, acceptPage)...)
		if a.status != c.status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, c.text) || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %v %s", name, a.status, a.header, a.body)
		}
		if identityOf(a) != "|||" || a.header.Get("X-Request-Id") == "" || (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, a.header)
		}
		s.ask(c.target, append(c.edits, scripts...)...).want(c.status)
	}
	held, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "ben@example.com"})
	must(t, err)
	s.secret(held.Password)
	ben := s.signIn(&person{email: "ben@example.com", password: held.Password})
	if a := s.ask("https://app.example.com/", ben.session(), navigates, acceptPage); a.status != 403 || !strings.Contains(a.body, `<a href="https://auth.example.com/password">`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A browser that keeps no cookie of an application is not led around in a circle.
func TestReturnsInACircle(t *testing.T) {
	s := newGate(t, gateRules())
	session := cookieNamed("__Host-husk_session", s.single().jwt)
	round := func(target string) answer {
		login, err := url.Parse(s.ask(target, navigates).want(302).header.Get("Location"))
		must(t, err)
		return s.page("/continue?to="+login.Query().Get("return"), session)
	}
	const target = "https://app.example.com/x"
	for range 4 {
		round(target).want(303)
	}
	if a := round(target); a.status != 400 || !strings.Contains(a.body, "cookies of that host") {
		t.Errorf("%d %s", a.status, a.body)
	}
	round("https://app.example.com/y").want(303)
	s.clock.advance(time.Minute)
	round(target).want(303)
}

func TestGateForSubrequests(t *testing.T) {
	s := newGate(t, gateRules())
	ann, secret := s.newUser("ann@example.com").jwt, s.mint(s.single().session(), api.NewToken{}).AccessToken
	for _, c := range []struct {
		name, target string
		edits        []edit
		status       int
		location     bool
	}{
		{"nobody", "https://app.example.com/", nil, 401, false},
		{"for a page", "https://app.example.com/", []edit{navigates}, 401, true},
		{"a trick", "https://app.example.com//x", nil, 403, false},
		{"no rule", "https://evil.example/", []edit{navigates}, 403, false},
		{"the proxy's mistake", "app.example.com/", nil, 400, false},
		{"another proxy", "https://app.example.com/", []edit{from("203.0.113.8")}, 400, false},
		{"a header twice", "https://app.example.com/open", []edit{another("X-Original-Method", "GET")}, 403, false},
		{"a look-alike", "https://app.example.com/open", []edit{header("Remote_User", "admin")}, 403, false},
		{"a host that is none", "https://a@app.example.com/open", nil, 403, false},
		{"a method that is none", "https://app.example.com/open", []edit{header("X-Original-Method", "get")}, 403, false},
		{"nothing of use", "https://app.example.com/open", []edit{header("X-Original-Method", "")}, 400, false},
		{"who may not", "https://app.example.com/admin", []edit{bearer(ann), navigates}, 403, false},
		{"two credentials", "https://app.example.com/open", []edit{bearer(ann), apiToken(secret)}, 403, false},
		{"public", "https://app.example.com/open", nil, 200, false},
	} {
		a := s.asSubrequest(c.target, c.edits...)
		if a.status != c.status || (a.header.Get("Location") != "") != c.location {
			t.Errorf("%s: %d %q %s", c.name, a.status, a.header.Get("Location"), a.body)
		}
		if (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %v", c.name, a.header)
		}
	}
	// The alias refuses as the endpoint does.
	s.do("GET", "/api/auth/nginx", "", from(proxyAddress), header("X-Original-Method", "GET"), header("X-Original-URL", "https://app.example.com/open"), header("X-Forwarded-Uri", "/admin")).want(403, "contradictory_headers")
}

// The proxies that ask so lead the browser on by a 401 that has a Location.
func TestWayInBySubrequests(t *testing.T) {
	s := newGate(t, gateRules())
	a := s.asSubrequest(s.codeFor(s.single(), appAddress), navigates).want(401)
	if a.header.Get("Location") != appAddress || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%v", a.header)
	}
	s.asSubrequest(appAddress, gateCookie(cookieIn(t, a, "husk_gate"))).want(200)
}

// What Husk can tell of somebody is told: the login's name, the shown one, the email
// and the roles.
func TestIdentityOfAUser(t *testing.T) {
	s := newGate(t, gateRules())
	s.role("reader", "app#api/read")
	ann := s.newUser("ann@example.com", "reader", "user")
	name := "Änn Example"
	_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Name: &name})
	must(t, err)
	if a := s.ask(appAddress, bearer(ann.jwt)).want(200); identityOf(a) != "ann@example.com|Änn Example|ann@example.com|reader,user" {
		t.Errorf("it is %s", identityOf(a))
	}
}

// What is Husk's in a header decides, whatever the cookie; what is the application's
// leaves that to the cookie.
func TestHeadersBesideTheCookie(t *testing.T) {
	s := newGate(t, gateRules())
	single, ann := s.single(), s.newUser("ann@example.com")
	pass, secret := s.passFor(ann, appAddress), s.mint(single.session(), api.NewToken{}).AccessToken
	const annIdentity = "ann@example.com|ann|ann@example.com|user"
	signed := single.jwt[:strings.LastIndexByte(single.jwt, '.')+1]
	for name, c := range map[string]struct {
		with     edit
		status   int
		identity string
	}{
		"none":                     {nobody, 200, annIdentity},
		"a token":                  {apiToken(secret), 200, singleIdentity},
		"a JWT":                    {bearer(single.jwt), 200, singleIdentity},
		"a bad token":              {apiToken(mistyped(secret)), 401, "|||"},
		"a bad token as Bearer":    {bearer(mistyped(secret)), 401, "|||"},
		"a bad token as Basic":     {basicAuth("x", mistyped(secret)), 401, "|||"},
		"a bad JWT":                {bearer(signed + strings.Repeat("A", 86)), 401, "|||"},
		"an empty token":           {apiToken(""), 200, annIdentity},
		"the application's Bearer": {bearer("glsa_abc"), 200, annIdentity},
		"the application's Basic":  {basicAuth("ann", "x"), 200, annIdentity},
		"a password":               {basicAuth("coco-default-user", singlePassword), 200, annIdentity},
		"another scheme":           {header("Authorization", "Digest x"), 200, annIdentity},
		"another issuer's JWT":     {bearer("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.c2ln"), 200, annIdentity},
	} {
		if a := s.ask(appAddress, gateCookie(pass), c.with); a.status != c.status || identityOf(a) != c.identity {
			t.Errorf("%s: %d %s", name, a.status, identityOf(a))
		}
	}
}

// One cookie is good for all hosts under the domain and for none beside it; others
// have their own.
func TestCookieOfADomain(t *testing.T) {
	c := gateRules()
	for _, host := range []string{"wiki.example.com", "badexample.com"} {
		c.Rules = append(c.Rules, gate.Rule{Host: host, Require: []string{"any"}})
	}
	s := newGate(t, c)
	single := s.single()
	before := s.passFor(single, appAddress)
	c.CookieDomain = "example.com"
	rules, _ := gate.Parse(c)
	s.SetGate(rules)
	const elsewhere = "https://other.example.net/"
	in := func(target, domain string) string {
		t.Helper()
		set := s.ask(s.codeFor(single, target), navigates).want(302).cookie("husk_gate")
		if set == nil || set.Domain != domain {
			t.Fatalf("at %s the cookie is %v", target, set)
		}
		s.secret(set.Value)
		return set.Value
	}
	all, other := in(appAddress, "example.com"), in(elsewhere, "")
	for name, c := range map[string]struct {
		pass string
		good []string
	}{
		"of the domain": {all, []string{appAddress, "https://wiki.example.com/"}}, "of another host": {other, []string{elsewhere}}, "of before": {before, []string{appAddress}},
	} {
		for _, target := range []string{appAddress, "https://wiki.example.com/", "https://badexample.com/", elsewhere} {
			want := 401
			if slices.Contains(c.good, target) {
				want = 200
			}
			if a := s.ask(target, gateCookie(c.pass)); a.status != want {
				t.Errorf("the cookie %s at %s: %d", name, target, a.status)
			}
		}
	}
}

// The endpoints work with and without a slash at the end, as all paths of Husk's.
func TestGateEndpointsWithSlash(t *testing.T) {
	s := newGate(t, gateRules())
	edits := []edit{from(proxyAddress), onHost("app.example.com"), header("X-Forwarded-Method", "PURGE"), header("X-Forwarded-Proto", "https"), header("X-Forwarded-Host", "app.example.com"),
		header("X-Forwarded-Uri", "/open"), header("X-Original-Method", "PURGE"), header("X-Original-URL", "https://app.example.com/open")}
	for _, path := range []string{"/api/authz/forward-auth", "/api/auth/traefik", "/api/auth/caddy", "/api/authz/auth-request", "/api/auth/nginx"} {
		s.do("POST", path, "", edits...).want(200)
		s.do("POST", path+"/", "", edits...).want(200)
		s.do("POST", path+"//", "", edits...).want(404)
	}
	for _, path := range []string{"/api/auth/envoy?path=/open", "/api/auth/envoy/?path=/open", "/api/authz/ext-authz/open", "/api/authz/ext-authz//open"} {
		s.do("M-SEARCH2", path, "", edits...).want(200)
	}
	s.do("GET", "/api/auth/envoy/?path=/admin", "", edits...).want(401)
}

// A refusal has one id, by which its answer is found in the log and the audit log.
func TestRefusalIsFoundByItsID(t *testing.T) {
	s := newGate(t, gateRules())
	ann := s.newUser("ann@example.com")
	id := s.ask("https://app.example.com/admin", bearer(ann.jwt)).want(403, "not_permitted").header.Get("X-Request-Id")
	s.ask("https://nowhere.example.com/", header("X-API-TOKEN", "x")).want(403, "no_rule")
	must(t, s.store.FlushLastUsed(t.Context()))
	var found api.Search[api.AuditEvent]
	s.do("GET", "/security/audit/_search?action=gate.enter", "", local).want(200).json(&found)
	if hits := found.Hits.Hits; id == "" || len(hits) != 1 || hits[0].Source.RequestID != id {
		t.Errorf("the answer has the id %q, the audit log has %+v", id, hits)
	}
	s.ask("https://nowhere.example.com/", bearer(ann.jwt)).want(403, "no_rule")
	must(t, s.store.FlushLastUsed(t.Context()))
	s.do("GET", "/security/audit/_search?action=gate.enter", "", local).want(200).json(&found)
	if hits := found.Hits.Hits; len(hits) != 2 || hits[0].Source.Result != "refused" || hits[0].Source.Target != "" {
		t.Errorf("where no rule is, the audit log has %+v", hits)
	}
	if log := s.log.String(); !strings.Contains(log, "refused at the gate") || !strings.Contains(log, `"request_id":"`+id+`"`) {
		t.Errorf("%s not in %s", id, log)
	}
}

// visit leads a browser from an application to the sign-in and back; it returns the
// cookie that it has then.
func (s *server) visit(target string) string {
	s.t.Helper()
	a := s.ask(target, navigates).want(302)
	login, err := url.Parse(a.header.Get("Location"))
	must(s.t, err)
	if login.Scheme+"://"+login.Host+login.Path != "https://auth.example.com/login" {
		s.t.Fatalf("it leads to %s", login)
	}
	page := s.page(login.RequestURI()).want(200)
	if !strings.Contains(page.body, "Sign in to go on to app.example.com.") {
		s.t.Errorf("the page does not name the application: %s", page.body)
	}
	sealed := hiddenIn(s.t, page.body, "return")
	in := s.byForm("/account/login", []string{"password", singlePassword, "return", sealed}).want(303)
	return s.comeBack(in.header.Get("Location"), target, cookieNamed("__Host-husk_session", in.cookie("__Host-husk_session").Value))
}

// comeBack goes on from a signed-in page to the application.
func (s *server) comeBack(path, target string, session edit) string {
	s.t.Helper()
	back := s.page(path, session).want(303).header.Get("Location")
	if !strings.HasPrefix(back, target) || !strings.Contains(back, "husk_code=") {
		s.t.Fatalf("it leads back to %s", back)
	}
	a := s.ask(back, navigates).want(302)
	if a.header.Get("Location") != target {
		s.t.Fatalf("it leads on to %s", a.header.Get("Location"))
	}
	c := a.cookie("husk_gate")
	if c == nil || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 || c.MaxAge > 24*60*60 {
		s.t.Fatalf("the cookie is %v", c)
	}
	if again := s.ask(back, navigates); again.cookie("husk_gate") != nil {
		s.t.Error("the code is good twice")
	}
	return c.Value
}

func TestWayIn(t *testing.T) {
	s := newGate(t, gateRules())
	const target = "https://app.example.com:8443/x?y=1&z"
	pass := s.visit(target)
	s.secret(pass)
	for name, c := range map[string]struct {
		target string
		status int
	}{
		"the host": {target, 200}, "its admin": {"https://app.example.com/admin", 200}, "another host": {"https://other.example.net/", 401},
	} {
		if a := s.ask(c.target, gateCookie(pass)); a.status != c.status {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	s.do("GET", "/account/profile", "", bearer(pass)).want(401)
	s.do("GET", "/account/profile", "", cookieNamed("__Host-husk_session", pass)).want(401)
	a := s.ask(target, gateCookie("x"), another("Cookie", "husk_gate="+pass))
	a.want(200)

	_, err := s.local.EndSessions(t.Context(), "coco-default-user")
	must(t, err)
	s.ask(target, gateCookie(pass)).want(401)
}

// Who is signed in to Husk is led on to a second host without a word.
func TestSecondHost(t *testing.T) {
	s := newGate(t, gateRules())
	session := cookieNamed("__Host-husk_session", s.single().jwt)
	const target = "https://other.example.net/"
	login, err := url.Parse(s.ask(target, navigates).want(302).header.Get("Location"))
	must(t, err)
	on := s.page(login.RequestURI(), session).want(303).header.Get("Location")
	pass := s.comeBack(on, target, session)
	s.ask(target, gateCookie(pass)).want(200)
}

func TestReturnAddresses(t *testing.T) {
	const ttl = 20 * time.Minute
	c := gateRules()
	c.ReturnTTL = ttl
	s := newGate(t, c)
	session := cookieNamed("__Host-husk_session", s.single().jwt)
	login, err := url.Parse(s.ask("https://app.example.com/", navigates).want(302).header.Get("Location"))
	must(t, err)
	sealed := login.Query().Get("return")
	s.page("/continue?to="+sealed, session).want(303)
	for _, bad := range []string{"", "x", sealed[1:], "https://app.example.com/"} {
		if a := s.page("/continue?to="+url.QueryEscape(bad), session); a.status != 400 {
			t.Errorf("%q: %d", bad, a.status)
		}
	}
	s.SetGate(nil)
	if a := s.page("/continue?to="+sealed, session); a.status != 400 {
		t.Errorf("without the rule: %d", a.status)
	}
	rules, _ := gate.Parse(gateRules())
	s.SetGate(rules)
	s.clock.advance(ttl - time.Second)
	s.page("/continue?to="+sealed, session).want(303)
	s.clock.advance(time.Second)
	if a := s.page("/continue?to="+sealed, session); a.status != 400 || !strings.Contains(a.body, "too long") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A link of an application to the sign-out leads to a page that asks.
func TestSignOutByLink(t *testing.T) {
	s := newGate(t, gateRules())
	jwt := s.single().jwt
	session := cookieNamed("__Host-husk_session", jwt)
	crossSite := header("Sec-Fetch-Site", "cross-site")
	page := s.page("/account/logout", session, crossSite, navigates)
	if page.status != 200 || !strings.Contains(page.body, `<form method="post" action="/account/logout">`) || page.cookie("__Host-husk_session") != nil {
		t.Errorf("%d %s", page.status, page.body)
	}
	s.do("GET", "/account/profile", "", bearer(jwt)).want(200)
	s.page("/account/logout", crossSite, navigates).want(200)
	s.do("GET", "/account/logout", "", session, crossSite).want(403, "cross_origin")
	s.byForm("/account/logout", nil, session, header("Sec-Fetch-Site", "same-origin")).want(303)
	s.do("GET", "/account/profile", "", bearer(jwt)).want(401)
}

// Whoever arrives may be led back as often as they like; who never does is told why.
func TestReturnsThatArrive(t *testing.T) {
	s := newGate(t, gateRules())
	session := cookieNamed("__Host-husk_session", s.single().jwt)
	const target = "https://app.example.com/"
	login, err := url.Parse(s.ask(target, navigates).want(302).header.Get("Location"))
	must(t, err)
	path := "/continue?to=" + login.Query().Get("return")
	for range 12 {
		pass := s.comeBack(path, target, session)
		s.ask(target, gateCookie(pass)).want(200)
	}
	for range 12 {
		if a := s.page(path, session); a.status == 400 && strings.Contains(a.body, "keep cookies") {
			return
		}
	}
	t.Error("a circle without an end")
}

// Each decision counts under its rule and its outcome, and what is allowed has a line
// of the log with AccessLog alone.
func TestGateIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := web.NewMetrics(registry)
	must(t, err)
	s := newGate(t, gateRules(), func(c *web.Config) { c.Metrics, c.AccessLog = metrics, true })
	secret := s.mint(s.single().session(), api.NewToken{}).AccessToken
	s.ask("https://app.example.com/open").want(200)
	s.ask("https://app.example.com/open/x").want(200)
	s.ask("https://app.example.com/", navigates).want(302)
	s.ask("https://app.example.com/", apiToken(mistyped(secret))).want(401)
	s.ask("https://evil.example/").want(403)
	got := map[string]float64{}
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != "husk_gate_decisions_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if n := m.GetCounter().GetValue(); n > 0 {
				got[labels["rule"]+" "+labels["outcome"]] = n
			}
		}
	}
	want := map[string]float64{"app.example.com/open allowed": 2, "app.example.com sign_in": 1, "app.example.com refused": 1, "none refused": 1}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if n := strings.Count(s.log.String(), "asked at the gate"); n != 5 {
		t.Errorf("the access log has %d lines", n)
	}
}
