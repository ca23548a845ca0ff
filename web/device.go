package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
)

const (
	deviceCookie = "husk_device" // over TLS too
	deviceLife   = 180 * 24 * time.Hour
)

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
func (s *Server) knownDevice(c echo.Context, account string) bool {
	known := func(device string) bool {
		generation, ok := s.knows(device, account)
		return ok && generation == s.currentDevices(c, account)
	}
	last, before := cookies(c.Request(), deviceCookie)
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
func (s *Server) currentDevices(c echo.Context, account string) string {
	email := account
	if account == db.SingleUser {
		email = ""
	}
	u, err := s.lookUp(c, email)
	if err != nil || u == nil {
		return ""
	}
	return deviceGeneration(u)
}

func (s *Server) setDeviceCookie(c echo.Context, u *db.User) {
	value := s.deviceValue(account(u.Email), s.Store.Now().Add(deviceLife), deviceGeneration(u))
	s.answerCookie(c, s.newCookie(deviceCookie, value, int(deviceLife.Seconds())))
}
