package console

import (
	"cmp"
	"net/http"
	"strings"

	"husk/web/api"
)

// Login signs in.
type Login struct {
	Problem Text        // why the last try was refused; may be empty
	Wait    int         // seconds until the next one may be made
	Multi   bool        // ask for the email too
	Email   string      // as it was typed in the last try
	Program string      // that waits for the sign-in; may be empty
	Host    string      // of the application that the sign-in is for; may be empty
	Return  string      // where to go after the sign-in, signed; may be empty
	Out     bool        // to an application
	Kept    string      // a form that was sent by a session that had ended, signed; may be empty
	Key     *PasskeyAsk // nil where no passkey can be used
}

func (Login) view() (file string, title Text) { return "login.html", say("login.title") }
func (p Login) waits() int                    { return p.Wait }
func (p Login) leadsOut() bool                { return p.Out }
func (p Login) asksPasskey() bool             { return p.Key != nil }

// LoginPage shows the form of a sign-in.
var LoginPage = Handler{answer: loginPage}

func loginPage(v *Visit) error {
	settings, err := v.API.Application(v.r.Context())
	if err != nil {
		return err
	}
	if settings.SetupRequired {
		return v.seeOther("/setup")
	}
	target, err := v.loginTarget()
	if err != nil {
		return err
	}
	if in, err := v.isSignedIn(); err != nil {
		return err
	} else if in {
		return v.seeOther(target)
	}
	page := v.loginForm(settings, target)
	if page.Key, err = v.passkeySignIn(page, "", ""); err != nil {
		return err
	}
	return v.show(page)
}

// loginTarget is where a sign-in leads: to the desktop program that asked for
// it, or to the page that did.
func (v *Visit) loginTarget() (string, error) {
	q := v.r.URL.Query()
	if q.Get("product") != "" || q.Get("request_id") != "" {
		d, err := readDesktop(q)
		return d.path(), err
	}
	if _, ok := v.console.Application(v.r, q.Get("return")); ok {
		return ContinuePath + "?to=" + q.Get("return"), nil
	}
	return v.console.openReturn(q.Get("return")), nil
}

// isSignedIn tells whether the browser has a good session. One that is not good
// any more is no reason not to show the form, nor is an API token.
func (v *Visit) isSignedIn() (bool, error) {
	if v.r.Header.Get("X-Api-Token") != "" || v.r.Header["Cookie"] == nil && v.r.Header["Authorization"] == nil {
		return false, nil
	}
	_, err := v.API.Profile(v.r.Context())
	if refused := refusedBy(err); refused != nil && refused.Status < http.StatusInternalServerError {
		return false, nil
	}
	return err == nil, err
}

func (v *Visit) loginForm(settings api.Settings, target string) Login {
	p := Login{Multi: settings.LoginMode == "multi", Return: v.console.sealReturn(target)}
	if strings.HasPrefix(target, "/connect?") {
		p.Program = desktopPrograms["coco"]
	}
	if sealed, found := strings.CutPrefix(target, ContinuePath+"?to="); found {
		if sealed, found = strings.CutSuffix(sealed, afterSignIn); found {
			p.Problem = say("login.no_cookie")
		}
		p.Host, p.Out = v.console.Application(v.r, sealed)
	}
	return p
}

// afterSignIn is what the address of the page has that leads on after a sign-in. Who
// comes from there to the sign-in again has shown no cookie.
const afterSignIn = "&signed=in"

// SignIn takes the form of LoginPage.
var SignIn = Handler{Fields: []string{"email", "login", "password", "code", fieldTicket, fieldMethods, fieldBack, "return", "kept_form"}, answer: signIn}

func signIn(v *Visit) error {
	target := v.console.openReturn(v.form.Get("return"))
	if v.form.Get(fieldBack) != "" {
		return v.loginBack(target)
	}
	in := api.Login{Email: v.form.Get("email"), Login: v.form.Get("login"), Password: v.form.Get("password"),
		Code: typedCode(v.form.Get("code")), Ticket: v.form.Get(fieldTicket)}
	signedIn, err := v.API.Login(v.r.Context(), in)
	if err != nil {
		return v.loginAgain(err, cmp.Or(in.Email, in.Login), target)
	}
	return v.enter(signedIn, target)
}

// enter leads who signed in to where they were going.
func (v *Visit) enter(signedIn api.LoggedIn, target string) error {
	v.API.JWT = signedIn.AccessToken
	who, err := v.API.Profile(v.r.Context())
	if err != nil {
		return err
	}
	if strings.HasPrefix(target, ContinuePath+"?") {
		target = strings.TrimSuffix(target, afterSignIn) + afterSignIn
	}
	switch {
	case who.MustChange:
		return v.seeOther(v.console.withReturn("/password", target))
	case who.SecondFactor != "":
		return v.seeOther(v.console.withReturn(pageSecondFactor, target))
	}
	if kept := v.form.Get("kept_form"); kept != "" {
		page, ok := v.console.openKept(kept, who.ID)
		if !ok {
			return v.show(keptLost())
		}
		return v.show(page)
	}
	return v.seeOther(target)
}

// loginAgain answers a sign-in that failed with the same page and what was wrong.
func (v *Visit) loginAgain(err error, email, target string) error {
	refused := refusedBy(err)
	switch {
	case refused == nil:
		return err
	case refused.Detail.Code == codeSetupRequired:
		return v.seeOther("/setup")
	}
	if page, ok := v.codeNext(refused, target); ok {
		if page.Key, err = v.passkeySignIn(page.Login, page.Ticket, page.Sent()); err != nil {
			return err
		}
		return v.refuse(refused, page)
	}
	settings, err := v.API.Application(v.r.Context())
	if err != nil {
		return err
	}
	page := v.loginForm(settings, target)
	page.Email, page.Kept = email, v.form.Get("kept_form")
	page.Problem, page.Wait = problemOf(refused)
	if page.Key, err = v.passkeySignIn(page, "", ""); err != nil {
		return err
	}
	return v.refuse(refused, page)
}

// SignOut ends the session of the browser.
var SignOut = Handler{answer: signOut}

func signOut(v *Visit) error {
	if err := v.API.Logout(v.r.Context()); err != nil {
		return err
	}
	return v.seeOther("/login")
}
