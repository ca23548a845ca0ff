package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
)

// This file sets the two cookies that there are: that of the session, which opens
// what the session may do, and that of the device, which opens nothing. What a
// session's cookie means is read in auth.go.

const (
	cookieName       = "husk_session"
	secureCookieName = "__Host-husk_session"

	deviceCookie = "husk_device" // over TLS too
	deviceLife   = 180 * 24 * time.Hour
)

// withCookies is an answer that sets cookies.
type withCookies[T any] struct {
	body    T
	cookies []*http.Cookie
}

func (a withCookies[T]) answer(c echo.Context) error {
	for _, cookie := range a.cookies {
		http.SetCookie(c.Response(), cookie)
	}
	return write(c, a.body)
}

// forBrowser returns those of the cookies that who sent r may be set: all, or none
// by a script of another origin. nil is no cookie.
func (s *Server) forBrowser(r *http.Request, cookies ...*http.Cookie) []*http.Cookie {
	if s.foreign(r) {
		return nil
	}
	return slices.DeleteFunc(cookies, func(c *http.Cookie) bool { return c == nil })
}

func (s *Server) sessionCookie() string {
	if s.secure {
		return secureCookieName
	}
	return cookieName
}

// newSessionCookie is the cookie of a session, or with an empty value what clears
// it.
func (s *Server) newSessionCookie(value string, maxAge int) *http.Cookie {
	return s.newCookie(s.sessionCookie(), value, maxAge)
}

func (s *Server) newDeviceCookie(u *db.User) *http.Cookie {
	value := s.deviceValue(account(u.Email), s.Store.Now().Add(deviceLife), deviceGeneration(u))
	return s.newCookie(deviceCookie, value, int(deviceLife.Seconds()))
}

// newCookie makes a cookie with the flags that all of Husk's have.
func (s *Server) newCookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode}
}

// A device cookie tells that a sign-in to an account succeeded from this
// browser: its tries have a count of their own, so that strangers' failures do
// not delay the owner. It opens nothing. It is base64url of the account's
// SHA-256, the Unix second of its end, the generation of the user's devices, and
// an HMAC-SHA-256 over all three. Cookies from before there were generations
// are worth nothing.
func (s *Server) deviceValue(account string, ends time.Time, generation string) string {
	sum := sha256.Sum256([]byte(account))
	text := base64.RawURLEncoding.EncodeToString(sum[:16]) + "." + strconv.FormatInt(ends.Unix(), 10) + "." + generation
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(s.deviceKey, []byte(text)))
}

// deviceGeneration names the user too: another one who gets the email later
// knows none of the devices.
func deviceGeneration(u *db.User) string {
	sum := sha256.Sum256([]byte(u.ID + " " + strconv.FormatUint(u.Devices, 10)))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// knownDevice looks the user up only for a cookie that this server made for the
// account: for others that would tell, by its time, whether there is one.
func (s *Server) knownDevice(r *http.Request, account string) bool {
	known := func(device string) bool {
		generation, ok := s.knows(device, account)
		return ok && generation == s.currentDevices(r.Context(), account)
	}
	last, before := cookies(r, deviceCookie)
	return known(last) || slices.ContainsFunc(before, known)
}

// knows tells whether the server made a device cookie for the account that has
// not ended, and of which generation.
func (s *Server) knows(device, account string) (generation string, ok bool) {
	parts := strings.Split(device, ".")
	if len(parts) != 4 {
		return "", false
	}
	ends, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || s.Store.Now().Unix() >= ends {
		return "", false
	}
	return parts[2], hmac.Equal([]byte(device), []byte(s.deviceValue(account, time.Unix(ends, 0), parts[2])))
}

// currentDevices is the generation of an account's devices now, "" where there
// is none.
func (s *Server) currentDevices(ctx context.Context, account string) string {
	email := account
	if account == db.SingleUser {
		email = ""
	}
	u, err := s.lookUp(ctx, email)
	if err != nil || u == nil {
		return ""
	}
	return deviceGeneration(u)
}

// mac is HMAC-SHA-256 (RFC 2104).
func mac(key, text []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(text)
	return m.Sum(nil)
}
