package web

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"
	"time"

	"husk/db"
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
func (s *Server) sealReturn(ctx context.Context, target string) (string, error) {
	if target == "/" || !returnable(target) {
		return "", nil
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return "", err
	}
	sealed := binary.BigEndian.AppendUint64(nil, uint64(s.Store.Now().Add(returnTTL).Unix()))
	sealed = append(sealed, target...)
	return base64.RawURLEncoding.EncodeToString(append(sealed, returnMAC(keys.Signing, sealed)...)), nil
}

// openReturn returns the target of a signed value, or "/" for one that was not
// signed here, has ended or leads nowhere.
func (s *Server) openReturn(ctx context.Context, value string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) <= 8+sha256.Size || len(raw) > 8+maxReturn+sha256.Size {
		return "/", nil
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return "", err
	}
	signed, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !signedByAny(keys, s.Store.Now(), signed, mac) {
		return "/", nil
	}
	ends, target := binary.BigEndian.Uint64(signed), string(signed[8:])
	if uint64(s.Store.Now().Unix()) >= ends || !returnable(target) {
		return "/", nil
	}
	return target, nil
}

// signedByAny tries every key: one may have been replaced since.
func signedByAny(keys *db.KeySet, now time.Time, signed, mac []byte) bool {
	for _, k := range keys.ByID {
		if !k.Ended(now) && hmac.Equal(mac, returnMAC(k, signed)) {
			return true
		}
	}
	return false
}

// returnMAC signs with a key derived for this purpose (RFC 5869), so that no
// value here is good for a JWT, nor the other way round.
func returnMAC(k *db.Key, signed []byte) []byte {
	key, err := hkdf.Key(sha256.New, k.Secret, nil, "husk return target 1", sha256.Size)
	if err != nil {
		panic(err) // only for a length that SHA-256 can't give
	}
	m := hmac.New(sha256.New, key)
	m.Write(signed)
	return m.Sum(nil)
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
func (s *Server) withReturn(ctx context.Context, page, target string) (string, error) {
	sealed, err := s.sealReturn(ctx, target)
	if err != nil || sealed == "" {
		return page, err
	}
	return page + "?return=" + sealed, nil
}
