package web_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/web/api"
)

const userShape = `{"id":"<uuid>","name":"<text>","email":"<text>","roles":["user"],"disabled":false,"created":"<time>","updated":"<time>","last_login":null,"second_factor":[]}`

func TestCreateUser(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	created := func(roles, name, email string, generated bool) string {
		password := ""
		if generated {
			password = `,"password":"<text>"`
		}
		return `{"_id":"<uuid>","result":"created","id":"<uuid>","name":"` + name + `","email":"` + email + `","roles":` + roles +
			`,"disabled":false,"created":"<time>","updated":"<time>","last_login":null,"second_factor":[]` + password + `}`
	}
	for _, c := range []struct{ name, body, want string }{
		{"email alone", `{"email":"a@example.com"}`, created(`["user"]`, "a", "a@example.com", true)},
		{"empty roles", `{"email":"b@example.com","roles":[]}`, created(`["user"]`, "b", "b@example.com", true)},
		{"all", `{"email":" C@Example.com ","name":" Cecil ","roles":["user","admin","user"],"password":"ten crates of figs"}`, created(`["admin","user"]`, "Cecil", "C@Example.com", false)},
		{"robot", `{"email":"d@example.com","no_password":true}`, created(`["user"]`, "d", "d@example.com", false)},
		{"unknown members", `{"email":"e@example.com","no_password":true,"id":"x","disabled":true,"must_change":false,"created":"1999-01-01T00:00:00Z"}`, created(`["user"]`, "e", "e@example.com", false)},
		{"international", `{"email":"jürgen@bücher.example","no_password":true,"name":"Jürgen 🦀"}`, created(`["user"]`, "Jürgen 🦀", "jürgen@bücher.example", false)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var made api.UserCreated
			s.do("POST", "/security/user", c.body, admin.session()).want(200).like(c.want).json(&made)
			if made.Result.ID != made.User.ID {
				t.Errorf("_id %s, id %s", made.Result.ID, made.User.ID)
			}
			if e := s.lastEvent(); e.Action != "user.create" || e.Target != made.User.ID || e.Actor != db.SingleUser {
				t.Errorf("the audit says %+v", e)
			}
		})
	}
	s.do("POST", "/account/login", `{"email":"c@example.com","password":"ten crates of figs"}`).want(200)
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"no body", "", 400, "body_missing"},
		{"no email", `{}`, 400, "bad_email"},
		{"no address", `{"email":"ann"}`, 400, "bad_email"},
		{"taken", `{"email":"a@example.com","no_password":true}`, 409, "email_taken"},
		{"taken in other case", `{"email":" A@EXAMPLE.com","no_password":true}`, 409, "email_taken"},
		{"role that is not there", `{"email":"x@example.com","roles":["wizard"]}`, 400, "unknown_role"},
		{"role of bad form", `{"email":"x@example.com","roles":["wiz ard"]}`, 400, "bad_role_name"},
		{"common password", `{"email":"x@example.com","password":"12345678"}`, 400, "password_common"},
		{"personal password", `{"email":"xenia@example.com","password":"xenia2026"}`, 400, "password_personal"},
		{"password and none", `{"email":"x@example.com","password":"ten crates of figs","no_password":true}`, 400, "bad_user"},
		{"name with a control", `{"email":"x@example.com","name":"a\u0007"}`, 400, "text_not_plain"},
		{"long name", `{"email":"x@example.com","name":"` + strings.Repeat("n", 201) + `"}`, 400, "text_too_long"},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("POST", "/security/user", c.body, admin.session()).want(c.status, c.code) })
	}
	var page api.Search[api.User]
	s.do("GET", "/security/user/_search", "", admin.session()).json(&page)
	if page.Hits.Total.Value != 7 {
		t.Errorf("%d users, want 7", page.Hits.Total.Value)
	}
}

func TestReadUsers(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	made, err := s.local.CreateUser(t.Context(), api.NewUser{Email: annEmail, NoPassword: true})
	must(t, err)
	found := `{"_id":"` + made.User.ID + `","found":true,"_source":` + userShape + `}`
	for _, id := range []string{made.User.ID, annEmail, "Ann@EXAMPLE.com"} {
		s.do("GET", "/security/user/"+id, "", admin.session()).want(200).like(found)
	}
	s.do("GET", "/security/user/coco-default-user", "", admin.session()).want(200).like(
		`{"_id":"coco-default-user","found":true,"_source":{"id":"coco-default-user","name":"coco-default-user","email":"","roles":["admin"],"disabled":false,"created":"<time>","updated":"<time>","last_login":"<time>","second_factor":[]}}`)
	for _, id := range []string{absentID, "nobody@example.com", "ann", strings.ToUpper(made.User.ID), "@", "local"} {
		s.do("GET", "/security/user/"+id, "", admin.session()).want(404, "not_found")
	}
	for query, total := range map[string]string{"": "2", "ann": "1", "EXAMPLE": "1", "exa ann": "1", "coco": "1", "com": "1", "nobody": "0"} {
		hits := map[string]string{"0": "", "1": `{"_id":"<text>","_source":{"id":"<text>","name":"<text>","email":%e,"roles":%r,"disabled":false,"created":"<time>","updated":"<time>","last_login":%l,"second_factor":[]}}`}
		a := s.do("GET", "/security/user/_search?query="+strings.ReplaceAll(query, " ", "+"), "", admin.session()).want(200)
		if total == "2" {
			var page api.Search[api.User]
			a.json(&page)
			if page.Hits.Total.Value != 2 || len(page.Hits.Hits) != 2 || page.Hits.Hits[0].Source.Roles == nil {
				t.Errorf("%s", a.body)
			}
			continue
		}
		hit := strings.NewReplacer("%e", `"`+annEmail+`"`, "%r", `["user"]`, "%l", "null").Replace(hits[total])
		if query == "coco" {
			hit = strings.NewReplacer("%e", `""`, "%r", `["admin"]`, "%l", `"<time>"`).Replace(hits[total])
		}
		a.like(`{"took":"<number>","hits":{"total":{"value":` + total + `,"relation":"eq"},"max_score":0,"hits":[` + hit + `]}}`)
	}
}

// A generated password is shown once, good for its change only, and ends what there was.
func TestGeneratePassword(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	was := ann.session()
	path := "/security/user/" + ann.id
	s.do("PUT", path, `{"generate_password":true,"password":"eleven crates of figs"}`, admin.session()).want(400, "bad_user")
	s.do("GET", "/account/profile", "", was).want(200)
	var out api.UserUpdated
	s.do("PUT", path, `{"generate_password":true,"disabled":true}`, admin.session()).want(200).
		like(`{"_id":"` + ann.id + `","result":"updated","kept_out":"disabled","password":"<text>"}`).json(&out)
	s.do("PUT", path, `{"generate_password":false,"disabled":false}`, admin.session()).want(200).like(`{"_id":"` + ann.id + `","result":"updated"}`)
	s.do("GET", "/account/profile", "", was).want(401)
	fresh := s.signIn(&person{id: ann.id, email: ann.email, password: out.Password}).session()
	s.do("GET", "/auth/access_token/_search", "", fresh).want(403, "password_change_required")
	s.do("PUT", "/account/password", jsonOf(api.PasswordChange{OldPassword: out.Password, NewPassword: "twelve crates of figs"}), fresh).want(200)
	s.do("PUT", "/security/user/"+db.SingleUser, `{"generate_password":true}`, admin.session()).want(403, "own_password")
}

func TestUsersOfARole(t *testing.T) {
	s := newServer(t)
	admin, bob := s.single(), s.newUser("bob@example.com")
	s.role("clerk", db.PermUserSearch)
	_, err := s.local.CreateUser(t.Context(), api.NewUser{Email: annEmail, Roles: []string{"clerk"}})
	must(t, err)
	for path, want := range map[string][]string{"role=clerk": {annEmail}, "role=user": {bob.email}, "role=user&query=ann": nil, "role=clerk&query=ann": {annEmail}, "role=admin": {""}} {
		var page api.Search[api.User]
		s.do("GET", "/security/user/_search?"+path, "", admin.session()).want(200).json(&page)
		var got []string
		for _, hit := range page.Hits.Hits {
			got = append(got, hit.Source.Email)
		}
		if !slices.Equal(got, want) || page.Hits.Total != (api.Total{Value: int64(len(want)), Relation: "eq"}) {
			t.Errorf("%s: %q of %+v, want %q", path, got, page.Hits.Total, want)
		}
	}
	for path, code := range map[string]string{"role=nobody": "not_found", "role=Clerk": "not_found", "role=%00": "not_found", "role=user&from=1": "bad_page", "role=user&sort=name": "bad_sort"} {
		status := 400
		if code == "not_found" {
			status = 404
		}
		s.do("GET", "/security/user/_search?"+path, "", admin.session()).want(status, code)
	}
	s.do("GET", "/security/user/_search?role=admin", "", bob.session()).want(403, "not_permitted")
}

func TestUpdateUser(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	ann, bob := s.newUser(annEmail), s.newUser("bob@example.com")
	path := "/security/user/" + ann.id
	read := func() api.User {
		found, err := s.local.GetUser(t.Context(), ann.id)
		must(t, err)
		return found.Source
	}
	update := func(body string, actions ...string) api.User {
		t.Helper()
		before := len(s.events())
		s.do("PUT", path, body, admin.session()).want(200).like(`{"_id":"` + ann.id + `","result":"updated"}`)
		var got []string
		for _, e := range s.events()[before:] {
			got = append(got, e.Action)
		}
		if !slices.Equal(got, actions) {
			t.Errorf("%s: the audit says %v, want %v", body, got, actions)
		}
		return read()
	}
	if u := update(`{"name":" Ann "}`, "user.update"); u.Name != "Ann" || u.Email != annEmail {
		t.Errorf("%+v", u)
	}
	if u := update(`{"name":""}`, "user.update"); u.Name != "ann" {
		t.Errorf("%+v", u)
	}
	if u := update(`{"email":"Ann2@Example.com"}`, "user.update"); u.Email != "Ann2@Example.com" {
		t.Errorf("%+v", u)
	}
	s.do("GET", "/security/user/"+annEmail, "", admin.session()).want(404)
	s.do("GET", "/security/user/ann2@example.com", "", admin.session()).want(200)
	if u := update(`{"email":"ann2@example.com"}`, "user.update"); u.Email != "ann2@example.com" {
		t.Errorf("its own email in another case: %+v", u)
	}
	if u := update(`{"roles":["user","admin"]}`, "user.update"); !slices.Equal(u.Roles, []string{"admin", "user"}) {
		t.Errorf("%+v", u)
	}
	if u := update(`{"roles":[]}`, "user.update"); u.Roles == nil || len(u.Roles) != 0 {
		t.Errorf("%+v", u)
	}
	if u := update(`{"disabled":true,"name":"Ann"}`, "user.disable", "user.update"); !u.Disabled {
		t.Errorf("%+v", u)
	}
	if u := update(`{"disabled":false}`, "user.enable"); u.Disabled {
		t.Errorf("%+v", u)
	}
	if u := update(`{}`, "user.update"); u.Name != "Ann" {
		t.Errorf("%+v", u)
	}
	update(`{"name":null,"email":null,"roles":null,"password":null,"disabled":null,"id":"x","last_login":"1999-01-01T00:00:00Z"}`, "user.update")
	update(`{"password":"eleven crates of figs"}`, "user.password")
	s.do("POST", "/account/login", `{"email":"ann2@example.com","password":"eleven crates of figs"}`).want(200)
	for _, c := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"no body", path, "", 400, "body_missing"},
		{"absent", "/security/user/" + absentID, `{}`, 404, "not_found"},
		{"absent with a password", "/security/user/" + absentID, `{"password":"eleven crates of figs"}`, 404, "not_found"},
		{"email taken", path, `{"email":"BOB@example.com"}`, 409, "email_taken"},
		{"no email", path, `{"email":""}`, 400, "bad_email"},
		{"bad email", path, `{"email":"a b@example.com"}`, 400, "bad_email"},
		{"email of the single user", "/security/user/coco-default-user", `{"email":"root@example.com"}`, 400, "single_user"},
		{"unknown role", path, `{"roles":["wizard"]}`, 400, "unknown_role"},
		{"bad role", path, `{"roles":["<b>"]}`, 400, "bad_role_name"},
		{"empty password", path, `{"password":""}`, 400, "password_missing"},
		{"short password", path, `{"password":"short"}`, 400, "password_too_short"},
		{"personal password", path, `{"password":"ann2ann2"}`, 400, "password_personal"},
		{"password made from the new email", path, `{"email":"zebulon@example.com","password":"zebulon2026"}`, 400, "password_personal"},
		{"password made from the new name", path, `{"name":"Zebulon","password":"zebulon2026"}`, 400, "password_personal"},
		{"hidden character", path, `{"name":"A\u200dnn"}`, 400, "text_not_plain"},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("PUT", c.path, c.body, admin.session()).want(c.status, c.code) })
	}
	s.do("PUT", "/security/user/"+bob.email, `{"name":"Bob"}`, admin.session()).want(200).like(`{"_id":"` + bob.id + `","result":"updated"}`)
}

func TestDeleteUser(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{})
	s.do("DELETE", "/security/user/"+annEmail, "", admin.session()).want(200).like(`{"_id":"` + ann.id + `","result":"deleted"}`)
	if e := s.lastEvent(); e.Action != "user.delete" || e.Target != ann.id {
		t.Errorf("the audit says %+v", e)
	}
	s.do("DELETE", "/security/user/"+ann.id, "", admin.session()).want(404)
	s.do("GET", "/account/profile", "", ann.session()).want(401)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401)
	// The same email again is somebody else.
	again := s.newUser(annEmail)
	if again.id == ann.id {
		t.Error("the id was used again")
	}
	s.do("GET", "/account/profile", "", ann.session()).want(401)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401)
	s.do("GET", "/auth/access_token/"+made.ID, "", again.session()).want(404)
}

func TestDeleteUserAtOnce(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	var deleted, absent atomic.Int64
	together(12, func(int) {
		_, err := s.local.DeleteUser(t.Context(), ann.id)
		switch status(err) {
		case 200:
			deleted.Add(1)
		case 404:
			absent.Add(1)
		default:
			t.Error(err)
		}
	})
	if deleted.Load() != 1 || absent.Load() != 11 {
		t.Errorf("%d deleted it, %d found nothing", deleted.Load(), absent.Load())
	}
}

// Of the same email at once exactly one becomes a user.
func TestCreateUserAtOnce(t *testing.T) {
	s := newServer(t)
	var made, taken atomic.Int64
	together(12, func(i int) {
		_, err := s.local.CreateUser(t.Context(), api.NewUser{Email: []string{"ann@example.com", "ANN@example.com"}[i%2], NoPassword: true})
		switch status(err) {
		case 200:
			made.Add(1)
		case 409:
			taken.Add(1)
		default:
			t.Error(err)
		}
	})
	if made.Load() != 1 || taken.Load() != 11 {
		t.Errorf("%d made, %d taken", made.Load(), taken.Load())
	}
}

// manageUsers is what a clerk may, who is no administrator.
var manageUsers = []string{db.PermUserSearch, db.PermUserRead, db.PermUserCreate, db.PermUserUpdate, db.PermUserDelete}

func TestUsersDoNotEscalate(t *testing.T) {
	s := newServer(t)
	s.role("clerk", append([]string{db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenSearch}, manageUsers...)...)
	s.role("reader", db.PermUserRead)
	s.role("backup", db.PermBackup)
	admin := s.single()
	clerk := s.newUser("clerk@example.com", "clerk")
	peer, below, above := s.newUser("peer@example.com", "clerk"), s.newUser("below@example.com", "reader"), s.newUser("above@example.com", "clerk", "backup")
	token := s.mint(clerk.session(), api.NewToken{})
	narrow := s.mint(clerk.session(), api.NewToken{Permissions: []string{db.PermUserUpdate, db.PermUserDelete, db.PermUserCreate}})
	both := []edit{clerk.session(), apiToken(token.AccessToken)}
	check := func(name, method, path, body string, status int, code string, withs ...edit) {
		t.Run(name, func(t *testing.T) {
			for _, with := range withs {
				before := jsonOf(s.everyUser())
				a := s.do(method, path, body, with)
				if status >= 400 {
					a.want(status, code)
					if after := jsonOf(s.everyUser()); after != before {
						t.Errorf("refused, and yet the users are %s", after)
					}
				} else {
					a.want(status)
				}
			}
		})
	}
	const users = "/security/user"
	for name, roles := range map[string]string{"administrator": `["admin"]`, "one right more": `["backup"]`, "own and more": `["clerk","backup"]`} {
		check("makes an "+name, "POST", users, `{"email":"x@example.com","no_password":true,"roles":`+roles+`}`, 403, "grants_more", both...)
		check("promotes to "+name, "PUT", users+"/"+below.id, `{"roles":`+roles+`}`, 403, "grants_more", both...)
	}
	check("makes a user", "POST", users, `{"email":"x@example.com","no_password":true}`, 403, "grants_more", both...) // which may delete tokens
	check("makes a reader", "POST", users, `{"email":"x1@example.com","no_password":true,"roles":["reader"]}`, 200, "", clerk.session())
	check("a narrow token makes a reader", "POST", users, `{"email":"x2@example.com","no_password":true,"roles":["reader"]}`, 403, "grants_more", apiToken(narrow.AccessToken))
	for _, body := range []string{`{"name":"x"}`, `{"email":"x3@example.com"}`, `{"disabled":true}`, `{"roles":[]}`, `{"roles":["reader"]}`} {
		check("changes one above "+body, "PUT", users+"/"+above.id, body, 403, "user_above", both...)
		check("changes an administrator "+body, "PUT", users+"/"+db.SingleUser, body, 403, "user_above", both...)
		check("a narrow token changes its like "+body, "PUT", users+"/"+below.id, body, 403, "user_above", apiToken(narrow.AccessToken))
	}
	check("sets a password above", "PUT", users+"/"+above.id, `{"password":"ten crates of figs"}`, 403, "user_above", both...)
	check("sets an administrator's password", "PUT", users+"/"+db.SingleUser, `{"password":"ten crates of figs"}`, 403, "user_above", both...)
	check("deletes one above", "DELETE", users+"/"+above.id, "", 403, "user_above", both...)
	check("a narrow token deletes", "DELETE", users+"/"+below.id, "", 403, "user_above", apiToken(narrow.AccessToken))

	check("unlocks one above", "POST", users+"/"+above.id+"/_unlock", "", 403, "user_above", both...)
	check("unlocks an administrator", "POST", users+"/"+db.SingleUser+"/_unlock", "", 403, "user_above", both...)
	check("unlocks a peer", "POST", users+"/"+peer.id+"/_unlock", "", 200, "", both...)

	check("own roles", "PUT", users+"/"+clerk.id, `{"roles":["clerk","reader"]}`, 403, "own_roles", both...)
	check("fewer own roles", "PUT", users+"/"+clerk.email, `{"roles":[]}`, 403, "own_roles", both...)
	check("own roles again", "PUT", users+"/"+clerk.id, `{"roles":["clerk","clerk"]}`, 200, "", both...)
	check("an administrator's own roles", "PUT", users+"/"+db.SingleUser, `{"roles":[]}`, 403, "own_roles", admin.session())
	check("own password", "PUT", users+"/"+clerk.id, `{"password":"ten crates of figs"}`, 403, "own_password", clerk.session())
	check("own password by token", "PUT", users+"/"+clerk.id, `{"password":"ten crates of figs"}`, 403, "session_required", apiToken(token.AccessToken))
	check("a password by token", "PUT", users+"/"+below.id, `{"password":"ten crates of figs"}`, 403, "session_required", apiToken(token.AccessToken))
	check("deletes oneself", "DELETE", users+"/"+clerk.id, "", 403, "own_user", both...)
	check("an administrator deletes itself", "DELETE", users+"/"+db.SingleUser, "", 403, "single_user", admin.session(), local)

	check("renames a peer", "PUT", users+"/"+peer.id, `{"name":"Peer"}`, 200, "", both...)
	check("sets a peer's password", "PUT", users+"/"+peer.id, `{"password":"ten crates of figs"}`, 200, "", clerk.session())
	check("takes a peer's role", "PUT", users+"/"+peer.id, `{"roles":["reader"]}`, 200, "", both...)
	check("promotes as high as itself", "PUT", users+"/"+below.id, `{"roles":["clerk","reader"]}`, 200, "", clerk.session())
	check("deletes a peer", "DELETE", users+"/"+peer.id, "", 200, "", clerk.session())
	check("own name", "PUT", users+"/"+clerk.id, `{"name":"Clerk"}`, 200, "", both...)
	check("the local actor may all", "PUT", users+"/"+above.id, `{"roles":["admin"],"password":"ten crates of figs"}`, 200, "", local)
}

func (s *server) everyUser() (all []api.User) {
	for hit, err := range api.All(s.t.Context(), api.ListOptions{Sort: "name"}, s.local.SearchUsers) {
		must(s.t, err)
		hit.Source.LastLogin = nil
		all = append(all, hit.Source)
	}
	return all
}

// The last administrator stays, whoever asks and however.
func TestLastAdministrator(t *testing.T) {
	s := newServer(t)
	s.role("root", db.PermAll)
	s.role("clerk", append([]string{db.PermTokenCreate}, manageUsers...)...)
	single, ann := s.single(), s.newUser(annEmail, "root")
	byToken := s.mint(ann.session(), api.NewToken{})
	withs := []edit{ann.session(), apiToken(byToken.AccessToken), local}
	refused := func(name, method, path, body string, withs ...edit) {
		t.Run(name, func(t *testing.T) {
			for _, with := range withs {
				s.do(method, path, body, with).want(409, "last_administrator")
			}
		})
	}
	const user = "/security/user/"
	// Two of them: either may go.
	s.do("PUT", user+db.SingleUser, `{"disabled":true}`, ann.session()).want(200)
	refused("disable", "PUT", user+ann.id, `{"disabled":true}`, withs...)
	refused("demote", "PUT", user+ann.id, `{"roles":["user"]}`, local)
	refused("no roles", "PUT", user+ann.id, `{"roles":[]}`, local)
	refused("delete", "DELETE", user+ann.id, "", local)
	refused("disable by email", "PUT", user+annEmail, `{"name":"x","disabled":true}`, withs...)
	s.do("GET", "/account/profile", "", ann.session()).want(200)
	// One who can't sign in is no replacement.
	robot, err := s.local.CreateUser(t.Context(), api.NewUser{Email: "robot@example.com", Roles: []string{db.RoleAdmin}, NoPassword: true})
	must(t, err)
	refused("disable beside a robot", "PUT", user+ann.id, `{"disabled":true}`, withs...)
	refused("demote beside a robot", "PUT", user+ann.id, `{"roles":[]}`, local)
	refused("delete beside a robot", "DELETE", user+ann.id, "", local)
	s.do("DELETE", user+robot.User.ID, "", local).want(200)
	// Nor is one who is disabled.
	gone := s.newUser("gone@example.com", db.RoleAdmin)
	s.do("PUT", user+gone.id, `{"disabled":true}`, ann.session()).want(200)
	refused("delete beside a disabled one", "DELETE", user+ann.id, "", local)
	// From one role that grants everything to another is no loss.
	s.do("PUT", user+ann.id, `{"roles":["admin"]}`, local).want(200)
	s.do("PUT", user+gone.id, `{"disabled":false}`, local).want(200)
	s.do("DELETE", user+ann.id, "", local).want(200)
	refused("delete the one that is left", "DELETE", user+gone.id, "", local)
	_ = single
}

// Two administrators who demote each other at once don't leave none.
func TestLastAdministratorAtOnce(t *testing.T) {
	s := newServer(t)
	for range 4 {
		s.do("PUT", "/security/user/"+db.SingleUser, `{"disabled":false}`, local).want(200)
		ann, bob := s.newUser("a@example.com", db.RoleAdmin), s.newUser("b@example.com", db.RoleAdmin)
		s.do("PUT", "/security/user/"+db.SingleUser, `{"disabled":true}`, local).want(200)
		answers := make([]answer, 4)
		together(4, func(i int) {
			p := []*person{ann, bob}
			answers[i] = s.do("PUT", "/security/user/"+p[i%2].id, `{"disabled":true}`, p[1-i%2].session())
		})
		setup, err := s.store.SetupRequired(t.Context())
		if err != nil || setup {
			t.Errorf("no administrator is left: %v", err)
		}
		for _, a := range answers {
			if a.status != 200 && a.status != 409 && a.status != 401 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		s.do("PUT", "/security/user/"+db.SingleUser, `{"disabled":false}`, local).want(200)
		for _, p := range []*person{ann, bob} {
			s.do("DELETE", "/security/user/"+p.id, "", local).want(http.StatusOK)
		}
	}
}

// Lines that are all but empty would take gigabytes.
func TestImportIsBoundedInUsers(t *testing.T) {
	dbtest.NoRace(t, "500,001 lines that one request sends")
	t.Parallel()
	dbtest.TakesLong(t, "an import of 500,001 lines")
	s := newServer(t)
	body := strings.Repeat("{}\n", 500_001)
	s.do("POST", "/security/user/_import", body, s.single().session(), contentType("application/x-ndjson")).want(413, "body_too_large")
	s.do("POST", "/security/user/_import", body[3:], s.single().session(), contentType("application/x-ndjson")).want(400, "bad_email")
}
