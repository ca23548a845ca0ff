package web

import (
	"strings"
	"testing"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// virtualKey has a tab's browser have an authenticator in software.
func virtualKey(p *chromiumtest.Tab, verifies bool) (id string) {
	var made struct {
		AuthenticatorID string `json:"authenticatorId"`
	}
	p.Do("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
		"isUserVerified": verifies, "automaticPresenceSimulation": true,
	}}, &made)
	return made.AuthenticatorID
}

// submitPasskey presses the button of a form of passkey.js, and waits for the page that
// its answer leads to.
func submitPasskey(t *testing.T, p *chromiumtest.Tab) {
	t.Helper()
	p.Click("[data-passkey-act]")
}

// A passkey is set up in a browser, signs in alone and beside a password, and is removed.
func TestBrowserPasskey(t *testing.T) {
	dbtest.TakesVeryLong(t, "passkeys in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	p := chromiumtest.Start(t).Open(strings.Replace(h.base, "127.0.0.1", "localhost", 1))
	p.Do("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	key := virtualKey(p, true)
	signIn := func() {
		p.Visit("/login")
		p.Fill("email", "ann@example.com")
		p.Fill("password", testPassword)
		p.Click("main form button")
	}
	signOut := func() {
		p.Visit("/account/logout")
		p.Click("main form button, form[action='/account/logout'] button")
	}
	signIn()
	p.Visit("/me/second-factor/passkey")
	p.At("/me/second-factor/passkey", "Set up a passkey")
	p.Click("main form button")
	p.At("/me/second-factor/passkey", "Set up a passkey")
	p.Shoot("passkey-new")
	p.Fill("name", "My laptop")
	submitPasskey(t, p)
	p.At("/me/second-factor/passkey/add", "Recovery codes")
	p.Visit("/me/second-factor")
	p.Shoot("passkeys")
	if text := p.Text(); !strings.Contains(text, "My laptop") || !strings.Contains(text, "localhost") {
		t.Errorf("the passkey is not listed: %s", text)
	}
	signOut()
	p.Visit("/login")
	p.Shoot("login-passkey")
	submitPasskey(t, p)
	p.At("/", "Welcome, ann")
	signOut()

	// Beside a password it need not verify anybody; alone it has to.
	p.Do("WebAuthn.setUserVerified", map[string]any{"authenticatorId": key, "isUserVerified": false}, nil)
	signIn()
	p.Shoot("login-code-passkey")
	submitPasskey(t, p)
	p.At("/", "Welcome, ann")
	p.Visit("/me/second-factor")
	p.Click("a.danger[href*='/passkeys/']")
	p.Shoot("passkey-remove")
	p.Click("main form button.danger")
	p.At("/me/second-factor", "Second factor")
	if strings.Contains(p.Text(), "My laptop") {
		t.Error("the passkey is listed after it was removed")
	}
	signOut()

	p.Move(h.base) // by its address
	p.Visit("/login")
	if p.Eval(`String(document.querySelector("[data-passkey]"))`) != "null" {
		t.Error("passkeys are offered at a bare address")
	}
}
