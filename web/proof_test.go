package web_test

import (
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

// provedUntil is what the profile tells; zero: nothing.
func (s *server) provedUntil(with edit) (until time.Time) {
	s.t.Helper()
	var p api.Profile
	s.do("GET", "/account/profile", "", with).want(200).json(&p)
	if p.ProvedUntil != nil {
		until = *p.ProvedUntil
	}
	return until
}

func (s *server) wantProved(with edit, want time.Time) {
	s.t.Helper()
	if got := s.provedUntil(with); !got.Equal(want) {
		s.t.Errorf("proved until %s, want %s", got, want)
	}
}

// A sign-in is a proof, of that session alone, and for as long as it is fresh.
func TestProofOfTheSignIn(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{})
	until := s.clock.now().Add(10 * time.Minute)
	for _, c := range []struct {
		name string
		with edit
		want time.Time
	}{
		{"a session", ann.session(), until}, {"a browser", cookie(ann.jwt), until},
		{"a token", apiToken(made.AccessToken), time.Time{}}, {"the owner of the file", local, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				s.wantProved(c.with, c.want)
			}
		})
	}
	s.clock.advance(10*time.Minute - time.Nanosecond)
	again := s.signIn(ann)
	s.wantProved(ann.session(), until)
	s.clock.advance(time.Nanosecond)
	for _, with := range []edit{ann.session(), cookie(ann.jwt)} {
		s.wantProved(with, time.Time{})
	}
	s.wantProved(again.session(), s.clock.now().Add(10*time.Minute-time.Nanosecond))
}

func TestProof(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	other, made := s.signIn(ann), s.mint(ann.session(), api.NewToken{})
	s.clock.advance(time.Hour)
	right := jsonOf(api.Proof{Password: ann.password})
	for _, c := range []struct {
		name, body string
		with       edit
		status     int
		code       string
	}{
		{"wrong", jsonOf(api.Proof{Password: "wrong and long"}), ann.session(), 403, "wrong_password"},
		{"another's", jsonOf(api.Proof{Password: bob.password}), ann.session(), 403, "wrong_password"},
		{"none", `{}`, ann.session(), 400, "password_missing"},
		{"long", jsonOf(api.Proof{Password: strings.Repeat("ab", 513)}), ann.session(), 400, "password_too_long"},
		{"empty", "", ann.session(), 400, "body_missing"},
		{"by nobody", right, nobody, 401, "not_signed_in"},
		{"by a token", right, apiToken(made.AccessToken), 403, "session_required"},
		{"by the owner of the file", right, local, 403, "session_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.do("POST", "/account/proof", c.body, c.with).want(c.status, c.code)
			s.wantProved(ann.session(), time.Time{})
		})
	}
	if all := s.told("session.prove"); len(all) != 1 || all[0].Actor != ann.id || all[0].Target != ann.id || all[0].Result != db.ResultRefused || all[0].Count != 2 {
		t.Errorf("the audit says %+v", all)
	}
	before := len(s.events())

	a := s.do("POST", "/account/proof", right, ann.session()).want(200)
	a.like(`{"status":"ok","proved_until":"2040-05-06T08:18:09Z"}`)
	if len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("it sets the cookies %q", a.header["Set-Cookie"])
	}
	until := s.clock.now().Add(10 * time.Minute)
	s.wantProved(ann.session(), until)
	s.wantProved(cookie(ann.jwt), until)
	for _, with := range []edit{other.session(), bob.session(), apiToken(made.AccessToken)} {
		s.wantProved(with, time.Time{})
	}
	must(t, s.store.FlushLastUsed(t.Context()))
	if n := len(s.events()); n != before {
		t.Errorf("the audit log has %d entries more of a proof", n-before)
	}
	s.do("POST", "/account/proof", jsonOf(api.Proof{Password: "wrong and long"}), ann.session()).want(403)
	s.wantProved(ann.session(), until)
	s.clock.advance(10 * time.Minute)
	s.wantProved(ann.session(), time.Time{})
}

func TestProofByAChangeOfThePassword(t *testing.T) {
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	s.clock.advance(time.Hour)
	until := s.clock.now().Add(10 * time.Minute)
	change := func(p *person) string {
		return jsonOf(api.PasswordChange{OldPassword: p.password, NewPassword: fresh})
	}
	s.do("PUT", "/account/password", change(ann), ann.session()).want(200)
	s.wantProved(ann.session(), until)
	a := s.do("PUT", "/account/password", change(bob), cookie(bob.jwt)).want(200)
	_, jwt, _ := strings.Cut(a.header.Get("Set-Cookie"), "husk_session=")
	jwt, _, _ = strings.Cut(jwt, ";")
	s.wantProved(cookie(jwt), until)
}

// A proof ends with its session.
func TestProofInAShortSession(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.SessionTTL = 5 * time.Minute })
	ann := s.newUser(annEmail)
	s.clock.advance(time.Minute)
	s.do("POST", "/account/proof", jsonOf(api.Proof{Password: ann.password}), ann.session()).want(200).
		like(`{"status":"ok","proved_until":"2040-05-06T07:13:09Z"}`)
}

// Proofs are counted as what a password does, and refused beyond; by then nothing is
// written.
func TestProofsPerMinute(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 3}))
	ann := s.newUser(annEmail) // whose sign-in is the first
	s.clock.advance(time.Second)
	prove := func() answer {
		return s.do("POST", "/account/proof", jsonOf(api.Proof{Password: ann.password}), ann.session())
	}
	prove().want(200)
	prove().want(200)
	until := s.clock.now().Add(10 * time.Minute)
	s.clock.advance(time.Second)
	prove().want(429, api.CodeTooManyChanges)
	s.wantProved(ann.session(), until)
	s.mint(ann.session(), api.NewToken{}) // what the session does is another budget
}

// Who set the server up signs in with what they set it up with, at once, in either
// mode, and whatever they chose; that is a proof as any sign-in is.
func TestSignInAfterSetup(t *testing.T) {
	for name, c := range map[string]struct {
		setup api.Setup
		mode  string
	}{
		"single": {api.Setup{Name: "Ann"}, "single"},
		"multi":  {api.Setup{Name: "Ann", Email: " Ann@Example.com "}, "multi"},
	} {
		for _, pass := range []string{singlePassword, " Cre\u0301me bru\u0302le\u0301e, \U0001F510 \" & \\ "} {
			t.Run(name, func(t *testing.T) {
				s := newBareServer(t)
				s.secret(pass)
				in := c.setup
				in.Password, in.Code = pass, s.SetupCode()
				login := jsonOf(api.Login{Email: in.Email, Password: pass})
				s.do("POST", "/account/login", login).want(403, "setup_required")
				s.do("POST", "/setup/_initialize", jsonOf(in)).want(200)
				var told api.Settings
				s.do("GET", "/setting/application", "").want(200).json(&told)
				if told.SetupRequired || told.LoginMode != c.mode {
					t.Errorf("the set-up is told as %+v", told)
				}
				var entered api.LoggedIn
				s.do("POST", "/account/login", login).want(200).json(&entered)
				s.secret(jtiOf(entered.AccessToken))
				with := bearer(entered.AccessToken)
				s.wantProved(with, s.clock.now().Add(10*time.Minute))
				s.do("GET", "/security/user/_search", "", with).want(200)
				s.do("POST", "/account/proof", jsonOf(api.Proof{Password: pass}), with).want(200)
			})
		}
	}
}
