package web

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// This file reads the credential that a request shows.

// maxCredential bounds a credential before anything looks inside.
const maxCredential = 8 << 10

// credential is what a request shows, of at most one kind.
type credential struct {
	token string   // an API token
	jwt   string   // a JWT, from the Authorization header or the cookie
	more  []string // JWTs of further cookies of the same name
	pass  string   // of the gate
}

var (
	errManyCredentials = malformed("many_credentials", "send one credential: either X-API-TOKEN or Authorization, once")
	errManyUsers       = malformed("many_credentials", "the browser sends session cookies of several users, which another host of the same domain can make it do: sign out, and remove the cookies of this site and of its domain")
)

// credentialOf reads the one credential of a request. Headers decide where
// they are present; the query and the body are never looked at. An empty
// header, and an Authorization of another scheme, is for somebody else: it
// decides nothing, beside one of Husk's neither.
func (s *Server) credentialOf(r *http.Request) (c credential, sent bool, err error) {
	n := 0
	for _, text := range r.Header["X-Api-Token"] {
		if text != "" {
			c.token, n = text, n+1
		}
	}
	for _, line := range r.Header["Authorization"] {
		if jwt, ok := bearer(line); ok {
			c.jwt, n = jwt, n+1
		}
	}
	switch {
	case n > 1:
		return credential{}, true, errManyCredentials
	case n == 1:
		return c, true, nil
	}
	c.jwt, c.more = cookies(r, s.sessionCookie())
	return c, c.jwt != "", nil
}

// bearer returns the JWT of an Authorization header. The scheme ends at a tab
// too: what begins like ours is held against it, and not passed over.
func bearer(authorization string) (jwt string, ok bool) {
	end := strings.IndexAny(authorization, " \t")
	if end < 0 {
		end = len(authorization)
	}
	if !strings.EqualFold(authorization[:end], "Bearer") {
		return "", false
	}
	return strings.TrimLeft(authorization[end:], " "), true
}

// bearers returns the JWTs of all Authorization headers.
func bearers(r *http.Request) (jwts []string) {
	for _, line := range r.Header["Authorization"] {
		if jwt, ok := bearer(line); ok {
			jwts = append(jwts, jwt)
		}
	}
	return jwts
}

// decides tells whether a header has a credential for Husk: only a program that
// knows it adds one. Any other Authorization may be what a browser sends by
// itself, to whatever site it was led to (RFC 7617, 2.2).
func decides(h http.Header) bool {
	isBearer := func(text string) bool { _, ok := bearer(text); return ok }
	isToken := func(text string) bool { return text != "" }
	return slices.ContainsFunc(h["X-Api-Token"], isToken) || slices.ContainsFunc(h["Authorization"], isBearer)
}

// maxCookies bounds how many cookies of one name are looked at.
const maxCookies = 8

// cookies returns the values of the cookies of a name: the last, and at most
// maxCookies-1 of those before it. Another host of the same domain may have set
// some, too. It can have many of them sent, but before Husk's own: browsers
// send those of longer paths first (RFC 6265, 5.4), and Husk's is of the
// shortest.
func cookies(r *http.Request, name string) (last string, before []string) {
	all := allCookies(r, name)
	if len(all) == 0 {
		return "", nil
	}
	end := len(all) - 1
	return all[end], all[max(0, end-maxCookies+1):end]
}

// allCookies returns the values of all cookies of a name. How many there can be
// is bounded by the length of a header.
func allCookies(r *http.Request, name string) (values []string) {
	return slices.Collect(cookiesOf(r, name))
}

// cookiesOf are the values of the cookies of a name, in order.
func cookiesOf(r *http.Request, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range r.Header["Cookie"] {
			for line != "" {
				var pair string
				pair, line, _ = strings.Cut(line, ";")
				key, value, _ := strings.Cut(pair, "=")
				if value = strings.Trim(value, " \t\""); value != "" && strings.Trim(key, " \t") == name && !yield(value) {
					return
				}
			}
		}
	}
}
