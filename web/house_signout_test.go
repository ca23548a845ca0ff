package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"husk/web/console"
)

// After a sign-out no address of the house shows anything, and no form does anything.
// No browser was to keep what it had shown.
func TestNothingAfterSignOut(t *testing.T) {
	v := newSignedIn(t)
	at, err := url.Parse(v.base)
	if err != nil {
		t.Fatal(err)
	}
	v.setUpTOTP() // or some of them are not there
	places := 0
	for _, p := range console.Places() {
		if p.Method == http.MethodGet && !p.Long && !strings.Contains(p.Path, ":") {
			places++
			if a := v.get(p.Path); a.StatusCode >= http.StatusBadRequest || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d, Cache-Control %q", p.Path, a.StatusCode, a.Header.Get("Cache-Control"))
			}
		}
	}
	if places < 20 {
		t.Fatalf("only %d places", places)
	}
	kept := v.client.Jar.Cookies(at)
	v.post("/account/logout").leadsTo(t, "/login")
	for _, shown := range [][]*http.Cookie{nil, kept} { // as somebody may have copied it before
		v.client.Jar.SetCookies(at, shown)
		for _, p := range console.Places() {
			if strings.Contains(p.Path, ":") {
				continue
			}
			a := v.do(p.Method, p.Path, formType, "")
			if a.StatusCode == http.StatusOK || strings.Contains(a.body, "coco-default-user") {
				t.Errorf("%d cookies, %s %s: %d", len(shown), p.Method, p.Path, a.StatusCode)
			}
		}
	}
}
