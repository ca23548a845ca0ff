package console

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
	"husk/web/manual"
)

// bookTags are the elements of a page that Book makes beside those of the manual, which
// web/manual holds to a list of its own. None of them asks for anything.
var bookTags = []string{
	"html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "span", "h1", "h2", "h3", "h4", "p", "a", "strong", "em", "code", "pre",
	"ul", "ol", "li", "div", "br", "blockquote", "table", "thead", "tbody", "tr", "th", "td",
}

// bookFile is what a test looks at of a page.
type bookFile struct {
	ids, links []string
	title      string
	problems   []string
}

func readBookPage(t *testing.T, body []byte) (f bookFile) {
	t.Helper()
	for z := html.NewTokenizer(bytes.NewReader(body)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return f
		}
		tag := z.Token()
		if kind == html.TextToken && f.title == "?" {
			f.title = tag.Data
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		if !slices.Contains(bookTags, tag.Data) {
			f.problems = append(f.problems, "an element that asks for something: "+tag.String())
		}
		if tag.Data == "title" {
			f.title = "?"
		}
		for _, a := range tag.Attr {
			switch {
			case a.Key == "id":
				f.ids = append(f.ids, a.Val)
			case a.Key == "href" && tag.Data == "a":
				f.links = append(f.links, a.Val)
			case a.Key == "src", a.Key == "srcset", a.Key == "style", a.Key == "href", strings.HasPrefix(a.Key, "on"):
				f.problems = append(f.problems, "an attribute that asks for something: "+tag.String())
			}
		}
	}
}

// bookProblems tells which links of the pages lead nowhere, and what else is wrong.
func bookProblems(t *testing.T, pages []BookPage) (all []string) {
	t.Helper()
	files := map[string]bookFile{}
	for _, p := range pages {
		files[p.Name] = readBookPage(t, p.Body)
	}
	for name, f := range files {
		for _, problem := range f.problems {
			all = append(all, name+": "+problem)
		}
		for _, link := range f.links {
			if strings.HasPrefix(link, "https://") {
				continue
			}
			to, err := url.Parse(link)
			if err != nil || to.Scheme != "" || to.Host != "" || strings.Contains(to.Path, "/") {
				all = append(all, name+": "+link+" does not lead to a file beside")
				continue
			}
			target, known := files[to.Path]
			if to.Path == "" {
				target, known = f, true
			}
			if !known || to.Fragment != "" && !slices.Contains(target.ids, to.Fragment) {
				all = append(all, name+": "+link+" leads nowhere")
			}
		}
	}
	return all
}

func TestBook(t *testing.T) {
	t.Parallel()
	pages, err := Book("0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Book("0.0.1")
	if err != nil || len(again) != len(pages) {
		t.Fatal(err, len(again))
	}
	if len(pages) != len(manual.Pages())+1 || pages[0].Name != "index.html" {
		t.Fatalf("%d pages, and the manual has %d", len(pages), len(manual.Pages()))
	}
	index := readBookPage(t, pages[0].Body)
	for i, p := range pages {
		if !bytes.Equal(p.Body, again[i].Body) {
			t.Errorf("%s is another one at a second run", p.Name)
		}
		if !bytes.Contains(p.Body[:512], []byte(BookMark+"0.0.1")) || !bytes.HasPrefix(p.Body, []byte("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")) {
			t.Errorf("%s begins with %.512s", p.Name, p.Body)
		}
		f := readBookPage(t, p.Body)
		if i > 0 && (!slices.Contains(index.links, p.Name) || !strings.HasPrefix(f.title, manual.Pages()[i-1].Title+" · ")) {
			t.Errorf("%s, titled %q, is not listed", p.Name, f.title)
		}
		if bytes.Contains(p.Body, []byte(`"/console`)) {
			t.Errorf("%s leads to a server", p.Name)
		}
		if i > 0 && len(f.ids) != len(manual.Pages()[i-1].Headings) {
			t.Errorf("%s has %d anchors", p.Name, len(f.ids))
		}
	}
	for _, problem := range bookProblems(t, pages) {
		t.Error(problem)
	}
}

// What finds nothing would not find these, either.
func TestBookProblems(t *testing.T) {
	for _, bad := range []string{
		`<a href="nowhere.html">x</a>`, `<a href="#nowhere">x</a>`, `<a href="index.html#nowhere">x</a>`, `<a href="/console/manual/gate">x</a>`, `<a href="http://x/">x</a>`, `<a href="javascript:x">x</a>`,
		`<img src="x.png">`, `<script>x</script>`, `<link rel="stylesheet" href="x.css">`, `<p style="x">x</p>`, `<p onclick="x">x</p>`,
	} {
		if bookProblems(t, []BookPage{{"index.html", []byte(bad)}}) == nil {
			t.Errorf("nothing is wrong with %s", bad)
		}
	}
}

// The style is whole, with the part of the console's that is about the manual.
func TestBookStyle(t *testing.T) {
	style, err := bookStyle()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--ground:", "prefers-color-scheme: dark", ".panel {", "\n.manual pre {", ".manual blockquote {"} {
		if strings.Count(style, want) == 0 {
			t.Errorf("the style lacks %q", want)
		}
	}
	if strings.Contains(style, ".chart") || regexp.MustCompile(`url\(|@import`).MatchString(style) {
		t.Error("the style has more than the pages need")
	}
}

// TestBrowserBook reads the pages from a folder, with no server anywhere.
func TestBrowserBook(t *testing.T) {
	dbtest.TakesVeryLong(t, "the manual as files, page by page in a browser")
	t.Parallel()
	pages, err := Book("0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "the manual #1")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.Name), p.Body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder := (&url.URL{Scheme: "file", Path: dir}).String()
	p := chromiumtest.Start(t).Open(folder)
	grounds, checked := map[string]bool{}, dbtest.InTurn(2) // each page by day or by night
	for i, l := range []chromiumtest.Look{{Width: 1280, Height: 800}, {Width: 390, Height: 844, Dark: true}, {Width: 390, Height: 844}, {Width: 1280, Height: 800, Dark: true}} {
		p.Look(l)
		for n, page := range pages {
			p.Visit("/" + page.Name)
			if wide := p.Eval("document.documentElement.scrollWidth + ' of ' + document.documentElement.clientWidth"); strings.Split(wide, " of ")[0] != strings.Split(wide, " of ")[1] {
				t.Errorf("%s does not fit into %d pixels: %s", page.Name, l.Width, wide)
			}
			grounds[p.Eval("getComputedStyle(document.body).backgroundColor")] = true
			if i < 2 && checked(n+i) {
				for _, broken := range p.Axe() {
					t.Errorf("%s, %d pixels, dark %v: %s", page.Name, l.Width, l.Dark, broken)
				}
			}
			p.Keep(strings.TrimSuffix(page.Name, ".html") + map[bool]string{false: "-day", true: "-night"}[l.Dark] + map[bool]string{false: "-wide", true: "-phone"}[l.Width < 600])
		}
	}
	if len(grounds) != 2 {
		t.Errorf("the pages are %v, not one by day and one by night: their style is not applied", grounds)
	}
	p.Visit("/index.html")
	p.Click(`a[href="backup.html"]`)
	if got := p.Eval("location.href"); got != folder+"/backup.html" {
		t.Errorf("the list leads to %s", got)
	}
	p.Click(`header a`)
	if got := p.Eval("document.querySelector('h1').textContent"); got != "Manual" {
		t.Errorf("the way back leads to %s", got)
	}
}
