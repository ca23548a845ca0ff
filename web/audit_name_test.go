package web_test

import (
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
)

// What is refused is told by the names of those whom the server knows, and of
// nobody else: what was typed there may be a password.
func TestRefusalsTellNames(t *testing.T) {
	s := newServer(t)
	ann := s.newUser("ann@example.com", db.RoleAdmin)
	k := s.mintFor(ann, api.NewToken{Name: "deploy", AllowedIPs: []string{"198.51.100.0/24"}})
	s.do("GET", "/account/profile", "", apiToken(k.AccessToken)).want(401)
	for _, email := range []string{"ann@example.com", "nobody@example.com", "a word that is a password"} {
		s.do("POST", "/account/login", jsonOf(api.Login{Email: email, Password: "not the right one"}), nobody)
	}
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: "not the right one", NewPassword: "another long phrase"}), ann.session()).want(403)
	names := map[string]bool{}
	for _, action := range []string{"token.use", "session.login", "user.password"} {
		for _, e := range s.told(action) {
			if e.Result == db.ResultRefused {
				names[action+" of "+e.TargetName] = true
			}
		}
	}
	for _, want := range []string{"token.use of deploy", "session.login of ann@example.com", "session.login of ", "user.password of ann@example.com"} {
		if !names[want] {
			t.Errorf("there is no %q among %v", want, names)
		}
	}
	if len(names) != 4 {
		t.Errorf("the log tells %v", names)
	}
}

// The server is the judge of what can be asked for.
func TestAuditJudges(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	ask := func(query string) answer { return s.do("GET", "/security/audit/_search?"+query, "", admin.session()) }
	near := ask("action=token.crate").want(400, "unknown_action")
	if !strings.Contains(near.body, "did you mean token.create?") {
		t.Error(near.body)
	}
	ask("actor=bob@example.com").want(404, "unknown_actor")
	ask("target=deploy").want(404, "unknown_target")
	ask("since=2040-01-02T00:00:00Z&until=2040-01-01T00:00:00Z").want(400, "bad_interval")
	ask("target=5f4e1b57-9d4c-4a52-8c11-3b6d2f0e7a90").want(200)
	ask("actor=&action=&target=&result=&address=").want(200)
	ask("result=denied").want(400, "bad_result")
	ask("result=ok&from=1").want(400, "bad_page")
	for _, none := range []string{"here", "127.0.0.1:80", "10.0.0.0/33", "::ffff:10.0.0.0/104", "fe80::1%25eth0"} {
		ask("address="+none).want(400, "bad_prefix")
	}
	// Whose own look costs a walk of the log has one turn after another.
	var ends []func()
	for range 2 {
		end, err := s.TakeTurn(t.Context(), admin.id)
		must(t, err)
		ends = append(ends, end)
	}
	answered, queries := make(chan int, 3), []string{"target=deploy", "result=denied", "address=here"}
	for i, query := range queries {
		go func() { answered <- ask(query).status }()
		for holders := 0; holders != 3+i; holders, _ = s.Turns(admin.id) {
			select {
			case status := <-answered:
				t.Fatalf("%s did not wait: %d", query, status)
			default:
			}
		}
	}
	ends[0]()
	ends[1]()
	sum := 0
	for range queries {
		sum += <-answered
	}
	if sum != 404+400+400 {
		t.Errorf("the answers when their turn had come add up to %d", sum)
	}
}

// The log tells what was refused, and what came from somewhere.
func TestAuditByResultAndAddress(t *testing.T) {
	s := newServer(t)
	ann := s.newUser("ann@example.com", db.RoleAdmin)
	s.do("POST", "/account/login", jsonOf(api.Login{Email: "ann@example.com", Password: "not the right one"}), nobody).want(403)
	must(t, s.store.FlushLastUsed(t.Context()))
	for query, want := range map[string]string{
		"result=refused": "session.login", "result=refused&actor=&action=session.login": "session.login", "result=refused&address=192.0.2.0/24": "session.login",
		"result=refused&action=token.create": "", "result=refused&address=127.0.0.1": "", "address=2001:db8::/32": "",
	} {
		var page api.Search[api.AuditEvent]
		s.do("GET", "/security/audit/_search?"+query, "", ann.session()).want(200).json(&page)
		got := ""
		for _, hit := range page.Hits.Hits {
			got += hit.Source.Action
			if hit.Source.Result != db.ResultRefused {
				t.Errorf("%s: %+v", query, hit.Source)
			}
		}
		if got != want || page.Hits.Total.Value != int64(len(page.Hits.Hits)) {
			t.Errorf("%s: %q, want %q; the total is %+v", query, got, want, page.Hits.Total)
		}
	}
}

// A token is listed with whose it is, as a session is.
func TestTokensTellTheirOwner(t *testing.T) {
	s := newServer(t)
	ann := s.newUser("ann@example.com", db.RoleUser)
	k := s.mintFor(ann, api.NewToken{Name: "deploy"})
	for _, path := range []string{"/auth/access_token/_search?owner=*", "/auth/access_token/_search?owner=ann@example.com"} {
		var page api.Search[api.Token]
		s.do("GET", path, "", s.single().session()).want(200).json(&page)
		if hit := page.Hits.Hits[0].Source; hit.Owner != ann.id || hit.OwnerName != "ann@example.com" {
			t.Errorf("%s: %+v", path, hit)
		}
	}
	var own api.Found[api.Token]
	s.do("GET", "/auth/access_token/"+k.ID, "", ann.session()).want(200).json(&own)
	if own.Source.OwnerName != "ann@example.com" {
		t.Errorf("%+v", own.Source)
	}
}
