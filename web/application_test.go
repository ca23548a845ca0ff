package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What is for an application's host is the application's alone: none of Husk's
// headers, no rule for slashes, no check of host or origin, no route.
func TestApplicationsHost(t *testing.T) {
	var path, host string
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, host = r.URL.EscapedPath(), r.Host
		w.WriteHeader(http.StatusTeapot)
	})
	h := newTestHouse(t, func(c *Config) { c.Applications = map[string]http.Handler{"app.example.com": app} })
	for _, asked := range []struct{ method, host, path string }{
		{"GET", "app.example.com", "/account/profile"},
		{"GET", "APP.example.com.:8443", "/a%2Fb//"},
		{"POST", "app.example.com", "/account/login/"},
		{"TRACE", "app.example.com", "/"},
	} {
		path, host = "", ""
		r, err := http.NewRequestWithContext(t.Context(), asked.method, h.base+asked.path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = asked.host
		r.Header = http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Cookie": {"husk_session=x"}}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusTeapot || path != asked.path || host != asked.host || len(body) > 0 {
			t.Errorf("%v: %d %q, and the application saw %s of %s", asked, answer.StatusCode, body, path, host)
		}
		for name := range answer.Header {
			if name != "Date" && name != "Content-Length" {
				t.Errorf("%v: Husk adds %s: %s", asked, name, answer.Header.Get(name))
			}
		}
	}
}

// A host that is nearly an application's is Husk's, with all that belongs to it.
func TestHostsBesideAnApplications(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s, _ := testServer(t, func(c *Config) { c.Applications = map[string]http.Handler{"app.example.com": app} })
	for _, host := range []string{"", "localhost", "example.com", "a.app.example.com", "app.example.com.evil.example", "app.example.com:x", "[app.example.com"} {
		r := httptest.NewRequest("GET", "/livez", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Header().Get(headerRequestID) == "" {
			t.Errorf("%q: %d %v", host, w.Code, w.Header())
		}
	}
}
