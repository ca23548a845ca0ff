package console

import (
	"cmp"
	"strings"

	"husk/web/api"
)

// Password changes one's own password.
type Password struct {
	Problem  Text   // why the last try was refused; may be empty
	At       string // the field that it is about; empty: the whole
	Wait     int    // seconds until the next one may be made
	Must     bool   // the old one was generated and is good for this only
	Username string
	Return   string // where to go afterwards, signed; may be empty
	Out      bool   // to an application
}

func (Password) view() (file string, title Text) { return "password.html", say("password.title") }
func (p Password) waits() int                    { return p.Wait }
func (p Password) leadsOut() bool                { return p.Out }

// room: who has to change it sees nothing else before.
func (p Password) room() string {
	if p.Must {
		return ""
	}
	return roomAccount
}

var errDifferent = malformed("password_mismatch", "the two new passwords are not the same")

// PasswordPage shows the form of a new password.
var PasswordPage = Handler{answer: passwordPage}

func passwordPage(v *Visit) error {
	target := v.console.openReturn(v.r.URL.Query().Get("return"))
	if who, err := v.me(); err == nil && !who.MustChange && target == "/" {
		target = roomAccount + "?done=password"
	}
	page, err := v.passwordForm(target)
	if err != nil {
		return err
	}
	return v.show(page)
}

func (v *Visit) passwordForm(target string) (Password, error) {
	who, err := v.me()
	return Password{Must: who.MustChange, Username: username(who), Return: v.console.sealReturn(target), Out: strings.HasPrefix(target, ContinuePath+"?")}, err
}

// username is what a user signs in as.
func username(who api.Profile) string { return cmp.Or(who.Email, who.ID) }

// ChangePassword takes the form of PasswordPage.
var ChangePassword = Handler{Fields: []string{"old_password", "new_password", "again", "return"}, answer: changePassword}

func changePassword(v *Visit) error {
	target := v.console.openReturn(v.form.Get("return"))
	change := api.PasswordChange{OldPassword: v.form.Get("old_password"), NewPassword: v.form.Get("new_password")}
	err := errDifferent
	if v.form.Get("again") == change.NewPassword {
		_, err = v.API.ChangePassword(v.r.Context(), change)
	}
	if err == nil {
		return v.seeOther(target)
	}
	refused := refusedBy(err)
	if refused == nil || !v.console.WantsPage(v.r) {
		return err
	}
	page, err := v.passwordForm(target)
	if err != nil {
		return err
	}
	page.Problem, page.Wait = problemOf(refused)
	page.At = passwordField(refused)
	return v.refuse(refused, page)
}

// passwordField is the field of the form that a refusal is about; "" where it is none.
func passwordField(e *api.Error) string {
	switch field := fieldOfCode[e.Detail.Code]; {
	case e.WaitSeconds() > 0:
		return ""
	case field == "password":
		return "new_password"
	case field == "old_password" || field == "new_password" || field == "again":
		return field
	}
	return ""
}
