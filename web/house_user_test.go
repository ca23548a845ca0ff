package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// asks asks the API as the visitor's session does.
func (v *visitor) asks() *api.Client { return &api.Client{Base: v.base, HTTP: v.client} }

// found is a user as the API shows them.
func (v *visitor) found(t *testing.T, id string) api.User {
	t.Helper()
	out, err := v.asks().GetUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return out.Source
}

func TestUsersInTheConsole(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	ann, bob := h.user("ann@example.com", testPassword, false), h.user("bob@example.com", testPassword, false, "admin")
	v := h.visitor()
	v.signIn("", testPassword)
	v.get("/console/users").isPage(t, http.StatusOK, "3 users", ">ann@example.com<", ">bob@example.com<", `href="/console/users/`+ann.ID+`"`, "never signed in", `href="/console/users/new"`, `href="/console/users/import"`)
	a := v.get("/console/users?q=ann")
	a.isPage(t, http.StatusOK, "1 user<", "ann@example.com", `value="ann"`)
	a.lacks(t, "bob@example.com")
	a = v.get("/console/users?role=admin")
	a.isPage(t, http.StatusOK, "2 users", "bob@example.com", `value="admin" selected`)
	a.lacks(t, "ann@example.com")
	v.get("/console/users?q=nobody").isPage(t, http.StatusOK, "Nothing matches.")
	v.get("/console/users?role=nobody").isPage(t, http.StatusNotFound)
	v.get("/console/users?after=x").isPage(t, http.StatusBadRequest)
	v.get("/console/users/"+ann.ID).isPage(t, http.StatusOK, "<h1>ann</h1>", "ann@example.com", "0 API tokens", "/edit", "/roles", "/password", "/disable", "/delete", "Nothing that is logged.")
	v.get("/console/users/"+bob.ID).isPage(t, http.StatusOK)
	v.get("/console/users/new").isPage(t, http.StatusOK, "Without a choice, they get the role user.", `aria-describedby="roles-hint"`)
	v.get("/console/users/"+db.SingleUser).isPage(t, http.StatusOK, "This is you", "signs in with a password alone", "/edit", `href="/console/audit?actor=`+db.SingleUser, `href="/console/audit?target=`+db.SingleUser, "Sign-in</a> · coco-default-user", "1 sign-in<")
	v.get("/console/users/"+db.SingleUser).lacks(t, "/"+db.SingleUser+"/delete", "/"+db.SingleUser+"/disable", "/"+db.SingleUser+"/password", "/"+db.SingleUser+"/roles", "/"+db.SingleUser+"/end")
	v.get("/console/users/nobody").isPage(t, http.StatusNotFound, "may have been deleted")
	v.get("/console/users/"+url.PathEscape("../role/admin")).isPage(t, http.StatusNotFound)
	v.get("/console/users/"+url.PathEscape("x?size=1")).isPage(t, http.StatusNotFound)

	plain := h.visitor()
	plain.signIn("ann@example.com", testPassword)
	plain.get("/console/users").isPage(t, http.StatusForbidden, "Not permitted")
	plain.get("/console/users/"+bob.ID).isPage(t, http.StatusForbidden)
	plain.post("/console/users/"+bob.ID+"/delete").isPage(t, http.StatusForbidden)
	plain.get("/console/users/"+bob.ID+"/delete").isPage(t, http.StatusForbidden)
}

// Who looks after users, and is no administrator, sees what they may and nothing else.
func TestUsersOfAHelpdesk(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	err := h.Store.CreateRole(t.Context(), localActor, "helpdesk", db.RoleChange{Permissions: []string{db.PermUserSearch, db.PermUserRead, db.PermUserUpdate}})
	if err != nil {
		t.Fatal(err)
	}
	h.user("help@example.com", testPassword, false, "helpdesk")
	ann := h.user("ann@example.com", testPassword, false, "helpdesk")
	v := h.visitor()
	v.signIn("help@example.com", testPassword)
	v.get("/console/users").lacks(t, "/console/users/new", `name="role"`)
	a := v.get("/console/users/" + ann.ID)
	a.isPage(t, http.StatusOK, "/edit", "/password", "/disable")
	a.lacks(t, "/delete", "/roles", "/end\"", "API tokens", "sign-ins", "What they did", "/console/audit", "/console/roles/")
	v.get("/console/users/"+db.SingleUser+"/disable").isPage(t, http.StatusForbidden, "may do more than you may")
	v.post("/console/users/"+db.SingleUser+"/disable").isPage(t, http.StatusForbidden, "may do more than you may")
	if v.found(t, db.SingleUser).Disabled {
		t.Error("who may do less disabled an administrator")
	}
}

// A few roles are seen at a glance; of many those that one looks for can be found.
func TestManyRolesCanBeFiltered(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	v.get("/console/users/new").lacks(t, `data-filter="roles"`)
	for i := range 12 {
		if err := h.Store.CreateRole(t.Context(), localActor, fmt.Sprint("team-", i), db.RoleChange{}); err != nil {
			t.Fatal(err)
		}
	}
	v.get("/console/users/new").isPage(t, http.StatusOK, `class="picker" id="roles"`, `data-filter="roles"`, `value="team-11"`)
}

func TestMakeUser(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	page := v.get("/console/users/new")
	page.isPage(t, http.StatusOK, `value="user" checked`, `value="invite" checked`, `name="email"`)
	once := page.hidden(t, "once")
	a := v.post("/console/users", "email", "ann@example.com", "name", `Ann "A" <b>`, "roles", "user", "way", "invite", "once", once)
	a.isPage(t, http.StatusOK, "Email: ann@example.com", "/login", "I have saved it, or handed it over")
	password := a.secret(t)
	v.post("/console/users", "email", "ann@example.com", "roles", "user", "way", "invite", "once", once).isPage(t, http.StatusConflict, "Done already")
	ann := h.visitor()
	ann.post("/account/login", "email", "ann@example.com", "password", password).leadsTo(t, "/password")

	v.post("/console/users", "email", "bob@example.com", "way", "typed", "password", testPassword).leadsTo(t, "/console/users/"+v.found(t, "bob@example.com").ID+"?done=made")
	h.visitor().signIn("bob@example.com", testPassword)
	v.post("/console/users", "email", "robot@example.com", "way", "none").leadsTo(t, "/console/users/"+v.found(t, "robot@example.com").ID+"?done=made")
	if u := v.found(t, "ann@example.com"); u.Name != `Ann "A" <b>` || len(u.Roles) != 1 || u.Roles[0] != "user" {
		t.Errorf("she is %+v", u)
	}
	for _, bad := range []struct {
		text   string
		status int
		pairs  []string
	}{
		{"Another user has that email", http.StatusConflict, []string{"email", "ann@example.com", "name", "kept", "way", "invite"}},
		{"email", http.StatusBadRequest, []string{"email", "nobody", "name", "kept", "way", "invite"}},
		{"Type a password", http.StatusBadRequest, []string{"email", "c@example.com", "name", "kept", "way", "typed"}},
		{"too short", http.StatusBadRequest, []string{"email", "c@example.com", "name", "kept", "way", "typed", "password", "secret"}},
	} {
		a := v.post("/console/users", bad.pairs...)
		a.isPage(t, bad.status, bad.text, `value="kept"`, `value="`+bad.pairs[5]+`" checked`)
		a.lacks(t, `value="secret"`)
	}
}

// An administrator is made by who shows the password alone.
func TestMakingAnAdministratorIsSensitive(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	h.wait(11 * time.Minute)
	for _, field := range []string{"roles", "other_roles"} {
		a := v.post("/console/users", "email", "eve@example.com", field, "admin", "way", "typed", "password", testPassword)
		a.isPage(t, http.StatusOK, `name="proof"`, "eve@example.com")
	}
	if _, err := v.asks().GetUser(t.Context(), "eve@example.com"); err == nil {
		t.Error("she is made without it")
	}
	v.post("/console/users", "email", "eve@example.com", "roles", "admin", "way", "invite", "proof", testPassword).isPage(t, http.StatusOK, "Email: eve@example.com")
}

// So is anybody else, who may come in from then on: with a password that whoever sits at
// the browser types, or by an email that a rule of the gate names.
func TestMakingAUserIsSensitive(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	h.wait(11 * time.Minute)
	v.get("/console/users/new").isPage(t, http.StatusOK, `name="proof"`)
	for _, way := range []string{"invite", "typed", "none"} {
		v.post("/console/users", "email", "eve@example.com", "roles", "user", "way", way, "password", testPassword).isPage(t, http.StatusOK, `name="proof"`, "eve@example.com")
	}
	if _, err := v.asks().GetUser(t.Context(), "eve@example.com"); err == nil {
		t.Error("she is made without it")
	}
	v.post("/console/users", "email", "eve@example.com", "roles", "user", "way", "invite", "proof", testPassword).isPage(t, http.StatusOK, "Email: eve@example.com")
}

// Another email may be one by which a rule of the gate lets in, and a user who was
// disabled may have been so for a reason: by who shows the password alone, whatever the
// form leaves out.
func TestEmailAndEnablingAreSensitive(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	ann := h.user("ann@example.com", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	at := "/console/users/" + ann.ID
	v.post(at+"/disable").leadsTo(t, at+"?done=disabled")
	h.wait(11 * time.Minute)
	seen := v.get(at+"/edit").hidden(t, "seen")
	v.post(at+"/edit", "name", "Ann Other", "email", "ann@example.com", "seen", seen).leadsTo(t, at+"?done=changed")
	v.post(at+"/edit", "name", "Ann Third").leadsTo(t, at+"?done=changed")
	for _, email := range []string{"boss@example.com", "ANN@example.com", " ann@example.com", "nobody", ""} {
		a := v.post(at+"/edit", "name", "Ann", "email", email)
		a.isPage(t, http.StatusOK, "Show your password once more", `name="proof"`)
	}
	v.post(at+"/edit", "name", "Ann", "email", "boss@example.com", "proof", "wrong and wrong").isPage(t, http.StatusOK, `id="proof-problem"`)
	v.post(at+"/enable").isPage(t, http.StatusOK, "Enable Ann Third?", `name="proof"`, `action="`+at+`/enable"`)
	v.post(at+"/enable", "kept", "yes").isPage(t, http.StatusOK, "Enable Ann Third?")
	v.post(at+"/enable", "kept", "yes").lacks(t, "ended at once")
	if u := v.found(t, ann.ID); u.Email != "ann@example.com" || u.Name != "Ann Third" || !u.Disabled {
		t.Errorf("changed without it: %+v", u)
	}
	v.post(at+"/edit", "name", "Ann", "email", "boss@example.com", "proof", testPassword).leadsTo(t, at+"?done=changed")
	v.post(at+"/enable").leadsTo(t, at+"?done=enabled")
	if u := v.found(t, ann.ID); u.Email != "boss@example.com" || u.Disabled {
		t.Errorf("not changed: %+v", u)
	}
}

func TestChangeUser(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	ann := h.user("ann@example.com", testPassword, false)
	v, hers := h.visitor(), h.visitor()
	v.signIn("", testPassword)
	hers.signIn("ann@example.com", testPassword)
	at := "/console/users/" + ann.ID
	seen := v.get(at+"/edit").hidden(t, "seen")
	h.wait(time.Second)
	v.post(at+"/edit", "name", "Ann", "email", "ann2@example.com", "seen", seen).leadsTo(t, at+"?done=changed")
	v.get(at+"?done=changed").isPage(t, http.StatusOK, "The change is saved.", "ann2@example.com")
	v.post(at+"/edit", "name", "Stale", "email", "x@example.com", "seen", seen).isPage(t, http.StatusConflict, "changed meanwhile", `value="ann2@example.com"`)
	v.post(at+"/edit", "name", "Ann", "email", "nobody").isPage(t, http.StatusBadRequest, `value="nobody"`)
	v.post(at+"/edit", "name", strings.Repeat("n", 201), "email", "ann2@example.com").isPage(t, http.StatusBadRequest)

	v.get(at+"/roles").isPage(t, http.StatusOK, `value="user" checked`, `value="admin"`)
	v.send(at+"/roles", url.Values{"roles": {"admin", "user"}}).leadsTo(t, at+"?done=changed")
	v.send(at+"/roles", url.Values{"roles": {"wizard"}}).isPage(t, http.StatusBadRequest, "There is no such role")
	if u := v.found(t, ann.ID); len(u.Roles) != 2 {
		t.Errorf("her roles are %q", u.Roles)
	}
	v.send(at+"/roles", url.Values{}).leadsTo(t, at+"?done=changed")
	if u := v.found(t, ann.ID); len(u.Roles) != 0 {
		t.Errorf("her roles are %q", u.Roles)
	}
	v.post("/console/users/"+db.SingleUser+"/roles", "roles", "user").isPage(t, http.StatusForbidden, "own roles")

	v.get(at+"/disable").isPage(t, http.StatusOK, "Disable Ann?", "1 sign-in: ended at once")
	v.get(at+"/disable").lacks(t, "0 API tokens")
	v.post(at+"/disable").leadsTo(t, at+"?done=disabled")
	hers.get("/me").leadsTo(t, "/login?return="+strings.TrimPrefix(hers.get("/me").Header.Get("Location"), "/login?return="))
	v.get(at).isPage(t, http.StatusOK, "disabled", at+"/enable")
	v.get(at).lacks(t, at+"/disable")
	v.post(at+"/enable").leadsTo(t, at+"?done=enabled")
	v.post("/console/users/"+db.SingleUser+"/disable").isPage(t, http.StatusConflict, "last administrator")

	hers = h.visitor()
	hers.signIn("ann2@example.com", testPassword)
	v.post(at+"/end").leadsTo(t, at+"?done=ended")
	if a := hers.get("/me"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("her sign-in goes on: %d", a.StatusCode)
	}
	v.get(at+"/delete").isPage(t, http.StatusOK, "Delete Ann?", "can&#39;t be undone")
	v.get(at+"/delete").lacks(t, "0 sign-ins")
	v.post(at+"/delete").leadsTo(t, "/console/users?done=deleted")
	v.get("/console/users?done=deleted").lacks(t, "ann2@example.com")
	v.post(at+"/edit", "name", "Gone").isPage(t, http.StatusNotFound, "may have been deleted")
	v.post("/console/users/"+db.SingleUser+"/delete").isPage(t, http.StatusForbidden, "can&#39;t be deleted")
}

// Who typed for long finds the form again behind the sign-in.
func TestUserFormOutlivesTheSession(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	ann := h.user("ann@example.com", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	at := "/console/users/" + ann.ID + "/edit"
	by := v.get(at).hidden(t, "by")
	h.wait(25 * time.Hour)
	login := v.post(at, "name", "Ann", "email", "ann2@example.com", "by", by)
	login.isPage(t, http.StatusUnauthorized, "what you typed is kept")
	v.post("/account/login", "password", testPassword, "kept_form", login.hidden(t, "kept_form")).isPage(t, http.StatusOK, `action="`+at+`"`)
	v.post(at, "name", "Ann", "email", "ann2@example.com", "kept", "yes").isPage(t, http.StatusOK, `value="ann2@example.com"`)
	if u := v.found(t, ann.ID); u.Email != "ann@example.com" {
		t.Errorf("it was done: %+v", u)
	}
	h.wait(25 * time.Hour)
	v.upload(importPage, twoUsers, nil).leadsTo(t, v.get(importPage).Header.Get("Location"))
}

func TestPasswordOfAUser(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	ann := h.user("ann@example.com", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	at := "/console/users/" + ann.ID
	a := v.post(at+"/password", "way", "invite")
	a.isPage(t, http.StatusOK, "Email: ann@example.com")
	h.visitor().post("/account/login", "email", "ann@example.com", "password", a.secret(t)).leadsTo(t, "/password")
	v.post(at+"/password", "way", "typed", "password", "short").isPage(t, http.StatusBadRequest, "too short", `value="typed" checked`)
	v.post(at+"/password", "way", "typed").isPage(t, http.StatusBadRequest)
	v.post(at+"/password", "way", "typed", "password", testPassword+"!").leadsTo(t, at+"?done=password")
	h.visitor().signIn("ann@example.com", testPassword+"!")
	v.post(at+"/disable").leadsTo(t, at+"?done=disabled")
	v.post(at+"/password", "way", "typed", "password", testPassword).leadsTo(t, at+"?done=password&still=disabled")
	v.get(at+"?done=password&still=disabled").isPage(t, http.StatusOK, "still can&#39;t sign in, because they are disabled")
	v.post(at+"/password", "way", "invite").isPage(t, http.StatusOK, "still can&#39;t sign in, because they are disabled")
	v.get(at+"?done=password&still=<b>").lacks(t, "<b>")
	v.post("/console/users/"+db.SingleUser+"/password", "way", "invite").isPage(t, http.StatusForbidden)
	h.wait(11 * time.Minute)
	v.get(at+"/password").isPage(t, http.StatusOK, `name="proof"`)
	v.post(at+"/password", "way", "typed", "password", testPassword).isPage(t, http.StatusOK, `name="proof"`, "Nothing has been done yet")
	v.post(at+"/roles", "roles", "admin").isPage(t, http.StatusOK, `name="proof"`, `value="admin" checked`)
	if u := v.found(t, ann.ID); len(u.Roles) != 1 || u.Roles[0] != "user" {
		t.Errorf("her roles are %q", u.Roles)
	}
}

// Who is locked out by wrong passwords is let in again, where that is so.
func TestUnlockUser(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	ann := h.user("ann@example.com", testPassword, false)
	v, hers := h.visitor(), h.visitor()
	v.signIn("", testPassword)
	at := "/console/users/" + ann.ID
	v.get(at).lacks(t, at+"/unlock")
	for range 12 {
		hers.post("/account/login", "email", "ann@example.com", "password", "wrong and wrong")
	}
	v.get("/console/users").isPage(t, http.StatusOK, "locked")
	v.get(at).isPage(t, http.StatusOK, "After wrong passwords", at+"/unlock")
	v.post(at+"/unlock").leadsTo(t, at+"?done=unlocked")
	v.get(at).lacks(t, at+"/unlock")
}
