package console

import (
	"slices"
	"time"

	"husk/web/api"
)

var userPlaces = []Place{
	get(roomUsers, Handler{answer: usersPage}),
	get(roomUsers+"/new", Handler{answer: needs(permUserCreate, newUserPage)}),
	post(roomUsers, createUser),
	get(roomUsers+"/:id", Handler{answer: userPage}),
	get(roomUsers+"/:id/edit", Handler{answer: needs(permUserUpdate, editUserPage)}),
	post(roomUsers+"/:id/edit", changeUser),
	get(roomUsers+"/:id/roles", Handler{answer: needs(permUserUpdate, userRolesPage)}),
	post(roomUsers+"/:id/roles", changeUserRoles),
	get(roomUsers+"/:id/password", Handler{answer: needs(permUserUpdate, userPasswordPage)}),
	post(roomUsers+"/:id/password", setUserPassword),
	get(roomUsers+"/:id/disable", Handler{answer: needs(permUserUpdate, askUser)}),
	post(roomUsers+"/:id/disable", Handler{Fields: []string{fieldOnce}, answer: disableUser}),
	post(roomUsers+"/:id/enable", enableUser),
	get(roomUsers+"/:id/second-factor", Handler{answer: needs(permUserUpdate, askUser)}),
	post(roomUsers+"/:id/second-factor", resetFactor),
	post(roomUsers+"/:id/unlock", Handler{Fields: []string{fieldOnce}, answer: unlockUser}),
	get(roomUsers+"/:id/end", Handler{answer: needs(permSessionDelete, askUser)}),
	post(roomUsers+"/:id/end", Handler{Fields: []string{fieldOnce}, answer: endSessionsOfUser}),
	get(roomUsers+"/:id/delete", Handler{answer: needs(permUserDelete, askUser)}),
	post(roomUsers+"/:id/delete", Handler{Fields: []string{fieldOnce}, answer: deleteUser}),
}

// Users lists who there is.
type Users struct {
	Done  Text // what was just done; may say nothing
	Query string
	Roles Field // narrows the list; shown where it has a name
	Count Text
	Users []UserRow
	More  bool // what was looked for may stand further on
	Pager Pager
	Empty Empty
	May   struct{ Create, Read bool }
}

// UserRow is a user in a list.
type UserRow struct {
	ID        string
	Name      string
	Email     string // empty for the single user
	Roles     []string
	State     State
	Factor    bool // they have a second factor
	LastLogin *time.Time
}

func (Users) view() (file string, title Text) { return "users.html", say("user.list") }
func (Users) room() string                    { return roomUsers }

func usersPage(v *Visit) error {
	page, role := Users{Query: v.query("q")}, v.query("role")
	if v.query("done") == "deleted" {
		page.Done = say("user.deleted")
	}
	asked := api.ListOptions{Size: pageSize, Query: page.Query, After: v.query("after"), Filter: map[string]string{"role": role}}
	found, err := v.API.SearchUsers(v.r.Context(), asked)
	if err != nil {
		return err
	}
	roles, err := v.knownRoles()
	if err != nil {
		return err
	}
	page.Roles = roleFilter(roles, role)
	page.Count = countOf("user.count", found.Hits.Total)
	page.Users, page.Pager, page.More = v.userRows(found), v.pager(found.Hits.After), found.Hits.After != ""
	page.May.Create, page.May.Read = v.may(permUserCreate), v.may(permUserRead)
	page.Empty = Empty{Text: say("user.none_with_role")}
	return v.show(page)
}

func (v *Visit) userRows(found api.Search[api.User]) (rows []UserRow) {
	for _, hit := range found.Hits.Hits {
		u := hit.Source
		rows = append(rows, UserRow{ID: u.ID, Name: u.Name, Email: u.Email, Roles: u.Roles, State: userState(u), Factor: len(u.SecondFactor) > 0, LastLogin: u.LastLogin})
	}
	return rows
}

// countOf says how many there are, or at least.
func countOf(key string, total api.Total) Text {
	if total.Relation == "gte" {
		return say("list.at_least", "count", say(key, "n", total.Value))
	}
	return say(key, "n", total.Value)
}

func userState(u api.User) State {
	switch {
	case u.Disabled:
		return State{"bad", say("user.disabled")}
	case u.Throttled != nil:
		return State{"warn", say("user.locked")}
	case u.LastLogin == nil:
		return State{"plain", say("user.never_in")}
	}
	return State{"good", say("user.active")}
}

// mostRoles is how many roles a page offers; of more, names can be typed.
const mostRoles = 100

// knownRoles are the roles there are, as many as pages offer, by their names; none
// where who asks may not list them.
func (v *Visit) knownRoles() (roles []api.Role, err error) {
	if _, err := v.me(); err != nil || !v.may(permRoleSearch) {
		return nil, err
	}
	found, err := v.API.SearchRoles(v.r.Context(), api.ListOptions{Size: mostRoles, Sort: "name:asc"})
	for _, hit := range found.Hits.Hits {
		roles = append(roles, hit.Source)
	}
	return roles, err
}

// roleFilter narrows a list to who has a role.
func roleFilter(roles []api.Role, chosen string) Field {
	if len(roles) == 0 {
		return Field{}
	}
	f := Field{Name: "role", Label: say("user.role"), Type: "select", Options: []Option{{Label: say("user.any_role")}}}
	there := chosen == ""
	for _, r := range roles {
		f.Options = append(f.Options, Option{Value: r.Name, Label: literal(r.Name), Chosen: r.Name == chosen})
		there = there || r.Name == chosen
	}
	if !there {
		f.Options = append(f.Options, Option{Value: chosen, Label: literal(chosen), Chosen: true})
	}
	return f
}

// mayGrant tells whether who asks has all that a role grants: nobody grants more.
func (v *Visit) mayGrant(r api.Role) bool {
	return !slices.ContainsFunc(r.Grants.Permissions, func(key string) bool { return !v.may(key) })
}

// rolesField offers the roles that who asks may grant, and those that somebody has.
func (v *Visit) rolesField(f Form, roles []api.Role, has []string) Field {
	in := Field{Name: "roles", Label: say("user.roles"), Type: "check"}
	left := slices.Clone(has)
	for _, r := range roles {
		chosen := slices.Contains(has, r.Name)
		if chosen || v.mayGrant(r) {
			in.Options = append(in.Options, Option{Value: r.Name, Label: literal(r.Name), Hint: roleText(r), Chosen: chosen})
			left = slices.DeleteFunc(left, func(name string) bool { return name == r.Name })
		}
	}
	for _, name := range left {
		in.Options = append(in.Options, Option{Value: name, Label: literal(name), Chosen: true})
	}
	return f.field(in)
}

// otherRoles has the names of roles be typed, where there are more than can be offered.
func otherRoles(f Form, roles []api.Role) Field {
	if len(roles) < mostRoles {
		return Field{}
	}
	return f.field(Field{Name: fieldOtherRoles, Type: "area", Label: say("user.other_roles"), Hint: say("user.other_roles.hint")})
}

const fieldOtherRoles = "other_roles"

// sentRoles are the roles that a form was sent with, without doubles; never nil, which
// would leave those that are there.
func (v *Visit) sentRoles() []string {
	names := append(append([]string{}, v.form["roles"]...), lines(v.form.Get(fieldOtherRoles))...)
	slices.Sort(names)
	return slices.Compact(names)
}
