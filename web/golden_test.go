package web_test

import (
	"archive/tar"
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
	"husk/web/console"
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
	{regexp.MustCompile(`"after": "[\w-]+"`), `"after": "CURSOR"`},
	{regexp.MustCompile(`"password": "[^"]+"`), `"password": "PASSWORD"`},
	{regexp.MustCompile(`"uid \d+"`), `"UID"`},
	{regexp.MustCompile(`"[0-9a-f]{64}"`), `"SHA256"`},
	{regexp.MustCompile(`"request_id": "[0-9a-f]{12}-[0-9a-z]+"`), `"request_id": "REQUEST"`},
	{regexp.MustCompile(`"(records|size|free|bytes|store_bytes|store_free_bytes)": \d+`), `"$1": "NUMBER"`},
	{regexp.MustCompile(`"secret": "[A-Z2-7]{32}"`), `"secret": "SECRET"`},
	{regexp.MustCompile(`secret=[A-Z2-7]{32}`), `secret=SECRET`},
	{regexp.MustCompile(`"(\d)(-[0-9a-hjkmnp-tv-z]{4}){4}"`), `"$1-CODE"`},
	{regexp.MustCompile(`"ticket": "[^"]+"`), `"ticket": "TICKET"`},
	{regexp.MustCompile(`"state": "[^"]+"`), `"state": "STATE"`},
	{regexp.MustCompile(`"challenge": "[\w-]{43}"`), `"challenge": "CHALLENGE"`},
	{regexp.MustCompile(`("user": \{\s+"id": )"[\w-]{48}"`), `${1}"HANDLE"`},
	{regexp.MustCompile(`/assets/husk\.[0-9a-f]+\.`), `/assets/husk.HASH.`},
}

// undescribed are the golden answers to requests that no route is for.
var undescribed = map[string]bool{"error_not_found": true, "error_method": true}

// golden compares an answer with the file that is kept of it, status, the
// headers that clients read, body, and with what openapi.json says of it. What
// was asked stands first.
func (a answer) golden(name string) {
	a.t.Helper()
	method, path, _ := strings.Cut(a.what, " ")
	if fits := web.FitsOpenAPI(a.t.(*testing.T), method, path, a.header.Get("Content-Type"), a.status, []byte(a.body)); fits == undescribed[name] {
		a.t.Errorf("%s: openapi.json describes the request: %t", a.what, fits)
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\n%d\n", a.what, a.status)
	for _, h := range []string{"Content-Type", "Content-Disposition", "Cache-Control", "Allow", "WWW-Authenticate", "Retry-After", "Set-Cookie"} {
		for _, value := range a.header.Values(h) {
			value = regexp.MustCompile(`husk_session=[\w.-]+`).ReplaceAllString(value, "husk_session=JWT")
			value = regexp.MustCompile(`husk_device=[^;]+`).ReplaceAllString(value, "husk_device=DEVICE")
			fmt.Fprintf(&text, "%s: %s\n", h, value)
		}
	}
	text.WriteString("\n" + a.indented())
	got := text.String()
	for _, n := range normalisers {
		got = n.form.ReplaceAllString(got, n.by)
	}
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		must(a.t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(a.t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		a.t.Fatalf("%v (run the test with -update)", err)
	}
	if string(want) != got {
		a.t.Errorf("%s is not as in %s (see -update):\n%s\nwant\n%s", a.what, file, got, want)
	}
}

// indented is the body for people: JSON that was one line, or each of several,
// or the manifest of an archive.
func (a answer) indented() string {
	a.t.Helper()
	body, lines := a.body, 1
	switch a.header.Get("Content-Type") {
	case "application/x-ndjson":
		lines = strings.Count(body, "\n")
	case "application/x-tar":
		body = a.manifest()
	}
	if !strings.HasSuffix(body, "\n") || strings.Count(body, "\n") != lines {
		a.t.Errorf("%s: the body is not %d line(s): %.300q", a.what, lines, body)
	}
	var out bytes.Buffer
	for line := range strings.Lines(body) {
		if err := json.Indent(&out, []byte(line), "", "  "); err != nil {
			a.t.Fatalf("%s: %v in %.200q", a.what, err, line)
		}
	}
	return out.String()
}

// manifest is the one of a backup, on a line.
func (a answer) manifest() string {
	a.t.Helper()
	for archive := tar.NewReader(strings.NewReader(a.body)); ; {
		file, err := archive.Next()
		must(a.t, err)
		if file.Name == "manifest.json" {
			var m any
			must(a.t, json.NewDecoder(archive).Decode(&m))
			return jsonOf(m) + "\n"
		}
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
	s.do("GET", "/auth/access_token/"+made.ID+"/_usage", "", with).golden("token_usage")
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: made.AccessToken}), with).golden("token_check")
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: made.AccessToken}), with, from("198.51.100.7")).golden("token_check_refused")
	s.do("GET", "/auth/access_token/_search?owner=*&sort=name", "", with).golden("token_search")
	s.do("GET", "/auth/access_token/_search?owner=*&size=1", "", with).golden("token_search_page")
	s.do("PUT", "/auth/access_token/"+made.ID, `{"name":"deployment"}`, with).golden("token_update")
	s.do("DELETE", "/auth/access_token/"+made.ID, "", with).golden("token_delete")
	s.do("GET", "/auth/access_token/_ended?owner=*", "", with).golden("token_ended")
	s.do("GET", "/auth/access_token/_search?owner=*&filter=never", "", with).golden("token_search_filter")
	s.do("GET", "/auth/access_token/_search?filter=unusual", "", with).golden("error_filter")

	var sessions api.Search[api.Session]
	s.do("GET", "/security/session/_search?user=bob@example.com&size=1", "", with).json(&sessions)
	s.do("GET", "/security/session/"+sessions.Hits.Hits[0].ID, "", with).golden("session_read")

	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: bob.password, NewPassword: "nine crates of quinces"}), bob.session()).golden("password_change")
	s.do("POST", "/account/proof", jsonOf(api.Proof{Password: "nine crates of quinces"}), bob.session()).golden("proof")
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

func TestGoldenSessions(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	with := ann.session()
	s.clock.advance(time.Minute)
	first := s.signIn(ann)
	s.do("GET", "/account/sessions?sort=created:asc", "", with).golden("own_sessions")
	var page api.Search[api.Session]
	s.do("GET", "/account/sessions", "", with).json(&page)
	s.do("DELETE", "/account/sessions/"+page.Hits.Hits[0].ID, "", with).golden("own_session_end")
	s.do("GET", "/account/logout", "", first.session()).golden("logout_by_link")
	s.signIn(ann)
	s.do("DELETE", "/account/sessions", "", with).golden("own_sessions_end")
	s.do("GET", "/security/session/_search?user="+annEmail, "", admin.session()).golden("session_search")
	s.do("DELETE", "/security/session/"+page.Hits.Hits[1].ID, "", admin.session()).golden("session_end")
	s.do("DELETE", "/security/session?user="+annEmail, "", admin.session()).golden("sessions_end")

	s.do("POST", "/security/key/_rotate", "", admin.session()).golden("key_rotate")
	s.do("GET", "/security/key/_search?sort=created:asc", "", admin.session()).golden("key_search")
}

func TestGoldenSecondFactor(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	with := ann.session()
	begun := s.do("POST", "/account/totp", "", with)
	begun.golden("totp_begin")
	phone := s.phoneOf(begun)
	confirmed := s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: phone.next()}), with)
	confirmed.golden("totp_confirm")
	codes := s.recoveryOf(confirmed)
	s.do("GET", "/account/second_factor", "", with).golden("second_factor")
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: ann.password})).golden("error_second_factor_required")
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: ann.password, Code: phone.wrong()})).golden("error_login_code")
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: ann.password, Code: codes[0]})).golden("login_recovery")
	s.do("POST", "/account/second_factor/_seen", jsonOf(api.SeenNotices{Until: s.clock.now()}), with).golden("second_factor_seen")
	s.do("POST", "/account/recovery_codes", "", with).golden("recovery_codes")
	s.clock.advance(db.ProofLife)
	s.do("DELETE", "/account/totp", "", with).golden("error_proof_required")
	s.do("POST", "/account/proof", jsonOf(api.Proof{Code: phone.next()}), with).golden("proof_code")
	s.do("DELETE", "/account/totp", "", with).golden("totp_remove")
	s.withTOTP(ann)
	s.do("DELETE", "/security/user/"+annEmail+"/second_factor", "", s.single().session()).golden("second_factor_reset")
}

func TestGoldenPasskeys(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	with := ann.session()
	a := newSoftKey(t, passkeyOrigin)
	a.id = []byte("the id of the passkey of a test.")
	var asked api.NewPasskey
	begun := s.do("POST", "/account/passkeys/_begin", "", with)
	begun.golden("passkey_begin")
	begun.want(200).json(&asked)
	s.do("POST", "/account/passkeys/_finish", jsonOf(api.PasskeySetUp{State: asked.State, Name: "the key at home", Credential: a.create(asked)}), with).golden("passkey_finish")
	s.do("GET", "/account/passkeys", "", with).golden("passkeys")
	var all []api.Passkey
	s.do("GET", "/account/passkeys", "", with).want(200).json(&all)
	path := "/account/passkeys/" + all[0].ID
	s.do("GET", path, "", with).golden("passkey_read")

	var question api.PasskeyQuestion
	login := s.do("POST", "/account/login/passkey/_begin", "")
	login.golden("passkey_login_begin")
	login.want(200).json(&question)
	s.enterByPasskey(a.use(question)).golden("passkey_login_finish")
	s.enterByPasskey(a.use(question)).golden("error_challenge_spent")
	s.do("POST", "/account/login/passkey/_begin", jsonOf(api.PasskeyBegin{Ticket: s.ticketOf(ann)})).golden("passkey_login_begin_ticket")

	s.clock.advance(db.ProofLife)
	s.do("PUT", path, `{"name":"blue"}`, with).want(403, "proof_required")
	proof := s.do("POST", "/account/proof/passkey/_begin", "", with)
	proof.golden("passkey_proof_begin")
	proof.want(200).json(&question)
	s.do("POST", "/account/proof/passkey/_finish", jsonOf(a.use(question)), with).golden("passkey_proof_finish")
	s.do("PUT", path, `{"name":"blue"}`, with).golden("passkey_rename")
	s.do("DELETE", path, "", with).golden("passkey_remove")
	newServer(t).do("POST", "/account/login/passkey/_begin", "", onHost("nas.lan")).golden("error_passkeys_unavailable")
}

func TestGoldenTokens(t *testing.T) {
	s := newServer(t)
	with := s.newUser(annEmail).session()
	made := s.mint(with, api.NewToken{Name: "nightly"})
	s.clock.advance(time.Minute)
	s.do("POST", "/auth/access_token/"+made.ID+"/_rotate", `{"grace":"24h"}`, with).golden("token_rotate")
	s.clock.advance(time.Minute)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	s.do("GET", "/auth/access_token/_search", "", with).golden("token_search_grace")
	s.do("POST", "/auth/access_token/"+made.ID+"/_rename", `{"name":"weekly"}`, with).golden("token_rename")
	s.do("GET", "/auth/access_token/_cat", "", with).golden("token_cat")
	s.do("POST", "/auth/request_access_token", `{"name":"as older clients ask"}`, with).golden("token_request")
	begun := s.begin(made.ID, api.Rotate{Hold: true}, with)
	s.settle(made.ID, api.Settle{AccessToken: begun.AccessToken}, with).golden("token_settle")
}

func TestGoldenOAuth(t *testing.T) {
	s := newServer(t)
	by, ann := s.gateway(), s.newUser(annEmail)
	made := s.mintFor(ann, api.NewToken{})
	s.introspect(made.AccessToken, by).golden("oauth_introspect")
	s.revoke(made.AccessToken, ann.session()).golden("oauth_revoke")
	s.introspect(made.AccessToken, by).golden("oauth_introspect_inactive")
	s.do("POST", "/oauth/introspect", `{"token":"x"}`, by).golden("error_no_form")
	s.do("GET", "/.well-known/oauth-authorization-server", "").golden("oauth_authorization_server")
}

func TestGoldenPeople(t *testing.T) {
	s := newServer(t, wikiRules(t))
	with := s.single().session()
	s.do("POST", "/security/role", jsonOf(api.RoleChange{Name: "clerk", Description: ptr("looks people up"), Grants: &api.Grants{Permissions: []string{db.PermUserRead}}}), with).golden("role_create")
	s.do("GET", "/security/role/_search?sort=name:asc", "", with).golden("role_search")
	s.do("GET", "/security/role/clerk", "", with).golden("role_read")
	s.do("PUT", "/security/role/clerk", `{"description":"no more"}`, with).golden("role_update")
	s.do("PUT", "/security/role/admin", `{"description":"no more"}`, with).golden("error_role_builtin")
	s.do("DELETE", "/security/role/clerk", "", with).golden("role_delete")
	s.do("GET", "/security/permission", "", with).golden("permission")
	s.do("GET", "/security/rule", "", with).golden("rule_list")
	s.do("GET", "/account/applications", "", with, from("10.1.2.3")).golden("applications")
	s.do("POST", "/security/rule/_test", `{"url":"https://wiki.example.com/edit","method":"POST","user":"coco-default-user"}`, with).golden("rule_test")

	s.do("POST", "/security/user/_import", `{"email":"ann@example.com"}`+"\n", with, contentType("application/x-ndjson")).golden("user_import")
	s.do("POST", "/security/user/ann@example.com/_unlock", "", with).golden("user_unlock")
	s.do("GET", "/security/principal/_search?sort=name:asc", "", with).golden("principal_search")
}

func TestGoldenAudit(t *testing.T) {
	s := newServer(t)
	with := s.single().session()
	s.do("POST", "/auth/access_token", `{"name":"deploy"}`, with).want(200)
	s.do("GET", "/security/audit/_search?size=2", "", with).golden("audit_search")
	s.do("GET", "/security/audit/_export", "", with).golden("audit_export")
	s.do("GET", "/security/audit/_verify", "", with).golden("audit_verify")
	s.do("GET", "/security/audit/_head", "", with).golden("audit_head")
}

func TestGoldenSystem(t *testing.T) {
	bare := newBareServer(t, func(c *web.Config) { c.PublicURL = "https://id.example.com" })
	bare.do("GET", "/setting/application", "").golden("setting_application_setup")
	bare.do("POST", "/setup/_initialize", `{"password":"`+singlePassword+`"}`).golden("error_setup_code")
	bare.secret(singlePassword)
	bare.do("POST", "/setup/_initialize", `{"name":"Ann","email":"ann@example.com","password":"`+singlePassword+`","code":"`+bare.SetupCode()+`"}`).golden("setup_initialize")
	bare.do("GET", "/setting/application", "").golden("setting_application")
	bare.do("GET", "/provider/_info", "").golden("provider_info")

	s := newServer(t)
	with := s.single().session()
	s.do("GET", "/_info", "", with).golden("info")
	s.do("GET", "/settings", "", with).golden("settings")
	s.do("GET", "/_license/info", "").golden("license")
	s.do("POST", "/query/_search?query=x", "", with).golden("query_search")
	s.do("POST", "/datasource/_search", "", with).golden("datasource_search")
	s.do("POST", "/mcp_server/_search", "", with).golden("mcp_server_search")
	s.do("POST", "/assistant/_search", "", with).golden("assistant_search")
	s.do("GET", "/connector/_search", "", with).golden("connector_search")
	s.do("GET", "/system/health", "", with).golden("system_health")
	s.do("GET", "/system/statistics", "", with).golden("system_statistics")
	s.do("GET", "/system/check", "", with).golden("system_check")
	s.do("GET", "/system/backup", "", with).golden("system_backup")
}

func TestGoldenKept(t *testing.T) {
	s := newServer(t, keeping(t.TempDir()), func(c *web.Config) { c.Configuration = web.ConfigurationOfTests })
	with := s.single().session()
	s.do("GET", "/system/settings", "", with).golden("system_settings")
	made := s.do("POST", "/system/backup", "", with)
	made.golden("backup_make")
	s.do("POST", "/system/backup", "", with).golden("error_backup_just_made")
	s.do("GET", "/system/backup/_list", "", with).golden("backup_list")
	var file api.BackupFile
	made.json(&file)
	s.do("GET", "/system/backup/_file/"+file.Name, "", with).golden("backup_file")
	newServer(t).do("POST", "/system/backup", "", local).golden("error_no_backup_dir")
}

// What answers with something else than JSON: pages and what they name, which
// console_test.go and pages_test.go look at, and a file that is kept as it is.
var withoutGolden = regexp.MustCompile(`^(GET /(docs|docs/:name|favicon\.ico|openapi\.json|assets/:name|setup|login|password|second-factor|connect|continue)?|POST /(password|connect|login/passkey|second-factor(/.*)?))$`)

// Every endpoint has a golden file of a success.
func TestGoldenOfEveryRoute(t *testing.T) {
	missing := map[string]*regexp.Regexp{}
	for _, r := range newServer(t).Table() {
		if name := r.Method + " " + r.Path; !withoutGolden.MatchString(name) && !console.InHouse(r.Path) {
			missing[name] = regexp.MustCompile("^" + regexp.MustCompile(`:\w+`).ReplaceAllString(regexp.QuoteMeta(name), `[^/_][^/]*`) + `(\?.*)?\n200\n`)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for name, form := range missing {
			if form.Match(text) {
				delete(missing, name)
			}
		}
	}
	for name := range missing {
		t.Errorf("%s has no golden file", name)
	}
}
