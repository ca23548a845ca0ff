package web_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/gate"
	"husk/web/token"
)

// ruled is the Config of a server with rules; those without a line get the one that
// they would have in a file.
func ruled(t testing.TB, rules ...gate.Rule) func(*web.Config) {
	t.Helper()
	for i := range rules {
		rules[i].Line = 10 * (i + 1)
	}
	parsed, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: rules})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return func(c *web.Config) { c.Gate = parsed }
}

func wikiRules(t testing.TB) func(*web.Config) {
	return ruled(t,
		gate.Rule{Host: "wiki.example.com", Path: "/status", Require: []string{"public"}},
		gate.Rule{Host: "wiki.example.com", Path: "/edit", Methods: []string{"POST"}, Require: []string{"wiki#page/edit", "role:editor"}},
		gate.Rule{Host: "wiki.example.com", Path: "/safe", Require: []string{"any"}, SecondFactor: true},
		gate.Rule{Host: "wiki.example.com", From: []string{"10.0.0.0/8"}, Require: []string{"any"}},
		gate.Rule{Host: "*.apps.example.com", Require: []string{"user:" + annEmail, "role:nobody-has-this"}, Preflight: true, UpstreamURL: "http://127.0.0.1:3000"},
	)
}

func (s *server) testRule(with edit, in api.RuleTest) (out api.RuleTested) {
	s.t.Helper()
	s.do("POST", "/security/rule/_test", jsonOf(in), with).want(200).json(&out)
	return out
}

func TestRulesAreListed(t *testing.T) {
	s := newServer(t, wikiRules(t))
	var rules []api.Rule
	s.do("GET", "/security/rule", "", s.single().session()).want(200).json(&rules)
	if len(rules) != 5 || rules[1].Number != 2 || rules[1].Line != 20 || rules[1].Path != "/edit" || !slices.Equal(rules[1].Methods, []string{"POST"}) ||
		!slices.Equal(rules[1].Ungranted, []string{"wiki#page/edit", "role:editor"}) || !rules[2].SecondFactor || !slices.Equal(rules[3].From, []string{"10.0.0.0/8"}) ||
		!rules[4].Preflight || rules[4].Upstream != "http://127.0.0.1:3000" || !slices.Equal(rules[4].Ungranted, []string{"role:nobody-has-this"}) || rules[0].Ungranted == nil {
		t.Errorf("the rules are %+v", rules)
	}
	_, err := s.local.CreateRole(t.Context(), api.RoleChange{Name: "editor", Grants: &api.Grants{Permissions: []string{"wiki#page/edit"}}})
	must(t, err)
	s.do("GET", "/security/rule", "", s.single().session()).want(200).json(&rules)
	if len(rules[1].Ungranted) > 0 {
		t.Errorf("a role grants it, and it is told: %+v", rules[1])
	}
	bare := newServer(t)
	if a := bare.do("GET", "/security/rule", "", bare.single().session()).want(200); a.body != "[]\n" {
		t.Errorf("without rules: %s", a.body)
	}
}

func TestRulesAreTried(t *testing.T) {
	s := newServer(t, wikiRules(t))
	s.role("editor", "wiki#page/edit")
	s.role("writer", "wiki#page/edit")
	ann, bob, eve := s.newUser(annEmail), s.newUser("bob@example.com", "user", "editor"), s.newUser("eve@example.com", "user", "writer")
	narrow := s.mintFor(bob, api.NewToken{Permissions: []string{db.PermTokenSearch}})
	editing := s.mintFor(eve, api.NewToken{Permissions: []string{"wiki#page/edit"}})
	boundTo := s.mintFor(ann, api.NewToken{AllowedIPs: []string{"198.51.100.0/24"}})
	reading := s.mintFor(ann, api.NewToken{AllowedHosts: []string{"*.apps.example.com"}, AllowedPaths: []string{"/api"}, AllowedMethods: []string{"GET"}})
	const wiki, edit = "https://wiki.example.com", "https://wiki.example.com/edit/page"
	for name, c := range map[string]struct {
		ask    api.RuleTest
		status int
		rule   int
		why    string
	}{
		"public":                 {api.RuleTest{URL: wiki + "/status?x=/edit"}, 200, 1, "rule 1 (line 10) lets everybody in"},
		"nobody":                 {api.RuleTest{URL: edit, Method: "POST"}, 401, 2, "nobody is signed in"},
		"a role":                 {api.RuleTest{URL: edit, Method: "POST", User: "bob@example.com"}, 200, 2, "wiki#page/edit is met"},
		"who has it not":         {api.RuleTest{URL: edit, Method: "POST", User: annEmail}, 403, 2, "requires wiki#page/edit or role:editor, and none of it is met"},
		"an email in capitals":   {api.RuleTest{URL: edit, Method: "POST", User: "BOB@example.com"}, 200, 2, "is met"},
		"an id":                  {api.RuleTest{URL: edit, Method: "POST", User: eve.id}, 200, 2, "is met"},
		"another method":         {api.RuleTest{URL: edit, User: "bob@example.com"}, 403, 0, "one with from fits only where the address"},
		"another address":        {api.RuleTest{URL: edit, User: "bob@example.com", From: "192.0.2.1"}, 403, 0, "about this path, method and client"},
		"an address that fits":   {api.RuleTest{URL: edit, User: "bob@example.com", From: "10.1.2.3"}, 200, 4, "any is met"},
		"one in another form":    {api.RuleTest{URL: edit, User: "bob@example.com", From: "::ffff:10.1.2.3"}, 200, 4, "any is met"},
		"a second factor":        {api.RuleTest{URL: wiki + "/safe", User: annEmail}, 403, 3, "second factor"},
		"none asked of tokens":   {api.RuleTest{URL: wiki + "/safe", AccessToken: narrow.AccessToken}, 200, 3, "any is met"},
		"a narrow token":         {api.RuleTest{URL: edit, Method: "POST", AccessToken: narrow.AccessToken}, 403, 2, "stands for these alone"},
		"a token that may":       {api.RuleTest{URL: edit, Method: "POST", AccessToken: editing.AccessToken}, 200, 2, "is met"},
		"a token from elsewhere": {api.RuleTest{URL: wiki + "/safe", AccessToken: boundTo.AccessToken, From: "192.0.2.1"}, 401, 3, "it may not be used from here"},
		"from nowhere":           {api.RuleTest{URL: wiki + "/safe", AccessToken: boundTo.AccessToken}, 401, 3, "the client's was not given"},
		"from where it may":      {api.RuleTest{URL: wiki + "/safe", AccessToken: boundTo.AccessToken, From: "198.51.100.9"}, 200, 3, "any is met"},
		"in its reach":           {api.RuleTest{URL: "https://a.apps.example.com/api/x", Method: "HEAD", AccessToken: reading.AccessToken}, 200, 5, "is met"},
		"out of it, by host":     {api.RuleTest{URL: wiki + "/safe", AccessToken: reading.AccessToken}, 403, 3, "not for this host, path or method"},
		"out of it, by path":     {api.RuleTest{URL: "https://a.apps.example.com/apis", AccessToken: reading.AccessToken}, 403, 5, "not for this host, path or method"},
		"out of it, by method":   {api.RuleTest{URL: "https://a.apps.example.com/api", Method: "PUT", AccessToken: reading.AccessToken}, 403, 5, "not for this host, path or method"},
		"a bad one in public":    {api.RuleTest{URL: wiki + "/status", AccessToken: "nonsense"}, 401, 1, "none of husk's"},
		"a bad one nowhere":      {api.RuleTest{URL: "https://other.example.com/", AccessToken: "nonsense"}, 403, 0, "no rule is about this host"},
		"husk's own host":        {api.RuleTest{URL: "https://auth.example.com/login"}, 403, 0, "no rule is about this host: Husk's own pages are there"},
		"a pattern":              {api.RuleTest{URL: "http://a.apps.example.com:8080", User: annEmail}, 200, 5, "user:ann@example.com is met"},
		"two labels":             {api.RuleTest{URL: "http://a.b.apps.example.com", User: annEmail}, 403, 0, "no rule is about this host"},
		"a role that is not":     {api.RuleTest{URL: "http://a.apps.example.com/", User: "bob@example.com"}, 403, 5, "role:nobody-has-this: there is no such role"},
		"no path":                {api.RuleTest{URL: "http://a.apps.example.com?q", User: annEmail}, 200, 5, "is met"},
		"a fragment":             {api.RuleTest{URL: wiki + "/status#x"}, 200, 1, "everybody"},
		"a trick":                {api.RuleTest{URL: wiki + "/status/../edit"}, 400, 0, "taken for another one"},
		"a method that is none":  {api.RuleTest{URL: wiki + "/status", Method: "GET POST"}, 400, 0, "the method is none"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.testRule(local, c.ask)
			decision := "refused"
			if c.status == 200 {
				decision = "allowed"
			}
			if got.Status != c.status || got.Decision != decision || got.Rule != c.rule || got.Line != 10*c.rule || !strings.Contains(got.Why, c.why) {
				t.Errorf("got %+v, want %d by %d: %s", got, c.status, c.rule, c.why)
			}
		})
	}
	for _, path := range []string{"/security/user/bob@example.com", "/auth/access_token/" + narrow.ID} {
		if a := s.do("GET", path, "", local).want(200); strings.Contains(path, narrow.ID) && !strings.Contains(a.body, `"last_used":null`) {
			t.Errorf("to try is to use: %s", a.body)
		}
	}
}

// Who asks is who the store has now.
func TestRuleTestOfWhoIsNotAllowedIn(t *testing.T) {
	s := newServer(t, wikiRules(t))
	ann := s.newUser(annEmail)
	made := s.mintFor(ann, api.NewToken{})
	ask := api.RuleTest{URL: "https://wiki.example.com/safe"}
	_, err := s.local.UpdateUser(s.t.Context(), ann.id, api.UserUpdate{Disabled: ptr(true)})
	must(t, err)
	for _, who := range []api.RuleTest{{User: annEmail}, {AccessToken: made.AccessToken}} {
		who.URL = ask.URL
		if got := s.testRule(local, who); got.Status != 401 || !strings.Contains(got.Why, "its owner is disabled") {
			t.Errorf("disabled: %+v", got)
		}
	}
	s.do("POST", "/security/rule/_test", jsonOf(api.RuleTest{URL: ask.URL, User: "nobody@example.com"}), local).want(404)
	for code, in := range map[string]api.RuleTest{
		"bad_url":  {URL: "wiki.example.com"},
		"bad_from": {URL: ask.URL, From: "10.0.0.0/8"},
		"bad_test": {URL: ask.URL, User: annEmail, AccessToken: made.AccessToken},
	} {
		s.do("POST", "/security/rule/_test", jsonOf(in), local).want(400, code)
	}
	for _, url := range []string{"", "//wiki.example.com/", "ftp://wiki.example.com/", "https://", "https:///path", "https://ann@wiki.example.com/"} {
		s.do("POST", "/security/rule/_test", jsonOf(api.RuleTest{URL: url}), local).want(400, "bad_url")
	}
}

// What is told of others is for those who may know it.
func TestRuleTestTellsNobodyMore(t *testing.T) {
	s := newServer(t, wikiRules(t))
	s.role("reader", db.PermSystemRead)
	s.role("lister", db.PermSystemRead, db.PermUserRead)
	ann, bob, eve := s.newUser(annEmail), s.newUser("bob@example.com", "reader"), s.newUser("eve@example.com", "lister")
	ask := func(with edit, in api.RuleTest, status int) (out api.RuleTested) {
		t.Helper()
		in.URL = "https://wiki.example.com/safe"
		if a := s.do("POST", "/security/rule/_test", jsonOf(in), with).want(status); status == 200 {
			a.json(&out)
		}
		return out
	}
	ask(nobody, api.RuleTest{}, 401)
	ask(ann.session(), api.RuleTest{}, 403)
	ask(bob.session(), api.RuleTest{}, 200)
	ask(bob.session(), api.RuleTest{User: "BOB@example.com"}, 200)
	ask(bob.session(), api.RuleTest{User: bob.id}, 200)
	ask(bob.session(), api.RuleTest{User: annEmail}, 403)
	ask(bob.session(), api.RuleTest{User: "nobody@example.com"}, 403)
	ask(eve.session(), api.RuleTest{User: annEmail}, 200)
	s.do("GET", "/security/rule", "", ann.session()).want(403)

	made, own := s.mintFor(ann, api.NewToken{}), s.mintFor(bob, api.NewToken{})
	s.clock.advance(366 * 24 * time.Hour)
	absent, _ := token.New()
	s.secret(absent)
	bob = s.signIn(bob)
	hidden := ask(bob.session(), api.RuleTest{AccessToken: made.AccessToken}, 200)
	if none := ask(bob.session(), api.RuleTest{AccessToken: absent}, 200); !reflect.DeepEqual(none, hidden) || hidden.Status != 401 || strings.Contains(hidden.Why, "expired") {
		t.Errorf("another's token is %+v, one that is absent %+v", hidden, none)
	}
	if got := ask(bob.session(), api.RuleTest{AccessToken: own.AccessToken}, 200); got.Status != 401 || !strings.Contains(got.Why, "it has expired") {
		t.Errorf("one's own: %+v", got)
	}
	if got := ask(local, api.RuleTest{AccessToken: made.AccessToken}, 200); !strings.Contains(got.Why, "it has expired") {
		t.Errorf("to an administrator: %+v", got)
	}
	if got := ask(local, api.RuleTest{AccessToken: absent}, 200); !strings.Contains(got.Why, "does not know it") {
		t.Errorf("to an administrator: %+v", got)
	}
}

func TestGateWarnings(t *testing.T) {
	var many []gate.Rule
	for i := range 30 {
		many = append(many, gate.Rule{Host: "wiki.example.com", Require: []string{fmt.Sprintf("wiki#page%d/edit", i%25), "role:admin", db.PermUserRead, "*", "user:x@example.com"}})
	}
	s := newServer(t, ruled(t, many...))
	s.role("editor", "wiki#page0/edit")
	texts := s.GateWarnings(t.Context())
	if len(texts) != 21 || !strings.HasPrefix(texts[0], "rule 2 (line 20) of the gate requires wiki#page1/edit, which no role grants") || !strings.Contains(texts[20], "require 4 more") {
		t.Errorf("%d: %q", len(texts), texts)
	}
	s.SetGate(nil)
	if texts := s.GateWarnings(t.Context()); len(texts) > 0 {
		t.Errorf("without rules: %q", texts)
	}
}
