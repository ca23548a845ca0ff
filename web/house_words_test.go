package web

import (
	"net/http"
	"strings"
	"testing"

	"husk/db"
)

// The page of a user says what stands behind each line, and where to go on.
func TestUserPageInWords(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	v.makeToken("nightly")
	id := h.allTokens()[0].Owner
	page := admin.get("/console/users/" + id)
	page.isPage(t, http.StatusOK, "never used", "API token made</a> · nightly", `href="/console/tokens/new?owner=`+id+`"`)
	page.lacks(t, "&lt;nil&gt;", "token.create")
	admin.get("/console/tokens/new?owner="+id).isPage(t, http.StatusOK, `value="`+id+`"`)

	admin.post("/console/users/" + id + "/disable")
	page = admin.get("/console/users/" + id)
	page.isPage(t, http.StatusOK, ">owner disabled<")
	page.lacks(t, ">good<", "tokens/new")

	h.user("root@example.com", testPassword, false, "admin")
	h.signedIn("root@example.com").get("/console/users/"+db.SingleUser).isPage(t, http.StatusOK, "came with the store", "deleted")
}

// A user whom nobody knows is named as what is wrong, at the field.
func TestNobodyIsNamed(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.newAnn()
	admin := h.signedIn("")
	const told = "There is no user with that email or ID."
	admin.post("/console/tokens", "owner", "nobody@example.com", "name", "x", "ends", "90", "rights", "all").
		isPage(t, http.StatusNotFound, `id="owner-problem" role="alert">`+told, `value="nobody@example.com"`)
	admin.get("/console/tokens?owner=nobody@example.com").isPage(t, http.StatusOK, told)
	admin.get("/console/tokens/ended?owner=nobody@example.com").isPage(t, http.StatusOK, told)
	admin.get("/console/rules/test?url=https%3A%2F%2Fa.example.com%2F&method=GET&user=nobody@example.com").
		isPage(t, http.StatusNotFound, `id="user-problem" role="alert">`+told)
}

// What fails in the house leaves who is signed in there, with the way to what they may
// open. A stranger, and who is outside of it, see a card.
func TestFailuresStayInside(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	for path, want := range map[string]struct {
		status int
		next   string
	}{
		"/console/users":     {http.StatusForbidden, `href="/">Go to the start page`},
		"/console/nothing":   {http.StatusNotFound, `href="/">Go to the start page`},
		"/me/tokens/none":    {http.StatusNotFound, `href="/me/tokens">Go back`},
		"/me/nothing":        {http.StatusNotFound, `href="/">Go to the start page`},
		"/me/tokens?after=x": {http.StatusBadRequest, `href="/">Go to the start page`},
	} {
		page := v.get(path)
		page.isPage(t, want.status, `<body class="house">`, `href="/me/tokens"`, "Signed in as ann", want.next)
		page.lacks(t, `href="/console/users"`)
	}
	// A right that is missing is named as where it is given, with its key; also in a form.
	for _, path := range []string{"/console/users", "/console/users/new"} {
		right := map[string]string{"/console/users": "search", "/console/users/new": "create"}[path]
		v.get(path).isPage(t, http.StatusForbidden, "That needs the permission “"+map[string]string{"search": "List users", "create": "Make and import users"}[right]+"” (<code>generic#security:user/"+right+"</code>).", "ask an administrator")
		v.get(path, "Accept-Language", "zh").isPage(t, http.StatusForbidden, "此操作需要权限“", "”（<code>generic#security:user/"+right+"</code>）。", "请向管理员申请权限")
	}
	refused := v.do("GET", "/security/user/_search", "", "", "Accept", "application/json")
	if !strings.Contains(refused.body, `"permission":"generic#security:user/search"`) {
		t.Errorf("a program is told %s", refused.body)
	}
	v.get("/nothing").isPage(t, http.StatusNotFound, `<body class="alone">`)
	h.visitor().get("/console/nothing").isPage(t, http.StatusNotFound, `<body class="alone">`)
	if a := v.do("GET", "/console/nothing", "", "", "Accept", "application/json"); a.StatusCode != http.StatusNotFound || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("a program is told %d %s", a.StatusCode, a.body)
	}
}
