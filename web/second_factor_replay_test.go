package web_test

import (
	"testing"

	"husk/web/api"
)

// A code that was used before counts as a wrong one: whoever has seen the password and a
// code may not try both without end, nor clear the count of the account by them.
func TestUsedCodesAreThrottled(t *testing.T) {
	s := newServer(t, limited)
	ann := s.newUser(annEmail)
	phone, _ := s.withTOTP(ann)
	used := jsonOf(api.Login{Email: annEmail, Password: ann.password, Code: phone.code()})
	for range free {
		s.do("POST", "/account/login", used).want(403, "login_failed")
	}
	s.do("POST", "/account/login", used).want(429, "throttled")
}
