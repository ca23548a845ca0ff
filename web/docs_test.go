package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
	"husk/web/console"
)

// getDocs asks s as a browser does.
func getDocs(s *Server, path string, header http.Header) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
	r.Header = header
	s.ServeHTTP(w, r)
	return w
}

func TestDocsFiles(t *testing.T) {
	s, _, _ := benchServer(t)
	for name, f := range docsFiles {
		plain := getDocs(s, "/docs/"+name, http.Header{})
		packed := getDocs(s, "/docs/"+name, http.Header{"Accept-Encoding": {"br, gzip;q=0.8"}})
		body := packed.Body.Bytes()
		if strings.HasSuffix(f.embedded, ".gz") {
			if packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: %v", name, packed.Header())
			}
			body = gunzip(t, body)
		}
		if plain.Code != 200 || plain.Header().Get("Content-Encoding") != "" || plain.Body.Len() == 0 || !bytes.Equal(plain.Body.Bytes(), body) {
			t.Errorf("%s: status %d, %d bytes plain, %d packed", name, plain.Code, plain.Body.Len(), len(body))
		}
		if have := plain.Header().Get("Content-Type"); have != f.contentType {
			t.Errorf("%s: %s", name, have)
		}
		again := getDocs(s, "/docs/"+name, http.Header{"If-None-Match": {plain.Header().Get("ETag")}})
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: status %d for the tag it gave", name, again.Code)
		}
	}
	for _, path := range []string{"/docs/docs.html", "/docs/README.md", "/docs/..%2fopenapi.json", "/docs/viewer%2fLICENSE.txt", "/docs/%2e%2e", "/docs/a/b"} {
		if w := getDocs(s, path, http.Header{}); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

func gunzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// What is embedded of the viewer is what its README says, and all of it is
// served.
func TestDocsViewer(t *testing.T) {
	readme, err := os.ReadFile("openapi/viewer/README.md")
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for name, f := range docsFiles {
		served[f.embedded] = true
		if !strings.HasSuffix(f.embedded, ".gz") {
			continue
		}
		packed, err := openAPIFiles.ReadFile("openapi/" + f.embedded)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(gunzip(t, packed))
		if !strings.Contains(string(readme), "| "+name+" | "+hex.EncodeToString(sum[:])+" |") {
			t.Errorf("openapi/viewer/README.md does not have the SHA-256 of %s, %x", name, sum)
		}
	}
	files, err := fs.Glob(openAPIFiles, "openapi/*/*")
	if err != nil || len(files) < len(docsFiles) {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if name := strings.TrimPrefix(file, "openapi/"); !served[name] {
			t.Errorf("%s is embedded and never served", name)
		}
	}
}

func TestDocsPage(t *testing.T) {
	s, _, _ := benchServer(t)
	w := getDocs(s, "/docs/", http.Header{})
	policy := w.Header().Get("Content-Security-Policy")
	if w.Code != 200 || !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("status %d, policy %q", w.Code, policy)
	}
	page := w.Body.String()
	style := getDocs(s, "/docs/docs.css", http.Header{}).Body.String()
	for _, used := range regexp.MustCompile(`(?:src=|href=|url\()"([^"#]+)"`).FindAllStringSubmatch(page+style, -1) {
		if code := getDocs(s, used[1], http.Header{}).Code; code >= 400 {
			t.Errorf("the page uses %s, which is answered with %d", used[1], code)
		}
	}
	if !strings.Contains(page, console.AssetURL("husk.svg")) || !strings.Contains(page, `href="/"`) || !strings.Contains(style, `"/docs/swagger-ui.css"`) {
		t.Error("the page has no leaf, no way to the start page, or not the viewer's style")
	}
	if again := getDocs(s, "/docs", http.Header{"If-None-Match": {w.Header().Get("ETag")}}); again.Code != http.StatusNotModified {
		t.Errorf("status %d for the tag it gave", again.Code)
	}
	if strings.Contains(page, "style=") || regexp.MustCompile(`<script>|<style|\son\w+=`).MatchString(page) {
		t.Error("the page has what its policy refuses")
	}
}

// In a browser the page shows every operation, its policy refuses nothing, and
// nothing is said on the console.
func TestDocsInBrowser(t *testing.T) {
	t.Parallel()
	browser := chromiumtest.Find(t)
	s, _, _ := benchServer(t)
	server := httptest.NewServer(s)
	defer server.Close()
	var page, said bytes.Buffer
	// A link's url and configUrl must not show another document as this one.
	cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+t.TempDir(), "--enable-logging=stderr",
		"--virtual-time-budget=20000", "--dump-dom", server.URL+"/docs?url=/health&configUrl=/health")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &page, &said, time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %.2000s", err, said.String())
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Error(line)
		}
	}
	if n := strings.Count(page.String(), `class="opblock-summary-path"`); n != len(operations) {
		t.Errorf("the page shows %d operations, not %d: %.2000s", n, len(operations), page.String())
	}
}

// Each colour of the page is one that there is: its own, or one of all pages.
func TestDocsColours(t *testing.T) {
	s, _, _ := benchServer(t)
	page := getDocs(s, "/docs", http.Header{}).Body.String()
	defined := ""
	for _, link := range regexp.MustCompile(`<link rel="stylesheet" href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		defined += getDocs(s, link[1], http.Header{}).Body.String()
	}
	used := regexp.MustCompile(`var\((--[a-z-]+)\)`).FindAllStringSubmatch(getDocs(s, "/docs/docs.css", http.Header{}).Body.String(), -1)
	for _, m := range used {
		if !strings.Contains(defined, m[1]+": ") {
			t.Errorf("docs.css shows %s, which no style sheet of the page has", m[1])
		}
	}
	if len(used) == 0 {
		t.Error("docs.css has no colours")
	}
}

// Who chose a language and a theme for the pages has them here, too, whatever was kept of
// another. The reference itself is English.
func TestDocsTheme(t *testing.T) {
	s, _, _ := benchServer(t)
	kept := ""
	for _, c := range []struct{ look, want string }{
		{"", `<html lang="en">`}, {"en.light", `<html lang="en" data-theme="light">`}, {"zh.dark", `<html lang="zh" data-theme="dark">`}, {`en."><script>`, `<html lang="en">`},
	} {
		w := getDocs(s, "/docs", http.Header{"Cookie": {"husk_look=" + c.look}, "If-None-Match": {kept}})
		if !strings.Contains(w.Body.String(), c.want) || !strings.Contains(w.Body.String(), `<main lang="en">`) || !slices.Equal(w.Header()["Vary"], []string{"Cookie", "Accept-Language", "Accept-Encoding"}) {
			t.Errorf("husk_look=%s: %d, %v, %.100s", c.look, w.Code, w.Header(), w.Body)
		}
		kept = w.Header().Get("ETag")
	}
}

// paleText lists what is shown in a colour that is too like what is behind it: WCAG 2.2, 1.4.3.
// What is inactive need not be seen.
const paleText = `(() => {
  const light = c => { const v = c.slice(0, 3).map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
  const parse = s => { const c = s.match(/[\d.]+/g).map(Number); if (c.length < 4) c.push(1); return c };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c } return [255, 255, 255, 1] };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("noscript,script,option,[disabled]")) continue;
    const a = light(parse(getComputedStyle(e).color)), b = light(behind(e)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.add(e.tagName + "." + e.className + " " + ratio.toFixed(1) + ": " + texts.currentNode.textContent.slice(0, 30));
  }
  return [...found].slice(0, 20).join("\n");
})()`

// On a desk and a telephone, by day and by night, the page fits and can be read:
// closed, with an operation open and tried, and where a credential is asked for.
func TestBrowserDocs(t *testing.T) {
	dbtest.TakesVeryLong(t, "the API reference in a browser")
	t.Parallel()
	s, _, _ := benchServer(t)
	server := httptest.NewServer(s)
	defer server.Close()
	p := chromiumtest.Start(t).Open(server.URL)
	await := func(selector string) { t.Helper(); awaitShown(p, selector) }
	look := func(name string) {
		t.Helper()
		p.Shoot(name)
		for _, dark := range []bool{false, true} {
			p.Screen(1280, 800, dark)
			if pale := p.Eval(paleText); pale != "" {
				t.Errorf("%s can't be read, by night %t:\n%s", name, dark, pale)
			}
			for _, broken := range p.Axe() {
				t.Errorf("%s, by night %t: %s", name, dark, broken)
			}
		}
	}
	for _, width := range []int{1280, 768, 390} {
		p.Screen(width, 844, width == 768)
		p.Visit("/docs")
		await(".opblock")
		if moved := p.Shifts(); moved != "" {
			t.Errorf("%d pixels wide, what was there moved: %s", width, moved)
		}
		for _, wrong := range problemsOf(p, "en") {
			t.Errorf("%d pixels wide: %s", width, wrong)
		}
	}
	look("docs")
	operation := `[id^=operations][id$=CreateToken]`
	for _, press := range []struct{ button, shows string }{
		{".opblock-summary-control", ".responses-wrapper"}, {".try-out__btn", ".btn.execute"}, {".btn.execute", ".live-responses-table"},
	} {
		p.Eval(fmt.Sprintf("document.querySelector(%q).click()", operation+" "+press.button))
		await(operation + " " + press.shows)
	}
	p.Eval(fmt.Sprintf("document.querySelectorAll(%q).forEach(b => b.click())", operation+" [data-name=model]"))
	await(operation + " .json-schema-2020-12")
	p.Eval(fmt.Sprintf("document.querySelector(%q).scrollIntoView()", operation))
	look("docs-operation")
	p.Eval(`document.querySelector(".btn.authorize").click()`)
	await(".dialog-ux")
	look("docs-authorize")
	// axe-core is a script: so it looks at what browsers without one show in a page that
	// has them.
	p.Visit("/docs?plain")
	p.Eval(`document.querySelector("main").outerHTML = new DOMParser().parseFromString(document.querySelector("main noscript").textContent, "text/html").querySelector(".plain").outerHTML.replace(/^<div/, "<main").replace(/div>$/, "main>")`)
	p.Eval(`document.querySelectorAll("details").forEach(d => d.open = true)`)
	look("docs-plain")
}
