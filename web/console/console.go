// Package console has the pages that people see in a browser. It is a client of
// the API: all that a page shows or does it asks for there, over a connection
// that is nobody's owner, with what the browser shows to be let in. So a page can
// do nothing that the API can't.
//
// The flow: the server hands a request for a page, and the form that came with it,
// to Serve. The page's Handler calls methods of api.Client, fills a typed struct,
// and shows it by its template. What the API refuses is an *api.Error: the handler
// shows its page anew with it, or returns it, and Fail leads the browser to where
// it is signed in, or tells what can't be done. Cookies that the API sets are
// passed on as they are.
//
// A new page is a file here with its struct and its Handler, a template, and a
// line in the server's table of routes.
//
// A page stands in the shell, with the rooms of the house at its side, where it says
// in which it is (room); else it is a card of its own. What it says are messages
// (language.go), in the language of who reads it. What has a form embeds Form
// (form.go), by which a form sent twice is done once, an act that is sensitive
// asks for the password, and a form outlives the session it was begun in.
//
// A page is sent with PolicyOf as its Content-Security-Policy. It names its static
// files by URLs that hold a hash of their content; FindAsset answers those and
// nothing else. No page needs a script, and none names another server: what scripts
// there are refine what stands there. All values are escaped by html/template; the
// one URL that it would not let pass, that of the desktop program, is made by
// DesktopLink.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Console is the pages of a server, and what they have to know of it that the API
// does not tell.
type Console struct {
	Version   string                   // of the program
	Secure    bool                     // browsers come by https
	Origin    string                   // scheme and host by which they come; "" is not known
	TokenTTL  time.Duration            // how long a token lasts for which no end was asked
	MAC       func(text []byte) []byte // HMAC-SHA-256 by which the server knows where a sign-in leads back to
	Now       func() time.Time         // the clock
	IsProgram func(http.Header) bool   // tells a header with a credential, which only programs add

	// Cookie makes a cookie with the flags that all of the server's have; maxAge is
	// in seconds.
	Cookie func(name, value string, maxAge int) *http.Cookie

	// Application is the host of the application behind the gate to which a way back
	// leads; ok tells whether it was signed here for one.
	Application func(r *http.Request, sealed string) (host string, ok bool)

	sent sent // forms that were sent, so that each is done once
}

// Handler answers the requests for one page, or with one form.
type Handler struct {
	Fields []string // names of the form's; none: no form is read
	Many   []string // of them, those that may be there several times

	// Uploads tells that a file comes with the form, as multipart/form-data, and its
	// fields before it.
	Uploads bool

	answer func(v *Visit) error

	// form shows the page of the form with what was sent, and does nothing: for who
	// signed in again meanwhile, or has to show the password first. nil: it is not
	// kept.
	form func(v *Visit) error

	// sensitive tells an act that wants a password shown lately. It needs form.
	sensitive func(v *Visit) bool

	// lasts tells an act that lasts as long as it lasts, such as a download. Its form
	// has no name by which it is done once.
	lasts bool
}

// Lasts tells whether nothing limits the time of the answer.
func (h Handler) Lasts() bool { return h.lasts }

// Reads are all names that a form may have; none: no form is read.
func (h Handler) Reads() []string {
	if len(h.Fields) == 0 {
		return nil
	}
	return append(h.Fields[:len(h.Fields):len(h.Fields)], ownFields...)
}

// Sent is what came with a request.
type Sent struct {
	Form url.Values // of what Handler.Reads, in UTF-8
	File io.Reader  // of a Handler that Uploads, as it comes in; nil: none was chosen
	By   Sender
}

// Sender is who sent a request, as the server knows them. Its zero value is nobody who
// is signed in.
type Sender struct {
	User    string // id
	Session string // id
}

// Serve answers a request by h; dial connects to the API for who asks. An error is one
// that no page tells of: where it is an *api.Error, it is for the program that asked.
func (c *Console) Serve(h Handler, w http.ResponseWriter, r *http.Request, sent Sent, dial Dialer) error {
	v, end := c.visit(w, r, sent, dial)
	defer end()
	if v.changeLook() {
		return nil
	}
	err := v.answerBy(h)
	refused := refusedBy(err)
	switch {
	case refused == nil:
		return err
	case refused.Status == http.StatusUnauthorized && h.Keeps() && !IsSafeMethod(r) && c.WantsPage(r):
		return signInFirst(v)
	case v.fail(refused):
		return nil
	}
	return err
}

// Policy is the Content-Security-Policy of every page without a script, whose forms
// lead to pages of this server.
const Policy = noScript + policy + ownForms

// What 'self' has besides the scripts is JSON and images, which nosniff keeps from
// being scripts.
//
// Browsers ask form-action about each redirect after a form, too. A sign-in leads on
// to an application, which may lead on to any other address: where one of them were
// not let in, the button would do nothing.
const (
	noScript  = "default-src 'none'; script-src 'none'; "
	ownScript = "default-src 'none'; script-src 'self'; "
	policy    = "object-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
	asksSelf  = "connect-src 'self'; "
	ownForms  = "form-action 'self'"
	formsOut  = "form-action 'self' http: https:"
)

// PolicyOf is the Content-Security-Policy of a page: of one in the shell, one that
// counts down, or one that asks for a passkey, our scripts are let in; a page of the shell may ask for itself again;
// and of one that leads out, its form may lead there. The reference has its own.
func PolicyOf(p Page) string {
	if isBare(p) {
		return referencePolicy
	}
	scripts, forms := noScript, ownForms
	if waitOf(p) > 0 || asksPasskey(p) {
		scripts = ownScript
	}
	if roomOf(p) != "" {
		scripts = ownScript + asksSelf
	}
	if l, ok := p.(interface{ leadsOut() bool }); ok && l.leadsOut() {
		forms = formsOut
	}
	return scripts + policy + forms
}

//go:embed templates
var templateFiles embed.FS

// Page is what a page shows.
type Page interface {
	// view returns the name of the page's template and its title.
	view() (file string, title Text)
}

// roomOf is the path of the room in which p stands; "" for a card of its own.
func roomOf(p Page) string {
	if r, ok := p.(interface{ room() string }); ok {
		return r.room()
	}
	return ""
}

// asksPasskey tells whether p has the browser make or use a passkey.
func asksPasskey(p Page) bool {
	a, ok := p.(interface{ asksPasskey() bool })
	return ok && a.asksPasskey()
}

// waitOf is how many seconds p says there are to wait; 0: none.
func waitOf(p Page) int {
	if w, ok := p.(interface{ waits() int }); ok {
		return w.waits()
	}
	return 0
}

// isBare tells whether a page has nothing around it.
func isBare(p Page) bool {
	_, ok := p.(interface{ bare() })
	return ok
}

// frame is what the layout shows around a page.
type frame struct {
	Title Text
	Page  Page
	Lang  string
	Theme string
	Shell *shell // nil around a card
	Bare  bool   // neither is around it
	Looks []lookLink
	Waits int // seconds that the page counts down

	Passkey bool // the page has the browser use a passkey
}

// render returns the whole page, so that none is sent by half.
func render(l look, f frame) ([]byte, error) {
	file, title := f.Page.view()
	f.Title, f.Lang, f.Theme, f.Waits = title, l.language.Tag, l.theme, waitOf(f.Page)
	f.Bare, f.Passkey = isBare(f.Page), asksPasskey(f.Page)
	var b bytes.Buffer
	if err := l.language.templates()[file].Execute(&b, f); err != nil {
		return nil, fmt.Errorf("render %s: %w", file, err)
	}
	return b.Bytes(), nil
}
