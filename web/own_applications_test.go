package web_test

import (
	"fmt"
	"testing"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/gate"
)

// served are hosts of all kinds, in no order.
func served(t testing.TB) func(*web.Config) {
	return ruled(t,
		gate.Rule{Host: "wiki.example.com", Path: "/public", Require: []string{"public"}},
		gate.Rule{Host: "wiki.example.com", Methods: []string{"POST"}, Require: []string{"public"}},
		gate.Rule{Host: "wiki.example.com", Require: []string{"any"}},
		gate.Rule{Host: "*.apps.example.com", Require: []string{"any"}},
		gate.Rule{Host: "status.example.com", Require: []string{"public"}},
		gate.Rule{Host: "b.apps.example.com", Require: []string{"role:nobody-has-this"}}, // the pattern comes first
		gate.Rule{Host: "keys.example.com", Require: []string{"user:" + annEmail, "app#keys/read"}},
		gate.Rule{Host: "bank.example.com", Require: []string{"any"}, SecondFactor: true},
		gate.Rule{Host: "here.example.com", From: []string{"10.0.0.0/8"}, Require: []string{"any"}},
		gate.Rule{Host: "deep.example.com", Path: "/only", Require: []string{"any"}},
		gate.Rule{Host: "2001:db8::7", Require: []string{"role:editor"}},
		gate.Rule{Host: "AUTH.example.com", Require: []string{"public"}}, // Husk's own
		gate.Rule{Host: "id.example.com", Require: []string{"public"}},   // and its other name
	)
}

func TestOwnApplications(t *testing.T) {
	s := newServer(t, served(t), func(c *web.Config) { c.PublicURL = "http://id.example.com" })
	s.role("editor", "app#keys/read")
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com", "user", "editor")
	narrow := s.mintFor(bob, api.NewToken{Permissions: []string{db.PermTokenSearch}})
	const (
		pattern = `{"host":"b.apps.example.com","url":"https://b.apps.example.com/","rule":4}`
		keys    = `{"host":"keys.example.com","url":"https://keys.example.com/","rule":7}`
		bank    = `{"host":"bank.example.com","url":"https://bank.example.com/","rule":8}`
		here    = `{"host":"here.example.com","url":"https://here.example.com/","rule":9}`
		six     = `{"host":"2001:db8::7","url":"https://[2001:db8::7]/","rule":11}`
		status  = `{"host":"status.example.com","url":"https://status.example.com/","rule":5,"public":true}`
		wiki    = `{"host":"wiki.example.com","url":"https://wiki.example.com/","rule":3}`
	)
	for _, c := range []struct {
		name string
		with []edit
		want string
	}{
		{"a session", []edit{ann.session()}, pattern + "," + keys + "," + status + "," + wiki},
		{"a browser", []edit{cookie(ann.jwt)}, pattern + "," + keys + "," + status + "," + wiki},
		{"from within", []edit{ann.session(), from("10.1.2.3")}, pattern + "," + here + "," + keys + "," + status + "," + wiki},
		{"by a role", []edit{bob.session()}, six + "," + pattern + "," + keys + "," + status + "," + wiki},
		{"a token", []edit{apiToken(s.mintFor(bob, api.NewToken{}).AccessToken)}, six + "," + pattern + "," + bank + "," + keys + "," + status + "," + wiki},
		{"a narrow token", []edit{apiToken(narrow.AccessToken)}, pattern + "," + bank + "," + status + "," + wiki},
		{"an administrator", []edit{s.single().session()}, pattern + "," + keys + "," + status + "," + wiki},
		{"the owner of the file", []edit{local}, status},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.do("GET", "/account/applications", "", c.with...).want(200).like("[" + c.want + "]")
		})
	}
	s.do("GET", "/account/applications", "").want(401, "not_signed_in")
	s.SetGate(nil)
	if a := s.do("GET", "/account/applications", "", ann.session()).want(200); a.body != "[]\n" {
		t.Errorf("without rules: %s", a.body)
	}
}

// The list says what the gate does: of each host what a proxy that asks is told.
func TestOwnApplicationsAreThoseOfTheGate(t *testing.T) {
	s := newServer(t, served(t))
	ann := s.newUser(annEmail)
	var mine []api.OwnApplication
	s.do("GET", "/account/applications", "", ann.session()).want(200).json(&mine)
	listed := map[string]int{}
	for _, one := range mine {
		listed[one.URL] = one.Rule
	}
	var rules []api.Rule
	s.do("GET", "/security/rule", "", local).want(200).json(&rules)
	for _, rule := range rules {
		if rule.Host == "*.apps.example.com" || rule.Host == "AUTH.example.com" {
			continue
		}
		origin := gate.Request{Scheme: "https", Host: rule.Host}
		url := origin.Origin() + "/"
		told := s.testRule(local, api.RuleTest{URL: url, User: annEmail, From: stranger})
		if open := told.Status == 200; open != (listed[url] != 0) || open && listed[url] != told.Rule {
			t.Errorf("%s: the gate says %+v, the list rule %d", url, told, listed[url])
		}
	}
	if len(mine) < 4 {
		t.Errorf("only %d are listed", len(mine))
	}
}

// Browsers come to applications as to Husk's own pages.
func TestOwnApplicationsAreWhereHuskIs(t *testing.T) {
	rule := gate.Rule{Host: "wiki.localhost", Require: []string{"public"}}
	for _, c := range []struct{ loginURL, publicURL, want string }{
		{"", "", "https://wiki.localhost/"},
		{"", "http://auth.localhost:9000", "http://wiki.localhost:9000/"},
		{"", "http://auth.localhost", "http://wiki.localhost/"},
		{"", "https://auth.localhost:443", "https://wiki.localhost/"},
		{"https://auth.localhost:8443", "http://other.localhost", "https://wiki.localhost:8443/"},
		{"http://bücher.localhost:80/", "", "http://wiki.localhost/"},
	} {
		t.Run(fmt.Sprint(c.loginURL, " ", c.publicURL), func(t *testing.T) {
			rules, faults := gate.Parse(gate.Config{LoginURL: c.loginURL, Rules: []gate.Rule{rule}})
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			s := newServer(t, func(cfg *web.Config) { cfg.Gate, cfg.PublicURL = rules, c.publicURL })
			var mine []api.OwnApplication
			s.do("GET", "/account/applications", "", local).want(200).json(&mine)
			if len(mine) != 1 || mine[0].URL != c.want {
				t.Errorf("%+v, want %s", mine, c.want)
			}
		})
	}
}
