package db_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"husk/db"
)

// The algebra of sets, against maps.
func TestPermissionsAreSets(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	universe := []string{"a#b/c", "a#b/d", "a#b:c/d", "b#a/c", "c#a/b", "z#z/z"}
	type set map[string]bool
	draw := func() (keys []string, model set, p db.Permissions) {
		model = set{}
		for range random.IntN(8) {
			key := universe[random.IntN(len(universe))]
			if random.IntN(12) == 0 {
				key = db.PermAll
			}
			keys, model[key] = append(keys, key), true
		}
		before := slices.Clone(keys)
		half := len(keys) / 2
		p = db.NewPermissions(keys[:half], keys[half:])
		if !slices.Equal(keys, before) {
			t.Fatal("NewPermissions changed what it was given")
		}
		return keys, model, p
	}
	has := func(m set, key string) bool { return m[db.PermAll] || m[key] }
	for range 5000 {
		ka, ma, a := draw()
		kb, mb, b := draw()
		both, missing := a.Intersect(b), a.Missing(b)
		covered := !mb[db.PermAll] || ma[db.PermAll]
		for _, key := range universe {
			if a.Has(key) != has(ma, key) {
				t.Fatalf("%v has %s: %t", ka, key, a.Has(key))
			}
			if both.Has(key) != (has(ma, key) && has(mb, key)) {
				t.Fatalf("%v and %v have %s: %t", ka, kb, key, both.Has(key))
			}
			covered = covered && (!has(mb, key) || has(ma, key))
		}
		if (missing == "") != covered || (missing != "" && (a.Has(missing) && missing != db.PermAll || !b.Has(missing))) {
			t.Fatalf("of %v is missing in %v: %q", kb, ka, missing)
		}
		if a.All() != ma[db.PermAll] || a.Empty() != (len(ma) == 0) || both.All() != (a.All() && b.All()) {
			t.Fatalf("%v: all %t, empty %t", ka, a.All(), a.Empty())
		}
		if again := db.NewPermissions(a.Keys()); !slices.Equal(again.Keys(), a.Keys()) || !slices.IsSorted(a.Keys()) || a.Keys() == nil {
			t.Fatalf("%v became %v", a.Keys(), again.Keys())
		}
		if !slices.Equal(both.Keys(), b.Intersect(a).Keys()) || !slices.Equal(a.Intersect(a).Keys(), a.Keys()) || a.Missing(both) != "" || b.Missing(both) != "" {
			t.Fatalf("the intersection of %v and %v is %v", ka, kb, both.Keys())
		}
		if e := a.Expand(universe); e == nil || (a.All() && !slices.Equal(e, universe)) || (!a.All() && !slices.Equal(e, a.Keys())) {
			t.Fatalf("%v expands to %v", ka, e)
		}
	}
	var zero db.Permissions
	if !zero.Empty() || zero.All() || zero.Has("a#b/c") || zero.Has("") || zero.Has(db.PermAll) || len(zero.Keys()) != 0 || db.AllPermissions.Missing(db.AllPermissions) != "" || zero.Missing(db.AllPermissions) != db.PermAll {
		t.Error("the zero value is not the empty set")
	}
}

// What a set hands out is the caller's own.
func TestPermissionsAreNotShared(t *testing.T) {
	p := db.NewPermissions([]string{"a#b/c", "a#b/d"})
	p.Keys()[0] = "x"
	p.Expand(nil)[0] = "x"
	known := []string{"a#b/c"}
	db.AllPermissions.Expand(known)[0] = "x"
	if !p.Has("a#b/c") || known[0] != "a#b/c" {
		t.Error("a set was changed from outside")
	}
}

func TestPermissionForm(t *testing.T) {
	for key, want := range map[string]bool{
		"*": true, "generic#security:user/read": true, "a#b/c": true, "app-1#x_y.z:w/do.it": true,
		"": false, "a": false, "a#b": false, "a/b": false, "#b/c": false, "a#/c": false, "a#b/": false, "A#b/c": false, "a#b/c ": false, " a#b/c": false, "a#b/c\n": false,
		"a#b/c/d": false, "a#b#c/d": false, "**": false, "a#*/c": false, "a#b/*": false, "ä#b/c": false, "a:b#c/d": false,
	} {
		if got := db.ValidPermission(key); got != want {
			t.Errorf("%q is valid: %t", key, got)
		}
	}
	for key, want := range map[string][3]string{"generic#security:user/read": {"generic", "security:user", "read"}, "a#b/c": {"a", "b", "c"}, "*": {"*", "", ""}} {
		if c, r, a := db.SplitPermission(key); [3]string{c, r, a} != want {
			t.Errorf("%q is %q, %q, %q", key, c, r, a)
		}
	}
}

func TestRoles(t *testing.T) {
	f := newStore(t)
	must(t, f.PutRole(f.ctx, "clerk", db.PermUserRead, "app#wiki/edit"))
	roles, err := f.Roles(f.ctx)
	must(t, err)
	for _, c := range []struct {
		names []string
		want  []string
	}{
		{nil, nil}, {[]string{"absent"}, nil}, {[]string{"clerk", "absent"}, []string{"app#wiki/edit", db.PermUserRead}},
		{[]string{db.RoleAdmin, "clerk"}, []string{"*"}},
	} {
		if got := roles.Permissions(c.names).Keys(); !slices.Equal(got, c.want) {
			t.Errorf("%v grant %v, want %v", c.names, got, c.want)
		}
	}
	if known := roles.Known(); !slices.Contains(known, "app#wiki/edit") || slices.Contains(known, "*") || !slices.IsSorted(known) {
		t.Errorf("known are %v", known)
	}
	// A role that goes takes its rights with it, from users and from what is known.
	u := f.user("ann@example.com", "clerk")
	if p := roles.Permissions(u.Roles); !p.Has("app#wiki/edit") {
		t.Error("the role grants nothing")
	}
	must(t, f.PutRole(f.ctx, "clerk"))
	roles, err = f.Roles(f.ctx)
	must(t, err)
	if p := roles.Permissions(u.Roles); !p.Empty() || slices.Contains(roles.Known(), "app#wiki/edit") {
		t.Errorf("the emptied role grants %v", p.Keys())
	}
}

// Names of roles that differ in case alone are one: who reads a list of them
// can't be led to grant another one than they mean.
func TestRoleNamesAreUniqueFolded(t *testing.T) {
	f := newStore(t)
	create := func(name string) error { return f.CreateRole(f.ctx, local, name, db.RoleChange{}) }
	must(t, create("wiki-Editor"))
	for name, taken := range map[string]string{
		"wiki-Editor": "wiki-Editor", "wiki-editor": "wiki-Editor", "WIKI-EDITOR": "wiki-Editor",
		"Admin": db.RoleAdmin, "ADMIN": db.RoleAdmin, "User": db.RoleUser,
	} {
		err := create(name)
		wantErr(t, err, db.ErrConflict, "role_exists")
		if err != nil && !strings.Contains(err.Error(), "named "+taken+" ") {
			t.Errorf("%s is refused without telling what takes the name: %v", name, err)
		}
	}
	// Look-ups stay exact, and so do grants.
	_, err := f.Role(f.ctx, "wiki-editor")
	wantErr(t, err, db.ErrNotFound, "not_found")
	wantErr(t, f.UpdateRole(f.ctx, local, "wiki-editor", db.RoleChange{}), db.ErrNotFound, "not_found")
	wantErr(t, f.DeleteRole(f.ctx, local, "wiki-editor"), db.ErrNotFound, "not_found")
	_, err = f.CreateUser(f.ctx, local, db.NewUser{Email: "ann@example.com", Roles: []string{"wiki-editor"}})
	wantErr(t, err, db.ErrInvalid, "unknown_role")
	must(t, f.DeleteRole(f.ctx, local, "wiki-Editor"))
	must(t, create("wiki-editor"))

	// What an older store has of one name goes on, each as it is.
	must(t, f.PutRole(f.ctx, "Keeper", db.PermUserRead))
	must(t, f.PutRole(f.ctx, "keeper", db.PermBackup))
	wantErr(t, create("KEEPER"), db.ErrConflict, "role_exists")
	must(t, f.UpdateRole(f.ctx, local, "Keeper", db.RoleChange{Description: ptr("one")}))
	must(t, f.DeleteRole(f.ctx, local, "Keeper"))
	wantErr(t, create("Keeper"), db.ErrConflict, "role_exists")
}

func TestRoleNamesAreUniqueFoldedAtOnce(t *testing.T) {
	f := newStore(t)
	names := []string{"reader", "Reader", "READER", "readeR", "rEader", "reAder"}
	var made atomic.Int64
	together(len(names), func(i int) {
		switch err := f.CreateRole(f.ctx, local, names[i], db.RoleChange{}); {
		case err == nil:
			made.Add(1)
		case !errors.Is(err, db.ErrConflict):
			t.Error(err)
		}
	})
	if made.Load() != 1 {
		t.Errorf("%d roles of one name are made", made.Load())
	}
}

// Of each of Husk's own permissions is said what it allows.
func TestPermissionTexts(t *testing.T) {
	for _, key := range db.BuiltinPermissions() {
		if db.PermissionText(key) == "" {
			t.Errorf("nothing tells what %s allows", key)
		}
	}
	if text := db.PermissionText("wiki#page/edit"); text != "" {
		t.Errorf("an application's own is told as %q", text)
	}
}
