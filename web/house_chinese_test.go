package web

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// inline are the elements that stand in a line with what is around them.
var inline = []string{"a", "bdi", "button", "code", "em", "label", "small", "span", "strong", "time"}

// apart are the classes of what a style sets apart from the words before it.
var apart = regexp.MustCompile(`\b(below|button|note|optional|state|chip)\b`)

// visible is the text of a page as it is read: what stands in a line is in one.
func visible(t *testing.T, body string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		class := ""
		for _, a := range n.Attr {
			if a.Key == "class" {
				class = a.Val
			}
			if a.Key == "lang" && a.Val == "en" {
				return
			}
		}
		switch {
		case n.Type == html.TextNode:
			b.WriteString(regexp.MustCompile(`\s+`).ReplaceAllString(n.Data, " "))
		case n.Type == html.ElementNode && slices.Contains([]string{"script", "style", "head", "textarea"}, n.Data):
			return
		}
		block := n.Type == html.ElementNode && (!slices.Contains(inline, n.Data) || n.Data == "a" && n.Parent.Data == "nav" || apart.MatchString(class))
		if block {
			b.WriteString("\n")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		if block {
			b.WriteString("\n")
		}
	}
	walk(doc)
	return regexp.MustCompile(` *\n *`).ReplaceAllString(b.String(), "\n")
}

// chineseGap is a space after a stop, where Chinese has none.
var chineseGap = regexp.MustCompile(`.{0,20}[。，；：！？、）”] +\S.{0,20}`)

// No page in Chinese has a space between two sentences, as English has: those that are
// asked for, and those that refuse a form.
func TestChineseHasNoGaps(t *testing.T) {
	t.Parallel()
	h := newFilledHouse(t, 2)
	zh := []string{"Accept-Language", "zh", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate"}
	pages := map[string]answer{}
	for _, path := range append(h.places(), "/console/rules/test?url=https%3A%2F%2Fapp.example.com%2F&method=GET", "/console/tokens/new", "/login") {
		pages["GET "+path] = h.get(path, zh...)
	}
	for _, path := range h.forms() {
		pages["POST "+path] = h.do(http.MethodPost, path, "application/x-www-form-urlencoded", "once=x", append(zh, "Origin", h.base)...)
	}
	looked := 0
	for name, a := range pages {
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || a.body == "" {
			continue
		}
		text := visible(t, a.body)
		if looked++; !strings.Contains(a.body, `<html lang="zh"`) || len(text) < 20 {
			t.Errorf("%s: %d %s", name, a.StatusCode, text)
		}
		for _, gap := range chineseGap.FindAllString(text, -1) {
			t.Errorf("%s: %q", name, gap)
		}
	}
	if looked < 70 {
		t.Errorf("%d pages were looked at", looked)
	}
}
