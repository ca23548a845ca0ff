package web

import (
	"encoding/base64"
	"testing"
	"time"
)

func TestReturnable(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/password": true, "/connect?product=coco&request_id=x": true, "/password?return=abc": true,

		"": false, "password": false, "//evil.example": false, "///evil.example": false, `/\evil.example`: false, `\/evil.example`: false,
		"https://evil.example": false, "https:/password": false, "javascript:alert(1)": false, "coco://x": false,
		"/\t/evil.example": false, "/\n/evil.example": false, "/\x00": false, " /password": false, "/password ": false,
		"/./password": false, "/../password": false, "/password/../../x": false, "/%2fevil.example": false, "/%5cevil.example": false,
		"/pass%77ord": false, "/evil": false, "/account/logout": false, "/password#x": false, "/password\x7f": false, "/pässword": false,
		"@evil.example": false, "/@evil.example": false, ":80": false, "/password//": false, "?x": false,
	} {
		if got := returnable(target); got != want {
			t.Errorf("%q: %v", target, got)
		}
	}
}

func TestReturnTargetIsSigned(t *testing.T) {
	h := newTestHouse(t, nil)
	const target = "/connect?product=coco"
	sealed := h.sealReturn(target)
	if sealed == "" {
		t.Fatal("it is not signed")
	}
	open := h.openReturn
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
	h.wait(returnTTL - time.Second)
	if open(sealed) != target {
		t.Error("it ended too early")
	}
	h.wait(time.Second)
	if open(sealed) != "/" {
		t.Error("it does not end")
	}
	for _, bad := range []string{"//evil.example", "/evil", "https://evil.example/"} {
		if h.sealReturn(bad) != "" {
			t.Errorf("%q is signed", bad)
		}
	}
}

// A value signed by another server is none here.
func TestReturnTargetOfAnotherServer(t *testing.T) {
	a, b := newTestHouse(t, nil), newTestHouse(t, nil)
	if got := b.openReturn(a.sealReturn("/password")); got != "/" {
		t.Errorf("it leads to %q", got)
	}
}
