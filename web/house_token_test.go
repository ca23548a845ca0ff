package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// Who is disabled has no token that is good: lists and pages say why not. One that has
// ended says that.
func TestTokensOfTheDisabledInTheConsole(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	id, _ := v.makeToken("nightly")
	pages := []string{"/console/tokens", "/console/tokens?filter=never", "/console/tokens/" + id}
	for _, path := range pages {
		admin.get(path).isPage(t, http.StatusOK, "nightly", `<span class="state good">good<`)
	}
	admin.post("/console/users/" + h.allTokens()[0].Owner + "/disable")
	for _, path := range pages {
		page := admin.get(path)
		page.isPage(t, http.StatusOK, "nightly", `<span class="state bad">owner disabled<`)
		page.lacks(t, ">good<")
		admin.get(path, "Accept-Language", "zh-CN").isPage(t, http.StatusOK, ">所有者已停用<")
	}
	h.wait(91 * 24 * time.Hour)
	h.signedIn("").get("/console/tokens/"+id).isPage(t, http.StatusOK, `<span class="state bad">ended<`)
}

// Each field that is not right says so at once, also those that the page looks at by
// itself; the first of them has the focus, and nothing is made or changed.
func TestAllFieldsOfATokenAreToldAtOnce(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	bad := url.Values{"name": {"a\u202eb"}, "description": {strings.Repeat("x", 1001)}, "ends": {"date"}, "end_date": {""}, "rights": {"these"},
		"addresses": {"here"}, "hosts": {"a:b"}, "paths": {"x?y"}, "methods": {"get"}}
	want := []string{"name", "description", "end_date", "addresses", "hosts", "paths", "methods"}
	look := func(page answer, fields []string, n string) {
		t.Helper()
		page.isPage(t, http.StatusBadRequest, n+" fields are not right yet. Nothing has been done.", "Choose at least one permission.", `limits" open`)
		for _, field := range fields {
			if !strings.Contains(page.body, `id="`+field+`-problem" role="alert"`) {
				t.Errorf("nothing is said at %s:\n%s", field, page.body)
			}
		}
		if n := strings.Count(page.body, " autofocus"); n != 1 || !strings.Contains(page.body, `aria-describedby="name-problem name-hint" aria-invalid="true" autofocus>`) {
			t.Errorf("%d fields have the focus:\n%s", n, page.body)
		}
	}
	page := v.send("/me/tokens", bad)
	look(page, want, "8")
	page.isPage(t, http.StatusBadRequest, "Choose a day", "The description is over 1000 characters.")
	page.lacks(t, `id="ends-problem"`, "category#resource/action", "in the past")
	v.do("POST", "/me/tokens", formType, bad.Encode(), "Accept-Language", "zh-CN").isPage(t, http.StatusBadRequest, "有 8 个字段还不正确")
	if n := len(h.allTokens()); n != 0 {
		t.Errorf("%d tokens", n)
	}
	page = v.send("/me/tokens", url.Values{"name": {"x"}, "ends": {"90"}, "rights": {"these"}, "addresses": {"x"}})
	page.isPage(t, http.StatusBadRequest, `id="permissions" aria-describedby="permissions-problem" tabindex="-1" autofocus`, `id="addresses-problem"`)
	if n := strings.Count(page.body, " autofocus"); n != 1 {
		t.Errorf("the page begins at %d places", n)
	}
	for _, alone := range []url.Values{{"name": {"x"}, "ends": {"date"}, "rights": {"all"}}, {"name": {"x"}, "ends": {"90"}, "rights": {"these"}}} {
		v.send("/me/tokens", alone).isPage(t, http.StatusBadRequest, `role="alert"`)
		if n := len(h.allTokens()); n != 0 {
			t.Errorf("%v: %d tokens", alone, n)
		}
	}

	id, _ := v.makeToken("kept")
	delete(bad, "ends")
	delete(bad, "end_date")
	look(v.send("/me/tokens/"+id+"/edit", bad), []string{"name", "description", "addresses", "hosts", "paths", "methods"}, "7")
	v.send("/me/tokens/"+id+"/edit", url.Values{"name": {"x"}, "rights": {"these"}}).isPage(t, http.StatusBadRequest, "Choose at least one permission.", `value="x"`)
	if k := h.allTokens()[0]; k.Name != "kept" || len(k.Permissions) != 0 {
		t.Errorf("it was changed: %+v", k)
	}
}

// So do the fields of users and of roles.
func TestAllFieldsOfUsersAndRolesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.newAnn()
	v := h.signedIn("")
	v.post("/console/users", "email", "nobody", "name", "a\tb", "way", "typed", "password", "short").
		isPage(t, http.StatusBadRequest, `id="email-problem"`, `id="name-problem"`, `id="password-problem"`)
	v.post("/console/roles", "name", "a b", "description", strings.Repeat("x", 1001), "keys", "x").
		isPage(t, http.StatusBadRequest, `id="name-problem"`, `id="description-problem"`, "category#resource/action")
}

// Who ends a token, or what somebody's tokens are good for, sees what uses them.
func TestWhatUsesATokenBeforeItEnds(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	busy, secret := v.makeToken("busy")
	v.makeToken("idle")
	user := h.allTokens()[0].Owner
	flush := func() {
		t.Helper()
		h.HandCounts()
		if err := h.Store.FlushLastUsed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	use := func(n int) {
		t.Helper()
		for range n {
			h.works(secret)
		}
		flush()
	}
	revoke, disable, remove := "/console/tokens/"+busy+"/revoke", "/console/users/"+user+"/disable", "/console/users/"+user+"/delete"

	admin.get(revoke).isPage(t, http.StatusOK, "It was never used.")
	admin.get(revoke).lacks(t, "No request")
	for _, path := range []string{disable, remove} {
		admin.get(path).isPage(t, http.StatusOK, "2 API tokens: ", "None of these tokens was used in the last 24 hours.")
	}
	admin.get("/console/users/"+db.SingleUser+"/disable").lacks(t, "last 24 hours")
	use(1)
	h.wait(6 * 24 * time.Hour)
	admin, v = h.signedIn(""), h.signedIn(annEmailHere)
	use(2)
	v.get("/me/tokens/"+busy+"/revoke").isPage(t, http.StatusOK, "It was last used", ", from 127.0.0.1.", "3 requests were made with it in the last 7 days.")
	for _, path := range []string{disable, remove} {
		admin.get(path).isPage(t, http.StatusOK, "1 API token of these: used in the last 24 hours")
	}
	admin.get("/console/users/"+user+"/end").lacks(t, "last 24 hours")
	h.wait(24 * time.Hour)
	admin = h.signedIn("")
	admin.get(revoke).isPage(t, http.StatusOK, "2 requests were made with it in the last 7 days.")
	admin.get(disable).isPage(t, http.StatusOK, "None of these tokens was used")
	h.wait(6 * 24 * time.Hour)
	h.signedIn("").get(revoke).isPage(t, http.StatusOK, "It was last used", "No request was made with it in the last 7 days.")
	h.signedIn("").get(revoke, "Accept-Language", "zh").isPage(t, http.StatusOK, "最近 7 天内没有请求使用它。")
}

// Where the last token has ended, the lists do not say that there never was one.
func TestNoTokenIsLeft(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	lists := []struct {
		*visitor
		path, none string
	}{{v, "/me/tokens", "You have no token."}, {admin, "/console/tokens", "Nobody has a token."}}
	for _, l := range lists {
		l.get(l.path).isPage(t, http.StatusOK, l.none)
		l.get(l.path).lacks(t, "have ended", " yet")
	}
	id, _ := v.makeToken("nightly")
	for _, l := range lists {
		l.get(l.path).lacks(t, l.none, "See those")
		l.get(l.path+"?q=zzz").isPage(t, http.StatusOK, "Nothing matches.")
	}
	v.post("/me/tokens/" + id + "/revoke")
	for _, l := range lists {
		l.get(l.path).isPage(t, http.StatusOK, l.none, `<a href="`+l.path+`/ended">See those that have ended</a>`)
		l.get(l.path).lacks(t, " yet")
		l.get(l.path, "Accept-Language", "zh").isPage(t, http.StatusOK, "查看已结束的令牌")
		l.get(l.path+"?q=zzz").lacks(t, l.none, "See those")
	}
	admin.get("/me/tokens").lacks(t, "See those")
}

// A page has one focus: where the password is asked for, or what is wrong.
func TestFormsHaveOneFocus(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	focus := regexp.MustCompile(`id="([^"]+)"[^>]* autofocus>`)
	look := func(page answer, want string) {
		t.Helper()
		all := focus.FindAllStringSubmatch(page.body, -1)
		if len(all) != 1 || all[0][1] != want {
			t.Errorf("the focus is at %q, want %s", all, want)
		}
	}
	endless := []string{"name", "x", "ends", "0", "rights", "all"}
	look(v.get("/me/tokens/new"), "name")
	h.wait(11 * time.Minute)
	look(v.post("/me/tokens", endless...), "proof")
	look(v.post("/me/tokens", append(endless, "proof", "another one of mine")...), "proof")
	look(v.post("/me/tokens", append(endless, "proof", testPassword, "hosts", "a:b")...), "hosts")
	if n := len(h.allTokens()); n != 0 {
		t.Errorf("%d tokens", n)
	}
}

// Of a token that leaked one may have nothing but its text: the search of everybody's
// tokens knows its id, and takes the secret behind that out of the address.
func TestTokenIsFoundByItsID(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	id, secret := v.makeToken("leaked")
	h.works(secret)
	search := "/console/tokens?q="
	admin.get(search+"+"+id+"+").leadsTo(t, "/console/tokens/"+id)
	admin.get(search+secret).leadsTo(t, search+id)
	admin.get(search+"leaked").isPage(t, http.StatusOK, "/console/tokens/"+id)
	admin.post("/console/tokens/"+id+"/revoke").leadsTo(t, "/console/tokens?done=revoked")
	admin.get(search+id).isPage(t, http.StatusOK, "Nothing matches.")
	story := `href="/console/audit?target=` + id + `"`
	admin.get("/console/tokens/ended").isPage(t, http.StatusOK, story, "127.0.0.1")
	v.get("/me/tokens/ended").isPage(t, http.StatusOK, "leaked")
	v.get("/me/tokens/ended").lacks(t, story)
}
