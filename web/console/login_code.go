package console

import (
	"slices"
	"strings"
	"unicode"

	"husk/web/api"
)

// LoginCode is the second step of a sign-in: the password was right, and the account
// has a second factor.
type LoginCode struct {
	Login          // what goes along with both steps; its Problem is that of the last code
	Ticket  string // stands for the password that was right
	Methods []string
}

func (LoginCode) view() (file string, title Text) { return "login_code.html", say("login.code.title") }

// TOTP tells whether a program may show the code that is asked for.
func (p LoginCode) TOTP() bool { return slices.Contains(p.Methods, methodTOTP) }

// Recovery tells whether a recovery code is left.
func (p LoginCode) Recovery() bool { return slices.Contains(p.Methods, methodRecovery) }

// Passkey tells whether a passkey is set up.
func (p LoginCode) Passkey() bool { return slices.Contains(p.Methods, methodPasskey) }

// Sent are the methods, as the form sends them along.
func (p LoginCode) Sent() string { return strings.Join(p.Methods, " ") }

// The methods of a second factor, as the API names them.
const (
	methodPassword = "password"
	methodTOTP     = "totp"
	methodPasskey  = "passkey"
	methodRecovery = "recovery"
)

// typedCode is a code as the API takes it: without the spaces that programs show it
// with, and that are typed with it.
func typedCode(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// Fields by which the second step knows the first. What the methods are is for the
// page alone, and whoever changes them changes what they see.
const (
	fieldTicket  = "ticket"
	fieldMethods = "methods"
	fieldBack    = "back"
)

// codeNext answers a sign-in that failed with the second step, where that is what it
// lacks, or what failed. ok is false where it is not.
func (v *Visit) codeNext(refused *api.Error, target string) (page LoginCode, ok bool) {
	page = LoginCode{Login: v.loginForm(api.Settings{}, target), Ticket: v.form.Get(fieldTicket)}
	page.Kept = v.form.Get("kept_form")
	switch {
	case refused.Detail.Code == codeFactorRequired && refused.Ticket != "":
		page.Ticket, page.Methods, page.Problem = refused.Ticket, refused.Methods, Text{}
		return page, true
	case page.Ticket == "" || refused.Detail.Code == codeTicketEnded:
		return page, false
	}
	page.Methods = strings.Fields(v.form.Get(fieldMethods))
	page.Problem, page.Wait = problemOf(refused)
	return page, true
}

// loginBack leads from the second step to the first, with all that goes along.
func (v *Visit) loginBack(target string) error {
	settings, err := v.API.Application(v.r.Context())
	if err != nil {
		return err
	}
	page := v.loginForm(settings, target)
	page.Kept = v.form.Get("kept_form")
	if page.Key, err = v.passkeySignIn(page, "", ""); err != nil {
		return err
	}
	return v.show(page)
}
