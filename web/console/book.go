package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"

	"husk/web/manual"
)

// BookMark is in the first 512 bytes of each page that Book makes, of whatever version.
const BookMark = `<meta name="generator" content="husk `

// BookPage is a page of the manual as a file.
type BookPage struct {
	Name string // such as gate.html
	Body []byte
}

//go:embed book
var bookFiles embed.FS

// bookPage is what the template of a page shows.
type bookPage struct {
	Version       string
	Policy        string
	Style         template.CSS
	Page          *ManualPage   // nil: the list of pages
	Groups        []ManualGroup // of that list
	Before, After *manual.Page  // nil: none
}

// Book is the manual as pages that stand alone: one for each of the console, and
// index.html, the first. They lead to each other wherever they lie together, ask for
// nothing else, no style sheet either, and run no script. The same version makes the
// same bytes.
func Book(version string) ([]BookPage, error) {
	layout, err := template.ParseFS(bookFiles, "book/page.html")
	if err != nil {
		return nil, fmt.Errorf("read the form of a page: %w", err)
	}
	style, err := bookStyle()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(style))
	empty := bookPage{
		Version: version, Style: template.CSS(style),
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
	}
	index, pages := empty, manual.Pages()
	index.Groups = manualGroups(pages)
	all := []BookPage{{Name: "index.html"}}
	if all[0].Body, err = index.write(layout); err != nil {
		return nil, err
	}
	for i, p := range pages {
		page := empty
		p.HTML = relative(p.HTML)
		page.Page = &ManualPage{p}
		if i > 0 {
			page.Before = &pages[i-1]
		}
		if i+1 < len(pages) {
			page.After = &pages[i+1]
		}
		body, err := page.write(layout)
		if err != nil {
			return nil, err
		}
		all = append(all, BookPage{Name: p.Name + ".html", Body: body})
	}
	return all, nil
}

func (p bookPage) write(layout *template.Template) ([]byte, error) {
	var body bytes.Buffer
	if err := layout.Execute(&body, p); err != nil {
		return nil, fmt.Errorf("write a page: %w", err)
	}
	return body.Bytes(), nil
}

// bookStyle is the palette of the console, a few rules of the pages' own, and those by
// which the console shows a page of the manual.
func bookStyle() (string, error) {
	var style strings.Builder
	for _, file := range []string{"static/palette.css", "book/book.css", "static/husk.css"} {
		from := staticFiles
		if strings.HasPrefix(file, "book/") {
			from = bookFiles
		}
		text, err := from.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the style of a page: %w", err)
		}
		if file == "static/husk.css" {
			_, text, _ = bytes.Cut(text, []byte("\n/* The manual. */\n"))
			text, _, _ = bytes.Cut(text, []byte("\n/*"))
		}
		style.Write(text)
	}
	return style.String(), nil
}

// relative leads links between pages to the files beside. In the manual's HTML a quote
// is part of an element: in text it is written as a reference.
func relative(html template.HTML) template.HTML {
	var out strings.Builder
	list := `<a href="` + strings.TrimSuffix(manual.Path, "/")
	rest := string(html)
	for {
		before, after, found := strings.Cut(rest, list)
		out.WriteString(before)
		if !found {
			return template.HTML(out.String())
		}
		to, behind, _ := strings.Cut(after, `"`)
		name, anchor, anchored := strings.Cut(strings.TrimPrefix(to, "/"), "#")
		if name == "" {
			name = "index"
		}
		out.WriteString(`<a href="` + name + ".html")
		if anchored {
			out.WriteString("#" + anchor)
		}
		out.WriteString(`"`)
		rest = behind
	}
}
