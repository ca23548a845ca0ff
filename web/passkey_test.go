package web_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

const (
	passkeyOrigin = "https://" + host
	otherOrigin   = "https://other.test:8443"
)

// newPasskeyServer is reached by https, by two names.
func newPasskeyServer(t testing.TB) *server {
	return newServer(t, func(c *web.Config) { c.PublicURL, c.OtherURLs = passkeyOrigin, []string{otherOrigin} })
}

// addPasskey sets up a passkey of p.
func (s *server) addPasskey(p *person, a *softKey, lies ...lie) (out api.PasskeyAdded) {
	s.t.Helper()
	s.finishPasskey(p, a.create(s.beginPasskey(p), lies...)).want(200).json(&out)
	return out
}

// begun is the last one that was asked for, of finishPasskey.
func (s *server) beginPasskey(p *person, edits ...edit) (asked api.NewPasskey) {
	s.t.Helper()
	s.do("POST", "/account/passkeys/_begin", "", append([]edit{p.session()}, edits...)...).want(200).json(&asked)
	p.state = asked.State
	return asked
}

func (s *server) finishPasskey(p *person, made api.CreatedPasskey) answer {
	s.t.Helper()
	return s.do("POST", "/account/passkeys/_finish", jsonOf(api.PasskeySetUp{State: p.state, Name: "my key", Credential: made}), p.session())
}

// askPasskey asks what a passkey has to sign for a sign-in.
func (s *server) askPasskey(ticket string, edits ...edit) (asked api.PasskeyQuestion) {
	s.t.Helper()
	s.do("POST", "/account/login/passkey/_begin", jsonOf(api.PasskeyBegin{Ticket: ticket}), edits...).want(200).json(&asked)
	return asked
}

func (s *server) enterByPasskey(in api.PasskeyAnswer, edits ...edit) answer {
	s.t.Helper()
	return s.do("POST", "/account/login/passkey/_finish", jsonOf(in), edits...)
}

// wantNoneIn fails where an answer lets anybody in.
func (a answer) wantNoneIn() {
	a.t.Helper()
	if strings.Contains(a.body, "access_token") || strings.Contains(a.header.Get("Set-Cookie"), "session=") {
		a.t.Errorf("%s = %d lets somebody in: %s", a.what, a.status, a.body)
	}
	for _, word := range []string{"webauthn", "Error", "validating", "cbor", "base64"} {
		if strings.Contains(a.body, word) {
			a.t.Errorf("%s has words of a library: %s", a.what, a.body)
		}
	}
}

// ticketOf is what a right password gets of who has a second factor.
func (s *server) ticketOf(p *person) string {
	s.t.Helper()
	var refused api.Error
	s.do("POST", "/account/login", jsonOf(api.Login{Email: p.email, Password: p.password})).want(403, "second_factor_required").json(&refused)
	if refused.Ticket == "" {
		s.t.Fatal("no ticket, without which a passkey signs in alone")
	}
	return refused.Ticket
}

// A passkey is set up, signs in alone and beside a password, proves, is renamed and
// removed.
func TestPasskey(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	asked := s.beginPasskey(ann)
	o := asked.PublicKey
	if o.RP.ID != host || o.User.Name != ann.email || o.User.ID != b64([]byte(ann.id)) || o.Attestation != "none" || !o.Extensions.CredProps ||
		o.AuthenticatorSelection.ResidentKey != "preferred" || o.AuthenticatorSelection.UserVerification != "preferred" || len(o.ExcludeCredentials) != 0 || len(o.Challenge) != 43 {
		t.Errorf("%+v", o)
	}
	added := s.addPasskey(ann, a)
	if len(added.Codes) != 10 || added.Passkey.Name != "my key" || added.Passkey.Host != host {
		t.Fatalf("%+v", added)
	}
	for _, code := range added.Codes {
		s.secret(code)
	}
	if more := s.addPasskey(ann, newSoftKey(t, passkeyOrigin)); more.Codes != nil {
		t.Error("the second passkey made new recovery codes")
	}
	if named := s.beginPasskey(ann).PublicKey.ExcludeCredentials; len(named) != 2 || !slices.Equal(named[0].Transports, []string{"usb"}) {
		t.Errorf("%+v is not to be set up again", named)
	}
	alone := s.askPasskey("")
	if len(alone.PublicKey.AllowCredentials) != 0 || alone.PublicKey.UserVerification != "required" || alone.PublicKey.RPID != host {
		t.Errorf("%+v", alone.PublicKey)
	}
	var in api.LoggedIn
	s.enterByPasskey(a.use(alone)).want(200).json(&in)
	if in.ID != ann.id {
		t.Fatalf("%+v", in)
	}
	s.do("GET", "/account/profile", "", bearer(in.AccessToken)).want(200)
	beside := s.askPasskey(s.ticketOf(ann))
	if len(beside.PublicKey.AllowCredentials) != 2 || beside.PublicKey.UserVerification != "discouraged" {
		t.Errorf("%+v", beside.PublicKey)
	}
	s.enterByPasskey(a.use(beside)).want(200).json(&in)
	again := bearer(in.AccessToken)
	s.clock.advance(time.Hour)
	s.do("PUT", "/account/passkeys/"+added.Passkey.ID, `{"name":"blue"}`, again).want(403, "proof_required")
	var question api.PasskeyQuestion
	s.do("POST", "/account/proof/passkey/_begin", "", again).want(200).json(&question)
	s.do("POST", "/account/proof/passkey/_finish", jsonOf(a.use(question)), again).want(200)
	s.do("PUT", "/account/passkeys/"+added.Passkey.ID, `{"name":"blue"}`, again).want(200)
	s.do("PUT", "/account/passkeys/"+added.Passkey.ID, `{"name":" "}`, again).want(400, "bad_name")
	var one api.Passkey
	s.do("GET", "/account/passkeys/"+added.Passkey.ID, "", again).want(200).json(&one)
	if one.Name != "blue" || one.Used == nil || !one.Used.Equal(s.clock.now()) {
		t.Errorf("%+v", one)
	}
	s.do("DELETE", "/account/passkeys/"+added.Passkey.ID, "", again).want(200)
	s.do("GET", "/account/passkeys/"+added.Passkey.ID, "", again).want(404)
	s.enterByPasskey(a.use(s.askPasskey(""))).want(403, "login_failed").wantNoneIn()
}

// What other kinds of keys sign is taken, and no other kind is set up.
func TestPasskeyAlgorithms(t *testing.T) {
	s := newPasskeyServer(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, key := range map[string]crypto.Signer{"EdDSA": edKey, "RS256": rsaKey} {
		t.Run(name, func(t *testing.T) {
			a := newSoftKeyOf(t, passkeyOrigin, key)
			s.addPasskey(s.newUser(strings.ToLower(name)+"@example.com"), a)
			s.enterByPasskey(a.use(s.askPasskey(""))).want(200)
		})
	}
}

// Each answer of an authenticator that lies is refused, and lets nobody in.
func TestPasskeyRefusals(t *testing.T) {
	s := newPasskeyServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	a, b := newSoftKey(t, passkeyOrigin), newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	s.addPasskey(bob, b)
	for _, c := range []struct {
		name   string
		status int
		code   string
		lie    lie
	}{
		{"another origin", 403, "passkey_refused", func(d *said) { d.Origin = "https://evil.test" }},
		{"another scheme", 403, "passkey_refused", func(d *said) { d.Origin = "http://" + host }},
		{"another port", 403, "passkey_refused", func(d *said) { d.Origin = passkeyOrigin + ":8443" }},
		{"another address of this server", 403, "passkey_refused", func(d *said) { d.Origin = otherOrigin }},
		{"another host", 403, "passkey_refused", func(d *said) { d.host = "evil.test" }},
		{"made, not used", 403, "passkey_refused", func(d *said) { d.Type = "webauthn.create" }},
		{"another challenge", 403, "passkey_refused", func(d *said) { d.Challenge = b64(make([]byte, 32)) }},
		{"no challenge", 403, "passkey_refused", func(d *said) { d.Challenge = "" }},
		{"in another site's page", 403, "passkey_refused", func(d *said) { d.CrossOrigin = true }},
		{"in another site's page, of ours", 403, "passkey_refused", func(d *said) { d.CrossOrigin, d.TopOrigin = true, passkeyOrigin }},
		{"a page around it, and none", 403, "passkey_refused", func(d *said) { d.TopOrigin = passkeyOrigin }},
		{"nobody there", 403, "passkey_refused", func(d *said) { d.flags &^= flagUP }},
		{"a copy of what can't have one", 403, "passkey_refused", func(d *said) { d.flags |= flagBS }},
		{"copies that it could not have", 403, "login_failed", func(d *said) { d.flags |= flagBE }},
		{"no signature", 403, "login_failed", func(d *said) { d.sign = func([]byte) []byte { return nil } }},
		{"a wrong signature", 403, "login_failed", func(d *said) { d.sign = func(s []byte) []byte { s[len(s)-1] ^= 1; return s } }},
		{"more than a signature", 403, "login_failed", func(d *said) { d.sign = func(s []byte) []byte { return append(s, 0) } }},
		{"another's handle", 403, "login_failed", func(d *said) { d.handle = b64([]byte(bob.id)) }},
		{"nobody's handle", 403, "login_failed", func(d *said) { d.handle = b64([]byte("nobody")) }},
		{"no handle", 403, "login_failed", func(d *said) { d.handle = "" }},
		{"a long handle", 400, "bad_passkey", func(d *said) { d.handle = b64(make([]byte, 65)) }},
		{"a handle of another spelling", 400, "bad_passkey", func(d *said) { d.handle += "=" }},
		{"garbage behind the data", 400, "bad_passkey", func(d *said) { d.more = []byte{0} }},
		{"extensions that are none", 400, "bad_passkey", func(d *said) { d.flags |= 0x80; d.more = []byte{0xff} }},
		{"client data that is no JSON", 400, "bad_passkey", func(d *said) { d.client = func(b []byte) []byte { return b[1:] } }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.clock.advance(time.Minute) // a password is asked for its factor so many times in one
			s.enterByPasskey(a.use(s.askPasskey(""), c.lie)).want(c.status, c.code).wantNoneIn()
			// Beside a password it is refused, too, in whichever words.
			switch answer := s.enterByPasskey(a.use(s.askPasskey(s.ticketOf(ann)), c.lie)); {
			case c.name == "no handle": // which needs none there
				answer.want(200)
			case c.code == "login_failed":
				answer.want(403, "wrong_passkey").wantNoneIn()
			default:
				answer.want(c.status, c.code).wantNoneIn()
			}
		})
	}
	t.Run("no one verified", func(t *testing.T) {
		s.enterByPasskey(a.use(s.askPasskey(""), func(d *said) { d.flags &^= flagUV })).want(403, "passkey_unverified").wantNoneIn()
	})
	t.Run("another account's, beside a password", func(t *testing.T) {
		s.enterByPasskey(b.use(s.askPasskey(s.ticketOf(ann)))).want(403, "wrong_passkey").wantNoneIn()
	})
	t.Run("another account's, that says to be this one's", func(t *testing.T) {
		s.enterByPasskey(b.use(s.askPasskey(""), func(d *said) { d.handle = a.handle })).want(403, "login_failed").wantNoneIn()
	})
	t.Run("that is not known", func(t *testing.T) {
		c := newSoftKey(t, passkeyOrigin)
		c.handle = a.handle
		s.enterByPasskey(c.use(s.askPasskey(""))).want(403, "login_failed").wantNoneIn()
	})
	t.Run("right", func(t *testing.T) { s.enterByPasskey(a.use(s.askPasskey(""))).want(200) })
}

// A ticket that is broken or has ended asks nothing of a passkey: it is not taken for
// none, with which a passkey signs in alone.
func TestPasskeyTickets(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	begin := func(ticket string) answer {
		return s.do("POST", "/account/login/passkey/_begin", jsonOf(api.PasskeyBegin{Ticket: ticket}))
	}
	ticket := s.ticketOf(ann)
	begin(ticket).want(200)
	for name, broken := range map[string]string{"cut": ticket[:len(ticket)-1], "one letter": "x", "a space": " ", "longer": ticket + "A", "of a passkey": s.askPasskey("").State, "huge": strings.Repeat("A", 4<<10)} {
		if asked := begin(broken).want(403, "ticket_ended"); strings.Contains(asked.body, "challenge") {
			t.Errorf("%s: %s", name, asked.body)
		}
	}
	q := s.askPasskey(ticket)
	for name, broken := range map[string]string{"none": "", "cut": q.State[:len(q.State)-1], "a ticket": ticket} {
		in := a.use(q)
		in.State = broken
		if refused := s.enterByPasskey(in); refused.status != 403 && refused.status != 400 {
			t.Errorf("the state %s: %d %s", name, refused.status, refused.body)
		} else {
			refused.wantNoneIn()
		}
	}
	s.clock.advance(5 * time.Minute)
	begin(ticket).want(403, "ticket_ended")
	s.enterByPasskey(a.use(q)).want(403, "passkey_ended").wantNoneIn()
}

// What is asked is good for one purpose, one user, five minutes and one use.
func TestPasskeyStates(t *testing.T) {
	s := newPasskeyServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	a, b := newSoftKey(t, passkeyOrigin), newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	s.addPasskey(bob, b)
	proof := func(p *person) (q api.PasskeyQuestion) {
		s.do("POST", "/account/proof/passkey/_begin", "", p.session()).want(200).json(&q)
		return q
	}
	t.Run("stale", func(t *testing.T) {
		asked := s.askPasskey("")
		s.clock.advance(5 * time.Minute)
		s.enterByPasskey(a.use(asked)).want(403, "passkey_ended").wantNoneIn()
	})
	t.Run("tampered", func(t *testing.T) {
		asked := s.askPasskey("")
		for i := 0; i < len(asked.State); i += 7 {
			changed := asked
			other := byte('A')
			if changed.State[i] == other {
				other = 'B'
			}
			changed.State = changed.State[:i] + string(other) + changed.State[i+1:]
			s.enterByPasskey(a.use(changed)).want(403, "passkey_ended").wantNoneIn()
		}
		for _, state := range []string{"", "x", "=", strings.Repeat("A", 4000)} {
			asked.State = state
			s.enterByPasskey(a.use(asked)).want(403, "passkey_ended").wantNoneIn()
		}
	})
	t.Run("of a proof", func(t *testing.T) {
		s.enterByPasskey(a.use(proof(ann))).want(403, "passkey_ended").wantNoneIn()
	})
	t.Run("of a ticket", func(t *testing.T) {
		s.enterByPasskey(a.use(api.PasskeyQuestion{State: s.ticketOf(ann)})).want(403, "passkey_ended").wantNoneIn()
	})
	t.Run("of a passkey to be made", func(t *testing.T) {
		asked := s.beginPasskey(ann)
		q := api.PasskeyQuestion{State: asked.State}
		q.PublicKey.Challenge, q.PublicKey.RPID, q.PublicKey.UserVerification = asked.PublicKey.Challenge, host, "required"
		s.enterByPasskey(a.use(q)).want(403, "passkey_ended").wantNoneIn()
	})
	t.Run("of a sign-in, to prove", func(t *testing.T) {
		s.do("POST", "/account/proof/passkey/_finish", jsonOf(a.use(s.askPasskey(""))), ann.session()).want(403, "passkey_ended")
	})
	t.Run("of another, to prove", func(t *testing.T) {
		s.do("POST", "/account/proof/passkey/_finish", jsonOf(b.use(proof(bob))), ann.session()).want(403, "passkey_ended")
	})
	t.Run("of another's passkey, to prove", func(t *testing.T) {
		s.do("POST", "/account/proof/passkey/_finish", jsonOf(b.use(proof(ann))), ann.session()).want(403, "wrong_passkey")
	})
	t.Run("of another, to set up", func(t *testing.T) {
		asked := s.beginPasskey(bob)
		ann.state = asked.State
		s.finishPasskey(ann, newSoftKey(t, passkeyOrigin).create(asked)).want(403, "passkey_ended")
	})
	t.Run("of a password that was changed", func(t *testing.T) {
		asked := s.askPasskey(s.ticketOf(ann))
		ann.password = "another long one of ann's"
		s.setPassword(ann.id, ann.password)
		s.enterByPasskey(a.use(asked)).want(403, "ticket_ended").wantNoneIn()
	})
	t.Run("used", func(t *testing.T) {
		in := a.use(s.askPasskey(""))
		s.enterByPasskey(in).want(200)
		s.enterByPasskey(in).want(403, "challenge_spent").wantNoneIn()
		restarted, err := web.NewKept(s.Config)
		must(t, err)
		s.Server = restarted
		s.listen()
		s.enterByPasskey(in).want(403, "challenge_spent").wantNoneIn()
		s.enterByPasskey(a.use(s.askPasskey(""))).want(200)
	})
	t.Run("used, of one that counts nothing", func(t *testing.T) {
		c := newSoftKey(t, passkeyOrigin)
		none := func(d *said) { d.counter = 0 }
		carol := s.newUser("carol@example.com")
		s.addPasskey(carol, c, none)
		in := c.use(s.askPasskey(""), none)
		s.enterByPasskey(in).want(200)
		s.enterByPasskey(in).want(403, "challenge_spent").wantNoneIn()
		s.enterByPasskey(c.use(s.askPasskey(""), none)).want(200)
	})
}

// A counter that goes back is that of a copy: it is refused, its owner is told, and so
// is who reads the audit log.
func TestPasskeyCopy(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	s.enterByPasskey(a.use(s.askPasskey(""))).want(200)
	a.counter -= 2
	s.enterByPasskey(a.use(s.askPasskey(""))).want(403, "passkey_copied").wantNoneIn()
	a.counter += 5
	var in api.LoggedIn
	s.enterByPasskey(a.use(s.askPasskey(""))).want(200).json(&in)
	if len(in.Notices) != 1 || in.Notices[0].Kind != db.NoticePasskeyCopy || in.Notices[0].Name != "my key" {
		t.Errorf("%+v is told", in.Notices)
	}
	var entries api.Search[api.AuditEvent]
	s.do("GET", "/security/audit/_search?action=passkey.copied", "", local).want(200).json(&entries)
	if len(entries.Hits.Hits) != 1 {
		t.Errorf("the audit log has %d entries of it", len(entries.Hits.Hits))
	}
}

// Who is disabled or deleted is refused in the words of who is nobody, and a generated
// password has to be changed first, however one came in.
func TestPasskeyOfNobody(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	disabled := true
	_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Disabled: &disabled})
	must(t, err)
	s.enterByPasskey(a.use(s.askPasskey(""))).want(403, "login_failed").wantNoneIn()
	disabled = false
	_, err = s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Disabled: &disabled})
	must(t, err)
	s.enterByPasskey(a.use(s.askPasskey(""))).want(200)
	_, err = s.local.DeleteUser(t.Context(), ann.id)
	must(t, err)
	s.enterByPasskey(a.use(s.askPasskey(""))).want(403, "login_failed").wantNoneIn()
}

// Wrong answers count with the account's wrong passwords.
func TestPasskeyThrottle(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.PublicURL, c.LoginLimits.Account = passkeyOrigin, 3 })
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	wrong := func(d *said) { d.sign = func([]byte) []byte { return nil } }
	for range 3 {
		s.enterByPasskey(a.use(s.askPasskey(""), wrong)).want(403, "login_failed")
	}
	s.enterByPasskey(a.use(s.askPasskey(""))).want(429, "throttled").wantNoneIn()
	s.do("POST", "/account/login", jsonOf(api.Login{Email: ann.email, Password: ann.password})).want(429, "throttled")
	for range 3 {
		s.enterByPasskey(a.use(s.askPasskey(""), wrong, func(d *said) { d.handle = b64([]byte("nobody")) })).want(403, "login_failed")
	}
	s.enterByPasskey(a.use(s.askPasskey(""), func(d *said) { d.handle = b64([]byte("nobody")) })).want(429, "throttled") // as of somebody
}

// A passkey is set up by what made it alone.
func TestPasskeySetUpRefusals(t *testing.T) {
	s := newPasskeyServer(t)
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	for _, c := range []struct {
		name   string
		status int
		code   string
		lie    lie
	}{
		{"another origin", 403, "passkey_refused", func(d *said) { d.Origin = "https://evil.test" }},
		{"another host", 403, "passkey_refused", func(d *said) { d.host = "test" }},
		{"used, not made", 403, "passkey_refused", func(d *said) { d.Type = "webauthn.get" }},
		{"another challenge", 403, "passkey_refused", func(d *said) { d.Challenge = b64(make([]byte, 32)) }},
		{"in another site's page", 403, "passkey_refused", func(d *said) { d.CrossOrigin = true }},
		{"nobody there", 403, "passkey_refused", func(d *said) { d.flags &^= flagUP }},
		{"a copy of what can't have one", 403, "passkey_refused", func(d *said) { d.flags |= flagBS }},
		{"another credential", 403, "passkey_refused", func(d *said) { d.id = []byte("another") }},
		{"a key of another kind", 403, "passkey_refused", func(d *said) { d.key = newSoftKeyOf(t, "", small).publicKey() }},
		{"no key", 400, "bad_passkey", func(d *said) { d.key = nil }},
		{"a key that is no CBOR", 400, "bad_passkey", func(d *said) { d.key = []byte{0xff, 0xff} }},
		{"no credential data", 400, "bad_passkey", func(d *said) { d.flags &^= flagAT }},
		{"garbage behind it", 400, "bad_passkey", func(d *said) { d.more = []byte{1} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.finishPasskey(ann, newSoftKey(t, passkeyOrigin).create(s.beginPasskey(ann), c.lie)).want(c.status, c.code).wantNoneIn()
		})
	}
	t.Run("another's", func(t *testing.T) {
		a := newSoftKey(t, passkeyOrigin)
		s.addPasskey(bob, a)
		s.finishPasskey(ann, a.create(s.beginPasskey(ann))).want(409, "passkey_taken")
	})
	t.Run("without a proof", func(t *testing.T) {
		s.clock.advance(time.Hour)
		s.do("POST", "/account/passkeys/_begin", "", ann.session()).want(403, "proof_required")
		s.do("POST", "/account/passkeys/_finish", "{}", ann.session()).want(403, "proof_required")
	})
	t.Run("with a statement of its maker, which is not looked at", func(t *testing.T) {
		ann = s.signIn(ann)
		s.finishPasskey(ann, newSoftKey(t, passkeyOrigin).create(s.beginPasskey(ann), func(d *said) { d.format = "tpm" })).want(200)
	})
}

// A passkey is good at the host alone where it was set up, and works where browsers have
// it work: the page says why not elsewhere.
func TestPasskeyHosts(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	elsewhere := onHost("other.test:8443")
	asked := s.askPasskey("", elsewhere)
	if asked.PublicKey.RPID != "other.test" {
		t.Errorf("%+v", asked.PublicKey)
	}
	s.enterByPasskey(a.use(asked)).want(403, "passkey_refused").wantNoneIn()
	a.origin = otherOrigin
	s.enterByPasskey(a.use(asked)).want(403, "login_failed").wantNoneIn()
	s.do("POST", "/account/login/passkey/_begin", jsonOf(api.PasskeyBegin{Ticket: s.ticketOf(ann)}), elsewhere).want(409, "no_passkey")
	b := newSoftKey(t, otherOrigin)
	s.finishPasskey(ann, b.create(s.beginPasskey(ann, elsewhere))).want(200)
	s.enterByPasskey(b.use(s.askPasskey("", elsewhere))).want(200)

	plain := newServer(t)
	for _, c := range []struct {
		on         *server
		host, here string
	}{
		{s, host, ""}, {s, "HUSK.test", ""}, {s, "other.test:8443", ""}, {s, "localhost:9000", ""},
		{s, "127.0.0.1:9000", "address"}, {s, "[::1]:9000", "address"}, {s, "192.168.1.5:9000", "address"},
		{s, "other.test", "not_public_url"}, {s, "sub.localhost", "not_public_url"},
		{plain, "localhost:9000", ""}, {plain, "LocalHost", ""}, {plain, "192.168.1.5:9000", "address"}, {plain, "nas.lan:9000", "plain_http"}, {plain, "sub.localhost", "plain_http"},
	} {
		who := c.on.single()
		var got api.SecondFactor
		c.on.do("GET", "/account/second_factor", "", who.session(), onHost(c.host)).want(200).json(&got)
		if got.PasskeysHere != c.here {
			t.Errorf("at %s: %q, want %q", c.host, got.PasskeysHere, c.here)
		}
		begun := c.on.do("POST", "/account/login/passkey/_begin", "", onHost(c.host))
		if c.here == "" {
			begun.want(200)
		} else {
			begun.want(409, "passkeys_unavailable")
		}
	}
	t.Run("a page's own word for where it is", func(t *testing.T) {
		var q api.PasskeyQuestion
		s.do("POST", "/account/login/passkey/_begin", "", onHost("127.0.0.1:9000"), header("Origin", otherOrigin), header("Sec-Fetch-Site", "same-origin")).want(200).json(&q)
		if q.PublicKey.RPID != "other.test" {
			t.Errorf("%+v", q.PublicKey)
		}
	})
}

// What is no answer of a passkey at all.
func TestPasskeyBodies(t *testing.T) {
	s := newPasskeyServer(t)
	ann := s.newUser(annEmail)
	a := newSoftKey(t, passkeyOrigin)
	s.addPasskey(ann, a)
	big := strings.Repeat("A", 65<<10)
	for _, c := range []struct {
		name   string
		status int
		code   string
		change func(*api.UsedPasskey)
	}{
		{"of another type", 400, "bad_passkey", func(u *api.UsedPasskey) { u.Type = "password" }},
		{"without an id", 400, "bad_passkey", func(u *api.UsedPasskey) { u.ID, u.RawID = "", "" }},
		{"with two ids", 400, "bad_passkey", func(u *api.UsedPasskey) { u.RawID = "AAAA" }},
		{"with an id that is no base64url", 400, "bad_passkey", func(u *api.UsedPasskey) { u.ID, u.RawID = "+/", "+/" }},
		{"without data", 400, "bad_passkey", func(u *api.UsedPasskey) { u.Response.AuthenticatorData = "" }},
		{"with a signature that is no base64url", 400, "bad_passkey", func(u *api.UsedPasskey) { u.Response.Signature = "\n" }},
		{"oversized", 413, "body_too_large", func(u *api.UsedPasskey) { u.Response.Signature = big }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := a.use(s.askPasskey(""))
			c.change(&in.Credential)
			s.enterByPasskey(in).want(c.status, c.code).wantNoneIn()
		})
	}
}

// FuzzPasskeyFinish: whatever comes as the answer of a passkey, nobody is let in, and
// nothing breaks.
func FuzzPasskeyFinish(f *testing.F) {
	s := newPasskeyServer(f)
	ann := s.newUser(annEmail)
	a := newSoftKey(f, passkeyOrigin)
	s.addPasskey(ann, a)
	right := a.use(s.askPasskey(""), func(d *said) { d.sign = func(s []byte) []byte { s[9] ^= 1; return s } }).Credential.Response
	f.Add(right.ClientDataJSON, right.AuthenticatorData, right.Signature, right.UserHandle)
	f.Add("", "", "", "")
	f.Add("e30", "AAAA", "MAA", "AA")
	f.Fuzz(func(t *testing.T, client, data, signature, handle string) {
		s.t = t
		id := b64(a.id)
		response := map[string]string{"clientDataJSON": client, "authenticatorData": data, "signature": signature, "userHandle": handle, "attestationObject": data}
		for _, path := range []string{"/account/login/passkey/_finish", "/account/passkeys/_finish"} {
			state := s.askPasskey("").State
			with := nobody
			if path == "/account/passkeys/_finish" {
				state, with = s.beginPasskey(ann).State, ann.session()
			}
			body, err := json.Marshal(map[string]any{"state": state, "name": "x", "credential": map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response}})
			must(t, err)
			answer := s.do("POST", path, string(body), with)
			if answer.status != 400 && answer.status != 403 && answer.status != 413 {
				t.Errorf("%s = %d %s", path, answer.status, answer.body)
			}
			answer.wantNoneIn()
		}
	})
}
