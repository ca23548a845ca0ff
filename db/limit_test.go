package db_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"husk/db"
)

const lowKey = "wiki#page/edit"

// limits are the tokens of an administrator: each of the limits alone, and
// none. The owner may do everything; so may the token, but for its limit.
func limits(t *testing.T, f *fixture, admin *db.Actor) map[string]*db.Token {
	t.Helper()
	roles, err := f.Roles(f.ctx)
	must(t, err)
	replaced := f.mint(admin, db.NewToken{Expires: db.Never})
	replaced, err = f.RotateToken(f.ctx, admin, replaced.ID, db.Rotation{Hash: []byte(strings.Repeat("x", 32)), Grace: time.Hour})
	must(t, err)
	here := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	return map[string]*db.Token{
		"end":              f.mint(admin, db.NewToken{Expires: f.now().Add(8 * time.Second).Unix()}),
		"default end":      f.mint(admin, db.NewToken{}),
		"far end":          f.mint(admin, db.NewToken{Expires: f.now().AddDate(200, 0, 0).Unix()}),
		"permissions":      f.mint(admin, db.NewToken{Expires: db.Never, Permissions: roles.Known()}),
		"addresses":        f.mint(admin, db.NewToken{Expires: db.Never, AllowedIPs: here}),
		"hosts":            f.mint(admin, db.NewToken{Expires: db.Never, Reach: db.Reach{AllowedHosts: []string{"*.example.com"}}}),
		"paths":            f.mint(admin, db.NewToken{Expires: db.Never, Reach: db.Reach{AllowedPaths: []string{"/"}}}),
		"methods":          f.mint(admin, db.NewToken{Expires: db.Never, Reach: db.Reach{AllowedMethods: []string{"GET"}}}),
		"grace":            replaced.Replaced(),
		"none":             f.mint(admin, db.NewToken{Expires: db.Never}),
		"none, all named":  f.mint(admin, db.NewToken{Expires: db.Never, Permissions: []string{db.PermAll}}),
		"none, rotated":    replaced,
		"none, all others": f.mint(admin, db.NewToken{Expires: db.Never, Permissions: []string{lowKey, db.PermAll}}),
	}
}

// act is something that a token may be shown for: on a user who is called
// email, and on a role.
type act struct {
	name   string
	makes  bool // it makes what outlives the token
	before func(f *fixture, email string) db.UserChange
	do     func(f *fixture, by *db.Actor, email, role string) error
}

func changing(c db.UserChange) func(*fixture, *db.Actor, string, string) error {
	return func(f *fixture, by *db.Actor, email, _ string) error {
		_, err := f.UpdateUser(f.ctx, by, email, c)
		return err
	}
}

func setting(c db.RoleChange) func(*fixture, *db.Actor, string, string) error {
	return func(f *fixture, by *db.Actor, _, role string) error { return f.UpdateRole(f.ctx, by, role, c) }
}

func importing(email string, ifMissing, dryRun bool) func(*fixture, *db.Actor, string, string) error {
	return func(f *fixture, by *db.Actor, there, _ string) error {
		line := db.ImportUser{NewUser: db.NewUser{Email: email, Roles: []string{"low"}}, Line: 1, Disabled: true}
		if email == "" {
			line.Email = there
		}
		_, err := f.ImportUsers(f.ctx, by, []db.ImportUser{line}, ifMissing, dryRun)
		return err
	}
}

var acts = []act{
	{name: "make a user", makes: true, do: func(f *fixture, by *db.Actor, _, _ string) error {
		_, err := f.CreateUser(f.ctx, by, db.NewUser{Email: "made@example.com", Roles: []string{"low"}, Password: "hash"})
		return err
	}},
	{name: "make a robot", makes: true, do: func(f *fixture, by *db.Actor, _, _ string) error {
		_, err := f.CreateUser(f.ctx, by, db.NewUser{Email: "robot@example.com", Roles: []string{"low"}})
		return err
	}},
	{name: "import users", makes: true, do: importing("imported@example.com", false, false)},
	{name: "try an import", makes: true, do: importing("tried@example.com", false, true)},
	{name: "import who is there", makes: true, do: importing("", true, false)},
	{name: "enable a user", makes: true, do: changing(db.UserChange{Disabled: ptr(false)}),
		before: func(*fixture, string) db.UserChange { return db.UserChange{Disabled: ptr(true)} }},
	{name: "grant a role", makes: true, do: changing(db.UserChange{Roles: []string{"low", "other"}})},
	{name: "exchange a role", makes: true, do: changing(db.UserChange{Roles: []string{"other"}})},
	{name: "give another email", makes: true, do: func(f *fixture, by *db.Actor, email, _ string) error {
		_, err := f.UpdateUser(f.ctx, by, email, db.UserChange{Email: ptr("boss." + email)})
		return err
	}},
	{name: "disable one and grant a role", makes: true, do: changing(db.UserChange{Disabled: ptr(true), Roles: []string{"low", "other"}})},
	{name: "make a role", makes: true, do: func(f *fixture, by *db.Actor, _, role string) error {
		return f.CreateRole(f.ctx, by, "made."+role, db.RoleChange{Permissions: []string{lowKey}})
	}},
	{name: "make a role of nothing", makes: true, do: func(f *fixture, by *db.Actor, _, role string) error {
		return f.CreateRole(f.ctx, by, "empty."+role, db.RoleChange{})
	}},
	{name: "widen a role", makes: true, do: setting(db.RoleChange{Permissions: []string{lowKey, db.PermUserRead, db.PermBackup}})},
	{name: "exchange what a role grants", makes: true, do: setting(db.RoleChange{Permissions: []string{db.PermBackup}})},

	{name: "rename a user", do: changing(db.UserChange{Name: ptr("Another")})},
	{name: "disable a user", do: changing(db.UserChange{Disabled: ptr(true)})},
	{name: "take a role", do: changing(db.UserChange{Roles: []string{}})},
	{name: "leave a user as they are", do: changing(db.UserChange{Roles: []string{"low"}, Disabled: ptr(false)})},
	{name: "leave a disabled one as they are", do: changing(db.UserChange{Name: ptr("Another"), Disabled: ptr(true)}),
		before: func(*fixture, string) db.UserChange { return db.UserChange{Disabled: ptr(true)} }},
	{name: "unlock a user", do: func(f *fixture, by *db.Actor, email, _ string) error {
		u, err := f.UserByEmail(f.ctx, email)
		must(f.t, err)
		return f.UnlockUser(f.ctx, by, u.ID)
	}},
	{name: "delete a user", do: func(f *fixture, by *db.Actor, email, _ string) error {
		_, err := f.DeleteUser(f.ctx, by, email)
		return err
	}},
	{name: "narrow a role", do: setting(db.RoleChange{Permissions: []string{lowKey}})},
	{name: "describe a role", do: setting(db.RoleChange{Description: ptr("for the wiki")})},
	{name: "leave a role as it is", do: setting(db.RoleChange{Permissions: []string{db.PermUserRead, lowKey}})},
	{name: "delete a role", do: func(f *fixture, by *db.Actor, _, role string) error { return f.DeleteRole(f.ctx, by, role) }},
}

// With a token of any limit nothing is made that has none: each limit alone,
// and each act.
func TestLimitedTokenMakesNothingThatOutlivesIt(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	must(t, f.CreateRole(f.ctx, local, "low", db.RoleChange{Permissions: []string{lowKey}}))
	must(t, f.CreateRole(f.ctx, local, "other", db.RoleChange{Permissions: []string{db.PermUserRead}}))
	admin := f.as(f.user("admin@example.com", db.RoleAdmin))
	n := 0
	for name, token := range limits(t, f, admin) {
		limited := !strings.HasPrefix(name, "none")
		if token.Limited() != limited {
			t.Errorf("%s: the token is limited: %t", name, token.Limited())
		}
		for _, a := range acts {
			n++
			email, role := email(n), "role-"+email(n)[4:8]
			f.user(email, "low")
			must(t, f.CreateRole(f.ctx, local, role, db.RoleChange{Permissions: []string{lowKey, db.PermUserRead}}))
			if a.before != nil {
				_, err := f.UpdateUser(f.ctx, local, email, a.before(f, email))
				must(t, err)
			}
			seq := lastSeq(f)
			err := a.do(f, f.by(token), email, role)
			switch {
			case limited && a.makes:
				wantErr(t, err, db.ErrDenied, "limited_credential")
				if lastSeq(f) != seq {
					t.Errorf("%s by a token limited by %s was refused, and done", a.name, name)
				}
			case err != nil:
				t.Errorf("%s by a token limited by %s: %v", a.name, name, err)
			}
			if t.Failed() {
				t.Fatalf("that was: %s by a token limited by %s", a.name, name)
			}
			for _, made := range []string{"made@example.com", "robot@example.com", "imported@example.com"} {
				if _, err := f.DeleteUser(f.ctx, local, made); err != nil && !errors.Is(err, db.ErrNotFound) {
					t.Fatal(err)
				}
			}
		}
		// A password is set by no token, whatever its limits.
		_, err := f.UpdateUser(f.ctx, f.by(token), "user0001@example.com", db.UserChange{Password: ptr("hash")})
		wantErr(t, err, db.ErrDenied, "session_required")
	}
}

// A session and the owner of the file are not limited, though a session ends:
// who signs in has the password, which does not.
func TestOnlyTokensAreLimited(t *testing.T) {
	f := newStore(t)
	admin := f.as(f.user("admin@example.com", db.RoleAdmin))
	for i, by := range []*db.Actor{admin, local} {
		_, err := f.CreateUser(f.ctx, by, db.NewUser{Email: email(i)})
		must(t, err)
		must(t, f.CreateRole(f.ctx, by, "role"+email(i)[4:8], db.RoleChange{}))
	}
}

// A token that is cut while a request is on its way is limited by then.
func TestLimitComesMeanwhile(t *testing.T) {
	f := newStore(t)
	admin := f.as(f.user("admin@example.com", db.RoleAdmin))
	token := f.mint(admin, db.NewToken{Expires: db.Never})
	by := f.by(token)
	_, err := f.RotateToken(f.ctx, admin, token.ID, db.Rotation{Hash: []byte(strings.Repeat("x", 32)), Grace: time.Hour})
	must(t, err)
	_, err = f.CreateUser(f.ctx, by, db.NewUser{Email: "made@example.com"})
	wantErr(t, err, db.ErrDenied, "limited_credential")
}

// lastSeq is the number of the newest entry of the audit log.
func lastSeq(f *fixture) int { return len(f.keys("audit")) }

// The limit is held where users and roles are written. Another place that
// writes them would be a way around it: only removals are, and the making of
// the store.
func TestUsersAndRolesAreWrittenInOnePlace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	write := regexp.MustCompile(`\b(?:user|role)Records\.put\(t, \w+, ([&\w]+)`)
	found := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, m := range write.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasSuffix(file, "_test.go") && !strings.HasPrefix(file, "migrate_") && m[1] != "nil" {
				found[file]++
			}
		}
	}
	if len(found) != 2 || found["limit.go"] != 2 || found["store.go"] != 2 {
		t.Errorf("users and roles are written in %v: use putUser and putRole", found)
	}
}
