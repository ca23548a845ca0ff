package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

// loginBy is a sign-in in one step.
func (s *server) loginBy(p *person, pass, code string, edits ...edit) answer {
	s.t.Helper()
	return s.do("POST", "/account/login", jsonOf(api.Login{Email: p.email, Password: pass, Code: code}), edits...)
}

// ticket is the first of two steps: it returns the ticket.
func (s *server) ticket(p *person, edits ...edit) string {
	s.t.Helper()
	var e api.Error
	s.login(p, p.password, edits...).want(403, "second_factor_required").json(&e)
	return e.Ticket
}

func (s *server) loginByTicket(ticket, code string, edits ...edit) answer {
	s.t.Helper()
	return s.do("POST", "/account/login", jsonOf(api.Login{Ticket: ticket, Code: code}), edits...)
}

// enter notes the secrets of a sign-in that has to succeed.
func (a answer) enter(s *server) api.LoggedIn {
	s.t.Helper()
	var in api.LoggedIn
	a.want(200).json(&in)
	s.secret(jtiOf(in.AccessToken))
	return in
}

// withoutID is an answer as everybody else gets it.
func (a answer) withoutID() string {
	h := a.header.Clone()
	h.Del("X-Request-Id")
	h.Del("Date")
	return fmt.Sprint(a.status, h, a.body)
}

// Whatever is wrong with a sign-in in one step, and with whichever kind of code, the
// answer is the same byte for byte, and so is the work.
func TestWrongCodeTellsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, off := s.newUser(annEmail), s.newUser("off@example.com")
	phone, codes := s.withTOTP(ann)
	used := phone.code()
	s.loginBy(ann, ann.password, codes[3]).enter(s)
	offPhone, offCodes := s.withTOTP(off)
	s.do("PUT", "/security/user/"+off.id, `{"disabled":true}`, local).want(200)
	s.do("POST", "/security/user", `{"email":"robot@example.com","no_password":true}`, local).want(200)
	// Of another set: the number of it is there, and of a tenth there is none to compare.
	other := "4-0000-0000-0000-0000"

	for kind, c := range map[string]struct {
		hashes uint64
		right  string // of ann
		off    string // of who is disabled
		wrong  []string
	}{
		"digits":   {1, used, offPhone.code(), []string{phone.wrong(), used}},
		"recovery": {2, codes[0], offCodes[0], []string{other, codes[3]}},
	} {
		want := ""
		try := func(what string, p *person, pass, code string) {
			t.Helper()
			before := s.hasher.Stats().Total
			a := s.loginBy(p, pass, code).want(403, "login_failed")
			if n := s.hasher.Stats().Total - before; n != c.hashes {
				t.Errorf("%s, %s: %d hashes, not %d", kind, what, n, c.hashes)
			}
			if want == "" {
				want = a.withoutID()
			}
			if got := a.withoutID(); got != want {
				t.Errorf("%s, %s:\n%s\nand else\n%s", kind, what, got, want)
			}
		}
		try("a wrong password", ann, wrong, c.right)
		try("a wrong password and code", ann, wrong, c.wrong[0])
		for _, code := range c.wrong {
			try("a wrong code", ann, ann.password, code)
		}
		try("nobody", &person{email: "nobody@example.com"}, wrong, c.right)
		try("no password", &person{email: "robot@example.com"}, wrong, c.right)
		try("disabled", off, off.password, c.off)
		try("disabled, and a wrong code", off, off.password, c.wrong[0])
	}
}

// What can be no code is told before anything is looked up, whoever asks and whatever
// the password.
func TestNoCode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	ticket, right := s.ticket(ann), phone.next()
	begun := s.signInWith(ann, right)
	before := s.hasher.Stats().Total
	for name, code := range map[string]string{
		"spaces": right[:3] + " " + right[3:], "in front": " " + right, "behind": right + " ", "a line end": right + "\n",
		"five": right[:5], "seven": right + "0", "full-width": "１２３４５６", "Arabic": "١٢٣٤٥٦", "hexadecimal": "0x1234", "signed": "+12345", "a point": "1234.5",
		"a recovery code cut": codes[0][:20], "a recovery code and more": codes[0] + "0", "without its number": codes[0][2:], "other letters": strings.Replace(codes[0], codes[0][2:6], "uuuu", 1),
		"long": strings.Repeat("1", 2000),
	} {
		for _, a := range []answer{
			s.loginBy(ann, ann.password, code), s.loginBy(ann, wrong, code), s.loginBy(&person{email: "nobody@example.com"}, wrong, code), s.loginByTicket(ticket, code),
			s.do("POST", "/account/proof", jsonOf(api.Proof{Code: code}), begun.session()),
			s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: code}), begun.session()),
		} {
			a.want(400, "bad_code")
			if strings.Contains(a.body, code) {
				t.Errorf("%s: the refusal repeats what was typed: %s", name, a.body)
			}
		}
	}
	if n := s.hasher.Stats().Total - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
	s.do("POST", "/account/login", `{"email":"ann@example.com","password":"wrong and long","code":123456}`).want(400, "bad_type")
}

// signInWith is a session of p by a code.
func (s *server) signInWith(p *person, code string) *person {
	s.t.Helper()
	again := *p
	again.jwt = s.loginBy(p, p.password, code).enter(s).AccessToken
	return &again
}

// A leading zero is a digit of a code like others.
func TestCodesWithZerosInFront(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, _ := s.withTOTP(ann)
	for range 1000 {
		if strings.HasPrefix(phone.next(), "0") {
			s.loginBy(ann, ann.password, strings.TrimPrefix(phone.code(), "0")).want(400, "bad_code")
			s.loginBy(ann, ann.password, phone.code()).enter(s)
			return
		}
	}
	t.Error("no code begins with a zero")
}

// Members that are like the code are none; nothing is signed in without it unnoticed.
func TestMistypedCode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	for _, member := range []string{"Code", "CODE", "codes", "cod", "otp", "totp", "mfa_code", "passcode", "Ticket", "tickets"} {
		s.do("POST", "/account/login", `{"email":"ann@example.com","password":"`+ann.password+`","`+member+`":"123456"}`).want(400, "unknown_member")
	}
	s.do("POST", "/account/login", `{"email":"ann@example.com","password":"`+ann.password+`","code":"123456","code":"123457"}`).want(400, "duplicate_member")
	for _, member := range []string{"codes", "Code", "otp"} {
		s.do("POST", "/account/proof", `{"password":"`+ann.password+`","`+member+`":"123456"}`, ann.session()).want(400, "unknown_member")
		s.do("PUT", "/account/totp", `{"`+member+`":"123456"}`, ann.session()).want(400, "unknown_member")
	}
	for _, member := range []string{"require_second_factors", "second_factor", "require_mfa", "require_2fa", "RequireSecondFactor"} {
		s.do("POST", "/security/role", `{"name":"careful","grants":{"permissions":["generic#system/backup"]},"`+member+`":true}`, local).want(400, "unknown_member")
	}
}

// A code is good for who signs in, by JSON, by a form and in two steps, and the single
// user is one of them.
func TestSignInWithCode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	s.loginBy(ann, ann.password, phone.next()).enter(s)
	s.loginByTicket(s.ticket(ann), phone.next()).enter(s)
	s.loginBy(ann, ann.password, codes[0]).enter(s)
	s.loginBy(ann, ann.password, strings.ToUpper(strings.ReplaceAll(codes[1], "-", ""))).enter(s)
	s.do("POST", "/account/login", form("email", ann.email, "password", ann.password, "code", phone.next()), contentType(formType)).enter(s)
	s.do("POST", "/account/login", form("ticket", s.ticket(ann), "code", codes[2]), contentType(formType)).enter(s)
	s.do("POST", "/account/login", form("email", ann.email, "password", ann.password), contentType(formType)).want(403, "second_factor_required")

	single := s.single()
	phone, codes = s.withTOTP(single)
	for _, email := range []string{"", "Coco-Default-User"} {
		p := &person{email: email, password: singlePassword}
		s.loginBy(p, singlePassword, phone.wrong()).want(403, "login_failed")
		s.loginByTicket(s.ticket(p), phone.next()).enter(s)
		s.loginBy(p, singlePassword, phone.next()).enter(s)
	}
	s.loginBy(single, singlePassword, codes[0]).enter(s)
}

// The answer that asks for a code says what is set up, where else a person can sign in,
// by the server's own address, and sets nothing.
func TestSecondFactorRequired(t *testing.T) {
	t.Parallel()
	for origin, edit := range map[string]func(*web.Config){
		"https://id.example.com": func(c *web.Config) { c.PublicURL = "https://id.example.com" },
		"http://localhost":       func(*web.Config) {},
	} {
		s := newServer(t, edit)
		ann := s.newUser(annEmail)
		_, codes := s.withTOTP(ann)
		a := s.login(ann, ann.password, onHost("evil.example")).want(403, "second_factor_required")
		if !strings.Contains(a.body, "sign in with a browser at "+origin+"/login") || strings.Contains(a.body, "evil") || !strings.Contains(a.body, `"methods":["totp","recovery"]`) {
			t.Errorf("%s: %s", origin, a.body)
		}
		if len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("cookies: %q", a.header["Set-Cookie"])
		}
		for _, code := range codes {
			s.loginBy(ann, ann.password, code).enter(s)
		}
		if a := s.login(ann, ann.password).want(403); !strings.Contains(a.body, `"methods":["totp"]`) {
			t.Errorf("without a recovery code left: %s", a.body)
		}
	}
}

// Of two at once with one code one signs in.
func TestOneCodeOneSession(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	for kind, c := range map[string]struct {
		try    func() answer
		second string
	}{
		"digits":              {func() answer { return s.loginBy(ann, ann.password, phone.code()) }, "login_failed"},
		"recovery":            {func() answer { return s.loginBy(ann, ann.password, codes[0]) }, "login_failed"},
		"digits by ticket":    {func() answer { return s.loginByTicket(s.ticket(ann), phone.code()) }, "code_used"},
		"recovery by ticket":  {func() answer { return s.loginByTicket(s.ticket(ann), codes[1]) }, "code_used"},
		"recovery, both ways": {func() answer { return s.loginBy(ann, ann.password, codes[2]) }, "login_failed"},
	} {
		phone.next()
		var mu sync.Mutex
		var all sync.WaitGroup
		entered := 0
		for range 8 {
			all.Go(func() {
				a := c.try()
				mu.Lock()
				defer mu.Unlock()
				if a.status == 200 {
					entered++
					a.enter(s)
				} else {
					a.want(403, c.second)
				}
			})
		}
		all.Wait()
		if entered != 1 {
			t.Errorf("%s: %d signed in", kind, entered)
		}
		s.clock.advance(time.Minute)
	}
}

// A code that was taken is good no more, nor is an older one, and the clock may be a
// step off, to either side.
func TestReplayAndDrift(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	old := phone.next()
	newer := phone.next()
	s.loginBy(ann, ann.password, newer).enter(s)
	for _, code := range []string{newer, old} {
		s.loginBy(ann, ann.password, code).want(403, "login_failed")
		s.loginByTicket(s.ticket(ann), code).want(403, "code_used")
	}
	s.loginByTicket(s.ticket(ann), codes[0]).enter(s)
	s.loginByTicket(s.ticket(ann), codes[0]).want(403, "code_used")

	late := phone.next()
	s.clock.advance(30 * time.Second)
	s.loginBy(ann, ann.password, late).enter(s)
	s.clock.advance(2 * time.Minute)
	early := phone.code()
	s.clock.advance(-30 * time.Second)
	s.loginBy(ann, ann.password, early).enter(s)
	s.clock.advance(5 * time.Minute)
	far := phone.code()
	s.clock.advance(60 * time.Second)
	s.loginBy(ann, ann.password, far).want(403, "login_failed")
}

// A wrong code is told at the next sign-in where the password was right, and not else;
// so is the use of a recovery code, with how many are left.
func TestNoticesAtTheSignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	s.loginBy(ann, wrong, phone.wrong()).want(403)
	s.login(ann, wrong).want(403)
	s.ticket(ann)
	in := s.loginBy(ann, ann.password, phone.next()).enter(s)
	if len(in.Notices) != 0 {
		t.Errorf("told %+v", in.Notices)
	}
	s.do("POST", "/account/proof", jsonOf(api.Proof{Code: phone.wrong()}), bearer(in.AccessToken)).want(403, "wrong_code")
	if in = s.loginBy(ann, ann.password, phone.next()).enter(s); len(in.Notices) != 0 {
		t.Errorf("of a wrong code in a session without the password: %+v", in.Notices)
	}
	for i := range 3 {
		s.loginBy(ann, ann.password, phone.wrong(), from(fmt.Sprint("198.51.100.", i))).want(403)
	}
	s.loginByTicket(s.ticket(ann), phone.wrong(), from("198.51.100.9")).want(403, "wrong_code")
	s.clock.advance(time.Second)
	in = s.loginBy(ann, ann.password, codes[4]).enter(s)
	if len(in.Notices) != 2 || in.Notices[0].Kind != db.NoticeWrongCode || in.Notices[0].Count != 4 || in.Notices[0].Address != "198.51.100.9" ||
		in.Notices[1].Kind != db.NoticeRecoveryUsed || *in.Notices[1].Left != 9 || in.Notices[1].Address != stranger {
		t.Errorf("told %s", jsonOf(in.Notices))
	}
	if all := s.told("recovery_code.use"); len(all) != 1 || all[0].Actor != ann.id || all[0].Target != ann.id || all[0].Address != stranger {
		t.Errorf("the audit says %+v", all)
	}
	s.do("POST", "/account/second_factor/_seen", jsonOf(api.SeenNotices{Until: in.Notices[0].Time}), bearer(in.AccessToken)).want(200)
	if in = s.loginBy(ann, ann.password, phone.next()).enter(s); len(in.Notices) != 1 || in.Notices[0].Kind != db.NoticeRecoveryUsed {
		t.Errorf("after one was seen: %s", jsonOf(in.Notices))
	}
}

// What a sign-in leaves in the audit log and the log has no code in it, nor ticket.
func TestCodesAreInNoLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	ticket, code := s.ticket(ann), phone.next()
	s.secret(ticket)
	s.loginByTicket(ticket, phone.wrong()).want(403)
	s.loginByTicket(ticket, code).enter(s)
	s.loginBy(ann, ann.password, codes[0]).enter(s)
	for _, secret := range []string{phone.secret, `"` + code + `"`, `"` + phone.wrong() + `"`} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
		for _, e := range s.events() {
			if strings.Contains(jsonOf(e), secret) {
				t.Errorf("the audit log has %s", secret)
			}
		}
	}
}

// An imported password is hashed anew with a second factor, too: in one step once the
// code was right, in two at the first; and the ticket is good after that.
func TestRehashWithSecondFactor(t *testing.T) {
	t.Parallel()
	for _, steps := range []int{1, 2} {
		s := newServer(t)
		ann := s.newUser(annEmail)
		phone, _ := s.withTOTP(ann)
		blow, err := bcrypt.GenerateFromPassword([]byte(ann.password), bcrypt.MinCost)
		must(t, err)
		hash := string(blow)
		_, err = s.store.UpdateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, ann.id, db.UserChange{Password: &hash})
		must(t, err)
		before := s.hasher.Stats().Total
		s.loginBy(ann, ann.password, phone.wrong()).want(403, "login_failed")
		if n := s.hasher.Stats().Total - before; n != 1 {
			t.Errorf("a wrong code costs %d hashes", n)
		}
		if steps == 1 {
			s.loginBy(ann, ann.password, phone.next()).enter(s)
		} else {
			s.loginByTicket(s.ticket(ann), phone.next()).enter(s)
		}
		u, err := s.store.User(t.Context(), ann.id)
		must(t, err)
		if !strings.HasPrefix(u.Password, "$argon2id$") {
			t.Errorf("in %d: the hash is %.8s", steps, u.Password)
		}
	}
}

// The first factor ends all other sessions, and a browser's own goes on under another
// secret.
func TestSessionsOfBeforeTheFactorEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	other := s.signIn(ann)
	phone := s.phoneOf(s.do("POST", "/account/totp", "", cookie(ann.jwt)).want(200))
	a := s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: phone.next()}), cookie(ann.jwt)).want(200)
	s.recoveryOf(a)
	renewed, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	must(t, err)
	s.secret(jtiOf(renewed.Value))
	for _, jwt := range []string{ann.jwt, other.jwt} {
		s.do("GET", "/account/profile", "", cookie(jwt)).want(401, "invalid_token")
	}
	s.do("GET", "/account/profile", "", cookie(renewed.Value)).want(200)
	ann.jwt = renewed.Value
	s.withTOTP(ann) // another one in its place
	s.do("GET", "/account/profile", "", cookie(renewed.Value)).want(200)
}
