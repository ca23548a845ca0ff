package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"
	"time"
)

// A return target is where a browser goes after the sign-in that it was sent
// to. It travels through the browser, so it is signed, it ends, and it names a
// page of returnPages: a link to the sign-in can't be made to lead elsewhere.

// returnPages are the pages that ask for a sign-in.
var returnPages = map[string]bool{"/": true, "/password": true, "/connect": true}

const (
	returnTTL = time.Hour
	maxReturn = 2048 // bytes of a target
)

// sealReturn signs a target; "" for one that needs none or may not be one.
func (c *Console) sealReturn(target string) string {
	if target == "/" || !returnable(target) {
		return ""
	}
	sealed := binary.BigEndian.AppendUint64(nil, uint64(c.Now().Add(returnTTL).Unix()))
	sealed = append(sealed, target...)
	return base64.RawURLEncoding.EncodeToString(append(sealed, c.MAC(sealed)...))
}

// openReturn returns the target of a signed value, or "/" for one that was not
// signed here, has ended or leads nowhere.
func (c *Console) openReturn(value string) string {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) <= 8+sha256.Size || len(raw) > 8+maxReturn+sha256.Size {
		return "/"
	}
	signed := raw[:len(raw)-sha256.Size]
	ends, target := binary.BigEndian.Uint64(signed), string(signed[8:])
	if !hmac.Equal(raw[len(signed):], c.MAC(signed)) || uint64(c.Now().Unix()) >= ends || !returnable(target) {
		return "/"
	}
	return target
}

// returnable tells whether target is the path of a page, with a query at most.
// What browsers read as another host (two slashes, a backslash, a tab that
// they drop) is refused before anything is parsed.
func returnable(target string) bool {
	if len(target) > maxReturn || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }) {
		return false
	}
	u, err := url.Parse(target)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && u.Fragment == "" && returnPages[u.EscapedPath()]
}

// withReturn is the path of a page that leads on to target afterwards.
func (c *Console) withReturn(page, target string) string {
	if sealed := c.sealReturn(target); sealed != "" {
		return page + "?return=" + sealed
	}
	return page
}
