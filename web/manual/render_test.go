package manual

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"html/template"
	"io"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	markdown "github.com/russross/blackfriday/v2"
)

var update = flag.Bool("update-manual", false, "write manual.json.gz anew, of the Markdown")

// groups are the pages of the manual, as they are listed. A page is its path in the
// repository.
var groups = []struct {
	name  string
	pages []string
}{
	{"First steps", []string{"README.md", "docs/install.md", "docs/console.md"}},
	{"Tasks", []string{
		"docs/tasks/first-administrator.md", "docs/tasks/colleague.md", "docs/tasks/script.md", "docs/tasks/forgotten-password.md", "docs/tasks/lost-phone.md", "docs/tasks/leaver.md",
		"docs/tasks/leaked-token.md", "docs/tasks/investigation.md", "docs/tasks/from-coco.md", "docs/tasks/from-htpasswd.md",
	}},
	{"In operation", []string{
		"docs/airgap.md", "docs/service.md", "docs/containers.md", "docs/proxy.md", "docs/gate.md", "docs/second-factor.md", "docs/backup.md", "docs/upgrade.md", "docs/monitoring.md", "docs/reliability.md", "docs/performance.md",
	}},
	{"To look up", []string{"docs/commands.md", "docs/configuration.md", "docs/contract.md"}},
}

// notHere are pages for who changes the program.
var notHere = []string{"docs/contributing.md", "docs/style.md"}

// titles are those of pages whose heading would say nothing in a list.
var titles = map[string]string{"README.md": "A tour of Husk"}

// TestFile makes the HTML anew. Both it and the file are compared unpacked: what
// packs them may change with Go.
func TestFile(t *testing.T) {
	want := renderAll(t)
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	if err := out.Encode(want); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		return
	}
	if *update {
		var small bytes.Buffer
		w, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, &text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("manual.json.gz", small.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !reflect.DeepEqual(Pages(), want) {
		t.Error("manual.json.gz is not what the pages say any more: run 'go generate ./web/manual'")
	}
}

// All pages of docs/ are in the manual, or left out on purpose.
func TestNoPageIsForgotten(t *testing.T) {
	known := slices.Clone(notHere)
	for _, g := range groups {
		known = append(known, g.pages...)
	}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) < 5 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if file = strings.TrimPrefix(filepath.ToSlash(file), "../../"); !slices.Contains(known, file) {
				t.Errorf("%s is in none of the groups of render_test.go", file)
			}
		}
	}
}

func renderAll(t *testing.T) (all []Page) {
	t.Helper()
	names, anchors := map[string]string{}, map[string][]string{}
	for _, g := range groups {
		for _, file := range g.pages {
			names[file] = nameOf(file)
		}
	}
	var links []string
	for _, g := range groups {
		for _, file := range g.pages {
			text, err := os.ReadFile("../../" + file)
			if err != nil {
				t.Fatal(err)
			}
			r := &renderer{t: t, file: file, names: names, page: Page{Name: names[file], Title: titleOf(t, file), Group: g.name}}
			r.page.HTML = template.HTML(r.children(markdown.New(markdown.WithExtensions(extensions)).Parse(text)))
			for _, h := range r.page.Headings {
				anchors[r.page.Name] = append(anchors[r.page.Name], h.ID)
			}
			links, all = append(links, r.links...), append(all, r.page)
		}
	}
	for _, link := range links {
		if name, anchor, found := strings.Cut(strings.TrimPrefix(link, Path), "#"); found && !slices.Contains(anchors[name], anchor) {
			t.Errorf("%s leads to no heading", link)
		}
	}
	return all
}

// titleOf is the first line of a page, or what stands for it in a list.
func titleOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	title, ok := strings.CutPrefix(line, "# ")
	if !ok || strings.ContainsAny(title, "`*[<&\\") {
		t.Errorf("the first line of %s is no title in plain text", file)
	}
	if other := titles[file]; other != "" {
		return other
	}
	return title
}

// nameOf is "gate" of docs/gate.md, "tasks-leaver" of docs/tasks/leaver.md and "tour" of README.md.
func nameOf(file string) string {
	if file == "README.md" {
		return "tour"
	}
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(file, "docs/"), ".md"), "/", "-")
}

const extensions = markdown.NoIntraEmphasis | markdown.Tables | markdown.FencedCode | markdown.SpaceHeadings | markdown.NoEmptyLineBeforeBlock

// pictures are a paragraph of screenshots, by day and by night.
var pictures = regexp.MustCompile(`^\s*<p>\s*((<picture>(<source [^<>]*>)?)?<img [^<>]*>(</picture>)?\s*)+</p>\s*$`)

// renderer makes the HTML of one page. What it does not know it refuses: so the
// elements are a closed list.
type renderer struct {
	t     *testing.T
	file  string
	names map[string]string // of all pages, by file
	page  Page
	links []string // to headings
}

func (r *renderer) children(n *markdown.Node) string {
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.Next {
		b.WriteString(r.node(c))
	}
	return b.String()
}

func (r *renderer) node(n *markdown.Node) string {
	r.t.Helper()
	switch n.Type {
	case markdown.Text:
		return html.EscapeString(string(n.Literal))
	case markdown.Code:
		text := string(n.Literal)
		if n.Parent.Type == markdown.TableCell {
			text = strings.ReplaceAll(text, `\|`, "|")
		}
		return "<code>" + html.EscapeString(text) + "</code>"
	case markdown.Emph:
		return "<em>" + r.children(n) + "</em>"
	case markdown.Strong:
		return "<strong>" + r.children(n) + "</strong>"
	case markdown.Hardbreak:
		return "<br>"
	case markdown.Link:
		return r.link(n)
	case markdown.Paragraph:
		if item := n.Parent; item.Type == markdown.Item && item.Parent.Tight {
			return r.children(n) + "\n"
		}
		return "<p>" + r.children(n) + "</p>\n"
	case markdown.Heading:
		return r.heading(n)
	case markdown.List:
		return r.list(n)
	case markdown.Item:
		return "<li>" + strings.TrimSuffix(r.children(n), "\n") + "</li>\n"
	case markdown.BlockQuote:
		return "<blockquote>\n" + r.children(n) + "</blockquote>\n"
	case markdown.CodeBlock:
		return `<pre tabindex="0"><code>` + html.EscapeString(string(n.Literal)) + "</code></pre>\n"
	case markdown.Table:
		return `<div class="scroll" tabindex="0"><table>` + "\n" + r.children(n) + "</table></div>\n"
	case markdown.TableHead:
		return "<thead>\n" + r.children(n) + "</thead>\n"
	case markdown.TableBody:
		return "<tbody>\n" + r.children(n) + "</tbody>\n"
	case markdown.TableRow:
		return "<tr>" + r.children(n) + "</tr>\n"
	case markdown.TableCell:
		return r.cell(n)
	case markdown.HTMLBlock:
		if body, ok := strings.CutPrefix(strings.TrimSpace(string(n.Literal)), "<!--"); ok && strings.Index(body, "-->") == len(body)-3 {
			return "" // a comment
		}
		if pictures.Match(n.Literal) {
			return "" // they are of the program in which this is read
		}
	}
	r.t.Errorf("%s has %s, which the manual has no form for: %.60q", r.file, n.Type, n.Literal)
	return ""
}

func (r *renderer) list(n *markdown.Node) string {
	if n.ListFlags&markdown.ListTypeOrdered != 0 {
		return "<ol>\n" + r.children(n) + "</ol>\n"
	}
	return "<ul>\n" + r.children(n) + "</ul>\n"
}

func (r *renderer) cell(n *markdown.Node) string {
	kind := "td"
	if n.IsHeader {
		kind = "th"
	}
	if n.Align == markdown.TableAlignmentRight {
		return "<" + kind + ` class="right">` + r.children(n) + "</" + kind + ">"
	}
	return "<" + kind + ">" + r.children(n) + "</" + kind + ">"
}

// heading gives a heading the anchor that it has where the source is shown, so that
// links hold there and here.
func (r *renderer) heading(n *markdown.Node) string {
	markup := r.children(n)
	title := plain(markup)
	if n.Level == 1 {
		if n.Prev != nil {
			r.t.Errorf("%s has a second title: %s", r.file, title)
		}
		return ""
	}
	if n.Level > 4 {
		r.t.Errorf("%s has a heading of level %d: %s", r.file, n.Level, title)
	}
	id := strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
			return unicode.ToLower(c)
		}
		return -1
	}, title)
	if slices.ContainsFunc(r.page.Headings, func(h Heading) bool { return h.ID == id }) {
		r.t.Errorf("%s has two headings %q, of which links find one", r.file, title)
	}
	r.page.Headings = append(r.page.Headings, Heading{ID: id, Title: title, Level: n.Level})
	return fmt.Sprintf("<h%d id=\"%s\">%s</h%[1]d>\n", n.Level, html.EscapeString(id), markup)
}

// link leads to another page of the manual, or to a site. What leads to this machine,
// or to a file of the repository, is text: neither is there for who reads this.
func (r *renderer) link(n *markdown.Node) string {
	to, text := string(n.Destination), r.children(n)
	switch {
	case strings.HasPrefix(to, "https://"):
		a := `<a href="` + html.EscapeString(to) + `" rel="noreferrer">` + text + `</a>`
		if plain(text) != to {
			a += " (" + html.EscapeString(to) + ")"
		}
		return a
	case strings.HasPrefix(to, "http://localhost:"), strings.HasPrefix(to, "http://wiki.localhost:"):
		return "<code>" + html.EscapeString(to) + "</code>"
	case strings.Contains(to, ":"):
		r.t.Errorf("%s links to %s, which the manual has no form for", r.file, to)
		return text
	}
	return r.pageLink(to, text)
}

func (r *renderer) pageLink(to, text string) string {
	file, anchor, _ := strings.Cut(to, "#")
	if file == "" {
		file = r.file
	} else {
		file = path.Join(path.Dir(r.file), file)
	}
	name, known := r.names[file]
	if file == "docs" || file == "docs/tasks" {
		return `<a href="` + strings.TrimSuffix(Path, "/") + `">` + text + "</a>"
	}
	if !known {
		if _, err := os.Stat("../../" + file); err != nil {
			r.t.Errorf("%s links to %s: %v", r.file, to, err)
		}
		if strings.ContainsAny(text, "/.") && !strings.Contains(text, "<") {
			return "<code>" + text + "</code>"
		}
		return text + " (<code>" + html.EscapeString(file) + "</code>)"
	}
	if name := plain(text); strings.HasSuffix(name, ".md") || name == "README" {
		text = html.EscapeString(titleOf(r.t, file)) // who reads this sees no files
	}
	href := Path + name
	if anchor != "" {
		r.links = append(r.links, href+"#"+anchor)
		if href += "#" + anchor; name == r.page.Name {
			href = "#" + anchor
		}
	}
	return `<a href="` + html.EscapeString(href) + `">` + text + "</a>"
}
