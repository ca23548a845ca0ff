package web_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"husk/db"
	"husk/db/dbtest"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/password"
)

// limited is an edit with the limits that a server has by itself, by the
// test's clock: 5 failures of an account, 20 of an address, 15 s and doubled.
func limited(c *web.Config) { c.LoginLimits = web.LoginLimits{Now: c.Store.Now} }

const (
	free        = 5
	addressFree = 20
	firstDelay  = 15 * time.Second
	wrong       = "wrong and long"
	fresh       = "nine crates of quinces"
)

// door is a place where a password is taken.
type door struct {
	name    string
	refused int    // the status of a wrong password
	passed  int    // and of a right one
	code    string // of a refusal, where it is JSON
	try     func(s *server, p *person, pass string, edits ...edit) answer
}

func acceptPage(r *http.Request) { r.Header.Set("Accept", "text/html,*/*;q=0.8") }

// doors are all of them.
var doors = []door{
	{"JSON login", 403, 200, "login_failed", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("POST", "/account/login", jsonOf(api.Login{Email: p.email, Password: pass}), edits...)
	}},
	{"JSON login by its alias", 403, 200, "login_failed", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("POST", "/account/login", jsonOf(api.Login{Login: p.email, Password: pass}), edits...)
	}},
	{"form login", 403, 200, "login_failed", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("POST", "/account/login", form("email", p.email, "password", pass), append(edits, contentType(formType))...)
	}},
	{"login page", 403, 303, "", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("POST", "/account/login", form("email", p.email, "password", pass), append(edits, contentType(formType), acceptPage)...)
	}},
	{"change of password", 403, 200, "wrong_password", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: pass, NewPassword: fresh}), append(edits, p.session())...)
	}},
	{"proof of the password", 403, 200, "wrong_password", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("POST", "/account/proof", jsonOf(api.Proof{Password: pass}), append(edits, p.session())...)
	}},
	{"password page", 403, 303, "", func(s *server, p *person, pass string, edits ...edit) answer {
		return s.do("POST", "/password", form("old_password", pass, "new_password", fresh, "again", fresh), append(edits, contentType(formType), acceptPage, cookie(p.jwt))...)
	}},
}

// login is the first of them.
func (s *server) login(p *person, pass string, edits ...edit) answer {
	s.t.Helper()
	return doors[0].try(s, p, pass, edits...)
}

// fail tries wrong passwords, each of which has to be looked at.
func (s *server) fail(p *person, times int, edits ...edit) {
	s.t.Helper()
	for range times {
		s.login(p, wrong, edits...).want(403, "login_failed")
	}
}

// retryAfter is the header in seconds.
func (a answer) retryAfter() time.Duration {
	a.t.Helper()
	n, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || n < 1 {
		a.t.Errorf("%.80s = %d with Retry-After %q", a.what, a.status, a.header.Get("Retry-After"))
	}
	return time.Duration(n) * time.Second
}

// throttled fails unless the answer is the refusal of a try.
func (a answer) throttled(wait time.Duration) answer {
	a.t.Helper()
	if a.want(429, "throttled"); a.status == 429 && a.retryAfter() != wait {
		a.t.Errorf("%.80s: Retry-After is %v, want %v", a.what, a.retryAfter(), wait)
	}
	return a
}

// Sign-ins at once that are all right do not throttle each other, and of wrong
// ones no more are looked at than in a row.
func TestSignInsAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *web.Config) {
		c.LoginLimits = web.LoginLimits{Now: c.LoginLimits.Now}
		// Slow enough for all to be there before the first is decided; under the race
		// detector it could be so slow that who waits for five of them loses patience.
		cost := password.Params{Memory: 12288, Time: 3, Threads: 1}
		if dbtest.Race {
			cost = password.InsecureTestParams()
		}
		c.Passwords = password.New(password.Config{Params: cost, MaxConcurrent: 1, MaxWait: time.Minute})
	})
	ann, bob := s.newUser("ann@example.com"), s.newUser("bob@example.com")
	at := func(p *person, pass string) map[int]int {
		var mu sync.Mutex
		var all sync.WaitGroup
		count := map[int]int{}
		for range 12 {
			all.Go(func() {
				a := s.login(p, pass)
				mu.Lock()
				defer mu.Unlock()
				count[a.status]++
			})
		}
		all.Wait()
		return count
	}
	if count := at(ann, ann.password); count[200] != 12 {
		t.Errorf("right: %v", count)
	}
	if count := at(bob, wrong); count[403] != 5 || count[429] != 7 {
		t.Errorf("wrong: %v", count)
	}
}

// T1, T6: every door counts, all in one bucket, and behind the limit a right
// and a wrong password look alike.
func TestEveryDoorIsThrottled(t *testing.T) {
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limited)
			s.secret(fresh)
			ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
			for range free {
				if a := d.try(s, ann, wrong); a.status != d.refused {
					t.Fatalf("%d %.200s", a.status, a.body)
				} else if d.code != "" {
					a.want(d.refused, d.code)
				}
			}
			hashes := s.hasher.Stats().Total
			for _, other := range doors {
				bad, good := other.try(s, ann, wrong), other.try(s, ann, ann.password)
				for _, a := range []answer{bad, good} {
					if a.status != 429 || a.retryAfter() != firstDelay {
						t.Errorf("%s = %d with Retry-After %q", other.name, a.status, a.header.Get("Retry-After"))
					}
				}
				if bad.body != good.body || len(good.header["Set-Cookie"]) != 0 || good.header.Get("Content-Type") != bad.header.Get("Content-Type") {
					t.Errorf("%s: a right password is answered %s %v, a wrong one %s", other.name, good.body, good.header, bad.body)
				}
			}
			if n := s.hasher.Stats().Total - hashes; n != 0 {
				t.Errorf("%d passwords were hashed while throttled", n)
			}
			s.login(bob, bob.password).want(200)
			s.clock.advance(firstDelay - time.Nanosecond)
			s.login(ann, ann.password).throttled(time.Second)
			s.clock.advance(time.Nanosecond)
			if a := d.try(s, ann, ann.password); a.status != d.passed {
				t.Errorf("after the delay: %d %.200s", a.status, a.body)
			}
		})
	}
}

// T1: the account counts whatever address the tries come from.
func TestManyAddressesShareTheAccount(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	for i := range free {
		s.fail(ann, 1, from(fmt.Sprintf("198.51.100.%d", i)))
	}
	s.login(ann, ann.password, from("203.0.113.9")).throttled(firstDelay)
	s.login(ann, ann.password, from("[2001:db8::1]")).throttled(firstDelay)
}

// T5: spellings of one email are one bucket, and one account.
func TestSpellingsShareABucket(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	eve := s.newUser("straße@example.com")
	for i, spelling := range []string{"straße@example.com", "STRASSE@example.com", "  Straße@Example.COM\t", "strasse@EXAMPLE.com", "\u00a0straſſe@example.com"} {
		as := &person{email: spelling}
		if i%2 == 0 {
			s.login(as, wrong).want(403)
		} else {
			doors[3].try(s, as, wrong)
		}
	}
	for _, spelling := range []string{"straße@example.com", "Strasse@example.com", " straße@EXAMPLE.com "} {
		s.login(&person{email: spelling}, eve.password).throttled(firstDelay)
	}
	s.clock.advance(firstDelay)
	s.login(&person{email: " STRASSE@example.com"}, eve.password).want(200)
	// The single user is one account too, whatever stands where an email might.
	single := s.single()
	s.fail(&person{}, 3)
	s.fail(&person{email: "  "}, 1)
	s.fail(&person{email: " COCO-default-user "}, 1)
	s.login(single, singlePassword).throttled(firstDelay)
	s.login(&person{email: "Coco-Default-User"}, singlePassword).throttled(firstDelay)
	s.clock.advance(firstDelay)
	s.login(&person{email: "Coco-Default-User"}, singlePassword).want(200)
}

// T7: the delay ends, doubles with each further failure, is never over an
// hour, and a success forgets it all.
func TestDelayGrowsToAnHour(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	s.fail(ann, free)
	delay := firstDelay
	for range 12 {
		s.login(ann, wrong).throttled(delay)
		s.clock.advance(delay - 500*time.Millisecond)
		s.login(ann, ann.password).throttled(time.Second) // whole seconds, rounded up
		s.clock.advance(500 * time.Millisecond)
		s.fail(ann, 1)
		delay = min(2*delay, time.Hour)
	}
	if delay != time.Hour {
		t.Fatalf("the delay is %v", delay)
	}
	s.clock.advance(delay)
	s.login(ann, ann.password).want(200)
	s.fail(ann, free)
	s.login(ann, wrong).throttled(firstDelay)
}

// T8: unknown emails count like known ones and create nothing.
func TestUnknownEmailsCount(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann, nobody := s.newUser(annEmail), &person{email: "nobody@example.com"}
	users, events := s.everyUser(), len(s.events())
	for range free {
		known, unknown := s.login(ann, wrong), s.login(nobody, wrong)
		if known.status != unknown.status || known.body != unknown.body {
			t.Errorf("known: %d %s, unknown: %d %s", known.status, known.body, unknown.status, unknown.body)
		}
	}
	known, unknown := s.login(ann, wrong).throttled(firstDelay), s.login(nobody, wrong).throttled(firstDelay)
	if known.body != unknown.body {
		t.Errorf("known: %s, unknown: %s", known.body, unknown.body)
	}
	s.clock.advance(firstDelay)
	s.fail(nobody, 1)
	s.login(nobody, wrong).throttled(2 * firstDelay)
	after := s.everyUser()
	for i := range after {
		after[i].Throttled = nil
	}
	if jsonOf(after) != jsonOf(users) || len(s.events()) != events {
		t.Errorf("users %s, %d audit entries", jsonOf(after), len(s.events())-events)
	}
}

// T2: one address that tries many accounts is held up, and nobody else is. An
// IPv6 address counts by its /64, and a mapped one is that of IPv4.
func TestSpraying(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, near, far string }{
		{"IPv4", "198.51.100.7", "198.51.100.7", "198.51.100.8"},
		{"IPv4 as IPv6", "[::ffff:198.51.100.7]", "198.51.100.7", "198.51.100.8"},
		{"IPv6", "[2001:db8:1:2::1]", "[2001:db8:1:2:ffff::9]", "[2001:db8:1:3::1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limited)
			ann := s.newUser(annEmail)
			for i := range addressFree {
				s.fail(&person{email: fmt.Sprintf("user%d@example.com", i)}, 1, from(c.from))
			}
			for _, address := range []string{c.from, c.near} {
				s.login(ann, ann.password, from(address)).throttled(firstDelay)
				s.login(&person{email: "another@example.com"}, wrong, from(address)).throttled(firstDelay)
				doors[4].try(s, ann, ann.password, from(address)).throttled(firstDelay)
			}
			s.login(ann, ann.password, from(c.far)).want(200)
			// What was refused at the address did not count for the account.
			if u, err := s.local.GetUser(t.Context(), ann.id); err != nil || u.Source.Throttled != nil {
				t.Errorf("%+v, %v", u, err)
			}
			s.clock.advance(firstDelay)
			s.login(ann, ann.password, from(c.near)).want(200)
		})
	}
}

// Who waits for the count of the address is not advised to do what ends that of
// an account.
func TestAdviceEndsTheWait(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	for i := range addressFree {
		s.fail(&person{email: fmt.Sprintf("user%d@example.com", i)}, 1)
	}
	s.login(ann, ann.password).throttled(firstDelay).holds("came from this address")
	if _, err := s.local.UnlockUser(t.Context(), ann.id); err != nil {
		t.Fatal(err)
	}
	s.login(ann, ann.password).throttled(firstDelay).holds("came from this address")
	far := from("203.0.113.9")
	s.fail(bob, free, far)
	s.login(bob, bob.password, far).throttled(firstDelay).holds("husk passwd")
	if _, err := s.local.UnlockUser(t.Context(), bob.id); err != nil {
		t.Fatal(err)
	}
	s.login(bob, bob.password, far).want(200)
}

// holds fails unless the body has the text.
func (a answer) holds(text string) {
	a.t.Helper()
	if !strings.Contains(a.body, text) {
		a.t.Errorf("%.80s: %s does not hold %q", a.what, a.body, text)
	}
}

// A sign-in to an own account between guesses frees no sprayer.
func TestOwnSuccessFreesNoSprayer(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	eve := s.newUser("eve@example.com")
	for i := range addressFree {
		s.login(eve, eve.password).want(200)
		s.fail(&person{email: fmt.Sprintf("user%d@example.com", i)}, 1)
	}
	s.login(&person{email: annEmail}, wrong).throttled(firstDelay)
}

// T4: an address that a client makes up changes nothing, neither for the one
// who tries nor for the one who is named; a trusted proxy's word counts.
func TestForgedAddressIsNotCounted(t *testing.T) {
	t.Parallel()
	spray := func(s *server, forged bool) (victim, own answer) {
		for i := range addressFree {
			e := nobody
			if forged {
				e = header("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
			} else {
				e = header("X-Forwarded-For", "203.0.113.9")
			}
			s.fail(&person{email: fmt.Sprintf("user%d@example.com", i)}, 1, e, header("X-Real-IP", "203.0.113.9"), header("Forwarded", "for=203.0.113.9"))
		}
		last := &person{email: "last@example.com"}
		return s.login(last, wrong, from("203.0.113.9")), s.login(last, wrong)
	}
	for _, forged := range []bool{true, false} {
		victim, own := spray(newServer(t, limited), forged)
		victim.want(403)
		own.throttled(firstDelay)
	}
	proxied := func(c *web.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(stranger + "/32")} }
	victim, own := spray(newServer(t, limited, proxied), false)
	victim.throttled(firstDelay) // it was its own spraying
	own.want(403)
}

// T7: a browser that signed in before has a bucket of its own for the account.
func TestDeviceCookie(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	device := func(p *person) edit {
		for _, line := range s.login(p, p.password).want(200).header["Set-Cookie"] {
			if c, err := http.ParseSetCookie(line); err == nil && c.Name == "husk_device" {
				return header("Cookie", c.Name+"="+c.Value)
			}
		}
		t.Fatal("a sign-in sets no device cookie")
		return nil
	}
	anns, bobs := device(ann), device(bob)
	s.fail(ann, free)
	s.login(ann, ann.password).throttled(firstDelay)
	s.login(ann, ann.password, anns).want(200)
	s.login(&person{email: " ANN@example.com"}, ann.password, anns).want(200)
	doors[3].try(s, ann, ann.password, anns)
	s.login(ann, ann.password, bobs).throttled(firstDelay)
	// The owner's success leaves what strangers did.
	s.login(ann, ann.password).throttled(firstDelay)

	value := func(e edit) string {
		r := &http.Request{Header: http.Header{}}
		e(r)
		return strings.TrimPrefix(r.Header.Get("Cookie"), "husk_device=")
	}
	parts := strings.Split(value(anns), ".")
	sum, ends, mac := parts[0], parts[1], parts[2]
	later := strconv.FormatInt(s.clock.now().Add(400*24*time.Hour).Unix(), 10)
	otherMac := strings.Split(value(bobs), ".")[2]
	for name, forged := range map[string]string{
		"another's":         value(bobs),
		"nothing":           "",
		"one part":          sum,
		"two parts":         sum + "." + ends,
		"four parts":        value(anns) + ".x",
		"no signature":      sum + "." + ends + ".",
		"later end":         sum + "." + later + "." + mac,
		"another signature": sum + "." + ends + "." + otherMac,
		"other account":     strings.Split(value(bobs), ".")[0] + "." + ends + "." + mac,
		"no number":         sum + ".x." + mac,
		"plus sign":         sum + ".+" + ends + "." + mac,
		"leading zero":      sum + ".0" + ends + "." + mac,
		"cut":               value(anns)[:len(value(anns))-1],
		"account's name":    base64.RawURLEncoding.EncodeToString([]byte(annEmail)) + "." + ends + "." + mac,
		"of another server": value(func() edit {
			other := newServer(t, limited)
			p := other.newUser(annEmail)
			c, _ := http.ParseSetCookie(other.login(p, p.password).header["Set-Cookie"][1])
			return header("Cookie", "husk_device="+c.Value)
		}()),
	} {
		t.Run(name, func(t *testing.T) {
			s.login(ann, ann.password, header("Cookie", "husk_device="+forged)).throttled(firstDelay)
		})
	}
	s.login(ann, ann.password, header("Cookie", "__Host-husk_device="+value(anns))).throttled(firstDelay)
	// What another host of the domain set beside it, too, is no hindrance, and
	// browsers send what it sets for longer paths first; but not any number is
	// looked at.
	planted := "husk_device=" + value(bobs) + "; "
	s.login(ann, ann.password, header("Cookie", planted+"husk_device="+value(anns))).want(200)
	s.login(ann, ann.password, header("Cookie", strings.Repeat(planted, 50)+"husk_device="+value(anns))).want(200)
	s.login(ann, ann.password, header("Cookie", "husk_device="+value(anns)+"; "+strings.Repeat(planted, 7)+"x=y")).want(200)
	s.login(ann, ann.password, header("Cookie", "husk_device="+value(anns)+"; "+strings.Repeat(planted, 8)+"x=y")).throttled(firstDelay)

	// Its own failures count in its own bucket, wherever they come from, and
	// not for the address.
	for i := range free {
		s.fail(ann, 1, anns, from(fmt.Sprintf("198.51.100.%d", i)))
	}
	s.login(ann, ann.password, anns).throttled(firstDelay)
	s.login(bob, bob.password, anns).want(200)
	// It ends after 180 days.
	s.clock.advance(180*24*time.Hour - time.Second)
	s.fail(ann, free)
	s.login(ann, ann.password, anns).want(200)
	s.clock.advance(time.Second)
	s.login(ann, ann.password, anns).throttled(firstDelay - time.Second)
}

// An owner who is held up in their own browser is told of, too, and let in.
func TestThrottledDeviceIsTold(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	set, err := http.ParseSetCookie(s.login(ann, ann.password).want(200).header["Set-Cookie"][1])
	must(t, err)
	device := header("Cookie", set.Name+"="+set.Value)
	until := func() *time.Time {
		u, err := s.local.GetUser(t.Context(), ann.id)
		must(t, err)
		return u.Source.Throttled
	}
	s.fail(ann, free-1, device)
	if got := until(); got != nil {
		t.Errorf("throttled until %v", got)
	}
	s.fail(ann, 1, device)
	s.login(ann, ann.password, device).throttled(firstDelay)
	if got := until(); got == nil || !got.Equal(s.clock.now().Add(firstDelay)) {
		t.Errorf("throttled until %v", got)
	}
	s.fail(ann, free)
	s.clock.advance(firstDelay)
	s.fail(ann, 1, device)
	if got := until(); got == nil || !got.Equal(s.clock.now().Add(2*firstDelay)) { // the later one
		t.Errorf("throttled until %v", got)
	}
	s.do("POST", "/security/user/"+ann.id+"/_unlock", "", local).want(200)
	if got := until(); got != nil {
		t.Errorf("throttled until %v", got)
	}
	s.login(ann, ann.password, device).want(200)
}

// The flags are those of the session's cookie.
func TestDeviceCookieFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		edit   func(*web.Config)
		secure bool
	}{
		{"http", func(*web.Config) {}, false},
		{"public URL of https", func(c *web.Config) { c.PublicURL = "https://id.example.com" }, true},
		{"own https", func(c *web.Config) { c.TLS = true }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, limited, c.edit)
			device := ""
			for _, d := range doors[:4] {
				var got *http.Cookie
				for _, line := range d.try(s, &person{}, singlePassword).header["Set-Cookie"] {
					if set, err := http.ParseSetCookie(line); err == nil && strings.HasSuffix(set.Name, "husk_device") {
						got = set
					}
				}
				if got == nil || got.Name != "husk_device" || !got.HttpOnly || got.Secure != c.secure || got.SameSite != http.SameSiteLaxMode || got.Path != "/" || got.Domain != "" || got.MaxAge != 180*24*3600 {
					t.Fatalf("%s: the cookie is %+v", d.name, got)
				}
				device = got.Name + "=" + got.Value
			}
			a := s.login(&person{}, wrong).want(403)
			if len(a.header["Set-Cookie"]) != 0 {
				t.Errorf("a refusal sets %v", a.header["Set-Cookie"])
			}
			s.fail(&person{}, free-1)
			s.login(&person{}, singlePassword).throttled(firstDelay)
			s.login(&person{}, singlePassword, header("Cookie", device)).want(200)
		})
	}
}

// T7: who may open the file is never held up, by memory or by socket.
func TestLocalLoginIsFree(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	dir, err := os.MkdirTemp("", "husk")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := control.Listen(dir)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return control.Dial(ctx, dir) }}
	bySocket := &api.Client{Base: "http://socket", HTTP: &http.Client{Transport: transport}}
	s.fail(&person{}, free)
	for range 3 * addressFree {
		if _, err := bySocket.Login(t.Context(), api.Login{Password: wrong}); status(err) != 403 {
			t.Fatalf("by socket: %v", err)
		}
		s.login(&person{}, wrong, local).want(403)
	}
	_, err = bySocket.Login(t.Context(), api.Login{Password: singlePassword})
	must(t, err)
	s.login(&person{}, singlePassword, local).want(200)
	s.login(&person{}, singlePassword).throttled(firstDelay)
	transport.CloseIdleConnections()
	stop()
	must(t, <-done)
}

// T7: an operator sees the delay, and ends it; a new password ends it too.
func TestUnlock(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	s.role("helpdesk", db.PermUserRead, db.PermUserUpdate, db.PermTokenCreate)
	admin, ann, clerk := s.single(), s.newUser(annEmail, "helpdesk"), s.newUser("clerk@example.com", "helpdesk")
	token := s.mint(clerk.session(), api.NewToken{})
	until := func(user string) *time.Time {
		t.Helper()
		u, err := s.client(admin.session()).GetUser(t.Context(), user)
		must(t, err)
		return u.Source.Throttled
	}
	unlock := func(user string, with edit) answer { return s.do("POST", "/security/user/"+user+"/_unlock", "", with) }
	if got := until(annEmail); got != nil {
		t.Errorf("throttled until %v", got)
	}
	for name, clear := range map[string]func(){
		"unlock by id":      func() { unlock(ann.id, admin.session()).want(200).like(`{"_id":"` + ann.id + `","result":"updated"}`) },
		"unlock by email":   func() { unlock("ANN@example.com", local).want(200) },
		"unlock by a peer":  func() { unlock(ann.id, clerk.session()).want(200) },
		"unlock by a token": func() { unlock(ann.id, apiToken(token.AccessToken)).want(200) },
		"new password":      func() { s.setPassword(ann.id, ann.password) },
	} {
		s.fail(ann, free, from("198.51.100.7"))
		if got := until(ann.id); got == nil || !got.Equal(s.clock.now().Add(firstDelay)) {
			t.Errorf("%s: throttled until %v", name, got)
		}
		s.login(ann, ann.password, from("203.0.113.9")).throttled(firstDelay)
		before := len(s.events())
		clear()
		if e := s.events()[before]; strings.HasPrefix(name, "unlock") && (e.Action != "user.unlock" || e.Target != ann.id) {
			t.Errorf("%s: the audit says %+v", name, e)
		}
		if got := until(ann.id); got != nil {
			t.Errorf("%s: still throttled until %v", name, got)
		}
		s.login(ann, ann.password).want(200)
		s.clock.advance(time.Hour) // the address is forgiven
	}
	// Else one could try an administrator's password without end.
	s.fail(admin, free)
	for _, with := range []edit{clerk.session(), apiToken(token.AccessToken)} {
		unlock(db.SingleUser, with).want(403, "user_above")
	}
	s.login(admin, singlePassword).throttled(firstDelay)
	unlock(db.SingleUser, s.newUser("bob@example.com").session()).want(403, "not_permitted")
	unlock(absentID, local).want(404)
	unlock("nobody@example.com", local).want(404)
	s.do("POST", "/security/user/"+db.SingleUser+"/_unlock", "").want(401)
	s.login(admin, singlePassword).throttled(firstDelay)
	s.do("POST", "/security/user/"+db.SingleUser+"/_unlock", "", local).want(200)
	s.login(admin, singlePassword).want(200)
}

// T7: what was signed in before goes on, and a new token can be had.
func TestThrottleStopsPasswordsOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	token := s.mint(ann.session(), api.NewToken{})
	s.fail(ann, free)
	for i := range addressFree - free {
		s.fail(&person{email: fmt.Sprintf("user%d@example.com", i)}, 1)
	}
	s.login(&person{email: "last@example.com"}, wrong).throttled(firstDelay)
	for _, with := range []edit{ann.session(), cookie(ann.jwt), apiToken(token.AccessToken)} {
		s.do("GET", "/account/profile", "", with).want(200)
		s.do("POST", "/auth/access_token", "", with).want(200)
		s.do("GET", "/account/profile", "", bearer("x")).want(401)
	}
	s.do("GET", "/account/sessions", "", ann.session()).want(200)
	s.do("POST", "/account/logout", "", ann.session()).want(200)
}

// slowHash is a stored hash of pass that takes some tenths of a second.
func slowHash(pass string) string {
	salt := []byte("sixteen bytes....")[:16]
	tag := argon2.IDKey([]byte(pass), salt, 1, 304<<10, 1, 32)
	b64 := base64.RawStdEncoding
	return "$argon2id$v=19$m=311296,t=1,p=1$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(tag)
}

// flooded is a server whose one place for a hash is taken, for a while, by a
// client that has left, and whose queue of one is full.
func flooded(t *testing.T, edits ...func(*web.Config)) (s *server, ann, bob *person, busy func() bool) {
	t.Helper()
	s = newServer(t, append(edits, func(c *web.Config) {
		c.Passwords = password.New(password.Config{Params: password.InsecureTestParams(), MaxConcurrent: 1, MaxQueue: 1, MaxWait: time.Minute})
	})...)
	ann, bob = s.newUser(annEmail), s.newUser("bob@example.com")
	hash := slowHash(ann.password)
	_, err := s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, ann.id, db.UserChange{Password: &hash})
	must(t, err)
	before := s.hasher.Stats().Total
	leave, left := s.leaver(ann)
	await(t, func() bool { return s.hasher.Stats().Running == 1 })
	stay, stayed := s.leaver(ann)
	t.Cleanup(func() { stay(); <-stayed })
	await(t, func() bool { return s.hasher.Stats().Queued == 1 })
	leave()
	<-left
	return s, ann, bob, func() bool { return s.hasher.Stats().Total == before }
}

// leaver signs in, and hangs up when leave is called.
func (s *server) leaver(p *person) (leave func(), left chan struct{}) {
	ctx, leave := context.WithCancel(s.t.Context())
	left = make(chan struct{})
	go func() {
		defer close(left)
		c := s.client()
		c.HTTP = &http.Client{Transport: &http.Transport{DialContext: s.transport.DialContext, DisableKeepAlives: true}}
		c.Login(ctx, api.Login{Email: p.email, Password: p.password})
	}()
	return leave, left
}

// await waits until a condition holds that another goroutine brings about.
func await(t testing.TB, holds func() bool) {
	t.Helper()
	// Without a pause it would take a core from what it waits for.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came about")
		}
	}
}

// P11: a client that leaves does not free the place of the hash that it
// started, and what finds no room is 503 with Retry-After.
func TestClientThatLeavesKeepsItsPlace(t *testing.T) {
	t.Parallel()
	for range 5 {
		s, ann, bob, busy := flooded(t)
		answers := map[string]answer{
			"known":   s.login(ann, ann.password),
			"unknown": s.login(&person{email: "nobody@example.com"}, wrong),
			"single":  s.login(&person{}, singlePassword),
			"page":    doors[3].try(s, ann, ann.password),
		}
		if !busy() {
			continue // the machine was too slow: the first hash had ended
		}
		// Who is known already has room of their own, and waits.
		s.secret(fresh)
		doors[4].try(s, bob, bob.password).want(200)
		s.do("POST", "/security/user", `{"email":"x@example.com","password":"ten crates of figs"}`, local).want(200)
		for name, a := range answers {
			if a.status != 503 || a.retryAfter() != time.Second {
				t.Errorf("%s = %d %s", name, a.status, a.body)
			}
		}
		if st := s.hasher.Stats(); st.Busy < uint64(len(answers)) {
			t.Errorf("%+v", st)
		}
		return
	}
	t.Error("no run was fast enough")
}

// 503 gives the try back: the server was busy, and nothing was learned.
func TestBusyGivesTheTryBack(t *testing.T) {
	t.Parallel()
	dbtest.TakesLong(t, "five servers whose queue of hashes is full")
	for range 5 {
		s, ann, _, busy := flooded(t, limited)
		for i := range 2 * addressFree {
			s.login(ann, wrong).want(503, "busy")
			s.login(&person{email: fmt.Sprintf("user%d@example.com", i)}, wrong).want(503, "busy")
		}
		if !busy() {
			continue
		}
		await(t, func() bool { st := s.hasher.Stats(); return st.Running+st.Queued == 0 })
		s.login(ann, ann.password).want(200)
		s.fail(&person{email: "other@example.com"}, free)
		return
	}
	t.Error("no run was fast enough")
}
