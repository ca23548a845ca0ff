package db_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"husk/db"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "ab", 1}, {"ab", "abc", 1}, {"abc", "abd", 1},
		{"read", "raed", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"abcd", "badc", 2}, {"permission", "permissions", 1},
	} {
		if got := db.Distance(c.a, c.b); got != c.want || db.Distance(c.b, c.a) != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// What looks like one of Husk's own permissions and is none is refused wherever
// permissions come in; what an application asks for, and what a Coco Server did,
// is an operator's to name.
func TestOwnPermissionsAreNotMadeUp(t *testing.T) {
	s := newStore(t)
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	n := 0
	for key, near := range map[string]string{
		"generic#security:user/raed": db.PermUserRead, "generic#security:users/read": db.PermUserRead, "generic#security:api-token/create": "",
		"generic#system/backups": db.PermBackup, "generic#systems/key": db.PermKeys, "coco#sistem/read": db.PermSystemRead, "coco#system/write": "",
		"generic#wiki/edit": "", "coco#nosuch/read": "", "genric#system/backup": db.PermBackup, "generics#security:user/read": db.PermUserRead,
	} {
		name := "role" + strings.Repeat("x", n)
		n++
		for what, err := range map[string]error{
			"role":  s.CreateRole(s.ctx, actor, name, db.RoleChange{Permissions: []string{db.PermUserRead, key}}),
			"token": tokenWith(s, actor, key),
		} {
			var e *db.Error
			if !errors.As(err, &e) || e.Code != "unknown_permission" || !strings.Contains(e.Reason, key) || !strings.Contains(e.Reason, near) {
				t.Errorf("%s with %s: %v; want %s named", what, key, err, near)
			}
		}
	}
	free := []string{"wiki#page/edit", "app#x/y", "cocoa#page/edit", "generic.app#system/read", "coco#document/read", "coco#system/update", "generic#sharing/search", db.PermKeys}
	must(t, s.CreateRole(s.ctx, actor, "free", db.RoleChange{Permissions: free}))
	must(t, s.CreateRole(s.ctx, actor, "all", db.RoleChange{Permissions: []string{db.PermAll}}))
	must(t, tokenWith(s, actor, "coco#document/read"))
	// What a role had before this was asked stays, and nothing is added to it.
	must(t, s.PutRole(s.ctx, "old", "generic#wiki/edit"))
	must(t, s.UpdateRole(s.ctx, actor, "old", db.RoleChange{Permissions: []string{"generic#wiki/edit", db.PermKeys}}))
	wantErr(t, s.UpdateRole(s.ctx, actor, "old", db.RoleChange{Permissions: []string{"generic#wiki/edit", "generic#wiki/read"}}), db.ErrInvalid, "unknown_permission")
}

func tokenWith(s *fixture, actor *db.Actor, key string) error {
	_, err := s.CreateToken(s.ctx, actor, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), Permissions: []string{key}})
	return err
}
