package web_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"husk/db"
	"husk/db/dbtest"
	"husk/web"
	"husk/web/api"
	"husk/web/password"
)

// device signs in and returns the device cookie.
func (s *server) device(p *person, pass string, edits ...edit) edit {
	s.t.Helper()
	for _, line := range s.login(p, pass, edits...).want(200).header["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && strings.HasSuffix(c.Name, "husk_device") {
			return header("Cookie", c.Name+"="+c.Value)
		}
	}
	s.t.Fatal("a sign-in sets no device cookie")
	return nil
}

// Device cookies end where somebody took the account into their hands, and
// stay where the owner did something.
func TestDeviceCookiesEnd(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		act  func(s *server, p *person)
		ends bool
	}{
		"unlock":       {func(s *server, p *person) { s.do("POST", "/security/user/"+p.id+"/_unlock", "", local).want(200) }, true},
		"new password": {func(s *server, p *person) { s.setPassword(p.id, p.password) }, true},
		"all sessions ended": {func(s *server, p *person) {
			s.do("DELETE", "/security/session?user="+p.email, "", local).want(200).like(`{"result":"deleted","count":2}`)
		}, true},
		"deleted and made again": {func(s *server, p *person) {
			s.do("DELETE", "/security/user/"+p.id, "", local).want(200)
			s.newUser(p.email)
		}, true},
		"own change of the password": {func(s *server, p *person) {
			s.secret(fresh)
			for i, pass := range []string{p.password, fresh} {
				next := []string{fresh, p.password}[i]
				s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: pass, NewPassword: next}), p.session()).want(200)
			}
		}, false},
		"one session ended": {func(s *server, p *person) { s.do("DELETE", "/account/sessions", "", p.session()).want(200) }, false},
		"sign-out":          {func(s *server, p *person) { s.do("POST", "/account/logout", "", p.session()).want(200) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limited)
			ann := s.newUser(annEmail)
			cookie := s.device(ann, ann.password)
			c.act(s, ann)
			const elsewhere = "203.0.113.9"
			s.fail(ann, free, from("198.51.100.1"))
			a := s.login(ann, ann.password, cookie, from(elsewhere))
			if c.ends {
				a.throttled(firstDelay)
			} else {
				a.want(200)
			}
		})
	}
}

// Without a cookie it is the address from which the owner signed in before that
// is not held up by strangers elsewhere, until the account was taken in hand.
func TestFamiliarAddressSignsIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	s.login(ann, ann.password).want(200)
	s.fail(ann, free, from("198.51.100.1"))
	s.login(ann, ann.password, from("203.0.113.9")).throttled(firstDelay)
	s.login(ann, ann.password).want(200)
	s.do("DELETE", "/security/session?user="+ann.id, "", local).want(200)
	s.login(ann, ann.password).throttled(firstDelay)
}

// DELETE /security/session is for one user, who has to be named.
func TestEndUserSessions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.role("sessions", db.PermSessionDelete)
	ann, clerk := s.newUser(annEmail), s.newUser("clerk@example.com", "sessions")
	end := func(user string, with edit) answer { return s.do("DELETE", "/security/session"+user, "", with) }
	for _, nobody := range []string{"", "?user="} {
		end(nobody, local).want(400, "user_missing")
	}
	end("?user=nobody@example.com", local).want(404)
	end("?user="+db.SingleUser, clerk.session()).want(403, "user_above")
	end("?user="+clerk.id, ann.session()).want(403, "not_permitted")
	s.do("GET", "/account/profile", "", ann.session()).want(200)
}

// Whoever speaks over the control socket and is not its owner counts like
// others, in one bucket for all of them.
func TestForwardedTriesCount(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	for i := range addressFree {
		s.fail(&person{email: fmt.Sprintf("user%d@example.com", i)}, 1, local, header("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i)))
	}
	s.login(&person{}, singlePassword, local, header("Via", "1.1 proxy")).throttled(firstDelay)
	s.login(&person{}, singlePassword, local).want(200)
	s.login(&person{}, singlePassword).want(200)
}

// A client that hangs up pays with its address, and the account does not.
func TestHangingUpIsPaidFor(t *testing.T) {
	t.Parallel()
	dbtest.TakesLong(t, "five servers that clients hang up on")
	for range 5 {
		s := newServer(t, limited, func(c *web.Config) {
			c.Passwords = password.New(password.Config{Params: password.InsecureTestParams(), MaxConcurrent: 1, MaxWait: time.Minute})
		})
		ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
		hash := slowHash(bob.password)
		_, err := s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, bob.id, db.UserChange{Password: &hash})
		must(t, err)
		_, slow := s.leaver(bob)
		await(t, func() bool { return s.hasher.Stats().Running == 1 })
		for i := range addressFree {
			email := ann.email
			if i >= free {
				email = fmt.Sprintf("user%d@example.com", i)
			}
			s.hangUp("198.51.100.7", email)
		}
		inTime := s.hasher.Stats().Running == 1
		<-slow
		if !inTime {
			continue
		}
		s.login(ann, ann.password, from("203.0.113.9")).want(200)
		await(t, func() bool { return s.login(ann, ann.password, from("198.51.100.7")).status == 429 })
		return
	}
	t.Error("no run was fast enough")
}

// hangUp begins a sign-in, and leaves while it waits for its turn.
func (s *server) hangUp(address, email string) {
	s.t.Helper()
	c, err := s.far.dial(s.t.Context(), address+":80")
	must(s.t, err)
	body := jsonOf(api.Login{Email: email, Password: wrong})
	go fmt.Fprintf(c, "POST /account/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body)
	waits := func(n int) func() bool {
		return func() bool { st := s.hasher.Stats(); return st.Queued == n || st.Running == 0 }
	}
	await(s.t, waits(1))
	c.Close()
	await(s.t, waits(0))
}

// argonOf is a stored hash with parameters of somebody else.
func argonOf(pass string, memory, passes uint32, lanes uint8) string {
	salt := []byte("sixteen bytes....")[:16]
	tag := argon2.IDKey([]byte(pass), salt, passes, memory, lanes, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", memory, passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(tag))
}

// An imported hash is replaced by one of Husk's own at the first sign-in, a
// stronger one too; one that Husk made with more than it does now is not.
func TestImportedHashIsReplaced(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *web.Config) {
		c.Passwords = password.New(password.Config{Params: password.Params{Memory: 7168, Time: 5, Threads: 1}})
	})
	const pass = "ten crates of figs"
	s.secret(pass)
	strong := argonOf(pass, 8192, 6, 2)
	s.importing(ndjson(api.ImportUser{Email: "imported@example.com", PasswordHash: strong})).want(200)
	ours := s.newUser("own@example.com")
	_, err := s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, ours.id, db.UserChange{Password: &strong})
	must(t, err)
	for email, replaced := range map[string]bool{"imported@example.com": true, "own@example.com": false} {
		p := &person{email: email, password: pass}
		s.login(p, wrong).want(403)
		for range 2 {
			s.login(p, pass).want(200)
		}
		u, err := s.store.UserByEmail(t.Context(), email)
		must(t, err)
		if (u.Password != strong) != replaced || u.Imported || replaced && !strings.HasPrefix(u.Password, "$argon2id$v=19$m=7168,t=5,p=1$") {
			t.Errorf("%s: the hash is %s, imported %t", email, u.Password, u.Imported)
		}
	}
}

// What costs too much is refused with its line, and says what; what is in the
// store already is a wrong password, and the log says what to do.
func TestHashesThatCostTooMuch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	rest := "$MDEyMzQ1Njc4OWFiY2RlZg$CyzaHFKy1ykjtYubt0ryfUijLfuCFnHq/papCNUTGyM"
	blow, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	must(t, err)
	for hash, told := range map[string]string{
		"$argon2id$v=19$m=1048576,t=32,p=1" + rest: "line 2: the password hash can't be used: argon2id: m=1048576,t=32 is too much work",
		"$argon2id$v=19$m=65536,t=5,p=4" + rest:    "m=65536,t=5",
		"$2b$14" + string(blow[6:]):                "line 2: the password hash can't be used: bcrypt: the cost 14 is not between 4 and 13",
	} {
		a := s.importing(ndjson(api.ImportUser{Email: "x@example.com"}, api.ImportUser{Email: "y@example.com", PasswordHash: hash})).want(400, "bad_password_hash")
		if !strings.Contains(a.body, told) || strings.Contains(a.body, hash[len(hash)-12:]) {
			t.Errorf("%s: %s", hash, a.body)
		}
		_, err := s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, ann.id, db.UserChange{Password: &hash})
		must(t, err)
		s.login(ann, ann.password).want(403, "login_failed")
		if log := s.log.String(); !strings.Contains(log, "'husk passwd EMAIL'") || strings.Contains(log, hash[len(hash)-12:]) {
			t.Errorf("%s: the log does not tell, or tells the hash", hash)
		}
	}
	s.importing(ndjson(api.ImportUser{Email: "peer@example.com", PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4" + rest})).want(200)
}

// The work for an account that does not exist, has no password or a damaged
// one, is like that for most that do.
func TestNobodyIsLikeMost(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	nobody := &person{email: "nobody@example.com"}
	robot, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "robot@example.com", NoPassword: true})
	must(t, err)
	blow, err := bcrypt.GenerateFromPassword([]byte("x"), 9)
	must(t, err)
	cost := func(p *person) string {
		least := time.Hour // of some, for a machine that is busy
		for range 5 {
			before := s.hasher.Stats().HashTotal
			s.login(p, wrong).want(403)
			least = min(least, s.hasher.Stats().HashTotal-before)
		}
		if least > 5*time.Millisecond { // it is 0.1 ms or more than 15
			return "bcrypt"
		}
		return "argon2id"
	}
	all := []*person{nobody, {email: robot.Email}, {email: "damaged@example.com"}}
	_, err = s.store.CreateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, db.NewUser{Email: "damaged@example.com", Password: "$argon2id$damaged"})
	must(t, err)
	for _, p := range all {
		if got := cost(p); got != "argon2id" {
			t.Errorf("%s costs %s where most are argon2id", p.email, got)
		}
	}
	s.importing(ndjson(api.ImportUser{Email: "a@example.com", PasswordHash: string(blow)}, api.ImportUser{Email: "b@example.com", PasswordHash: string(blow)})).want(200)
	for _, p := range all {
		if got := cost(p); got != "bcrypt" {
			t.Errorf("%s costs %s where most are bcrypt", p.email, got)
		}
	}
}
