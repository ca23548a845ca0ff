package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

// lines are those of the log, of info and above, that have the request's id.
func (s *server) lines(id string) (lines []map[string]any) {
	s.t.Helper()
	for text := range strings.Lines(s.log.String()) {
		var line map[string]any
		must(s.t, json.Unmarshal([]byte(text), &line))
		if line["request_id"] == id && line["level"] != "DEBUG" {
			lines = append(lines, line)
		}
	}
	return lines
}

// Each sign-in, change and refusal has one line, with the id of its request and
// where it came from; what changes nothing has none.
func TestOneLineForEachAct(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.LoginLimits.Account = 3 })
	admin, ann := s.single(), s.newUser(annEmail)
	with := admin.session()
	made := s.mint(with, api.NewToken{Permissions: []string{db.PermTokenSearch}})
	other := s.mint(with, api.NewToken{})
	robot := s.newUser("robot@example.com")
	spare := s.signIn(ann)
	var sessions api.Search[api.Session]
	s.do("GET", "/security/session/_search?user=robot@example.com", "", with).json(&sessions)
	hers := jsonOf(api.Login{Email: annEmail, Password: ann.password})
	wrong := jsonOf(api.Login{Email: annEmail, Password: "wrong and long"})
	for _, c := range []struct {
		method, path, body string
		with               edit
		status             int
		msg                string
		actor              string
	}{
		{"POST", "/account/login", hers, nobody, 200, "sign-in", ""},
		{"POST", "/account/login", wrong, nobody, 403, "sign-in refused", ""},
		{"POST", "/account/login", `{"password":""}`, nobody, 400, "", ""},
		{"POST", "/account/logout", "", spare.session(), 200, "sign-out", ann.id},
		{"GET", "/account/profile", "", with, 200, "", ""},
		{"GET", "/account/profile", "", nobody, 401, "", ""},
		{"GET", "/account/profile", "", apiToken("nonsense"), 401, "request refused", ""},
		{"GET", "/security/user/_search", "", ann.session(), 403, "request refused", ann.id},
		{"GET", "/security/user/absent@example.com", "", with, 404, "", ""},
		{"POST", "/security/user", `{"email":"eve@example.com","no_password":true}`, with, 200, "user created", db.SingleUser},
		{"PUT", "/security/user/eve@example.com", `{"name":"Eve"}`, with, 200, "user updated", db.SingleUser},
		{"DELETE", "/security/user/eve@example.com", "", with, 200, "user deleted", db.SingleUser},
		{"POST", "/security/user/" + annEmail + "/_unlock", "", with, 200, "user unlocked", db.SingleUser},
		{"POST", "/security/role", `{"name":"reader","grants":{"permissions":[]}}`, with, 200, "role created", db.SingleUser},
		{"PUT", "/security/role/reader", `{"description":"reads"}`, with, 200, "role updated", db.SingleUser},
		{"DELETE", "/security/role/reader", "", with, 200, "role deleted", db.SingleUser},
		{"POST", "/auth/access_token", `{"name":"x"}`, with, 200, "token created", db.SingleUser},
		{"PUT", "/auth/access_token/" + made.ID, `{"name":"y"}`, with, 200, "token updated", db.SingleUser},
		{"POST", "/auth/access_token/" + made.ID + "/_rotate", "", with, 200, "token rotated", db.SingleUser},
		{"DELETE", "/auth/access_token/" + other.ID, "", with, 200, "token deleted", db.SingleUser},
		{"DELETE", "/security/session/" + sessions.Hits.Hits[0].ID, "", with, 200, "session ended", db.SingleUser},
		{"GET", "/account/profile", "", robot.session(), 401, "request refused", ""},
		{"DELETE", "/account/sessions", "", ann.session(), 200, "other sessions ended", ann.id},
		{"PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: "nine crates of quinces"}), ann.session(), 200, "password changed", ann.id},
		{"POST", "/security/key/_rotate", "", with, 200, "signing key rotated", db.SingleUser},
		{"GET", "/security/audit/_export", "", with, 200, "audit exported", db.SingleUser},
	} {
		a := s.do(c.method, c.path, c.body, c.with)
		if a.status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
		lines := s.lines(a.header.Get("X-Request-Id"))
		switch {
		case c.msg == "" && len(lines) == 0:
		case c.msg == "" || len(lines) != 1:
			t.Errorf("%s %s is %d and has the lines %v", c.method, c.path, a.status, lines)
		case lines[0]["msg"] != c.msg || lines[0]["address"] != stranger || lines[0]["transport"] != "http" || (c.actor != "" && lines[0]["actor"] != c.actor):
			t.Errorf("%s %s has the line %v", c.method, c.path, lines[0])
		}
	}
}

// Why a credential is refused is for the log, never for the one who shows it.
func TestLogTellsWhyACredentialIsRefused(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mintFor(ann, api.NewToken{})
	_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Disabled: ptr(true)})
	must(t, err)
	a := s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401, "invalid_token")
	if lines := s.lines(a.header.Get("X-Request-Id")); len(lines) != 1 || lines[0]["cause"] != "owner_disabled" || strings.Contains(a.body, "disabled") {
		t.Errorf("the log has %v, the answer is %s", lines, a.body)
	}
}

// Tries that are refused unseen are refused sign-ins too, and so are wrong
// set-up codes: the audit log has them with their number.
func TestThrottledTriesAreAudited(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.LoginLimits.Account = 1 })
	ann := s.newUser(annEmail)
	wrong := jsonOf(api.Login{Email: annEmail, Password: "wrong and long"})
	s.do("POST", "/account/login", wrong).want(403)
	for range 5 {
		s.do("POST", "/account/login", wrong).want(429)
	}
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: ann.password, NewPassword: "nine crates of quinces"}), ann.session()).want(429)
	must(t, s.store.FlushLastUsed(t.Context()))
	want := map[string]int{"session.login " + ann.id: 1, "session.login ": 5, "user.password " + ann.id: 1}
	for _, e := range s.events() {
		if e.Result == db.ResultRefused {
			if want[e.Action+" "+e.Target] -= e.Count; e.Address != stranger || e.RequestID == "" {
				t.Errorf("%+v", e)
			}
		}
	}
	for what, missing := range want {
		if missing != 0 {
			t.Errorf("%s: %d are missing", what, missing)
		}
	}
	s.clock.advance(time.Hour)

	bare := newBareServer(t)
	a := bare.do("POST", "/setup/_initialize", `{"password":"seven crates of apricots","code":"wrong"}`)
	if a.status != http.StatusForbidden {
		t.Fatalf("%d %s", a.status, a.body)
	}
	must(t, bare.store.FlushLastUsed(t.Context()))
	if e := bare.lastEvent(); e.Action != "setup.initialize" || e.Result != db.ResultRefused || e.Address != stranger {
		t.Errorf("a wrong set-up code: %+v", e)
	}
}

// Whatever a stranger causes makes few lines, whichever gate refuses it, and one
// that counts the rest. What others do in between is all there.
func TestFlood(t *testing.T) {
	const many = 50
	s, disk := newFaulty(t)
	s.runNow(t)
	admin := s.single()
	right, wrong := jsonOf(api.Login{Password: singlePassword}), jsonOf(api.Login{Password: "wrong and long"})
	for _, c := range []struct {
		name, method, path, body string
		edits                    []edit
		status                   int
		full                     bool
	}{
		{"bad token", "GET", "/account/profile", "", []edit{apiToken("x")}, 401, false},
		{"bad cookie", "GET", "/auth/access_token/_search", "", []edit{cookie("x"), from("198.51.100.7")}, 401, false},
		{"wrong password", "POST", "/account/login", wrong, []edit{from("203.0.113.7")}, 403, false},
		{"full disk", "POST", "/account/login", right, []edit{from("203.0.113.8")}, 507, true},
		{"not ready", "GET", "/readyz", "", []edit{from("203.0.113.9")}, 503, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.clock.advance(time.Minute)
			lines := func() int {
				return strings.Count(s.log.String(), `"level":"INFO"`) + strings.Count(s.log.String(), `"level":"ERROR"`)
			}
			before := lines()
			if c.full {
				disk.set(full, nil)
			}
			for range many {
				s.do(c.method, c.path, c.body, c.edits...).want(c.status)
			}
			disk.set(nil, nil)
			if n := lines() - before; n == 0 || n > 7 { // those of the minute before and of the proof, too
				t.Errorf("%d times are %d lines", many, n)
			}
			if made := s.mint(admin.session(), api.NewToken{}); !strings.Contains(s.log.String(), made.ID) {
				t.Error("the log has no line of a token that was made meanwhile")
			}
			s.clock.advance(time.Minute)
			s.do("GET", "/account/profile", "", apiToken("x"))
			if text := s.log.String(); !strings.Contains(text[max(0, len(text)-2000):], `more like that","count":45`) {
				t.Errorf("the log ends without their number: %s", text[max(0, len(text)-2000):])
			}
		})
	}
}

// What is not told yet when the server stops is told then.
func TestFloodIsToldAtTheEnd(t *testing.T) {
	s := newServer(t)
	for range 20 {
		s.do("GET", "/account/profile", "", apiToken("x")).want(401)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	s.Upkeep.Run(ended)
	if !strings.Contains(s.log.String(), `more like that","count":15`) {
		t.Errorf("the log: %s", s.log)
	}
}
