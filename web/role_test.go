package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

const (
	roles   = "/security/role"
	ownKey  = "wiki#page/edit"
	ownKey2 = "wiki#page/read"
)

// roleBody is the body of a role that is made or changed.
func roleBody(name string, permissions ...string) string {
	return jsonOf(api.RoleChange{Name: name, Grants: &api.Grants{Permissions: append([]string{}, permissions...)}})
}

// makeRole makes one over HTTP.
func (s *server) makeRole(name string, permissions ...string) {
	s.t.Helper()
	s.do("POST", roles, roleBody(name, permissions...), local).want(200).like(`{"_id":"` + name + `","result":"created"}`)
}

func TestRoleRoutes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.single()
	show := func(name, description, builtin string, permissions ...string) string {
		return `{"id":"` + name + `","name":"` + name + `","description":"` + description + `","grants":{"permissions":` +
			jsonOf(append([]string{}, permissions...)) + `},"created":"<time>","builtin":` + builtin + `,"require_second_factor":false}`
	}
	found := func(name, source string) string {
		return `{"_id":"` + name + `","found":true,"_source":` + source + `}`
	}
	do := func(method, path, body string) answer { return s.do(method, path, body, admin.session()) }

	do("POST", roles, `{"name":"editor","description":" writes pages ","grants":{"permissions":["`+ownKey2+`","`+ownKey+`","`+ownKey+`"]},"id":"x","builtin":true}`).
		want(200).like(`{"_id":"editor","result":"created"}`)
	if e := s.lastEvent(); e.Action != "role.create" || e.Target != "editor" || e.Actor != db.SingleUser {
		t.Errorf("the audit says %+v", e)
	}
	editor := show("editor", "writes pages", "false", ownKey, ownKey2)
	do("GET", roles+"/editor", "").want(200).like(found("editor", editor))
	do("GET", roles+"/editor/", "").want(200).like(found("editor", editor))
	do("GET", roles+"/admin", "").want(200).like(found("admin", show("admin", "may do everything", "true", "*")))
	do("POST", roles+"/", `{"name":"Nothing.at_all-1"}`).want(200)
	do("GET", roles+"/Nothing.at_all-1", "").want(200).like(found("Nothing.at_all-1", show("Nothing.at_all-1", "", "false")))

	do("PUT", roles+"/editor", `{"description":"edits"}`).want(200).like(`{"_id":"editor","result":"updated"}`)
	do("PUT", roles+"/editor", `{"name":"editor","grants":{}}`).want(200)
	do("GET", roles+"/editor", "").like(found("editor", show("editor", "edits", "false", ownKey, ownKey2)))
	do("PUT", roles+"/editor", `{"grants":{"permissions":["`+ownKey+`"]}}`).want(200)
	if e := s.lastEvent(); e.Action != "role.update" || e.Target != "editor" {
		t.Errorf("the audit says %+v", e)
	}
	do("GET", roles+"/editor", "").like(found("editor", show("editor", "edits", "false", ownKey)))
	// A client whose list has not come yet sends none: that takes none away.
	for _, body := range []string{`{}`, `{"grants":null}`, `{"grants":{}}`, `{"grants":{"permissions":null}}`, `{"grants":{"permissions":[]}}`, `{"grants":{"permissions":[]},"no_permissions":false}`} {
		do("PUT", roles+"/editor", body).want(200)
		do("GET", roles+"/editor", "").like(found("editor", show("editor", "edits", "false", ownKey)))
	}
	for _, method := range []string{"POST", "PUT"} {
		do(method, roles+map[string]string{"PUT": "/editor"}[method], `{"grants":{"permissions":["`+ownKey+`"]},"no_permissions":true}`).want(400, "bad_role")
	}
	do("PUT", roles+"/editor", noPermissions).want(200)
	do("GET", roles+"/editor", "").like(found("editor", show("editor", "edits", "false")))

	names := func(query string) (names []string) {
		var page api.Search[api.Role]
		do("GET", roles+"/_search"+query, "").want(200).json(&page)
		for _, hit := range page.Hits.Hits {
			names = append(names, hit.ID)
			if hit.Source.ID != hit.ID || hit.Source.Name != hit.ID || hit.Source.Grants.Permissions == nil {
				t.Errorf("%+v", hit)
			}
		}
		if query == "" && page.Hits.Total.Value != int64(len(names)) {
			t.Errorf("%d roles, and the total says %d", len(names), page.Hits.Total.Value)
		}
		return names
	}
	if got := names(""); len(got) != 4 {
		t.Errorf("%v", got)
	}
	if got := names("?sort=name:asc"); !slices.Equal(got, []string{"admin", "editor", "Nothing.at_all-1", "user"}) {
		t.Errorf("%v", got)
	}
	if got := names("?query=EDI"); !slices.Equal(got, []string{"editor"}) {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"no body", "POST", roles, "", 400, "body_missing"},
		{"no name", "POST", roles, `{}`, 400, "bad_role_name"},
		{"taken", "POST", roles, `{"name":"editor"}`, 409, "role_exists"},
		{"built-in again", "POST", roles, `{"name":"admin"}`, 409, "role_exists"},
		{"taken in another case", "POST", roles, `{"name":"EDITOR"}`, 409, "role_exists"},
		{"built-in in another case", "POST", roles, `{"name":"Admin"}`, 409, "role_exists"},
		{"the other built-in", "POST", roles, `{"name":"USER"}`, 409, "role_exists"},
		{"long name", "POST", roles, `{"name":"` + strings.Repeat("r", 65) + `"}`, 400, "bad_role_name"},
		{"many permissions", "POST", roles, roleBody("x", slices.Repeat([]string{ownKey}, 1001)...), 400, "too_many_permissions"},
		{"wrong type", "POST", roles, `{"name":"x","grants":["*"]}`, 400, "bad_type"},
		{"long description", "POST", roles, `{"name":"x","description":"` + strings.Repeat("d", 1001) + `"}`, 400, "text_too_long"},
		{"control in the description", "POST", roles, `{"name":"x","description":"a\u202eb"}`, 400, "text_not_plain"},
		{"absent", "GET", roles + "/absent", "", 404, "not_found"},
		{"change of an absent one", "PUT", roles + "/absent", `{}`, 404, "not_found"},
		{"delete of an absent one", "DELETE", roles + "/absent", "", 404, "not_found"},
		{"other case", "GET", roles + "/Editor", "", 404, "not_found"},
		{"another name", "PUT", roles + "/editor", `{"name":"author"}`, 400, "role_renamed"},
		{"change of the built-in admin", "PUT", roles + "/admin", noPermissions, 403, "builtin_role"},
		{"description of the built-in user", "PUT", roles + "/user", `{"description":"x"}`, 403, "builtin_role"},
		{"delete of the built-in admin", "DELETE", roles + "/admin", "", 403, "builtin_role"},
		{"delete of the built-in user", "DELETE", roles + "/user", "", 403, "builtin_role"},
		{"sort by expiry", "GET", roles + "/_search?sort=expire_in", "", 400, "bad_sort"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, with := range []edit{admin.session(), local} {
				s.do(c.method, c.path, c.body, with).want(c.status, c.code)
			}
		})
	}
	do("DELETE", roles+"/editor", "").want(200).like(`{"_id":"editor","result":"deleted"}`)
	if e := s.lastEvent(); e.Action != "role.delete" || e.Target != "editor" {
		t.Errorf("the audit says %+v", e)
	}
	do("DELETE", roles+"/editor", "").want(404)
	do("POST", roles, `{"name":"editor"}`).want(200)
}

// noPermissions takes all from a role.
const noPermissions = `{"grants":{"permissions":[]},"no_permissions":true}`

// What is not of valid form is refused in words of Husk's own alone.
func TestNamesAreTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.single()
	for _, name := range []string{"", marker + " x", "<b>" + marker, "-" + marker, marker + "\u202e", "ü" + marker, marker + "/x", marker + "\n"} {
		for _, c := range []struct{ method, path, body string }{
			{"POST", roles, roleBody(name)},
			{"POST", "/security/user", jsonOf(api.NewUser{Email: "x@example.com", NoPassword: true, Roles: []string{name}})},
			{"PUT", "/security/user/" + db.SingleUser, jsonOf(api.UserUpdate{Roles: &[]string{name}})},
			{"POST", "/security/user/_import", jsonOf(api.ImportUser{Email: "x@example.com", Roles: []string{name}})},
		} {
			s.do(c.method, c.path, c.body, local).want(400, "bad_role_name").quiet(marker)
		}
	}
	for _, key := range []string{"", "**", marker, marker + "#x", marker + "#x/", "#x/" + marker, "A#b/" + marker, marker + "#x/y/<b>", marker + "#x/y z", strings.Repeat("k", 65) + "#" + marker + "/x"} {
		for _, c := range []struct{ method, path, body string }{
			{"POST", roles, roleBody("x", key)},
			{"POST", "/auth/access_token", jsonOf(api.NewToken{Permissions: []string{key}})},
		} {
			s.do(c.method, c.path, c.body, admin.session()).want(400, "bad_permission").quiet(marker)
		}
	}
	// One of valid form is named, for the typo to be seen.
	for _, c := range []struct{ method, path, body, code, told string }{
		{"POST", "/security/user", `{"email":"x@example.com","no_password":true,"roles":["wizzard"]}`, "unknown_role", "wizzard"},
		{"PUT", "/security/user/" + db.SingleUser, `{"roles":["user","wizzard"]}`, "unknown_role", "wizzard"},
		{"POST", "/auth/access_token", `{"permissions":["wiki#pgae/edit"]}`, "unknown_permission", "wiki#pgae/edit"},
	} {
		if a := s.do(c.method, c.path, c.body, local).want(400, c.code); !strings.Contains(a.body, c.told) {
			t.Errorf("%s is not told: %s", c.told, a.body)
		}
	}
}

// A role that somebody has stays. Who has it is told to nobody: the permission
// to delete roles is none to see users.
func TestRoleInUse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("editor", ownKey)
	path := roles + "/editor"
	var ids []string
	told := ""
	for i := range 7 {
		made, err := s.local.CreateUser(t.Context(), api.NewUser{Email: fmt.Sprintf("user%d@example.com", i), Roles: []string{"editor"}, NoPassword: true})
		must(t, err)
		ids = append(ids, made.User.ID)
		s.clock.advance(time.Second)
		a := s.do("DELETE", path, "", local).want(409, "role_in_use").quiet(fmt.Sprintf("user%d", i)).quiet("example.com")
		a.quiet(made.User.ID)
		if i > 0 && a.body != told {
			t.Errorf("%d users: %s, one: %s", i+1, a.body, told)
		}
		told = a.body
	}
	for i, id := range ids {
		s.do("DELETE", path, "", local).want(409, "role_in_use")
		switch i % 3 {
		case 0:
			s.do("DELETE", "/security/user/"+id, "", local).want(200)
		case 1:
			s.do("PUT", "/security/user/"+id, `{"disabled":true}`, local).want(200)
			s.do("DELETE", path, "", local).want(409, "role_in_use") // a disabled user has it still
			s.do("PUT", "/security/user/"+id, `{"roles":[]}`, local).want(200)
		default:
			s.do("PUT", "/security/user/"+id, `{"roles":["user"]}`, local).want(200)
		}
	}
	s.do("DELETE", path, "", local).want(200)
	// The single user has no email.
	s.makeRole("second", ownKey)
	s.do("PUT", "/security/user/"+db.SingleUser, `{"roles":["admin","second"]}`, local).want(200)
	s.do("DELETE", roles+"/second", "", local).want(409, "role_in_use").quiet(db.SingleUser)
}

// An operator's own keys exist from when a role names them to when none does.
func TestOwnPermissions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.single()
	ann := s.newUser(annEmail)
	listed := func(want bool) {
		t.Helper()
		var all []api.Permission
		s.do("GET", "/security/permission", "", ann.session()).want(200).json(&all)
		i := slices.IndexFunc(all, func(p api.Permission) bool { return p.ID == ownKey })
		if (i >= 0) != want {
			t.Errorf("%s is listed: %t", ownKey, i >= 0)
		}
		if i >= 0 && (all[i] != api.Permission{ID: ownKey, Category: "wiki", Resource: "page", Action: "edit"}) {
			t.Errorf("%+v", all[i])
		}
		for _, with := range []edit{admin.session(), local} {
			var p api.Profile
			s.do("GET", "/account/profile", "", with).json(&p)
			if slices.Contains(p.Permissions, ownKey) != want {
				t.Errorf("an administrator's profile: %v", p.Permissions)
			}
		}
	}
	narrow := func(status int, code ...string) answer {
		t.Helper()
		return s.do("POST", "/auth/access_token", `{"permissions":["`+ownKey+`"]}`, ann.session()).want(status, code...)
	}
	listed(false)
	narrow(400, "unknown_permission")
	s.makeRole("editor", ownKey)
	listed(true)
	narrow(403, "asks_more")
	s.do("PUT", "/security/user/"+ann.id, `{"roles":["editor","user"]}`, admin.session()).want(200)
	var p api.Profile
	s.do("GET", "/account/profile", "", ann.session()).json(&p)
	if !slices.Contains(p.Permissions, ownKey) {
		t.Errorf("%v", p.Permissions)
	}
	var made api.TokenCreated
	narrow(200).json(&made)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).json(&p)
	if !slices.Equal(p.Permissions, []string{ownKey}) {
		t.Errorf("the token may %v", p.Permissions)
	}
	s.do("PUT", roles+"/editor", roleBody("", ownKey2), admin.session()).want(200)
	listed(false)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200).json(&p)
	if len(p.Permissions) != 0 {
		t.Errorf("the token may %v", p.Permissions)
	}
	s.do("PUT", "/security/user/"+ann.id, `{"roles":["user"]}`, admin.session()).want(200)
	s.do("DELETE", roles+"/editor", "", admin.session()).want(200)
	listed(false)
}

// Nobody grants what they do not have, by whichever route a role changes.
func TestRolesDoNotEscalate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manageRoles := []string{db.PermRoleSearch, db.PermRoleRead, db.PermRoleCreate, db.PermRoleUpdate, db.PermRoleDelete, db.PermTokenCreate, ownKey}
	s.makeRole("clerk", manageRoles...)
	s.makeRole("above", db.PermBackup, ownKey)
	s.makeRole("root", db.PermAll)
	clerk := s.newUser("clerk@example.com", "clerk")
	token := s.mint(clerk.session(), api.NewToken{ExpireIn: db.Never})
	narrow := s.mint(clerk.session(), api.NewToken{Permissions: []string{db.PermRoleUpdate, db.PermRoleCreate, db.PermRoleDelete}})
	before := func() string {
		page, err := s.local.SearchRoles(t.Context(), api.ListOptions{Sort: "name"})
		must(t, err)
		return jsonOf(page.Hits.Hits)
	}
	was := before()
	for name, by := range map[string]edit{"session": clerk.session(), "token": apiToken(token.AccessToken), "narrow token": apiToken(narrow.AccessToken)} {
		for _, more := range [][]string{{db.PermAll}, {db.PermBackup}, {ownKey, db.PermBackup}, {"wiki#page/delete"}, {db.PermAll, ownKey}} {
			s.do("POST", roles, roleBody("x", more...), by).want(403, "grants_more")
			s.do("PUT", roles+"/clerk", roleBody("", append(more, manageRoles...)...), by).want(403)
		}
		for _, role := range []string{"above", "root"} {
			s.do("PUT", roles+"/"+role, roleBody(""), by).want(403, "role_above")
			s.do("PUT", roles+"/"+role, `{"description":"x"}`, by).want(403, "role_above")
			s.do("DELETE", roles+"/"+role, "", by).want(403, "role_above")
		}
		if now := before(); now != was {
			t.Fatalf("%s: refused, and yet the roles are %s", name, now)
		}
	}
	// A token that may not do what the role grants does not grant it either.
	s.do("POST", roles, roleBody("x", ownKey), apiToken(narrow.AccessToken)).want(403, "grants_more")
	s.do("PUT", roles+"/clerk", `{"description":"x"}`, apiToken(narrow.AccessToken)).want(403, "role_above")
	s.do("POST", roles, roleBody("mine", ownKey), clerk.session()).want(200)
	s.do("PUT", roles+"/mine", roleBody("", ownKey, db.PermRoleRead), apiToken(token.AccessToken)).want(200)
	s.do("DELETE", roles+"/mine", "", clerk.session()).want(200)
}

// A change of a role counts at the next request of everybody who has it, by
// session and by token, whatever was remembered of them.
func TestRoleChangesCountAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("reader", db.PermUserRead, db.PermTokenCreate)
	var withs []edit
	for i := range 3 {
		p := s.newUser(fmt.Sprintf("user%d@example.com", i), "reader")
		full := s.mint(p.session(), api.NewToken{})
		narrow := s.mint(p.session(), api.NewToken{Permissions: []string{db.PermUserRead}})
		withs = append(withs, p.session(), cookie(p.jwt), apiToken(full.AccessToken), apiToken(narrow.AccessToken))
	}
	may := func(path string, want int) {
		t.Helper()
		for range 2 { // the second time from memory
			for i, with := range withs {
				if a := s.do("GET", path, "", with); a.status != want {
					t.Errorf("%s by credential %d = %d, want %d", path, i, a.status, want)
				}
			}
		}
	}
	const read, search = "/security/user/" + db.SingleUser, "/security/user/_search"
	may(read, 200)
	s.do("PUT", roles+"/reader", roleBody("", db.PermTokenCreate), local).want(200)
	may(read, 403)
	s.do("PUT", roles+"/reader", roleBody("", db.PermUserRead, db.PermUserSearch), local).want(200)
	may(read, 200)
	withs = slices.DeleteFunc(withs, func(e edit) bool { return s.do("GET", search, "", e).status == 403 })
	if len(withs) != 9 {
		t.Errorf("%d credentials may search; the 3 narrow tokens must not", len(withs))
	}
	s.do("PUT", roles+"/reader", noPermissions, local).want(200)
	may(search, 403)
	may("/account/profile", 200)
}

// The last administrator stays, also where it is the role that would change.
func TestLastAdministratorByRole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("root", db.PermAll)
	ann := s.newUser(annEmail, "root")
	s.do("PUT", "/security/user/"+db.SingleUser, `{"disabled":true}`, local).want(200)
	for _, with := range []edit{ann.session(), local} {
		for _, body := range []string{noPermissions, roleBody("", db.PermUserRead), roleBody("", ownKey)} {
			s.do("PUT", roles+"/root", body, with).want(409, "last_administrator")
		}
		s.do("DELETE", roles+"/root", "", with).want(409, "role_in_use")
		s.do("PUT", roles+"/root", `{"description":"x"}`, with).want(200)
		s.do("PUT", roles+"/root", roleBody("", db.PermAll, ownKey), with).want(200)
	}
	s.do("GET", "/security/user/_search", "", ann.session()).want(200)
	// One with the right and without a password is none who could sign in.
	robot, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "robot@example.com", Roles: []string{"admin"}, NoPassword: true})
	must(t, err)
	s.do("PUT", roles+"/root", noPermissions, local).want(409, "last_administrator")
	s.setPassword(robot.User.ID, "a robot that signs in")
	s.do("PUT", roles+"/root", noPermissions, local).want(200)
	s.do("GET", "/security/user/_search", "", ann.session()).want(403)
}

// Whatever fifty do at once to the administrators, one is left.
func TestAdministratorsAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("root", db.PermAll)
	single := s.single()
	const n = 10
	var all []*person
	for i := range n {
		all = append(all, s.newUser(fmt.Sprintf("user%d@example.com", i), []string{"admin", "root"}[i%2]))
	}
	all = append(all, single)
	for round := range 3 {
		var done, last atomic.Int64
		together(50, func(i int) {
			p, by := all[(i+round)%len(all)], all[(7*i+3)%len(all)]
			var a answer
			switch i % 5 {
			case 0:
				a = s.do("PUT", "/security/user/"+p.id, `{"disabled":true}`, by.session())
			case 1:
				a = s.do("PUT", "/security/user/"+p.id, `{"roles":["user"]}`, by.session())
			case 2:
				a = s.do("PUT", roles+"/root", roleBody("", db.PermUserRead), by.session())
			case 3:
				a = s.do("DELETE", "/security/user/"+p.id, "", by.session())
			default:
				a = s.do("PUT", "/security/user/"+p.id, `{"disabled":true,"roles":[]}`, local)
			}
			switch a.status {
			case http.StatusOK:
				done.Add(1)
			case http.StatusConflict:
				last.Add(1)
			case 401, 403, 404: // the one who asked was changed before, or the one who was meant is gone
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
		if setup, err := s.store.SetupRequired(t.Context()); err != nil || setup {
			t.Fatalf("round %d: no administrator is left, %v", round, err)
		}
		if round == 0 && done.Load() == 0 {
			t.Error("nothing was changed")
		}
		left := 0
		for _, u := range s.everyUser() {
			if !u.Disabled && slices.ContainsFunc(u.Roles, func(r string) bool {
				role, err := s.local.GetRole(t.Context(), r)
				return err == nil && slices.Contains(role.Source.Grants.Permissions, db.PermAll)
			}) {
				left++
			}
		}
		if left == 0 {
			t.Fatalf("round %d: no administrator is left", round)
		}
	}
}

// What an actor may do to another depends on the rights of both, for sessions
// and for tokens alike.
func TestWhoMayChangeWhom(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, permissions := range map[string][]string{
		"none": {}, "low": {ownKey}, "clerk": append([]string{ownKey, db.PermTokenCreate}, manageUsers...),
		"high": append([]string{ownKey, db.PermTokenCreate, db.PermBackup}, manageUsers...), "root": {db.PermAll},
	} {
		s.makeRole(name, permissions...)
	}
	// From above to below; of two equal ones either may change the other.
	order := []string{"root", "high", "clerk", "low", "none"}
	actors := map[string]*person{}
	for _, role := range order[:3] {
		actors[role] = s.newUser("actor-"+role+"@example.com", role)
	}
	operations := []struct {
		name string
		try  func(id string, by edit) answer
		undo string // brings the user back to what they were
		code string
	}{
		{"rename", func(id string, by edit) answer { return s.do("PUT", "/security/user/"+id, `{"name":"Renamed"}`, by) }, `{"name":"X"}`, "user_above"},
		{"email", func(id string, by edit) answer {
			return s.do("PUT", "/security/user/"+id, `{"email":"moved@example.com"}`, by)
		}, `{"email":"target@example.com"}`, "user_above"},
		{"disable", func(id string, by edit) answer { return s.do("PUT", "/security/user/"+id, `{"disabled":true}`, by) }, `{"disabled":false}`, "user_above"},
		{"demote", func(id string, by edit) answer { return s.do("PUT", "/security/user/"+id, `{"roles":["none"]}`, by) }, "", "user_above"},
		{"password", func(id string, by edit) answer {
			return s.do("PUT", "/security/user/"+id, `{"password":"`+fresh+`"}`, by)
		}, "", "user_above"},
		{"unlock", func(id string, by edit) answer { return s.do("POST", "/security/user/"+id+"/_unlock", "", by) }, "", "user_above"},
		{"delete", func(id string, by edit) answer { return s.do("DELETE", "/security/user/"+id, "", by) }, "gone", "user_above"},
	}
	s.secret(fresh)
	for a, actorRole := range order[:3] {
		by := actors[actorRole]
		token := s.mint(by.session(), api.NewToken{ExpireIn: db.Never})
		for g, role := range order {
			target, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "target@example.com", Roles: []string{role}, NoPassword: true})
			must(t, err)
			id := target.User.ID
			for _, o := range operations {
				for name, with := range map[string]edit{"session": by.session(), "token": apiToken(token.AccessToken)} {
					if id == "" {
						target, err = s.local.CreateUser(t.Context(), api.NewUser{Email: "target@example.com", Roles: []string{role}, NoPassword: true})
						must(t, err)
						id = target.User.ID
					}
					a11 := o.try(id, with)
					what := fmt.Sprintf("%s %s %s by %s", actorRole, o.name, role, name)
					switch {
					case g < a:
						if a11.status != 403 || !strings.Contains(a11.body, o.code) {
							t.Errorf("%s = %d %s", what, a11.status, a11.body)
						}
						continue
					case o.name == "password" && name == "token":
						if a11.status != 403 || !strings.Contains(a11.body, "session_required") {
							t.Errorf("%s = %d %s", what, a11.status, a11.body)
						}
						continue
					case a11.status != 200:
						t.Errorf("%s = %d %s", what, a11.status, a11.body)
						continue
					}
					switch o.undo {
					case "gone":
						id = ""
					case "":
						s.do("PUT", "/security/user/"+id, `{"roles":["`+role+`"]}`, local).want(200)
					default:
						s.do("PUT", "/security/user/"+id, o.undo, local).want(200)
					}
				}
			}
			if id != "" {
				s.do("DELETE", "/security/user/"+id, "", local).want(200)
			}
			// Nor does anybody make or raise one above themselves.
			for name, with := range map[string]edit{"session": by.session(), "token": apiToken(token.AccessToken)} {
				want := 200
				if g < a {
					want = 403
				}
				made := s.do("POST", "/security/user", `{"email":"made@example.com","no_password":true,"roles":["`+role+`"]}`, with)
				imported := s.do("POST", "/security/user/_import", `{"email":"imported@example.com","roles":["`+role+`"]}`, with)
				low, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "low@example.com", Roles: []string{"none"}, NoPassword: true})
				must(t, err)
				raised := s.do("PUT", "/security/user/"+low.User.ID, `{"roles":["`+role+`"]}`, with)
				for what, got := range map[string]answer{"makes": made, "imports": imported, "raises to": raised} {
					if got.status != want || (want == 403 && !strings.Contains(got.body, "grants_more")) {
						t.Errorf("%s %s %s by %s = %d %s", actorRole, what, role, name, got.status, got.body)
					}
				}
				for _, email := range []string{"made@example.com", "imported@example.com", "low@example.com"} {
					s.do("DELETE", "/security/user/"+email, "", local)
				}
			}
		}
		// Themselves.
		for name, with := range map[string]edit{"session": by.session(), "token": apiToken(token.AccessToken)} {
			s.do("DELETE", "/security/user/"+by.id, "", with).want(403, "own_user")
			s.do("PUT", "/security/user/"+by.id, `{"roles":["none"]}`, with).want(403, "own_roles")
			s.do("PUT", "/security/user/"+by.email, `{"roles":["root","none"]}`, with).want(403, "own_roles")
			s.do("PUT", "/security/user/"+by.id, `{"name":"Me, by `+name+`"}`, with).want(200)
		}
		s.do("PUT", "/security/user/"+by.id, `{"password":"`+fresh+`"}`, by.session()).want(403, "own_password")
	}
	// The single user is nobody's to delete or to be given an email.
	for _, with := range []edit{actors["root"].session(), local} {
		s.do("DELETE", "/security/user/"+db.SingleUser, "", with).want(403, "single_user")
		s.do("PUT", "/security/user/"+db.SingleUser, `{"email":"root@example.com"}`, with).want(400, "single_user")
	}
}

// What is done to a user counts at the next request by any credential.
func TestUserChangesCountAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("reader", db.PermUserRead, db.PermTokenCreate)
	admin := s.single()
	const read = "/security/user/" + db.SingleUser
	for i, c := range []struct {
		name, method, body  string
		session, token, old int // statuses afterwards; old is of a sign-in by the old password
	}{
		{"demoted", "PUT", `{"roles":["user"]}`, 403, 403, 200},
		{"disabled", "PUT", `{"disabled":true}`, 401, 401, 403},
		{"new password", "PUT", `{"password":"` + fresh + `"}`, 401, 200, 403},
		{"deleted", "DELETE", "", 401, 401, 403},
		{"renamed", "PUT", `{"name":"Renamed"}`, 200, 200, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.secret(fresh)
			p := s.newUser(fmt.Sprintf("user%d@example.com", i), "reader")
			second := s.signIn(p)
			full := s.mint(p.session(), api.NewToken{}).AccessToken
			narrow := s.mint(p.session(), api.NewToken{Permissions: []string{db.PermUserRead}}).AccessToken
			for range 2 {
				for _, with := range []edit{p.session(), second.session(), cookie(p.jwt), apiToken(full), apiToken(narrow)} {
					s.do("GET", read, "", with).want(200)
				}
			}
			s.do(c.method, "/security/user/"+p.id, c.body, admin.session()).want(200)
			for range 2 {
				for _, with := range []edit{p.session(), second.session(), cookie(p.jwt)} {
					s.do("GET", read, "", with).want(c.session)
				}
				for _, secret := range []string{full, narrow} {
					s.do("GET", read, "", apiToken(secret)).want(c.token)
				}
			}
			s.login(p, p.password).want(c.old)
		})
	}
	// What a deleted user left is swept, and nothing of others.
	var before, after api.Search[api.Token]
	s.do("GET", "/auth/access_token/_search?owner=*", "", admin.session()).json(&before)
	if _, err := s.store.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	s.do("GET", "/auth/access_token/_search?owner=*", "", admin.session()).json(&after)
	if before.Hits.Total.Value != 10 || after.Hits.Total.Value != 8 {
		t.Errorf("%d tokens became %d; the deleted user had 2 of 10", before.Hits.Total.Value, after.Hits.Total.Value)
	}
}

// Texts of people are one line that shows as what it is.
func TestTexts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, text := range map[string]string{
		"control": "a\u0007b", "line end": "a\nb", "tab": "a\tb", "escape": "a\x1b[31mb", "delete": "a\u007fb", "C1 control": "a\u0085b",
		"right-to-left override": "a\u202eb", "isolate": "a\u2066b", "mark": "a\u200fb", "zero-width space": "a\u200bb", "joiner": "a\u200db",
		"byte order mark": "a\ufeffb", "word joiner": "a\u2060b", "soft hyphen": "a\u00adb", "line separator": "a\u2028b", "no-break space": "a\u00a0b",
		"tag": "a\U000e0041b", "private use": "a\ue000b", "unassigned": "a\U000e1000b", "Hangul filler": "\u3164", "half-width filler": "a\uffa0b", "grapheme joiner": "a\u034fb", "what a lone surrogate is read as": "a\ufffdb",
		"10,000 characters": strings.Repeat("n", 10_000), "201 characters": strings.Repeat("ü", 201),
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct{ method, path, body string }{
				{"POST", "/security/user", jsonOf(api.NewUser{Email: "x@example.com", NoPassword: true, Name: text})},
				{"PUT", "/security/user/" + db.SingleUser, jsonOf(api.UserUpdate{Name: &text})},
				{"POST", "/security/user/_import", jsonOf(api.ImportUser{Email: "x@example.com", Name: text})},
				{"POST", "/auth/access_token", jsonOf(api.NewToken{Name: text})},
			} {
				a := s.do(c.method, c.path, c.body, local).want(400)
				if !strings.Contains(a.body, "text_not_plain") && !strings.Contains(a.body, "text_too_long") {
					t.Errorf("%s %s: %s", c.method, c.path, a.body)
				}
			}
			email := strings.ReplaceAll(text, "\u3164", "a\u3164") + "@example.com"
			s.do("POST", "/security/user", jsonOf(api.NewUser{Email: email, NoPassword: true}), local).want(400, "bad_email")
			s.do("POST", "/security/user/_import", jsonOf(api.ImportUser{Email: email}), local).want(400, "bad_email")
		})
	}
	for _, text := range []string{"Ann", "Jürgen Müller", "李小龍", "محمد", "🦀 crab", "O'Neil-Smith, Jr.", strings.Repeat("ü", 200), "e\u0301"} {
		s.do("PUT", "/security/user/"+db.SingleUser, jsonOf(api.UserUpdate{Name: &text}), local).want(200)
	}
}
