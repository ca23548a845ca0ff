package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// clientOf asks the API as a visitor's session does.
func (v *visitor) tokens(t *testing.T) (names []string) {
	t.Helper()
	c := &api.Client{Base: v.base, HTTP: v.client}
	found, err := c.SearchTokens(t.Context(), api.ListOptions{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, hit := range found.Hits.Hits {
		names = append(names, hit.Source.Name)
	}
	return names
}

func TestFormSentTwiceMakesOneToken(t *testing.T) {
	v := newSignedIn(t)
	page := v.get("/me/tokens/new")
	once := page.hidden(t, "once")
	if again := v.get("/me/tokens/new").hidden(t, "once"); again == once || len(once) < 20 {
		t.Errorf("the form is named %q, then %q", once, again)
	}
	v.post("/me/tokens", "name", "ci", "ends", "90", "once", once).isPage(t, http.StatusOK, "Token made", "curl -H")
	v.post("/me/tokens", "name", "ci", "ends", "90", "once", once).isPage(t, http.StatusConflict, "Done already")
	if got := v.tokens(t); len(got) != 1 {
		t.Errorf("tokens: %q", got)
	}
}

// A token without an end wants the password, where that was shown long ago. A wrong one
// makes nothing, and what was typed stays.
func TestSensitiveActAsksForThePassword(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	v.post("/me/tokens", "name", "fresh", "ends", "0").isPage(t, http.StatusOK, "Token made")
	h.wait(10*time.Minute + time.Second)
	v.post("/me/tokens", "name", "harmless", "ends", "90", "rights", "these", "permissions", db.PermTokenSearch).isPage(t, http.StatusOK, "Token made")
	for _, proof := range []string{"", "wrong and wrong"} {
		a := v.post("/me/tokens", "name", "for ever", "ends", "0", "proof", proof)
		a.isPage(t, http.StatusOK, `name="proof"`, `value="for ever"`)
		if proof != "" && (strings.Contains(a.body, proof) || !strings.Contains(a.body, "password is wrong")) {
			t.Errorf("a wrong password: %s", a.body)
		}
	}
	if got := v.tokens(t); len(got) != 2 {
		t.Errorf("tokens: %q", got)
	}
	v.post("/me/tokens", "name", "for ever", "ends", "0", "proof", testPassword).isPage(t, http.StatusOK, "Token made")
	v.post("/me/tokens", "name", "and more", "ends", "0").isPage(t, http.StatusOK, "Token made")
}

// Who typed for long finds the session ended, signs in, and the form is there again with
// what was typed. Nothing was done meanwhile.
func TestFormOutlivesTheSession(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	h.wait(25 * time.Hour)
	login := v.post("/me/tokens", "name", `night "job"`, "ends", "365", "addresses", "10.0.0.0/8")
	login.isPage(t, http.StatusUnauthorized, "what you typed is kept", `name="kept_form"`)
	kept := login.hidden(t, "kept_form")
	wrong := v.post("/account/login", "password", "wrong and wrong", "kept_form", kept)
	wrong.isPage(t, http.StatusForbidden, kept)
	resume := v.post("/account/login", "password", testPassword, "kept_form", kept)
	resume.isPage(t, http.StatusOK, `action="/me/tokens"`, `name="name" value="night &#34;job&#34;"`)
	form := v.post("/me/tokens", "name", `night "job"`, "ends", "365", "addresses", "10.0.0.0/8", "kept", "yes")
	form.isPage(t, http.StatusOK, "nothing has been done yet", `value="night &#34;job&#34;"`, `value="365" selected`, "10.0.0.0/8</textarea>")
	if got := v.tokens(t); len(got) != 0 {
		t.Errorf("tokens: %q", got)
	}
	v.post("/account/login", "password", testPassword, "kept_form", "forged").leadsTo(t, "/")
}

// The language and the theme are chosen by a link, and stay.
func TestLook(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.get("/login", "Accept-Language", "zh-CN,en;q=0.5").isPage(t, http.StatusOK, `<html lang="zh">`, "登录")
	v.get("/login").isPage(t, http.StatusOK, `<html lang="en">`, `href="?lang=zh"`)
	v.get("/login?lang=zh").leadsTo(t, "/login")
	v.get("/login").isPage(t, http.StatusOK, `<html lang="zh">`)
	v.post("/account/login", "password", "wrong and wrong").isPage(t, http.StatusForbidden, `<html lang="zh">`)
	v.signIn("", testPassword)
	v.get("/me/tokens?theme=dark&q="+url.QueryEscape("a&b")).leadsTo(t, "/me/tokens?q=a%26b")
	v.get("/me/tokens").isPage(t, http.StatusOK, `<html lang="zh" data-theme="dark">`)
	v.get("/me/tokens?theme=&lang=en").leadsTo(t, "/me/tokens")
	v.get("/me/tokens").isPage(t, http.StatusOK, `<html lang="en">`)
	v.get("/login?lang=%22%3E%3Cscript%3E&theme=x").leadsTo(t, "/login")
	v.get("/me").isPage(t, http.StatusOK, `<html lang="en">`)
}

// A page shows what one may do, and nothing of what one may not.
func TestRoomsThatOneMayEnter(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	admin, ann := h.visitor(), h.visitor()
	admin.signIn("", testPassword)
	ann.signIn("ann@example.com", testPassword)
	for _, path := range []string{"/console/users", "/console/roles", "/console/tokens", "/console/sessions", "/console/audit", "/console/system", "/console/rules"} {
		link := `href="` + path + `"`
		admin.get("/me").isPage(t, http.StatusOK, link)
		if a := ann.get("/me"); strings.Contains(a.body, link) {
			t.Errorf("an ordinary user is shown the way to %s", path)
		}
	}
	ann.get("/me").isPage(t, http.StatusOK, `href="/me/sessions"`, `href="/me/account"`)
}
