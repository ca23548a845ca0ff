package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// This file sets Husk's cookies, and reads those of a request.

const (
	cookieName       = "husk_session"
	secureCookieName = "__Host-husk_session"
)

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
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(pair, "=")
			if value = strings.Trim(value, " \t\""); value != "" && strings.Trim(key, " \t") == name {
				values = append(values, value)
			}
		}
	}
	return values
}

func (s *Server) sessionCookie() string {
	if s.secure {
		return secureCookieName
	}
	return cookieName
}

// setCookie sets the session cookie, or clears it with an empty value.
func (s *Server) setCookie(c echo.Context, value string, maxAge int) {
	s.answerCookie(c, s.newCookie(s.sessionCookie(), value, maxAge))
}

func (s *Server) answerCookie(c echo.Context, cookie *http.Cookie) {
	if !s.foreign(c.Request()) {
		http.SetCookie(c.Response(), cookie)
	}
}

// newCookie makes a cookie with the flags that all of Husk's have.
func (s *Server) newCookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode}
}
