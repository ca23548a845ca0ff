package manual

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// allowed is every element of the manual, with its attributes.
var allowed = map[string][]string{
	"a": {"href", "rel"}, "blockquote": nil, "br": nil, "code": nil, "div": {"class", "tabindex"}, "em": nil, "h2": {"id"}, "h3": {"id"}, "h4": {"id"}, "li": nil,
	"ol": nil, "p": nil, "pre": {"tabindex"}, "strong": nil, "table": nil, "tbody": nil, "td": {"class"}, "th": {"class"}, "thead": nil, "tr": nil, "ul": nil,
}

// values is what an attribute may say.
var values = map[string]*regexp.Regexp{
	"class": regexp.MustCompile(`^(scroll|right)$`),
	"href":  regexp.MustCompile(`^(/console/manual(/[a-z-]+)?(#[\w-]+)?|#[\w-]+|https://[a-z.-]+(/[\w./-]*)?)$`),
	"id":    regexp.MustCompile(`^[\w-]+$`),
	"rel":   regexp.MustCompile(`^noreferrer$`),

	"tabindex": regexp.MustCompile(`^0$`), // what scrolls has to be reached by keyboard
}

// problems tells what of a page's HTML may not go into a page of the console as it is.
func problems(markup string) (all []string) {
	var open []string
	for z := html.NewTokenizer(strings.NewReader(markup)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if len(open) > 0 {
				all = append(all, "not closed: "+strings.Join(open, " "))
			}
			return all
		case html.TextToken:
			if text := z.Token().Data; !slices.Contains(open, "code") && regexp.MustCompile("`|\\*\\*|\\]\\(|<!--").MatchString(text) {
				all = append(all, "Markdown is left: "+text)
			}
		case html.StartTagToken:
			tag := z.Token()
			all = append(all, tagProblems(tag)...)
			if tag.Data != "br" {
				open = append(open, tag.Data)
			}
		case html.EndTagToken:
			if tag := z.Token(); len(open) == 0 || open[len(open)-1] != tag.Data {
				return append(all, "closes what is not open: "+tag.Data)
			}
			open = open[:len(open)-1]
		default:
			all = append(all, "neither text nor an element: "+z.Token().String())
		}
	}
}

func tagProblems(tag html.Token) (all []string) {
	attributes, known := allowed[tag.Data]
	if !known {
		all = append(all, "an element that is not allowed: "+tag.String())
	}
	for _, a := range tag.Attr {
		if !slices.Contains(attributes, a.Key) || !values[a.Key].MatchString(a.Val) {
			all = append(all, "an attribute that is not allowed: "+tag.String())
		}
		if a.Key == "href" && strings.HasPrefix(a.Val, "https:") && !strings.Contains(tag.String(), `rel="noreferrer"`) {
			all = append(all, "tells another site who reads: "+tag.String())
		}
	}
	return all
}

func TestElements(t *testing.T) {
	for _, p := range Pages() {
		for _, problem := range problems(string(p.HTML)) {
			t.Errorf("%s: %s", p.Name, problem)
		}
	}
	// What finds nothing would not find these, either.
	for _, bad := range []string{
		"<script>x</script>", `<p style="x">x</p>`, `<p onclick="x">x</p>`, `<a href="javascript:x">x</a>`, `<a href="//example.com/">x</a>`, `<a href="https://example.com/">x</a>`,
		`<img src="/x">`, "<p>x", "x</p>", "<!-- x -->", "**x**", "<p/>", `<div class="card">x</div>`,
	} {
		if problems(bad) == nil {
			t.Errorf("nothing is wrong with %s", bad)
		}
	}
}

func TestPages(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z-]*$`)
	var groups []string
	for i, p := range Pages() {
		if !name.MatchString(p.Name) || p.Title == "" || p.HTML == "" {
			t.Errorf("page %d is %q, titled %q, of %d bytes", i, p.Name, p.Title, len(p.HTML))
		}
		if i == 0 || groups[len(groups)-1] != p.Group {
			groups = append(groups, p.Group)
		}
		have, ok := Get(p.Name)
		if !ok || have.HTML != p.HTML {
			t.Errorf("%s is not found by its name", p.Name)
		}
		at := 0
		for _, h := range p.Headings {
			i := strings.Index(string(p.HTML)[at:], `id="`+h.ID+`"`)
			if i < 0 || h.Title == "" || h.Level < 2 || h.Level > 4 {
				t.Errorf("%s: %+v is not there, or not in order", p.Name, h)
			}
			at += max(i, 0)
		}
		if n := strings.Count(string(p.HTML), " id="); n != len(p.Headings) {
			t.Errorf("%s has %d anchors and %d headings", p.Name, n, len(p.Headings))
		}
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(groups))); len(sorted) != len(groups) {
		t.Errorf("the pages of a group are not side by side: %q", groups)
	}
	for _, name := range []string{"", "Gate", "gate.md", "../gate", "tasks/leaver", "gate\x00", "contributing"} {
		if p, ok := Get(name); ok {
			t.Errorf("%q is the page %s", name, p.Name)
		}
	}
}

// Who changes the list does not change the manual.
func TestPagesAreTheReaders(t *testing.T) {
	Pages()[0].Name = "changed"
	if name := Pages()[0].Name; name == "changed" {
		t.Error("the list of pages is shared")
	}
}

// The program carries it, and whoever asks for the first page waits for it.
func TestSize(t *testing.T) {
	if len(packed) > 160_000 {
		t.Errorf("the manual takes %d bytes of the program", len(packed))
	}
}
