// Package manual is the manual for operators, as it is shown in a browser: the pages
// of docs/ and the tour of README.md as HTML, and a search over them.
//
// The HTML is made of the Markdown when the source is changed, not when the program
// runs: render_test.go makes manual.json.gz, and fails where that is out of date. The
// HTML has a closed list of elements, and neither script, style nor a picture, so it
// may be put into a page as it is. It has no h1: the title is for the page around it.
// Links between pages lead to Path. Nothing is unpacked before the first page is asked
// for.
package manual

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"html/template"
	"slices"
	"sync"
)

//go:generate go test . -run ^TestFile$ -update-manual

//go:embed manual.json.gz
var packed []byte

// Path is where links in the HTML lead, with the name of a page behind it. Path
// without the slash is the list of pages.
const Path = "/console/manual/"

// Page is one page of the manual.
type Page struct {
	Name     string        `json:"name"`  // in its address: letters, digits and hyphens
	Title    string        `json:"title"` // plain text
	Group    string        `json:"group"` // what it stands under in the list of pages
	HTML     template.HTML `json:"html"`
	Headings []Heading     `json:"headings"` // in order
}

// Heading is one heading of a page.
type Heading struct {
	ID    string `json:"id"`    // the anchor, unique on its page
	Title string `json:"title"` // plain text
	Level int    `json:"level"` // 2 to 4
}

var pages = sync.OnceValue(func() (all []Page) {
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = json.NewDecoder(in).Decode(&all)
	}
	if err != nil {
		panic("the manual in the program can't be read: " + err.Error())
	}
	return all
})

// Pages are all pages, those of a group side by side, in the order in which they are
// to be listed.
func Pages() []Page { return slices.Clone(pages()) }

// Get returns the page of exactly that name. It looks into a list, never into a
// folder: no spelling of a name leads elsewhere.
func Get(name string) (Page, bool) {
	all := pages()
	if i := slices.IndexFunc(all, func(p Page) bool { return p.Name == name }); i >= 0 {
		return all[i], true
	}
	return Page{}, false
}
