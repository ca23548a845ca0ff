package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
	"husk/web/manual"
)

// A first visit sends at most 100 KB: the page and what it names, as they are sent to a
// browser. What it names is kept for ever. The viewer of /docs, half a megabyte, is not
// counted: the page is read without it, too.
func TestFirstVisitIsSmall(t *testing.T) {
	t.Parallel()
	dbtest.TakesLong(t, "what each page sends, with many records")
	const most = 100_000
	h := newFilledHouse(t, 3)
	named := regexp.MustCompile(`(?:href|src)="(/assets/[^"]+|/favicon[^"]*)"`)
	files := map[string]int{}
	fetch := func(path string) (a answer, text string) {
		a = h.get(path, "Accept-Encoding", "gzip") // named here, it comes as it is sent
		if a.Header.Get("Content-Encoding") != "gzip" {
			return a, a.body
		}
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return a, string(plain)
	}
	paths := append(h.places(), "/login")
	for _, p := range manual.Pages() {
		paths = append(paths, "/console/manual/"+p.Name)
	}
	largest, where := 0, ""
	for _, path := range paths {
		a, text := fetch(path)
		sum := len(a.body)
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if _, known := files[m[1]]; !known {
				file, _ := fetch(m[1])
				files[m[1]] = len(file.body)
				if !strings.Contains(file.Header.Get("Cache-Control"), "immutable") || file.StatusCode != http.StatusOK {
					t.Errorf("%s: %d %q", m[1], file.StatusCode, file.Header.Get("Cache-Control"))
				}
			}
			sum += files[m[1]]
		}
		if sum > most {
			t.Errorf("%s sends %d bytes at the first visit", path, sum)
		}
		if sum > largest {
			largest, where = sum, path
		}
	}
	t.Logf("the most is %d bytes, of %s; files %v", largest, where, files)
}

// The next page is one request: the rest the browser has.
func TestBrowserAsksOnce(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	h.browserSignIn(p)
	for _, path := range []string{"/me/tokens", "/console/users", "/console/manual"} {
		p.Sent = nil
		p.Visit(path)
		if len(p.Sent) != 1 || p.Sent[0] != h.base+path {
			t.Errorf("%s asks for %q", path, p.Sent)
		}
	}
}
