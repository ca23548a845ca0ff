package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"path"
	"strings"
	"time"
)

// A return target is where a browser goes after the sign-in that it was sent
// to. It travels through the browser, so it is signed, it ends, and it names a
// page of returnPages: a link to the sign-in can't be made to lead elsewhere.

// returnPages are the pages that ask for a sign-in.
var returnPages = map[string]bool{"/": true, "/password": true, pageSecondFactor: true, "/connect": true, ContinuePath: true}

// isPage tells whether a sign-in may lead back to a path: pages that only show, which
// is what those of the rooms do that are asked for by GET.
func isPage(path string) bool {
	return returnPages[path] || InHouse(path)
}

// InHouse tells whether a path, or one of a route, is that of a page of the shell.
func InHouse(path string) bool {
	in := func(room string) bool { return path == room || strings.HasPrefix(path, room+"/") }
	return in(roomMe) || in(roomOverview)
}

// ContinuePath leads back to an application behind the gate.
const ContinuePath = "/continue"

const (
	returnTTL = time.Hour
	maxReturn = 4096 // bytes of a target
)

// Seal signs an address that travels through a browser, with the time at which it
// ends: base64url of the Unix second, the address, and their HMAC-SHA-256.
func Seal(mac func(text []byte) []byte, address string, ends time.Time) string {
	sealed := binary.BigEndian.AppendUint64(nil, uint64(ends.Unix()))
	sealed = append(sealed, address...)
	return base64.RawURLEncoding.EncodeToString(append(sealed, mac(sealed)...))
}

// Unseal returns an address of at most so many bytes that was signed, and when it
// ends, which may be past.
func Unseal(mac func(text []byte) []byte, value string, longest int) (address string, ends time.Time, ok bool) {
	if len(value) > base64.RawURLEncoding.EncodedLen(8+longest+sha256.Size) {
		return "", ends, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) <= 8+sha256.Size {
		return "", ends, false
	}
	signed := raw[:len(raw)-sha256.Size]
	return string(signed[8:]), time.Unix(int64(binary.BigEndian.Uint64(signed)), 0), hmac.Equal(raw[len(signed):], mac(signed))
}

// sealReturn signs a target; "" for one that needs none or may not be one.
func (c *Console) sealReturn(target string) string {
	if target == "/" || !returnable(target) {
		return ""
	}
	return Seal(c.MAC, target, c.Now().Add(returnTTL))
}

// openReturn returns the target of a signed value, or "/" for one that was not
// signed here, has ended or leads nowhere.
func (c *Console) openReturn(value string) string {
	target, ends, ok := Unseal(c.MAC, value, maxReturn)
	if !ok || !c.Now().Before(ends) || !returnable(target) {
		return "/"
	}
	return target
}

// returnable tells whether target is the path of a page, with a query at most.
// What browsers read as another host (two slashes, a backslash, a tab that
// they drop) is refused before anything is parsed; and what they read as a step up, in
// whatever spelling, after that.
func returnable(target string) bool {
	if len(target) > maxReturn || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }) {
		return false
	}
	u, err := url.Parse(target)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && u.Fragment == "" && path.Clean(u.Path) == u.Path && isPage(u.EscapedPath())
}

// withReturn is the path of a page that leads on to target afterwards.
func (c *Console) withReturn(page, target string) string {
	if sealed := c.sealReturn(target); sealed != "" {
		return page + "?return=" + sealed
	}
	return page
}
