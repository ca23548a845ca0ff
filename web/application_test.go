package web_test

import (
	"net/http"
	"testing"

	"husk/web"
)

// What comes for an application's host is the application's alone: as it was sent,
// and with none of Husk's headers, whatever Husk would have said to it.
func TestApplicationHasItsHost(t *testing.T) {
	var seen []string
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.URL.EscapedPath())
		w.WriteHeader(http.StatusTeapot)
	})
	s := newServer(t, func(c *web.Config) { c.Applications = map[string]http.Handler{"app.example": app} })
	crossSite := header("Sec-Fetch-Site", "cross-site")
	for _, c := range []struct{ name, method, path, host string }{
		{"a path that is Husk's", "GET", "/login", "app.example"},
		{"a slash at the end", "GET", "/x/", "app.example"},
		{"an escaped path", "GET", "/a%2Fb", "app.example"},
		{"a form of another site", "POST", "/account/login", "app.example"},
		{"a method that Husk has not", "PURGE", "/", "app.example"},
		{"a port", "GET", "/p", "app.example:8443"},
		{"another spelling", "GET", "/s", "App.Example."},
	} {
		seen = nil
		a := s.do(c.method, c.path, "", onHost(c.host), crossSite, cookie("nonsense"))
		if len(seen) != 1 || seen[0] != c.method+" "+c.path || a.status != http.StatusTeapot {
			t.Errorf("%s: it is answered with %d, and the application saw %v", c.name, a.status, seen)
		}
		a.header.Del("Date")
		a.header.Del("Content-Length")
		if len(a.header) > 0 {
			t.Errorf("%s: the answer has %v", c.name, a.header)
		}
	}
	seen = nil
	for _, name := range []string{host, "example", "x.app.example", "app.example.evil.example", "app.example:x", "[app.example", ""} {
		if a := s.do("GET", "/livez", "", onHost(name)); a.header.Get("X-Request-Id") == "" && a.status != http.StatusBadRequest || len(seen) > 0 {
			t.Errorf("%q is the application's: %d %v", name, a.status, seen)
		}
	}
}

// A page asks Husk, whatever host is an application's.
func TestApplicationIsNotAskedByPages(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.Applications = map[string]http.Handler{"localhost": http.NotFoundHandler()}
	})
	if a := s.page("/login"); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A panic of an application ends its own connection.
func TestApplicationPanics(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.Applications = map[string]http.Handler{"app.example": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("quince") })}
	})
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+stranger+"/", nil)
	must(t, err)
	r.Host = "app.example"
	if a, err := s.transport.RoundTrip(r); err == nil {
		a.Body.Close()
		t.Errorf("it is answered with %d", a.StatusCode)
	}
	s.page("/login").want(200)
}
