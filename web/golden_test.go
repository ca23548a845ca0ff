package web_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

// normalisers replace what differs from run to run.
var normalisers = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`"eyJ[\w-]+\.[\w-]+\.[\w-]+"`), `"JWT"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}_[0-9A-Za-z]{49}`), "TOKEN"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`"[0-9a-f]{8}\*\*\*"`), `"MASKED"`},
	{regexp.MustCompile(`token (\d{4}-\d\d-\d\d) [0-9a-f]{8}`), "token $1 IDSTART"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`"took": \d+`), `"took": 0`},
	{regexp.MustCompile(`"request_id": "[0-9a-f]{12}-[0-9a-z]+"`), `"request_id": "REQUEST"`},
	{regexp.MustCompile(`"[0-9a-f]{64}"`), `"HASH"`},
	{regexp.MustCompile(`"after": "[\w-]+"`), `"after": "CURSOR"`},
	{regexp.MustCompile(`"password": "[^"]+"`), `"password": "PASSWORD"`},
	{regexp.MustCompile(`"uid \d+"`), `"UID"`},
}

// undescribed are the golden answers to requests that no route is for.
var undescribed = map[string]bool{"error_not_found": true, "error_method": true}

// golden compares an answer with the file that is kept of it, status, the
// headers that clients read, body, and with what openapi.json says of it.
func (a answer) golden(name string) {
	a.t.Helper()
	method, path, _ := strings.Cut(a.what, " ")
	if fits := web.FitsOpenAPI(a.t.(*testing.T), method, path, a.header.Get("Content-Type"), a.status, []byte(a.body)); fits == undescribed[name] {
		a.t.Errorf("%s: openapi.json describes the request: %t", a.what, fits)
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%d\n", a.status)
	for _, h := range []string{"Content-Type", "Cache-Control", "Allow", "WWW-Authenticate", "Retry-After", "Set-Cookie"} {
		for _, value := range a.header.Values(h) {
			value = regexp.MustCompile(`husk_session=[\w.-]+`).ReplaceAllString(value, "husk_session=JWT")
			value = regexp.MustCompile(`husk_device=[^;]+`).ReplaceAllString(value, "husk_device=DEVICE")
			fmt.Fprintf(&text, "%s: %s\n", h, value)
		}
	}
	text.WriteString("\n")
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(strings.TrimSpace(a.body)), "", "  "); err != nil {
		a.t.Fatalf("%s: %v in %.200q", a.what, err, a.body)
	}
	body := indented.String()
	for _, n := range normalisers {
		body = n.form.ReplaceAllString(body, n.by)
	}
	text.WriteString(body + "\n")
	if !strings.HasSuffix(a.body, "\n") || strings.Contains(strings.TrimSuffix(a.body, "\n"), "\n") {
		a.t.Errorf("%s: the body is not one line: %q", a.what, a.body)
	}
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		must(a.t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(a.t, os.WriteFile(file, text.Bytes(), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		a.t.Fatalf("%v (run the test with -update)", err)
	}
	if !bytes.Equal(want, text.Bytes()) {
		a.t.Errorf("%s is not as in %s (see -update):\n%s\nwant\n%s", a.what, file, text.Bytes(), want)
	}
}

func TestGolden(t *testing.T) {
	s := newServer(t)
	s.do("GET", "/health", "").golden("health")
	s.do("GET", "/livez", "").golden("livez")
	s.do("GET", "/readyz", "").golden("readyz")
	s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`).golden("login_single")
	admin := s.single()
	with := admin.session()
	s.do("GET", "/account/profile", "", with).golden("profile_single")
	s.do("GET", "/account/profile", "", local).golden("profile_local")

	s.do("POST", "/security/user", `{"email":"ann@example.com","name":"Ann"}`, with).golden("user_create_generated")
	s.do("POST", "/security/user", `{"email":"robot@example.com","no_password":true,"roles":["user"]}`, with).golden("user_create_robot")
	s.clock.advance(time.Second)
	bob := s.newUser("bob@example.com")
	s.do("POST", "/account/login", jsonOf(api.Login{Email: bob.email, Password: bob.password})).golden("login")
	s.do("GET", "/account/profile", "", bob.session()).golden("profile")
	s.do("GET", "/security/user/ann@example.com", "", with).golden("user_read")
	s.do("GET", "/security/user/_search?sort=name:asc", "", with).golden("user_search")
	s.do("GET", "/security/user/_search?size=1&query=bob", "", with).golden("user_search_query")
	s.do("GET", "/security/user/_search?query=nobody", "", with).golden("user_search_empty")
	s.do("PUT", "/security/user/ann@example.com", `{"name":"Ann Example"}`, with).golden("user_update")
	s.do("DELETE", "/security/user/robot@example.com", "", with).golden("user_delete")

	s.do("POST", "/auth/access_token", "", with).golden("token_create")
	s.clock.advance(time.Second)
	var made api.TokenCreated
	s.do("POST", "/auth/access_token", jsonOf(api.NewToken{Name: "deploy", Description: "from the build", Permissions: []string{db.PermTokenSearch},
		ExpireIn: -1, AllowedIPs: []string{"192.0.2.0/24"}, Owner: "bob@example.com"}), with).json(&made)
	s.secret(made.AccessToken)
	s.do("GET", "/auth/access_token/"+made.ID, "", with).golden("token_read")
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).golden("profile_token")
	s.do("GET", "/auth/access_token/"+made.ID, "", with).golden("token_read_used")
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: made.AccessToken}), with).golden("token_check")
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: made.AccessToken}), with, from("198.51.100.7")).golden("token_check_refused")
	s.do("GET", "/auth/access_token/_search?owner=*&sort=name", "", with).golden("token_search")
	s.do("GET", "/auth/access_token/_search?owner=*&size=1", "", with).golden("token_search_page")
	s.do("PUT", "/auth/access_token/"+made.ID, `{"name":"deployment"}`, with).golden("token_update")
	s.do("DELETE", "/auth/access_token/"+made.ID, "", with).golden("token_delete")

	s.do("GET", "/security/session/_search?user=bob@example.com", "", with).golden("session_search")
	var sessions api.Search[api.Session]
	s.do("GET", "/security/session/_search?user=bob@example.com&size=1", "", with).json(&sessions)
	s.do("GET", "/security/session/"+sessions.Hits.Hits[0].ID, "", with).golden("session_read")
	s.do("GET", "/security/audit/_search?action=token.delete", "", with).golden("audit_search")

	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: bob.password, NewPassword: "nine crates of quinces"}), bob.session()).golden("password_change")
	s.do("POST", "/account/logout", "", bob.session()).golden("logout")

	s.do("GET", "/absent", "").golden("error_not_found")
	s.do("PATCH", "/account/login", "").golden("error_method")
	s.do("GET", "/account/profile", "").golden("error_not_signed_in")
	s.do("GET", "/account/profile", "", bob.session()).golden("error_invalid_token")
	s.do("GET", "/account/profile", "", apiToken("a"), bearer("b")).golden("error_many_credentials")
	s.do("POST", "/account/login", `{"password":"wrong and long"}`).golden("error_login")
	s.do("POST", "/account/login", `{`).golden("error_json")
	s.do("POST", "/account/login", `x`, contentType("text/plain")).golden("error_content_type")
	s.do("POST", "/account/login", strings.Repeat(" ", 64<<10+1)).golden("error_too_large")
	s.do("PUT", "/account/password", "", local).golden("error_session_required")
	narrow := s.mint(with, api.NewToken{Permissions: []string{db.PermTokenSearch}})
	s.do("GET", "/security/user/_search", "", apiToken(narrow.AccessToken)).golden("error_not_permitted")
	s.do("POST", "/security/user", `{"email":"BOB@example.com","no_password":true}`, with).golden("error_conflict")
	s.do("GET", "/security/user/_search?from=-1", "", with).golden("error_page")
	s.do("POST", "/account/logout", "", cookie(admin.jwt), header("Origin", "https://evil.example")).golden("error_cross_origin")
	newBareServer(t).do("POST", "/account/login", `{"password":"anything"}`).golden("error_setup_required")
}
