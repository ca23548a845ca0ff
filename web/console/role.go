package console

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"husk/web/api"
)

// No role's name begins so: what is no role's page has an address of its own.
const pageNewRole = roomRoles + "/_new"

var rolePlaces = []Place{
	get(roomRoles, Handler{answer: rolesPage}),
	get(pageNewRole, Handler{answer: needs(permRoleCreate, newRolePage)}),
	post(roomRoles, createRole),
	get(roomRoles+"/:id", Handler{answer: rolePage}),
	get(roomRoles+"/:id/edit", Handler{answer: needs(permRoleUpdate, editRolePage)}),
	post(roomRoles+"/:id/edit", changeRole),
	get(roomRoles+"/:id/delete", Handler{answer: needs(permRoleDelete, askDeleteRole)}),
	post(roomRoles+"/:id/delete", Handler{Fields: []string{fieldOnce}, answer: deleteRole}),
}

func rolePath(name string) string { return roomRoles + "/" + name }

// Roles lists the roles there are.
type Roles struct {
	Done  Text
	Query string
	Roles []RoleRow
	Pager Pager
	May   struct{ Create, Read bool }
}

// RoleRow is a role in a list.
type RoleRow struct {
	Name        string
	Description Text
	Builtin     bool
	Grants      Text // how much
	Factor      bool // it requires a second factor
}

func (Roles) view() (file string, title Text) { return "roles.html", say("role.list") }
func (Roles) room() string                    { return roomRoles }

func rolesPage(v *Visit) error {
	page := Roles{Query: v.query("q")}
	if v.query("done") == "deleted" {
		page.Done = say("role.deleted")
	}
	found, err := v.API.SearchRoles(v.r.Context(), api.ListOptions{Size: pageSize, Query: page.Query, After: v.query("after"), Sort: "name:asc"})
	if err != nil {
		return err
	}
	if _, err := v.me(); err != nil {
		return err
	}
	page.May.Create, page.May.Read = v.may(permRoleCreate), v.may(permRoleRead)
	for _, hit := range found.Hits.Hits {
		r := hit.Source
		page.Roles = append(page.Roles, RoleRow{Name: r.Name, Description: roleText(r), Builtin: r.Builtin, Grants: grantsOf(r), Factor: r.RequireSecondFactor})
	}
	page.Pager = v.pager(found.Hits.After)
	return v.show(page)
}

// roleText is what a role is for: as who made it wrote, or, of those that are built in, in
// the language of the page.
func roleText(r api.Role) Text {
	switch {
	case r.Builtin && r.Name == "admin":
		return say("role.builtin.admin")
	case r.Builtin && r.Name == "user":
		return say("role.builtin.user")
	}
	return literal(r.Description)
}

// permAll is what grants everything, also what comes later.
const permAll = "*"

func grantsOf(r api.Role) Text {
	if slices.Contains(r.Grants.Permissions, permAll) {
		return say("perm.all")
	}
	return say("role.grants", "n", len(r.Grants.Permissions))
}

// RoleDetails shows a role: what it grants, who has it, and where it opens.
type RoleDetails struct {
	Role   api.Role
	About  Text // what it is for
	Done   Text
	Rights []PermissionGroup
	Users  []UserRow
	Count  Text // of users; says nothing where who looks may not list them
	Rules  []api.Rule
	Above  bool // it grants more than who looks has
	May    struct{ Update, Policy, Delete, Rules, ReadUser bool }
}

func (p RoleDetails) view() (file string, title Text) { return "role.html", literal(p.Role.Name) }
func (RoleDetails) room() string                      { return roomRoles }

func rolePage(v *Visit) error {
	r, err := v.role()
	if err != nil {
		return err
	}
	page := RoleDetails{Role: r, About: roleText(r), Rights: groupPermissions(r.Grants.Permissions, nil)}
	switch v.query("done") {
	case "made":
		page.Done = say("role.made")
	case "changed":
		page.Done = say("role.changed")
	}
	page.Above = !v.mayGrant(r)
	changeable := !r.Builtin && !page.Above
	page.May.Update, page.May.Delete = changeable && v.may(permRoleUpdate), changeable && v.may(permRoleDelete)
	page.May.Policy = r.Builtin && !page.Above && v.may(permRoleUpdate)
	page.May.Rules, page.May.ReadUser = v.may(permSystemRead), v.may(permUserRead)
	if v.may(permUserSearch) {
		found, err := v.holders(r.Name, pageSize)
		if err != nil {
			return err
		}
		page.Users, page.Count = v.userRows(found), countOf("user.count", found.Hits.Total)
	}
	if page.Rules, err = v.rulesFor(r); err != nil {
		return err
	}
	return v.show(page)
}

// role is that of the page, and who asks is known from here on.
func (v *Visit) role() (api.Role, error) {
	if _, err := v.me(); err != nil {
		return api.Role{}, err
	}
	found, err := v.API.GetRole(v.r.Context(), v.param("id"))
	return found.Source, err
}

func (v *Visit) holders(role string, size int) (api.Search[api.User], error) {
	return v.API.SearchUsers(v.r.Context(), api.ListOptions{Size: size, Filter: map[string]string{"role": role}})
}

// mostRoleRules is how many rules the page of a role shows.
const mostRoleRules = 10

// rulesFor are the rules of the gate that ask for a role, or for what it grants by name.
func (v *Visit) rulesFor(r api.Role) (asking []api.Rule, err error) {
	if !v.may(permSystemRead) {
		return nil, nil
	}
	rules, err := v.API.Rules(v.r.Context())
	for _, rule := range rules {
		asks := slices.ContainsFunc(rule.Require, func(word string) bool {
			return word == "role:"+r.Name || slices.Contains(r.Grants.Permissions, word)
		})
		if asks && len(asking) < mostRoleRules {
			asking = append(asking, rule)
		}
	}
	return asking, err
}

// RoleForm makes a role, or changes one.
type RoleForm struct {
	Form
	Title       Text
	Role        string // its name; "" for a new one
	Name        Field  // of a new one
	Builtin     bool   // nothing else of it may be changed than what it requires
	Description Field
	Permissions PermissionPicker
	Factor      Field
}

func (p RoleForm) view() (file string, title Text) { return "role_form.html", p.Title }
func (RoleForm) room() string                      { return roomRoles }

// showRoleForm shows the form for a role; of a new one, r is empty.
func (v *Visit) showRoleForm(r api.Role, f Form, status int) error {
	if _, err := v.me(); err != nil {
		return err
	}
	known, err := v.knownPermissions()
	if err != nil {
		return err
	}
	offered := slices.DeleteFunc(append(known, permAll), func(key string) bool { return !v.may(key) })
	page := RoleForm{Form: f, Title: say("role.new"), Role: r.Name, Builtin: r.Builtin}
	if r.Name == "" {
		page.Name = f.field(Field{Name: "name", Label: say("field.name"), Hint: say("role.name.hint"), Required: true, Max: 64, Focus: true})
	} else {
		page.Title = say("role.edit", "name", r.Name)
	}
	page.Description = f.field(Field{Name: "description", Label: say("role.description"), Value: r.Description, Max: 1000})
	page.Permissions = f.permissionPicker("permissions", say("role.permissions"), offered, r.Grants.Permissions).typing(f, offered, r.Grants.Permissions)
	page.Factor = f.field(Field{Name: fieldFactor, Label: say("role.factor"), Type: "check", Options: []Option{{Value: "yes", Label: say("role.factor.require"), Hint: say("role.factor.hint"), Chosen: r.RequireSecondFactor}}})
	return v.showAs(status, page)
}

// fieldFactor has a role require a second factor.
const fieldFactor = "require_second_factor"

func newRolePage(v *Visit) error { return v.showRoleForm(api.Role{}, v.newForm(), http.StatusOK) }

// createRole makes a role. Until somebody has it, it grants nothing to anybody.
var createRole = Handler{
	Fields: []string{"name", "description", "permissions", fieldKeys, fieldFactor},
	Many:   []string{"permissions"},
	answer: makeRole,
	form:   needs(permRoleCreate, func(v *Visit) error { return v.showRoleForm(api.Role{}, v.again(), http.StatusOK) }),
}

// sentRole is the role of a form.
func (v *Visit) sentRole() api.RoleChange {
	description, factor := v.form.Get("description"), v.form.Get(fieldFactor) != ""
	keys := slices.Concat(v.form["permissions"], lines(v.form.Get(fieldKeys)))
	change := api.RoleChange{Description: &description, NoPermissions: len(keys) == 0, RequireSecondFactor: &factor}
	if len(keys) > 0 {
		change.Grants = &api.Grants{Permissions: keys}
	}
	return change
}

func makeRole(v *Visit) error {
	asked := v.sentRole()
	asked.Name = strings.TrimSpace(v.form.Get("name"))
	made, err := v.API.CreateRole(v.r.Context(), asked)
	refused, err := v.forForm(err)
	if refused != nil {
		return v.showRoleForm(api.Role{}, v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	return v.seeOther(rolePath(made.ID) + "?done=made")
}

// roleToChange is the role of the page, where who asks may change it: no form is shown
// for what the API would refuse.
func (v *Visit) roleToChange() (api.Role, error) {
	r, err := v.role()
	switch {
	case err != nil:
	case !v.mayGrant(r):
		err = forbidden("role_above", "that role grants more than you have")
	}
	return r, err
}

// roleToDelete is the role of the page, where who asks may delete it.
func (v *Visit) roleToDelete() (api.Role, error) {
	r, err := v.roleToChange()
	if err == nil && r.Builtin {
		err = forbidden("builtin_role", "a built-in role can't be changed or deleted; make one of your own")
	}
	return r, err
}

func editRolePage(v *Visit) error {
	r, err := v.roleToChange()
	if err != nil {
		return err
	}
	f := v.newForm()
	f.Seen = fingerprint(r)
	if err := v.askProof(&f); err != nil {
		return err
	}
	return v.showRoleForm(r, f, http.StatusOK)
}

// fingerprint tells one state of a role from another.
func fingerprint(r api.Role) string {
	sum := sha256.Sum256([]byte(strconv.FormatBool(r.RequireSecondFactor) + "\n" + r.Description + "\n" + strings.Join(r.Grants.Permissions, "\n")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// changeRole changes what all who have a role may do.
var changeRole = Handler{
	Fields: []string{"description", "permissions", fieldKeys, fieldFactor},
	Many:   []string{"permissions"},
	answer: updateRole,
	form: needs(permRoleUpdate, func(v *Visit) error {
		r, err := v.roleToChange()
		if err != nil {
			return err
		}
		return v.showRoleForm(r, v.again(), http.StatusOK)
	}),
	sensitive: func(*Visit) bool { return true },
}

func updateRole(v *Visit) error {
	r, err := v.role()
	if err != nil {
		return err
	}
	if seen := v.form.Get(fieldSeen); seen != "" && seen != fingerprint(r) {
		f := v.newForm()
		f.Problem, f.Seen = say("form.stale"), fingerprint(r)
		return v.showRoleForm(r, f, http.StatusConflict)
	}
	change := v.sentRole()
	if r.Builtin {
		change = api.RoleChange{RequireSecondFactor: change.RequireSecondFactor}
	}
	_, err = v.API.UpdateRole(v.r.Context(), r.Name, change)
	refused, err := v.forForm(err)
	if refused != nil {
		return v.showRoleForm(r, v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	return v.seeOther(rolePath(r.Name) + "?done=changed")
}

// AskDeleteRole asks before a role goes, or says who has it.
type AskDeleteRole struct {
	Form
	Role  string
	Users []UserRow // who have it: then it stays
	Count Text
}

func (p AskDeleteRole) view() (file string, title Text) {
	return "role_delete.html", say("role.delete.ask", "name", p.Role)
}
func (AskDeleteRole) room() string { return roomRoles }

func askDeleteRole(v *Visit) error {
	r, err := v.roleToDelete()
	if err != nil {
		return err
	}
	return v.showDeleteRole(r, v.newForm(), http.StatusOK)
}

func (v *Visit) showDeleteRole(r api.Role, f Form, status int) error {
	page := AskDeleteRole{Form: f, Role: r.Name}
	if v.may(permUserSearch) {
		found, err := v.holders(r.Name, userParts)
		if err != nil {
			return err
		}
		page.Users, page.Count = v.userRows(found), countOf("user.count", found.Hits.Total)
	}
	return v.showAs(status, page)
}

func deleteRole(v *Visit) error {
	r, err := v.role()
	if err != nil {
		return err
	}
	_, err = v.API.DeleteRole(v.r.Context(), r.Name)
	refused, err := v.forForm(err)
	if refused != nil {
		return v.showDeleteRole(r, v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	return v.seeOther(roomRoles + "?done=deleted")
}
