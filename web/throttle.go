package web

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/password"
	"husk/web/ratelimit"
)

// This file is the one gate in front of every place where a password is taken.

const (
	deviceCookie = "husk_device" // over TLS too
	deviceLife   = 180 * 24 * time.Hour
)

// What an operator may set at most: the wrong passwords in a row for an account
// before the next one waits (NIST SP 800-63B-4, 3.2.2), and how long that is.
const (
	MaxAttempts = 100
	MaxDelay    = ratelimit.MaxDelay
)

// Tries limits the wrong passwords before the next try has to wait; the zero
// value is the default.
type Tries struct {
	Account  int              // in a row for an account; 0: 5
	Address  int              // from an address; 0: 20
	Delay    time.Duration    // the first wait, which doubles; 0: 15 s
	MaxDelay time.Duration    // the longest; 0, and at most: 1 h
	Now      func() time.Time // the clock; nil: the machine's
}

func newTries(t Tries) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Config{Free: t.Account, AddressFree: t.Address, Base: t.Delay, Max: t.MaxDelay, Now: t.Now})
}

// account is under which the attempts on one account are counted: the folded
// email, so that spellings share a count, and the single user's id where no
// email is given.
func account(email string) string { return cmp.Or(db.FoldEmail(email), db.SingleUser) }

// triesPatience is how long a try waits for those before it, on the same
// account or from the same address, to be decided.
const triesPatience = 5 * time.Second

// attempt asks for a try at an account's password; call its End. While the account or the
// address is throttled it is refused before anything is looked at, so that
// right and wrong passwords get the same answer. The control socket is free:
// who may open it owns the file.
func (s *Server) attempt(c echo.Context, actor *db.Actor, account string) (*ratelimit.Attempt, error) {
	if actor.Transport != db.TransportHTTP {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), triesPatience)
	defer cancel()
	a, wait, err := s.tries.Await(ctx, account, actor.Address, s.knownDevice(c, account))
	if err != nil {
		return nil, password.ErrBusy
	}
	if a == nil {
		s.Metrics.countThrottled()
		return nil, &failure{status: http.StatusTooManyRequests, code: "throttled", retryAfter: wait,
			reason: "too many wrong passwords; wait before the next try, or set a new one with 'husk passwd' on the machine"}
	}
	return a, nil
}

// verify checks a password against a user's, or does the same work for nobody.
// A try that was never finished is given back.
func (s *Server) verify(ctx context.Context, a *ratelimit.Attempt, u *db.User, pass string) (ok, stale bool, err error) {
	if u == nil || u.Password == "" {
		err = s.Passwords.VerifyNobody(ctx, pass)
	} else {
		ok, stale, err = s.Passwords.Verify(ctx, u.Password, pass)
	}
	if errors.Is(err, password.ErrDamaged) {
		// The work was done: to the one who asks it is a wrong password.
		s.log.Error("a stored password hash is damaged; set the password anew", "user", u.ID)
		return false, false, nil
	}
	if err != nil {
		a.Cancel()
		return false, false, err
	}
	return ok, stale, nil
}

// A device cookie tells that a sign-in to an account succeeded from this
// browser: its tries have a count of their own, so that strangers' failures do
// not delay the owner. It opens nothing. It is base64url of the account's
// SHA-256, the Unix second of its end, and an HMAC-SHA-256 over both.
func (s *Server) deviceValue(account string, ends time.Time) string {
	sum := sha256.Sum256([]byte(account))
	text := base64.RawURLEncoding.EncodeToString(sum[:16]) + "." + strconv.FormatInt(ends.Unix(), 10)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(s.deviceKey, []byte(text)))
}

func (s *Server) knownDevice(c echo.Context, account string) bool {
	last, before := cookies(c.Request(), deviceCookie)
	return s.knows(last, account) || slices.ContainsFunc(before, func(device string) bool { return s.knows(device, account) })
}

func (s *Server) knows(device, account string) bool {
	parts := strings.Split(device, ".")
	if len(parts) != 3 {
		return false
	}
	ends, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || s.Store.Now().Unix() >= ends {
		return false
	}
	return hmac.Equal([]byte(device), []byte(s.deviceValue(account, time.Unix(ends, 0))))
}

func (s *Server) setDeviceCookie(c echo.Context, account string) {
	value := s.deviceValue(account, s.Store.Now().Add(deviceLife))
	s.answerCookie(c, s.newCookie(deviceCookie, value, int(deviceLife.Seconds())))
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
