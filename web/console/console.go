// Package console has the pages that people see in a browser: what each page
// shows is a typed struct, how it shows it a template, and both are embedded
// with their style sheet.
//
// The flow: a handler fills one of the structs of pages.go, Render makes the
// page, and the handler sends it with Policy as its Content-Security-Policy.
// The page names its static files by URLs that hold a hash of their content;
// FindAsset answers those and nothing else.
//
// No page needs a script, and none names another server. The one script there is
// counts seconds down, on pages that say how long to wait; see PolicyOf. All
// values are escaped by html/template; the one URL that it would not let pass,
// that of the desktop program, is made by DesktopLink.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"sync"
)

// Policy is the Content-Security-Policy of every page without a script.
const Policy = noScript + policy

// The policies differ in this alone. What 'self' has besides the countdown is
// JSON and images, which nosniff keeps from being scripts.
const (
	noScript  = "default-src 'none'; script-src 'none'; "
	ownScript = "default-src 'none'; script-src 'self'; "
)

// PolicyOf is the Content-Security-Policy of a page: of one that counts down, the
// script for it is let in.
func PolicyOf(p Page) string {
	if w, ok := p.(interface{ waits() int }); ok && w.waits() > 0 {
		return ownScript + policy
	}
	return Policy
}

const policy = "object-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

//go:embed templates
var templateFiles embed.FS

// Page is one of the structs of pages.go.
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
	for _, p := range pages {
		file, _ := p.view()
		all[file] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+file))
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
