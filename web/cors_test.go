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
		s.do("POST", "/account/login", body, origin(app), site, cookie(in.AccessToken)).want(403, "cross_origin")
		s.do("POST", "/account/login", body, origin("https://evil.example"), site).want(403, "cross_origin")
		s.do("POST", "/account/login", body, site).want(403, "cross_origin")
	})
	t.Run("a cookie is of no use to it", func(t *testing.T) {
		s.do("POST", "/auth/access_token", "{}", origin(app), cookie(s.single().jwt)).want(403, "cross_origin")
	})
}
