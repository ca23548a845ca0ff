package db

import (
	"context"
	"regexp"
	"slices"
	"strings"
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

	// RequireSecondFactor has sessions of those who hold the role do nothing but set
	// up a second factor, while none was proved in them.
	RequireSecondFactor bool `json:"require_second_factor,omitempty"`
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
	count:  func(*Role) []string { return []string{"role"} },
	memory: func(s *Store) memory { return &s.roles },
}

func builtinRoles(now time.Time) []*Role {
	return []*Role{
		{Name: RoleAdmin, Description: "may do everything", Permissions: []string{PermAll}, Created: now, Updated: now, Builtin: true},
		{Name: RoleUser, Description: "may manage their own API tokens", Created: now, Updated: now, Builtin: true,
			Permissions: []string{PermTokenSearch, PermTokenCreate, PermTokenUpdate, PermTokenDelete, PermPermissionRead}},
	}
}

var errRoleForm = fail(ErrInvalid, "bad_role_name", "a role's name is 1 to 64 letters, digits, dots, dashes or underscores and begins with a letter or digit")

var roleForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

// RoleSet is all roles at one moment; read only.
type RoleSet struct {
	roles map[string]*Role
	known []string // all permission keys, sorted
}

// Roles returns all roles as they are now: those in memory, which Store.drop
// forgets at the commit of a change of any of them.
func (s *Store) Roles(ctx context.Context) (*RoleSet, error) {
	return s.roles.get(func() (set *RoleSet, err error) {
		err = s.view(ctx, func(t *txn) error { set, err = t.roleSet(); return err })
		return set, err
	})
}

func (t *txn) roleSet() (*RoleSet, error) {
	set := &RoleSet{roles: map[string]*Role{}}
	known := slices.Clone(builtinPermissions)
	err := roleRecords.each(t, func(r *Role) (more bool, err error) {
		set.roles[r.Name] = r
		known = append(known, r.Permissions...)
		return true, nil
	})
	set.known = NewPermissions(known).keys
	if err == nil {
		err = set.checkBuiltin()
	}
	return set, err
}

// checkBuiltin tells a store without the roles that nobody can delete from one where
// roles grant nothing: a page of it is damaged, and its other records are gone with them.
func (r *RoleSet) checkBuiltin() error {
	for _, name := range []string{RoleAdmin, RoleUser} {
		if r.roles[name] == nil {
			return lostRecord(roleRecords.bucket, []byte(name))
		}
	}
	return nil
}

// Known returns every permission key that Husk asks for or a role names,
// sorted; read only.
func (r *RoleSet) Known() []string { return r.known }

// Has tells whether there is a role of that name.
func (r *RoleSet) Has(name string) bool { return r.roles[name] != nil }

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

// RequiresSecondFactor tells whether one of the named roles requires one.
func (r *RoleSet) RequiresSecondFactor(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { role := r.roles[name]; return role != nil && role.RequireSecondFactor })
}

// alike returns the name of a role that differs from name in its case at most,
// or "". A file of an older Husk may hold several of one name.
func (r *RoleSet) alike(name string) string {
	if r.roles[name] != nil {
		return name
	}
	for taken := range r.roles {
		if strings.EqualFold(taken, name) {
			return taken
		}
	}
	return ""
}

// checkNames refuses a name that no role has.
func (r *RoleSet) checkNames(names []string) error {
	for _, name := range names {
		if !roleForm.MatchString(name) {
			return errRoleForm
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
			if err := checkOwn(key); err != nil {
				return err
			}
			return fail(ErrInvalid, "unknown_permission", "there is no permission "+key+"; see the list of Husk's own, others exist once a role names them")
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

// Role returns the role of that name; shared, read only.
func (s *Store) Role(ctx context.Context, name string) (*Role, error) {
	set, err := s.Roles(ctx)
	if err != nil {
		return nil, err
	}
	if r := set.roles[name]; r != nil {
		return r, nil
	}
	return nil, errAbsentRecord
}

// ListRoles returns a page of roles, by created or name.
func (s *Store) ListRoles(ctx context.Context, q ListQuery) (Page[Role], error) {
	q.Owner = ""
	return roleRecords.page(ctx, s, q, "role", byCreated, byName)
}

// RoleChange is what a role is made from or changed to; nil leaves a member
// as it is.
type RoleChange struct {
	Description *string
	Permissions []string // nil: as they are; empty: none

	RequireSecondFactor *bool
}

// isPolicy tells whether nothing is changed but what sessions have to prove: that
// may be said of a built-in role, too.
func (c *RoleChange) isPolicy() bool {
	return c.RequireSecondFactor != nil && c.Description == nil && c.Permissions == nil
}

// maxRolePermissions bounds a role, and maxRoles how many can be made: all are
// in memory, and each change of a right reads them. maxUserRoles is how many of
// them one user may have.
const (
	maxRolePermissions = 1000
	maxRoles           = 1000
	maxUserRoles       = 100
)

// CreateRole makes a role. A name that is taken, whatever its case, is
// ErrConflict; permissions that the actor does not have are ErrDenied. Keys of
// valid form that nobody named before exist from then on.
func (s *Store) CreateRole(ctx context.Context, actor *Actor, name string, c RoleChange) error {
	if !roleForm.MatchString(name) {
		return s.wrongBefore(ctx, actor, errRoleForm, func(t *txn) error { return t.applyRoleChange(&Role{}, c) })
	}
	return s.update(ctx, actor, func(t *txn) error {
		set, err := t.roleSet()
		if err != nil {
			return err
		}
		if taken := set.alike(name); taken != "" {
			return fail(ErrConflict, "role_exists", "there is a role named "+taken+" already; upper and lower case make no other name")
		}
		if len(set.roles) >= maxRoles {
			return fail(ErrConflict, "too_many_roles", "there are 1000 roles, as many as there may be; delete those that nobody has")
		}
		r := &Role{Name: name, Permissions: []string{}, Created: t.now}
		return t.saveRole(nil, r, c, "role.create")
	})
}

// UpdateRole changes a role. It is effective at the next request of everybody
// who has it.
func (s *Store) UpdateRole(ctx context.Context, actor *Actor, name string, c RoleChange) error {
	return s.update(ctx, actor, func(t *txn) error {
		old, err := t.changeableRole(name, c.isPolicy())
		if err != nil {
			return err
		}
		r := *old
		return t.saveRole(old, &r, c, "role.update")
	})
}

// changeableRole returns a role that is not built in, unless that does not matter, and
// grants no more than the actor has.
func (t *txn) changeableRole(name string, builtin bool) (*Role, error) {
	r, err := roleRecords.get(t, name)
	if err != nil {
		return nil, err
	}
	if r.Builtin && !builtin {
		return nil, fail(ErrDenied, "builtin_role", "a built-in role can't be changed or deleted, but for whether it requires a second factor; make one of your own")
	}
	if t.actor.Permissions.Missing(NewPermissions(r.Permissions)) != "" {
		return nil, fail(ErrDenied, "role_above", "that role grants more than you have")
	}
	return r, nil
}

func (t *txn) saveRole(old, r *Role, c RoleChange, action string) error {
	if err := t.applyRoleChange(r, c); err != nil {
		return err
	}
	return t.guarded(func() error {
		if err := t.putRole(old, r); err != nil {
			return err
		}
		return t.audit(action, Literal(r.Name))
	})
}

func (t *txn) applyRoleChange(r *Role, c RoleChange) (wrong error) {
	r.Updated = t.now
	if c.Description != nil {
		r.Description = strings.TrimSpace(*c.Description)
		wrong = checkText("description", r.Description, maxDescription)
	}
	if c.Permissions != nil {
		wrong = Together(wrong, t.mayName(r.Permissions, c.Permissions))
		r.Permissions = NewPermissions(c.Permissions).Keys()
	}
	if c.RequireSecondFactor != nil {
		r.RequireSecondFactor = *c.RequireSecondFactor
	}
	return wrong
}

// mayName refuses permissions that are malformed, too many, none of Husk's own
// where they look like it, or not the actor's. What the role had before stays:
// an editor sends it back.
func (t *txn) mayName(had, keys []string) error {
	if len(keys) > maxRolePermissions {
		return fail(ErrInvalid, "too_many_permissions", "a role names at most 1000 permissions")
	}
	for _, key := range keys {
		if !ValidPermission(key) {
			return errPermissionForm
		}
		if err := checkOwn(key); err != nil && !slices.Contains(had, key) {
			return err
		}
	}
	if missing := t.actor.Permissions.Missing(NewPermissions(keys)); missing != "" {
		return fail(ErrDenied, "grants_more", "nobody grants what they do not have: "+missing+" is missing")
	}
	return nil
}

// DeleteRole removes a role that nobody has.
func (s *Store) DeleteRole(ctx context.Context, actor *Actor, name string) error {
	return s.update(ctx, actor, func(t *txn) error {
		r, err := t.changeableRole(name, false)
		if err != nil {
			return err
		}
		if err := t.refuseUsed(name); err != nil {
			return err
		}
		if err := roleRecords.put(t, r, nil); err != nil {
			return err
		}
		return t.audit("role.delete", Literal(name))
	})
}

// refuseUsed refuses to remove a role that somebody has. It names nobody: who
// may delete roles need not know who there is.
func (t *txn) refuseUsed(name string) error {
	holders, err := t.owned(userRecords.indexBucket(), roleScope(name), 1)
	if err != nil || len(holders) == 0 {
		return err
	}
	return fail(ErrConflict, "role_in_use", "somebody has the role; take it from everybody first: 'husk user list' shows who has which")
}
