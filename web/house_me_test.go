package web

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/gate"
)

const annEmailHere = "ann@example.com"

// newAnn is a visitor who is signed in as a user of the role that all have.
func (h *testHouse) newAnn() *visitor {
	h.Helper()
	h.user("", testPassword, false) // or nobody signs in
	h.user(annEmailHere, testPassword, false)
	return h.signedIn(annEmailHere)
}

func (h *testHouse) signedIn(email string) *visitor {
	h.Helper()
	v := h.visitor()
	v.signIn(email, testPassword)
	return v
}

// send posts a form, of which a name may have several values.
func (v *visitor) send(path string, form url.Values) answer {
	v.Helper()
	return v.do("POST", path, formType, form.Encode())
}

// allTokens are all that there are, the newest first.
func (h *testHouse) allTokens() []*db.Token {
	h.Helper()
	page, err := h.Store.Tokens(h.Context(), db.ListQuery{Size: 100})
	if err != nil {
		h.Fatal(err)
	}
	return page.Items
}

// secret is what the page shows once.
func (a answer) secret(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`id="secret" value="([^"]+)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no secret in\n%s", a.body)
	}
	return m[1]
}

// lacks fails where the page has one of the texts.
func (a answer) lacks(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("the page has %q:\n%s", text, a.body)
		}
	}
}

// works tells whether an API token is good.
func (h *testHouse) works(secret string) bool {
	h.Helper()
	return h.visitor().get("/account/profile", "X-Api-Token", secret).StatusCode == http.StatusOK
}

// makeToken makes one by the page, which is good for its owner's all.
func (v *visitor) makeToken(name string) (id, secret string) {
	v.Helper()
	v.wait(time.Second)
	a := v.post("/me/tokens", "name", name, "ends", "90", "rights", "all")
	a.isPage(v.T, http.StatusOK, "Token made", name)
	return v.allTokens()[0].ID, a.secret(v.T)
}

func TestMyTokens(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	v.get("/me/tokens").isPage(t, http.StatusOK, "You have no token. Make one", `href="/me/tokens/new"`)
	page := v.get("/me/tokens/new")
	page.isPage(t, http.StatusOK, "Make API tokens", `value="`+db.PermTokenCreate+`"`)
	page.lacks(t, db.PermUserCreate, `name="owner"`)

	form := url.Values{"once": {page.hidden(t, "once")}, "name": {"nightly"}, "description": {"of the wiki"}, "ends": {"date"}, "end_date": {"2027-01-31"}, "rights": {"these"},
		"permissions": {db.PermTokenSearch, db.PermTokenCreate}, "addresses": {"10.0.0.0/8\r\n192.0.2.7"}, "hosts": {"wiki.example.com"}, "paths": {"/api/"}, "methods": {"POST"}}
	made := v.send("/me/tokens", form)
	made.isPage(t, http.StatusOK, "Token made", "-X POST &#39;http://wiki.example.com/api/&#39;")
	v.send("/me/tokens", form).isPage(t, http.StatusConflict, "Done already")
	all := h.allTokens()
	if len(all) != 1 {
		t.Fatalf("%d tokens of one form", len(all))
	}
	k := all[0]
	if k.Name != "nightly" || k.Description != "of the wiki" || k.Expires != time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC).Unix() || len(k.Permissions) != 2 ||
		len(k.AllowedIPs) != 2 || k.AllowedHosts[0] != "wiki.example.com" || k.AllowedPaths[0] != "/api/" || k.AllowedMethods[0] != "POST" {
		t.Errorf("%+v", k)
	}
	secret := made.secret(t)
	path := "/me/tokens/" + k.ID
	page = v.get(path)
	page.isPage(t, http.StatusOK, "nightly", "of the wiki", "Make API tokens", "wiki.example.com", "applications behind the gate alone", path+"/edit", path+"/rotate", path+"/revoke")
	page.lacks(t, secret)

	edit := v.get(path + "/edit")
	edit.isPage(t, http.StatusOK, `value="nightly"`, "10.0.0.0/8\n192.0.2.7/32</textarea>", `value="`+db.PermTokenSearch+`" checked`)
	change := url.Values{"seen": {edit.hidden(t, "seen")}, "name": {"daily"}, "permissions": {db.PermTokenSearch}}
	h.wait(time.Second)
	v.send(path+"/edit", change).leadsTo(t, path+"?done=changed")
	v.get(path+"?done=changed").isPage(t, http.StatusOK, "The token is changed.", "daily", "From anywhere")
	if k := h.allTokens()[0]; k.Name != "daily" || k.Description != "" || len(k.Permissions) != 1 || len(k.AllowedIPs)+len(k.AllowedHosts)+len(k.AllowedPaths)+len(k.AllowedMethods) != 0 {
		t.Errorf("%+v", k)
	}
	change.Set("name", "weekly")
	v.send(path+"/edit", change).isPage(t, http.StatusConflict, "changed meanwhile", `value="daily"`)

	v.get(path+"/revoke").isPage(t, http.StatusOK, "Revoke daily?", "It was never used.")
	v.post(path+"/revoke").leadsTo(t, "/me/tokens?done=revoked")
	v.get(path).isPage(t, http.StatusNotFound)
	v.get("/me/tokens/ended").isPage(t, http.StatusOK, "daily", "revoked", "you")
}

// What is wrong stands at its field, with what was typed; nothing is made.
func TestTokenFormRefuses(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	good := map[string]string{"name": "nightly", "ends": "90", "rights": "all"}
	for name, c := range map[string]struct {
		field, value string
		status       int
		want         []string
	}{
		"no permission":    {"rights", "these", 400, []string{"Choose at least one permission.", `value="these" checked`}},
		"no such date":     {"ends", "date", 400, []string{`id="end_date-problem"`, `value="date" selected`}},
		"a strange life":   {"ends", "-5", 400, []string{`id="ends-problem"`}},
		"a strange host":   {"hosts", "a b:c", 400, []string{`id="hosts-problem"`, "a b:c</textarea>", "limits\" open"}},
		"a strange path":   {"paths", "x?y", 400, []string{`id="paths-problem"`}},
		"a strange method": {"methods", "get", 400, []string{`id="methods-problem"`}},
		"no address":       {"addresses", "everywhere", 400, []string{`id="addresses-problem"`}},
		"a long name":      {"name", strings.Repeat("n", 300), 400, []string{`id="name-problem"`}},
		"for another":      {"owner", "coco-default-user", 403, []string{"only an administrator", `class="problem"`}},
		"a permission":     {"permissions", db.PermUserCreate, 403, []string{"can&#39;t have more rights"}},
	} {
		form := url.Values{}
		for name, value := range good {
			form.Set(name, value)
		}
		form.Set(c.field, c.value)
		if c.field == "permissions" {
			form.Set("rights", "these")
		}
		a := v.send("/me/tokens", form)
		if a.isPage(t, c.status, `name="once"`); t.Failed() {
			t.Fatal(name)
		}
		for _, want := range c.want {
			if !strings.Contains(strings.ToLower(a.body), strings.ToLower(want)) {
				t.Errorf("%s: no %q in\n%s", name, want, a.body)
			}
		}
	}
	if n := len(h.allTokens()); n != 0 {
		t.Errorf("%d tokens", n)
	}
}

// Two steps: both secrets are good, until one is ended.
func TestRotateToken(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	id, old := v.makeToken("nightly")
	path := "/me/tokens/" + id
	v.get(path+"/rotate").isPage(t, http.StatusOK, "Rotate nightly?")
	a := v.post(path + "/rotate")
	a.isPage(t, http.StatusOK, "Both secrets of nightly are good now")
	fresh := a.secret(t)
	if a.hidden(t, "secret") != fresh || fresh == old || !h.works(old) || !h.works(fresh) {
		t.Error("one of the two secrets is not good")
	}
	page := v.get(path)
	page.isPage(t, http.StatusOK, "A rotation waits", path+"/settle")
	page.lacks(t, fresh)
	v.get(path+"/rotate").isPage(t, http.StatusOK, "takes its place")
	wrong := v.post(path+"/settle", "secret", old, "grace", "1h")
	wrong.isPage(t, http.StatusConflict, `id="secret-problem"`, `value="1h" selected`)
	wrong.lacks(t, old)
	v.post(path+"/settle", "secret", fresh, "grace", "1h").leadsTo(t, path+"?done=settled")
	v.get(path+"?done=settled").isPage(t, http.StatusOK, "The rotation is done", "Old secret", "good until <time ")
	if !h.works(old) || !h.works(fresh) {
		t.Error("not both are good in the time of grace")
	}
	h.wait(61 * time.Minute)
	if h.works(old) || !h.works(fresh) {
		t.Error("after the grace the new one alone is good")
	}
	again := v.post(path + "/rotate").secret(t)
	v.post(path+"/settle", "secret", again, "undo", "yes").leadsTo(t, path+"?done=undone")
	if h.works(again) || !h.works(fresh) {
		t.Error("undone, the old one alone is good")
	}
	other := h.user("bob@example.com", testPassword, false)
	h.signedIn(other.Email).post(path+"/rotate").isPage(t, http.StatusNotFound)
}

// An administrator's token that may do all, or never ends, wants the password.
func TestSensitiveTokens(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	h := v.testHouse
	id, _ := v.makeToken("first")
	h.wait(11 * time.Minute)
	sensitive := map[string][]string{
		"all":     {"name", "mine <b>", "ends", "90", "rights", "all"},
		"endless": {"name", "mine <b>", "ends", "0", "rights", "these", "permissions", db.PermTokenSearch},
		"star":    {"name", "mine <b>", "ends", "90", "rights", "these", "permissions", "*"},
	}
	for name, form := range sensitive {
		a := v.post("/me/tokens", form...)
		a.isPage(t, http.StatusOK, "Show your password once more", `name="proof"`, `value="mine &lt;b&gt;"`)
		a = v.post("/me/tokens", append(form, "proof", "wrong and wrong")...)
		a.isPage(t, http.StatusOK, `id="proof-problem"`)
		a.lacks(t, "wrong and wrong", "Token made")
		if n := len(h.allTokens()); n != 1 {
			t.Fatalf("%s: %d tokens", name, n)
		}
	}
	for _, one := range powersHere {
		v.send("/me/tokens", url.Values{"name": {"x"}, "ends": {"90"}, "rights": {"these"}, "permissions": {db.PermTokenSearch, one}}).isPage(t, http.StatusOK, "Show your password once more")
	}
	v.post("/me/tokens/"+id+"/rotate").isPage(t, http.StatusOK, `name="proof"`)
	v.post("/me/tokens", "name", "narrow", "ends", "90", "rights", "these", "permissions", db.PermTokenSearch).isPage(t, http.StatusOK, "Token made")
	v.post("/me/tokens", append(sensitive["endless"], "proof", testPassword)...).isPage(t, http.StatusOK, "Token made")
}

// powersHere are the permissions by which one comes to others.
var powersHere = []string{db.PermUserCreate, db.PermUserUpdate, db.PermRoleCreate, db.PermRoleUpdate, db.PermBackup, db.PermKeys}

// Whoever may give others rights, and is no administrator, is asked as one is: for a
// token that may, and for one that may all that they may. One permission less makes no
// other token of it.
func TestSensitiveTokensOfAHelpdesk(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	if err := h.Store.CreateRole(t.Context(), localActor, "helpdesk", db.RoleChange{Permissions: []string{db.PermUserSearch, db.PermUserUpdate}}); err != nil {
		t.Fatal(err)
	}
	h.user("kim@example.com", testPassword, false, "user", "helpdesk")
	h.user("ann@example.com", testPassword, false)
	admin := h.visitor()
	admin.signIn("", testPassword)
	kim, ann := h.signedIn("kim@example.com"), h.signedIn("ann@example.com")
	h.wait(11 * time.Minute)
	for _, form := range [][]string{
		{"rights", "all"},
		{"rights", "these", "permissions", db.PermUserUpdate},
	} {
		kim.post("/me/tokens", append(form, "name", "x", "ends", "90")...).isPage(t, http.StatusOK, `name="proof"`)
	}
	kim.get("/connect"+desktopQuery).isPage(t, http.StatusOK, `name="proof"`)
	kim.post("/me/tokens", "name", "x", "ends", "90", "rights", "these", "permissions", db.PermUserSearch).isPage(t, http.StatusOK, "Token made")
	ann.post("/me/tokens", "name", "x", "ends", "90", "rights", "all").isPage(t, http.StatusOK, "Token made")
	ann.get("/connect"+desktopQuery).lacks(t, `name="proof"`)
	almost := slices.DeleteFunc(db.BuiltinPermissions(), func(key string) bool { return key == db.PermPermissionRead })
	a := admin.send("/me/tokens", url.Values{"name": {"almost"}, "ends": {"90"}, "rights": {"these"}, "permissions": almost})
	a.isPage(t, http.StatusOK, "Show your password once more", `name="proof"`)
	if n := len(h.allTokens()); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

// What a token may not be made without the password for, it does not become by an edit,
// and is given no new secret for, whatever form says so.
func TestSensitiveTokensByOtherForms(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	h := v.testHouse
	all := db.BuiltinPermissions()
	v.send("/me/tokens", url.Values{"name": {"every one"}, "ends": {"90"}, "rights": {"these"}, "permissions": all}).isPage(t, http.StatusOK, "Token made")
	listed := h.allTokens()[0].ID
	h.wait(time.Second)
	v.post("/me/tokens", "name", "far", "ends", "date", "end_date", "2261-01-01", "rights", "these", "permissions", db.PermTokenSearch).isPage(t, http.StatusOK, "Token made")
	far := h.allTokens()[0].ID
	h.wait(11 * time.Minute)
	v.post("/me/tokens", "name", "narrow", "ends", "90", "rights", "these", "permissions", db.PermTokenSearch).isPage(t, http.StatusOK, "Token made")
	narrow := h.allTokens()[0].ID
	for name, permissions := range map[string][]string{"star": {"*"}, "each": all, "one": {db.PermUserUpdate}, "a few": powersHere} {
		a := v.send("/me/tokens/"+narrow+"/edit", url.Values{"name": {"narrow"}, "permissions": permissions})
		a.isPage(t, http.StatusOK, "Show your password once more", `name="proof"`)
		if k := h.allTokens()[0]; len(k.Permissions) != 1 {
			t.Errorf("%s: %v", name, k.Permissions)
		}
	}
	v.send("/me/tokens/"+narrow+"/edit", url.Values{"name": {"narrow"}, "permissions": {db.PermTokenCreate}}).leadsTo(t, "/me/tokens/"+narrow+"?done=changed")
	for _, id := range []string{listed, far} {
		v.post("/me/tokens/"+id+"/rotate").isPage(t, http.StatusOK, `name="proof"`)
	}
	for _, day := range []string{"2027-11-25", "2261-01-01"} {
		v.post("/me/tokens", "name", "far", "ends", "date", "end_date", day, "rights", "these", "permissions", db.PermTokenSearch).isPage(t, http.StatusOK, `name="proof"`, day)
	}
	page := v.get("/connect" + desktopQuery)
	page.isPage(t, http.StatusOK, `name="proof"`)
	connect := []string{"product", "coco", "provider", "coco-cloud", "request_id", testRequest}
	a := v.post("/connect", connect...)
	a.isPage(t, http.StatusOK, "Show your password once more", `name="proof"`, testRequest)
	a.lacks(t, "coco://")
	if n := len(h.allTokens()); n != 3 {
		t.Errorf("%d tokens", n)
	}
	v.post("/connect", append(connect, "proof", testPassword)...).isPage(t, http.StatusOK, "is connected")
}

func TestTokenFormOutlivesTheSession(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	id, _ := v.makeToken("nightly")
	by := v.get("/me/tokens/new").hidden(t, "by")
	for path, form := range map[string][]string{
		"/me/tokens":                 {"name", "kept <i>", "ends", "30", "rights", "these", "permissions", db.PermTokenSearch},
		"/me/tokens/" + id + "/edit": {"name", "kept <i>", "rights", "these", "permissions", db.PermTokenSearch},
	} {
		v.post("/account/logout")
		a := v.post(path, append(form, "by", by)...)
		a.isPage(t, http.StatusUnauthorized, "what you typed is kept")
		a = v.post("/account/login", "email", annEmailHere, "password", testPassword, "kept_form", a.hidden(t, "kept_form"))
		a.isPage(t, http.StatusOK, `action="`+path+`"`, `value="kept &lt;i&gt;"`)
		a = v.post(path, append(form, "kept", "yes")...)
		a.isPage(t, http.StatusOK, "nothing has been done yet", `value="kept &lt;i&gt;"`, `value="`+db.PermTokenSearch+`" checked`)
	}
	if k := h.allTokens(); len(k) != 1 || k[0].Name != "nightly" {
		t.Errorf("%d tokens, %+v", len(k), k[0])
	}
}

func TestEverybodysTokens(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	ann, admin := h.newAnn(), h.signedIn("")
	id, _ := ann.makeToken("of ann")
	admin.makeToken("of the administrator")
	for _, path := range []string{"/console/tokens", "/console/tokens/ended"} {
		ann.get(path).isPage(t, http.StatusForbidden, "ask an administrator")
	}
	admin.get("/console/tokens").isPage(t, http.StatusOK, "of ann", "of the administrator", annEmailHere)
	for query, want := range map[string]struct{ with, without string }{
		"owner=" + annEmailHere:              {"of ann", "of the administrator"},
		"owner=nobody@example.com":           {`class="problem"`, "of ann"},
		"q=administrator":                    {"of the administrator", "of ann"},
		"filter=never":                       {"of ann", `class="problem"`},
		"filter=no_expiry":                   {"Nothing matches.", "of ann"},
		"filter=%22%3E%3Cscript%3E":          {`class="problem"`, "<script>"},
		"address=nowhere":                    {`class="problem"`, "of ann"},
		"address=192.0.2.7":                  {"Nothing matches.", "of ann"},
		"after=nonsense":                     {`class="problem"`, "of ann"},
		"filter=expiring&address=10.0.0.0/8": {"Nothing matches.", `class="problem"`},
	} {
		a := admin.get("/console/tokens?" + query)
		a.isPage(t, http.StatusOK, want.with)
		a.lacks(t, want.without)
	}
	path := "/console/tokens/" + id
	page := admin.get(path)
	page.isPage(t, http.StatusOK, "of ann", annEmailHere, "/console/users/", path+"/revoke")
	page.lacks(t, "/rotate")
	admin.get("/me/tokens/"+id).isPage(t, http.StatusOK, path+"/revoke")
	admin.post(path+"/rotate").isPage(t, http.StatusForbidden, "only one&#39;s own tokens")
	admin.post(path+"/edit", "name", "renamed", "rights", "all").leadsTo(t, path+"?done=changed")
	h.wait(time.Second)
	admin.post("/console/tokens", "name", "for ann", "owner", annEmailHere, "ends", "30", "rights", "all").isPage(t, http.StatusOK, "Token made")
	if k := h.allTokens()[0]; k.Name != "for ann" || k.Owner == db.SingleUser {
		t.Errorf("%+v", k)
	}
	admin.get(path+"/revoke").isPage(t, http.StatusOK, "Revoke renamed?", "It belongs to "+annEmailHere)
	admin.post(path+"/revoke").leadsTo(t, "/console/tokens?done=revoked")
	admin.get("/console/tokens/ended?owner="+annEmailHere).isPage(t, http.StatusOK, "renamed", annEmailHere)
	ann.get("/me/tokens/ended").isPage(t, http.StatusOK, "renamed")
}

func TestTokensThatEndSoonStandOnTop(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	v.makeToken("long")
	v.get("/me/tokens").lacks(t, "Ends soon")
	v.post("/me/tokens", "name", "short", "ends", "30", "rights", "all")
	h.wait(time.Hour)
	v.get("/me/tokens").isPage(t, http.StatusOK, "Ends soon", "ends in 29 days")
	v.get("/me/tokens?q=long").lacks(t, "Ends soon")
	v.get("/me").isPage(t, http.StatusOK, "Tokens that end soon", "short")
}

func TestMySessions(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	other := h.visitor()
	other.do("POST", "/account/login", formType, url.Values{"email": {annEmailHere}, "password": {testPassword}}.Encode(),
		"User-Agent", "Mozilla/5.0 (Windows NT 10.0; rv:133.0) Gecko/20100101 Firefox/133.0").leadsTo(t, "/")
	third := h.signedIn(annEmailHere)
	page := v.get("/me/sessions")
	page.isPage(t, http.StatusOK, "this one", "Firefox on Windows", "127.0.0.1", "End all others", `href="/me/sessions/signout"`)
	v.get("/me").isPage(t, http.StatusOK, "Signed in elsewhere")
	end := regexp.MustCompile(`Firefox on Windows(?s:.*?)action="(/me/sessions/[^"]+/end)"`).FindStringSubmatch(page.body)
	if end == nil {
		t.Fatal(page.body)
	}
	v.post(end[1]).leadsTo(t, "/me/sessions?done=ended")
	v.post(end[1]).leadsTo(t, "/me/sessions?done=ended")
	other.get("/me").leadsTo(t, other.get("/me").Header.Get("Location"))
	third.get("/me").isPage(t, http.StatusOK)
	v.post("/me/sessions/others/end").leadsTo(t, "/me/sessions?done=others")
	if a := third.get("/me"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("another sign-in goes on: %d", a.StatusCode)
	}
	page = v.get("/me/sessions?done=others")
	page.isPage(t, http.StatusOK, "All your other sign-ins are ended.")
	page.lacks(t, "End all others", "/end\"")
	bob := h.user("bob@example.com", testPassword, false)
	h.signedIn(bob.Email).post("/me/sessions/"+sessionOf(t, h, annEmailHere)+"/end").leadsTo(t, "/me/sessions?done=ended")
	v.get("/me/sessions/signout").isPage(t, http.StatusOK, `action="/account/logout"`)
	v.get("/me").isPage(t, http.StatusOK)
}

// sessionOf is the id of a session of somebody.
func sessionOf(t *testing.T, h *testHouse, email string) string {
	t.Helper()
	u, err := h.Store.FindUser(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	page, err := h.Store.Sessions(t.Context(), db.ListQuery{Owner: u.ID, Size: 1})
	if err != nil || len(page.Items) == 0 {
		t.Fatal(err)
	}
	return page.Items[0].ID
}

func TestMyAccount(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	v.get("/me/account").isPage(t, http.StatusOK, annEmailHere, "What you may do", "Make API tokens", `href="?lang=zh"`, `href="?theme=dark"`, `href="/password"`)
	page := v.get("/password")
	page.isPage(t, http.StatusOK, `aria-current="page">Account`, `data-strength="new"`)
	for field, form := range map[string][]string{
		"old":   {"old_password", "wrong and wrong", "new_password", "another good one", "again", "another good one"},
		"new":   {"old_password", testPassword, "new_password", "short", "again", "short"},
		"again": {"old_password", testPassword, "new_password", "another good one", "again", "another good two"},
	} {
		a := v.post("/password", form...)
		if !strings.Contains(a.body, `id="`+field+`-problem"`) || strings.Count(a.body, `class="problem"`) != 1 || a.StatusCode < 400 {
			t.Errorf("%s: %d %s", field, a.StatusCode, a.body)
		}
	}
	v.post("/password", "old_password", testPassword, "new_password", "another good one", "again", "another good one", "return", page.hidden(t, "return")).leadsTo(t, "/me/account?done=password")
	v.get("/me/account?done=password").isPage(t, http.StatusOK, "Your password is changed.")
	h.signedIn("").get("/me/account").isPage(t, http.StatusOK, "You are an administrator", "Account since")
}

func TestMyApplications(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v, admin := h.newAnn(), h.signedIn("")
	page := v.get("/me/applications")
	page.isPage(t, http.StatusOK, "ask an administrator")
	page.lacks(t, "/console/manual/gate")
	admin.get("/me/applications").isPage(t, http.StatusOK, `href="/console/manual/gate"`)
	rules, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "wiki.example.com", Require: []string{"any"}}, {Host: "status.example.com", Require: []string{"public"}}, {Host: "keys.example.com", Require: []string{"role:none"}},
	}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h.SetGate(rules)
	page = v.get("/me/applications")
	page.isPage(t, http.StatusOK, `href="https://wiki.example.com/"`, `href="https://status.example.com/"`, "open to everybody")
	page.lacks(t, "keys.example.com")
	if strings.Count(page.body, "open to everybody") != 1 {
		t.Error("not one of them is public")
	}
	v.get("/me").isPage(t, http.StatusOK, `href="https://wiki.example.com/"`)
}

// The three steps are for an administrator, until they are done or hidden.
func TestFirstSteps(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v, admin := h.newAnn(), h.signedIn("")
	v.get("/me").lacks(t, "Three steps")
	page := admin.get("/me")
	page.isPage(t, http.StatusOK, "Three steps", `href="/me/tokens/new"`, `href="/console/manual/gate"`, `href="/console/system/backups"`)
	page.lacks(t, ">done<")
	admin.makeToken("first")
	if page = admin.get("/"); strings.Count(page.body, ">done<") != 1 {
		t.Errorf("a step is not ticked: %s", page.body)
	}
	admin.get("/me?steps=hide").leadsTo(t, "/me")
	admin.get("/me").lacks(t, "Three steps")
	h.signedIn("").get("/me").isPage(t, http.StatusOK, "Three steps")
}

// Each of Husk's own permissions is told in words.
func TestPermissionsInWords(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	for _, lang := range []string{"en", "zh"} {
		page := v.get("/me/tokens/new", "Accept-Language", lang)
		for _, key := range db.BuiltinPermissions() {
			if !regexp.MustCompile(`value="` + regexp.QuoteMeta(key) + `"> <span>[^<]+ <code`).MatchString(page.body) {
				t.Errorf("%s has no words for %s", lang, key)
			}
		}
	}
}

// Who may not is shown no way to it.
func TestTokenRoomsOfWhoMayNot(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	u, err := h.Store.FindUser(t.Context(), annEmailHere)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := v.makeToken("nightly")
	if err := h.Store.CreateRole(t.Context(), localActor, "reader", db.RoleChange{Permissions: []string{db.PermTokenSearch}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Store.UpdateUser(t.Context(), localActor, u.ID, db.UserChange{Roles: []string{"reader"}}); err != nil {
		t.Fatal(err)
	}
	v = h.signedIn(annEmailHere)
	v.get("/me/tokens").lacks(t, "/me/tokens/new")
	v.get("/me/tokens/"+id).lacks(t, "/edit", "/rotate", "/revoke")
	v.post("/me/tokens/"+id+"/edit", "name", "x", "rights", "all").isPage(t, http.StatusForbidden)
	if _, err := h.Store.UpdateUser(t.Context(), localActor, u.ID, db.UserChange{Roles: []string{}}); err != nil {
		t.Fatal(err)
	}
	v = h.signedIn(annEmailHere)
	page := v.get("/me")
	page.isPage(t, http.StatusOK, "Welcome")
	page.lacks(t, "/me/tokens")
	v.get("/me/tokens").isPage(t, http.StatusForbidden, "ask an administrator")
	v.get("/me/account").isPage(t, http.StatusOK, "No role gives you a right here yet.")
	v.get("/me").isPage(t, http.StatusOK, "<p>No role gives you a right here yet.")
}
