package web

import (
	"fmt"
	"strings"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// Users and roles as an administrator makes them in a browser.
func TestBrowserUsers(t *testing.T) {
	dbtest.TakesVeryLong(t, "the pages of users in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	for i, name := range []string{"陈思远", "مريم الخوارزمي", "🦀 Ada", strings.Repeat("long", 49) + "name"} {
		email := fmt.Sprintf("user%d@%sexample.com", i, strings.Repeat("a.", i*20))
		u := h.user(email, testPassword, false)
		if _, err := h.Store.UpdateUser(t.Context(), localActor, u.ID, db.UserChange{Name: &name}); err != nil {
			t.Fatal(err)
		}
	}
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("button")
	p.At("/", "Welcome, coco-default-user")
	p.Visit("/console/users")
	p.Shoot("users")
	p.Click("main .acts a.button:not(.quiet)")
	p.At("/console/users/new", "New user")
	if shown := p.Eval(`getComputedStyle(document.querySelector(".typed")).display`); shown != "none" {
		t.Errorf("the password of an invitation is asked for: %s", shown)
	}
	p.Shoot("user-new")
	p.Eval(`document.querySelector("input[value=typed]").click()`)
	if shown := p.Eval(`getComputedStyle(document.querySelector(".typed")).display`); shown == "none" {
		t.Error("a password can't be typed")
	}
	p.Fill("email", "nobody")
	p.Eval(`document.querySelector("main form").noValidate = true`)
	p.Click("main form button")
	p.At("/console/users", "New user")
	p.Shoot("user-new-wrong")
	p.Fill("email", "ann@example.com")
	p.Fill("name", "Ann Example")
	p.Eval(`document.querySelector("input[value=invite]").click()`)
	p.Click("main form button")
	p.At("/console/users", "A password for you to hand over")
	p.Shoot("user-invited")
	p.Eval(`document.querySelector("main form input").click()`)
	p.Click("main form button")
	p.At(p.Eval("location.pathname"), "Ann Example")
	p.Shoot("user")
	at := p.Eval("location.pathname")
	for _, act := range []string{"edit", "roles", "password", "disable", "delete"} {
		p.Visit(at + "/" + act)
		p.Shoot("user-" + act)
	}
	p.Visit("/console/users/" + db.SingleUser)
	p.Shoot("user-single")

	p.Visit("/console/roles/_new")
	p.At("/console/roles/_new", "New role")
	p.Shoot("role-new")
	p.Fill("name", "helpdesk")
	p.Fill("description", "looks after users")
	p.Eval(`document.querySelector("input[value='` + db.PermUserRead + `']").click()`)
	p.Fill("keys", "wiki#page/edit")
	p.Click("main form button")
	p.At("/console/roles/helpdesk", "helpdesk")
	p.Shoot("role")
	p.Visit("/console/roles")
	p.Shoot("roles")
	p.Visit("/console/roles/user")
	p.Shoot("role-builtin")
	p.Visit("/console/roles/user/delete")
	p.Shoot("role-delete")
}

// A file is checked, and imported by the second button without being chosen again.
func TestBrowserImport(t *testing.T) {
	dbtest.TakesVeryLong(t, "an import in a browser")
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("button")
	p.At("/", "Welcome, coco-default-user")
	p.Visit(importPage)
	p.Shoot("import")
	choose := func(text string) {
		p.Eval("(() => { const d = new DataTransfer(); d.items.add(new File([" + "`" + text + "`" + `], "users.jsonl")); document.getElementById("file").files = d.files; return ""; })()`)
	}
	says := func(text string) {
		t.Helper()
		until(t, func() bool { return strings.Contains(p.Text(), text) })
	}
	choose(twoUsers)
	p.Eval(`document.querySelector("button[formaction]").click()`)
	says("2 users would be made.")
	p.Shoot("import-checked")
	if n, _ := h.Store.CountUsers(t.Context()); n != 1 {
		t.Errorf("a check made %d users", n-1)
	}
	p.Eval(`document.querySelector("main form button:not([formaction])").click()`)
	says("2 users are made.")
	p.Shoot("import-done")
	choose("nonsense")
	p.Eval(`document.querySelector("button[formaction]").click()`)
	says("Line 1:")
	p.Shoot("import-wrong")
	if n, _ := h.Store.CountUsers(t.Context()); n != 3 {
		t.Errorf("there are %d users", n)
	}

	// What an htpasswd file needs is asked where one is chosen, and what is wrong there
	// stands at its field; the file stays chosen.
	shown := func() string { return p.Eval(`getComputedStyle(document.querySelector(".htpasswd")).display`) }
	if shown() != "none" {
		t.Error("JSON lines are asked for a domain")
	}
	p.Eval(`document.querySelector("input[value=htpasswd]").click()`)
	if shown() == "none" {
		t.Error("an htpasswd file is not asked for a domain")
	}
	choose("carol:" + annBcrypt + "\\ndan:$1$x")
	p.Eval(`document.querySelector("button[formaction]").click()`)
	says("Line 1: The name is no email")
	if p.Eval(`document.getElementById("domain").getAttribute("aria-invalid")`) != "true" || p.Eval(`document.querySelectorAll(".field.wrong .problem").length`) != "1" {
		t.Error("the field of the domain is not the one that is wrong")
	}
	p.Shoot("import-htpasswd-wrong")
	p.Fill("domain", "example.com")
	p.Eval(`document.querySelector("button[formaction]").click()`)
	says("1 user would be made.")
	says("Line 2: MD5 crypt")
	if p.Eval(`document.querySelectorAll(".field.wrong, [aria-invalid]").length`) != "0" {
		t.Error("what was wrong is not told to be right")
	}
	p.Eval(`document.querySelector("main form button:not([formaction])").click()`)
	says("1 user is made.")
	p.Shoot("import-htpasswd")
	if _, err := h.Store.UserByEmail(t.Context(), "carol@example.com"); err != nil {
		t.Error(err)
	}
}
