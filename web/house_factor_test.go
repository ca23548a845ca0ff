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

	"husk/web/factor"
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
