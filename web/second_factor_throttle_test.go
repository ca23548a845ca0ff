package web_test

import (
	"testing"
	"time"

	"husk/web/api"
)

// codeDoor is a place where a code is taken.
type codeDoor struct {
	name    string
	refused string // the code of a refusal
	try     func(s *server, p *person, ticket, code string) answer
}

var codeDoors = []codeDoor{
	{"in one step", "login_failed", func(s *server, p *person, _, code string) answer { return s.loginBy(p, p.password, code) }},
	{"by a form", "login_failed", func(s *server, p *person, _, code string) answer {
		return s.do("POST", "/account/login", form("email", p.email, "password", p.password, "code", code), contentType(formType))
	}},
	{"by a ticket", "wrong_code", func(s *server, _ *person, ticket, code string) answer { return s.loginByTicket(ticket, code) }},
	{"proof", "wrong_code", func(s *server, p *person, _, code string) answer {
		return s.do("POST", "/account/proof", jsonOf(api.Proof{Code: code}), p.session())
	}},
	{"proof with the password", "wrong_code", func(s *server, p *person, _, code string) answer {
		return s.do("POST", "/account/proof", jsonOf(api.Proof{Password: p.password, Code: code}), p.session())
	}},
	{"a new secret", "wrong_code", func(s *server, p *person, _, code string) answer {
		return s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: code}), p.session())
	}},
}

// Every door of codes counts in the one bucket of the password's: behind the limit a
// right and a wrong one are told the same, there and at the doors of passwords, and
// nothing is hashed.
func TestEveryDoorOfCodesIsThrottled(t *testing.T) {
	t.Parallel()
	for _, d := range codeDoors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limited)
			ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
			phone, codes := s.withTOTP(ann)
			ticket := s.ticket(ann)
			s.do("POST", "/account/totp", "", ann.session()).want(200) // which waits
			for range free {
				d.try(s, ann, ticket, phone.wrong()).want(403, d.refused)
			}
			hashes := s.hasher.Stats().Total
			for _, other := range codeDoors {
				bad, good := other.try(s, ann, ticket, phone.wrong()), other.try(s, ann, ticket, phone.code())
				bad.throttled(firstDelay)
				if bad.withoutID() != good.withoutID() {
					t.Errorf("%s: a right code is answered %s, a wrong one %s", other.name, good.body, bad.body)
				}
				if other.name != "a new secret" {
					other.try(s, ann, ticket, codes[0]).throttled(firstDelay)
				}
			}
			for _, pass := range []string{ann.password, wrong} {
				s.login(ann, pass).throttled(firstDelay)
				s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: pass, NewPassword: fresh}), ann.session()).throttled(firstDelay)
			}
			if n := s.hasher.Stats().Total - hashes; n != 0 {
				t.Errorf("%d hashes while throttled", n)
			}
			s.login(bob, bob.password).want(200)
			s.clock.advance(firstDelay)
			s.loginBy(ann, ann.password, phone.next()).enter(s)
		})
	}
}

// Wrong passwords and wrong codes are one count.
func TestPasswordsAndCodesAreOneCount(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	phone, _ := s.withTOTP(ann)
	ticket := s.ticket(ann)
	s.fail(ann, 2)
	s.loginBy(ann, ann.password, phone.wrong()).want(403, "login_failed")
	s.loginBy(ann, wrong, phone.code()).want(403, "login_failed")
	s.loginByTicket(ticket, phone.wrong()).want(403, "wrong_code")
	s.login(ann, ann.password).throttled(firstDelay)
}

// What shows no second factor does not make wrong codes forgotten: neither the right
// password, nor a proof by it, nor the code of a secret that was made just now.
func TestWrongCodesAreNotForgotten(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(s *server, p *person){
		"the right password": func(s *server, p *person) { s.login(p, p.password).want(403, "second_factor_required") },
		"a proof by the password": func(s *server, p *person) {
			s.do("POST", "/account/proof", jsonOf(api.Proof{Password: p.password}), p.session()).want(200)
		},
		"another secret": func(s *server, p *person) { s.withTOTP(p) },
		"a change of the password": func(s *server, p *person) {
			s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: p.password, NewPassword: fresh}), p.session()).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limited)
			s.secret(fresh)
			ann := s.newUser(annEmail)
			phone, _ := s.withTOTP(ann)
			for range free - 1 {
				s.loginBy(ann, ann.password, phone.wrong()).want(403, "login_failed")
			}
			act(s, ann)
			s.loginBy(ann, wrong, phone.wrong()).want(403, "login_failed")
			s.loginBy(ann, ann.password, phone.wrong()).want(429, "throttled")
		})
	}
}

// Who has the password alone makes the server hash so often and no more, and keeps out
// nobody who comes with a device cookie or from a familiar address.
func TestPasswordWithoutItsCodeIsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	phone, _ := s.withTOTP(ann)
	const far, asked = "198.51.100.7", 20
	before := s.hasher.Stats().Total
	for range asked {
		s.login(ann, ann.password, from(far)).want(403, "second_factor_required")
	}
	for range 200 {
		s.login(ann, ann.password, from(far)).want(429, "throttled")
	}
	if n := s.hasher.Stats().Total - before; n != asked+free {
		t.Errorf("%d hashes of %d tries", n, asked+200)
	}
	s.login(ann, ann.password).want(403, "second_factor_required") // from where she signed in before
	s.loginBy(ann, ann.password, phone.next()).enter(s)
	s.login(ann, ann.password, local).want(403, "second_factor_required")
}

// Guesses at one account in a day are few enough for six digits: SECURITY.md has what
// follows. Who guesses has the password, tries whenever the throttle lets them, and has
// neither a device cookie nor a familiar address.
func TestGuessesAtCodesInADay(t *testing.T) {
	t.Parallel()
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	phone, _ := s.withTOTP(ann)
	for day, most := range []int{free + 8 + 23, 25} {
		end, guesses := s.clock.now().Add(24*time.Hour), 0
		for s.clock.now().Before(end) {
			a := s.loginBy(ann, ann.password, phone.wrong(), from("198.51.100.7"))
			if a.status == 429 {
				s.clock.advance(a.retryAfter())
				continue
			}
			a.want(403, "login_failed")
			guesses++
		}
		t.Logf("day %d: %d guesses", day+1, guesses)
		if guesses > most {
			t.Errorf("day %d: %d guesses, more than %d", day+1, guesses, most)
		}
	}
}

// A right code of somebody else, and one of a secret that is no more, are wrong.
func TestCodesOfOthers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	old, oldCodes := s.withTOTP(ann)
	theirs, theirCodes := s.withTOTP(bob)
	phone, codes := s.withTOTP(ann)
	s.clock.advance(time.Minute)
	for _, code := range []string{theirs.code(), theirCodes[0], old.code(), oldCodes[0]} {
		s.loginBy(ann, ann.password, code).want(403, "login_failed")
		s.loginByTicket(s.ticket(ann), code).want(403, "wrong_code")
	}
	s.loginBy(ann, ann.password, phone.code()).enter(s)
	ann = s.signInWith(ann, codes[0])
	made := s.recoveryOf(s.do("POST", "/account/recovery_codes", "", ann.session()).want(200))
	s.loginBy(ann, ann.password, codes[1]).want(403, "login_failed")
	s.loginBy(ann, ann.password, made[1]).enter(s)
	if len(s.told("recovery_code.create")) != 1 {
		t.Error("the audit does not tell")
	}
}
