package web

import (
	"encoding/base64"
	"maps"
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

// keyWalk is somebody in a browser that has an authenticator in software.
type keyWalk struct {
	*testing.T
	p   *chromiumtest.Tab
	key string
}

func newKeyWalk(t *testing.T, h *testHouse) *keyWalk {
	t.Helper()
	w := &keyWalk{T: t, p: chromiumtest.Start(t).Open(strings.Replace(h.base, "127.0.0.1", "localhost", 1))}
	w.p.Do("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	w.key = virtualKey(w.p, true)
	return w
}

func (w *keyWalk) signIn(email string) {
	w.Helper()
	w.p.Visit("/login")
	w.p.Fill("email", email)
	w.p.Fill("password", testPassword)
	w.p.Click("main form button")
}

func (w *keyWalk) signOut() {
	w.Helper()
	w.p.Visit("/account/logout")
	w.p.Visit("/me/second-factor")
	w.p.At("/login", "Sign in")
}

// use presses the button of a form of passkey.js, and waits for the page that its answer
// leads to.
func (w *keyWalk) use() {
	w.Helper()
	w.p.Click("[data-passkey-act]")
}

// setUp leads to the form that makes a passkey.
func (w *keyWalk) setUp() {
	w.Helper()
	w.p.Visit("/me/second-factor/passkey")
	w.p.Click("main form button")
	w.p.At("/me/second-factor/passkey", "Set up a passkey")
}

// goOn leaves the recovery codes behind that come with the first one.
func (w *keyWalk) goOn() {
	w.Helper()
	w.p.At("/me/second-factor/passkey/add", "Recovery codes")
	w.p.Eval(`document.querySelector("form.acts input[type=checkbox]").click()`)
	w.p.Click("form.acts button")
}

// verifies sets whether the authenticator verifies who uses it.
func (w *keyWalk) verifies(does bool) {
	w.Helper()
	w.p.Do("WebAuthn.setUserVerified", map[string]any{"authenticatorId": w.key, "isUserVerified": does}, nil)
}

// told is what passkey.js says, once it does.
func (w *keyWalk) told() string {
	w.Helper()
	return w.p.Eval(`new Promise(done => {
		const told = document.querySelector("[data-passkey-told]");
		new MutationObserver(() => told.hidden || done(told.textContent)).observe(told, { attributes: true });
		document.querySelector("[data-passkey-act]").click();
	})`)
}

// A passkey is set up in a browser, signs in alone and beside a password, and is removed.
func TestBrowserPasskey(t *testing.T) {
	dbtest.TakesVeryLong(t, "passkeys in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	w := newKeyWalk(t, h)
	w.signIn("ann@example.com")
	w.setUp()
	w.p.Shoot("passkey-new")
	w.p.Fill("name", "My laptop")
	w.use()
	w.goOn()
	w.p.Shoot("passkeys")
	if text := w.p.Text(); !strings.Contains(text, "My laptop") || !strings.Contains(text, "localhost") {
		t.Errorf("the passkey is not listed: %s", text)
	}
	w.setUp()
	w.p.Fill("name", "Again")
	if told := w.told(); told != "This device has a passkey for your account already." {
		t.Errorf("of a second one on one device is told %q", told)
	}
	w.signOut()
	w.p.Visit("/login")
	w.p.Shoot("login-passkey")
	w.use()
	w.p.At("/", "Welcome, ann")
	w.signOut()

	// Beside a password it need not verify anybody; alone it has to.
	w.verifies(false)
	w.p.Visit("/login")
	if told := w.told(); told == "" {
		t.Error("a passkey that verifies nobody is used alone, or nothing is said")
	}
	w.signIn("ann@example.com")
	w.p.Shoot("login-code-passkey")
	w.use()
	w.p.At("/", "Welcome, ann")
	w.p.Visit("/me/second-factor")
	w.p.Click("a.danger[href*='/passkeys/']")
	w.p.Shoot("passkey-remove")
	w.p.Click("main form button.danger")
	w.p.At("/me/second-factor", "Second factor")
	if strings.Contains(w.p.Text(), "My laptop") {
		t.Error("the passkey is listed after it was removed")
	}
	w.signOut()
}

// Two people have passkeys in one browser. In the second step of a sign-in only one's own
// is asked for; alone, whose passkey is used is signed in, and nobody else.
func TestBrowserPasskeysOfTwo(t *testing.T) {
	dbtest.TakesVeryLong(t, "passkeys in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	names := []string{"ann", "bob"}
	ids := map[string]string{}
	w := newKeyWalk(t, h)
	for _, name := range names {
		ids[h.user(name+"@example.com", testPassword, false).ID] = name
		w.signIn(name + "@example.com")
		w.setUp()
		w.p.Fill("name", "Shared tablet")
		w.use()
		w.goOn()
		w.signOut()
	}
	for _, name := range names {
		w.signIn(name + "@example.com")
		w.use()
		w.p.At("/", "Welcome, "+name)
		w.signOut()
	}
	for _, left := range []int{1, 0} {
		w.p.Visit("/login")
		w.use()
		who := strings.TrimPrefix(w.p.Eval("document.querySelector('h1').textContent"), "Welcome, ")
		w.signOut()
		owners := w.owners()
		maps.DeleteFunc(owners, func(credential, id string) bool {
			if ids[id] != who {
				return false
			}
			w.p.Do("WebAuthn.removeCredential", map[string]any{"authenticatorId": w.key, "credentialId": credential}, nil)
			return true
		})
		if len(owners) != left { // the last one signs in whose it is
			t.Errorf("%q is signed in, and these had passkeys: %v", who, owners)
		}
	}
}

// owners tells by the passkeys of the authenticator whose they are.
func (w *keyWalk) owners() map[string]string {
	w.Helper()
	var kept struct {
		Credentials []struct {
			CredentialID string `json:"credentialId"`
			UserHandle   string `json:"userHandle"`
		}
	}
	w.p.Do("WebAuthn.getCredentials", map[string]any{"authenticatorId": w.key}, &kept)
	all := map[string]string{}
	for _, one := range kept.Credentials {
		id, err := base64.StdEncoding.DecodeString(one.UserHandle)
		if err != nil {
			w.Fatal(err)
		}
		all[one.CredentialID] = string(id)
	}
	return all
}

// Where browsers use no passkey, at a bare address, none is offered, and it is said why.
func TestBrowserPasskeyNotAtAddress(t *testing.T) {
	dbtest.TakesVeryLong(t, "passkeys in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	browser := chromiumtest.Start(t)
	named, bare := browser.Open(strings.Replace(h.base, "127.0.0.1", "localhost", 1)), browser.Open(h.base)
	offered := func(p *chromiumtest.Tab) string {
		return p.Eval(`String(document.querySelectorAll("[data-passkey], a[href$='/passkey']").length)`)
	}
	for p, want := range map[*chromiumtest.Tab]string{named: "1", bare: "0"} {
		p.Visit("/login")
		p.At("/login", "Sign in")
		if got := offered(p); got != want {
			t.Errorf("before a sign-in %s passkeys are offered, not %s", got, want)
		}
	}
	for p, want := range map[*chromiumtest.Tab]string{named: "1", bare: "0"} {
		w := &keyWalk{T: t, p: p}
		w.signIn("ann@example.com")
		p.Visit("/me/second-factor")
		p.At("/me/second-factor", "Second factor")
		if got, why := offered(p), strings.Contains(p.Text(), "browsers use them at names alone"); got != want || why != (want == "0") {
			t.Errorf("%s passkeys are offered, not %s:\n%s", got, want, p.Text())
		}
	}
}
