package console

import (
	"errors"
	"net/http"
	"strings"

	"husk/web/api"
)

// Failure tells what can't be done, and the way back.
type Failure struct {
	Title Text
	Text  Text
	Next  Text   // what to do; may say nothing
	Wait  int    // seconds until the next try may be made
	Back  string // path to go on to; "" is the start page

	within string // the room in which it stands; "" is a card of its own
}

func (f Failure) room() string { return f.within }

func (f Failure) view() (file string, title Text) { return "failure.html", f.Title }
func (f Failure) waits() int                      { return f.Wait }

// titleOf is the title of a page that answers with a status.
func titleOf(status int) Text {
	switch status {
	case http.StatusBadRequest:
		return say("failure.unusable")
	case http.StatusForbidden:
		return say("failure.forbidden")
	case http.StatusNotFound:
		return say("failure.absent")
	case http.StatusMethodNotAllowed:
		return say("failure.method")
	case http.StatusConflict:
		return say("failure.conflict")
	case http.StatusTooManyRequests:
		return say("failure.much")
	}
	return say("failure.other")
}

// nextOf is what who sees the page may do about it.
func nextOf(e *api.Error) Text {
	switch e.Detail.Code {
	case "not_permitted", "administrator_required", "no_rule", "user_above", "role_above", "grants_more":
		return say("failure.ask_administrator")
	}
	switch {
	case e.Status == http.StatusNotFound:
		return say("failure.look_again")
	case e.Status >= http.StatusInternalServerError:
		return say("failure.try_later")
	}
	return Text{}
}

// Codes of the API that pages know.
const (
	codeMustChange      = "password_change_required"
	codeNotFound        = "not_found"
	codePasswordMissing = "password_missing"
	codeSetupCode       = "setup_code"
	codeSetupDone       = "setup_done"
	codeSetupRequired   = "setup_required"
	codeThrottled       = "throttled"
	codeFactorRequired  = "second_factor_required"
	codeSetUpFactor     = "second_factor_setup_required"
	codeProofRequired   = "proof_required"
	codeTicketEnded     = "ticket_ended"
	codeNoFactor        = "no_second_factor"
)

// forbidden is an error of the API's form, for what it would refuse: the form for it is
// not shown.
func forbidden(code, reason string) error {
	return &api.Error{Status: http.StatusForbidden, Detail: api.ErrorDetail{Code: code, Reason: reason}}
}

// malformed is an error of the API's form, for what a page does not pass on to it.
func malformed(code, reason string) error {
	return &api.Error{Status: http.StatusBadRequest, Detail: api.ErrorDetail{Code: code, Reason: reason}}
}

// refusedBy is the answer of the API that err is; nil where it is none.
func refusedBy(err error) (refused *api.Error) {
	errors.As(err, &refused)
	return refused
}

// Fail answers a browser whose request ended with e. Where a sign-in, a new
// password or a second factor is all that is missing it leads there and back. It tells false, and has
// answered nothing, where a program asked.
func (c *Console) Fail(w http.ResponseWriter, r *http.Request, e *api.Error, dial Dialer) bool {
	v, end := c.visit(w, r, Sent{}, dial)
	defer end()
	return v.fail(e)
}

func (v *Visit) fail(e *api.Error) bool {
	w, r, c := v.w, v.r, v.console
	if next := c.wayOn(r, e); next != "" {
		seeOther(w, next)
		return true
	}
	page := Failure{Title: titleOf(e.Status), Next: nextOf(e)}
	page.Text, page.Wait = problemOf(e)
	if !c.WantsPage(r) {
		return false
	}
	if v.staysInside(e) {
		in := roomAt(r.URL.Path)
		page.within = in.Path
		if e.Status == http.StatusNotFound && in.Path != roomMe && mayEnter(*v.profile, in.needs) {
			page.Back = in.Path
		}
		return v.refuse(e, page) == nil
	}
	return refuse(w, r, e, page) == nil
}

// staysInside tells whether who asks is in the house, and what failed is the one page:
// then the way to the others is shown. Where more may be wrong nothing more is asked.
func (v *Visit) staysInside(e *api.Error) bool {
	if !InHouse(v.r.URL.Path) || e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests {
		return false
	}
	_, err := v.me()
	return err == nil
}

// roomAt is the room in which a page of the house stands.
func roomAt(path string) room {
	at := room{Path: roomMe}
	for _, w := range house {
		for _, r := range w.Rooms {
			if (path == r.Path || strings.HasPrefix(path, r.Path+"/")) && len(r.Path) >= len(at.Path) {
				at = r
			}
		}
	}
	return at
}

// wayOn is the page that makes good what e says is missing; "" where there is none.
func (c *Console) wayOn(r *http.Request, e *api.Error) string {
	if !c.fromBrowser(r) || !IsSafeMethod(r) && !c.WantsPage(r) {
		return ""
	}
	target := "/"
	switch {
	case IsSafeMethod(r):
		target = r.URL.RequestURI()
	case isUpload(r): // a file can't be kept: its form is there again
		target = pageImport
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		return c.withReturn("/login", target)
	case e.Detail.Code == codeMustChange:
		return c.withReturn("/password", target)
	case e.Detail.Code == codeFactorRequired, e.Detail.Code == codeSetUpFactor:
		return c.withReturn(pageSecondFactor, target)
	}
	return ""
}

// problemOf is what a page tells of e: why, and how many seconds there are to wait.
// The reasons of the API are English; other languages have a message for each code.
func problemOf(e *api.Error) (problem Text, wait int) {
	if key := e.Permission; key != "" {
		return say("failure.needs", "permission", permissionNamed(key)), e.WaitSeconds()
	}
	return Text{key: "code." + e.Detail.Code, args: []any{"reason", e.Sentence()}, plain: e.Sentence()}, e.WaitSeconds()
}
