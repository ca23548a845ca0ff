package web_test

import (
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
)

// gateOnly are tokens that are good behind the gate alone, each for one reason.
var gateOnly = map[string]api.NewToken{
	"hosts":   {AllowedHosts: []string{"app.example.com"}},
	"paths":   {AllowedPaths: []string{"/"}},
	"methods": {AllowedMethods: []string{"GET"}},
}

// A token of the gate is good for no route that needs anybody, whatever its owner
// may do, by no way to show it, and is not noted as used.
func TestTokensOfTheGateAreGoodForNoRoute(t *testing.T) {
	t.Parallel()
	for name, n := range gateOnly {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			admin := s.single()
			n.ExpireIn = db.Never
			made := s.mint(admin.session(), n)
			tried := 0
			for _, r := range s.Table() {
				if r.Need == "public" {
					continue
				}
				tried++
				path := strings.ReplaceAll(r.Path, ":id", made.ID)
				s.do(r.Method, path, "", apiToken(made.AccessToken)).want(401, "invalid_token").challenge(challengeInvalid)
				if r.Page { // for a browser, too
					s.do(r.Method, path, "", acceptPage, apiToken(made.AccessToken)).want(401, "invalid_token")
				}
			}
			if tried < 50 {
				t.Errorf("only %d routes were tried", tried)
			}
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken), cookie(admin.jwt)).want(401, "invalid_token")
			if k := s.shown(made.ID); k.LastUsed != nil {
				t.Errorf("it counts as used: %+v", k)
			}
			told := s.told("token.use")
			count := 0
			for _, e := range told {
				count += int(e.Count)
				if e.Actor != db.SingleUser || e.Target != made.ID || e.Address != stranger || e.Result != db.ResultRefused {
					t.Errorf("the audit log has %+v", e)
				}
			}
			if len(told) == 0 || count < tried {
				t.Errorf("the audit log tells %d tries of %d: %+v", count, tried, told)
			}
		})
	}
}

// The answer tells it from no other that is refused, and it is what the rights of
// any other token would let it do.
func TestTokenOfTheGateIsRefusedLikeAnyOther(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	made := s.mint(admin.session(), gateOnly["hosts"])
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).golden("error_invalid_token")
	// By whom it belongs to it is made one for the API, and back, at the next request.
	for range 2 {
		s.do("PUT", "/auth/access_token/"+made.ID, `{"name":"x","allowed_hosts":[]}`, admin.session()).want(200)
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
		s.do("PUT", "/auth/access_token/"+made.ID, `{"name":"x","allowed_hosts":["a.example.com"]}`, admin.session()).want(200)
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401, "invalid_token")
	}
	// What it is limited to besides is looked at first, and told to those who may ask.
	far := s.mint(admin.session(), api.NewToken{AllowedHosts: []string{"a.example.com"}, AllowedIPs: []string{"198.51.100.0/24"}})
	s.do("GET", "/account/profile", "", apiToken(far.AccessToken)).want(401, "invalid_token")
	if w := s.worth(admin.session(), far.AccessToken); w.Valid || w.Code != "address" || w.AllowedHosts != nil {
		t.Errorf("from elsewhere: %+v", w)
	}
}

// Its owner is told what it is worth, and gives it another secret.
func TestOwnersOfTokensOfTheGate(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	n := api.NewToken{Permissions: []string{db.PermTokenSearch}, AllowedHosts: []string{"App.Example.com.", "*.example.com"}, AllowedPaths: []string{"/x", "/caf%C3%A9", "/x"}, AllowedMethods: []string{"POST", "GET"}}
	hosts, paths, methods := []string{"*.example.com", "app.example.com"}, []string{"/café", "/x"}, []string{"GET", "POST"}
	for _, path := range []string{"/auth/access_token", "/auth/request_access_token"} {
		var made api.TokenCreated
		s.do("POST", path, jsonOf(n), ann.session()).want(200).json(&made)
		s.secret(made.AccessToken)
		for _, with := range []edit{ann.session(), local} {
			w := s.worth(with, made.AccessToken)
			if !w.Valid || len(w.Permissions) != 1 || !slices.Equal(w.AllowedHosts, hosts) || !slices.Equal(w.AllowedPaths, paths) || !slices.Equal(w.AllowedMethods, methods) {
				t.Errorf("%+v", w)
			}
		}
		rotated := s.rotate(made.ID, api.Rotate{Grace: "1h"}, ann.session())
		for _, secret := range []string{made.AccessToken, rotated.AccessToken} {
			s.do("GET", "/account/profile", "", apiToken(secret)).want(401, "invalid_token")
			if w := s.worth(ann.session(), secret); !w.Valid || !slices.Equal(w.AllowedHosts, hosts) {
				t.Errorf("after a rotation: %+v", w)
			}
		}
		held := s.begin(made.ID, api.Rotate{Hold: true}, ann.session())
		s.do("GET", "/account/profile", "", apiToken(held.AccessToken)).want(401, "invalid_token")
		k := s.shown(made.ID)
		if !slices.Equal(k.AllowedHosts, hosts) || !slices.Equal(k.AllowedPaths, paths) || !slices.Equal(k.AllowedMethods, methods) {
			t.Errorf("it is shown as %+v", k)
		}
		// An editor that sends back what it was shown asks for nothing.
		s.do("PUT", "/auth/access_token/"+made.ID, jsonOf(k), ann.session()).want(200)
		k.Updated = s.shown(made.ID).Updated
		if again := s.shown(made.ID); jsonOf(again) != jsonOf(k) {
			t.Errorf("sent back it is %+v, not %+v", again, k)
		}
	}
	var all api.Search[api.Token]
	s.do("GET", "/auth/access_token/_search", "", ann.session()).want(200).json(&all)
	for _, hit := range all.Hits.Hits {
		if !slices.Equal(hit.Source.AllowedHosts, hosts) || !slices.Equal(hit.Source.AllowedPaths, paths) || !slices.Equal(hit.Source.AllowedMethods, methods) {
			t.Errorf("it is listed as %+v", hit.Source)
		}
	}
	if len(all.Hits.Hits) != 2 {
		t.Errorf("%d are listed", len(all.Hits.Hits))
	}
	s.do("GET", "/auth/access_token/_cat", "", ann.session()).want(200)
}

// At an update each list is changed alone; one that is absent stays.
func TestReachUpdates(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{AllowedHosts: []string{"a.example.com"}, AllowedPaths: []string{"/a"}, AllowedMethods: []string{"GET"}})
	for _, c := range []struct{ body, want string }{
		{`{"name":"x"}`, `[a.example.com] [/a] [GET]`},
		{`{"name":"x","allowed_hosts":["b.example.com"]}`, `[b.example.com] [/a] [GET]`},
		{`{"name":"x","allowed_paths":[]}`, `[b.example.com] [] [GET]`},
		{`{"name":"x","allowed_methods":["PUT"],"allowed_hosts":null}`, `[b.example.com] [] [PUT]`},
		{`{"name":"x","allowed_hosts":[],"allowed_methods":[]}`, `[] [] []`},
	} {
		s.do("PUT", "/auth/access_token/"+made.ID, c.body, ann.session()).want(200)
		k := s.shown(made.ID)
		got := strings.Join([]string{jsonOf(k.AllowedHosts), jsonOf(k.AllowedPaths), jsonOf(k.AllowedMethods)}, " ")
		if got = strings.NewReplacer(`"`, "", ",", " ").Replace(got); got != c.want {
			t.Errorf("%s: %s, want %s", c.body, got, c.want)
		}
	}
	s.do("POST", "/auth/access_token/"+made.ID+"/_rename", `{"name":"y","allowed_hosts":["z.example.com"]}`, ann.session()).want(200)
	if k := s.shown(made.ID); len(k.AllowedHosts) != 0 {
		t.Errorf("a change of name changed %v", k.AllowedHosts)
	}
}

func TestReachesThatAreRefused(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	id := s.mint(ann.session(), api.NewToken{}).ID
	many := slices.Repeat([]string{"/a"}, 101)
	for code, bad := range map[string][]api.NewToken{
		"bad_host":   each(func(n *api.NewToken, v string) { n.AllowedHosts = []string{"a.example.com", v} }, "", " ", "*", "*.", "a.*.com", "*a.example.com", "http://a.example.com", "a.example.com:443", "a b", "a/b", "*.192.0.2.1", "user@a", "[::1]:80", strings.Repeat("a.", 127)+"example"),
		"bad_path":   each(func(n *api.NewToken, v string) { n.AllowedPaths = []string{"/a", v} }, "", "a", "*", "/a?b", "/a?", "/a#b", "/a;b", "/../a", "/a/./b", "/a//b", `/a\b`, "/a%2fb", "/a%3Fb", "/100%25", "/%", "/%2541", "/a%00", "/a\nb", "https://a.example.com/", "/"+strings.Repeat("a", 17<<10)),
		"bad_method": each(func(n *api.NewToken, v string) { n.AllowedMethods = []string{"GET", v} }, "", "get", "Get", "GET ", "GET,POST", "*\n", "(GET)", "GÉT", strings.Repeat("A", 33)),
	} {
		for _, n := range bad {
			s.do("POST", "/auth/access_token", jsonOf(n), ann.session()).want(400, code)
			n.Name = "x"
			s.do("PUT", "/auth/access_token/"+id, jsonOf(n), ann.session()).want(400, code)
		}
	}
	s.do("POST", "/auth/access_token", jsonOf(api.NewToken{AllowedPaths: many}), ann.session()).want(400, "reach_too_long")
	for _, body := range []string{`{"allowed_hosts":"a.example.com"}`, `{"allowed_paths":{}}`, `{"allowed_methods":[1]}`} {
		s.do("POST", "/auth/access_token", body, ann.session()).want(400, "bad_type")
	}
	if k := s.shown(id); len(k.AllowedHosts)+len(k.AllowedPaths)+len(k.AllowedMethods) != 0 {
		t.Errorf("what was refused was done: %+v", k)
	}
}

// each makes a body of each value.
func each(set func(n *api.NewToken, value string), values ...string) (all []api.NewToken) {
	for _, v := range values {
		var n api.NewToken
		set(&n, v)
		all = append(all, n)
	}
	return all
}
