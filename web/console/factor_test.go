package console

import (
	"html/template"
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
