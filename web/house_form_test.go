package web

import (
	"net/http"
	"net/url"
	"strconv"
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

// Who is told that a form was done is led on to a page that there is: to most forms
// none is sent by GET.
func TestDoneAlreadyLeadsOn(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	id, _ := v.makeToken("nightly")
	for path, back := range map[string]string{
		"/me/sessions/others/end":           "/me/sessions",
		"/me/tokens/" + id + "/revoke":      "/me/tokens",
		"/console/sessions/x/end":           "/console/sessions",
		"/connect" + "?" + desktopQuery[1:]: "/me",
	} {
		form := []string{"once", "a name of twenty letters", "product", "coco", "provider", "x", "request_id", testRequest}
		if !strings.HasPrefix(path, "/connect") {
			form = form[:2]
		}
		v.post(path, form...)
		v.post(path, form...).isPage(t, http.StatusConflict, "Done already", `href="`+back+`"`)
		v.get(back).isPage(t, http.StatusOK)
	}
}

// A form that was shown again for the password was not done: who clicked twice is shown
// the same form, and not told that it was done; sent once more it is.
func TestFormThatWantsAProofIsNotDone(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	h.wait(11 * time.Minute)
	form := []string{"name", "for ever", "ends", "0", "once", "a name of twenty letters"}
	for range 2 {
		v.post("/me/tokens", form...).isPage(t, http.StatusOK, "Show your password once more", "Nothing has been done yet")
	}
	v.post("/me/tokens", append(form, "proof", "wrong and wrong")...).isPage(t, http.StatusOK, "password is wrong")
	v.post("/me/tokens", append(form, "proof", testPassword)...).isPage(t, http.StatusOK, "Token made")
	v.post("/me/tokens", append(form, "proof", testPassword)...).isPage(t, http.StatusConflict, "Done already")
	if got := v.tokens(t); len(got) != 1 {
		t.Errorf("tokens: %q", got)
	}
}

// Who typed for long finds the session ended, signs in, and the form is there again with
// what was typed. Nothing was done meanwhile.
func TestFormOutlivesTheSession(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	by := v.get("/me/tokens/new").hidden(t, "by")
	h.wait(25 * time.Hour)
	login := v.post("/me/tokens", "name", `night "job"`, "ends", "365", "addresses", "10.0.0.0/8", "by", by)
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
	v.post("/account/login", "password", testPassword, "kept_form", "forged").isPage(t, http.StatusOK, "You are signed in", "Nothing has been done")
	h.wait(25 * time.Hour)
	v.post("/me/tokens", "name", strings.Repeat("x", 33<<10), "by", by).isPage(t, http.StatusUnauthorized, "What you typed could not be kept")
}

// Who signs in after somebody else, at the same browser, gets nothing of what they
// typed: neither by the form that the browser sends, nor by one that was made for it.
func TestFormOfSomebodyElseIsNotShown(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	ann := h.newAnn()
	bob := h.user("bob@example.com", testPassword, false)
	his := h.signedIn(bob.Email).get("/me/tokens/new").hidden(t, "by")
	by := ann.get("/me/tokens/new").hidden(t, "by")
	if his == by || strings.Contains(by, "ann") {
		t.Errorf("the forms are marked %q and %q", by, his)
	}
	ann.post("/account/logout")
	sent := func(mark string) string {
		a := ann.post("/me/tokens", "name", "a secret plan", "ends", "30", "by", mark)
		a.isPage(t, http.StatusUnauthorized, "what you typed is kept")
		return a.hidden(t, "kept_form")
	}
	kept := sent(by)
	a := ann.post("/account/login", "email", bob.Email, "password", testPassword, "kept_form", kept)
	a.isPage(t, http.StatusOK, "You are signed in", "somebody else typed it", "Nothing has been done")
	a.lacks(t, "a secret plan", "kept_form")
	if in, err := ann.asks().Profile(t.Context()); err != nil || in.Email != bob.Email {
		t.Errorf("signed in as %q: %v", in.Email, err)
	}
	ann.post("/account/logout")
	a = ann.post("/account/login", "email", bob.Email, "password", testPassword, "kept_form", sent("x"))
	a.isPage(t, http.StatusOK, "You are signed in")
	a.lacks(t, "a secret plan")
	ann.post("/account/logout")
	ann.post("/account/login", "email", annEmailHere, "password", testPassword, "kept_form", kept).isPage(t, http.StatusOK, "a secret plan")
	ann.post("/account/logout")
	ann.post("/me/tokens", "name", "a secret plan", "ends", "30").isPage(t, http.StatusUnauthorized, "could not be kept")
}

// A form acts for whom it was shown: sent by whoever has signed in since at the same
// browser, it does nothing, and shows nothing of what was typed.
func TestFormActsForWhomItWasShown(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	ann := h.newAnn()
	h.user("bob@example.com", testPassword, false)
	h.signedIn(annEmailHere)
	by := ann.get("/me/tokens/new").hidden(t, "by")
	if got := ann.get("/me/sessions").hidden(t, "by"); got != by {
		t.Errorf("her forms are marked %q and %q", by, got)
	}
	ann.post("/account/logout")
	ann.signIn("bob@example.com", testPassword)
	other := h.signedIn("bob@example.com")
	for _, more := range [][]string{{}, {"once", "a name of twenty letters"}, {"kept", "yes"}, {"proof", testPassword}} {
		a := ann.post("/me/tokens", append(more, "name", "hers", "ends", "90", "by", by)...)
		a.isPage(t, http.StatusConflict, "Somebody else&#39;s form", "Nothing has been done")
		a.lacks(t, "hers")
	}
	ann.post("/me/sessions/others/end", "by", by).isPage(t, http.StatusConflict, "Somebody else&#39;s form")
	other.get("/me").isPage(t, http.StatusOK)
	if got := ann.tokens(t); len(got) != 0 {
		t.Errorf("tokens: %q", got)
	}
	mine := ann.get("/me/tokens/new").hidden(t, "by")
	ann.post("/me/tokens", "name", "his", "ends", "90", "by", mine).isPage(t, http.StatusOK, "Token made")
	ann.get("/me/sessions").isPage(t, http.StatusOK, `name="by" value="`+mine+`"`)
}

// A form is of the session that sends it: another one, of whomever, does its own.
func TestFormsOfTwoSessions(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	ann := h.newAnn()
	h.user("bob@example.com", testPassword, false)
	same := []string{"name", "ci", "ends", "90", "once", "a name of twenty letters"}
	other, bob := h.signedIn(annEmailHere), h.signedIn("bob@example.com")
	for _, v := range []*visitor{ann, other, bob} {
		v.post("/me/tokens", same...).isPage(t, http.StatusOK, "Token made")
		v.post("/me/tokens", same...).isPage(t, http.StatusConflict, "Done already")
		v.get("/me?lang=zh") // another cookie makes no other session
		v.post("/me/tokens", same...).isPage(t, http.StatusConflict)
	}
	for _, v := range []*visitor{ann, other} {
		if got := v.tokens(t); len(got) != 2 {
			t.Errorf("tokens of ann: %q", got)
		}
	}
}

// However often one user, and whoever is not signed in, sends forms: a form of another
// one that was done stays done.
func TestFloodOfForms(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.Quotas.Changes = -1 })
	ann := h.newAnn()
	h.user("bob@example.com", testPassword, false)
	bob, stranger := h.signedIn("bob@example.com"), h.visitor()
	form := []string{"name", "ci", "ends", "90", "once", "ann's"}
	ann.post("/me/tokens", form...).isPage(t, http.StatusOK, "Token made")
	for i := range 4200 {
		once := strconv.Itoa(i)
		if a := bob.post("/me/sessions/others/end", "once", once); a.StatusCode != http.StatusSeeOther {
			t.Fatal(a.StatusCode)
		}
		if i%20 == 0 {
			stranger.post("/account/login", "password", "", "once", once)
		}
	}
	ann.post("/me/tokens", form...).isPage(t, http.StatusConflict, "Done already")
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
