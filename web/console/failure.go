package console

import (
	"cmp"
	"errors"
	"net/http"

	"husk/web/api"
)

// Failure tells what can't be done, and the way back.
type Failure struct {
	Title string
	Text  string
	Wait  int // seconds until the next try may be made
}

func (f Failure) view() (file, title string) { return "failure.html", f.Title }
func (f Failure) waits() int                 { return f.Wait }

var failureTitles = map[int]string{
	http.StatusBadRequest:       "That can't be used",
	http.StatusForbidden:        "Not permitted",
	http.StatusNotFound:         "Nothing here",
	http.StatusMethodNotAllowed: "That can't be opened",
	http.StatusConflict:         "That is not possible any more",
	http.StatusTooManyRequests:  "Too much",
}

// Codes of the API that pages know.
const (
	codeMustChange      = "password_change_required"
	codePasswordMissing = "password_missing"
	codeSetupCode       = "setup_code"
	codeSetupDone       = "setup_done"
	codeSetupRequired   = "setup_required"
	codeThrottled       = "throttled"
)

// malformed is an error of the API's form, for what a page does not pass on to it.
func malformed(code, reason string) error {
	return &api.Error{Status: http.StatusBadRequest, Detail: api.ErrorDetail{Code: code, Reason: reason}}
}

// refusedBy is the answer of the API that err is; nil where it is none.
func refusedBy(err error) (refused *api.Error) {
	errors.As(err, &refused)
	return refused
}

// Fail answers a browser whose request ended with e. Where a sign-in or a new
// password is all that is missing it leads there and back. It tells false, and has
// answered nothing, where a program asked.
func (c *Console) Fail(w http.ResponseWriter, r *http.Request, e *api.Error) bool {
	if next := c.wayOn(r, e); next != "" {
		seeOther(w, next)
		return true
	}
	page := Failure{Title: cmp.Or(failureTitles[e.Status], "Something went wrong"), Text: e.Sentence(), Wait: e.WaitSeconds()}
	return c.WantsPage(r) && refuse(w, e, page) == nil
}

// wayOn is the page that makes good what e says is missing; "" where there is none.
func (c *Console) wayOn(r *http.Request, e *api.Error) string {
	if !c.fromBrowser(r) || !IsSafeMethod(r) && !c.WantsPage(r) {
		return ""
	}
	target := "/"
	if IsSafeMethod(r) {
		target = r.URL.RequestURI()
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		return c.withReturn("/login", target)
	case e.Detail.Code == codeMustChange:
		return c.withReturn("/password", target)
	}
	return ""
}

// problemOf is what a page tells of e: why, and how many seconds there are to wait.
func problemOf(e *api.Error) (problem string, wait int) { return e.Sentence(), e.WaitSeconds() }
