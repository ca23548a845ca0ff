package web_test

import (
	"net/http"
	"testing"

	"husk/web"
	"husk/web/api"
)

func origin(o string) edit { return func(r *http.Request) { r.Header.Set("Origin", o) } }

func TestCORS(t *testing.T) {
	const app = "https://app.example.com"
	preflight := func(r *http.Request) {
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set("Access-Control-Request-Headers", "x-api-token")
	}
	t.Run("closed by default", func(t *testing.T) {
		s := newServer(t)
		for _, a := range []answer{
			s.do("GET", "/health", "", origin(app)),
			s.do("OPTIONS", "/account/profile", "", origin(app), preflight),
		} {
			if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("%s allows %q", a.what, got)
			}
		}
	})
	s := newServer(t, func(c *web.Config) { c.CORSOrigins = []string{app} })
	token := s.mint(s.single().session(), api.NewToken{}).AccessToken
	t.Run("open for one", func(t *testing.T) {
		a := s.do("OPTIONS", "/account/profile", "", origin(app), preflight)
		if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != app || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight = %d %v", a.status, a.header)
		}
		a = s.do("GET", "/account/profile", "", origin(app), apiToken(token)).want(200)
		if a.header.Get("Access-Control-Allow-Origin") != app || a.header.Get("Vary") != "Origin" {
			t.Errorf("%v", a.header)
		}
	})
	t.Run("closed for others", func(t *testing.T) {
		a := s.do("GET", "/account/profile", "", origin("https://evil.example"), apiToken(token))
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("allows %q", got)
		}
	})
	t.Run("no pattern", func(t *testing.T) {
		s := newServer(t, func(c *web.Config) { c.CORSOrigins = []string{"https://*.example.com", "*", "https://app?example.com"} })
		for _, edits := range [][]edit{{}, {preflight}} {
			method := map[int]string{0: "GET", 1: "OPTIONS"}[len(edits)]
			if got := s.do(method, "/health", "", append(edits, origin(app))...).header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("%s: %q is allowed", method, got)
			}
		}
	})
	t.Run("it may sign somebody in", func(t *testing.T) {
		site := header("Sec-Fetch-Site", "cross-site")
		body := `{"password":"` + singlePassword + `"}`
		var in api.LoggedIn
		a := s.do("POST", "/account/login", body, origin(app), site).want(200)
		a.json(&in)
		s.do("POST", "/auth/access_token", "", origin(app), site, bearer(in.AccessToken)).want(200)
		if a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%v", a.header)
		}
		old := s.do("POST", "/account/login", body, origin(app)).want(200) // of a browser that tells no more
		out := s.do("POST", "/account/logout", "", origin(app), site, bearer(in.AccessToken)).want(200)
		link := s.do("GET", "/account/logout", "", origin(app), site).want(200)
		for _, a := range []answer{a, old, out, link} {
			if set := a.header["Set-Cookie"]; len(set) > 0 {
				t.Errorf("%s: who uses the browser is given %q", a.what, set)
			}
		}
		// A form that the browser goes to is no script.
		for _, form := range []edit{nobody, header("Accept", "text/html")} {
			if a := s.do("POST", "/account/login", "password="+singlePassword, form, header("Content-Type", formType), origin(app), site, header("Sec-Fetch-Mode", "navigate")); a.status != 403 || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%s = %d %v", a.what, a.status, a.header)
			}
		}
		s.do("POST", "/account/login", body, origin(app), site, cookie(in.AccessToken)).want(403, "cross_origin")
		s.do("POST", "/account/login", body, origin("https://evil.example"), site).want(403, "cross_origin")
		s.do("POST", "/account/login", body, site).want(403, "cross_origin")
	})
	t.Run("the server's own pages are none", func(t *testing.T) {
		s := newServer(t, func(c *web.Config) { c.PublicURL, c.CORSOrigins = app, []string{app} })
		for _, edits := range [][]edit{{header("Sec-Fetch-Site", "same-origin")}, {}} {
			a := s.do("POST", "/account/login", `{"password":"`+singlePassword+`"}`, append(edits, origin(app))...).want(200)
			if len(a.header["Set-Cookie"]) != 2 {
				t.Errorf("%v", a.header)
			}
		}
	})
	t.Run("a cookie is of no use to it", func(t *testing.T) {
		s.do("POST", "/auth/access_token", "{}", origin(app), cookie(s.single().jwt)).want(403, "cross_origin")
	})
}
