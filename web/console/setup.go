package console

import "husk/web/api"

// Setup makes the first administrator.
type Setup struct {
	Problem Text   // why the last try was refused; may be empty
	Wait    int    // seconds until the next one may be made
	Code    string // as they were typed in the last try
	Name    string
	Email   string
}

func (Setup) view() (file string, title Text) { return "setup.html", say("setup.title") }
func (p Setup) waits() int                    { return p.Wait }

// SetupPage shows the form of the set-up, while that is required.
var SetupPage = Handler{answer: setupPage}

func setupPage(v *Visit) error {
	settings, err := v.API.Application(v.r.Context())
	if err != nil {
		return err
	}
	if !settings.SetupRequired {
		return v.seeOther("/login")
	}
	return v.show(Setup{})
}

// SetUp takes the form of SetupPage.
var SetUp = Handler{Fields: []string{"name", "email", "password", "again", "code", "language"}, answer: setUp}

func setUp(v *Visit) error {
	in := api.Setup{Name: v.form.Get("name"), Email: v.form.Get("email"), Password: v.form.Get("password"), Code: v.form.Get("code")}
	different := v.form.Has("again") && v.form.Get("again") != in.Password
	if different {
		in.Password = "" // the code alone is looked at
	}
	_, err := v.API.Initialize(v.r.Context(), in)
	if err == nil {
		return v.signInNew(in)
	}
	if refused := refusedBy(err); different && refused != nil && refused.Detail.Code == codePasswordMissing {
		err = errDifferent
	}
	return v.setupAgain(err, in)
}

// signInNew signs in who just set up. Where that fails the sign-in tells why.
func (v *Visit) signInNew(in api.Setup) error {
	if _, err := v.API.Login(v.r.Context(), api.Login{Email: in.Email, Password: in.Password}); err != nil {
		return v.seeOther("/login")
	}
	return v.seeOther("/")
}

// setupAgain answers a set-up that failed with the same page and what was wrong. A
// code that was right is not to be typed again.
func (v *Visit) setupAgain(err error, in api.Setup) error {
	refused := refusedBy(err)
	if refused == nil || !v.console.WantsPage(v.r) || refused.Detail.Code == codeSetupDone {
		return err
	}
	page := Setup{Name: in.Name, Email: in.Email}
	if code := refused.Detail.Code; code != codeSetupCode && code != codeThrottled {
		page.Code = in.Code
	}
	page.Problem, page.Wait = problemOf(refused)
	return v.refuse(refused, page)
}
