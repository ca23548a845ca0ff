package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"
)

func macOf(key string) func(text []byte) []byte {
	return func(text []byte) []byte {
		m := hmac.New(sha256.New, []byte(key))
		m.Write(text)
		return m.Sum(nil)
	}
}

func TestReturnable(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/password": true, "/connect?product=coco&request_id=x": true, "/password?return=abc": true,

		"": false, "password": false, "//evil.example": false, "///evil.example": false, `/\evil.example`: false, `\/evil.example`: false,
		"https://evil.example": false, "https:/password": false, "javascript:alert(1)": false, "coco://x": false,
		"/\t/evil.example": false, "/\n/evil.example": false, "/\x00": false, " /password": false, "/password ": false,
		"/./password": false, "/../password": false, "/password/../../x": false, "/%2fevil.example": false, "/%5cevil.example": false,
		"/pass%77ord": false, "/evil": false, "/account/logout": false, "/password#x": false, "/password\x7f": false, "/pässword": false,
		"@evil.example": false, "/@evil.example": false, ":80": false, "/password//": false, "?x": false,
		"/me/tokens/k1": true, "/console/audit?action=x&target=..": true, "/me/../account/logout": false, "/me/%2e%2e/account/logout": false,
		"/me/tokens/.%2E": false, "/console/%2e/users": false, "/console//evil.example": false, "/me/": false,
	} {
		if got := returnable(target); got != want {
			t.Errorf("%q: %v", target, got)
		}
	}
}

func TestReturnTargetIsSigned(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := &Console{MAC: macOf("a key"), Now: func() time.Time { return now }}
	const target = "/connect?product=coco"
	sealed := c.sealReturn(target)
	if sealed == "" {
		t.Fatal("it is not signed")
	}
	open := c.openReturn
	if got := open(sealed); got != target {
		t.Errorf("opened as %q", got)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(sealed)
	for i := range raw {
		raw[i] ^= 1
		if got := open(base64.RawURLEncoding.EncodeToString(raw)); got != "/" {
			t.Errorf("with byte %d changed it leads to %q", i, got)
		}
		raw[i] ^= 1
	}
	for _, value := range []string{"", "x", "/password", "https://evil.example", sealed + "A", sealed[:len(sealed)-1], " " + sealed, sealed + "=", base64.RawURLEncoding.EncodeToString(raw[:40])} {
		if got := open(value); got != "/" {
			t.Errorf("%q leads to %q", value, got)
		}
	}
	now = now.Add(returnTTL - time.Second)
	if open(sealed) != target {
		t.Error("it ended too early")
	}
	now = now.Add(time.Second)
	if open(sealed) != "/" {
		t.Error("it does not end")
	}
	for _, bad := range []string{"//evil.example", "/evil", "https://evil.example/"} {
		if c.sealReturn(bad) != "" {
			t.Errorf("%q is signed", bad)
		}
	}
}

// A value signed by another server is none here.
func TestReturnTargetOfAnotherServer(t *testing.T) {
	a, b := &Console{MAC: macOf("one key"), Now: time.Now}, &Console{MAC: macOf("another"), Now: time.Now}
	if got := b.openReturn(a.sealReturn("/password")); got != "/" {
		t.Errorf("it leads to %q", got)
	}
}
