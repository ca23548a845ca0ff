package web

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/console"
)

const testRequest = "642a985c-6baa-4ec8-be41-d8c6ddbc0e60"

const desktopQuery = "?provider=coco-cloud&product=coco&request_id=" + testRequest

// hidden is the value of a hidden field of the page.
func (a answer) hidden(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no field %s in\n%s", name, a.body)
	}
	return html.UnescapeString(m[1])
}

func TestLoginByForm(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	for _, path := range []string{"/login", "/login/", "/login?return=", "/login/?&x=1"} {
		a := v.get(path)
		a.isPage(t, http.StatusOK, `action="/account/login"`)
		if strings.Contains(a.body, `name="email"`) {
			t.Error("a single user is asked for an email")
		}
	}
	v.get("/").leadsTo(t, "/login")
	v.get("/", "Accept", "*/*").leadsTo(t, "/login")
	v.post("/account/login", "password", "wrong and wrong").isPage(t, http.StatusForbidden, "password is wrong")
	v.post("/account/login").isPage(t, http.StatusBadRequest, "A password is needed.")
	v.get("/").leadsTo(t, "/login")
	v.post("/account/login", "password", testPassword).leadsTo(t, "/")
	v.get("/").isPage(t, http.StatusOK, "coco-default-user", "admin", `action="/account/logout"`)
	v.get("/login").leadsTo(t, "/")
	v.get("/login/").leadsTo(t, "/")
	v.post("/account/logout").leadsTo(t, "/login")
	v.get("/").leadsTo(t, "/login")
}

func TestLoginByFormMulti(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword+"2", false)
	v := h.visitor()
	v.get("/login").isPage(t, http.StatusOK, `name="email"`)
	v.post("/account/login", "email", `"><script>alert(1)</script>`, "password", "wrong and wrong").
		isPage(t, http.StatusForbidden, `value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`)
	v.post("/account/login", "email", "ANN@example.com ", "password", testPassword+"2").leadsTo(t, "/")
	v.get("/").isPage(t, http.StatusOK, "Welcome, ann", "ann@example.com")
	v = h.visitor()
	v.post("/account/login", "email", "", "password", testPassword).leadsTo(t, "/")
	v.get("/").isPage(t, http.StatusOK, "coco-default-user")
}

// Programs get what they always got, whatever they send.
func TestLoginAnswersPrograms(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	form := url.Values{"password": {testPassword}}.Encode()
	for name, a := range map[string]answer{
		"json":                  h.visitor().json("POST", "/account/login", `{"password":"`+testPassword+`"}`),
		"json of a browser":     h.visitor().do("POST", "/account/login", "application/json", `{"password":"`+testPassword+`"}`),
		"form of a program":     h.visitor().do("POST", "/account/login", formType, form, "Accept", "*/*"),
		"form, html refused":    h.visitor().do("POST", "/account/login", formType, form, "Accept", "application/json, text/html;q=0.0"),
		"form of axios":         h.visitor().do("POST", "/account/login", formType, form, "Accept", "application/json, text/plain, */*"),
		"form, no accept":       h.visitor().do("POST", "/account/login", formType, form, "Accept", ""),
		"form with a parameter": h.visitor().do("POST", "/account/login", formType+"; charset=utf-8", form, "Accept", "*/*"),
	} {
		if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `"access_token":"`) || !strings.Contains(a.body, `"expire_in":86400`) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	h.visitor().do("POST", "/account/login", formType, "password=wrong+and+wrong", "Accept", "*/*").fails(t, http.StatusForbidden, "login_failed")
	h.visitor().json("POST", "/account/logout", "").same(t, `{"status":"ok"}`)
	h.visitor().get("/account/logout").same(t, `{"status":"ok"}`)
	v := h.visitor()
	v.get("/", "X-Api-Token", "bad").fails(t, http.StatusUnauthorized, "invalid_token")
}

func TestWantsPage(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	for accept, want := range map[string]bool{
		browserAccept: true, "TEXT/HTML": true, "text/html;q=0.1": true, "text/html; level=1": true,
		"": false, "*/*": false, "text/*": false, "text/html;q=0": false, "text/html; Q=0.000": false, "application/xhtml+xml": false, "text/htmlx": false,
	} {
		a := h.visitor().do("POST", "/account/login", formType, "password=wrong+and+wrong", "Accept", accept)
		if got := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"); got != want {
			t.Errorf("Accept %q: page %v", accept, got)
		}
	}
}

func TestFormsFromOtherOrigins(t *testing.T) {
	v := newSignedIn(t)
	for _, path := range []string{"/account/login", "/account/logout", "/password", "/connect", "/setup/_initialize"} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			v.do("POST", path, formType, "password="+url.QueryEscape(testPassword), header...).isPage(t, http.StatusForbidden, "another origin")
		}
	}
	v.get("/").isPage(t, http.StatusOK, "coco-default-user")
}

func TestPageHeaders(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	answers := map[string]answer{"setup": v.get("/setup"), "setup refused": v.post("/setup/_initialize", "code", "x")}
	h.user("", testPassword, false)
	answers["login"] = v.get("/login")
	answers["login refused"] = v.post("/account/login", "password", "wrong and wrong")
	answers["bad desktop"] = v.get("/login?product=evil")
	v.signIn("", testPassword)
	answers["home"] = v.get("/")
	answers["password"] = v.get("/password")
	answers["password refused"] = v.post("/password", "old_password", "x", "new_password", "y", "again", "z")
	answers["connect"] = v.get("/connect" + desktopQuery)
	answers["connected"] = v.post("/connect", "product", "coco", "provider", "coco-cloud", "request_id", testRequest)
	house := strings.NewReplacer("script-src 'none'; ", "script-src 'self'; connect-src 'self'; ").Replace(console.Policy)
	external := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`)
	for name, a := range answers {
		policy := console.Policy
		if name == "home" || name == "password" || name == "password refused" {
			policy = house
		}
		for key, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got := a.Header.Get(key); got != want {
				t.Errorf("%s: %s is %q", name, key, got)
			}
		}
		if found := external.FindString(strings.ReplaceAll(a.body, "coco://oauth_callback", "")); found != "" {
			t.Errorf("%s names %q", name, found)
		}
		if strings.Count(a.body, "<script") != strings.Count(a.body, `<script src="`+console.AssetURL("console.js")+`" defer blocking="render"></script>`) || strings.Contains(a.body, "style=") || strings.Contains(a.body, "<style") {
			t.Errorf("%s has a script or a style of its own", name)
		}
	}
	for _, directive := range []string{"default-src 'none'", "script-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
		if !slices.Contains(strings.Split(console.Policy, "; "), directive) {
			t.Errorf("the policy has no %s", directive)
		}
	}
	for _, forbidden := range []string{"unsafe", "*", "data:"} {
		if strings.Contains(console.Policy, forbidden) {
			t.Errorf("the policy has %s", forbidden)
		}
	}
}

func TestAssetsAreServed(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	for _, file := range []string{"husk.css", "husk.svg", "countdown.js"} {
		a := v.get(console.AssetURL(file))
		if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", file, a.StatusCode, a.Header)
		}
	}
	for _, path := range []string{"/assets/", "/assets/husk.css", "/assets/..%2f..%2fhusk.db", "/assets/%2e%2e/husk.db", "/assets/..%5chusk.db", "/assets/%2fetc%2fpasswd",
		"/assets/x/../../husk.db", "/assets//husk.css", "/assets/" + url.PathEscape("../static/husk.css")} {
		v.get(path, "Accept", "*/*").fails(t, http.StatusNotFound, "not_found")
	}
	if a := v.get("/assets/none"); a.Header.Get("Cache-Control") != "no-store" {
		t.Error("an absent file may be cached")
	}
}

func TestEveryValueIsEscaped(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	u := h.user("ann@example.com", testPassword, false)
	evil := `<script>alert(1)</script>"'`
	if _, err := h.Store.UpdateUser(t.Context(), localActor, u.ID, db.UserChange{Name: &evil}); err != nil {
		t.Fatal(err)
	}
	v := h.visitor()
	v.signIn("ann@example.com", testPassword)
	v.get("/").isPage(t, http.StatusOK, "<h1>Welcome, &lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;</h1>")
}

func TestReturnTargetsOfAttackers(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	for _, target := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "/password", "javascript:alert(1)", "coco://x", "/%09/evil.example"} {
		v := h.visitor()
		page := v.get("/login?return=" + url.QueryEscape(target) + "&next=" + url.QueryEscape(target))
		page.isPage(t, http.StatusOK)
		if strings.Contains(page.body, "evil") || strings.Contains(page.body, `name="return"`) {
			t.Errorf("%q got onto the page", target)
		}
		v.post("/account/login", "password", testPassword, "return", target).leadsTo(t, "/")
		v.get("/login?return="+url.QueryEscape(target)).leadsTo(t, "/")
		v.post("/password", "old_password", testPassword, "new_password", testPassword+"!", "again", testPassword+"!", "return", target).leadsTo(t, "/")
		v.post("/password", "old_password", testPassword+"!", "new_password", testPassword, "again", testPassword).leadsTo(t, "/")
	}
}

func TestSignInLeadsBack(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	a := v.get("/password")
	login := a.Header.Get("Location")
	if !strings.HasPrefix(login, "/login?return=") {
		t.Fatalf("%d %q", a.StatusCode, login)
	}
	sealed := v.get(login).hidden(t, "return")
	again := v.post("/account/login", "password", "wrong and wrong", "return", sealed)
	again.isPage(t, http.StatusForbidden)
	v.post("/account/login", "password", testPassword, "return", again.hidden(t, "return")).leadsTo(t, "/password")
	v.get(login).leadsTo(t, "/password")
}

func TestPasswordPage(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v, other := h.visitor(), h.visitor()
	v.signIn("", testPassword)
	other.signIn("", testPassword)
	v.get("/password").isPage(t, http.StatusOK, `action="/password"`, "coco-default-user")
	for _, bad := range []struct {
		old, new, again string
		status          int
		text            string
	}{
		{"wrong and wrong", "another good one", "another good one", http.StatusForbidden, "The old password is wrong."},
		{testPassword, "another good one", "another good two", http.StatusBadRequest, "not the same"},
		{testPassword, testPassword, testPassword, http.StatusBadRequest, "The new password is the old one."},
		{testPassword, "short", "short", http.StatusBadRequest, "too short"},
		{testPassword, "", "", http.StatusBadRequest, "needed"},
		{"", "another good one", "another good one", http.StatusBadRequest, "needed"},
	} {
		a := v.post("/password", "old_password", bad.old, "new_password", bad.new, "again", bad.again)
		a.isPage(t, bad.status, bad.text)
	}
	v.post("/password", "old_password", testPassword, "new_password", "another good one", "again", "another good one").leadsTo(t, "/")
	v.get("/").isPage(t, http.StatusOK)
	other.get("/").leadsTo(t, "/login")
	other.post("/account/login", "password", testPassword).isPage(t, http.StatusForbidden)
	other.signIn("", "another good one")
	v.do("POST", "/password", "application/json", `{}`).fails(t, http.StatusUnsupportedMediaType, "content_type")
	h.visitor().post("/password", "old_password", "another good one").leadsTo(t, "/login")
}

func TestMustChange(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", "generated-for-ann-1", true)
	v := h.visitor()
	v.post("/account/login", "email", "ann@example.com", "password", "generated-for-ann-1").leadsTo(t, "/password")
	v.get("/").leadsTo(t, "/password")
	v.get("/login").leadsTo(t, "/")
	v.get("/password").isPage(t, http.StatusOK, "was generated for you", `action="/account/logout"`)
	v.get("/auth/access_token/_search").fails(t, http.StatusForbidden, "password_change_required")

	a := v.get("/connect" + desktopQuery)
	change := a.Header.Get("Location")
	if !strings.HasPrefix(change, "/password?return=") {
		t.Fatalf("%d %q", a.StatusCode, change)
	}
	sealed := v.get(change).hidden(t, "return")
	a = v.post("/password", "old_password", "generated-for-ann-1", "new_password", testPassword, "again", testPassword, "return", sealed)
	if !strings.HasPrefix(a.Header.Get("Location"), "/connect?") {
		t.Errorf("%d %q", a.StatusCode, a.Header.Get("Location"))
	}
	v.get("/").isPage(t, http.StatusOK, "ann")
}

func TestMustChangeKeepsTheProgram(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", "generated-for-all-1", true)
	v := h.visitor()
	sealed := v.get("/login/"+desktopQuery).hidden(t, "return")
	a := v.post("/account/login", "password", "generated-for-all-1", "return", sealed)
	if !strings.HasPrefix(a.Header.Get("Location"), "/password?return=") {
		t.Errorf("%d %q", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestDesktopSignIn(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.MaxTokenTTL = 48 * time.Hour })
	h.user("", testPassword, false)
	v := h.visitor()
	login := v.get("/login/" + desktopQuery)
	login.isPage(t, http.StatusOK, "Coco AI asks for access")
	a := v.post("/account/login", "password", testPassword, "return", login.hidden(t, "return"))
	connect := a.Header.Get("Location")
	if !strings.HasPrefix(connect, "/connect?") {
		t.Fatalf("%d %q", a.StatusCode, connect)
	}
	v.get("/login/"+desktopQuery).leadsTo(t, connect)
	page := v.get(connect)
	page.isPage(t, http.StatusOK, "Coco AI", testRequest, "coco-cloud", "coco app 2026-11-24", "coco app 2026-11-24, until ", ">2026-11-26</time>")
	if tokens, err := h.Store.Tokens(t.Context(), db.ListQuery{Size: 10}); err != nil || len(tokens.Items) != 0 {
		t.Fatal("a token without a click", err)
	}
	a = v.post("/connect", "product", page.hidden(t, "product"), "provider", page.hidden(t, "provider"), "request_id", page.hidden(t, "request_id"))
	a.isPage(t, http.StatusOK, "is connected")
	m := regexp.MustCompile(`<a class="button" href="(coco://oauth_callback\?code=([^&]+)&amp;request_id=` + testRequest + `&amp;provider=coco-cloud)">`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no link in\n%s", a.body)
	}
	secret := m[2]
	program := h.visitor()
	program.get("/account/profile", "X-Api-Token", secret, "X-OS-NAME", "linux").same(t, program.get("/account/profile", "X-Api-Token", secret).body)
	tokens, err := h.Store.Tokens(t.Context(), db.ListQuery{Size: 10})
	if err != nil || len(tokens.Items) != 1 {
		t.Fatal(tokens, err)
	}
	k := tokens.Items[0]
	if k.Name != "coco app 2026-11-24" || k.Owner != db.SingleUser || k.Expires != h.time().Add(48*time.Hour).Unix() {
		t.Errorf("%+v", k)
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the token is in the log")
	}
	v.json("DELETE", "/auth/access_token/"+k.ID, "").same(t, `{"_id":"`+k.ID+`","result":"deleted"}`)
	program.get("/account/profile", "X-Api-Token", secret).fails(t, http.StatusUnauthorized, "invalid_token")
}

func TestDesktopRefuses(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v, stranger := h.visitor(), h.visitor()
	v.signIn("", testPassword)
	for name, q := range map[string]url.Values{
		"another product":    {"product": {"evil"}, "provider": {"x"}, "request_id": {testRequest}},
		"a scheme":           {"product": {"coco://"}, "provider": {"x"}, "request_id": {testRequest}},
		"upper case product": {"product": {"COCO"}, "provider": {"x"}, "request_id": {testRequest}},
		"no product":         {"provider": {"x"}, "request_id": {testRequest}},
		"no request":         {"product": {"coco"}, "provider": {"x"}},
		"no provider":        {"product": {"coco"}, "request_id": {testRequest}},
		"request no uuid":    {"product": {"coco"}, "provider": {"x"}, "request_id": {"1&code=2"}},
		"request urn":        {"product": {"coco"}, "provider": {"x"}, "request_id": {"urn:uuid:" + testRequest}},
		"request braces":     {"product": {"coco"}, "provider": {"x"}, "request_id": {"{" + testRequest + "}"}},
		"request bare":       {"product": {"coco"}, "provider": {"x"}, "request_id": {strings.ReplaceAll(testRequest, "-", "")}},
		"request and more":   {"product": {"coco"}, "provider": {"x"}, "request_id": {testRequest + "\n"}},
		"provider url":       {"product": {"coco"}, "provider": {"https://x"}, "request_id": {testRequest}},
		"provider markup":    {"product": {"coco"}, "provider": {`"><script>`}, "request_id": {testRequest}},
		"provider newline":   {"product": {"coco"}, "provider": {"x\n"}, "request_id": {testRequest}},
		"provider too long":  {"product": {"coco"}, "provider": {strings.Repeat("x", 65)}, "request_id": {testRequest}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range []answer{stranger.get("/login/?" + q.Encode()), v.get("/connect?" + q.Encode()), v.do("POST", "/connect", formType, q.Encode())} {
				a.isPage(t, http.StatusBadRequest)
				if strings.Contains(a.body, "coco://") || strings.Contains(a.body, "<script") {
					t.Errorf("a link in\n%s", a.body)
				}
			}
		})
	}
	stranger.post("/connect", "product", "coco", "provider", "x", "request_id", testRequest).isPage(t, http.StatusUnauthorized, "could not be kept")
	if tokens, err := h.Store.Tokens(t.Context(), db.ListQuery{Size: 10}); err != nil || len(tokens.Items) != 0 {
		t.Errorf("%d tokens, %v", len(tokens.Items), err)
	}
}

// Only a person with a session clicks: an API token makes tokens by the API.
func TestDesktopNeedsASession(t *testing.T) {
	v := newSignedIn(t)
	a := v.post("/connect", "product", "coco", "provider", "x", "request_id", testRequest)
	m := regexp.MustCompile(`code=([^&"]+)&`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatal(a.body)
	}
	program := v.visitor()
	form := url.Values{"product": {"coco"}, "provider": {"x"}, "request_id": {testRequest}}.Encode()
	program.do("POST", "/connect", formType, form, "X-Api-Token", m[1], "Accept", "*/*").fails(t, http.StatusForbidden, "session_required")
	program.get("/connect?"+form, "X-Api-Token", m[1], "Accept", "*/*").fails(t, http.StatusForbidden, "session_required")
	program.get("/", "X-Api-Token", m[1], "Accept", "*/*").fails(t, http.StatusForbidden, "session_required")
	program.get("/password", "X-Api-Token", m[1], "Accept", "*/*").fails(t, http.StatusForbidden, "session_required")
}

func TestDesktopNeedsThePermission(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	u := h.user("bob@example.com", testPassword, false)
	if _, err := h.Store.UpdateUser(t.Context(), localActor, u.ID, db.UserChange{Roles: []string{}}); err != nil {
		t.Fatal(err)
	}
	v := h.visitor()
	v.signIn("bob@example.com", testPassword)
	v.get("/connect"+desktopQuery).isPage(t, http.StatusForbidden, "needs the permission")
	v.post("/connect", "product", "coco", "provider", "x", "request_id", testRequest).isPage(t, http.StatusForbidden, "needs the permission")
}

// Who has to wait is shown how long, in the page itself, and a script of its own
// file counts it down; without a wait no page has one.
func TestThrottledPageCountsDown(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1, Address: 100, Delay: 75 * time.Second} })
	h.user("", testPassword, false)
	v := h.visitor()
	if a := v.post("/account/login", "password", "wrong and wrong"); a.StatusCode != http.StatusForbidden || strings.Contains(a.body, "<script") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	a := v.post("/account/login", "password", "wrong and wrong")
	a.isPage(t, http.StatusTooManyRequests, `<span role="timer">You can try again in <span id="seconds">75</span> s.</span><span role="status"></span>`, `<script src="`+console.AssetURL("countdown.js")+`" defer></script>`)
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self';") || a.Header.Get("Retry-After") != "75" || strings.Count(a.body, "<script") != 1 {
		t.Errorf("%v %s", a.Header, a.body)
	}
	if a := v.get("/login"); a.Header.Get("Content-Security-Policy") != console.Policy {
		t.Error(a.Header)
	}
}
