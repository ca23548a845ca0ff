package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/console"
)

func quotas(q web.Quotas) func(*web.Config) { return func(c *web.Config) { c.Quotas = q } }

// Every route that is no GET says what it does to what is kept.
func TestEveryRouteSaysWhatItChanges(t *testing.T) {
	s := newServer(t)
	if err := s.AddUnsaid("POST", "/unsaid"); err == nil || !strings.Contains(err.Error(), "changes something") {
		t.Errorf("a POST that says nothing starts: %v", err)
	}
	if err := s.AddUnsaid("GET", "/acts"); err == nil {
		t.Error("a GET that acts and says nothing starts")
	}
	ways := map[string][]string{}
	for _, r := range s.Table() {
		if console.InHouse(r.Path) {
			if r.Method != "GET" && r.Effect != "calls the API" {
				t.Errorf("%s %s does %q", r.Method, r.Path, r.Effect)
			}
			continue
		}
		if r.Effect != "" {
			ways[r.Effect] = append(ways[r.Effect], r.Method+" "+r.Path)
		} else if r.Method != "GET" {
			t.Errorf("%s %s says nothing", r.Method, r.Path)
		}
	}
	// What is not counted before it is handled is a closed list.
	for effect, want := range map[string][]string{
		"asks": {"POST /account/login/passkey/_begin", "POST /account/passkeys/_begin", "POST /account/proof/passkey/_begin",
			"POST /assistant/_search", "POST /auth/access_token/_check", "POST /datasource/_search", "POST /mcp_server/_search", "POST /oauth/introspect", "POST /query/_search", "POST /security/rule/_test"},
		"ends": {"DELETE /account/sessions", "DELETE /account/sessions/:id", "DELETE /auth/access_token/:id",
			"GET /account/logout", "POST /account/logout", "POST /account/second_factor/_seen", "POST /oauth/revoke"},
		"calls the API": {"POST /connect", "POST /second-factor/codes/file", "POST /second-factor/passkey", "POST /second-factor/passkey/add", "POST /second-factor/totp", "POST /second-factor/totp/confirm"},
		"proves": {"POST /account/login", "POST /account/login/passkey/_finish", "POST /account/proof", "POST /account/proof/passkey/_finish",
			"POST /login/passkey", "POST /password", "POST /second-factor", "POST /second-factor/passkey/prove", "POST /setup/_initialize", "PUT /account/password"},
	} {
		slices.Sort(ways[effect])
		if !slices.Equal(ways[effect], want) {
			t.Errorf("%s: %v, want %v", effect, ways[effect], want)
		}
	}
}

// All credentials of a user share what the user may change; others are not
// concerned, and nor is who only looks.
func TestChangesPerMinute(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 6}))
	ann, bob := s.newUser("ann@example.com"), s.newUser("bob@example.com")
	first := s.mint(ann.session(), api.NewToken{Name: "a"})
	with := []edit{ann.session(), apiToken(first.AccessToken), s.signIn(ann).session(), cookie(ann.jwt)}
	paths := []struct{ method, path, body string }{
		{"POST", "/auth/request_access_token", `{"name":"b"}`},
		{"PUT", "/auth/access_token/" + first.ID, `{"name":"c"}`},
		{"POST", "/auth/access_token/" + first.ID + "/_rename", `{"name":"d"}`},
		{"POST", "/auth/access_token/" + first.ID + "/_rotate", `{"grace":"1h"}`},
		{"POST", "/auth/access_token", ``},
	}
	for i, p := range paths {
		s.do(p.method, p.path, p.body, with[i%len(with)]).want(200)
	}
	before := len(s.events())
	for i, p := range paths {
		a := s.do(p.method, p.path, p.body, with[(i+1)%len(with)]).want(429, api.CodeTooManyChanges)
		if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait != 10 {
			t.Errorf("%s %s: Retry-After %q", p.method, p.path, a.header.Get("Retry-After"))
		}
	}
	if after := len(s.events()); after != before {
		t.Errorf("%d entries of the audit log tell of what was refused", after-before)
	}
	s.do("GET", "/auth/access_token/_search", "", ann.session()).want(200)
	s.do("POST", "/auth/access_token/_check", jsonOf(api.TokenCheck{AccessToken: first.AccessToken}), ann.session()).want(200)
	s.mint(bob.session(), api.NewToken{})
	s.clock.advance(10 * time.Second)
	s.mint(ann.session(), api.NewToken{})
	s.do("POST", "/auth/access_token", "", ann.session()).want(429)
}

// Refused for want of a right costs nothing: it is no change.
func TestWhatIsNotPermittedIsNotCounted(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 2}))
	ann := s.newUser("ann@example.com")
	for range 5 {
		s.do("POST", "/security/user", `{"email":"x@example.com"}`, ann.session()).want(403, "not_permitted")
	}
	s.mint(ann.session(), api.NewToken{})
}

func TestChangesOfAdministratorsAreFree(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 2}))
	root := s.single()
	full := s.mint(root.session(), api.NewToken{})
	cut := s.mint(root.session(), api.NewToken{Permissions: []string{db.PermTokenCreate}})
	for range 5 {
		s.mint(apiToken(full.AccessToken), api.NewToken{})
		_, err := s.local.CreateToken(t.Context(), api.NewToken{})
		must(t, err)
	}
	// What was cut is held, and not to what the others did.
	must(t, s.spendAll(cut.AccessToken, 2))
	if err := s.spendAll(cut.AccessToken, 1); status(err) != 429 {
		t.Errorf("a token that was cut: %v", err)
	}
}

// spendAll mints n tokens with a token and returns the first refusal.
func (s *server) spendAll(token string, n int) error {
	for range n {
		if _, err := s.client(apiToken(token)).CreateToken(s.t.Context(), api.NewToken{}); err != nil {
			return err
		}
	}
	return nil
}

// A thief of a credential can't keep its owner from signing in, changing the
// password and ending what was stolen.
func TestAThiefDoesNotKeepTheOwnerOut(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 5}))
	ann := s.newUser("ann@example.com")
	stolen := s.mint(ann.session(), api.NewToken{})
	if err := s.spendAll(stolen.AccessToken, 10); status(err) != 429 {
		t.Fatalf("the thief: %v", err)
	}
	again := s.signIn(ann)
	s.do("DELETE", "/auth/access_token/"+stolen.ID, "", again.session()).want(200)
	s.do("DELETE", "/account/sessions", "", again.session()).want(200)
	next := "another fine day"
	s.secret(next)
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: next}), again.session()).want(200)
	s.do("POST", "/account/logout", "", again.session()).want(200)
}

// Sign-ins write: they count, once the password was right, and by every door.
func TestSignInsAreCounted(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 3}))
	ann := s.newUser("ann@example.com") // one
	form := "email=ann%40example.com&password=a+fine+day+for+ann%40example.com"
	s.signIn(ann)
	s.do("POST", "/account/login", form, contentType("application/x-www-form-urlencoded")).want(200)
	login := jsonOf(api.Login{Email: ann.email, Password: ann.password})
	before := len(s.events())
	s.do("POST", "/account/login", login).want(429, api.CodeTooManyChanges)
	s.do("POST", "/account/login", form, contentType("application/x-www-form-urlencoded")).want(429, api.CodeTooManyChanges)
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: "another fine day"}), ann.session()).want(429)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: "wrong password"})).want(403, "login_failed")
	if after := len(s.events()); after != before {
		t.Errorf("%d entries tell of what was refused", after-before)
	}
	for range 5 {
		s.signIn(&person{id: db.SingleUser, password: singlePassword})
		s.do("POST", "/account/logout", "", ann.session()).want(200)
	}
	s.clock.advance(20 * time.Second)
	s.signIn(ann)
}

func TestTokensPerUser(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Tokens: 3}))
	ann := s.newUser("ann@example.com")
	var ids []string
	for _, path := range []string{"/auth/access_token", "/auth/request_access_token", "/auth/access_token"} {
		var made api.TokenCreated
		s.do("POST", path, "", ann.session()).want(200).json(&made)
		ids = append(ids, made.ID)
	}
	for _, path := range []string{"/auth/access_token", "/auth/request_access_token"} {
		a := s.do("POST", path, "", ann.session()).want(429, "too_many_tokens")
		if a.header.Get("Retry-After") != "3600" || !strings.Contains(a.body, "max-tokens-per-user") {
			t.Errorf("%v %s", a.header, a.body)
		}
	}
	page := s.do("POST", "/connect", "product=coco&provider=x&request_id=7f9c24e5-2f1a-4d0b-8f53-6a1c9d0e3b7a", cookie(ann.jwt),
		contentType("application/x-www-form-urlencoded"), header("Accept", "text/html"))
	if page.status != 429 || !strings.Contains(page.body, "max-tokens-per-user") {
		t.Errorf("the page of a program: %d %s", page.status, page.body)
	}
	s.do("POST", "/auth/access_token/"+ids[0]+"/_rotate", "", ann.session()).want(200)
	s.mintFor(ann, api.NewToken{}) // by the owner of the file
	s.do("DELETE", "/auth/access_token/"+ids[0], "", ann.session()).want(200)
	s.do("DELETE", "/auth/access_token/"+ids[1], "", ann.session()).want(200)
	s.mint(ann.session(), api.NewToken{})
}

// Over the network, too, the longest unused session ends, and at once.
func TestSessionsPerUser(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Sessions: 3}))
	ann := s.newUser("ann@example.com")
	all := []*person{ann}
	for range 2 {
		s.clock.advance(time.Second)
		all = append(all, s.signIn(ann))
	}
	s.clock.advance(2 * time.Second)
	s.do("GET", "/account/profile", "", all[0].session()).want(200)
	s.clock.advance(2 * time.Second)
	newest := s.signIn(ann)
	for i, want := range []int{200, 401, 200} {
		s.do("GET", "/account/profile", "", all[i].session()).want(want)
	}
	s.do("GET", "/account/profile", "", newest.session()).want(200)
	if !slices.ContainsFunc(s.events(), func(e db.Event) bool { return e.Action == "session.evict" && e.Actor == ann.id }) {
		t.Error("the audit log does not tell of it")
	}
}

// Health warns of those who are held to no bound and are far beyond it, and
// names nobody.
func TestHealthWarnsOfExcess(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Tokens: 2, Changes: 2}))
	ann := s.newUser("ann@example.com")
	warnings := func() string {
		s.t.Helper()
		return s.do("GET", "/system/health", "", local).want(200).body
	}
	if w := warnings(); strings.Contains(w, "many_") {
		t.Errorf("a warning of nobody: %s", w)
	}
	for i := range 21 {
		s.mintFor(ann, api.NewToken{Name: fmt.Sprint("token ", i)})
	}
	s.clock.advance(11 * time.Minute)
	s.mintFor(ann, api.NewToken{})
	s.runNow(t)
	w := warnings()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(w, `"many_tokens"`) && time.Now().Before(deadline); {
		w = warnings()
	}
	if !strings.Contains(w, `"many_tokens"`) || strings.Contains(w, `"many_changes"`) || strings.Contains(w, ann.id) {
		t.Errorf("22 tokens of 2: %s", w)
	}
	for range 21 {
		s.do("POST", "/security/key/_rotate", "", local).want(200)
	}
	if w := warnings(); !strings.Contains(w, `"many_changes"`) {
		t.Errorf("21 changes of 2 a minute: %s", w)
	}
	if s.Excess() != db.LocalActor {
		t.Errorf("%q made them", s.Excess())
	}
	s.clock.advance(11 * time.Minute)
	if w := warnings(); strings.Contains(w, `"many_changes"`) {
		t.Errorf("long after: %s", w)
	}
}

// The newest thousand are all that an older client is shown: the rest is read
// by the list that has pages.
func TestCatIsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser("ann@example.com")
	for i := range 1005 {
		s.clock.advance(time.Millisecond)
		must(t, s.quickToken(ann.id, i))
	}
	var tokens []api.Token
	s.do("GET", "/auth/access_token/_cat", "", ann.session()).want(http.StatusOK).json(&tokens)
	if len(tokens) != 1000 || tokens[0].Name != "token 1004" {
		t.Errorf("%d tokens, the first is %s", len(tokens), tokens[0].Name)
	}
}

func (s *server) quickToken(owner string, i int) error {
	_, err := s.store.CreateToken(s.t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions},
		db.NewToken{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Hash: make([]byte, 32), Owner: owner, Name: fmt.Sprint("token ", i)})
	return err
}
