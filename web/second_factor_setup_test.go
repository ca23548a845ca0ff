package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

// What changes a second factor is for a session with a fresh proof alone.
func TestSecondFactorNeedsAProof(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{})
	phone, codes := s.withTOTP(ann)
	s.clock.advance(db.ProofLife)
	routes := []struct{ method, path, body string }{
		{"POST", "/account/totp", ""}, {"PUT", "/account/totp", `{"code":"123456"}`}, {"POST", "/account/recovery_codes", ""}, {"DELETE", "/account/totp", ""},
	}
	for _, r := range routes {
		s.do(r.method, r.path, r.body, ann.session()).want(403, "proof_required")
		s.do(r.method, r.path, r.body, apiToken(made.AccessToken)).want(403, "session_required")
		s.do(r.method, r.path, r.body, local).want(403, "session_required")
		s.do(r.method, r.path, r.body).want(401, "not_signed_in")
	}
	s.do("POST", "/account/proof", jsonOf(api.Proof{Code: codes[0]}), ann.session()).want(200)
	s.do("POST", "/account/recovery_codes", "", ann.session()).want(200)
	s.clock.advance(db.ProofLife)
	s.do("POST", "/account/proof", jsonOf(api.Proof{Password: ann.password, Code: phone.next()}), ann.session()).want(200)
	s.do("DELETE", "/account/totp", "", ann.session()).want(200)
	s.do("DELETE", "/account/totp", "", ann.session()).want(404, "not_found")
	s.do("POST", "/account/recovery_codes", "", ann.session()).want(409, "no_second_factor")
	s.do("POST", "/account/proof", jsonOf(api.Proof{Code: phone.next()}), ann.session()).want(409, "no_second_factor")
	s.login(ann, ann.password).enter(s)
}

// A factor that was removed proves nothing any more, in the session that it was proved
// in either: where a role requires one, it has to be set up anew.
func TestRemovedFactorProvesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	s.withTOTP(ann)
	s.requires(db.RoleUser, true)
	s.do("GET", "/auth/access_token/_search", "", ann.session()).want(200)
	s.do("DELETE", "/account/totp", "", ann.session()).want(200)
	s.do("GET", "/auth/access_token/_search", "", ann.session()).want(403, "second_factor_setup_required")
	s.do("POST", "/auth/access_token", "", ann.session()).want(403, "second_factor_setup_required")
	phone := s.phoneOf(s.do("POST", "/account/totp", "", ann.session()).want(200))
	s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: phone.next()}), ann.session()).want(200)
	s.do("GET", "/auth/access_token/_search", "", ann.session()).want(200)
}

// A secret is confirmed once, by a code of the newest.
func TestConfirmTOTP(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	confirm := func(code string) answer {
		return s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: code}), ann.session())
	}
	confirm("123456").want(409, "totp_not_begun")
	first := s.phoneOf(s.do("POST", "/account/totp", "", ann.session()).want(200))
	second := s.phoneOf(s.do("POST", "/account/totp", "", ann.session()).want(200))
	confirm(first.next()).want(403, "wrong_code")
	confirm("0-0000-0000-0000-0000").want(400, "bad_code")
	confirm("").want(400, "bad_code")
	s.login(ann, ann.password).enter(s) // nothing is set up yet
	code := second.code()
	s.recoveryOf(confirm(code).want(200))
	confirm(code).want(409, "totp_not_begun")
	s.loginBy(ann, ann.password, code).want(403, "login_failed") // it was used
	s.loginBy(ann, ann.password, second.next()).enter(s)

	// Another one waits, and that in use stays good until it is confirmed.
	third := s.phoneOf(s.do("POST", "/account/totp", "", ann.session()).want(200))
	s.loginBy(ann, ann.password, third.next()).want(403, "login_failed")
	s.loginBy(ann, ann.password, second.code()).enter(s)
	s.recoveryOf(confirm(third.next()).want(200))
	s.loginBy(ann, ann.password, second.next()).want(403, "login_failed")
	s.loginBy(ann, ann.password, third.code()).enter(s)
}

// A secret that waits can be confirmed no more where its key was changed meanwhile.
func TestConfirmUnreadableTOTP(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser(annEmail)
	phone := s.phoneOf(s.do("POST", "/account/totp", "", ann.session()).want(200))
	s.damageTOTP()
	a := s.do("PUT", "/account/totp", jsonOf(api.ConfirmTOTP{Code: phone.next()}), ann.session()).want(409, "totp_not_begun")
	if !strings.Contains(a.body, "can't be read any more") {
		t.Errorf("it does not say why: %s", a.body)
	}
}

// Recovery codes that went with the factor are not said to be left, or to be none: the
// page that makes new ones has none to make.
func TestCodesThatWereResetAreNotCounted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	_, codes := s.withTOTP(ann)
	if in := s.loginBy(ann, ann.password, codes[0]).enter(s); len(in.Notices) != 1 || in.Notices[0].Left == nil || *in.Notices[0].Left != 9 {
		t.Errorf("told %s", jsonOf(in.Notices))
	}
	s.do("DELETE", "/security/user/"+ann.id+"/second_factor", "", admin.session()).want(200)
	in := s.login(ann, ann.password).enter(s)
	if len(in.Notices) != 2 || in.Notices[0].Kind != db.NoticeRecoveryUsed || in.Notices[0].Left != nil {
		t.Errorf("told %s", jsonOf(in.Notices))
	}
}

// The address for programs names this server and the account.
func TestAddressOfTOTP(t *testing.T) {
	t.Parallel()
	for issuer, edit := range map[string]func(*web.Config){
		"Husk id.example.com": func(c *web.Config) { c.PublicURL = "https://id.example.com" }, "Husk": func(*web.Config) {},
	} {
		s := newServer(t, edit)
		ann := s.newUser("jürgen+x@example.com")
		var begun api.NewTOTP
		s.do("POST", "/account/totp", "", ann.session()).want(200).json(&begun)
		u, err := url.Parse(begun.URI)
		must(t, err)
		q := u.Query()
		if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/"+issuer+":"+ann.email || q.Get("issuer") != issuer || q.Get("secret") != begun.Secret ||
			q.Get("digits") != "6" || q.Get("period") != "30" || q.Get("algorithm") != "SHA1" {
			t.Errorf("%s", begun.URI)
		}
	}
}

// A reset is never of one's own, nor of who may do more, and is told.
func TestResetIsForOthers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.role("clerk", db.PermUserUpdate)
	admin, clerk, ann := s.single(), s.newUser("clerk@example.com", "clerk", db.RoleUser), s.newUser(annEmail)
	reset := func(of string, with edit) answer {
		return s.do("DELETE", "/security/user/"+of+"/second_factor", "", with)
	}
	reset(ann.id, admin.session()).want(409, "no_second_factor")
	s.withTOTP(ann)
	s.withTOTP(admin)
	s.withTOTP(clerk)
	reset(admin.id, admin.session()).want(403, "own_second_factor")
	reset(clerk.email, clerk.session()).want(403, "own_second_factor")
	reset(admin.id, clerk.session()).want(403, "user_above")
	reset(clerk.id, ann.session()).want(403, "not_permitted")
	reset("nobody@example.com", admin.session()).want(404)
	s.clock.advance(time.Second)
	reset(annEmail, clerk.session()).want(200)
	s.do("GET", "/account/profile", "", ann.session()).want(401)
	in := s.login(ann, ann.password).enter(s)
	if len(in.Notices) != 1 || in.Notices[0].Kind != db.NoticeReset || in.Notices[0].By != clerk.email {
		t.Errorf("told %s", jsonOf(in.Notices))
	}
}
