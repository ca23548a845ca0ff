package web_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/gate"
)

// behindGate is the configuration of newGate, for a server that is made otherwise.
func behindGate(t testing.TB) func(*web.Config) {
	t.Helper()
	rules, faults := gate.Parse(gateRules())
	if len(faults) > 0 {
		t.Fatalf("%v", faults)
	}
	return func(c *web.Config) {
		c.Gate, c.PublicURL = rules, "https://auth.example.com"
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(proxyAddress + "/32")}
	}
}

// codeFor is the address by which somebody who is signed in comes back.
func (s *server) codeFor(p *person, target string) string {
	s.t.Helper()
	login, err := url.Parse(s.ask(target, navigates).want(302).header.Get("Location"))
	must(s.t, err)
	session := cookieNamed("__Host-husk_session", p.jwt)
	return s.page("/continue?to="+login.Query().Get("return"), session).want(303).header.Get("Location")
}

func (s *server) passFor(p *person, target string) string {
	s.t.Helper()
	pass := cookieIn(s.t, s.ask(s.codeFor(p, target), navigates).want(302), "husk_gate")
	s.secret(pass)
	return pass
}

const appAddress = "https://app.example.com/"

// A session is used by whichever of its credentials is: none of the others ends it.
func TestIdleSessionIsUsedByItsPasses(t *testing.T) {
	s := newGate(t, gateRules(), endsIdle)
	single := s.single()
	pass := s.passFor(single, appAddress)
	other := s.passFor(single, "https://other.example.net/")
	s.ask("https://other.example.net/", gateCookie(other)).want(200)
	for range 3 {
		s.clock.advance(idle - time.Second)
		s.ask(appAddress, gateCookie(pass)).want(200)
	}
	s.ask("https://other.example.net/", gateCookie(other)).want(200)
	s.do("GET", "/account/profile", "", single.session()).want(200)
	s.clock.advance(idle)
	s.ask(appAddress, gateCookie(pass)).want(401)
	s.do("GET", "/account/profile", "", single.session()).want(401)
}

// Passes end with the key, also where what removes the sessions fails.
func TestKeyThatEndsEndsPasses(t *testing.T) {
	s, disk := newFaulty(t, behindGate(t))
	pass, code := s.passFor(s.single(), appAddress), s.codeFor(s.single(), appAddress)
	s.ask(appAddress, gateCookie(pass)).want(200)
	_, err := s.local.RotateKey(t.Context(), api.RotateKey{})
	must(t, err)
	s.ask(appAddress, gateCookie(pass)).want(200)
	disk.set(func(n int) error {
		if n > 0 {
			return db.ErrFull
		}
		return nil
	}, nil)
	_, err = s.local.RotateKey(t.Context(), api.RotateKey{Now: true})
	must(t, err)
	disk.set(nil, nil)
	s.ask(appAddress, gateCookie(pass)).want(401)
	if c := s.ask(code, navigates).cookie("husk_gate"); c != nil {
		s.ask(appAddress, gateCookie(c.Value)).want(401)
	}
}

// However many come at once, while rules change and the session ends: one has the
// pass of a code, and nobody anything after the end.
func TestGateAtOnce(t *testing.T) {
	s := newGate(t, gateRules())
	single := s.single()
	pass, code := s.passFor(single, appAddress), s.codeFor(single, appAddress)
	rules, _ := gate.Parse(gateRules())
	var all sync.WaitGroup
	var had atomic.Int32
	for i := range 100 {
		all.Go(func() {
			switch {
			case i == 60:
				s.do("POST", "/account/logout", "", single.session())
			case i%4 == 0:
				s.SetGate(rules)
			case i%4 == 1:
				a := s.ask(code, navigates)
				if a.cookie("husk_gate") != nil {
					had.Add(1)
				}
				if a.status != http.StatusFound {
					t.Errorf("with the code: %d %s", a.status, a.body)
				}
			default:
				if a := s.ask(appAddress, gateCookie(pass)); a.status != http.StatusOK && a.status != http.StatusUnauthorized {
					t.Errorf("with the pass: %d %s", a.status, a.body)
				}
			}
		})
	}
	all.Wait()
	if n := had.Load(); n > 1 {
		t.Errorf("%d have a pass of the code", n)
	}
	s.ask(appAddress, gateCookie(pass)).want(401)
}

// Another host of the domain can plant the pass of somebody else.
func TestPassesOfTwoUsers(t *testing.T) {
	s := newGate(t, gateRules())
	single, ann := s.single(), s.newUser("ann@example.com")
	own, planted := s.passFor(single, appAddress), s.passFor(ann, appAddress)
	both := []edit{gateCookie(planted), another("Cookie", "husk_gate="+own), navigates}
	s.ask(appAddress, both...).want(400, "many_credentials")
	s.asSubrequest(appAddress, both...).want(403, "many_credentials")
	s.ask(appAddress, gateCookie(own+"; husk_gate="+s.passFor(single, appAddress))).want(200)
	elsewhere := s.passFor(ann, "https://other.example.net/")
	if a := s.ask(appAddress, gateCookie(elsewhere+"; husk_gate="+own)).want(200); identityOf(a) != singleIdentity {
		t.Errorf("it is %s", identityOf(a))
	}
}

// A link with the code of somebody else does not have a browser that is signed in go
// on as them.
func TestCodeOfSomebodyElse(t *testing.T) {
	s := newGate(t, gateRules())
	own, link := s.passFor(s.single(), appAddress), s.codeFor(s.newUser("mallory@example.com"), appAddress)
	a := s.ask(link, gateCookie(own), navigates).want(302)
	if a.cookie("husk_gate") != nil || a.header.Get("Location") != appAddress {
		t.Errorf("%v", a.header)
	}
}

// What a session of a generated password may not do, no application does for it.
func TestHeldSessionIsNobodyAtAnApplication(t *testing.T) {
	s := newGate(t, gateRules())
	made, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "ann@example.com"})
	must(t, err)
	s.secret(made.Password)
	ann := s.signIn(&person{id: made.User.ID, email: "ann@example.com", password: made.Password})
	s.ask(appAddress, ann.session()).want(403, "password_change_required")
	if a := s.ask(appAddress+"open", ann.session()).want(200); identityOf(a) != "|||" {
		t.Errorf("it is %s", identityOf(a))
	}
}

// Proxies keep their clients from the endpoints by how those are spelled.
func TestEndpointsOfTheGateAreSpelledOneWay(t *testing.T) {
	s := newGate(t, gateRules())
	asked := []edit{from(proxyAddress), header("X-Forwarded-Method", "GET"), header("X-Forwarded-Proto", "https"), header("X-Forwarded-Host", "app.example.com"),
		header("X-Forwarded-Uri", "/open"), header("X-Original-Method", "GET"), header("X-Original-URL", appAddress+"open"), onHost("app.example.com")}
	for _, path := range []string{"/api/authz/forward-auth", "/api/auth/nginx", "/api/authz/auth-request?x", "/api/authz/ext-authz/open", "/api/auth/envoy?path=/open"} {
		s.do("GET", path, "", asked...).want(200)
		for _, spelled := range []string{strings.Replace(path, "auth", "%61uth", 1), strings.Replace(path, "/api/", "/api%2f", 1), "/" + path, "/x/.." + path, strings.ToUpper(path)} {
			if a := s.do("GET", spelled, "", asked...); a.status != 401 && a.status != 404 {
				t.Errorf("%s: %d %s", spelled, a.status, a.body)
			}
		}
	}
}

// A rule for all hosts of a domain does not take Husk's own away, whichever of its two
// names that is.
func TestPatternLeavesHusksHost(t *testing.T) {
	for _, login := range []string{"https://auth.example.com", "https://login.example.com"} {
		s := newGate(t, gate.Config{LoginURL: login, Rules: []gate.Rule{{Host: "*.example.com", Require: []string{"public"}, UpstreamURL: newApp(t).URL}}})
		for host, own := range map[string]bool{"auth.example.com": true, "AUTH.example.com.:443": true, "app.example.com": false} {
			if a := s.do("GET", "/health", "", onHost(host)).want(http.StatusOK); strings.Contains(a.body, `"version"`) != own {
				t.Errorf("%s, %s: %s", login, host, a.body)
			}
		}
	}
}

// What an application is told of a request is the client's, but for who asks.
func TestApplicationIsToldNoMoreOfNobody(t *testing.T) {
	s := newGate(t, gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{{Host: "own.example.com", Require: []string{"public"}, UpstreamURL: newApp(t).URL}}})
	a := s.do("GET", "/", "", onHost("own.example.com"), header("Cache-Control", "max-age=5")).want(http.StatusOK)
	if !strings.Contains(a.body, "Cache-Control: max-age=5\r\n") || !strings.Contains(a.body, "Remote-User: \r\n") {
		t.Errorf("it sees\n%s", a.body)
	}
}
