package console

import (
	"slices"
	"strings"

	"husk/web/api"
)

// permAll is what grants everything, also what comes later.
const permAll = "*"

// permission says what one of Husk's own permissions allows.
type permission struct {
	key  string
	text Text
}

// option is the check box of p: one without words of its own is called by its key.
func (p permission) option(chosen bool) Option {
	o := Option{Value: p.key, Label: p.text, Hint: literal(p.key), Chosen: chosen}
	if !p.text.Said() {
		o.Label, o.Hint = o.Hint, Text{}
	}
	return o
}

// permissionArea is what belongs together of Husk's own permissions.
type permissionArea struct {
	title Text
	of    []permission
}

// permissionAreas are all of Husk's own permissions. A test holds them to those of the
// server.
var permissionAreas = []permissionArea{
	{say("picker.group_tokens"), []permission{
		{permTokenSearch, say("perm.token_search")},
		{permTokenCreate, say("perm.token_create")},
		{permTokenUpdate, say("perm.token_update")},
		{permTokenDelete, say("perm.token_delete")},
		{permTokenCheck, say("perm.token_introspect")},
	}},
	{say("picker.group_users"), []permission{
		{permUserSearch, say("perm.user_search")},
		{permUserRead, say("perm.user_read")},
		{permUserCreate, say("perm.user_create")},
		{permUserUpdate, say("perm.user_update")},
		{permUserDelete, say("perm.user_delete")},
		{permPrincipals, say("perm.principal_search")},
	}},
	{say("picker.group_roles"), []permission{
		{permRoleSearch, say("perm.role_search")},
		{permRoleRead, say("perm.role_read")},
		{permRoleCreate, say("perm.role_create")},
		{permRoleUpdate, say("perm.role_update")},
		{permRoleDelete, say("perm.role_delete")},
		{permPermissions, say("perm.permission_read")},
	}},
	{say("picker.group_sessions"), []permission{
		{permSessionSearch, say("perm.session_search")},
		{permSessionDelete, say("perm.session_delete")},
	}},
	{say("picker.group_system"), []permission{
		{permSystemRead, say("perm.system_read")},
		{permAuditSearch, say("perm.audit_search")},
		{permBackup, say("perm.backup")},
		{permKeys, say("perm.keys")},
	}},
}

// OwnPermissions are the keys that pages have words for, in the order in which they
// show them.
func OwnPermissions() (keys []string) {
	for _, area := range permissionAreas {
		for _, p := range area.of {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// PermissionGroup is some permissions under a title.
type PermissionGroup struct {
	Title   Text
	Options []Option
}

// groupPermissions has keys in words, by their area. Those that Husk has no words for
// are of applications, and stand as they are.
func groupPermissions(keys, chosen []string) (groups []PermissionGroup) {
	left := slices.Clone(keys)
	add := func(title Text, of []permission) {
		g := PermissionGroup{Title: title}
		for _, p := range of {
			if at := slices.Index(left, p.key); at >= 0 {
				left = slices.Delete(left, at, at+1)
				g.Options = append(g.Options, p.option(slices.Contains(chosen, p.key)))
			}
		}
		if len(g.Options) > 0 {
			groups = append(groups, g)
		}
	}
	add(say("picker.all"), []permission{{permAll, say("perm.all")}})
	for _, area := range permissionAreas {
		add(area.title, area.of)
	}
	var others []permission
	for _, key := range left {
		others = append(others, permission{key: key})
	}
	add(say("picker.applications"), others)
	return groups
}

// The fields of a PermissionPicker: of a form that has one, both are Fields, and the
// first is one of Many.
const (
	fieldPermissions = "permissions" // check boxes
	fieldKeys        = "keys"        // what was typed, a key on each line
)

// PermissionPicker is the choice of permissions in a form. Its template is picker.
type PermissionPicker struct {
	Label   Text
	Hint    Text
	Groups  []PermissionGroup
	Typed   Field // for others; shown where it has a name
	Problem Text
}

// picker offers keys, of which those of chosen are checked, or in a form that was
// sent, those that were. Where keys may be typed, what is chosen and not offered
// stands there.
func (f Form) picker(in PermissionPicker, offered, chosen []string, typed bool) PermissionPicker {
	if f.values != nil {
		chosen = f.values[fieldPermissions]
	}
	in.Groups, in.Problem = groupPermissions(offered, chosen), f.problems[fieldPermissions]
	if typed {
		others := slices.DeleteFunc(slices.Clone(chosen), func(key string) bool { return slices.Contains(offered, key) })
		in.Typed = f.field(Field{Name: fieldKeys, Type: "area", Label: say("picker.keys"), Hint: say("picker.keys.hint"), Value: strings.Join(others, "\n")})
		in.Typed.Focus = in.Problem.Said()
	}
	return in
}

// picked are the permissions that a form with a picker was sent with.
func (v *Visit) picked() []string {
	keys := slices.Concat(v.form[fieldPermissions], lines(v.form.Get(fieldKeys)))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// knownPermissions are all keys that there are, as far as who asks may know.
func (v *Visit) knownPermissions() ([]string, error) {
	if !v.may(permPermissions) {
		return OwnPermissions(), nil
	}
	all, err := v.API.Permissions(v.r.Context())
	keys := make([]string, 0, len(all))
	for _, p := range all {
		keys = append(keys, p.ID)
	}
	return keys, err
}

// ofRole are the permissions that a role grants, in words.
func ofRole(r api.Role) []PermissionGroup { return groupPermissions(r.Grants.Permissions, nil) }
