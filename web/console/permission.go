package console

import (
	"html/template"
	"maps"
	"slices"
	"strings"
)

// permissionWords say what each of Husk's own permissions lets one do. Those of
// applications mean something to them alone, and are shown as they are.
var permissionWords = map[string]string{
	"coco#system/read":                       "perm.system_read",
	"generic#security:audit/search":          "perm.audit_search",
	"generic#security:auth:api-token/create": "perm.token_create",
	"generic#security:auth:api-token/delete": "perm.token_delete",
	"generic#security:auth:api-token/search": "perm.token_search",
	"generic#security:auth:api-token/update": "perm.token_update",
	"generic#security:permission/read":       "perm.permission_read",
	"generic#security:principal/search":      "perm.principal_search",
	"generic#security:role/create":           "perm.role_create",
	"generic#security:role/delete":           "perm.role_delete",
	"generic#security:role/read":             "perm.role_read",
	"generic#security:role/search":           "perm.role_search",
	"generic#security:role/update":           "perm.role_update",
	"generic#security:session/delete":        "perm.session_delete",
	"generic#security:session/search":        "perm.session_search",
	"generic#security:token/introspect":      "perm.token_introspect",
	"generic#security:user/create":           "perm.user_create",
	"generic#security:user/delete":           "perm.user_delete",
	"generic#security:user/read":             "perm.user_read",
	"generic#security:user/search":           "perm.user_search",
	"generic#security:user/update":           "perm.user_update",
	"generic#system/backup":                  "perm.backup",
	"generic#system/keys":                    "perm.keys",
	"*":                                      "perm.all",
}

// permissionGroups are the groups of Husk's own permissions, by the beginning of
// their keys, in the order in which they are shown.
var permissionGroups = []struct {
	title Text
	begin []string
}{
	{say("perm.group.tokens"), []string{"generic#security:auth:api-token/", "generic#security:token/"}},
	{say("perm.group.users"), []string{"generic#security:user/", "generic#security:principal/"}},
	{say("perm.group.roles"), []string{"generic#security:role/", "generic#security:permission/"}},
	{say("perm.group.sessions"), []string{"generic#security:session/"}},
	{say("perm.group.server"), []string{"coco#system/read", "generic#security:audit/", "generic#system/", "*"}},
}

// PermissionGroup is permissions that are about the same thing.
type PermissionGroup struct {
	Title   Text
	Options []Option
}

// permissionText is a permission in words; the key, where only an application knows
// what it means.
func permissionText(key string) Text {
	if word, own := permissionWords[key]; own {
		return say(word)
	}
	return literal(key)
}

// permissionNamed is a permission in a sentence: in words, with its key beside; the key
// alone, where only an application knows what it means.
func permissionNamed(key string) Text {
	code := template.HTML("<code>" + template.HTMLEscapeString(key) + "</code>")
	if word, own := permissionWords[key]; own {
		return say("perm.named", "words", say(word), "key", code)
	}
	return say("perm.key", "key", code)
}

// groupPermissions puts permissions into groups, Husk's own first, then those of each
// application. The chosen ones are checked.
func groupPermissions(keys, chosen []string) (groups []PermissionGroup) {
	at := map[string]int{}
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	for _, own := range permissionGroups {
		g := PermissionGroup{Title: own.title}
		for _, key := range keys {
			if _, known := permissionWords[key]; known && slices.ContainsFunc(own.begin, func(b string) bool { return strings.HasPrefix(key, b) }) {
				g.Options = append(g.Options, permissionOption(key, chosen))
			}
		}
		if len(g.Options) > 0 {
			groups = append(groups, g)
		}
	}
	for _, key := range keys {
		if _, known := permissionWords[key]; known {
			continue
		}
		application, _, _ := strings.Cut(key, "#")
		i, there := at[application]
		if !there {
			i = len(groups)
			at[application] = i
			groups = append(groups, PermissionGroup{Title: literal(application)})
		}
		groups[i].Options = append(groups[i].Options, permissionOption(key, chosen))
	}
	return groups
}

func permissionOption(key string, chosen []string) Option {
	o := Option{Value: key, Label: permissionText(key), Chosen: slices.Contains(chosen, key)}
	if _, own := permissionWords[key]; own {
		o.Hint = literal(key)
	}
	return o
}

// PermissionPicker has one choose permissions, in groups, with a box that filters them.
type PermissionPicker struct {
	Name    string
	Label   Text
	Groups  []PermissionGroup
	Typed   Field // for keys that are not offered; shown where it has a name
	Problem Text
	Focus   bool
}

// focused has the page begin at the picker where that has the first problem.
func (p PermissionPicker) focused(f Form) PermissionPicker {
	p.Focus = f.isFirst(p.Problem)
	return p
}

// permissionPicker offers permissions. What was sent is chosen, where the form was.
func (f Form) permissionPicker(name string, label Text, offered, chosen []string) PermissionPicker {
	if f.values != nil {
		chosen = f.values[name]
	}
	return PermissionPicker{Name: name, Label: label, Groups: groupPermissions(offered, chosen), Problem: f.problems[name]}
}

// fieldKeys is what was typed beside a picker: a permission on each line.
const fieldKeys = "keys"

// typing has keys that are not offered be typed, with those that are chosen so far.
func (p PermissionPicker) typing(f Form, offered, chosen []string) PermissionPicker {
	others := slices.DeleteFunc(slices.Clone(chosen), func(key string) bool { return slices.Contains(offered, key) })
	p.Typed = f.field(Field{Name: fieldKeys, Type: "area", Label: say("perm.typed"), Hint: say("perm.typed.hint"), Value: strings.Join(others, "\n")})
	p.Typed.Focus = f.isFirst(p.Problem)
	return p
}

// OwnPermissions are the keys that pages have words for.
func OwnPermissions() []string { return slices.Sorted(maps.Keys(permissionWords)) }

// knownPermissions are all permissions that there are, as far as who asks may know.
func (v *Visit) knownPermissions() (keys []string, err error) {
	if !v.may(permPermissions) {
		return OwnPermissions(), nil
	}
	all, err := v.API.Permissions(v.r.Context())
	for _, p := range all {
		keys = append(keys, p.ID)
	}
	return keys, err
}
