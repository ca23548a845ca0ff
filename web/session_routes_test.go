package web_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

const sessionShape = `{"id":"<uuid>","user":"<uuid>","user_name":"ann@example.com","created":"<time>","expires":"<time>","last_seen":"<time>","ip":"192.0.2.1","user_agent":"Browser 1","current":true,"methods":["password"],"proved":"<time>"}`

// signInFrom makes a session from an address and a browser.
func (s *server) signInFrom(p *person, address, agent string) *person {
	s.t.Helper()
	var in api.LoggedIn
	s.do("POST", "/account/login", jsonOf(api.Login{Email: p.email, Password: p.password}), from(address), header("User-Agent", agent)).want(200).json(&in)
	again := *p
	again.jwt = in.AccessToken
	return &again
}

// sessions lists what a credential may see, the newest first.
func (s *server) sessions(path string, with edit) (all []api.Session) {
	s.t.Helper()
	var page api.Search[api.Session]
	s.do("GET", path, "", with).want(200).json(&page)
	for _, hit := range page.Hits.Hits {
		if hit.ID != hit.Source.ID {
			s.t.Errorf("the hit %s holds the session %s", hit.ID, hit.Source.ID)
		}
		all = append(all, hit.Source)
	}
	if page.Hits.Total != (api.Total{Value: int64(len(all)), Relation: "eq"}) {
		s.t.Errorf("of %d sessions the total is %+v", len(all), page.Hits.Total)
	}
	return all
}

func TestOwnSessions(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.SessionTTL = 2 * time.Hour })
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	s.do("DELETE", "/account/sessions", "", ann.session()).want(200).like(`{"result":"deleted","count":0}`)
	s.clock.advance(time.Minute)
	began := s.clock.now()
	laptop := s.signInFrom(ann, stranger, "Browser 1")
	s.do("POST", "/account/logout", "", ann.session()).want(200)
	s.do("GET", "/account/sessions", "", laptop.session()).want(200).
		like(`{"took":"<number>","hits":{"total":{"value":1,"relation":"eq"},"max_score":0,"hits":[{"_id":"<uuid>","_source":` + sessionShape + `}]}}`)

	s.clock.advance(time.Minute)
	phone := s.signInFrom(ann, "[2001:db8::7]", "Phone "+strings.Repeat("x", 1000))
	s.clock.advance(time.Minute)
	s.do("GET", "/account/profile", "", laptop.session(), from("203.0.113.9")).want(200)
	all := s.sessions("/account/sessions", phone.session())
	if len(all) != 2 {
		t.Fatalf("%d sessions of two", len(all))
	}
	if now := s.clock.now(); !all[0].Current || all[1].Current || all[0].IP != "2001:db8::7" || len(all[0].UserAgent) > 256 || all[1].IP != stranger ||
		all[1].UserAgent != "Browser 1" || !all[1].Created.Equal(began) || !all[1].Expires.Equal(began.Add(2*time.Hour)) || !all[1].LastSeen.Equal(now) || !all[0].LastSeen.Equal(now) {
		t.Errorf("they are %+v", all)
	}
	must(t, s.store.FlushLastUsed(t.Context()))
	if written := s.sessions("/account/sessions", laptop.session()); !written[1].LastSeen.Equal(s.clock.now()) || !written[1].Current {
		t.Errorf("after they are written they are %+v", written)
	}

	// Another's is like none at all.
	his := s.sessions("/account/sessions", bob.session())[0]
	absent := s.do("DELETE", "/account/sessions/"+absentID, "", laptop.session()).want(404, "not_found")
	if other := s.do("DELETE", "/account/sessions/"+his.ID, "", laptop.session()).want(404, "not_found"); other.body != absent.body {
		t.Errorf("another's session is told from none: %s", other.body)
	}
	s.do("GET", "/account/profile", "", bob.session()).want(200)

	// One ends at once, and once.
	s.do("DELETE", "/account/sessions/"+all[0].ID, "", laptop.session()).want(200).like(`{"_id":"` + all[0].ID + `","result":"deleted"}`)
	s.do("GET", "/account/profile", "", phone.session()).want(401)
	s.do("DELETE", "/account/sessions/"+all[0].ID, "", laptop.session()).want(404)
	if e := s.lastEvent(); e.Action != "session.revoke" || e.Target != all[0].ID || e.Actor != ann.id {
		t.Errorf("the audit log tells %+v", e)
	}

	// All others end, this one and other people's stay.
	for range 3 {
		phone = s.signIn(ann)
	}
	s.do("DELETE", "/account/sessions", "", laptop.session()).want(200).like(`{"result":"deleted","count":3}`)
	s.do("GET", "/account/profile", "", phone.session()).want(401)
	s.do("GET", "/account/profile", "", laptop.session()).want(200)
	s.do("GET", "/account/profile", "", bob.session()).want(200)
	if left := s.sessions("/account/sessions", laptop.session()); len(left) != 1 || !left[0].Current {
		t.Errorf("%+v are left", left)
	}
	// One's own ends too.
	s.do("DELETE", "/account/sessions/"+all[1].ID, "", laptop.session()).want(200)
	s.do("GET", "/account/profile", "", laptop.session()).want(401)
}

// A session lives as long as it was given, whatever happens in between.
func TestSessionLifeIsAbsolute(t *testing.T) {
	const ttl = 2 * time.Hour
	s := newServer(t, func(c *web.Config) { c.SessionTTL = ttl })
	ann := s.newUser(annEmail)
	for range 12 {
		s.do("GET", "/account/profile", "", ann.session()).want(200)
		s.clock.advance(ttl/12 - time.Second)
	}
	s.do("GET", "/account/profile", "", ann.session()).want(200)
	s.clock.advance(12 * time.Second)
	s.do("GET", "/account/profile", "", ann.session()).want(401, "invalid_token")
}

func TestEverybodysSessions(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	s.clock.advance(time.Second)
	ann := s.newUser(annEmail)
	s.clock.advance(time.Second)
	s.role("warden", db.PermSessionSearch, db.PermSessionDelete, db.PermTokenSearch, db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenDelete, db.PermPermissionRead)
	warden := s.newUser("warden@example.com", "warden")
	token := apiToken(s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermSessionSearch}}).AccessToken)
	for name, with := range map[string]edit{"a session": warden.session(), "a token": token, "the local owner": local} {
		all := s.sessions("/security/session/_search", with)
		if len(all) != 3 || all[0].UserName != warden.email || all[1].User != ann.id || all[2].UserName != db.SingleUser {
			t.Errorf("%s sees %+v", name, all)
		}
		for _, who := range []string{ann.id, annEmail, "ANN@Example.com"} {
			if hers := s.sessions("/security/session/_search?user="+who, with); len(hers) != 1 || hers[0].User != ann.id || hers[0].Current {
				t.Errorf("%s sees of %s %+v", name, who, hers)
			}
		}
		s.do("GET", "/security/session/_search?user=nobody@example.com", "", with).want(404)
	}
	all := s.sessions("/security/session/_search", warden.session())
	if !all[0].Current {
		t.Error("the warden's own session is not the current one")
	}
	// Nobody ends the sessions of one who may do more.
	s.do("DELETE", "/security/session/"+all[2].ID, "", warden.session()).want(403)
	s.do("GET", "/account/profile", "", admin.session()).want(200)
	s.do("DELETE", "/security/session/"+all[1].ID, "", token).want(403, "not_permitted")
	s.do("DELETE", "/security/session/"+all[1].ID, "", warden.session()).want(200).like(`{"_id":"` + all[1].ID + `","result":"deleted"}`)
	s.do("GET", "/account/profile", "", ann.session()).want(401)
	s.do("DELETE", "/security/session/"+all[1].ID, "", warden.session()).want(404)
	s.do("DELETE", "/security/session/"+all[2].ID, "", local).want(200)
	s.do("GET", "/account/profile", "", admin.session()).want(401)
}

// A new signing key signs at once. The one before it verifies until the last
// session that it signed has ended, or with now nothing any more.
func TestRotateSigningKey(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	keys := func() (all []api.Key) {
		t.Helper()
		page, err := s.local.SearchKeys(t.Context(), api.ListOptions{})
		must(t, err)
		for _, hit := range page.Hits.Hits {
			all = append(all, hit.Source)
		}
		return all
	}
	first := keys()[0]
	s.clock.advance(time.Hour)
	var made api.Result
	s.do("POST", "/security/key/_rotate", "", admin.session()).want(200).like(`{"_id":"<uuid>","result":"created"}`).json(&made)
	for _, secret := range []string{"secret", "key\":"} {
		if a := s.do("GET", "/security/key/_search", "", admin.session()); strings.Contains(a.body, secret) {
			t.Errorf("the list shows a %s: %s", secret, a.body)
		}
	}
	all := keys()
	ends := s.clock.now().Add(23 * time.Hour)
	if len(all) != 2 || all[0].ID != made.ID || !all[0].Signing || all[0].Ends != nil || all[1].ID != first.ID || all[1].Signing ||
		!all[1].Retired.Equal(s.clock.now()) || !all[1].Ends.Equal(ends.Truncate(time.Second)) {
		t.Fatalf("the keys are %+v, the first one to end at %v", all, ends)
	}
	later := s.signIn(admin)
	for name, p := range map[string]*person{"before": admin, "after": later} {
		s.do("GET", "/account/profile", "", p.session()).want(200)
		kid := map[string]string{"before": first.ID, "after": made.ID}[name]
		if got := kidOf(t, p.jwt); got != kid {
			t.Errorf("the session from %s is signed by %s, want %s", name, got, kid)
		}
	}
	s.clock.advance(23 * time.Hour)
	s.do("GET", "/account/profile", "", admin.session()).want(401)
	s.do("GET", "/account/profile", "", later.session()).want(200)
	_, err := s.store.Sweep(t.Context())
	must(t, err)
	if all := keys(); len(all) != 1 || all[0].ID != made.ID {
		t.Errorf("the keys are %+v", all)
	}
	token := s.mint(s.signIn(later).session(), api.NewToken{})
	s.do("POST", "/security/key/_rotate", `{"now":true}`, later.session()).want(200)
	s.do("GET", "/account/profile", "", later.session()).want(401)
	s.do("GET", "/account/profile", "", apiToken(token.AccessToken)).want(200)
	s.do("GET", "/account/profile", "", s.single().session()).want(200)
	if e := s.events(); e[len(e)-2].Action != "key.rotate" {
		t.Errorf("the audit log tells %+v", e[len(e)-2])
	}
}

// kidOf is the key that a JWT names.
func kidOf(t *testing.T, jwt string) string {
	t.Helper()
	head, _, _ := strings.Cut(jwt, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	must(t, err)
	var h struct{ Kid string }
	must(t, json.Unmarshal(text, &h))
	return h.Kid
}
