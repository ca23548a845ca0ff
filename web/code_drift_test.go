package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/web/api"
)

// codeOf is the code of a program that is ahead of the server's clock.
func (s *server) codeOf(secret string, ahead time.Duration) string {
	s.t.Helper()
	code, err := totp.GenerateCode(secret, s.clock.now().Add(ahead))
	must(s.t, err)
	return code
}

// setUpTOTP returns the secret of a program that was set up by a code of now.
func (s *server) setUpTOTP(p *person) (secret string) {
	s.t.Helper()
	var made api.NewTOTP
	s.do("POST", "/account/totp", "", p.session()).want(200).json(&made)
	s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: s.codeOf(made.Secret, 0)}), p.session()).want(200)
	s.clock.advance(time.Minute)
	return made.Secret
}

func (s *server) tryCode(p *person, code string) answer {
	s.t.Helper()
	return s.do("POST", "/account/login", jsonOf(api.Login{Email: p.email, Password: p.password, Code: code}))
}

// clockOff is what an administrator reads of a user.
func (s *server) clockOff(p *person) int64 {
	s.t.Helper()
	found, err := s.local.GetUser(s.t.Context(), p.id)
	must(s.t, err)
	return found.Source.CodeClockOff
}

func TestDriftIsToldToAdministrators(t *testing.T) {
	s := newServer(t)
	ann := s.newUser("ann@example.com")
	secret := s.setUpTOTP(ann)
	plainly := s.tryCode(ann, s.codeOf(secret, 25*time.Minute)).want(403, "login_failed")
	if off := s.clockOff(ann); off != 0 {
		t.Errorf("a code of 25 minutes ahead: %d", off)
	}
	for _, ahead := range []time.Duration{time.Minute, 5 * time.Minute, -time.Minute, -20 * time.Minute} {
		got := s.tryCode(ann, s.codeOf(secret, ahead)).want(403, "login_failed")
		if string(got.body) != string(plainly.body) {
			t.Errorf("the answer to a code of %s ahead is another one:\n%s\n%s", ahead, got.body, plainly.body)
		}
		if off := s.clockOff(ann); off != int64(ahead.Seconds()) {
			t.Errorf("a code of %s ahead: %d", ahead, off)
		}
	}
	if log := s.log.String(); !strings.Contains(log, "a code is right for another time") || !strings.Contains(log, `"program_ahead":"-20m0s"`) {
		t.Errorf("the log says\n%s", log)
	}
	s.tryCode(ann, s.codeOf(secret, 0)).want(200)
	if off := s.clockOff(ann); off != 0 {
		t.Errorf("after a good code: %d", off)
	}
}

// Who sets a program up has the wrong clock most often.
func TestDriftAtTheSetUp(t *testing.T) {
	s := newServer(t)
	ann := s.newUser("ann@example.com")
	var made api.NewTOTP
	s.do("POST", "/account/totp", "", ann.session()).want(200).json(&made)
	s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: s.codeOf(made.Secret, 10*time.Minute)}), ann.session()).want(403, "wrong_code")
	if off := s.clockOff(ann); off != 600 {
		t.Errorf("%d", off)
	}
}

func TestHealthTellsOfAClockThatIsOff(t *testing.T) {
	s := newServer(t)
	for _, email := range []string{"ann@example.com", "bob@example.com", "eve@example.com"} {
		p := s.newUser(email)
		secret := s.setUpTOTP(p)
		for range 5 {
			s.tryCode(p, s.codeOf(secret, 0)).want(200)
			s.clock.advance(time.Minute)
		}
	}
	codes := func() (all []string) {
		h, err := s.local.HealthDetails(t.Context())
		must(t, err)
		for _, w := range h.Warnings {
			all = append(all, w.Code)
		}
		return all
	}
	if slices.Contains(codes(), "clock_one_side") {
		t.Error("it warns where all is well")
	}
	for _, email := range []string{"kim@example.com", "lee@example.com", "max@example.com"} {
		p := s.newUser(email)
		secret := s.setUpTOTP(p)
		for range 20 {
			s.tryCode(p, s.codeOf(secret, 3*time.Minute)).want(403, "login_failed")
		}
	}
	if !slices.Contains(codes(), "clock_one_side") {
		t.Errorf("it warns of %q", codes())
	}
}
