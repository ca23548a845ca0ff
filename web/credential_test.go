package web_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/session"
	"husk/web/token"
)

const (
	challengeNone    = `Bearer realm="husk"`
	challengeInvalid = `Bearer realm="husk", error="invalid_token"`
	challengeScope   = `Bearer realm="husk", error="insufficient_scope"`
)

func (a answer) challenge(want string) answer {
	a.t.Helper()
	if got := a.header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != want {
		a.t.Errorf("%.80s: WWW-Authenticate = %q, want %q", a.what, got, want)
	}
	return a
}

func TestCredentials(t *testing.T) {
	s := newServer(t)
	single := s.single()
	ann := s.newUser(annEmail)
	secret := s.mint(ann.session(), api.NewToken{}).AccessToken
	absent, _ := token.New()
	invalid := func(name string, edits ...edit) {
		t.Run(name, func(t *testing.T) {
			for _, r := range []struct{ method, path, body string }{{"GET", "/account/profile", ""}, {"POST", "/auth/access_token", "{}"}, {"GET", "/auth/access_token/" + absentID, ""}} {
				s.do(r.method, r.path, r.body, edits...).want(401, "invalid_token").challenge(challengeInvalid)
			}
			// The owner of the file is refused with a bad credential, too.
			s.do("GET", "/account/profile", "", append(edits, local)...).want(401, "invalid_token").challenge(challengeInvalid)
			// A bad header is never passed over for a good cookie.
			if name[0] != '-' {
				s.do("GET", "/account/profile", "", append(edits, cookie(ann.jwt))...).want(401, "invalid_token")
			}
			s.do("GET", "/health", "", edits...).want(200)
		})
	}
	valid := func(name, id string, edits ...edit) {
		t.Run(name, func(t *testing.T) {
			var p api.Profile
			s.do("GET", "/account/profile", "", edits...).want(200).json(&p)
			if p.ID != id {
				t.Errorf("that is %s, want %s", p.ID, id)
			}
		})
	}
	s.do("GET", "/account/profile", "").want(401, "not_signed_in").challenge(challengeNone)
	valid("token", ann.id, apiToken(secret))
	valid("JWT", ann.id, ann.session())
	valid("cookie", ann.id, cookie(ann.jwt))
	valid("lower-case scheme", ann.id, header("Authorization", "bearer "+ann.jwt))
	valid("upper-case scheme", ann.id, header("Authorization", "BEARER "+ann.jwt))
	valid("two spaces", ann.id, header("Authorization", "Bearer  "+ann.jwt))
	valid("lower-case header", ann.id, func(r *http.Request) { r.Header["x-api-token"] = []string{secret} })
	valid("token before the cookie", ann.id, apiToken(secret), cookie(single.jwt))
	valid("JWT before the cookie", ann.id, ann.session(), cookie(single.jwt))
	valid("JWT beside an empty token", ann.id, ann.session(), apiToken(""))
	valid("JWT beside an empty token and a cookie", ann.id, ann.session(), apiToken(""), cookie(single.jwt))
	valid("token beside an empty Authorization", ann.id, apiToken(secret), header("Authorization", ""))
	valid("token beside another scheme", ann.id, apiToken(secret), header("Authorization", "Basic YTpi"), cookie(single.jwt))
	valid("local", db.LocalActor, local)
	valid("local with a token", ann.id, local, apiToken(secret))
	valid("local with a JWT", ann.id, local, ann.session())
	valid("local with a cookie", ann.id, local, cookie(ann.jwt))

	invalid("a word as token", apiToken("x"))
	invalid("absent token", apiToken(absent))
	invalid("cut token", apiToken(secret[:len(secret)-1]))
	invalid("token in upper case", apiToken(strings.ToUpper(secret)))
	invalid("token with a word behind", apiToken(secret+" x"))
	invalid("token's id", apiToken(secret[:36]))
	invalid("other secret of the id", apiToken(token.WithID(secret[:36])))
	invalid("token as Bearer", bearer(secret))
	invalid("JWT as token", apiToken(ann.jwt))
	invalid("-token as cookie", cookie(secret))
	invalid("empty bearer", header("Authorization", "Bearer"))
	invalid("empty bearer with space", header("Authorization", "Bearer "))
	invalid("Bearer by tab", header("Authorization", "Bearer\t"+ann.jwt))
	invalid("two JWTs in one header", header("Authorization", "Bearer "+ann.jwt+", Bearer "+ann.jwt))
	invalid("9 KiB token", apiToken(strings.Repeat("a", 9<<10)))
	invalid("9 KiB JWT", bearer(strings.Repeat("a", 9<<10)))
	invalid("9 KiB around a JWT", bearer(ann.jwt+strings.Repeat(".", 9<<10)))
	invalid("dots", bearer(strings.Repeat(".", 8000)))
	invalid("-bad cookie", cookie("x"))

	// What is not Husk's decides nothing: the cookie does. To the owner of the
	// file it is nothing that their command line sends.
	for name, with := range map[string]edit{
		"empty token":              apiToken(""),
		"space as token":           apiToken("  "),
		"no scheme":                header("Authorization", ann.jwt),
		"empty Authorization":      header("Authorization", ""),
		"Basic":                    header("Authorization", "Basic YW5uOmFubg=="),
		"JWT under another scheme": header("Authorization", "Token "+ann.jwt),
		"longer scheme":            header("Authorization", "BearerX "+ann.jwt),
	} {
		t.Run(name, func(t *testing.T) {
			s.do("GET", "/account/profile", "", with).want(401, "not_signed_in").challenge(challengeNone)
			s.do("GET", "/account/profile", "", with, local).want(401, "not_signed_in").challenge(challengeNone)
			s.do("GET", "/account/profile", "", with, cookie("x")).want(401, "invalid_token").challenge(challengeInvalid)
		})
		valid(name+" beside a cookie", ann.id, with, cookie(ann.jwt))
	}

	for name, edits := range map[string][]edit{
		"both":                {apiToken(secret), ann.session()},
		"both and the cookie": {apiToken(secret), ann.session(), cookie(ann.jwt)},
		"both, one bad":       {apiToken("x"), ann.session()},
		"two tokens":          {apiToken(secret), another("X-API-TOKEN", secret)},
		"two JWTs":            {ann.session(), another("Authorization", "Bearer "+ann.jwt)},
		"two JWTs and Basic":  {ann.session(), another("Authorization", "Basic YTpi"), another("Authorization", "Bearer "+ann.jwt)},
		"two tokens and none": {apiToken(secret), another("X-API-TOKEN", ""), another("X-API-TOKEN", secret)},
	} {
		t.Run(name, func(t *testing.T) {
			s.do("GET", "/account/profile", "", edits...).want(400, "many_credentials")
			s.do("GET", "/account/profile", "", append(edits, local)...).want(400, "many_credentials")
		})
	}

	// What is not Husk's decides nothing, beside what is neither.
	basic, empty := another("Authorization", "Basic YTpi"), another("X-API-TOKEN", "")
	for name, edits := range map[string][]edit{
		"JWT and Basic":              {ann.session(), basic},
		"Basic and JWT":              {basic, another("Authorization", "Bearer "+ann.jwt)},
		"token and an empty one":     {apiToken(secret), empty},
		"an empty token and one":     {empty, another("X-API-TOKEN", secret)},
		"token and Basic":            {apiToken(secret), basic},
		"cookie, Basic and Digest":   {cookie(ann.jwt), basic, another("Authorization", "Digest a")},
		"cookie and empty tokens":    {cookie(ann.jwt), empty, empty},
		"cookie and all of the sort": {cookie(ann.jwt), empty, basic, empty, basic, another("Authorization", "")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/account/profile", "/auth/access_token/_search"} {
				s.do("GET", path, "", edits...).want(200)
			}
			valid(name, ann.id, edits...)
		})
	}

	// Neither the query nor a body is a place for a credential.
	for _, query := range []string{"access_token=" + ann.jwt, "token=" + secret, "X-API-TOKEN=" + secret, "api_token=" + secret, "Authorization=Bearer+" + ann.jwt, "husk_session=" + ann.jwt} {
		s.do("GET", "/account/profile?"+query, "").want(401, "not_signed_in").challenge(challengeNone)
	}
	s.do("POST", "/auth/access_token", `{"access_token":"`+ann.jwt+`","X-API-TOKEN":"`+secret+`"}`).want(401, "not_signed_in")
	s.do("POST", "/auth/access_token", form("access_token", ann.jwt), contentType(formType)).want(401, "not_signed_in")
	for _, name := range []string{"X-Auth-Token", "X-API-KEY", "Proxy-Authorization", "X-Husk-User", "Remote-User", "X-Forwarded-User"} {
		s.do("GET", "/account/profile", "", header(name, secret)).want(401, "not_signed_in")
	}
	s.do("GET", "/account/profile", "", cookie(""), header("Cookie", "other="+ann.jwt)).want(401, "not_signed_in")
}

func TestOversizedHeaders(t *testing.T) {
	s := newServer(t)
	for name, line := range map[string]string{
		"token": "X-API-TOKEN: " + strings.Repeat("a", 100<<10),
		"JWT":   "Authorization: Bearer " + strings.Repeat("a", 100<<10),
		"dots":  "Authorization: Bearer " + strings.Repeat(".", 60<<10),
		"other": "X-Other: " + strings.Repeat("a", 100<<10) + "\r\nX-API-TOKEN: x",
	} {
		c, err := s.far.dial(t.Context(), stranger+":80")
		must(t, err)
		go fmt.Fprintf(c, "GET /account/profile HTTP/1.1\r\nHost: husk.test\r\n%s\r\n\r\n", line)
		first := make([]byte, 12)
		_, err = c.Read(first)
		c.Close()
		if got := string(first); err != nil || (got != "HTTP/1.1 401" && got != "HTTP/1.1 431") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Another host of the same domain can have the browser send cookies of our name:
// they keep nobody out, and let nobody act as somebody else.
func TestPlantedCookies(t *testing.T) {
	s := newServer(t)
	ann, eve := s.newUser(annEmail), s.newUser("eve@example.com")
	good, second := "husk_session="+ann.jwt, "husk_session="+s.signIn(ann).jwt
	ended := s.signIn(eve)
	s.do("POST", "/account/logout", "", ended.session()).want(200)
	for name, c := range map[string]struct {
		cookies []string
		status  int
		code    string
	}{
		"alone":                     {[]string{good}, 200, ""},
		"behind a word":             {[]string{"husk_session=x; " + good}, 200, ""},
		"before a word":             {[]string{good + "; husk_session=x"}, 200, ""},
		"behind an ended session":   {[]string{"husk_session=" + ended.jwt + "; " + good}, 200, ""},
		"among others":              {[]string{"a=b; husk_session=x;  c=d;" + good + " ;husk_session=; e"}, 200, ""},
		"behind many":               {[]string{strings.Repeat("husk_session=x; ", 500) + good}, 200, ""},
		"in a line of its own":      {[]string{"husk_session=x", "a=b", good}, 200, ""},
		"in quotes":                 {[]string{`husk_session="` + ann.jwt + `"`}, 200, ""},
		"twice":                     {[]string{good + "; " + good}, 200, ""},
		"two sessions of one user":  {[]string{good + "; " + second}, 200, ""},
		"before more than are read": {[]string{good + strings.Repeat("; husk_session=x", 8)}, 401, "invalid_token"},
		"none is good":              {[]string{"husk_session=x; husk_session=" + ended.jwt}, 401, "invalid_token"},
		"two users":                 {[]string{"husk_session=" + eve.jwt + "; " + good}, 400, "many_credentials"},
		"two users, the other way":  {[]string{good + "; husk_session=" + eve.jwt}, 400, "many_credentials"},
		"two users among bad ones":  {[]string{"husk_session=x; husk_session=" + eve.jwt + "; husk_session=y; " + good + "; husk_session=z"}, 400, "many_credentials"},
		"in another case":           {[]string{"HUSK_SESSION=" + ann.jwt}, 401, "not_signed_in"},
		"the name of https":         {[]string{"__Host-husk_session=" + ann.jwt}, 401, "not_signed_in"},
		"a name that ends in it":    {[]string{"my_husk_session=" + ann.jwt}, 401, "not_signed_in"},
		"a value that has it":       {[]string{"a=husk_session=" + ann.jwt}, 401, "not_signed_in"},
		"an empty one":              {[]string{"husk_session="}, 401, "not_signed_in"},
		"an API token beside":       {[]string{"husk_session=" + s.mint(eve.session(), api.NewToken{}).AccessToken + "; " + good}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(r *http.Request) { r.Header["Cookie"] = c.cookies }
			for range 2 { // the second time from memory
				a := s.do("GET", "/account/profile", "", with)
				if c.status != 200 {
					a.want(c.status, c.code)
					continue
				}
				var p api.Profile
				if a.want(200).json(&p); p.ID != ann.id {
					t.Errorf("that is %s", p.ID)
				}
			}
		})
	}
	// Signing in and out goes on: there is a way back.
	both := header("Cookie", "husk_session="+eve.jwt+"; "+good)
	if a := s.do("GET", "/login", "", both); a.status != 200 {
		t.Errorf("GET /login = %d %s", a.status, a.body)
	}
	s.do("POST", "/account/logout", "", both).want(200)
	s.do("GET", "/account/profile", "", both).want(401, "invalid_token")
}

// Only the connection tells an address.
func TestForgedHeaders(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	limited := s.mint(ann.session(), api.NewToken{AllowedIPs: []string{"198.51.100.0/24"}}).AccessToken
	free := s.mint(ann.session(), api.NewToken{Name: "free"})
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded"} {
		s.do("GET", "/account/profile", "", apiToken(limited), header(name, "198.51.100.7")).want(401)
		s.do("GET", "/account/profile", "", apiToken(limited), from("198.51.100.7"), header(name, "203.0.113.9")).want(200)
		s.do("GET", "/account/profile", "", apiToken(free.AccessToken), header(name, "198.51.100.7")).want(200)
		if got, err := s.local.GetToken(t.Context(), free.ID); err != nil || got.Source.LastIP != stranger {
			t.Errorf("%s: last address %q, %v", name, got.Source.LastIP, err)
		}
		s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`, header(name, "198.51.100.7")).want(200)
		if e := s.lastEvent(); e.Address != stranger || e.Transport != "http" {
			t.Errorf("%s: the audit says %q by %s", name, e.Address, e.Transport)
		}
	}
	s.do("GET", "/account/profile", "", apiToken(limited), header("Forwarded", "for=198.51.100.7")).want(401)
	s.do("GET", "/account/profile", "", header("X-Forwarded-For", "127.0.0.1"), header("X-Forwarded-Host", "local"), onHost("local")).want(401)
	for _, proto := range []edit{header("X-Forwarded-Proto", "https"), header("X-Forwarded-Ssl", "on"), header("Front-End-Https", "on"), header("X-Forwarded-Scheme", "https"), header("X-Url-Scheme", "https"), header("Forwarded", "proto=https")} {
		a := s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`, proto).want(200)
		if got := a.header.Get("Set-Cookie"); strings.Contains(got, "Secure") || strings.Contains(got, "__Host-") {
			t.Errorf("the cookie is %q", got)
		}
	}
}

func TestAllowedAddresses(t *testing.T) {
	s := newServer(t)
	single := s.single()
	for _, c := range []struct {
		allowed  []string
		shown    []string
		yes, not []string
	}{
		{[]string{"192.0.2.0/24"}, []string{"192.0.2.0/24"}, []string{"192.0.2.1", "192.0.2.255", "[::ffff:192.0.2.9]"}, []string{"192.0.3.1", "[2001:db8::1]", "[::1]"}},
		{[]string{"192.0.2.7"}, []string{"192.0.2.7/32"}, []string{"192.0.2.7"}, []string{"192.0.2.8"}},
		{[]string{"192.0.2.77/24"}, []string{"192.0.2.0/24"}, []string{"192.0.2.1"}, []string{"192.0.3.1"}},
		{[]string{"::ffff:192.0.2.7"}, []string{"192.0.2.7/32"}, []string{"192.0.2.7"}, []string{"192.0.2.8"}},
		{[]string{"2001:db8::/32", "10.0.0.0/8"}, []string{"2001:db8::/32", "10.0.0.0/8"}, []string{"[2001:db8:ffff::1]", "10.255.0.1"}, []string{"[2001:db9::1]", "11.0.0.1"}},
		{[]string{"0.0.0.0/0"}, []string{"0.0.0.0/0"}, []string{"203.0.113.1"}, []string{"[2001:db8::1]"}},
		{[]string{}, []string{}, []string{"203.0.113.1", "[2001:db8::1]", "local"}, nil},
	} {
		made := s.mint(single.session(), api.NewToken{AllowedIPs: c.allowed})
		shown, err := s.local.GetToken(t.Context(), made.ID)
		if err != nil || jsonOf(shown.Source.AllowedIPs) != jsonOf(c.shown) {
			t.Errorf("%v is shown as %v, %v", c.allowed, shown.Source.AllowedIPs, err)
		}
		for _, address := range c.yes {
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken), from(address)).want(200)
		}
		for _, address := range c.not {
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken), from(address)).want(401, "invalid_token").challenge(challengeInvalid)
		}
	}
	for _, bad := range []string{"", " ", "192.0.2.0/33", "192.0.2.256", "example.com", "192.0.2.0/24 ", "192.0.2.0-192.0.2.9", "fe80::1%eth0", "::ffff:192.0.2.0/120", "*", "192.0.2.0/024", "2001:db8::/129"} {
		s.do("POST", "/auth/access_token", jsonOf(api.NewToken{AllowedIPs: []string{"10.0.0.0/8", bad}}), single.session()).want(400, "bad_prefix")
	}
}

// What is done to an owner or to a credential counts at the next request,
// whatever was remembered of it.
func TestCredentialsEndAtOnce(t *testing.T) {
	s := newServer(t)
	for name, end := range map[string]func(p *person, tokenID string){
		"disabled": func(p *person, _ string) {
			_, err := s.local.UpdateUser(t.Context(), p.id, api.UserUpdate{Disabled: ptr(true)})
			must(t, err)
		},
		"deleted": func(p *person, _ string) { _, err := s.local.DeleteUser(t.Context(), p.id); must(t, err) },
		"expired": func(*person, string) { s.clock.advance(366 * 24 * time.Hour) },
		"revoked": func(p *person, id string) {
			_, err := s.local.DeleteToken(t.Context(), id)
			must(t, err)
			must(t, s.client(p.session()).Logout(t.Context()))
		},
		"revoked and password set": func(p *person, id string) {
			_, err := s.local.DeleteToken(t.Context(), id)
			must(t, err)
			s.setPassword(p.id, "set by somebody else")
		},
	} {
		p := s.newUser(strings.ReplaceAll(name, " ", "-") + "@example.com")
		made := s.mint(p.session(), api.NewToken{})
		kept := s.newUser("kept-" + strings.ReplaceAll(name, " ", "-") + "@example.com")
		keptToken := s.mintFor(kept, api.NewToken{ExpireIn: db.Never})
		all := []edit{p.session(), cookie(p.jwt), apiToken(made.AccessToken)}
		for range 2 { // the second time from memory
			for _, with := range all {
				s.do("GET", "/account/profile", "", with).want(200)
			}
		}
		end(p, made.ID)
		for _, with := range all {
			s.do("GET", "/account/profile", "", with).want(401, "invalid_token").challenge(challengeInvalid)
			s.do("GET", "/auth/access_token/_search", "", with).want(401, "invalid_token")
			s.do("POST", "/auth/access_token", "{}", with).want(401, "invalid_token")
		}
		s.do("GET", "/account/profile", "", apiToken(keptToken.AccessToken)).want(200)
	}
}

func TestEnablingAgain(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{})
	for _, disabled := range []bool{true, false} {
		_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Disabled: &disabled})
		must(t, err)
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(map[bool]int{true: 401, false: 200}[disabled])
		s.do("GET", "/account/profile", "", ann.session()).want(401) // its end is final
	}
}

func TestPasswordSetByOthersEndsSessions(t *testing.T) {
	s := newServer(t)
	admin, ann, bob := s.single(), s.newUser(annEmail), s.newUser("bob@example.com")
	second := s.signIn(ann)
	made := s.mint(ann.session(), api.NewToken{})
	s.secret("nine crates of quinces")
	s.do("PUT", "/security/user/"+ann.id, `{"password":"nine crates of quinces"}`, admin.session()).want(200).like(`{"_id":"` + ann.id + `","result":"updated"}`)
	for _, p := range []*person{ann, second} {
		s.do("GET", "/account/profile", "", p.session()).want(401, "invalid_token")
	}
	s.do("GET", "/account/profile", "", bob.session()).want(200)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: annEmail, Password: ann.password})).want(403)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: annEmail, Password: "nine crates of quinces"})).want(200)
}

// Refusing what was made up costs no password hash and keeps nothing.
func TestRefusalsAreCheap(t *testing.T) {
	s := newServer(t)
	before, kept, queued := s.hasher.Stats().Total, s.Identities(), len(s.events())
	for range 50 {
		secret, _ := token.New()
		s.do("GET", "/account/profile", "", apiToken(secret)).want(401)
		s.do("GET", "/account/profile", "", bearer("eyJhbGciOiJIUzI1NiJ9.e30."+secret[37:80])).want(401)
	}
	if n := s.hasher.Stats().Total - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
	if n := s.Identities() - kept; n != 0 {
		t.Errorf("%d refused credentials are remembered", n)
	}
	if n := len(s.events()) - queued; n != 0 {
		t.Errorf("%d audit entries written", n)
	}
}

func TestRememberedCredentialsAreBounded(t *testing.T) {
	s := newServer(t)
	s.Remember(web.MaxIdentities + 100)
	if n := s.Identities(); n > web.MaxIdentities {
		t.Errorf("%d remembered, the bound is %d", n, web.MaxIdentities)
	}
	single := s.single()
	for range 2 {
		s.do("GET", "/account/profile", "", single.session()).want(200)
	}
}

// The owner of the file is who connects by the control socket, and no one who
// comes by TCP.
func TestControlSocket(t *testing.T) {
	s := newServer(t)
	dir, err := os.MkdirTemp("", "husk") // t.TempDir may be too long for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := control.Listen(dir)
	must(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, socket, tcp) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "socket") {
			return control.Dial(ctx, dir)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	bySocket := &api.Client{Base: "http://socket", HTTP: &http.Client{Transport: transport}}
	byTCP := &api.Client{Base: "http://" + tcp.Addr().String(), HTTP: bySocket.HTTP}

	p, err := bySocket.Profile(t.Context())
	if err != nil || p.ID != db.LocalActor || p.Name != fmt.Sprintf("uid %d", os.Geteuid()) {
		t.Errorf("by socket: %+v, %v", p, err)
	}
	_, err = bySocket.CreateUser(t.Context(), api.NewUser{Email: annEmail, NoPassword: true})
	must(t, err)
	if e := s.lastEvent(); e.Transport != "socket" || e.Actor != db.LocalActor || e.Address != "" || e.ActorName != p.Name {
		t.Errorf("the audit says %+v", e)
	}
	if _, err := byTCP.Profile(t.Context()); status(err) != 401 {
		t.Errorf("by TCP: %v", err)
	}
	in, err := byTCP.Login(t.Context(), api.Login{Password: singlePassword})
	must(t, err)
	if e := s.lastEvent(); e.Transport != "http" || !netip.MustParseAddr(e.Address).IsLoopback() {
		t.Errorf("the audit says %+v", e)
	}
	if in, err = bySocket.Login(t.Context(), api.Login{Password: singlePassword}); err != nil {
		t.Errorf("a login by socket: %v", err)
	}
	bySocket.JWT = in.AccessToken
	if p, err := bySocket.Profile(t.Context()); err != nil || p.ID != db.SingleUser {
		t.Errorf("by socket with a session: %+v, %v", p, err)
	}
	bySocket.JWT = "x"
	if _, err := bySocket.Profile(t.Context()); status(err) != 401 {
		t.Errorf("by socket with a bad session: %v", err)
	}
	transport.CloseIdleConnections()
	stop()
	must(t, <-done)
}

// Offline is the in-memory listener.
func TestOfflineActor(t *testing.T) {
	s := newServer(t)
	s.do("POST", "/auth/access_token", "", local).want(200)
	if e := s.lastEvent(); e.Transport != "offline" || e.Actor != db.LocalActor || e.Address != "" {
		t.Errorf("the audit says %+v", e)
	}
	var page api.Search[api.Token]
	s.do("GET", "/auth/access_token/_search", "", local).json(&page)
	if len(page.Hits.Hits) != 1 || page.Hits.Hits[0].Source.Owner != db.SingleUser {
		t.Errorf("a token that the local owner made belongs to %+v", page.Hits.Hits)
	}
}

// A proxy in front of the control socket does not make owners of strangers.
func TestForwardedIsNotLocal(t *testing.T) {
	s := newServer(t)
	s.do("GET", "/security/user/_search", "", local).want(200)
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Sec-Fetch-Site", "Origin"} {
		s.do("GET", "/security/user/_search", "", local, header(name, "203.0.113.9")).want(401, "not_signed_in")
	}
	p := s.single()
	s.do("GET", "/security/user/_search", "", local, p.session(), header("X-Forwarded-For", "203.0.113.9")).want(200)
}

// A good signature alone is nothing: the session that it names has to live and
// to be of that user.
func TestJWTNeedsItsSession(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	keys, err := s.store.Keys(t.Context())
	must(t, err)
	claims, _, err := session.NewParser(s.clock.now).Parse(ann.jwt, keys)
	must(t, err)
	live, err := s.store.SessionBySecret(t.Context(), claims.Jti)
	must(t, err)
	signWith := func(secret string, change func(*db.Session)) string {
		r := *live
		change(&r)
		jwt, err := session.Sign(keys.Signing, &r, secret)
		must(t, err)
		return jwt
	}
	same := func(*db.Session) {}
	sign := func(change func(*db.Session)) string { return signWith(claims.Jti, change) }
	s.do("GET", "/account/profile", "", bearer(sign(same))).want(200)
	for name, jwt := range map[string]string{
		"another user":          sign(func(r *db.Session) { r.User = bob.id }),
		"the single user":       sign(func(r *db.Session) { r.User = db.SingleUser }),
		"nobody":                sign(func(r *db.Session) { r.User = absentID }),
		"no session":            signWith(absentID, same),
		"a token for a session": signWith(s.mint(ann.session(), api.NewToken{}).ID, same),
		"the user's id":         signWith(live.User, same),
		"the session's id":      signWith(live.ID, same),
		"the secret's hash":     signWith(string(live.Hash), same),
		"the hash in hex":       signWith(hex.EncodeToString(live.Hash), same),
	} {
		t.Run(name, func(t *testing.T) {
			s.do("GET", "/account/profile", "", bearer(jwt)).want(401, "invalid_token").challenge(challengeInvalid)
			s.do("GET", "/account/profile", "", cookie(jwt)).want(401, "invalid_token")
		})
	}
	// One that says it lasts longer ends with its session.
	longer := sign(func(r *db.Session) { r.Expires = r.Expires.Add(time.Hour) })
	s.do("GET", "/account/profile", "", bearer(longer)).want(200)
	s.clock.advance(24 * time.Hour)
	s.do("GET", "/account/profile", "", bearer(longer)).want(401, "invalid_token")
	bob = s.signIn(bob)
	s.do("POST", "/account/logout", "", bob.session()).want(200)
	s.do("GET", "/account/profile", "", bob.session()).want(401, "invalid_token")
}

// A credential over 8 KiB is refused before anything looks inside, be it ever
// so good.
func TestOversizedGoodJWT(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	keys, err := s.store.Keys(t.Context())
	must(t, err)
	claims, _, err := session.NewParser(s.clock.now).Parse(ann.jwt, keys)
	must(t, err)
	for pad, want := range map[int]int{1000: 200, 5000: 200, 9000: 401} {
		b64 := base64.RawURLEncoding
		payload := strings.TrimSuffix(jsonOf(claims), "}") + `,"pad":"` + strings.Repeat("a", pad) + `"}`
		input := b64.EncodeToString([]byte(`{"alg":"HS256","kid":"`+keys.Signing.ID+`"}`)) + "." + b64.EncodeToString([]byte(payload))
		mac := hmac.New(sha256.New, keys.Signing.Secret)
		mac.Write([]byte(input))
		jwt := input + "." + b64.EncodeToString(mac.Sum(nil))
		s.do("GET", "/account/profile", "", bearer(jwt)).want(want)
		s.do("GET", "/account/profile", "", cookie(jwt)).want(want)
	}
}
