package web_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// A ticket ends with all that it stands for, and then is told like one that was made up;
// the code that came along is not spent.
func TestTicketsEnd(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(s *server, ann *person){
		"after its time":     func(s *server, _ *person) { s.clock.advance(5 * time.Minute) },
		"disabled":           func(s *server, p *person) { s.do("PUT", "/security/user/"+p.id, `{"disabled":true}`, local).want(200) },
		"deleted":            func(s *server, p *person) { s.do("DELETE", "/security/user/"+p.id, "", local).want(200) },
		"another password":   func(s *server, p *person) { s.setPassword(p.id, fresh) },
		"the same, set anew": func(s *server, p *person) { s.setPassword(p.id, p.password) },
		"without the factor": func(s *server, p *person) { s.do("DELETE", "/account/totp", "", p.session()).want(200) },
		"the factor was reset": func(s *server, p *person) {
			s.do("DELETE", "/security/user/"+p.id+"/second_factor", "", local).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			ann := s.newUser(annEmail)
			phone, _ := s.withTOTP(ann)
			ticket := s.ticket(ann)
			act(s, ann)
			s.loginByTicket(ticket, phone.next()).want(403, "ticket_ended")
		})
	}
}

// What is no ticket of this server opens nothing, costs nothing, and holds nobody up.
func TestTicketsOfNobody(t *testing.T) {
	t.Parallel()
	s, other := newServer(t, limited), newServer(t)
	ann := s.newUser(annEmail)
	phone, _ := s.withTOTP(ann)
	ticket := s.ticket(ann)
	theirs := other.newUser(annEmail)
	other.withTOTP(theirs)
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	must(t, err)
	tampered := func(at int) string {
		changed := append([]byte{}, raw...)
		changed[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(changed)
	}
	before := s.hasher.Stats().Total
	for name, text := range map[string]string{
		"of another server": other.ticket(theirs), "made up": "ticket", "empty text": base64.RawURLEncoding.EncodeToString(make([]byte, 40)),
		"with another end": tampered(7), "of another user": tampered(8), "with another mark": tampered(50), "with another signature": tampered(len(raw) - 1),
		"cut": ticket[:len(ticket)-2], "with more": ticket + "AA", "padded": ticket + "=", "long": strings.Repeat("A", 4000),
	} {
		for range 2 * free {
			a := s.loginByTicket(text, phone.code())
			if a.want(403, "ticket_ended"); a.withoutID() != s.loginByTicket("x", phone.code()).withoutID() {
				t.Errorf("%s: %s", name, a.body)
			}
		}
	}
	if n := s.hasher.Stats().Total - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
	s.loginByTicket(ticket, "").want(400, "bad_code")
	s.loginByTicket(ticket, phone.next()).enter(s)
}

// A ticket has neither the password nor its hash in it, and alone it opens nothing.
func TestTicketTellsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	s.withTOTP(ann)
	raw, err := base64.RawURLEncoding.DecodeString(s.ticket(ann))
	must(t, err)
	u, err := s.store.User(t.Context(), ann.id)
	must(t, err)
	for _, secret := range []string{ann.password, ann.email, u.Password[len(u.Password)-12:]} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the ticket has %s", secret)
		}
	}
	ticket := s.ticket(ann)
	s.do("GET", "/account/profile", "", bearer(ticket)).want(401)
	s.do("GET", "/account/profile", "", cookie(ticket)).want(401)
	s.do("GET", "/account/profile", "", apiToken(ticket)).want(401)
}

// Who was changed between the check of a ticket and the session is not let in: the store
// looks once more.
func TestSignInMovedUnderAFactor(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	s.withTOTP(ann)
	u, err := s.store.User(t.Context(), ann.id)
	must(t, err)
	_, _, err = s.store.CreateSession(t.Context(), &db.Actor{}, db.SignIn{User: ann.id, Verified: u.Password, TTL: time.Hour})
	if err == nil {
		t.Error("a session without the factor")
	}
}

// damageTOTP puts a secret into the store that nothing can open.
func (s *server) damageTOTP() {
	s.t.Helper()
	_, err := s.store.RewriteTOTP(s.t.Context(), func(string, []byte) ([]byte, error) { return []byte{9, 9, 9}, nil })
	must(s.t, err)
}

// A secret that can't be read lets nobody in, and says so to who had the password; a
// recovery code is good still.
func TestUnreadableSecret(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	ticket := s.ticket(ann)
	s.damageTOTP()
	s.loginBy(ann, ann.password, phone.next()).want(500, "second_factor_lost")
	s.loginByTicket(ticket, phone.code()).want(500, "second_factor_lost")
	s.do("POST", "/account/proof", jsonOf(api.Proof{Code: phone.code()}), ann.session()).want(500, "second_factor_lost")
	s.loginBy(ann, wrong, phone.code()).want(403, "login_failed")
	s.login(ann, ann.password).want(403, "second_factor_required")
	if !strings.Contains(s.log.String(), "--secrets-key-file") {
		t.Error("the log does not say what it is")
	}
	s.loginByTicket(ticket, codes[0]).enter(s)
}
