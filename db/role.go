package db

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"
)

// Names of the built-in roles.
const (
	RoleAdmin = "admin" // everything
	RoleUser  = "user"  // one's own API tokens
)

// Role is a named set of permissions. Its name is its id.
type Role struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Permissions []string  `json:"permissions"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Builtin     bool      `json:"builtin,omitempty"`
}

var roleRecords = collection[Role]{
	bucket: "role",
	id:     func(r *Role) string { return r.Name },
	index: func(r *Role) [][]byte {
		keys := [][]byte{
			indexKey(everything, byCreated, timeKey(r.Created), r.Name),
			indexKey(everything, byName, textKey(r.Name), r.Name),
		}
		for _, w := range words(r.Name) {
			keys = append(keys, indexKey(everything, byWord, []byte(w), r.Name))
		}
		return keys
	},
	count: func(*Role) []string { return []string{"role"} },
}

func builtinRoles(now time.Time) []*Role {
	return []*Role{
		{Name: RoleAdmin, Description: "may do everything", Permissions: []string{PermAll}, Created: now, Updated: now, Builtin: true},
		{Name: RoleUser, Description: "may manage their own API tokens", Created: now, Updated: now, Builtin: true,
			Permissions: []string{PermTokenSearch, PermTokenCreate, PermTokenUpdate, PermTokenDelete, PermPermissionRead}},
	}
}

var roleForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

// RoleSet is all roles at one moment; read only.
type RoleSet struct {
	roles map[string]*Role
	known []string // all permission keys, sorted
}

// Roles returns all roles as they are now.
func (s *Store) Roles(ctx context.Context) (*RoleSet, error) {
	return s.roles.get("", func() (set *RoleSet, err error) {
		err = s.view(ctx, func(t *txn) error { set, err = t.roleSet(); return err })
		return set, err
	})
}

func (t *txn) roleSet() (*RoleSet, error) {
	set := &RoleSet{roles: map[string]*Role{}}
	var damage error
	known := slices.Clone(builtinPermissions)
	err := t.scan(roleRecords.bucket, nil, nil, false, func(key, value []byte) bool {
		r, err := roleRecords.decode(string(key), value)
		if err != nil {
			damage = err
			return false
		}
		set.roles[r.Name] = r
		known = append(known, r.Permissions...)
		return true
	})
	set.known = NewPermissions(known).keys
	return set, cmp.Or(err, damage)
}

// Known returns every permission key that Husk asks for or a role names,
// sorted; read only.
func (r *RoleSet) Known() []string { return r.known }

// Permissions returns what the named roles grant together. A name without a
// role grants nothing.
func (r *RoleSet) Permissions(names []string) Permissions {
	keys := make([][]string, 0, len(names))
	for _, name := range names {
		if role := r.roles[name]; role != nil {
			keys = append(keys, role.Permissions)
		}
	}
	return NewPermissions(keys...)
}

// checkNames refuses a name that no role has.
func (r *RoleSet) checkNames(names []string) error {
	for _, name := range names {
		if !roleForm.MatchString(name) {
			return fail(ErrInvalid, "bad_role_name", "a role's name is 1 to 64 letters, digits, dots, dashes or underscores and begins with a letter or digit")
		}
		if r.roles[name] == nil {
			return fail(ErrInvalid, "unknown_role", "there is no role named "+name+"; see 'husk role list'")
		}
	}
	return nil
}

// checkPermissions refuses a key that is malformed or that nobody knows.
func (r *RoleSet) checkPermissions(keys []string) error {
	for _, key := range keys {
		if !ValidPermission(key) {
			return errPermissionForm
		}
		if _, found := slices.BinarySearch(r.known, key); !found && key != PermAll {
			return fail(ErrInvalid, "unknown_permission", "there is no permission "+key+"; Husk's own are listed at /security/permission, others exist once a role names them")
		}
	}
	return nil
}

var errPermissionForm = fail(ErrInvalid, "bad_permission", "a permission has the form category#resource/action in lower case, such as generic#security:user/read")

// administrators returns the names of the roles that grant everything.
func (r *RoleSet) administrators() []string {
	var names []string
	for name, role := range r.roles {
		if slices.Contains(role.Permissions, PermAll) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
