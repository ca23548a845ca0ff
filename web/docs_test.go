package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"husk/web/chromiumtest"
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
		if name := strings.TrimPrefix(file, "openapi/"); !served[name] && name != "page/docs.html" {
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
	for _, used := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if used[1] != "data:," && getDocs(s, used[1], http.Header{}).Code != 200 {
			t.Errorf("the page uses %s, which is not there", used[1])
		}
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
