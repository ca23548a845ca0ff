package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/token"
)

const inactive = `{"active":false}` + "\n"

// introspect asks what a token is worth, as an API gateway does.
func (s *server) introspect(secret string, with edit) answer {
	s.t.Helper()
	return s.do("POST", "/oauth/introspect", form("token", secret), with, contentType(formType))
}

func (s *server) revoke(secret string, with edit) answer {
	s.t.Helper()
	return s.do("POST", "/oauth/revoke", form("token", secret), with, contentType(formType))
}

// gateway is a robot that may introspect and nothing else.
func (s *server) gateway() edit {
	s.t.Helper()
	s.makeRole("gateway", db.PermTokenIntrospect)
	robot, err := s.local.CreateUser(s.t.Context(), api.NewUser{Email: "gateway@example.com", NoPassword: true, Roles: []string{"gateway"}})
	must(s.t, err)
	return apiToken(s.mintFor(&person{id: robot.User.ID}, api.NewToken{}).AccessToken)
}

// What is good is told in the form of RFC 7662, 2.2.
func TestIntrospectActive(t *testing.T) {
	s := newServer(t)
	by := s.gateway()
	s.makeRole("none")
	ann, nil_ := s.newUser(annEmail), s.newUser("nil@example.com", "none")
	now := s.clock.now().Unix()
	rights := strings.Join(db.NewPermissions([]string{db.PermTokenSearch, db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenDelete, db.PermPermissionRead}).Keys(), " ")
	want := func(scope string, exp int64) string {
		end := ""
		if exp != 0 {
			end = fmt.Sprintf(`"exp":%d,`, exp)
		}
		return fmt.Sprintf(`{"active":true,"scope":%q,"sub":%q,"username":%q,%s"iat":%d,"token_type":"Bearer"}`+"\n", scope, ann.id, annEmail, end, now)
	}
	never := s.mintFor(ann, api.NewToken{ExpireIn: db.Never})
	ends := s.mintFor(ann, api.NewToken{ExpireIn: now + 60})
	narrow := s.mintFor(ann, api.NewToken{ExpireIn: db.Never, Permissions: []string{db.PermTokenSearch, db.PermPermissionRead}})
	s.clock.advance(time.Second)
	for name, c := range map[string]struct{ secret, want string }{
		"a token without an end": {never.AccessToken, want(rights, 0)},
		"a token with an end":    {ends.AccessToken, want(rights, now+60)},
		"a narrow token":         {narrow.AccessToken, want(db.PermTokenSearch+" "+db.PermPermissionRead, 0)},
		"a session":              {ann.jwt, want(rights, now+24*60*60)},
	} {
		for range 2 { // as it is found out, and as it is remembered
			a := s.introspect(c.secret, by).want(200)
			wantScope, gotScope := scopeOf(t, c.want), scopeOf(t, a.body)
			if !slices.Equal(wantScope, gotScope) {
				t.Errorf("%s has the scope %q, want %q", name, gotScope, wantScope)
			}
			if strip(a.body) != strip(c.want) {
				t.Errorf("%s is worth %s, want %s", name, a.body, c.want)
			}
			if a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %v", name, a.header)
			}
		}
	}
	if a := s.introspect(nil_.jwt, by).want(200); !strings.Contains(a.body, `"active":true,"scope":"",`) {
		t.Errorf("without a permission: %s", a.body)
	}
	// All permissions are told by name, those of applications too.
	s.makeRole("wiki", ownKey)
	var w api.OAuthIntrospection
	admin := s.single()
	s.introspect(admin.jwt, by).want(200).json(&w)
	if w.Scope == nil || *w.Scope != strings.Join(knownPermissions(ownKey), " ") || w.Sub != db.SingleUser || w.Username != db.SingleUser {
		t.Errorf("an administrator: %+v", w)
	}
}

// scopeOf is the scope of an answer, sorted: its order says nothing (RFC 6749, 3.3).
func scopeOf(t *testing.T, body string) []string {
	t.Helper()
	var w api.OAuthIntrospection
	answer{t: t, body: body}.json(&w)
	if w.Scope == nil {
		return nil
	}
	return slices.Sorted(strings.FieldsSeq(*w.Scope))
}

// strip takes the scope out of an answer.
func strip(body string) string {
	before, rest, _ := strings.Cut(body, `"scope":"`)
	_, after, _ := strings.Cut(rest, `"`)
	return before + after
}

// A secret beside the token's own is told as what it is: it ends with its grace.
func TestIntrospectRotated(t *testing.T) {
	s := newServer(t)
	by, ann := s.gateway(), s.newUser(annEmail)
	with := ann.session()
	made, began := s.mint(with, api.NewToken{ExpireIn: db.Never}), s.clock.now().Unix()
	worth := func(secret string) (w api.OAuthIntrospection) {
		t.Helper()
		s.introspect(secret, by).want(200).json(&w)
		return w
	}
	s.clock.advance(time.Minute)
	next := s.rotate(made.ID, api.Rotate{Grace: "1h"}, with)
	if w := worth(made.AccessToken); !w.Active || w.Exp != began+60+3600 || w.Iat != began {
		t.Errorf("in its grace: %+v", w)
	}
	if w := worth(next.AccessToken); !w.Active || w.Exp != 0 || w.Iat != began+60 {
		t.Errorf("the new one: %+v", w)
	}
	s.clock.advance(time.Hour)
	with = s.signIn(ann).session() // what never ends needs a fresh proof
	held := s.begin(made.ID, api.Rotate{Hold: true}, with)
	if w := worth(held.AccessToken); !w.Active || w.Iat != began+60+3600 {
		t.Errorf("held: %+v", w)
	}
	if a := s.introspect(made.AccessToken, by).want(200); a.body != inactive {
		t.Errorf("after its grace: %s", a.body)
	}
	s.settle(made.ID, api.Settle{AccessToken: held.AccessToken}, with).want(200)
	if a := s.introspect(next.AccessToken, by).want(200); a.body != inactive {
		t.Errorf("replaced: %s", a.body)
	}
}

// Whatever is the matter with a token, there is one answer, which tells nothing of
// it: RFC 7662, 2.2.
func TestIntrospectInactive(t *testing.T) {
	s := newServer(t)
	by, ann := s.gateway(), s.newUser(annEmail)
	good := s.mintFor(ann, api.NewToken{}).AccessToken
	if w := s.introspect(good, by).want(200); w.body == inactive {
		t.Fatal("the good one is not active")
	}
	absent, _ := token.New()
	foreign := newServer(t)
	theirs := foreign.single() // of the same id, name and issuer
	flipped := "0"
	if strings.HasSuffix(good, "0") {
		flipped = "1"
	}
	head, rest, _ := strings.Cut(ann.jwt, ".")
	_, signature, _ := strings.Cut(rest, ".")
	for name, text := range map[string]string{
		"unknown":                  absent,
		"cut":                      good[:len(good)-1],
		"with a bad checksum":      good[:len(good)-1] + flipped,
		"an id alone":              good[:36],
		"with a space":             good + " ",
		"in capitals":              strings.ToUpper(good),
		"a JWT of another husk":    theirs.jwt,
		"a token of another husk":  foreign.mintFor(theirs, api.NewToken{}).AccessToken,
		"a JWT without signature":  strings.TrimSuffix(ann.jwt, signature),
		"a JWT of no algorithm":    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + strings.Split(ann.jwt, ".")[1] + ".",
		"a JWT's head":             head,
		"the secret of a session":  jtiOf(ann.jwt),
		"a JWT with its scheme":    "Bearer " + ann.jwt,
		"both, one after another":  good + "," + ann.jwt,
		"a word":                   "x",
		"spaces":                   "   ",
		"NUL":                      "\x00",
		"no UTF-8":                 "\xff\xfe",
		"as long as a credential":  strings.Repeat("a", 8<<10),
		"too long":                 strings.Repeat("a", 8<<10+1),
		"a token, and then much":   good + strings.Repeat("0", 9<<10),
		"many dots":                strings.Repeat(".", 60<<10),
		"lines":                    ann.jwt + "\r\n",
		"a JSON object":            `{"token":"` + good + `"}`,
		"the single user's id":     db.SingleUser,
		"another form inside it":   "token=" + good,
		"a header inside it":       "X-API-TOKEN: " + good,
		"a hash of the good token": fmt.Sprintf("%x", token.Hash(good)),
	} {
		for range 2 {
			if a := s.introspect(text, by).want(200); a.body != inactive {
				t.Errorf("%s: %s", name, a.body)
			}
		}
	}
}

// What was good and was remembered so is not from the moment on at which it ends.
func TestIntrospectEnded(t *testing.T) {
	disable := func(s *server, ann *person, _ string) {
		_, err := s.local.UpdateUser(s.t.Context(), ann.id, api.UserUpdate{Disabled: ptr(true)})
		must(s.t, err)
	}
	remove := func(s *server, ann *person, _ string) {
		_, err := s.local.DeleteUser(s.t.Context(), ann.id)
		must(s.t, err)
	}
	expire := func(s *server, _ *person, _ string) { s.clock.advance(2 * time.Hour) }
	for name, c := range map[string]struct {
		session bool
		end     func(s *server, ann *person, id string)
	}{
		"token/expired":  {false, expire},
		"token/disabled": {false, disable},
		"token/deleted":  {false, remove},
		"token/revoked": {false, func(s *server, _ *person, id string) {
			_, err := s.local.DeleteToken(s.t.Context(), id)
			must(s.t, err)
		}},
		"token/bound": {false, func(s *server, ann *person, id string) {
			_, err := s.local.UpdateToken(s.t.Context(), id, api.TokenUpdate{Name: "bound", AllowedIPs: &[]string{stranger}})
			must(s.t, err)
		}},
		"session/expired":    {true, expire},
		"session/disabled":   {true, disable},
		"session/deleted":    {true, remove},
		"session/signed out": {true, func(s *server, ann *person, _ string) { s.do("POST", "/account/logout", "", ann.session()).want(200) }},
		"session/keys": {true, func(s *server, _ *person, _ string) {
			s.do("POST", "/security/key/_rotate", `{"now":true}`, local).want(200)
		}},
		"session/password": {true, func(s *server, ann *person, _ string) { s.setPassword(ann.id, "another fine day for ann") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(c *web.Config) { c.SessionTTL = time.Hour })
			by, ann := s.gateway(), s.newUser(annEmail)
			made := s.mintFor(ann, api.NewToken{ExpireIn: s.clock.now().Add(time.Hour).Unix()})
			secret := map[bool]string{true: ann.jwt, false: made.AccessToken}[c.session]
			if a := s.introspect(secret, by).want(200); a.body == inactive {
				t.Fatal("it is not active before")
			}
			c.end(s, ann, made.ID)
			if a := s.introspect(secret, by).want(200); a.body != inactive {
				t.Errorf("it is active: %s", a.body)
			}
		})
	}
}

// A token that is good from some addresses, or for some requests, alone is not
// promised to be good, also to one who asks from there.
func TestIntrospectBoundToPlace(t *testing.T) {
	s := newServer(t)
	by, ann := s.gateway(), s.newUser(annEmail)
	for _, limit := range []api.NewToken{
		{AllowedIPs: []string{stranger}}, {AllowedIPs: []string{"0.0.0.0/0", "::/0"}},
		{AllowedHosts: []string{"wiki.example.com"}}, {AllowedPaths: []string{"/"}}, {AllowedMethods: []string{"GET"}},
	} {
		made := s.mintFor(ann, limit)
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(map[bool]int{true: 200, false: 401}[len(limit.AllowedIPs) > 0])
		if a := s.introspect(made.AccessToken, by).want(200); a.body != inactive {
			t.Errorf("%s: %s", jsonOf(limit), a.body)
		}
		s.revoke(made.AccessToken, ann.session()).want(200)
		if _, err := s.store.Token(t.Context(), made.ID); err == nil {
			t.Errorf("%s can't be ended", jsonOf(limit))
		}
	}
}

// A session that may do nothing but change its password is not active; a token of
// the same user is.
func TestIntrospectGeneratedPassword(t *testing.T) {
	s := newServer(t)
	by := s.gateway()
	bob, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "bob@example.com"})
	must(t, err)
	s.secret(bob.Password)
	in := s.signIn(&person{id: bob.User.ID, email: "bob@example.com", password: bob.Password})
	if a := s.introspect(in.jwt, by).want(200); a.body != inactive {
		t.Errorf("before the change: %s", a.body)
	}
	if a := s.introspect(s.mintFor(in, api.NewToken{}).AccessToken, by).want(200); a.body == inactive {
		t.Error("a token of the user is not active")
	}
	s.secret(fresh)
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: bob.Password, NewPassword: fresh}), in.session()).want(200)
	if a := s.introspect(in.jwt, by).want(200); a.body == inactive {
		t.Error("after the change it is not active")
	}
}

func TestOAuthForms(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	by := admin.session()
	good := s.mintFor(ann, api.NewToken{}).AccessToken
	for _, path := range []string{"/oauth/introspect", "/oauth/revoke"} {
		for name, c := range map[string]struct {
			body, media string
			status      int
			code        string
		}{
			"JSON":                {`{"token":"` + good + `"}`, "application/json", 415, "content_type"},
			"JSON called a form":  {`{"token":"` + good + `"}`, formType, 415, "content_type"},
			"a plain text":        {good, "text/plain", 415, "content_type"},
			"multipart":           {"--x\r\n", "multipart/form-data; boundary=x", 415, "content_type"},
			"no type":             {form("token", good), "", 415, "content_type"},
			"nothing":             {"", formType, 400, "invalid_request"},
			"no token":            {form("token_type_hint", "access_token"), formType, 400, "invalid_request"},
			"an empty token":      {"token=", formType, 400, "invalid_request"},
			"a token under alias": {form("access_token", good), formType, 400, "invalid_request"},
			"a typo":              {form("tokens", good), formType, 400, "unknown_member"},
			"twice":               {form("token", good) + "&" + form("token", good), formType, 400, "duplicate_member"},
			"twice, once empty":   {form("token", good) + "&token=", formType, 400, "duplicate_member"},
			"no form":             {"token=%zz", formType, 400, "bad_form"},
			"too large":           {form("token", strings.Repeat("a", 65<<10)), formType, 413, "body_too_large"},
		} {
			a := s.do("POST", path, c.body, by, contentType(c.media)).want(c.status, c.code)
			if c.status == 415 && !strings.Contains(a.body, formType) {
				t.Errorf("%s: the reason does not say what is read: %s", name, a.body)
			}
		}
		s.do("POST", path+"?token="+good, "", by, contentType(formType)).want(400, "invalid_request")
		s.do("GET", path+"?token="+good, "", by).want(405)
		s.do("POST", path, form("token", good), cookie(admin.jwt), contentType(formType), header("Sec-Fetch-Site", "cross-site")).want(403, "cross_origin")
		s.do("POST", path, form("token", good), cookie(good), contentType(formType)).want(401, "invalid_token")
	}
	s.do("GET", "/account/profile", "", apiToken(good)).want(200)
	// What clients send along, and how they write the type, makes no difference.
	for _, hint := range []string{"access_token", "refresh_token", "jwt", ""} {
		body := form("token", good, "token_type_hint", hint, "client_id", "wiki", "client_secret", "x")
		if a := s.do("POST", "/oauth/introspect", body, by, contentType(formType+"; charset=UTF-8")).want(200); a.body == inactive {
			t.Errorf("with the hint %q it is not active", hint)
		}
	}
}

// Who asks may show an API token as OAuth's programs do; elsewhere that stays
// refused.
func TestOAuthBearer(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mintFor(ann, api.NewToken{})
	with := bearer(s.mintFor(&person{id: db.SingleUser}, api.NewToken{Permissions: []string{db.PermTokenIntrospect}}).AccessToken)
	if a := s.introspect(made.AccessToken, with).want(200); a.body == inactive {
		t.Error("it is not active")
	}
	s.introspect(made.AccessToken, bearer("x")).want(401, "invalid_token").challenge(challengeInvalid)
	s.introspect(made.AccessToken, nobody).want(401, "not_signed_in").challenge(challengeNone)
	s.introspect(made.AccessToken, ann.session()).want(403, "not_permitted").challenge(challengeScope)
	bound := s.mintFor(&person{id: db.SingleUser}, api.NewToken{AllowedIPs: []string{"198.51.100.0/24"}})
	s.introspect(made.AccessToken, bearer(bound.AccessToken)).want(401, "invalid_token")
	s.do("GET", "/account/profile", "", bearer(made.AccessToken)).want(401, "invalid_token")
	s.revoke(made.AccessToken, bearer(made.AccessToken)).want(200)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401)
}

// What is remembered of a text that was introspected opens nothing that the text
// does not, in whatever place it is shown afterwards.
func TestIntrospectedIsOfItsKind(t *testing.T) {
	s := newServer(t)
	by, ann := s.gateway(), s.newUser(annEmail)
	secret := s.mintFor(ann, api.NewToken{}).AccessToken
	for range 2 {
		s.introspect(secret, by).want(200)
		s.introspect(ann.jwt, by).want(200)
		for name, with := range map[string]edit{
			"a token as Bearer": bearer(secret), "a token as cookie": cookie(secret), "a JWT as X-API-TOKEN": apiToken(ann.jwt),
		} {
			if a := s.do("GET", "/account/profile", "", with); a.status != 401 {
				t.Errorf("%s = %d", name, a.status)
			}
		}
		s.do("GET", "/account/profile", "", apiToken(secret)).want(200)
		s.do("GET", "/account/profile", "", ann.session()).want(200)
	}
}

// To introspect is no use of what is shown, and leaves nothing behind.
func TestIntrospectLeavesNothing(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.SessionIdle = time.Hour })
	by, ann := s.gateway(), s.newUser(annEmail)
	made, bound := s.mintFor(ann, api.NewToken{}), s.mintFor(ann, api.NewToken{AllowedIPs: []string{stranger}})
	absent, _ := token.New()
	s.introspect(absent, by).want(200)
	must(t, s.store.FlushLastUsed(t.Context())) // that the gateway's own token is used from a new address is told once
	events, lines := len(s.events()), strings.Count(s.log.String(), "\n")
	for range 5 {
		s.clock.advance(10 * time.Minute)
		for _, secret := range []string{made.AccessToken, bound.AccessToken, ann.jwt, absent, "x"} {
			s.introspect(secret, by).want(200)
		}
	}
	must(t, s.store.FlushLastUsed(t.Context()))
	if got := s.events(); len(got) != events {
		t.Errorf("the audit log has new entries: %+v", got[events:])
	}
	if log := s.log.String(); strings.Count(log, "\n") != lines {
		t.Errorf("the log has new lines:\n%s", log)
	}
	for _, id := range []string{made.ID, bound.ID} {
		shown, err := s.local.GetToken(t.Context(), id)
		if err != nil || shown.Source.LastUsed != nil {
			t.Errorf("a look counts as a use: %+v, %v", shown.Source, err)
		}
	}
	// Nor does it keep a session alive that nobody uses.
	s.clock.advance(10 * time.Minute)
	if a := s.introspect(ann.jwt, by).want(200); a.body != inactive {
		t.Errorf("after an hour without a use: %s", a.body)
	}
}

// Who keeps an eye on a token sees it end in the same moment.
func TestRevokedIsInactiveAtOnce(t *testing.T) {
	s := newServer(t)
	by, ann := s.gateway(), s.newUser(annEmail)
	for range 10 {
		secret := s.mint(ann.session(), api.NewToken{}).AccessToken
		done := make(chan struct{})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-done:
						if a := s.introspect(secret, by); a.body != inactive {
							t.Errorf("it is revoked, and %s", a.body)
						}
						return
					default:
						if a := s.introspect(secret, by); a.status != 200 {
							t.Errorf("%d %s", a.status, a.body)
							return
						}
					}
				}
			})
		}
		s.revoke(secret, ann.session()).want(200)
		close(done)
		asking.Wait()
	}
}

func TestRevoke(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	narrow := s.mintFor(ann, api.NewToken{Permissions: []string{db.PermPermissionRead}})
	reads := apiToken(narrow.AccessToken)
	gone := func(with edit) {
		t.Helper()
		s.do("GET", "/account/profile", "", with).want(401, "invalid_token")
	}
	stays := func(with edit) {
		t.Helper()
		s.do("GET", "/account/profile", "", with).want(200)
	}
	ends := func(secret string, with edit) {
		t.Helper()
		if a := s.revoke(secret, with).want(200); a.body != "{}\n" {
			t.Errorf("the answer is %q", a.body)
		}
	}
	told := func(action, target string) {
		t.Helper()
		if e := s.lastEvent(); e.Action != action || e.Target != target || e.Actor != ann.id || e.ActorName != annEmail || e.Address != stranger {
			t.Errorf("the audit log has %s, want %s of %s", jsonOf(e), action, target)
		}
	}
	// By a session, and by another token of one's own that may not delete: it is
	// shown in full.
	for _, with := range []edit{ann.session(), cookie(ann.jwt), reads} {
		made := s.mintFor(ann, api.NewToken{})
		ends(made.AccessToken, with)
		gone(apiToken(made.AccessToken))
		told("token.delete", made.ID)
		if !strings.Contains(s.log.String(), `"msg":"token deleted"`) {
			t.Error("the log has no line of it")
		}
	}
	// A token that is bound to a place, from elsewhere: its holder can end nothing by it.
	bound := s.mintFor(ann, api.NewToken{AllowedIPs: []string{"198.51.100.0/24"}})
	ends(bound.AccessToken, ann.session())
	told("token.delete", bound.ID)
	// Sessions.
	other := s.signIn(ann)
	ends(other.jwt, reads)
	gone(other.session())
	if e := s.lastEvent(); e.Action != "session.logout" || e.Actor != ann.id || e.TargetName != annEmail {
		t.Errorf("the audit log has %s", jsonOf(e))
	}
	if !strings.Contains(s.log.String(), `"msg":"sign-out"`) {
		t.Error("the log has no line of it")
	}
	stays(ann.session())
	// What is not one's own stays, whoever asks, and nothing says so.
	theirs, before := s.mintFor(bob, api.NewToken{}), len(s.events())
	admin := s.single()
	after := len(s.events())
	absent, _ := token.New()
	for _, with := range []edit{ann.session(), reads, admin.session(), local} {
		for _, text := range []string{theirs.AccessToken, bob.jwt, absent, "x", bound.AccessToken, other.jwt, narrow.ID, narrow.AccessToken[:80], strings.Repeat("x", 9<<10)} {
			ends(text, with)
		}
	}
	if n := len(s.events()); n != after || after-before != 1 {
		t.Errorf("%d entries of nothing", n-after)
	}
	stays(apiToken(theirs.AccessToken))
	stays(bob.session())
	stays(reads)
	// What was shown to ask.
	ends(narrow.AccessToken, reads)
	told("token.delete", narrow.ID)
	gone(reads)
	s.revoke(narrow.AccessToken, reads).want(401, "invalid_token")
	ends(ann.jwt, ann.session())
	gone(ann.session())
	s.revoke(ann.jwt, nobody).want(401, "not_signed_in")
}

// A secret that is good beside the token's own ends alone: who has the one that was
// replaced does not end what took its place.
func TestRevokeRotated(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	with := ann.session()
	good := func(secret string, want bool) {
		t.Helper()
		s.do("GET", "/account/profile", "", apiToken(secret)).want(map[bool]int{true: 200, false: 401}[want])
	}
	made := s.mint(with, api.NewToken{})
	next := s.rotate(made.ID, api.Rotate{Grace: "1h"}, with)
	s.revoke(made.AccessToken, apiToken(made.AccessToken)).want(200, "")
	good(made.AccessToken, false)
	good(next.AccessToken, true)
	if e := s.lastEvent(); e.Action != "token.update" || e.Target != made.ID {
		t.Errorf("the audit log has %s", jsonOf(e))
	}
	held := s.begin(made.ID, api.Rotate{Hold: true}, with)
	good(held.AccessToken, true)
	s.revoke(held.AccessToken, with).want(200)
	good(held.AccessToken, false)
	good(next.AccessToken, true)
	if e := s.lastEvent(); e.Action != "token.rotate_undo" || e.Target != made.ID {
		t.Errorf("the audit log has %s", jsonOf(e))
	}
	// One that is not good any more ends nothing.
	before := len(s.events())
	for _, old := range []string{made.AccessToken, held.AccessToken} {
		s.revoke(old, with).want(200)
	}
	if n := len(s.events()) - before; n != 0 {
		t.Errorf("%d entries of nothing", n)
	}
	good(next.AccessToken, true)
	s.revoke(next.AccessToken, with).want(200)
	good(next.AccessToken, false)
}

// Of many at once one ends it, and none fails.
func TestRevokeAtOnce(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	secret, other := s.mint(ann.session(), api.NewToken{}).AccessToken, s.signIn(ann)
	var asking sync.WaitGroup
	for range 16 {
		for _, text := range []string{secret, other.jwt} {
			asking.Go(func() {
				if a := s.revoke(text, ann.session()); a.status != http.StatusOK {
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
	}
	asking.Wait()
	ended := map[string]int{}
	for _, e := range s.events() {
		ended[e.Action]++
	}
	if ended["token.delete"] != 1 || ended["session.logout"] != 1 {
		t.Errorf("there are %v", ended)
	}
}

// A user who must change the password first, or has used up the changes, is told
// so, and may end what is theirs.
func TestRevokeIsNotCounted(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.Quotas.Changes = 1 })
	ann := s.newUser(annEmail)
	secret := s.mintFor(ann, api.NewToken{}).AccessToken
	for s.do("POST", "/auth/access_token", "", ann.session()).status == 200 {
	}
	s.do("POST", "/auth/access_token", "", ann.session()).want(429)
	s.revoke(secret, ann.session()).want(200)
	s.do("GET", "/account/profile", "", apiToken(secret)).want(401)
}

// RFC 8414, 2: what is left out has a default there, and none of the defaults is
// true.
func TestAuthorizationServer(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.PublicURL = "https://id.example.com" })
	s.do("GET", "/.well-known/oauth-authorization-server", "", onHost("evil.example")).want(200).like(`{
		"issuer": "https://id.example.com",
		"introspection_endpoint": "https://id.example.com/oauth/introspect", "introspection_endpoint_auth_methods_supported": ["Bearer"],
		"revocation_endpoint": "https://id.example.com/oauth/revoke", "revocation_endpoint_auth_methods_supported": ["Bearer"],
		"response_types_supported": [], "grant_types_supported": []}`)
	a := newServer(t).do("GET", "/.well-known/oauth-authorization-server", "").want(200).like(`{
		"issuer": "http://localhost",
		"introspection_endpoint": "http://localhost/oauth/introspect", "introspection_endpoint_auth_methods_supported": ["Bearer"],
		"revocation_endpoint": "http://localhost/oauth/revoke", "revocation_endpoint_auth_methods_supported": ["Bearer"],
		"response_types_supported": [], "grant_types_supported": []}`)
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", a.header)
	}
}
