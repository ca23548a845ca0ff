package db

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Permission keys, in the form category#resource/action.
const (
	PermAll = "*" // grants everything

	PermTokenSearch     = "generic#security:auth:api-token/search"
	PermTokenCreate     = "generic#security:auth:api-token/create"
	PermTokenUpdate     = "generic#security:auth:api-token/update"
	PermTokenDelete     = "generic#security:auth:api-token/delete"
	PermUserSearch      = "generic#security:user/search"
	PermUserRead        = "generic#security:user/read"
	PermUserCreate      = "generic#security:user/create"
	PermUserUpdate      = "generic#security:user/update"
	PermUserDelete      = "generic#security:user/delete"
	PermRoleSearch      = "generic#security:role/search"
	PermRoleRead        = "generic#security:role/read"
	PermRoleCreate      = "generic#security:role/create"
	PermRoleUpdate      = "generic#security:role/update"
	PermRoleDelete      = "generic#security:role/delete"
	PermPermissionRead  = "generic#security:permission/read"
	PermPrincipalSearch = "generic#security:principal/search"
	PermSessionSearch   = "generic#security:session/search"
	PermSessionDelete   = "generic#security:session/delete"
	PermTokenIntrospect = "generic#security:token/introspect"
	PermAuditSearch     = "generic#security:audit/search"
	PermBackup          = "generic#system/backup"
	PermKeys            = "generic#system/keys"
	PermSystemRead      = "coco#system/read"
)

// builtinPermissions are the keys that Husk itself asks for, sorted.
var builtinPermissions = []string{
	PermSystemRead,
	PermAuditSearch,
	PermTokenCreate, PermTokenDelete, PermTokenSearch, PermTokenUpdate,
	PermPermissionRead,
	PermPrincipalSearch,
	PermRoleCreate, PermRoleDelete, PermRoleRead, PermRoleSearch, PermRoleUpdate,
	PermSessionDelete, PermSessionSearch,
	PermTokenIntrospect,
	PermUserCreate, PermUserDelete, PermUserRead, PermUserSearch, PermUserUpdate,
	PermBackup, PermKeys,
}

// BuiltinPermissions returns the keys that Husk itself asks for, sorted.
func BuiltinPermissions() []string { return slices.Clone(builtinPermissions) }

var permissionForm = sync.OnceValue(func() *regexp.Regexp { // it is large: commands start without it
	return regexp.MustCompile(`^[a-z0-9_.-]{1,64}#[a-z0-9_.:-]{1,128}/[a-z0-9_.-]{1,64}$`)
})

// ValidPermission tells whether key has the form category#resource/action, or
// is "*".
func ValidPermission(key string) bool { return key == PermAll || permissionForm().MatchString(key) }

// SplitPermission takes a key of valid form apart.
func SplitPermission(key string) (category, resource, action string) {
	category, rest, _ := strings.Cut(key, "#")
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return category, rest, ""
	}
	return category, rest[:i], rest[i+1:]
}

// Permissions is a set of permission keys. The zero value is the empty set. It
// is never changed once made, so it may be shared.
type Permissions struct {
	all  bool
	keys []string // sorted, unique, without "*"
}

// AllPermissions is the set that grants everything.
var AllPermissions = Permissions{all: true}

// NewPermissions makes a set of the keys, in any order.
func NewPermissions(keys ...[]string) Permissions {
	var p Permissions
	for _, some := range keys {
		p.keys = append(p.keys, some...)
	}
	slices.Sort(p.keys)
	p.keys = slices.Compact(p.keys)
	if i, found := slices.BinarySearch(p.keys, PermAll); found {
		p.all = true
		p.keys = slices.Delete(p.keys, i, i+1)
	}
	return p
}

// All tells whether the set grants everything.
func (p Permissions) All() bool { return p.all }

// Empty tells whether the set grants nothing.
func (p Permissions) Empty() bool { return !p.all && len(p.keys) == 0 }

// Has tells whether the set grants key.
func (p Permissions) Has(key string) bool {
	if p.all {
		return true
	}
	_, found := slices.BinarySearch(p.keys, key)
	return found
}

// Missing returns the first key of q that p does not grant, or "" where p
// grants all of q.
func (p Permissions) Missing(q Permissions) string {
	switch {
	case p.all:
		return ""
	case q.all:
		return PermAll
	}
	for _, key := range q.keys {
		if !p.Has(key) {
			return key
		}
	}
	return ""
}

// Intersect returns what both sets grant.
func (p Permissions) Intersect(q Permissions) Permissions {
	switch {
	case p.all:
		return q
	case q.all:
		return p
	}
	var both Permissions
	for _, key := range p.keys {
		if q.Has(key) {
			both.keys = append(both.keys, key)
		}
	}
	return both
}

// Keys returns the set as it is stored: sorted, with "*" for everything, never
// nil.
func (p Permissions) Keys() []string {
	if p.all {
		return []string{PermAll}
	}
	return append([]string{}, p.keys...)
}

// Expand returns the keys that the set grants among the known ones, sorted,
// never nil.
func (p Permissions) Expand(known []string) []string {
	if p.all {
		return append([]string{}, known...)
	}
	return append([]string{}, p.keys...)
}
