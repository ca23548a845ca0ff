package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
	"husk/web/listen"
)

// The pages are package console's, which asks the API for all that it shows and
// does. This file leads requests there; page_call.go has the connection by which
// it asks.

const formType = "application/x-www-form-urlencoded"

// takeConsole makes the console. Nothing of it runs while no page is handled.
func (s *Server) takeConsole(returnKey []byte) {
	ttl := db.DefaultTokenTTL
	if s.MaxTokenTTL > 0 {
		ttl = min(ttl, s.MaxTokenTTL)
	}
	origin, _ := ParseOrigin(s.PublicURL) // "" where there is none
	s.console = &console.Console{
		Origin:  origin,
		Version: s.Version, Secure: s.secure, TokenTTL: ttl, Now: s.Store.Now, IsProgram: decides,
		MAC:         func(text []byte) []byte { return mac(returnKey, text) },
		Cookie:      s.newCookie,
		Application: s.applicationAt,
	}
	s.pageCalls = s.newPageCalls()
}

// page is the action of a page. What its route needs is checked before, as of any
// route, and again by the API where the page calls it.
func (s *Server) page(h console.Handler) *action {
	a := raw(func(c echo.Context, actor *db.Actor) error { return s.servePage(c, h, senderOf(actor)) })
	if h.Keeps() && !h.Uploads {
		first := h.SignInFirst()
		a.signInFirst = func(c echo.Context) error { return s.servePage(c, first, console.Sender{}) }
	}
	return a
}

// senderOf is who is signed in by a session.
func senderOf(actor *db.Actor) console.Sender {
	if actor.Session == nil {
		return console.Sender{}
	}
	return console.Sender{User: actor.User.ID, Session: actor.Session.ID}
}

func (s *Server) servePage(c echo.Context, h console.Handler, by console.Sender) error {
	sent, length, w := console.Sent{}, 0, http.ResponseWriter(c.Response())
	err := checkHost(c.Request())
	switch {
	case err != nil:
		return err
	case h.Uploads:
		file := s.readUpload(c, h)
		defer file.end()
		sent, err, w = file.sent, file.err, file.answer
	default:
		sent.Form, length, err = readPageForm(c, h)
	}
	if err != nil {
		return err
	}
	sent.By = by
	r := c.Request()
	// A call of the API takes memory as a request of HTTP/2 does, and has a copy of
	// the form at each of its ends.
	defer listen.From(r.Context()).Stream(length > longForm)()
	for _, name := range c.ParamNames() {
		r.SetPathValue(name, c.Param(name))
	}
	if console.IsSafeMethod(r) { // else each browser that leaves would count as a failure of the server
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}
	if h.Lasts() { // only now: half of a form is no reason to be spared
		unlimited(c)
		w = patientFile{w, listen.NewPatientWriter(w, s.stallTimeout)}
	}
	err = s.console.Serve(h, w, r, sent, s.dialPageCall(c))
	var refused *api.Error
	if errors.As(err, &refused) { // the log has it, of the request that was refused
		writeFailure(c.Response(), failureOf(refused))
		return nil
	}
	return err
}

// patientFile gives up a browser that takes nothing any more: what it waits for
// would else be held for ever, in the API, too.
type patientFile struct {
	http.ResponseWriter
	out *listen.PatientWriter
}

func (p patientFile) Write(b []byte) (int, error) { return p.out.Write(b) }

// failureOf is what the API refused a page, for the program that asked for that.
// The challenge does not come along in an api.Error: of a page's call it is always
// that of a credential that is good no more (RFC 9110, 15.5.2).
func failureOf(e *api.Error) *failure {
	f := &failure{status: e.Status, code: e.Detail.Code, reason: e.Detail.Reason, methods: e.Methods, ticket: e.Ticket, retryAfter: e.RetryAfter}
	if e.Status == http.StatusUnauthorized {
		f.challenge = errBadCredential.challenge
	}
	return f
}

// pageOr is the action of a route of the API to which browsers send forms of a
// page: those that isForm tells go to the page, all else is answered by the API.
func (s *Server) pageOr(isForm func(r *http.Request) bool, h console.Handler, otherwise *action) *action {
	own := otherwise.serve
	otherwise.serve = func(c echo.Context, actor *db.Actor) error {
		if isForm(c.Request()) {
			return s.servePage(c, h, senderOf(actor))
		}
		return own(c, actor)
	}
	return otherwise
}

// wantsPage tells whether a person reads the answer.
func (s *Server) wantsPage(r *http.Request) bool { return s.console.WantsPage(r) }

// longForm is longer than what browsers send, in bytes.
const longForm = 8 << 10

// readPageForm reads a form of these fields, or none, and tells how long it is.
// What is no UTF-8 would not come through JSON as it was sent, and many passwords
// be one.
func readPageForm(c echo.Context, h console.Handler) (form url.Values, length int, err error) {
	if len(h.Fields) == 0 || console.IsSafeMethod(c.Request()) {
		return nil, 0, nil
	}
	form, err = bindForm(c, h.Reads(), h.Many)
	for _, values := range form {
		for _, value := range values {
			if !utf8.ValidString(value) {
				return nil, 0, malformed("bad_form", "the form is not in UTF-8")
			}
			length += len(value)
		}
	}
	return form, length, err
}

// failPage has a browser see f as a page, or be led to where it is made good. It
// tells false where it did not answer: then f is for a program.
func (s *Server) failPage(c echo.Context, r route, actor *db.Actor, f *failure) bool {
	if c.Response().Committed { // a file that broke off
		return false
	}
	if f.status == http.StatusUnauthorized && r.do.signInFirst != nil && s.wantsPage(c.Request()) {
		return r.do.signInFirst(c) == nil
	}
	if !s.console.Fail(c.Response(), c.Request(), f.wire(), s.dialPageCall(c)) {
		return false
	}
	if c.Response().Status >= http.StatusBadRequest {
		s.logFailure(c, actor, f)
	}
	return true
}

// asset answers the files that the pages name.
func (s *Server) asset(c echo.Context, _ *db.Actor) error {
	a, ok := console.FindAsset(c.Param("name"))
	if !ok {
		return echo.ErrNotFound
	}
	a.ServeHTTP(c.Response(), c.Request())
	return nil
}

func (s *Server) favicon(c echo.Context, _ *db.Actor) error {
	console.Favicon.ServeHTTP(c.Response(), c.Request())
	return nil
}
