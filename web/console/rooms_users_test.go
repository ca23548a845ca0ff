package console

import (
	"time"

	"husk/web/api"
)

// roomsOfUsers are the pages of users and roles, with a value in every field, and as
// they first show.
func roomsOfUsers(text string) map[string]Page {
	said, at := literal(text), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	form := Form{Once: "x", Seen: "2026", Proof: true, Problem: said}
	field := Field{Name: "name", Label: said, Hint: said, Value: text, Problem: said}
	choice := Field{Name: "role", Label: said, Type: "select", Options: []Option{{Value: "1", Label: said, Chosen: true}}}
	ways := Field{Name: "way", Label: said, Type: "radio", Hint: said, Problem: said, Options: []Option{{Value: wayInvite, Label: said, Hint: said, Chosen: true}, {Value: wayTyped, Label: said}}}
	required := Field{Name: fieldFactor, Label: said, Type: "check", Options: []Option{{Value: "yes", Label: said, Hint: said}}}
	groups := []PermissionGroup{{Title: said, Options: []Option{{Value: "a#b/c", Label: said}}}}
	picker := PermissionPicker{Name: "permissions", Label: said, Groups: groups, Problem: said, Typed: Field{Name: fieldKeys, Type: "area", Label: said, Hint: said, Value: text}}
	row := UserRow{ID: "u1", Name: text, Email: text, Roles: []string{text}, State: State{"warn", said}, Factor: true, LastLogin: &at}
	users := Users{Done: said, Query: text, Roles: choice, Count: said, Users: []UserRow{row, {ID: singleUser, Name: "x"}}, Pager: Pager{"/console/users", "/console/users?after=x"}}
	users.May.Create, users.May.Read = true, true
	all := userRights{Tokens: true, Sessions: true, Audit: true, Roles: true, Edit: true, Grant: true, Password: true, Factor: true, Disable: true, Enable: true, Unlock: true, EndSessions: true, Delete: true}
	// The name of a role in a path is escaped there; of the user, a role is plain text.
	user := UserDetails{Form: Form{Once: "x", Problem: said}, User: api.User{ID: "u1", Name: text, Email: text, Created: at, LastLogin: &at, Above: true}, Done: said, Still: said,
		State: State{"bad", said}, Reason: said, Factor: []Text{said, said}, Clock: said,
		Tokens: []TokenRow{{ID: "k1", Name: text, State: State{"warn", said}, LastUsed: &at}}, Sessions: []SessionRow{{ID: "s1", Device: said, Address: text, LastSeen: at}},
		Did: []ActRow{{At: at, Words: said, What: literal(text), State: State{"bad", said}, Story: "/console/audit/request/x"}}, May: all}
	user.Counts.Tokens, user.Counts.Sessions = said, said
	self := UserDetails{User: api.User{ID: singleUser, Name: text, Roles: []string{text}}, Self: true, State: State{"good", said}}
	ask := AskUser{Form: form, ID: "u1", Title: said, About: said, Effects: []Text{said}, To: "/console/users/u1/delete", Act: said, Danger: true}
	ask.Proof, ask.Seen = false, ""
	role := RoleDetails{Role: api.Role{Name: "clerk"}, About: said, Done: said, Rights: groups, Users: []UserRow{{ID: "u1", Email: text}, {ID: "u2", Name: text}}, Count: said,
		Rules: []api.Rule{{Number: 3, Host: text, Path: text}}, Above: true}
	role.May.Update, role.May.Delete, role.May.ReadUser = true, true, true
	roles := Roles{Done: said, Query: text, Roles: []RoleRow{{Name: "clerk", Description: literal(text), Builtin: true, Grants: said, Factor: true}}, Pager: Pager{"/console/roles", "/console/roles?after=x"}}
	roles.May.Create, roles.May.Read = true, true
	upload := Form{Once: "x", Proof: true, Problem: said, problems: map[string]Text{"file": said}}
	imported := Import{Form: upload, Format: named(ways, "format"), Domain: named(field, "domain"), Roles: named(ways, "roles"), Others: Field{Name: fieldOtherRoles, Type: "area", Label: said, Hint: said, Value: text},
		Missing: Field{Name: "if_missing", Type: "check", Label: said, Options: []Option{{Value: "yes", Label: said, Hint: said}}},
		Told:    Imported{Would: said, Done: said, Skipped: said, Unsupported: said, Lines: []ImportLine{{3, said}}, More: said}}
	return map[string]Page{
		"users":            users,
		"users further":    Users{Query: text, More: true, Pager: Pager{"", "/console/users?after=x"}},
		"users none":       Users{Empty: Empty{Text: said}},
		"users no such":    Users{Query: text},
		"user":             user,
		"user self":        self,
		"user new":         UserForm{Form: form, Title: literal("New"), About: said, To: "/console/users", Back: "/console/users", Act: said, Fields: []Field{field, ways}, Typed: Field{Name: "password", Type: "password", Label: said, Hint: said}},
		"user invited":     Invitation{ID: "u1", Name: text, Still: said, Secret: Secret{said, text}, Text: said},
		"user ask":         ask,
		"import":           imported,
		"import new":       Import{Form: Form{Once: "x"}, Format: ways, Domain: named(field, "domain"), Missing: Field{Name: "if_missing", Type: "check", Label: said}},
		"roles":            roles,
		"roles no such":    Roles{Query: text},
		"role":             role,
		"role bare":        RoleDetails{Role: api.Role{Name: "user", Builtin: true}, Count: say("user.count", "n", 0)},
		"role new":         RoleForm{Form: Form{Once: "x", Problem: said}, Title: literal("New"), Name: field, Description: named(field, "description"), Permissions: PermissionPicker{Name: "permissions", Label: said, Groups: groups}, Factor: required},
		"role policy":      RoleForm{Form: form, Title: literal("Change"), Role: "user", Builtin: true, Factor: required},
		"role edit":        RoleForm{Form: form, Title: literal("Change"), Role: "clerk", Description: named(field, "description"), Permissions: picker, Factor: required},
		"role delete":      AskDeleteRole{Form: Form{Once: "x", Problem: said}, Role: "clerk"},
		"role delete used": AskDeleteRole{Form: Form{Problem: said}, Role: "clerk", Users: []UserRow{{ID: "u1", Email: text}}, Count: said},
	}
}
