package web

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"husk/db"
	"husk/web/console"
	"husk/web/gate"
)

// The console has words for each permission that the server asks for, and for none that
// it does not.
func TestConsoleKnowsThePermissions(t *testing.T) {
	keys := console.OwnPermissions()
	if want := append([]string{db.PermAll}, db.BuiltinPermissions()...); !slices.Equal(keys, want) {
		t.Errorf("the console has words for\n%q, the server asks for\n%q", keys, want)
	}
}

func TestRolesInTheConsole(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	v.get("/console/roles").isPage(t, http.StatusOK, `href="/console/roles/admin"`, "built in", "everything", `href="/console/roles/_new"`)
	v.get("/console/roles?q=nobody").isPage(t, http.StatusOK, "Nothing matches.")
	a := v.get("/console/roles/user")
	a.isPage(t, http.StatusOK, "Make API tokens", ">ann@example.com<", "1 user<", `href="/console/users?role=user"`)
	a.lacks(t, "/user/delete")
	v.get("/console/roles/nobody").isPage(t, http.StatusNotFound)
	rules, err := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "all.example.com", Require: []string{"any"}}, {Host: "wiki.example.com", Path: "/a", Require: []string{"role:user"}}, {Host: "app.example.com", Require: []string{db.PermTokenCreate}}}})
	if err != nil {
		t.Fatal(err)
	}
	h.SetGate(rules)
	a = v.get("/console/roles/user")
	a.isPage(t, http.StatusOK, "Rule 2", "wiki.example.com/a", "Rule 3", "app.example.com")
	a.lacks(t, "all.example.com")

	page := v.get("/console/roles/_new")
	page.isPage(t, http.StatusOK, `value="`+db.PermUserRead+`"`, `value="*"`, `name="keys"`)
	form := url.Values{"once": {page.hidden(t, "once")}, "name": {"helpdesk"}, "description": {"looks after users"}, "permissions": {db.PermUserRead, db.PermUserSearch}, "keys": {"wiki#page/edit\r\nwiki#page/read"}}
	v.send("/console/roles", form).leadsTo(t, "/console/roles/helpdesk?done=made")
	v.send("/console/roles", form).isPage(t, http.StatusConflict, "Done already")
	form.Set("once", "another")
	v.send("/console/roles", form).isPage(t, http.StatusConflict, `value="helpdesk"`, `value="`+db.PermUserRead+`" checked`, "wiki#page/read</textarea>")
	v.send("/console/roles", url.Values{"name": {"a b"}}).isPage(t, http.StatusBadRequest, `value="a b"`)
	v.send("/console/roles", url.Values{"name": {"x"}, "keys": {"generic#security:user/raed"}}).isPage(t, http.StatusBadRequest, "generic#security:user/raed</textarea>", "autofocus")
	at := "/console/roles/helpdesk"
	v.get(at).isPage(t, http.StatusOK, "looks after users", "Show a user", "wiki#page/edit", "Nobody.", `<p><a href="/console/users">Users</a></p>`, at+"/edit", at+"/delete")

	seen := v.get(at+"/edit").hidden(t, "seen")
	v.send(at+"/edit", url.Values{"seen": {seen}, "description": {"of all"}, "permissions": {db.PermUserRead, "wiki#page/edit"}}).leadsTo(t, at+"?done=changed")
	v.send(at+"/edit", url.Values{"seen": {seen}, "description": {"stale"}}).isPage(t, http.StatusConflict, "changed meanwhile", `value="of all"`)
	if r := v.role("helpdesk"); r.Description != "of all" || !slices.Equal(r.Permissions, []string{db.PermUserRead, "wiki#page/edit"}) {
		t.Errorf("the role is %+v", r)
	}
	v.send(at+"/edit", url.Values{"description": {""}}).leadsTo(t, at+"?done=changed")
	if r := v.role("helpdesk"); r.Description != "" || len(r.Permissions) != 0 {
		t.Errorf("the role is %+v", r)
	}
	v.get(at).isPage(t, http.StatusOK, "It grants nothing.")
	v.send("/console/roles/user/edit", url.Values{"permissions": {"*"}, "description": {"mine"}}).leadsTo(t, "/console/roles/user?done=changed")
	if r := v.role("user"); slices.Contains(r.Permissions, "*") || r.Description == "mine" {
		t.Errorf("a role that is built in became %+v", r)
	}

	bob := h.user("bob@example.com", testPassword, false, "helpdesk")
	v.get(at+"/delete").isPage(t, http.StatusOK, "1 user", "bob@example.com")
	v.get(at+"/delete").lacks(t, `action="`+at)
	v.post(at+"/delete").isPage(t, http.StatusConflict, "bob@example.com")
	v.send("/console/users/"+bob.ID+"/roles", url.Values{}).leadsTo(t, "/console/users/"+bob.ID+"?done=changed")
	v.post(at+"/delete").leadsTo(t, "/console/roles?done=deleted")
	v.get("/console/roles?done=deleted").lacks(t, "helpdesk")
	v.send(at+"/edit", url.Values{}).isPage(t, http.StatusNotFound)
}

// role is a role as the store has it.
func (h *testHouse) role(name string) *db.Role {
	h.Helper()
	r, err := h.Store.Role(h.Context(), name)
	if err != nil {
		h.Fatal(err)
	}
	return r
}

// What a role grants is changed by who shows the password, and by nobody who has less.
func TestChangingARoleIsSensitive(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	keys := []string{db.PermRoleSearch, db.PermRoleRead, db.PermRoleUpdate, db.PermRoleDelete, db.PermUserRead}
	for name, keys := range map[string][]string{"keeper": keys, "reader": {db.PermUserRead}, "clerk": {db.PermUserUpdate}} {
		if err := h.Store.CreateRole(t.Context(), localActor, name, db.RoleChange{Permissions: keys}); err != nil {
			t.Fatal(err)
		}
	}
	h.user("ann@example.com", testPassword, false, "keeper")
	v := h.visitor()
	v.signIn("ann@example.com", testPassword)
	a := v.get("/console/roles/reader")
	a.isPage(t, http.StatusOK, "/reader/edit", "/reader/delete")
	a.lacks(t, "Who has it")
	a = v.get("/console/roles/clerk")
	a.isPage(t, http.StatusOK, "more than you may do")
	a.lacks(t, "/clerk/edit", "/clerk/delete")
	a = v.get("/console/roles/reader/edit")
	a.isPage(t, http.StatusOK, `value="`+db.PermUserRead+`" checked`)
	a.lacks(t, `value="*"`, `value="`+db.PermBackup+`"`)
	v.get("/console/roles").lacks(t, "/console/roles/_new")
	v.send("/console/roles/clerk/edit", url.Values{"permissions": {db.PermUserRead}}).isPage(t, http.StatusForbidden)
	v.send("/console/roles/reader/edit", url.Values{"keys": {db.PermBackup}}).isPage(t, http.StatusForbidden, db.PermBackup+"</textarea>")
	h.wait(11 * time.Minute)
	v.get("/console/roles/reader/edit").isPage(t, http.StatusOK, `name="proof"`)
	v.send("/console/roles/reader/edit", url.Values{"permissions": {db.PermRoleRead}}).isPage(t, http.StatusOK, `name="proof"`, `value="`+db.PermRoleRead+`" checked`)
	if r := h.role("reader"); !slices.Equal(r.Permissions, []string{db.PermUserRead}) {
		t.Errorf("it grants %q", r.Permissions)
	}
}
