package web_test

import (
	"encoding/base32"
	"fmt"
	"testing"

	"github.com/pquerna/otp/totp"

	"husk/web/api"
	"husk/web/factor"
)

// phone has a secret of TOTP, and the server's clock.
type phone struct {
	t      testing.TB
	clock  *clock
	secret string // in base32
}

// withTOTP sets up a second factor in a session of p's, which a sign-in has just proved,
// and returns the recovery codes too.
func (s *server) withTOTP(p *person) (*phone, []string) {
	s.t.Helper()
	begun := s.do("POST", "/account/totp", "", p.session()).want(200)
	made := s.phoneOf(begun)
	return made, s.recoveryOf(s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: made.next()}), p.session()).want(200))
}

// phoneOf takes the secret of an answer of POST /account/totp.
func (s *server) phoneOf(a answer) *phone {
	s.t.Helper()
	var begun api.NewTOTP
	a.json(&begun)
	return &phone{s.t, s.clock, begun.Secret}
}

// recoveryOf are the recovery codes of an answer.
func (s *server) recoveryOf(a answer) []string {
	s.t.Helper()
	var made api.NewRecoveryCodes
	a.json(&made)
	for _, code := range made.Codes {
		s.secret(code)
	}
	return made.Codes
}

// code is what the phone shows now.
func (p *phone) code() string {
	p.t.Helper()
	code, err := totp.GenerateCode(p.secret, p.clock.now())
	must(p.t, err)
	return code
}

// next waits for a code that was not shown yet.
func (p *phone) next() string {
	p.t.Helper()
	p.clock.advance(factor.Period)
	return p.code()
}

// wrong is a code of no step that is taken now.
func (p *phone) wrong() string {
	p.t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.secret)
	must(p.t, err)
	for n := range 1000 {
		code := fmt.Sprintf("%06d", n)
		if _, ok := factor.CheckTOTP(secret, code, p.clock.now()); !ok {
			return code
		}
	}
	p.t.Fatal("every code is right")
	return ""
}
