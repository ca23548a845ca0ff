package web_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/db"
	"husk/web/api"
	"husk/web/gate"
)

// safeRules have a host where a second factor is asked for, beside those of gateRules.
func safeRules() gate.Config {
	c := gateRules()
	c.Rules = append([]gate.Rule{
		{Host: "app.example.com", Path: "/safe", Require: []string{"any"}, SecondFactor: true},
		{Host: "app.example.com", Path: "/vault", Require: []string{"role:admin"}, SecondFactor: true},
	}, c.Rules...)
	return c
}

const safeAddress = appAddress + "safe/x?y=1"

// authenticator makes the codes of somebody's second factor.
type authenticator struct {
	s      *server
	secret string
}

// enrol sets up TOTP in a session, which then has it proved; with is how the session is
// shown.
func (s *server) enrol(with edit) (*authenticator, answer) {
	s.t.Helper()
	var made api.NewTOTP
	s.do("POST", "/account/totp", "", with).want(200).json(&made)
	s.secret(made.Secret)
	a := &authenticator{s, made.Secret}
	done := s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: a.code()}), with).want(200)
	var codes api.NewRecoveryCodes
	done.json(&codes)
	for _, code := range codes.Codes {
		s.secret(code)
	}
	return a, done
}

// code is one that was not used: each is good once, so the clock goes on by a step.
func (a *authenticator) code() string {
	a.s.t.Helper()
	a.s.clock.advance(30 * time.Second)
	code, err := totp.GenerateCode(a.secret, a.s.clock.now())
	must(a.s.t, err)
	return code
}

// unproved takes away from p's newest session, which nobody used yet, that a second
// factor was proved in it.
func (s *server) unproved(p *person) *person {
	s.t.Helper()
	id := s.sessionOf(p)
	must(s.t, s.store.Engine().Update(s.t.Context(), func(tx db.Tx) error {
		raw, err := tx.Get("session", []byte(id))
		if err != nil {
			return err
		}
		var r db.Session
		if err := json.Unmarshal(raw[9:], &r); err != nil {
			return err
		}
		r.Factored, r.Methods = time.Time{}, nil
		return tx.Put("session", []byte(id), sealed("session", id, jsonOf(r)))
	}))
	return p
}

func browserOf(jwt string) edit { return cookieNamed("__Host-husk_session", jwt) }

// signIn signs p in with a code.
func (a *authenticator) signIn(p *person) *person {
	a.s.t.Helper()
	in, err := a.s.client().Login(a.s.t.Context(), api.Login{Email: p.email, Password: p.password, Code: a.code()})
	must(a.s.t, err)
	a.s.secret(in.AccessToken)
	a.s.secret(jtiOf(in.AccessToken))
	again := *p
	again.jwt = in.AccessToken
	return &again
}

// proveInBrowser proves a second factor in a browser's session, which goes on under a
// new secret.
func (s *server) proveInBrowser(p *person, a *authenticator) *person {
	s.t.Helper()
	done := s.do("POST", "/account/proof", jsonOf(api.Proof{Code: a.code()}), browserOf(p.jwt)).want(200)
	again := *p
	again.jwt = cookieIn(s.t, done, "__Host-husk_session")
	s.secret(again.jwt)
	s.secret(jtiOf(again.jwt))
	return &again
}

// toFactor is the signed return address of an answer that leads to the second factor.
func (s *server) toFactor(a answer, status int) string {
	s.t.Helper()
	sealed, found := strings.CutPrefix(a.want(status).header.Get("Location"), "https://auth.example.com/second-factor?return=")
	if !found || identityOf(a) != "|||" || a.header.Get("Cache-Control") != "no-store" {
		s.t.Fatalf("it leads to %q: %v", a.header.Get("Location"), a.header)
	}
	return sealed
}

// Where a page is asked for, whoever lacks nothing but a second factor is led to it;
// all else is refused, with what is missing.
func TestGateAsksForASecondFactor(t *testing.T) {
	s := newGate(t, safeRules())
	ann := s.newUser(annEmail)
	pass := gateCookie(s.passFor(ann, appAddress))
	secret := s.mintFor(ann, api.NewToken{}).AccessToken

	s.toFactor(s.ask(safeAddress, pass, navigates), 302)
	s.toFactor(s.ask(safeAddress, pass, acceptPage, header("X-Forwarded-Method", "POST")), 303)
	if a := s.asSubrequest(safeAddress, pass, navigates); s.toFactor(a, 401) == "" || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("a proxy is told %v", a.header)
	}
	for name, c := range map[string]struct {
		target string
		edits  []edit
		code   string
	}{
		"a program":           {safeAddress, []edit{pass}, "second_factor_setup_required"},
		"a script of a page":  {safeAddress, []edit{pass, acceptPage, header("Sec-Fetch-Mode", "cors")}, "second_factor_setup_required"},
		"a program's session": {safeAddress, []edit{bearer(ann.jwt)}, "second_factor_setup_required"},
		"who may not anyway":  {appAddress + "vault", []edit{pass, navigates}, "not_permitted"},
	} {
		if a := s.ask(c.target, c.edits...).want(403, c.code); a.header.Get("Location") != "" {
			t.Errorf("%s is led to %s", name, a.header.Get("Location"))
		}
	}
	s.asSubrequest(safeAddress, pass).want(403, "second_factor_setup_required")
	s.ask(safeAddress, apiToken(secret)).want(200)
	s.ask(appAddress, pass).want(200)
	for name, with := range map[string][]edit{ // their form, or their header, would be lost
		"a form": {pass, header("X-Forwarded-Method", "POST")}, "a session in a header": {bearer(ann.jwt)},
	} {
		a := s.ask(safeAddress, append(with, navigates, acceptPage)...)
		if a.status != 403 || a.header.Get("Location") != "" || !strings.Contains(a.body, `<a href="https://auth.example.com/second-factor?return=`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a, _ := s.enrol(ann.session())
	s.ask(safeAddress, bearer(ann.jwt)).want(200)
	old := s.unproved(a.signIn(ann))
	s.ask(appAddress, bearer(old.jwt)).want(200)
	s.ask(safeAddress, bearer(old.jwt)).want(403, "second_factor_required")
}

// Who sets a second factor up on the way, or proves it, goes on to what they wanted: the
// session has a new secret by then, and the application's cookie comes by a new code.
func TestWayInByASecondFactor(t *testing.T) {
	s := newGate(t, safeRules())
	ann := s.newUser(annEmail)
	pass := s.passFor(ann, appAddress)
	sealed := s.toFactor(s.ask(safeAddress, gateCookie(pass), navigates), 302)
	a, done := s.enrol(browserOf(ann.jwt))
	session := browserOf(cookieIn(t, done, "__Host-husk_session"))
	s.ask(appAddress, gateCookie(pass)).want(401, "not_signed_in")
	good := s.comeBack("/continue?to="+sealed, safeAddress, session)
	s.ask(safeAddress, gateCookie(good)).want(200)

	old := s.unproved(a.signIn(ann))
	pass = s.passFor(old, appAddress)
	sealed = s.toFactor(s.asSubrequest(safeAddress, gateCookie(pass), navigates), 401)
	old = s.proveInBrowser(old, a)
	s.ask(appAddress, gateCookie(pass)).want(401)
	good = s.comeBack("/continue?to="+sealed, safeAddress, browserOf(old.jwt))
	s.ask(safeAddress, gateCookie(good)).want(200)
	s.asSubrequest(safeAddress, gateCookie(good)).want(200)

	// Who signs in with it is asked for nothing more.
	s.ask(safeAddress, gateCookie(s.passFor(a.signIn(ann), safeAddress))).want(200)
}

// Whose cookie at the application is another user's, who proved nothing, would come back
// for ever: theirs is not replaced by a link.
func TestSecondFactorInACircle(t *testing.T) {
	s := newGate(t, safeRules())
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	weak := gateCookie(s.passFor(ann, appAddress))
	s.enrol(bob.session())
	round := func() answer {
		return s.page("/continue?to="+s.toFactor(s.ask(safeAddress, weak, navigates), 302), browserOf(bob.jwt))
	}
	for range 4 {
		back := round().want(303).header.Get("Location")
		if led := s.ask(back, weak, navigates).want(302); led.cookie("husk_gate") != nil || led.header.Get("Location") != safeAddress {
			t.Errorf("a link makes another user of who follows it: %v", led.header)
		}
	}
	if a := round(); a.status != 400 {
		t.Errorf("a circle without an end: %d", a.status)
	}
}

// A session that a role holds back is led to the second factor at every rule that is
// not public, whatever it says, and is nobody at a public one.
func TestGateHoldsBackByRole(t *testing.T) {
	s := newGate(t, safeRules())
	ann := s.newUser(annEmail)
	pass := gateCookie(s.passFor(ann, appAddress))
	secret := s.mintFor(ann, api.NewToken{}).AccessToken
	s.ask(appAddress, pass).want(200)
	s.requires(db.RoleUser, true)
	for _, target := range []string{appAddress, safeAddress, appAddress + "admin", appAddress + "vault"} {
		s.toFactor(s.ask(target, pass, navigates), 302)
		s.toFactor(s.asSubrequest(target, pass, navigates), 401)
		s.ask(target, pass).want(403, "second_factor_setup_required")
		s.ask(target, bearer(ann.jwt), navigates).want(403, "second_factor_setup_required")
	}
	if a := s.ask(appAddress+"open", pass).want(200); identityOf(a) != "|||" {
		t.Errorf("in public it is %s", identityOf(a))
	}
	s.ask(appAddress, apiToken(secret)).want(200)
	s.introspect(ann.jwt, s.gateway()).want(200).like(`{"active":false}`)
	s.requires(db.RoleUser, false)
	s.ask(appAddress, pass).want(200)
	s.requires(db.RoleUser, true)
	a, _ := s.enrol(ann.session())
	s.ask(appAddress, bearer(ann.jwt)).want(200)
	s.ask(appAddress, bearer(s.unproved(a.signIn(ann)).jwt)).want(403, "second_factor_required")
}

// requires has a role require a second factor, or not.
func (s *server) requires(role string, yes bool) {
	s.t.Helper()
	_, err := s.local.UpdateRole(s.t.Context(), role, api.RoleChange{RequireSecondFactor: &yes})
	must(s.t, err)
}

// Husk's own proxy asks for it as the others do, and what streams ends with the secret
// of the session, or where a role holds that back.
func TestOwnProxyAsksForASecondFactor(t *testing.T) {
	t.Parallel()
	upstream := newEchoing(t).URL
	s := newGate(t, gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "own.example.com", Path: "/safe", Require: []string{"any"}, SecondFactor: true, UpstreamURL: newApp(t).URL},
		{Host: "own.example.com", Require: []string{"any"}, UpstreamURL: upstream},
	}})
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	own := onHost("own.example.com")
	in := func(p *person) string {
		t.Helper()
		login, err := url.Parse(s.do("GET", "/", "", own, navigates).want(302).header.Get("Location"))
		must(t, err)
		back, err := url.Parse(s.page("/continue?to="+login.Query().Get("return"), browserOf(p.jwt)).want(303).header.Get("Location"))
		must(t, err)
		return cookieIn(t, s.do("GET", back.RequestURI(), "", own, navigates).want(302), "husk_gate")
	}
	pass := in(ann)
	s.toFactor(s.do("GET", "/safe", "", own, gateCookie(pass), navigates), 302)
	s.do("GET", "/safe", "", own, gateCookie(pass)).want(403, "second_factor_setup_required")
	ends := map[string]*socket{
		"its session has another secret": s.openSocket("/", "Cookie: husk_gate="+pass),
		"a role holds its session back":  s.openSocket("/", "Cookie: husk_gate="+in(bob)),
	}
	_, done := s.enrol(browserOf(ann.jwt))
	s.requires(db.RoleUser, true)
	for why, c := range ends {
		if rest, err := io.ReadAll(c.in); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, and it goes on: %q, %v", why, rest, err)
		}
	}
	ann.jwt = cookieIn(t, done, "__Host-husk_session")
	s.do("GET", "/safe", "", own, gateCookie(in(ann))).want(200)
}

// A rule is tried as who has a second factor signs in, and tells of who has none.
func TestRulesAreTriedWithASecondFactor(t *testing.T) {
	s := newGate(t, safeRules())
	ann := s.newUser(annEmail)
	tried := func(target string) api.RuleTested {
		return s.testRule(local, api.RuleTest{URL: target, User: annEmail})
	}
	reasons := func(r api.RuleTested) (codes []string) {
		for _, one := range r.Reasons {
			codes = append(codes, one.Code)
		}
		return codes
	}
	if r := tried(safeAddress); r.Status != 403 || !slices.Equal(reasons(r), []string{"second_factor_required", "no_second_factor"}) {
		t.Errorf("of who has none: %+v", r)
	}
	s.requires(db.RoleUser, true)
	if r := tried(appAddress); r.Status != 403 || !slices.Equal(reasons(r), []string{"role_second_factor", "no_second_factor"}) {
		t.Errorf("of who has none, and needs one: %+v", r)
	}
	s.enrol(ann.session())
	for _, target := range []string{safeAddress, appAddress} {
		if r := tried(target); r.Status != 200 {
			t.Errorf("of who has one: %+v", r)
		}
	}
}

// Own applications are those that the session may open now.
func TestOwnApplicationsWithASecondFactor(t *testing.T) {
	s := newServer(t, served(t))
	ann := s.newUser(annEmail)
	rules := func() (numbers []int) {
		t.Helper()
		var mine []api.OwnApplication
		s.do("GET", "/account/applications", "", ann.session()).want(200).json(&mine)
		for _, one := range mine {
			numbers = append(numbers, one.Rule)
		}
		return numbers
	}
	const bank = 8
	before := rules()
	s.enrol(ann.session())
	if after := rules(); slices.Contains(before, bank) || !slices.Contains(after, bank) || len(after) != len(before)+1 {
		t.Errorf("with one %v, without %v", after, before)
	}
}
