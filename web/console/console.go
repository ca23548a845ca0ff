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
// A page is sent with PolicyOf as its Content-Security-Policy. It names its static
// files by URLs that hold a hash of their content; FindAsset answers those and
// nothing else. No page needs a script, and none names another server. The one
// script there is counts seconds down, on pages that say how long to wait. All
// values are escaped by html/template; the one URL that it would not let pass,
// that of the desktop program, is made by DesktopLink.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"
)

// Console is the pages of a server, and what they have to know of it that the API
// does not tell.
type Console struct {
	Version   string                   // of the program
	TokenTTL  time.Duration            // how long a token lasts for which no end was asked
	MAC       func(text []byte) []byte // HMAC-SHA-256 by which the server knows where a sign-in leads back to
	Now       func() time.Time         // the clock
	IsProgram func(http.Header) bool   // tells a header with a credential, which only programs add

	// Application is the host of the application behind the gate to which a way back
	// leads; ok tells whether it was signed here for one.
	Application func(r *http.Request, sealed string) (host string, ok bool)
}

// Handler answers the requests for one page, or with one form.
type Handler struct {
	Fields []string // names of the form's; none: no form is read
	answer func(v *Visit) error
}

// Serve answers a request by h. form has h's fields, in UTF-8; dial connects to the
// API for who asks. An error is one that no page tells of: where it is an
// *api.Error, it is for the program that asked.
func (c *Console) Serve(h Handler, w http.ResponseWriter, r *http.Request, form url.Values, dial Dialer) error {
	v, end := c.visit(w, r, form, dial)
	defer end()
	err := h.answer(v)
	if refused := refusedBy(err); refused != nil && c.Fail(w, r, refused) {
		return nil
	}
	return err
}

// Policy is the Content-Security-Policy of every page without a script, whose forms
// lead to pages of this server.
const Policy = noScript + policy + ownForms

// What 'self' has besides the countdown is JSON and images, which nosniff keeps from
// being scripts.
//
// Browsers ask form-action about each redirect after a form, too. A sign-in leads on
// to an application, which may lead on to any other address: where one of them were
// not let in, the button would do nothing.
const (
	noScript  = "default-src 'none'; script-src 'none'; "
	ownScript = "default-src 'none'; script-src 'self'; "
	policy    = "object-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
	ownForms  = "form-action 'self'"
	formsOut  = "form-action 'self' http: https:"
)

// PolicyOf is the Content-Security-Policy of a page: of one that counts down, the
// script for it is let in, and of one that leads out, where its form leads.
func PolicyOf(p Page) string {
	scripts, forms := noScript, ownForms
	if w, ok := p.(interface{ waits() int }); ok && w.waits() > 0 {
		scripts = ownScript
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
	view() (file, title string)
}

// templates are parsed when the first page is made: a command that serves its
// request in its own process never shows one.
var templates = sync.OnceValue(func() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{"asset": AssetURL}).
		ParseFS(templateFiles, "templates/layout.html"))
	all := map[string]*template.Template{}
	files, _ := templateFiles.ReadDir("templates") // what is embedded can be read
	for _, f := range files {
		all[f.Name()] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, path.Join("templates", f.Name())))
	}
	return all
})

// Render returns the whole page, so that none is sent by half.
func Render(p Page) ([]byte, error) {
	file, title := p.view()
	var b bytes.Buffer
	err := templates()[file].Execute(&b, struct {
		Title string
		Page  Page
	}{title, p})
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", file, err)
	}
	return b.Bytes(), nil
}
