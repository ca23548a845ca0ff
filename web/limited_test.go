package web_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
	"husk/web"
	"husk/web/api"
	"husk/web/console"
)

// worth says of every route what it is worth to who shows a limited token. A
// route that is not here fails the test: say what it makes before it ships.
//
//	public       it reads no credential, or asks for a proof of its own
//	session      it is for none but sessions
//	reads        it makes nothing
//	takes away   it makes nothing
//	bound        what it makes is a token, or a secret of one, no wider than the token shown
//	refused      403 limited_credential for each of the bodies in makers
//	partly       the same; what only takes away, or is a name for people, is allowed
var worth = map[string]string{
	"GET /health": "public", "GET /livez": "public", "GET /readyz": "public", "GET /openapi.json": "public", "GET /docs": "public", "GET /docs/:name": "public",
	"GET /assets/:name": "public", "GET /setting/application": "public", "GET /provider/_info": "public",
	"GET /setup": "public", "GET /login": "public", "GET /favicon.ico": "public", "GET /_license/info": "public",
	"POST /query/_search": "reads", "POST /datasource/_search": "reads", "POST /mcp_server/_search": "reads", "POST /assistant/_search": "reads", "GET /connector/_search": "reads",
	"POST /account/login": "public", "POST /setup/_initialize": "public", "GET /account/logout": "public", "POST /account/logout": "public",

	"PUT /account/password": "session", "POST /account/proof": "session", "GET /account/sessions": "session", "DELETE /account/sessions": "session", "DELETE /account/sessions/:id": "session",
	"GET /account/second_factor": "session", "POST /account/second_factor/_seen": "session", "POST /account/recovery_codes": "session",
	"POST /account/totp": "session", "PUT /account/totp": "session", "DELETE /account/totp": "session",
	"GET /account/passkeys": "session", "GET /account/passkeys/:id": "session", "PUT /account/passkeys/:id": "session", "DELETE /account/passkeys/:id": "session",
	"POST /account/passkeys/_begin": "session", "POST /account/passkeys/_finish": "session", "POST /account/proof/passkey/_begin": "session", "POST /account/proof/passkey/_finish": "session",
	"POST /account/login/passkey/_begin": "public", "POST /account/login/passkey/_finish": "public", "POST /login/passkey": "public",
	"GET /second-factor": "session", "POST /second-factor": "session", "POST /second-factor/totp": "session", "POST /second-factor/totp/confirm": "session", "POST /second-factor/codes/file": "session",
	"POST /second-factor/passkey": "session", "POST /second-factor/passkey/add": "session", "POST /second-factor/passkey/prove": "session",
	"GET /": "session", "GET /password": "session", "POST /password": "session", "GET /connect": "session", "POST /connect": "session", "GET /continue": "session",

	"GET /account/profile": "reads", "GET /account/applications": "reads", "GET /_info": "reads", "GET /settings": "reads",
	"GET /auth/access_token/:id/_usage": "reads", "GET /auth/access_token/_search": "reads", "GET /auth/access_token/_ended": "reads", "GET /auth/access_token/_cat": "reads", "GET /auth/access_token/:id": "reads", "POST /auth/access_token/_check": "reads",
	"GET /security/session/_search": "reads", "GET /security/session/:id": "reads", "GET /security/key/_search": "reads",
	"GET /security/user/_search": "reads", "GET /security/user/:id": "reads", "GET /security/principal/_search": "reads",
	"GET /security/role/_search": "reads", "GET /security/role/:id": "reads", "GET /security/permission": "reads", "GET /security/rule": "reads", "POST /security/rule/_test": "reads",
	"GET /security/audit/_search": "reads", "GET /security/audit/_export": "reads", "GET /security/audit/_verify": "reads", "GET /security/audit/_head": "reads",
	"GET /system/statistics": "reads", "GET /system/health": "reads", "GET /system/check": "reads", "GET /system/backup": "reads",
	"GET /system/settings": "reads", "GET /system/backup/_list": "reads", "GET /system/backup/_file/:id": "reads",
	"POST /system/backup": "reads", // what it makes stays on the machine, and lets nobody do more

	"POST /oauth/introspect": "reads", "GET /.well-known/oauth-authorization-server": "public",
	"POST /oauth/revoke": "takes away", // what is shown in full

	"DELETE /auth/access_token/:id": "takes away", "DELETE /security/session/:id": "takes away", "DELETE /security/session": "takes away",
	"DELETE /security/user/:id": "takes away", "DELETE /security/role/:id": "takes away",
	"POST /security/user/:id/_unlock": "takes away", // a delay

	"DELETE /security/user/:id/second_factor": "takes away",
	"POST /security/key/_rotate":              "takes away", // nobody is shown the key that it makes

	"POST /auth/access_token": "bound", "POST /auth/request_access_token": "bound", "PUT /auth/access_token/:id": "bound",
	"POST /auth/access_token/:id/_rotate": "bound", "POST /auth/access_token/:id/_rename": "bound", "POST /auth/access_token/:id/_settle": "bound",

	"POST /security/user": "refused", "POST /security/user/_import": "refused", "POST /security/role": "refused",
	"PUT /security/user/:id": "partly", "PUT /security/role/:id": "partly",
}

// makers are bodies that would make what outlives the token, and nothing that
// is refused for another reason.
var makers = map[string][]string{
	"POST /security/user":         {`{"email":"made@example.com","password":"` + fresh + `","roles":["low"]}`, `{"email":"made@example.com","no_password":true,"roles":["user"]}`},
	"POST /security/user/_import": {`{"email":"made@example.com","roles":["low"]}`, `{"email":"made@example.com","disabled":true}`},
	"PUT /security/user/:id":      {`{"disabled":false}`, `{"roles":["low","high"]}`, `{"roles":["user"]}`, `{"email":"boss@example.com"}`},
	"POST /security/role":         {`{"name":"made","grants":{"permissions":["` + ownKey + `"]}}`, `{"name":"made"}`},
	"PUT /security/role/:id":      {`{"grants":{"permissions":["` + ownKey + `","` + ownKey2 + `"]}}`, `{"grants":{"permissions":["` + ownKey2 + `"]}}`},
}

// greedy asks for all that any route knows.
const greedy = `{"name":"greedy","email":"greedy@example.com","password":"` + fresh + `","roles":["admin"],"disabled":false,"no_password":false,` +
	`"grants":{"permissions":["*"]},"permissions":["*"],"expire_in":-1,"allowed_ips":[],"owner":"` + db.SingleUser + `","grace":"9999h"}`

// The same of one kind of route alone: what looks like a member there and is one
// of another's is refused for that.
const (
	greedyToken = `{"name":"greedy","description":"","permissions":["*"],"expire_in":-1,"allowed_ips":[],"owner":"` + db.SingleUser + `"}`
	greedyRole  = `{"name":"greedy","grants":{"permissions":["*"]}}`
	greedyUser  = `{"name":"greedy","email":"greedy@example.com","password":"` + fresh + `","roles":["admin"],"disabled":false}`
)

// bodies are what is sent to a route: as little as it takes, and too much.
func bodies(route string) []string {
	all := append([]string{`{}`, `{"name":"renamed"}`, `{"permissions":["*"],"name":"x"}`, `{"allowed_ips":[],"name":"x"}`, `{"allowed_hosts":[],"allowed_paths":[],"allowed_methods":[],"name":"x"}`, `{"expire_in":-1}`, `{"grace":"9999h"}`, `{"hold":true,"expire_in":-1}`, `{"hold":true}`,
		`{"owner":"victim@example.com"}`, greedy, greedyToken, greedyRole, greedyUser}, makers[route]...)
	if strings.HasPrefix(route, "POST") || strings.HasPrefix(route, "PUT") {
		return all
	}
	return []string{""}
}

// authority is all in a store that lets somebody do something.
type authority struct {
	Users  map[string]*db.User
	Roles  map[string]*db.Role
	Tokens map[string]*db.Token
}

func (s *server) authority() authority {
	s.t.Helper()
	a := authority{map[string]*db.User{}, map[string]*db.Role{}, map[string]*db.Token{}}
	ctx, q := s.t.Context(), db.ListQuery{Size: db.MaxPageSize}
	users, err := s.store.Users(ctx, q)
	must(s.t, err)
	for _, u := range users.Items {
		a.Users[u.ID] = u
	}
	roles, err := s.store.ListRoles(ctx, q)
	must(s.t, err)
	for _, r := range roles.Items {
		a.Roles[r.Name] = r
	}
	tokens, err := s.store.Tokens(ctx, q)
	must(s.t, err)
	if users.After+roles.After+tokens.After != "" {
		s.t.Fatal("there is more than a page")
	}
	for _, k := range tokens.Items {
		a.Tokens[k.ID] = k
	}
	return a
}

// more tells what there is in now that was not in before and is not bound by
// the limits of a token.
func (before authority) more(now authority, by *db.Token) (found []string) {
	for id, u := range now.Users {
		old := before.Users[id]
		if old == nil || u.Password != old.Password || u.Email != old.Email || (old.Disabled && !u.Disabled) || beyond(u.Roles, old.Roles) {
			found = append(found, "user "+jsonOf(u))
		}
	}
	for name, r := range now.Roles {
		if old := before.Roles[name]; old == nil || beyond(r.Permissions, old.Permissions) {
			found = append(found, "role "+jsonOf(r))
		}
	}
	for id, k := range now.Tokens {
		if old := before.Tokens[id]; old != nil && jsonOf(old) == jsonOf(k) {
			continue
		}
		ends := []int64{k.Expires}
		if k.Next != nil { // what it ends with once it is settled
			ends = append(ends, k.Next.Expires)
		}
		late := by.Expires != db.Never && slices.ContainsFunc(ends, func(end int64) bool { return end == db.Never || end > by.Expires })
		wide := len(by.AllowedIPs) > 0 && jsonOf(k.AllowedIPs) != jsonOf(by.AllowedIPs)
		much := len(by.Permissions) > 0 && (len(k.Permissions) == 0 || beyond(k.Permissions, by.Permissions))
		if late || wide || much {
			found = append(found, "token "+jsonOf(k))
		}
	}
	return found
}

// changed tells whether something that was there before is not as it was.
func (before authority) changed(now authority) bool {
	drop(now.Users, before.Users)
	drop(now.Roles, before.Roles)
	drop(now.Tokens, before.Tokens)
	return jsonOf(before) != jsonOf(now)
}

// drop removes from m what is not in known.
func drop[T any](m, known map[string]T) {
	maps.DeleteFunc(m, func(id string, _ T) bool { _, there := known[id]; return !there })
}

// beyond tells whether some has what all has not.
func beyond(some, all []string) bool {
	return slices.ContainsFunc(some, func(one string) bool { return !slices.Contains(all, one) })
}

// hunt is a search for a route that makes what outlives a limited token.
type hunt struct {
	*server
	limit api.NewToken
	shown api.TokenCreated
	by    *db.Token
	ids   map[string]string // what an :id may name
}

// Every route, with a token of each limit and with whatever body: what is
// there afterwards lets nobody do more, but for tokens of the same limit.
func TestNoRouteOutlivesAToken(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]api.NewToken{
		"end":         {ExpireIn: newClock().now().Add(8 * time.Second).Unix()},
		"addresses":   {ExpireIn: db.Never, AllowedIPs: []string{stranger}},
		"permissions": {ExpireIn: db.Never, Permissions: append(knownPermissions(), ownKey, ownKey2)},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "end" {
				dbtest.NoRace(t, "the same routes with another limit, one request after the other")
			}
			t.Parallel()
			h := &hunt{server: newServer(t), limit: limit}
			h.secret(fresh)
			h.makeRole("low", ownKey, ownKey2)
			h.makeRole("lower", ownKey)
			h.makeRole("high", db.PermBackup)
			h.begin()
			for _, route := range byHarm(h.Table()) {
				h.try(route)
			}
		})
	}
}

// byHarm returns the routes, with those that remove at the end.
func byHarm(table []web.RouteInfo) []string {
	var routes, removals []string
	for _, r := range table {
		if r.Method == http.MethodDelete {
			removals = append(removals, r.Method+" "+r.Path)
		} else {
			routes = append(routes, r.Method+" "+r.Path)
		}
	}
	return append(routes, removals...)
}

// begin makes everything that an id may name, and the token that is shown.
func (h *hunt) begin() {
	h.t.Helper()
	ctx, single := h.t.Context(), &person{id: db.SingleUser}
	for _, email := range []string{"victim@example.com", "made@example.com", "boss@example.com", "greedy@example.com"} {
		h.do("DELETE", "/security/user/"+email, "", local)
	}
	made, err := h.local.CreateUser(ctx, api.NewUser{Email: "victim@example.com", Roles: []string{"low"}, NoPassword: true})
	must(h.t, err)
	victim := &person{id: made.User.ID}
	_, err = h.local.UpdateUser(ctx, victim.id, api.UserUpdate{Disabled: ptr(true)})
	must(h.t, err)
	sessions, err := h.client(h.single().session()).OwnSessions(ctx, api.ListOptions{Size: 1})
	must(h.t, err)
	h.shown = h.mintFor(single, h.limit)
	h.by, err = h.store.Token(ctx, h.shown.ID)
	must(h.t, err)
	h.ids = map[string]string{
		"user": victim.id, "role": "lower", "session": sessions.Hits.Hits[0].ID, "itself": h.shown.ID, "own token": h.mintFor(single, h.limit).ID,
		"wide token": h.mintFor(single, api.NewToken{ExpireIn: db.Never}).ID, "other's token": h.mintFor(victim, api.NewToken{ExpireIn: db.Never}).ID,
	}
}

// try sends a route every body, for everything that its id may name.
func (h *hunt) try(route string) {
	h.t.Helper()
	if method, path, _ := strings.Cut(route, " "); console.InHouse(path) {
		h.do(method, strings.ReplaceAll(path, ":id", h.ids["user"]), "{}", apiToken(h.shown.AccessToken)).want(http.StatusForbidden, "session_required")
		return
	}
	if worth[route] == "" {
		h.t.Errorf("%s: what does it make for who shows a limited token? See worth", route)
	}
	method, path, _ := strings.Cut(route, " ")
	for _, body := range bodies(route) {
		for what := range h.ids {
			if what != "user" && (!strings.Contains(path, ":id") || method == http.MethodGet) {
				continue
			}
			was := h.authority()
			a := h.do(method, strings.ReplaceAll(path, ":id", h.ids[what]), body, apiToken(h.shown.AccessToken))
			h.judge(route, what, body, a)
			now := h.authority()
			if more := was.more(now, h.by); len(more) > 0 {
				h.t.Errorf("%s of a %s with %s = %d, and then there is %s", route, what, body, a.status, more)
			}
			if was.changed(now) {
				h.begin()
			}
		}
	}
}

// judge looks at the answer: it is the one that worth says.
func (h *hunt) judge(route, what, body string, a answer) {
	h.t.Helper()
	kind := worth[route]
	refuses := kind == "refused" || kind == "partly"
	about := map[bool]string{true: "user", false: "role"}[strings.Contains(route, "/user")]
	switch {
	case kind == "session" && !strings.Contains(a.body, "session_required"):
		h.t.Errorf("%s = %d %.200s: it is for sessions", route, a.status, a.body)
	case refuses && slices.Contains(makers[route], body) && what == about || kind == "refused" && slices.Contains(makers[route], body):
		a.want(http.StatusForbidden, "limited_credential")
	case !refuses && a.status == http.StatusForbidden && strings.Contains(a.body, "limited_credential"):
		h.t.Errorf("%s = %d %.200s: worth says %s", route, a.status, a.body, kind)
	case a.status >= http.StatusInternalServerError:
		h.t.Errorf("%s with %s = %d %.200s", route, body, a.status, a.body)
	}
}

// Eight seconds and one address are all that such a token is good for, and
// everything that was made with it.
func TestEightSecondsAreNoMore(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("low", ownKey)
	ann := s.newUser(annEmail, "low")
	admin := s.single()
	ends := s.clock.now().Add(8 * time.Second).Unix()
	wide := s.mint(admin.session(), api.NewToken{ExpireIn: db.Never})
	shown := s.mint(admin.session(), api.NewToken{ExpireIn: ends, AllowedIPs: []string{stranger}})
	by := apiToken(shown.AccessToken)
	got := []string{shown.AccessToken}
	try := func(method, path, body string, status int, code string) answer {
		t.Helper()
		a := s.do(method, path, body, by)
		if status == 200 {
			return a.want(200)
		}
		return a.want(status, code)
	}
	// A user who could mint for ever.
	try("POST", "/security/user", `{"email":"kept@example.com","roles":["admin"],"password":"`+fresh+`"}`, 403, "limited_credential")
	try("POST", "/security/user/_import", `{"email":"kept@example.com","roles":["admin"]}`, 403, "limited_credential")
	try("PUT", "/security/user/"+ann.id, `{"roles":["admin"]}`, 403, "limited_credential")
	try("PUT", "/security/user/"+ann.id, `{"password":"`+fresh+`"}`, 403, "session_required")
	try("PUT", "/security/role/low", roleBody("", "*"), 403, "limited_credential")
	// A token that is more.
	const tokens = "/auth/access_token"
	for _, path := range []string{tokens, "/auth/request_access_token"} {
		try("POST", path, `{"expire_in":-1}`, 403, "outlives_token")
		try("POST", path, `{"expire_in":-1,"owner":"`+annEmail+`"}`, 403, "outlives_token")
		try("POST", path, `{"allowed_ips":["0.0.0.0/0"]}`, 403, "wider_addresses")
	}
	try("PUT", tokens+"/"+wide.ID, `{"name":"mine"}`, 403, "above_token")
	try("POST", tokens+"/"+wide.ID+"/_rename", `{"name":"mine"}`, 403, "above_token")
	try("POST", tokens+"/"+wide.ID+"/_rotate", `{}`, 403, "above_token")
	try("PUT", tokens+"/"+shown.ID, `{"name":"x","allowed_ips":[]}`, 403, "above_token")
	try("POST", tokens+"/"+shown.ID+"/_rotate", `{"expire_in":-1}`, 403, "outlives_token")
	// What it may make ends with it, and so do the secrets of its rotations.
	for _, body := range []string{``, `{"owner":"` + annEmail + `"}`, `{"permissions":["*"]}`} {
		var made api.TokenCreated
		try("POST", tokens, body, 200, "").json(&made)
		got = append(got, made.AccessToken)
		k, err := s.store.Token(t.Context(), made.ID)
		must(t, err)
		if k.Expires != ends || len(k.AllowedIPs) != 1 {
			t.Errorf("%s makes %s", body, jsonOf(k))
		}
	}
	var rotated api.TokenCreated
	try("POST", tokens+"/"+shown.ID+"/_rotate", `{"grace":"9999h"}`, 200, "").json(&rotated)
	got = append(got, rotated.AccessToken)
	// The secret that was replaced is no better than before.
	try("POST", "/security/role", roleBody("kept"), 403, "limited_credential")
	try("POST", tokens, `{"expire_in":-1}`, 403, "outlives_token")
	try("POST", tokens+"/"+shown.ID+"/_rotate", `{"expire_in":-1}`, 403, "outlives_token")

	const profile = "/account/profile"
	for _, secret := range got {
		s.do("GET", profile, "", apiToken(secret)).want(200)
		s.do("GET", profile, "", apiToken(secret), from("192.0.2.2")).want(401, "invalid_token")
	}
	s.clock.advance(8 * time.Second)
	for _, secret := range got {
		s.do("GET", profile, "", apiToken(secret)).want(401, "invalid_token")
	}
	s.do("GET", profile, "", apiToken(wide.AccessToken)).want(200)
	if _, err := s.store.UserByEmail(t.Context(), "kept@example.com"); err == nil {
		t.Error("the user is there")
	}
}
