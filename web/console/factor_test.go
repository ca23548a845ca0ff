package console

import (
	"context"
	"encoding/json"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/web/api"
	"husk/web/factor"
)

// pagesOfFactors are the pages of second factors, with a value in every field, and as
// they first show.
func pagesOfFactors(text string) map[string]Page {
	said, at := literal(text), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	form := Form{Once: "x", Proof: true, Problem: said}
	picture, _ := factor.QR("otpauth://totp/Husk:ann?secret=JBSWY3DP")
	code := Field{Name: "code", Label: said, Hint: said, Problem: said, Mode: "numeric", Autocomplete: "one-time-code"}
	both := []string{methodTOTP, methodPasskey, methodRecovery}
	has := api.SecondFactor{Methods: both, TOTP: &api.TOTP{Created: at, Used: &at}, Recovery: api.RecoveryCodes{Total: 10, Left: 3}, Required: true}
	setUp := SetUpTOTP{Form: Form{Once: "x", Problem: said}, Door: roomFactor, Return: text, Held: text, QR: template.HTML(picture), Groups: []string{text, "ABCD"}, Link: template.URL("otpauth://totp/x"), Code: code}
	card := setUp
	card.Door, card.Out = pageSecondFactor, true
	codes := RecoveryCodes{Door: roomFactor, First: true, Codes: []string{text, text}, Host: text, Account: text, Made: at, Held: text}
	alone := codes
	alone.Door, alone.Return, alone.Out = pageSecondFactor, text, true
	return map[string]Page{
		"login code":          LoginCode{Login: Login{Problem: said, Program: text, Return: text, Kept: text}, Ticket: text, Methods: both},
		"login code out wait": LoginCode{Login: Login{Problem: said, Wait: 15, Host: text, Return: text, Out: true}, Ticket: text, Methods: []string{methodRecovery}},
		"factor prove out":    SecondFactor{Form: Form{Once: "x", Problem: said}, Factor: has, Return: text, Out: true},
		"factor must":         SecondFactor{Form: form, Factor: api.SecondFactor{Required: true}, Return: text},
		"factor must new":     SecondFactor{Form: Form{Once: "x"}},
		"own factor":          OwnFactor{Form: Form{Once: "x"}, Done: said, Factor: has},
		"own factor none":     OwnFactor{Form: Form{Once: "x"}},
		"factor ask":          AskFactor{Form: form, Title: said, About: said, Effects: []Text{said}, To: roomFactor + "/totp", Act: said, Danger: true},
		"factor ask code":     AskFactor{Form: Form{Once: "x", Proof: true, ByCode: true, ProofPage: pageSecondFactor}, Title: literal("Ask"), About: said, To: roomFactor + "/codes", Act: said},
		"totp new":            setUp,
		"totp new out":        card,
		"codes":               codes,
		"codes out":           alone,
	}
}

// What happened is told in words, each kind with what to do about it.
func TestNotices(t *testing.T) {
	at, left := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), 1
	for _, l := range languages() {
		for _, n := range []api.FactorNotice{
			{Kind: "wrong_code", Time: at, Address: "192.0.2.7", Count: 1}, {Kind: "wrong_code", Time: at, Count: 12},
			{Kind: "recovery_used", Time: at, Count: 1, Left: &left}, {Kind: "recovery_used", Time: at, Count: 2}, {Kind: "reset", Time: at, By: "root", Count: 1},
			{Kind: "passkey_copy", Time: at, Name: "<b>", Count: 1}, {Kind: "of a newer server", Time: at, Count: 1},
		} {
			told := noticeOf(n)
			for _, text := range []Text{told.What, told.Act} {
				if said, err := l.html(text); said == "" || err != nil {
					t.Errorf("%s: %+v: %q %v", l.Tag, n, said, err)
				}
			}
			if _, err := l.html(told.Next); told.Next.Said() && err != nil || told.Link == "" {
				t.Errorf("%s: %+v: %v", l.Tag, n, err)
			}
		}
	}
}

// What was shown once comes back to whom it was shown, as what it is, and for an hour.
func TestHeld(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := &Console{MAC: func(text []byte) []byte { return append(make([]byte, 31), byte(len(text))) }, Now: func() time.Time { return now }}
	v := func(user, held string) *Visit {
		return &Visit{console: c, by: Sender{User: user, Session: "s"}, form: map[string][]string{fieldHeld: {held}}}
	}
	sealed := v("ann", "").hold(heldTOTP, "otpauth://x")
	if text, ok := v("ann", sealed).held(heldTOTP); text != "otpauth://x" || !ok {
		t.Errorf("%q %t", text, ok)
	}
	for name, one := range map[string]struct {
		user, held, kind string
		wait             time.Duration
	}{
		"of another user": {"bob", sealed, heldTOTP, 0}, "as something else": {"ann", sealed, heldCodes, 0}, "too old": {"ann", sealed, heldTOTP, returnTTL},
		"not signed here": {"ann", sealed[:len(sealed)-1] + "x", heldTOTP, 0}, "nothing": {"ann", "", heldTOTP, 0},
	} {
		now = now.Add(one.wait)
		if text, ok := v(one.user, one.held).held(one.kind); ok {
			t.Errorf("%s: %q is taken", name, text)
		}
		now = now.Add(-one.wait)
	}
	if c.openReturn(sealed) != "/" {
		t.Error("it is a way back")
	}
	if _, ok := c.openKept(sealed, "ann"); ok {
		t.Error("it is a form that was kept")
	}
}

func TestTypedCode(t *testing.T) {
	for typed, want := range map[string]string{"123 456": "123456", " 123\u00a0456\t": "123456", "3-7k2m-aaaa ": "3-7k2m-aaaa", "": "", "１２３": "１２３"} {
		if got := typedCode(typed); got != want {
			t.Errorf("%q is %q", typed, got)
		}
	}
}

// asked is what a page asked the API, and what that was sent.
type asked struct{ method, path, body string }

// byAPI serves a form of a browser that is signed in by h, before an API that answers
// each path as told; what is not told it answers with an error.
func byAPI(t *testing.T, h Handler, method, path string, form url.Values, answers map[string]any) (w *httptest.ResponseRecorder, calls []asked) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, asked{r.Method, r.URL.Path, string(body)})
		answer, known := answers[r.Method+" "+r.URL.Path]
		if !known {
			answer = refusal(http.StatusInternalServerError, "internal", "not expected: "+r.URL.Path)
		}
		if e, refused := answer.(*api.Error); refused {
			w.WriteHeader(e.Status)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	var d net.Dialer
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, server.Listener.Addr().String())
	}
	c := &Console{Now: time.Now, MAC: macOf("a key"), IsProgram: func(http.Header) bool { return false },
		Application: func(*http.Request, string) (string, bool) { return "", false }}
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w = httptest.NewRecorder()
	if err := c.Serve(h, w, r, Sent{Form: form, By: Sender{User: "u1", Session: "s1"}}, dial); err != nil {
		t.Fatal(err)
	}
	return w, calls
}

// Where the password alone proves nothing a code is asked for, and taken as one: what
// was typed as a code is never tried as a password, nor the other way round.
func TestProofByCode(t *testing.T) {
	unproved := map[string]any{"id": "u1", "prove_by": []string{"passkey", "totp"}}
	has := map[string]any{"methods": []string{"totp", "recovery"}, "totp": map[string]any{"created": time.Now()}}
	answers := map[string]any{"GET /account/profile": unproved, "GET /account/second_factor": has, "DELETE /account/totp": map[string]any{"result": "deleted"},
		"POST /account/proof": map[string]any{"status": "ok"}}
	page, _ := byAPI(t, removeTOTP, "POST", roomFactor+"/totp/remove", url.Values{}, answers)
	for _, want := range []string{"Prove your second factor to go on", `name="proof" type="text"`, `autocomplete="one-time-code"`, `href="/second-factor?return=`} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the form has no %s:\n%s", want, page.Body)
		}
	}
	for name, c := range map[string]struct {
		profile any
		proof   string
		sent    string
	}{
		"a code":     {unproved, "123 456", `{"code":"123456"}`},
		"a password": {map[string]any{"id": "u1"}, "123 456", `{"password":"123 456"}`},
	} {
		answers["GET /account/profile"] = c.profile
		done, calls := byAPI(t, removeTOTP, "POST", roomFactor+"/totp/remove", url.Values{fieldProof: {c.proof}}, answers)
		sent := ""
		for _, one := range calls {
			if one.path == "/account/proof" {
				sent += strings.TrimSpace(one.body)
			}
		}
		if sent != c.sent || done.Header().Get("Location") != roomFactor+"?done=totp" {
			t.Errorf("%s: %s was sent; %d %s", name, sent, done.Code, done.Header())
		}
	}
	answers["GET /account/profile"] = unproved
	answers["POST /account/proof"] = refusal(http.StatusForbidden, "wrong_code", "no")
	refused, calls := byAPI(t, removeTOTP, "POST", roomFactor+"/totp/remove", url.Values{fieldProof: {"000000"}}, answers)
	if !strings.Contains(refused.Body.String(), "The code is wrong") || strings.Contains(refused.Body.String(), "000000") {
		t.Errorf("%d %s", refused.Code, refused.Body)
	}
	for _, one := range calls {
		if one.method == "DELETE" {
			t.Error("it was removed")
		}
	}
}

// Who has one that was not proved in the session proves it on a page of its own, and is
// led on.
func TestProveOnTheCard(t *testing.T) {
	c := &Console{Now: time.Now, MAC: macOf("a key")}
	back := c.sealReturn("/me/tokens?q=x")
	has := map[string]any{"methods": []string{"totp", "recovery"}}
	answers := map[string]any{"GET /account/profile": map[string]any{"id": "u1", "second_factor": "proof", "prove_by": []string{"totp"}}, "GET /account/second_factor": has,
		"POST /account/proof": map[string]any{"status": "ok"}}
	page, _ := byAPI(t, SecondFactorPage, "GET", "/second-factor?return="+back, nil, answers)
	for _, want := range []string{"Prove your second factor", `name="return" value="` + c.sealReturn("/me/tokens?q=x")[:8], `autocomplete="one-time-code"`, "Use a recovery code", `class="alone"`} {
		if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), want) {
			t.Errorf("%d, the card has no %s:\n%s", page.Code, want, page.Body)
		}
	}
	done, calls := byAPI(t, ProveFactor, "POST", "/second-factor", url.Values{"code": {"123 456"}, "return": {back}}, answers)
	if done.Header().Get("Location") != "/me/tokens?q=x" || strings.TrimSpace(calls[0].body) != `{"code":"123456"}` {
		t.Errorf("%d %v %v", done.Code, done.Header(), calls)
	}
	for code, want := range map[string]string{"wrong_code": "The code is wrong", "code_used": "used already", "bad_code": "six digits", "throttled": "Too many tries"} {
		status := map[string]int{"bad_code": 400, "throttled": 429}[code]
		if status == 0 {
			status = 403
		}
		e := refusal(status, code, "no")
		answers["POST /account/proof"] = e
		refused, _ := byAPI(t, ProveFactor, "POST", "/second-factor", url.Values{"code": {"123456"}, "return": {back}}, answers)
		if refused.Code != status || !strings.Contains(refused.Body.String(), want) || strings.Contains(refused.Body.String(), "123456") {
			t.Errorf("%s: %d %s", code, refused.Code, refused.Body)
		}
	}
	// A proof that is too old to do something by is asked for again; a fresh one leads on.
	has["proved"] = time.Now()
	if old, _ := byAPI(t, SecondFactorPage, "GET", "/second-factor?return="+back, nil, answers); old.Code != http.StatusOK || !strings.Contains(old.Body.String(), `id="code"`) {
		t.Errorf("whose proof is old is shown %d %s", old.Code, old.Body)
	}
	answers["GET /account/profile"] = map[string]any{"id": "u1", "proved_until": time.Now().Add(time.Minute)}
	if led, _ := byAPI(t, SecondFactorPage, "GET", "/second-factor?return="+back, nil, answers); led.Header().Get("Location") != "/me/tokens?q=x" {
		t.Errorf("who has proved one is shown %d %s", led.Code, led.Body)
	}
}

// Who has to set one up long after the sign-in shows the password on the card, for a
// passkey as for an app.
func TestSetUpOnTheCard(t *testing.T) {
	answers := map[string]any{"GET /account/profile": map[string]any{"id": "u1", "second_factor": "set_up"}, "GET /account/second_factor": map[string]any{"methods": []string{}, "required": true},
		"POST /account/proof": map[string]any{"status": "ok"}}
	page, _ := byAPI(t, SecondFactorPage, "GET", "/second-factor", nil, answers)
	form, _, _ := strings.Cut(page.Body.String(), "</form>")
	for _, want := range []string{`action="/second-factor/totp"`, `name="proof" type="password"`, `formaction="/second-factor/passkey"`} {
		if page.Code != http.StatusOK || !strings.Contains(form, want) {
			t.Errorf("%d, the form has no %s:\n%s", page.Code, want, page.Body)
		}
	}
	_, calls := byAPI(t, BeginPasskey, "POST", "/second-factor/passkey", url.Values{fieldProof: {"the password"}}, answers)
	var proved, begun bool
	for _, one := range calls {
		proved = proved || one.path == "/account/proof" && strings.TrimSpace(one.body) == `{"password":"the password"}`
		begun = begun || proved && one.path == "/account/passkeys/_begin"
	}
	if !begun {
		t.Errorf("no passkey is begun: %v", calls)
	}
}
