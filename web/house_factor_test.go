package web

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/db"
	"husk/web/factor"
	"husk/web/gate"
)

// phone is an authenticator app, which has a secret.
type phone struct {
	*testHouse
	secret string // base32
}

// code is what the phone shows now.
func (p *phone) code() string {
	p.Helper()
	code, err := totp.GenerateCode(p.secret, p.time())
	if err != nil {
		p.Fatal(err)
	}
	return code
}

// next is a code that was not used before.
func (p *phone) next() string {
	p.Helper()
	p.wait(30 * time.Second)
	return p.code()
}

var (
	shownSecret = regexp.MustCompile(`href="(otpauth:[^"]+)"`)
	shownCode   = regexp.MustCompile(`<li><code>(\d-[0-9a-z-]+)</code>`)
)

// codes are the recovery codes that a page shows.
func (a answer) codes(t *testing.T) (all []string) {
	t.Helper()
	for _, m := range shownCode.FindAllStringSubmatch(a.body, -1) {
		all = append(all, m[1])
	}
	if len(all) != factor.RecoveryCodes {
		t.Fatalf("%d recovery codes in\n%s", len(all), a.body)
	}
	return all
}

// phone reads the QR code of a page.
func (a answer) phone(h *testHouse) *phone {
	h.Helper()
	m := shownSecret.FindStringSubmatch(a.body)
	if m == nil {
		h.Fatalf("%d: no secret in\n%s", a.StatusCode, a.body)
	}
	uri, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil || uri.Query().Get("secret") == "" {
		h.Fatal(m[1], err)
	}
	return &phone{h, uri.Query().Get("secret")}
}

// setUpTOTP has a visitor set up an authenticator app.
func (v *visitor) setUpTOTP() (p *phone, codes []string) {
	v.Helper()
	page := v.post("/me/second-factor/totp")
	p = page.phone(v.testHouse)
	done := v.post("/me/second-factor/totp/confirm", "held", page.hidden(v.T, "held"), "code", p.code())
	done.isPage(v.T, http.StatusOK)
	return p, done.codes(v.T)
}

// Who set up an authenticator app signs in in two steps, and the first step alone is
// nothing.
func TestSignInInTwoSteps(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	p, codes := v.setUpTOTP()

	v = h.visitor()
	login := v.get("/me/tokens").Header.Get("Location")
	page := v.get(login)
	step := v.post("/account/login", "email", annEmailHere, "password", testPassword, "return", page.hidden(t, "return"))
	step.isPage(t, http.StatusForbidden, "One more step", `autocomplete="one-time-code"`, `inputmode="numeric"`, "Use a recovery code")
	if a := v.get("/me"); !strings.HasPrefix(a.Header.Get("Location"), "/login") {
		t.Errorf("the first step alone opens: %d", a.StatusCode)
	}
	along := []string{"ticket", step.hidden(t, "ticket"), "methods", step.hidden(t, "methods"), "return", step.hidden(t, "return")}
	p.next()
	wrong := v.post("/account/login", append(along, "code", "000000")...)
	wrong.isPage(t, http.StatusForbidden, "The code is wrong", "One more step")
	wrong.lacks(t, "000000")
	v.post("/account/login", append(along, "code", "12345")...).isPage(t, http.StatusBadRequest, "A code is six digits")
	code := p.code()
	v.post("/account/login", append(along, "code", " "+code[:3]+" "+code[3:])...).leadsTo(t, "/me/tokens")

	v = h.visitor()
	v.post("/account/login", append(along, "code", code)...).isPage(t, http.StatusForbidden, "used already")
	v.post("/account/login", append(along, "code", codes[2])...).leadsTo(t, "/me/tokens")
	v = h.visitor()
	v.post("/account/login", append(along, "code", codes[2])...).isPage(t, http.StatusForbidden, "used already")
	h.wait(10 * time.Minute)
	ended := v.post("/account/login", append(along, "code", codes[3])...)
	ended.isPage(t, http.StatusForbidden, "took too long", `name="password"`)
	ended.lacks(t, `name="ticket"`)
}

// along is what the second step of a sign-in sends along.
func (a answer) along(t *testing.T) (pairs []string) {
	t.Helper()
	for _, name := range []string{"ticket", "methods", "return", "kept_form"} {
		if strings.Contains(a.body, `name="`+name+`"`) {
			pairs = append(pairs, name, a.hidden(t, name))
		}
	}
	return pairs
}

// first is the first step of a sign-in.
func (v *visitor) first(email string, more ...string) answer {
	v.Helper()
	a := v.post("/account/login", append(more, "email", email, "password", testPassword)...)
	a.isPage(v.T, http.StatusForbidden, "One more step")
	return a
}

// The second step says what there is: who has no recovery code left is offered none, and
// whoever wants to be somebody else goes back, with all that goes along.
func TestSecondStepLeadsBack(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	p, codes := v.setUpTOTP()
	ended := h.visitor().post("/me/tokens", "by", v.get("/me/tokens/new").hidden(t, "by"), "name", "nightly", "ends", "90", "rights", "all")
	ended.isPage(t, http.StatusUnauthorized, `name="kept_form"`)
	v = h.visitor()
	step := v.first(annEmailHere, "kept_form", ended.hidden(t, "kept_form"))
	back := v.post("/account/login", append(step.along(t), "back", "yes")...)
	back.isPage(t, http.StatusOK, `name="password"`, `name="kept_form" value="`+ended.hidden(t, "kept_form"))
	back.lacks(t, "role=\"alert\"", `name="ticket"`)
	p.next()
	v.post("/account/login", append(step.along(t), "code", p.code())...).isPage(t, http.StatusOK, `action="/me/tokens"`, `name="name" value="nightly"`)

	for _, code := range codes {
		h.visitor().post("/account/login", append(step.along(t), "code", code)...).isPage(t, http.StatusOK, `action="/me/tokens"`)
	}
	h.visitor().first(annEmailHere).lacks(t, "Use a recovery code")
}

// Wrong codes count with wrong passwords, and the page tells how long there is to wait;
// it holds what was right.
func TestSecondStepWaits(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	p, _ := h.newAnn().setUpTOTP()
	p.next()
	v := h.visitor()
	step := v.first(annEmailHere)
	a := step
	for range 12 {
		if a = v.post("/account/login", append(step.along(t), "code", "000000")...); a.StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	a.isPage(t, http.StatusTooManyRequests, "One more step", `<span id="seconds">`, `name="ticket"`)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// The desktop program and an application behind the gate are reached by two steps as by
// one.
func TestWaysOnInTwoSteps(t *testing.T) {
	t.Parallel()
	rules, faults := gate.Parse(gate.Config{LoginURL: "http://auth.example.com", Rules: []gate.Rule{{Host: "app.example.com", Require: []string{"any"}}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h := newTestHouse(t, func(c *Config) { c.Gate = rules })
	p, _ := h.newAnn().setUpTOTP()
	v := h.visitor()
	page := v.get("/login" + desktopQuery)
	page.isPage(t, http.StatusOK, "Coco AI")
	step := v.first(annEmailHere, "return", page.hidden(t, "return"))
	step.isPage(t, http.StatusForbidden, "Coco AI")
	p.next()
	a := v.post("/account/login", append(step.along(t), "code", p.code())...)
	if to := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/connect?") {
		t.Fatalf("%d %q", a.StatusCode, to)
	}
	v.get(a.Header.Get("Location")).isPage(t, http.StatusOK, "Coco AI", annEmailHere)

	v = h.visitor()
	sealed := h.sealReturnAddress("http://app.example.com/page", h.time().Add(time.Hour))
	page = v.get("/login?return=" + sealed)
	step = v.first(annEmailHere, "return", page.hidden(t, "return"))
	step.isPage(t, http.StatusForbidden, "app.example.com")
	if policy := step.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' http: https:") {
		t.Errorf("the second step may not lead out: %s", policy)
	}
	p.next()
	v.post("/account/login", append(step.along(t), "code", p.code())...).leadsTo(t, "/continue?to="+sealed+"&signed=in")
	v.get("/second-factor?return="+sealed).leadsTo(t, "/continue?to="+sealed)
}

// Whose role requires a second factor may do nothing else before; with it they go on to
// where they wanted to.
func TestRoleRequiresSecondFactor(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	admin.get("/console/roles/user").isPage(t, http.StatusOK, `href="/console/roles/user/edit"`)
	form := admin.get("/console/roles/user/edit")
	form.isPage(t, http.StatusOK, `name="require_second_factor"`)
	form.lacks(t, `name="permissions"`, `name="description"`, " checked")
	admin.post("/console/roles/user/edit", "seen", form.hidden(t, "seen"), "require_second_factor", "yes", "permissions", "*", "description", "x").leadsTo(t, "/console/roles/user?done=changed")
	admin.get("/console/roles/user").isPage(t, http.StatusOK, "Requires a second factor.", "Make API tokens")
	admin.get("/console/roles").isPage(t, http.StatusOK, ">Second factor<")
	admin.get("/console/roles/user/edit").isPage(t, http.StatusOK, " checked")

	lead := v.get("/me/tokens")
	if to := lead.Header.Get("Location"); lead.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/second-factor?return=") {
		t.Fatalf("%d %q", lead.StatusCode, to)
	}
	v.get("/").leadsTo(t, "/second-factor")
	v.post("/me/tokens", "name", "x", "ends", "90").leadsTo(t, "/second-factor")
	card := v.get(lead.Header.Get("Location"))
	card.isPage(t, http.StatusOK, `class="alone"`, "Your role requires one", `action="/second-factor/totp"`)
	again := h.visitor()
	again.post("/account/login", "email", annEmailHere, "password", testPassword).leadsTo(t, "/second-factor")

	h.wait(11 * time.Minute)
	v.post("/second-factor/totp", "return", card.hidden(t, "return")).isPage(t, http.StatusOK, "Show your password once more", `name="proof"`)
	begun := v.post("/second-factor/totp", "return", card.hidden(t, "return"), "proof", testPassword)
	begun.isPage(t, http.StatusOK, `class="alone"`, "<svg", "otpauth:")
	p := begun.phone(h)
	done := v.post("/second-factor/totp/confirm", "held", begun.hidden(t, "held"), "return", begun.hidden(t, "return"), "code", p.code())
	done.isPage(t, http.StatusOK, `class="alone"`)
	done.codes(t)
	v.post("/second-factor", "return", done.hidden(t, "return")).leadsTo(t, "/me/tokens")
	v.get("/me/tokens").isPage(t, http.StatusOK)
	v.get("/second-factor").leadsTo(t, "/")
	if again.get("/me").StatusCode != http.StatusSeeOther {
		t.Error("a sign-in of before goes on")
	}
}

// One's own room: what is set up, by a secret that a typing error does not cost, codes
// that are shown once, and what goes when it is removed.
func TestOwnSecondFactor(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	const room = "/me/second-factor"
	v.get("/me").isPage(t, http.StatusOK, `href="`+room+`"`)
	v.get(room).isPage(t, http.StatusOK, "your password alone", `href="`+room+`/totp"`)
	v.get(room+"/codes").isPage(t, http.StatusNotFound)
	v.get(room+"/totp/remove").isPage(t, http.StatusNotFound)
	h.wait(11 * time.Minute)
	v.get(room+"/totp").isPage(t, http.StatusOK, "Show the QR code", `name="proof" type="password"`)
	v.post(room+"/totp").isPage(t, http.StatusOK, "Nothing has been done yet", `name="proof"`)
	v.post(room+"/totp", "proof", "wrong and wrong").isPage(t, http.StatusOK, "password is wrong")
	page := v.post(room+"/totp", "proof", testPassword)
	p := page.phone(h)
	if groups := regexp.MustCompile(`<span>([A-Z2-7]{4})</span>`).FindAllString(page.body, -1); len(groups) != 8 {
		t.Errorf("the secret to type has %d groups", len(groups))
	}
	held := page.hidden(t, "held")
	wrong := v.post(room+"/totp/confirm", "held", held, "code", "12 34 5")
	wrong.isPage(t, http.StatusBadRequest, "A code is six digits", `id="code-problem"`)
	if q := wrong.phone(h); q.secret != p.secret {
		t.Error("a wrong code costs the secret")
	}
	v.post(room+"/totp/confirm", "held", held, "code", "000000").isPage(t, http.StatusForbidden, "The code is wrong", "otpauth:")
	v.post(room+"/totp/confirm", "held", held+"x", "code", p.code()).leadsTo(t, room)
	code := p.code()
	done := v.post(room+"/totp/confirm", "held", held, "code", code[:3]+" "+code[3:])
	done.isPage(t, http.StatusOK, `class="house"`, "The second factor is set up", annEmailHere)
	codes := done.codes(t)

	file := v.post(room+"/codes/file", "held", done.hidden(t, "held"))
	if file.StatusCode != http.StatusOK || file.Header.Get("Content-Type") != "text/plain; charset=utf-8" || file.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(file.Header.Get("Content-Disposition"), `attachment; filename="husk-recovery-codes.txt"`) || !strings.Contains(file.body, strings.Join(codes, "\n")) || !strings.Contains(file.body, annEmailHere) {
		t.Errorf("%d %v %s", file.StatusCode, file.Header, file.body)
	}
	v.post(room+"/codes/file", "held", held).isPage(t, http.StatusConflict, "The codes are gone")
	bob := h.user("bob@example.com", testPassword, false)
	h.signedIn(bob.Email).post(room+"/codes/file", "held", done.hidden(t, "held")).isPage(t, http.StatusConflict, "The codes are gone")

	v.get(room).isPage(t, http.StatusOK, "10 codes are left", room+"/totp/remove", "Move to another app")
	v.get(room+"/codes").isPage(t, http.StatusOK, "10 recovery codes: good no more")
	again := v.post(room + "/codes").codes(t)
	if again[0] == codes[0] {
		t.Error("the codes are not new")
	}
	v.get(room+"/totp/remove").isPage(t, http.StatusOK, "asks for your password alone", "10 recovery codes: good no more")
	v.post(room+"/totp/remove").leadsTo(t, room+"?done=totp")
	v.get(room+"?done=totp").isPage(t, http.StatusOK, "The authenticator app is removed", "your password alone")
	if log := h.log.String(); strings.Contains(log, p.secret) || strings.Contains(log, codes[0]) {
		t.Error("the log has what is secret")
	}
}

// What happened is told in all rooms to whom it happened, until they have seen it.
func TestBanner(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	p, codes := v.setUpTOTP()
	v.get("/me").lacks(t, "Something happened")
	p.next()
	step := h.visitor().first(annEmailHere)
	for range 2 {
		h.visitor().post("/account/login", append(step.along(t), "code", "000000")...).isPage(t, http.StatusForbidden)
	}
	other := h.visitor()
	other.post("/account/login", append(step.along(t), "code", codes[0])...).leadsTo(t, "/")
	for _, path := range []string{"/me", "/me/tokens", "/me/second-factor"} {
		v.get(path).isPage(t, http.StatusOK, "typed a wrong code 2 times", "from 127.0.0.1", `href="/password"`, "A recovery code of yours was used", "9 codes are left", `name="back" value="`+path+`"`)
	}
	v.get("/me", "Accept-Language", "zh").isPage(t, http.StatusOK, "2 次输入了错误的验证码", "还剩 9 个")
	h.signedIn("").get("/me").lacks(t, "Something happened")
	page := v.get("/me/tokens?q=x")
	h.wait(time.Second)
	h.visitor().post("/account/login", append(step.along(t), "code", "000000")...).isPage(t, http.StatusForbidden)
	v.post("/me/second-factor/seen", "until", page.hidden(t, "until"), "back", "/me/tokens?q=x").leadsTo(t, "/me/tokens?q=x")
	after := v.get("/me")
	after.isPage(t, http.StatusOK, "typed a wrong code")
	after.lacks(t, "A recovery code of yours")
	v.post("/me/second-factor/seen", "until", after.hidden(t, "until"), "back", "//evil.example").leadsTo(t, "/me")
	v.get("/me").lacks(t, "Something happened")
	v.post("/me/second-factor/seen", "until", "yesterday").isPage(t, http.StatusBadRequest)
}

// An administrator sees who has a second factor, and takes it from who lost it: nobody
// from themselves, and from nobody who may do more.
func TestResetSecondFactorByPage(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	ann, err := h.Store.FindUser(t.Context(), annEmailHere)
	if err != nil {
		t.Fatal(err)
	}
	admin := h.signedIn("")
	page, reset := "/console/users/"+ann.ID, "/console/users/"+ann.ID+"/second-factor"
	admin.get(page).lacks(t, reset)
	admin.get(reset).isPage(t, http.StatusConflict, "No second factor is set up")
	v.setUpTOTP()
	admin.get("/console/users").isPage(t, http.StatusOK, ">Second factor<")
	admin.get(page).isPage(t, http.StatusOK, "Authenticator app", `href="`+reset+`"`)
	h.wait(11 * time.Minute)
	admin.get(reset).isPage(t, http.StatusOK, "Reset the second factor of ann?", "Authenticator app: removed", "told at their next sign-in", `name="proof"`)
	admin.post(reset).isPage(t, http.StatusOK, "Nothing has been done yet")
	admin.post(reset, "proof", testPassword).leadsTo(t, page+"?done=reset")
	admin.get(page+"?done=reset").isPage(t, http.StatusOK, "The second factor is reset.", "None")
	if v.get("/me").StatusCode != http.StatusSeeOther {
		t.Error("the sign-in goes on")
	}
	v = h.signedIn(annEmailHere)
	v.get("/me").isPage(t, http.StatusOK, "was reset by "+db.SingleUser)

	if err := h.Store.CreateRole(t.Context(), localActor, "helpdesk", db.RoleChange{Permissions: []string{db.PermUserSearch, db.PermUserRead, db.PermUserUpdate}}); err != nil {
		t.Fatal(err)
	}
	h.user("kim@example.com", testPassword, false, "user", "helpdesk")
	kim := h.signedIn("kim@example.com")
	admin.setUpTOTP()
	above := "/console/users/" + db.SingleUser + "/second-factor"
	kim.get("/console/users/"+db.SingleUser).lacks(t, above)
	kim.get(above).isPage(t, http.StatusForbidden, "may do more than you may")
	kim.post(above).isPage(t, http.StatusForbidden)
	admin.get("/console/users/"+db.SingleUser).lacks(t, above)
	admin.get(above).isPage(t, http.StatusForbidden, "Nobody resets their own second factor")
	admin.post(above).isPage(t, http.StatusForbidden, "Nobody resets their own second factor")
	h.signedIn(annEmailHere).get(above).isPage(t, http.StatusForbidden)
}

// Lists of sign-ins tell by what they were made.
func TestSessionsTellHow(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	v.get("/me/sessions").isPage(t, http.StatusOK, `<span class="hint below">Password</span>`)
	h.wait(5 * time.Minute)
	v.setUpTOTP()
	v.get("/me/sessions").isPage(t, http.StatusOK, "Password · Authenticator app", "proved <time")
	admin.get("/console/sessions").isPage(t, http.StatusOK, "Password · Authenticator app")
	admin.get("/console/sessions/"+sessionOf(t, h, annEmailHere)).isPage(t, http.StatusOK, "<dd>Password · Authenticator app</dd>", "Last proved")
}
