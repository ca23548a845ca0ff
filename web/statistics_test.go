package web_test

import (
	"fmt"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/gate"
)

// statistics are those of a span, asked by the owner of the file, who counts as
// nobody.
func (s *server) statistics(span string) (out api.Statistics) {
	s.t.Helper()
	s.do("GET", "/system/statistics?span="+span, "", local).want(200).json(&out)
	return out
}

// lastPoint is the hour that runs.
func (s *server) lastPoint() api.StatisticsPoint {
	s.t.Helper()
	all := s.statistics("24h").Points
	return all[len(all)-1]
}

// Each request that needs a credential counts once, by what it showed, and each try at
// a password by what became of it.
func TestStatisticsCount(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.LoginLimits.Account = 2 })
	single := s.single()
	secret := s.mint(single.session(), api.NewToken{}).AccessToken
	before := s.lastPoint()
	if before.SignIns.OK != 1 || before.StoreBytes == 0 {
		t.Errorf("at first %+v", before)
	}
	for range 5 {
		s.do("GET", "/account/profile", "", apiToken(secret)).want(200)
	}
	for range 3 {
		s.do("GET", "/account/profile", "", single.session()).want(200)
	}
	s.do("GET", "/absent", "", apiToken(secret)).want(404)
	s.do("GET", "/health", "", apiToken(secret)).want(200)
	s.do("GET", "/account/profile", "").want(401)
	s.do("GET", "/account/profile", "", apiToken(mistyped(secret))).want(401)
	s.do("GET", "/account/profile", "", bearer("nonsense")).want(401)
	s.page("/", cookie(single.jwt)).want(200) // which calls the API
	s.page("/", nobody)
	s.page("/login", cookie("nonsense")).want(200) // for everybody, and it asks who that is
	for range 4 {
		s.do("POST", "/account/login", `{"password":"wrong and long"}`)
	}
	now := s.lastPoint()
	want := before
	want.SignIns.Refused, want.SignIns.Throttled = 2, 2
	want.Requests.Token += 5
	want.Requests.Session += 4
	want.Requests.None += 2
	want.Requests.Refused += 2
	want.StoreBytes = now.StoreBytes
	if fmt.Sprint(now) != fmt.Sprint(want) {
		t.Errorf("counted\n%+v, want\n%+v", now, want)
	}
}

// What the gate decides counts by the host of the rule, and is kept where the rules
// change; of what nobody has a rule for there is one sum.
func TestStatisticsOfTheGate(t *testing.T) {
	s := newGate(t, gateRules())
	secret := s.mint(s.single().session(), api.NewToken{}).AccessToken
	before := s.lastPoint()
	s.ask("https://app.example.com/open").want(200)
	s.ask("https://app.example.com/", apiToken(secret)).want(200)
	s.ask("https://app.example.com/", navigates).want(302)
	s.ask("https://app.example.com/", apiToken(mistyped(secret))).want(401)
	for i := range 3 {
		s.ask(fmt.Sprintf("https://evil%d.example/", i)).want(403)
	}
	rules, faults := gate.Parse(gate.Config{LoginURL: gateRules().LoginURL, Rules: []gate.Rule{{Host: "new.example.com", Require: []string{"public"}}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s.SetGate(rules)
	s.ask("https://new.example.com/").want(200)
	now := s.lastPoint()
	want := "[{app.example.com 2 1 1} {new.example.com 1 0 0} { 0 3 0}]"
	if fmt.Sprint(now.Gate) != want {
		t.Errorf("decided %+v, want %s", now.Gate, want)
	}
	if n := now.Requests; n.Token != before.Requests.Token+1 || n.Refused != before.Requests.Refused+1 || n.None != before.Requests.None+6 {
		t.Errorf("requests %+v, before %+v", n, before.Requests)
	}
	for _, p := range s.statistics("400d").Points[:399] {
		if fmt.Sprint(p.Gate) != "[{app.example.com 0 0 0} {new.example.com 0 0 0} { 0 0 0}]" {
			t.Fatalf("another day has %+v", p.Gate)
		}
	}
}

func TestStatisticsOfASpan(t *testing.T) {
	s := newServer(t)
	for span, want := range map[string]struct {
		step   string
		points int
	}{"": {"hour", 24}, "24h": {"hour", 24}, "30d": {"day", 30}, "400d": {"day", 400}} {
		got := s.statistics(span)
		first, last := got.Points[0].Time, got.Points[len(got.Points)-1].Time
		if got.Step != want.step || len(got.Points) != want.points || !first.Before(last) || last.After(s.clock.now()) {
			t.Errorf("%q: %s, %d points from %v to %v", span, got.Step, len(got.Points), first, last)
		}
	}
	for _, span := range []string{"1h", "24H", "400", "365d", "-"} {
		s.do("GET", "/system/statistics?span="+span, "", local).want(400, "bad_span")
	}
	s.mint(s.single().session(), api.NewToken{ExpireIn: -1})
	s.mint(s.single().session(), api.NewToken{ExpireIn: s.clock.now().Add(48 * time.Hour).Unix()})
	got := fmt.Sprint(s.statistics("24h").TokenLife)
	if want := "[{ended {0 eq}} {1d {0 eq}} {7d {1 eq}} {30d {0 eq}} {90d {0 eq}} {365d {0 eq}} {more {0 eq}} {never {1 eq}}]"; got != want {
		t.Errorf("token life %s, want %s", got, want)
	}
}

// In 400 days there may have been many more hosts than in one: those with most
// requests are told.
func TestHostsOfASpanAreBounded(t *testing.T) {
	s := newServer(t)
	for i := range 3 * db.MaxGateHosts {
		s.store.NoteCounts(db.Counts{Gate: map[string]db.GateCounts{fmt.Sprintf("app%03d", i): {Allowed: uint64(i + 1)}}})
		s.clock.advance(24 * time.Hour)
	}
	points := s.statistics("400d").Points
	var all uint64
	for _, p := range points {
		if len(p.Gate) != db.MaxGateHosts+1 || p.Gate[0].Host != "app100" || p.Gate[db.MaxGateHosts].Host != "" {
			t.Fatalf("%+v", p.Gate)
		}
		for _, g := range p.Gate {
			all += g.Allowed
		}
	}
	if want := uint64(150 * 151 / 2); all != want {
		t.Errorf("%d in all, want %d", all, want)
	}
}

// The requests of a token are for its owner and for administrators to see, and none is
// lost where many are made in a second, where the token is rotated, and where its
// identity is forgotten to make room.
func TestTokenUsage(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	made := s.mint(ann.session(), api.NewToken{})
	path := "/auth/access_token/" + made.ID + "/_usage"
	usage := func(with edit) (out api.TokenUsage) {
		t.Helper()
		s.HandCounts()
		s.do("GET", path, "", with).want(200).json(&out)
		return out
	}
	use := func(n int) {
		t.Helper()
		for range n {
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
		}
	}
	use(10)
	s.Remember(2 * web.MaxIdentities)
	use(5)
	s.do("PUT", "/auth/access_token/"+made.ID, `{"name":"another"}`, ann.session()).want(200)
	use(5)
	must(t, s.store.FlushLastUsed(t.Context()))
	s.clock.advance(24 * time.Hour)
	ann = s.signIn(ann)
	use(1)
	got := usage(ann.session())
	if got.ID != made.ID || len(got.Days) != 30 || got.Total != 21 || got.Days[29].Requests != 1 || got.Days[28].Requests != 20 || got.Days[29].Date != s.clock.now().Format(time.DateOnly) {
		t.Errorf("%+v", got)
	}
	if got := usage(s.single().session()); got.Total != 21 {
		t.Errorf("an administrator sees %+v", got)
	}
	s.do("GET", path, "", s.signIn(bob).session()).want(404, "not_found")
	s.do("GET", "/auth/access_token/absent/_usage", "", ann.session()).want(404, "not_found")
}
