package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/password"
)

const (
	loginShape = `{"access_token":"<jwt>","expire_in":86400,"id":"<text>","status":"ok","username":"<text>"}`
	annEmail   = "ann@example.com"
)

func form(values ...string) string {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return v.Encode()
}

const formType = "application/x-www-form-urlencoded"

func TestLogin(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	asSingle := `{"access_token":"<jwt>","expire_in":86400,"id":"coco-default-user","status":"ok","username":"coco-default-user"}`
	asAnn := `{"access_token":"<jwt>","expire_in":86400,"id":"` + ann.id + `","status":"ok","username":"ann@example.com"}`
	for _, c := range []struct{ name, body, contentType, want string }{
		{"password only", jsonOf(api.Login{Password: singlePassword}), "application/json", asSingle},
		{"email", jsonOf(api.Login{Email: ann.email, Password: ann.password}), "application/json", asAnn},
		{"alias", jsonOf(api.Login{Login: ann.email, Password: ann.password}), "application/json", asAnn},
		{"email before alias", jsonOf(api.Login{Email: ann.email, Login: "b@example.com", Password: ann.password}), "application/json", asAnn},
		{"folded email", jsonOf(api.Login{Email: " ANN@Example.COM\t", Password: ann.password}), "application/json", asAnn},
		{"email of the single user", jsonOf(api.Login{Email: db.SingleUser, Password: singlePassword}), "application/json", asSingle},
		{"the same folded", jsonOf(api.Login{Login: " COCO-Default-User\n", Password: singlePassword}), "application/json", asSingle},
		{"the same by form", form("email", db.SingleUser, "password", singlePassword), formType, asSingle},
		{"empty email", `{"email":"","login":"","password":"` + singlePassword + `"}`, "application/json", asSingle},
		{"null email", `{"email":null,"password":"` + singlePassword + `"}`, "application/json", asSingle},
		{"charset", jsonOf(api.Login{Password: singlePassword}), "application/json; charset=utf-8", asSingle},
		{"upper-case type", jsonOf(api.Login{Password: singlePassword}), "Application/JSON", asSingle},
		{"unknown members", `{"password":"` + singlePassword + `","remember":true,"nested":{"a":[1,{}]}}`, "application/json", asSingle},
		{"space around", "\r\n\t {\"password\":\"" + singlePassword + "\"} \n", "application/json", asSingle},
		{"form", form("password", singlePassword), formType, asSingle},
		{"form with email", form("email", ann.email, "password", ann.password), formType, asAnn},
		{"form with alias", form("login", ann.email, "password", ann.password), formType + "; charset=UTF-8", asAnn},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do("POST", "/account/login", c.body, contentType(c.contentType)).want(200).like(c.want)
			var in api.LoggedIn
			a.json(&in)
			s.do("GET", "/account/profile", "", bearer(in.AccessToken)).want(200)
			cookies := (&http.Response{Header: a.header}).Cookies()
			if len(cookies) == 0 || cookies[0].Value != in.AccessToken {
				t.Errorf("the session cookie %v is not the JWT", cookies)
			}
		})
	}
	e := s.lastEvent()
	if e.Action != "session.login" || e.Actor != ann.id || e.ActorName != annEmail || e.Transport != "http" || e.Address != stranger || e.Result != "ok" || e.RequestID == "" {
		t.Errorf("the audit says %+v", e)
	}
	u, err := s.local.GetUser(t.Context(), ann.id)
	if err != nil || u.Source.LastLogin == nil || !u.Source.LastLogin.Equal(s.clock.now()) {
		t.Errorf("last login %v, %v; want %v", u.Source.LastLogin, err, s.clock.now())
	}
}

func TestLoginRefused(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	robot, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "robot@example.com", NoPassword: true})
	must(t, err)
	gone := s.newUser("gone@example.com")
	_, err = s.local.UpdateUser(t.Context(), gone.id, api.UserUpdate{Disabled: ptr(true)})
	must(t, err)
	want := s.do("POST", "/account/login", jsonOf(api.Login{Email: "nobody@example.com", Password: "wrong and long"})).want(403, "login_failed")
	for name, in := range map[string]api.Login{
		"wrong password of the single user": {Password: "wrong and long"},
		"wrong password":                    {Email: ann.email, Password: "wrong and long"},
		"another's password":                {Email: ann.email, Password: gone.password},
		"case of the password":              {Email: ann.email, Password: strings.ToUpper(ann.password)},
		"space behind the password":         {Email: ann.email, Password: ann.password + " "},
		"password cut":                      {Email: ann.email, Password: ann.password[:len(ann.password)-1]},
		"short":                             {Email: ann.email, Password: "x"},
		"NUL":                               {Email: ann.email, Password: ann.password + "\x00"},
		"no password set":                   {Email: robot.Email, Password: "wrong and long"},
		"disabled":                          {Email: gone.email, Password: gone.password},
		"disabled, wrong password":          {Email: gone.email, Password: "wrong and long"},
		"id for email":                      {Email: ann.id, Password: ann.password},
		"single user by id, wrong password": {Email: db.SingleUser, Password: "wrong and long"},
		"other users by id":                 {Email: "coco-default-users", Password: singlePassword},
		"odd email":                         {Email: "\x00=\xff*", Password: "wrong and long"},
		"long email":                        {Email: strings.Repeat("a", 50_000) + "@example.com", Password: "wrong and long"},
		"blank email is no email":           {Email: "  ", Password: singlePassword},
	} {
		before := s.hasher.Stats().Total
		a := s.do("POST", "/account/login", jsonOf(in))
		if a.status != want.status || a.body != want.body || a.header.Get("Set-Cookie") != "" || a.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %s %v, want %s", name, a.status, a.body, a.header, want.body)
		}
		if n := s.hasher.Stats().Total - before; n != 1 {
			t.Errorf("%s: %d hashes, want 1", name, n)
		}
		if a := s.do("POST", "/account/login", form("email", in.Email, "password", in.Password), contentType(formType)); a.status != 403 || a.body != want.body {
			t.Errorf("%s by form: %d %s", name, a.status, a.body)
		}
	}
}

// A damaged hash is a wrong password outside; the log tells of it.
func TestLoginWithDamagedHash(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	_, err := s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, ann.id, db.UserChange{Password: ptr("$argon2id$v=19$m=99999999,t=1,p=1$AA$AA")})
	must(t, err)
	want := s.do("POST", "/account/login", jsonOf(api.Login{Email: "nobody@example.com", Password: ann.password})).want(403, "login_failed")
	before := s.hasher.Stats().Total
	if a := s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: ann.password})); a.status != 403 || a.body != want.body {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := s.hasher.Stats().Total - before; n != 1 {
		t.Errorf("%d hashes, want 1", n)
	}
	if !strings.Contains(s.log.String(), "damaged") || strings.Contains(s.log.String(), "99999999") {
		t.Error("the log does not tell, or tells the hash")
	}
}

func TestLoginMalformed(t *testing.T) {
	s := newServer(t)
	before := s.hasher.Stats().Total
	long := strings.Repeat("a", password.MaxLength+1)
	for _, c := range []struct {
		name, body, contentType string
		status                  int
		code                    string
	}{
		{"nothing", "", "", 400, "password_missing"},
		{"nothing, typed", "", "application/json", 400, "body_missing"},
		{"empty form", "", formType, 400, "password_missing"},
		{"no password", `{}`, "application/json", 400, "password_missing"},
		{"email alone", `{"email":"ann@example.com"}`, "application/json", 400, "password_missing"},
		{"empty password", `{"password":""}`, "application/json", 400, "password_missing"},
		{"null password", `{"password":null}`, "application/json", 400, "password_missing"},
		{"form without password", "email=a", formType, 400, "password_missing"},
		{"broken form", "password=%zz", formType, 400, "bad_form"},
		{"too long", `{"password":"` + long + `"}`, "application/json", 400, "password_too_long"},
		{"too long, unknown", `{"email":"x@example.com","password":"` + long + `"}`, "application/json", 400, "password_too_long"},
		{"too long by form", "password=" + long, formType, 400, "password_too_long"},
		{"lone surrogate", `{"password":"abcdefgh\ud800"}`, "application/json", 400, "password_not_utf8"},
		{"replacement character", `{"password":"abcdefgh\ufffd"}`, "application/json", 400, "password_not_utf8"},
		{"bad UTF-8 by form", "password=abcdefgh%ff", formType, 400, "password_not_utf8"},
		{"text", singlePassword, "text/plain", 415, "content_type"},
		{"multipart", "--x\r\n", "multipart/form-data; boundary=x", 415, "content_type"},
		{"JSON as form", `{"password":"` + singlePassword + `"}`, formType, 415, "content_type"},
		{"odd type", `{}`, "a/b/c", 415, "content_type"},
		{"XML", "<password/>", "application/xml", 415, "content_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			edits := []edit{func(r *http.Request) { r.Header.Del("Content-Type") }}
			if c.contentType != "" {
				edits = append(edits, contentType(c.contentType))
			}
			a := s.do("POST", "/account/login", c.body, edits...).want(c.status, c.code)
			if a.header.Get("Set-Cookie") != "" {
				t.Error("a cookie was set")
			}
		})
	}
	if n := s.hasher.Stats().Total - before; n != 0 {
		t.Errorf("%d hashes for malformed logins, want none", n)
	}
}

func TestLoginBeforeSetup(t *testing.T) {
	s := newBareServer(t)
	a := s.do("POST", "/account/login", `{"password":"anything at all"}`).want(403, "setup_required")
	if !strings.Contains(a.body, "husk passwd") {
		t.Errorf("the reason does not tell the next step: %s", a.body)
	}
	s.do("POST", "/account/login", `{"email":"ann@example.com","password":"anything at all"}`).want(403, "setup_required")
	s.setPassword(db.SingleUser, singlePassword)
	s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`).want(200).like(loginShape)
}

// The single user is closed by disabling it, also for a password alone.
func TestSingleUserDisabled(t *testing.T) {
	s := newServer(t)
	s.newUser("root@example.com", db.RoleAdmin)
	_, err := s.local.UpdateUser(t.Context(), db.SingleUser, api.UserUpdate{Disabled: ptr(true)})
	must(t, err)
	s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`).want(403, "login_failed")
}

func TestPasswordsAreTakenAsTheyAre(t *testing.T) {
	s := newServer(t)
	for i, pass := range []string{
		"  spaces around it  ", "ünïcödé ist schön", "pass\tword\nwith\x01controls", strings.Repeat("72 bytes and more ", 8) + "A", `quotes " and \ and </script>`, "🦀🦀🦀🦀🦀🦀🦀🦀", strings.Repeat("x", 1023) + "y", "e\u0301e\u0301e\u0301e\u0301e\u0301",
	} {
		email := fmt.Sprintf("p%d@example.com", i)
		s.secret(pass)
		_, err := s.local.CreateUser(t.Context(), api.NewUser{Email: email, Password: pass})
		must(t, err)
		s.do("POST", "/account/login", jsonOf(api.Login{Email: email, Password: pass})).want(200)
		s.do("POST", "/account/login", form("email", email, "password", pass), contentType(formType)).want(200)
		runes := []rune(pass)
		for _, other := range []string{strings.TrimSpace(pass), string(runes[:len(runes)-1]) + "Z", strings.ToUpper(pass), "\u00e9\u00e9\u00e9\u00e9\u00e9"} {
			if other != pass {
				s.do("POST", "/account/login", jsonOf(api.Login{Email: email, Password: other})).want(403)
			}
		}
	}
}

func TestSessionCookie(t *testing.T) {
	for _, c := range []struct {
		name      string
		publicURL string
		tls       bool
		want      string
	}{
		{"plain", "", false, "husk_session=%s; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"},
		{"public http", "http://id.example.com", false, "husk_session=%s; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"},
		{"public https", "https://id.example.com", false, "__Host-husk_session=%s; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax"},
		{"own TLS", "", true, "__Host-husk_session=%s; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax"},
		{"TLS behind http", "http://id.example.com", true, "__Host-husk_session=%s; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func(o *web.Config) { o.PublicURL, o.TLS = c.publicURL, c.tls })
			for _, forged := range []edit{nobody, header("X-Forwarded-Proto", "https"), header("X-Forwarded-Proto", "http"), header("Forwarded", "proto=https;host=evil.example")} {
				a := s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`, forged).want(200)
				var in api.LoggedIn
				a.json(&in)
				if got, want := a.header.Values("Set-Cookie"), fmt.Sprintf(c.want, in.AccessToken); len(got) == 0 || got[0] != want {
					t.Errorf("Set-Cookie = %q, want %q", got, want)
				}
				name, _, _ := strings.Cut(c.want, "=")
				for _, other := range []string{"husk_session", "__Host-husk_session"} {
					want := map[bool]int{true: 200, false: 401}[other == name]
					s.do("GET", "/account/profile", "", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: other, Value: in.AccessToken}) }).want(want)
				}
				a = s.do("POST", "/account/logout", "", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: in.AccessToken}) }).want(200)
				cleared := strings.Replace(strings.Replace(c.want, "%s", "", 1), "Max-Age=86400", "Max-Age=0", 1)
				if got := a.header.Values("Set-Cookie"); len(got) != 1 || got[0] != cleared {
					t.Errorf("logout: Set-Cookie = %q, want %q", got, cleared)
				}
			}
		})
	}
}

func TestSessionLife(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.SessionTTL = time.Hour })
	a := s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`).want(200)
	var in api.LoggedIn
	a.json(&in)
	if in.ExpireIn != 3600 || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=3600") {
		t.Errorf("expire_in %d, cookie %q", in.ExpireIn, a.header.Get("Set-Cookie"))
	}
	s.clock.advance(time.Hour - time.Second)
	s.do("GET", "/account/profile", "", bearer(in.AccessToken)).want(200)
	s.clock.advance(time.Second)
	s.do("GET", "/account/profile", "", bearer(in.AccessToken)).want(401, "invalid_token")
	s.do("GET", "/account/profile", "", cookie(in.AccessToken)).want(401, "invalid_token")
}

func TestLogout(t *testing.T) {
	s := newServer(t)
	const ok = `{"status":"ok"}`
	own := header("Referer", "http://"+host+"/")
	for _, method := range []string{"GET", "POST"} {
		for name, with := range map[string]func(jwt string) edit{"header": bearer, "cookie": cookie} {
			one, other := s.single(), s.single()
			a := s.do(method, "/account/logout", "", with(one.jwt), own).want(200).like(ok)
			if set := a.header.Get("Set-Cookie"); set != "husk_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" {
				t.Errorf("%s by %s sets %q", method, name, set)
			}
			s.do("GET", "/account/profile", "", bearer(one.jwt)).want(401, "invalid_token")
			s.do("GET", "/account/profile", "", cookie(one.jwt)).want(401, "invalid_token")
			s.do("GET", "/account/profile", "", bearer(other.jwt)).want(200)
			s.do(method, "/account/logout", "", with(one.jwt), own).want(200).like(ok)
			if e := s.lastEvent(); e.Action != "session.logout" {
				t.Errorf("%s by %s: the audit ends with %s", method, name, e.Action)
			}
			s.do("POST", "/account/logout", "", bearer(other.jwt)).want(200)
		}
		before := len(s.events())
		for _, with := range []edit{nobody, local, bearer("x"), cookie("x"), apiToken("x"), header("Authorization", "Basic YTpi"), another("Authorization", "Bearer a"), contentType("text/plain")} {
			s.do(method, "/account/logout", "", with).want(200).like(ok)
		}
		s.do(method, "/account/logout", "", another("Authorization", "Bearer a"), another("Authorization", "Bearer b")).want(200).like(ok)
		if len(s.events()) != before {
			t.Error("a logout of nobody was written down")
		}
	}
	s.do("POST", "/account/logout", `{"any":"thing"}`).want(200)
}

// Whoever shows several credentials is signed out of all: one that lived on
// would be used by the next who sits there.
func TestLogoutOfEachCredential(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{})
	for name, c := range map[string]struct {
		by     func(one, other *person) []edit
		method string
	}{
		"token and cookie":  {func(one, _ *person) []edit { return []edit{apiToken(made.AccessToken), cookie(one.jwt)} }, "POST"},
		"header and cookie": {func(one, other *person) []edit { return []edit{one.session(), cookie(other.jwt)} }, "POST"},
		"by a link":         {func(one, other *person) []edit { return []edit{one.session(), cookie(other.jwt)} }, "GET"},
		"bad header":        {func(one, _ *person) []edit { return []edit{bearer("x"), cookie(one.jwt)} }, "POST"},
		"of another scheme": {func(one, _ *person) []edit { return []edit{header("Authorization", "Basic YTpi"), cookie(one.jwt)} }, "POST"},
		"two cookies":       {func(one, other *person) []edit { return []edit{cookie(one.jwt), cookie(other.jwt)} }, "POST"},
		"a bad one first":   {func(one, other *person) []edit { return []edit{cookie("x"), cookie(one.jwt)} }, "POST"},
		"two headers": {func(one, other *person) []edit {
			return []edit{one.session(), another("Authorization", "Bearer "+other.jwt)}
		}, "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			one, other, bystander := s.single(), s.signIn(ann), s.single()
			edits := c.by(one, other)
			shown := func(p *person) bool {
				r := &http.Request{Header: http.Header{}, URL: &url.URL{}}
				for _, e := range edits {
					e(r)
				}
				return strings.Contains(fmt.Sprint(r.Header), p.jwt)
			}
			s.do(c.method, "/account/logout", "", edits...).want(200)
			for _, p := range []*person{one, other, bystander} {
				s.do("GET", "/account/profile", "", p.session()).want(map[bool]int{true: 401, false: 200}[shown(p)])
			}
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
		})
	}
}

// A session that is refused just now would be good again once its user is
// enabled: whoever signed out of it is out.
func TestLogoutOfADisabledUser(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	disable := func(yes bool) {
		s.do("PUT", "/security/user/"+annEmail, fmt.Sprintf(`{"disabled":%t}`, yes), local).want(200)
	}
	disable(true)
	s.do("POST", "/account/logout", "", cookie(ann.jwt)).want(200)
	disable(false)
	s.do("GET", "/account/profile", "", cookie(ann.jwt)).want(401)
}

// One that was not used for too long would be good again under another setting.
func TestLogoutOfAnIdleSession(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.SessionIdle = time.Hour })
	p := s.single()
	s.clock.advance(2 * time.Hour)
	s.do("POST", "/account/logout", "", cookie(p.jwt)).want(200)
	if e := s.lastEvent(); e.Action != "session.logout" || e.Actor != db.SingleUser {
		t.Errorf("the audit log ends with %+v", e)
	}
}

// The good cookie is not among those that a request is decided by.
func TestLogoutBehindManyCookies(t *testing.T) {
	s := newServer(t)
	p := s.single()
	s.do("POST", "/account/logout", "", header("Cookie", "husk_session="+p.jwt+strings.Repeat("; husk_session=x", 20))).want(200)
	s.do("GET", "/account/profile", "", p.session()).want(401)
}

// What a sign-out does not end is told.
func TestLogoutWithAToken(t *testing.T) {
	s := newServer(t)
	p := s.single()
	made := s.mint(p.session(), api.NewToken{})
	var out api.SignedOut
	s.do("POST", "/account/logout", "", apiToken(made.AccessToken), cookie(p.jwt)).want(200).json(&out)
	if out.Status != "ok" || !strings.Contains(out.Note, "revoke") {
		t.Errorf("it says %+v", out)
	}
	s.do("GET", "/account/profile", "", p.session()).want(401)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
}

// A link of another site signs nobody out, told by the browser or not: on plain
// http it sends no Sec-Fetch-Site, and a page can keep Referer back.
func TestLogoutFromAnotherSite(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.PublicURL = "http://id.example.com" })
	site := func(v string) edit { return header("Sec-Fetch-Site", v) }
	referer := func(v string) edit { return header("Referer", v) }
	for name, c := range map[string]struct {
		edits   []edit
		refused bool
	}{
		"cross-site":                          {[]edit{site("cross-site")}, true},
		"sibling":                             {[]edit{site("same-site")}, true},
		"odd":                                 {[]edit{site("odd")}, true},
		"cross-site that names the own page":  {[]edit{site("cross-site"), referer("http://" + host + "/")}, true},
		"own page":                            {[]edit{site("same-origin")}, false},
		"typed in":                            {[]edit{site("none")}, false},
		"silent":                              {nil, true},
		"empty Referer":                       {[]edit{referer("")}, true},
		"page that keeps its address back":    {[]edit{referer("about:blank")}, true},
		"other page":                          {[]edit{referer("http://evil.example/" + host + "/")}, true},
		"own host as prefix":                  {[]edit{referer("http://" + host + ".evil.example/")}, true},
		"own host as user":                    {[]edit{referer("http://" + host + "@evil.example/")}, true},
		"own host, other port":                {[]edit{referer("http://" + host + ":8080/")}, true},
		"own host as path":                    {[]edit{referer("/" + host)}, true},
		"own page by Referer":                 {[]edit{referer("http://" + host + "/password?x=y")}, false},
		"public page by Referer":              {[]edit{referer("http://id.example.com/")}, false},
		"public page, other scheme":           {[]edit{referer("https://id.example.com/")}, true},
		"own origin":                          {[]edit{header("Origin", "http://"+host)}, false},
		"null origin":                         {[]edit{header("Origin", "null"), referer("http://" + host + "/")}, true},
		"other origin and own page":           {[]edit{header("Origin", "http://evil.example"), referer("http://" + host + "/")}, true},
		"what the browser sends to all sites": {[]edit{header("Authorization", "Basic YTpi")}, true},
		"empty token":                         {[]edit{header("X-API-TOKEN", "")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.single()
			a := s.do("GET", "/account/logout", "", append([]edit{cookie(p.jwt)}, c.edits...)...)
			after := s.do("GET", "/account/profile", "", p.session())
			if !c.refused {
				a.want(200)
				after.want(401)
				return
			}
			a.want(403, "cross_origin")
			after.want(200)
			if a.header.Get("Set-Cookie") != "" {
				t.Errorf("the cookie is cleared all the same: %v", a.header)
			}
			// Nor does a link that the browser sends no cookie with.
			if a := s.do("GET", "/account/logout", "", c.edits...).want(200); a.header.Get("Set-Cookie") != "" {
				t.Errorf("without a cookie: %v", a.header)
			}
		})
	}
	for _, site := range []string{"cross-site", "same-site", "odd"} {
		p := s.single()
		s.do("POST", "/account/logout", "", cookie(p.jwt), header("Sec-Fetch-Site", site)).want(403, "cross_origin")
		s.do("GET", "/account/profile", "", p.session()).want(200)
	}
	// A header with the JWT is nothing that a site can add.
	p := s.single()
	s.do("GET", "/account/logout", "", bearer(p.jwt), header("Sec-Fetch-Site", "cross-site")).want(200)
	s.do("GET", "/account/profile", "", p.session()).want(401)
}

func TestCrossOrigin(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.PublicURL = "http://ID.example.com:80/" })
	single := s.single()
	made := s.mint(single.session(), api.NewToken{})
	evil, site := header("Origin", "https://evil.example"), func(v string) edit { return header("Sec-Fetch-Site", v) }
	for _, c := range []struct {
		name    string
		edits   []edit
		refused bool
	}{
		{"no browser", nil, false},
		{"same origin", []edit{site("same-origin")}, false},
		{"typed in", []edit{site("none")}, false},
		{"cross-site", []edit{site("cross-site")}, true},
		{"sub-domain", []edit{site("same-site")}, true},
		{"other origin", []edit{evil}, true},
		{"null origin", []edit{header("Origin", "null")}, true},
		{"other origin that says same-site", []edit{evil, site("same-site")}, true},
		{"own host as origin", []edit{header("Origin", "http://"+host)}, false},
		{"own host, other port", []edit{header("Origin", "http://"+host+":8080")}, true},
		{"public URL", []edit{header("Origin", "http://id.example.com")}, false},
		{"public URL behind a proxy", []edit{header("Origin", "http://id.example.com"), site("cross-site")}, false},
		{"public host, other scheme", []edit{header("Origin", "https://id.example.com")}, true},
		{"public host as prefix", []edit{header("Origin", "http://id.example.com.evil.example")}, true},
		{"forged forwarded host", []edit{evil, header("X-Forwarded-Host", "evil.example"), header("Forwarded", "host=evil.example")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []struct{ method, path, body string }{
				{"POST", "/auth/access_token", `{}`}, {"PUT", "/auth/access_token/" + made.ID, `{"name":"x"}`},
				{"POST", "/account/login", `{"password":"` + singlePassword + `"}`}, {"POST", "/account/logout", ""},
			} {
				p := single
				if r.path == "/account/logout" {
					p = s.single()
				}
				a := s.do(r.method, r.path, r.body, append([]edit{cookie(p.jwt)}, c.edits...)...)
				if c.refused {
					a.want(403, "cross_origin")
				} else {
					a.want(200)
				}
				if want := !c.refused && r.path == "/account/logout"; (s.do("GET", "/account/profile", "", p.session()).status == 401) != want {
					t.Errorf("%s %s: session ended: %t, want %t", r.method, r.path, !want, want)
				}
			}
			// A credential in a header was put there by a program that knows it.
			s.do("POST", "/auth/access_token", `{}`, append([]edit{bearer(single.jwt)}, c.edits...)...).want(200)
			s.do("POST", "/auth/access_token", `{}`, append([]edit{apiToken(made.AccessToken)}, c.edits...)...).want(200)
			// Safe methods change nothing.
			s.do("GET", "/account/profile", "", append([]edit{cookie(single.jwt)}, c.edits...)...).want(200)
			// The local actor is not what a browser's page may use either.
			a := s.do("POST", "/auth/access_token", `{}`, append([]edit{local}, c.edits...)...)
			if (a.status == 403) != c.refused {
				t.Errorf("local: %d %s", a.status, a.body)
			}
		})
	}
}

// Only a credential of Husk's own is one that a page can't have the browser
// send: any other Authorization may be what it sends by itself.
func TestCrossOriginBesideOtherCredentials(t *testing.T) {
	s := newServer(t)
	single := s.single()
	for name, with := range map[string]edit{
		"Basic":               header("Authorization", "Basic YTpi"),
		"Negotiate":           header("Authorization", "Negotiate YTpi"),
		"Digest":              header("Authorization", `Digest username="a"`),
		"empty Authorization": header("Authorization", ""),
		"empty token":         header("X-API-TOKEN", ""),
		"begins like ours":    header("Authorization", "Bearers x"),
	} {
		for _, from := range []edit{header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site")} {
			for _, r := range []struct{ method, path, body string }{
				{"POST", "/auth/access_token", `{}`}, {"POST", "/account/login", `{"password":"` + singlePassword + `"}`},
				{"POST", "/account/logout", ""}, {"POST", "/setup/_initialize", `{}`}, {"DELETE", "/account/sessions", ""},
			} {
				s.do(r.method, r.path, r.body, cookie(single.jwt), with, from).want(403, "cross_origin")
			}
		}
		t.Run(name, func(t *testing.T) {
			s.do("POST", "/auth/access_token", `{}`, cookie(single.jwt), with).want(200)
			s.do("GET", "/account/profile", "", cookie(single.jwt), with).want(200)
		})
	}
	// The pages are a browser's, whatever it sends to all of this host.
	a := s.do("GET", "/login", "", header("Accept", "text/html"), header("Authorization", "Basic YTpi"))
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("the page is %d %v", a.status, a.header)
	}
	a = s.do("GET", "/", "", header("Accept", "text/html"), header("Authorization", "Basic YTpi"))
	if a.status != 303 || a.header.Get("Location") != "/login" {
		t.Errorf("a page that needs a sign-in leads to %d %v", a.status, a.header)
	}
}

func TestProfile(t *testing.T) {
	s := newServer(t)
	s.role("clerk", db.PermUserRead, "app#wiki/edit")
	single := s.single()
	ann := s.newUser(annEmail, "clerk", db.RoleUser)
	s.clock.advance(db.ProofLife) // while it is fresh there is one member more
	all := jsonOf(knownPermissions("app#wiki/edit"))
	s.do("GET", "/account/profile", "", single.session()).want(200).like(
		`{"id":"coco-default-user","name":"coco-default-user","email":"","roles":["admin"],"permissions":` + all + `,"preferences":{},"administrator":true}`)
	s.do("GET", "/account/profile", "", local).want(200).like(
		`{"id":"local","name":"<text>","email":"","roles":["admin"],"permissions":` + all + `,"preferences":{},"administrator":true}`)
	s.do("GET", "/account/profile", "", ann.session()).want(200).like(
		`{"id":"` + ann.id + `","name":"ann","email":"ann@example.com","roles":["clerk","user"],"permissions":` +
			jsonOf([]string{"app#wiki/edit", db.PermTokenCreate, db.PermTokenDelete, db.PermTokenSearch, db.PermTokenUpdate, db.PermPermissionRead, db.PermUserRead}) + `,"preferences":{}}`)
	// A browser's says nothing of settings, or a console would offer some; they are
	// as they were.
	some := jsonOf(slices.DeleteFunc(knownPermissions("app#wiki/edit"), func(key string) bool { return key == db.PermSystemRead }))
	s.do("GET", "/account/profile", "", cookie(single.jwt)).want(200).like(
		`{"id":"coco-default-user","name":"coco-default-user","email":"","roles":["admin"],"permissions":` + some + `,"preferences":{},"administrator":true}`)
	s.do("GET", "/settings", "", cookie(single.jwt)).want(200)
	narrow := s.mint(ann.session(), api.NewToken{Permissions: []string{db.PermTokenSearch}})
	s.do("GET", "/account/profile", "", apiToken(narrow.AccessToken)).want(200).like(
		`{"id":"` + ann.id + `","name":"ann","email":"ann@example.com","roles":["clerk","user"],"permissions":["` + db.PermTokenSearch + `"],"preferences":{}}`)
	// What changes is told at once.
	_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Name: ptr("Ann Example"), Roles: &[]string{}})
	must(t, err)
	for _, with := range []edit{ann.session(), apiToken(narrow.AccessToken)} {
		s.do("GET", "/account/profile", "", with).want(200).like(
			`{"id":"` + ann.id + `","name":"Ann Example","email":"ann@example.com","roles":[],"permissions":[],"preferences":{}}`)
	}
}

// knownPermissions are Husk's own of CONTRACT.md and more, sorted.
func knownPermissions(more ...string) []string {
	own := []string{
		"generic#security:auth:api-token/search", "generic#security:auth:api-token/create", "generic#security:auth:api-token/update", "generic#security:auth:api-token/delete",
		"generic#security:user/search", "generic#security:user/read", "generic#security:user/create", "generic#security:user/update", "generic#security:user/delete",
		"generic#security:role/search", "generic#security:role/read", "generic#security:role/create", "generic#security:role/update", "generic#security:role/delete",
		"generic#security:permission/read", "generic#security:principal/search", "generic#security:session/search", "generic#security:session/delete",
		"generic#security:audit/search", "generic#security:token/introspect", "generic#system/backup", "generic#system/keys", "coco#system/read",
	}
	return db.NewPermissions(own, more).Keys()
}

func TestChangePassword(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	other, bob := s.signIn(ann), s.newUser("bob@example.com")
	made := s.mint(ann.session(), api.NewToken{})
	const fresh = "nine crates of quinces"
	s.secret(fresh)
	change := func(old, new string) string { return jsonOf(api.PasswordChange{OldPassword: old, NewPassword: new}) }
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"wrong old", change("wrong and long", fresh), 403, "wrong_password"},
		{"another's old", change(bob.password, fresh), 403, "wrong_password"},
		{"old again", change(ann.password, ann.password), 400, "password_unchanged"},
		{"no old", `{"new_password":"` + fresh + `"}`, 400, "password_missing"},
		{"no new", `{"old_password":"` + fresh + `"}`, 400, "password_missing"},
		{"short", change(ann.password, "seven77"), 400, "password_too_short"},
		{"long", change(ann.password, strings.Repeat("ab", 513)), 400, "password_too_long"},
		{"long old", change(strings.Repeat("ab", 513), fresh), 400, "password_too_long"},
		{"common", change(ann.password, "Password1"), 400, "password_common"},
		{"product", change(ann.password, "huskhusk"), 400, "password_common"},
		{"personal", change(ann.password, "annann123"), 400, "password_personal"},
		{"lone surrogate", `{"old_password":"a","new_password":"abcdefgh\udfff"}`, 400, "password_not_utf8"},
		{"empty", "", 400, "body_missing"},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("PUT", "/account/password", c.body, ann.session()).want(c.status, c.code) })
	}
	s.do("PUT", "/account/password", change(ann.password, fresh)).want(401, "not_signed_in")
	s.do("PUT", "/account/password", change(ann.password, fresh), apiToken(made.AccessToken)).want(403, "session_required")
	s.do("PUT", "/account/password", change(ann.password, fresh), local).want(403, "session_required")
	for _, p := range []*person{ann, other} {
		s.do("GET", "/account/profile", "", p.session()).want(200)
	}

	s.do("PUT", "/account/password", change(ann.password, fresh), ann.session()).want(200).like(`{"_id":"` + ann.id + `","result":"updated"}`)
	if e := s.lastEvent(); e.Action != "user.password" || e.Actor != ann.id || e.Target != ann.id {
		t.Errorf("the audit says %+v", e)
	}
	s.do("GET", "/account/profile", "", ann.session()).want(200)
	s.do("GET", "/account/profile", "", other.session()).want(401, "invalid_token")
	s.do("GET", "/account/profile", "", bob.session()).want(200)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: ann.password})).want(403)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: fresh})).want(200)
	s.do("PUT", "/account/password", change(ann.password, fresh+"!"), ann.session()).want(403, "wrong_password")
}

// Of changes at once by the same old password exactly one counts.
func TestChangePasswordAtOnce(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	const n = 8
	statuses := make([]int, n)
	together(n, func(i int) {
		pass := fmt.Sprintf("crates of quinces, %d of them", i)
		_, err := s.client(ann.session()).ChangePassword(t.Context(), api.PasswordChange{OldPassword: ann.password, NewPassword: pass})
		statuses[i] = status(err)
	})
	worked := -1
	for i, got := range statuses {
		switch got {
		case 200:
			if worked >= 0 {
				t.Errorf("changes %d and %d both succeeded", worked, i)
			}
			worked = i
		case 403, 409: // the old password was wrong already, or became so
		default:
			t.Errorf("change %d = %d", i, got)
		}
	}
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: fmt.Sprintf("crates of quinces, %d of them", worked)})).want(200)
}

// together runs n calls of f at once and waits for all.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// A generated password has to be changed before anything else.
func TestGeneratedPassword(t *testing.T) {
	s := newServer(t)
	a := s.do("POST", "/security/user", `{"email":"ann@example.com","roles":["admin"]}`, local).want(200)
	var made api.UserCreated
	a.json(&made)
	if len(made.Password) < 15 {
		t.Fatalf("generated %q", made.Password)
	}
	ann := s.signIn(&person{id: made.User.ID, email: annEmail, password: made.Password})
	for _, r := range s.Table() {
		body := ""
		if r.Method == "POST" || r.Method == "PUT" {
			body = `{"name":"x","password":"x"}`
		}
		a := s.do(r.Method, strings.ReplaceAll(r.Path, ":id", absentID), body, ann.session())
		refused := strings.Contains(a.body, "password_change_required") || strings.HasPrefix(a.header.Get("Location"), "/password")
		early := r.Path == "/account/profile" || r.Path == "/account/password" || r.Path == "/password" || strings.HasPrefix(r.Path, "/account/logout")
		if refused == (early || r.Need == "public") {
			t.Errorf("%s %s = %d %s", r.Method, r.Path, a.status, a.body)
		}
		if r.Path == "/account/logout" {
			ann = s.signIn(ann)
		}
	}
	const fresh = "nine crates of quinces"
	s.secret(fresh)
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: made.Password, NewPassword: fresh}), ann.session()).want(200)
	s.do("GET", "/security/user/_search", "", ann.session()).want(200)
	if u, err := s.local.GetUser(t.Context(), ann.id); err != nil || u.Source.LastLogin == nil {
		t.Errorf("GetUser = %+v, %v", u, err)
	}
}

// A password in a weaker hash is hashed anew at the sign-in.
func TestRehash(t *testing.T) {
	weak := password.New(password.Config{Params: password.InsecureTestParams()})
	s := newServer(t, func(c *web.Config) {
		c.Passwords = password.New(password.Config{Params: password.Params{Memory: 7168, Time: 5, Threads: 1}})
	})
	ann := s.newUser(annEmail)
	hash, err := weak.Hash(t.Context(), password.Caller{}, ann.password)
	must(t, err)
	_, err = s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, ann.id, db.UserChange{Password: &hash})
	must(t, err)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: "wrong and long"})).want(403)
	if u, _ := s.store.User(t.Context(), ann.id); u.Password != hash {
		t.Error("a wrong password changed the hash")
	}
	ann = s.signIn(ann)
	u, err := s.store.User(t.Context(), ann.id)
	if err != nil || u.Password == hash || !strings.Contains(u.Password, "m=7168,t=5") {
		t.Errorf("the hash is %s, %v", u.Password, err)
	}
	again := s.signIn(ann)
	s.do("GET", "/account/profile", "", ann.session()).want(200)
	s.do("GET", "/account/profile", "", again.session()).want(200)
	if now, _ := s.store.User(t.Context(), ann.id); now.Password != u.Password {
		t.Error("a good hash was replaced")
	}
}

// Who was given a password is told so by the profile, until it is changed.
func TestProfileTellsThatAPasswordMustChange(t *testing.T) {
	s := newServer(t)
	made, err := s.local.CreateUser(t.Context(), api.NewUser{Email: annEmail})
	must(t, err)
	ann := s.signIn(&person{email: annEmail, password: made.Password})
	for _, with := range []edit{ann.session(), cookie(ann.jwt)} {
		if a := s.do("GET", "/account/profile", "", with).want(200); !strings.Contains(a.body, `,"must_change":true}`) {
			t.Errorf("%s", a.body)
		}
	}
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: made.Password, NewPassword: "nine crates of quinces"}), ann.session()).want(200)
	if a := s.do("GET", "/account/profile", "", ann.session()).want(200); strings.Contains(a.body, "must_change") {
		t.Errorf("%s", a.body)
	}
}
