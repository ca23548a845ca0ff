package web_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/token"
)

const tokenShape = `{"id":"<uuid>","name":"<text>","description":"","type":"general","access_token":"<masked>","permissions":[],"expire_in":"<number>",
	"allowed_ips":[],"allowed_hosts":[],"allowed_paths":[],"allowed_methods":[],"created":"<time>","updated":"<time>","last_used":null,"last_ip":"","owner":"<text>","owner_name":"<text>"}`

func (s *server) year() int64 { return s.clock.now().Add(365 * 24 * time.Hour).Unix() }

// shown reads a token as its administrator sees it.
func (s *server) shown(id string) api.Token {
	s.t.Helper()
	found, err := s.local.GetToken(s.t.Context(), id)
	must(s.t, err)
	return found.Source
}

func TestCreateToken(t *testing.T) {
	s := newServer(t)
	single := s.single()
	now := s.clock.now().Unix()
	for _, c := range []struct {
		name, body string
		expires    int64
		named      string
	}{
		{"nothing", "", s.year(), ""},
		{"empty object", "{}", s.year(), ""},
		{"null members", `{"name":null,"permissions":null,"expire_in":null,"allowed_ips":null,"owner":null}`, s.year(), ""},
		{"zero expiry", `{"expire_in":0}`, s.year(), ""},
		{"never", `{"expire_in":-1}`, -1, ""},
		{"a second", `{"expire_in":` + jsonOf(now+1) + `}`, now + 1, ""},
		{"name", `{"name":"  deploy on ci  "}`, s.year(), "deploy on ci"},
		{"unknown members", `{"access_token":"mine","id":"mine","_id":"mine","hash":"AAAA","created":"1999-01-01T00:00:00Z","type":"root"}`, s.year(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var made api.TokenCreated
			a := s.do("POST", "/auth/access_token", c.body, single.session()).want(200).
				like(`{"_id":"<uuid>","name":"<text>","access_token":"<token>","expire_in":` + jsonOf(c.expires) + `,"status":"ok"}`)
			a.json(&made)
			if id, err := token.Parse(made.AccessToken); err != nil || id != made.ID {
				t.Errorf("the id of the token is %s, %v; want %s", id, err, made.ID)
			}
			if c.named != "" && made.Name != c.named {
				t.Errorf("it is named %q", made.Name)
			}
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
			if e := s.lastEvent(); e.Action != "token.create" || e.Target != made.ID || e.Actor != db.SingleUser {
				t.Errorf("the audit says %+v", e)
			}
		})
	}
	for _, c := range []struct{ name, body, code string }{
		{"past", `{"expire_in":` + jsonOf(now-1) + `}`, "bad_expiry"},
		{"now", `{"expire_in":` + jsonOf(now) + `}`, "bad_expiry"},
		{"one", `{"expire_in":1}`, "bad_expiry"},
		{"below never", `{"expire_in":-2}`, "bad_expiry"},
		{"milliseconds", `{"expire_in":` + jsonOf((now+1000)*1000) + `}`, "bad_expiry"},
		{"largest", `{"expire_in":9223372036854775807}`, "bad_expiry"},
		{"long name", `{"name":"` + strings.Repeat("n", 201) + `"}`, "text_too_long"},
		{"name with an escape", `{"name":"a\u001b[31m"}`, "text_not_plain"},
		{"name that turns around", `{"name":"a\u202eb"}`, "text_not_plain"},
		{"name of two lines", `{"name":"a\nb"}`, "text_not_plain"},
		{"long description", `{"description":"` + strings.Repeat("n", 1001) + `"}`, "text_too_long"},
		{"odd permission", `{"permissions":["read everything"]}`, "bad_permission"},
		{"empty permission", `{"permissions":[""]}`, "bad_permission"},
		{"upper-case permission", `{"permissions":["GENERIC#SECURITY:USER/READ"]}`, "bad_permission"},
		{"unknown permission", `{"permissions":["app#wiki/edit"]}`, "unknown_permission"},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("POST", "/auth/access_token", c.body, single.session()).want(400, c.code) })
	}
}

func TestDescriptionAndMask(t *testing.T) {
	s := newServer(t)
	single := s.single()
	made := s.mint(single.session(), api.NewToken{Name: "a", Description: "for the  nightly run", Permissions: []string{db.PermUserRead, db.PermTokenSearch, db.PermUserRead}})
	a := s.do("GET", "/auth/access_token/"+made.ID, "", single.session()).want(200).like(`{"_id":"` + made.ID + `","found":true,"_source":{"id":"` + made.ID +
		`","name":"a","description":"for the  nightly run","type":"general","access_token":"` + made.ID[:8] + `***","permissions":["` + db.PermTokenSearch + `","` + db.PermUserRead +
		`"],"expire_in":` + jsonOf(s.year()) + `,"allowed_ips":[],"allowed_hosts":[],"allowed_paths":[],"allowed_methods":[],"created":"<time>","updated":"<time>","last_used":null,"last_ip":"","owner":"coco-default-user","owner_name":"coco-default-user"}}`)
	if strings.Contains(a.body, made.AccessToken[36:]) {
		t.Error("the secret is shown")
	}
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	if k := s.shown(made.ID); k.LastUsed == nil || !k.LastUsed.Equal(s.clock.now()) || k.LastIP != stranger {
		t.Errorf("last used %v from %q", k.LastUsed, k.LastIP)
	}
	must(t, s.store.FlushLastUsed(t.Context()))
	s.clock.advance(time.Minute)
	if k := s.shown(made.ID); k.LastUsed == nil || k.LastIP != stranger {
		t.Errorf("after it was written: last used %v from %q", k.LastUsed, k.LastIP)
	}
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken), from("[2001:db8::7]")).want(200)
	if k := s.shown(made.ID); !k.LastUsed.Equal(s.clock.now()) || k.LastIP != "2001:db8::7" {
		t.Errorf("last used %v from %q", k.LastUsed, k.LastIP)
	}
}

func TestSearchTokens(t *testing.T) {
	s := newServer(t)
	single, ann := s.single(), s.newUser(annEmail)
	mine := s.mint(ann.session(), api.NewToken{Name: "ann's laptop"})
	s.clock.advance(time.Second)
	s.mint(single.session(), api.NewToken{Name: "the single one"})
	hit := `{"_id":"<uuid>","_source":` + tokenShape + `}`
	envelope := func(total string, hits ...string) string {
		return `{"took":"<number>","hits":{"total":{"value":` + total + `,"relation":"eq"},"max_score":0,"hits":[` + strings.Join(hits, ",") + `]}}`
	}
	s.do("GET", "/auth/access_token/_search", "", ann.session()).want(200).like(envelope("1", hit))
	s.do("GET", "/auth/access_token/_search", "", single.session()).want(200).like(envelope("1", hit))
	s.do("GET", "/auth/access_token/_search", "", local).want(200).like(envelope("2", hit, hit))
	for owner, total := range map[string]string{ann.id: "1", annEmail: "1", "ANN@example.com": "1", "*": "2", db.SingleUser: "1"} {
		hits := []string{hit, hit}[:total[0]-'0']
		for _, with := range []edit{single.session(), local} {
			s.do("GET", "/auth/access_token/_search?owner="+owner, "", with).want(200).like(envelope(total, hits...))
		}
		if owner != ann.id {
			s.do("GET", "/auth/access_token/_search?owner="+owner, "", ann.session()).want(403, "administrator_required")
		}
	}
	s.do("GET", "/auth/access_token/_search?owner="+ann.id, "", ann.session()).want(200).like(envelope("1", hit))
	s.do("GET", "/auth/access_token/_search?owner=nobody@example.com", "", single.session()).want(404)
	// What a narrow token may see is one's own, also an administrator's.
	narrow := s.mint(single.session(), api.NewToken{Permissions: []string{db.PermTokenSearch}})
	s.do("GET", "/auth/access_token/_search?owner=*", "", apiToken(narrow.AccessToken)).want(403)
	s.do("GET", "/auth/access_token/"+mine.ID, "", apiToken(narrow.AccessToken)).want(404)
	for query, total := range map[string]string{"laptop": "1", "LAP": "1", "ann lap": "1", "ann single": "0", "aptop": "0", "": "1", "s": "1"} {
		hits := []string{hit}[:total[0]-'0']
		s.do("GET", "/auth/access_token/_search?query="+strings.ReplaceAll(query, " ", "+"), "", ann.session()).want(200).like(envelope(total, hits...))
	}
}

func TestListsAreSortedAndPaged(t *testing.T) {
	s := newServer(t)
	single := s.single()
	ends := []int64{s.year() + 30, s.year() + 10, db.Never, s.year() + 20, s.year() + 40}
	names := []string{"delta", "Alpha", "echo", "bravo", "Charlie"}
	for i, name := range names {
		s.mint(single.session(), api.NewToken{Name: name, ExpireIn: ends[i]})
		s.clock.advance(time.Second)
	}
	for sort, want := range map[string]string{
		"": "Charlie bravo echo Alpha delta", "created:desc": "Charlie bravo echo Alpha delta", "created": "delta Alpha echo bravo Charlie", "created:asc": "delta Alpha echo bravo Charlie",
		"name": "Alpha bravo Charlie delta echo", "name:desc": "echo delta Charlie bravo Alpha",
		"expire_in:asc": "Alpha bravo delta Charlie echo", "expire_in:desc": "echo Charlie delta bravo Alpha",
	} {
		for _, size := range []int{1, 2, 3, 5, 10} {
			var got []string
			o := api.ListOptions{Sort: sort, Size: size}
			for {
				page, err := s.client(single.session()).SearchTokens(t.Context(), o)
				must(t, err)
				if page.Hits.Total.Value != 5 || page.Hits.Total.Relation != "eq" {
					t.Errorf("total %+v", page.Hits.Total)
				}
				for _, hit := range page.Hits.Hits {
					got = append(got, hit.Source.Name)
				}
				if (page.Hits.After != "") != (len(page.Hits.Hits) == size) {
					t.Errorf("%d of %d hits and the cursor %q", len(page.Hits.Hits), size, page.Hits.After)
				}
				if o.After = page.Hits.After; o.After == "" {
					break
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("sort=%s by %d: %v, want %s", sort, size, got, want)
			}
			var byOffset []string
			for at := 0; at < 6; at += size {
				page, err := s.client(single.session()).SearchTokens(t.Context(), api.ListOptions{Sort: sort, Size: size, From: at})
				must(t, err)
				for _, hit := range page.Hits.Hits {
					byOffset = append(byOffset, hit.Source.Name)
				}
			}
			if !slices.Equal(byOffset, got) {
				t.Errorf("sort=%s by from and %d: %v, want %v", sort, size, byOffset, got)
			}
		}
	}
	var all []string
	for hit, err := range api.All(t.Context(), api.ListOptions{Sort: "name"}, s.client(single.session()).SearchTokens) {
		must(t, err)
		all = append(all, hit.Source.Name)
	}
	if len(all) != 5 {
		t.Errorf("All = %v", all)
	}
	s.do("GET", "/auth/access_token/_search?size=0", "", single.session()).want(200).like(`{"took":"<number>","hits":{"total":{"value":5,"relation":"eq"},"max_score":0,"hits":[]}}`)
}

func TestUpdateToken(t *testing.T) {
	s := newServer(t)
	single := s.single()
	made := s.mint(single.session(), api.NewToken{Name: "a", Description: "old", Permissions: []string{db.PermTokenSearch}, AllowedIPs: []string{"192.0.2.0/24"}})
	before := s.shown(made.ID)
	path := "/auth/access_token/" + made.ID
	s.clock.advance(time.Hour)
	update := func(body string) api.Token {
		t.Helper()
		s.do("PUT", path, body, single.session()).want(200).like(`{"_id":"` + made.ID + `","result":"updated"}`)
		return s.shown(made.ID)
	}
	k := update(`{"name":"b"}`)
	if k.Name != "b" || k.Description != "old" || !slices.Equal(k.Permissions, before.Permissions) || !slices.Equal(k.AllowedIPs, before.AllowedIPs) || !k.Updated.Equal(s.clock.now()) {
		t.Errorf("a new name made it %+v", k)
	}
	k = update(`{"name":" c ","description":"","permissions":["` + db.PermUserRead + `","` + db.PermUserRead + `"],"allowed_ips":[]}`)
	if k.Name != "c" || k.Description != "" || !slices.Equal(k.Permissions, []string{db.PermUserRead}) || len(k.AllowedIPs) != 0 {
		t.Errorf("it became %+v", k)
	}
	k = update(`{"name":"d","permissions":[],"allowed_ips":null}`)
	if !slices.Equal(k.Permissions, []string{db.PermUserRead}) {
		t.Errorf("empty permissions made it %+v", k)
	}
	// Nothing else is for a client to change.
	k = update(`{"name":"d","id":"` + absentID + `","owner":"x","expire_in":-1,"access_token":"x","hash":"x","created":"1999-01-01T00:00:00Z","updated":"1999-01-01T00:00:00Z","type":"root","last_ip":"x","last_used":"1999-01-01T00:00:00Z"}`)
	if k.Owner != before.Owner || k.ExpireIn != before.ExpireIn || !k.Created.Equal(before.Created) || k.Type != "general" || k.LastIP != "" || k.LastUsed != nil {
		t.Errorf("it became %+v, was %+v", k, before)
	}
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	if e := s.lastEvent(); e.Action != "token.update" || e.Target != made.ID {
		t.Errorf("the audit says %+v", e)
	}
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"no body", "", 400, "body_missing"},
		{"no name", `{}`, 400, "name_required"},
		{"no name but rights", `{"permissions":["` + db.PermTokenSearch + `"]}`, 400, "name_required"},
		{"blank name", `{"name":"  "}`, 400, "name_required"},
		{"long name", `{"name":"` + strings.Repeat("ü", 201) + `"}`, 400, "text_too_long"},
		{"hidden character", `{"name":"a\u200bb"}`, 400, "text_not_plain"},
		{"bad address", `{"name":"a","allowed_ips":["x"]}`, 400, "bad_prefix"},
		{"bad permission", `{"name":"a","permissions":["x"]}`, 400, "bad_permission"},
		{"unknown permission", `{"name":"a","permissions":["app#wiki/edit"]}`, 400, "unknown_permission"},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("PUT", path, c.body, single.session()).want(c.status, c.code) })
	}
	if after := s.shown(made.ID); jsonOf(after.Permissions) != jsonOf(k.Permissions) || after.Name != k.Name {
		t.Errorf("refused changes made it %+v", after)
	}
}

func TestDeleteToken(t *testing.T) {
	s := newServer(t)
	single := s.single()
	made := s.mint(single.session(), api.NewToken{})
	path := "/auth/access_token/" + made.ID
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	s.do("DELETE", path, "", single.session()).want(200).like(`{"_id":"` + made.ID + `","result":"deleted"}`)
	if e := s.lastEvent(); e.Action != "token.delete" || e.Target != made.ID {
		t.Errorf("the audit says %+v", e)
	}
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401, "invalid_token")
	for _, method := range []string{"GET", "DELETE"} {
		s.do(method, path, "", single.session()).want(404)
	}
	// A token may end itself.
	made = s.mint(single.session(), api.NewToken{})
	s.do("DELETE", "/auth/access_token/"+made.ID, "", apiToken(made.AccessToken)).want(200)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401)
}

// Of N deletes at once exactly one says that it deleted.
func TestDeleteTokenAtOnce(t *testing.T) {
	s := newServer(t)
	single := s.single()
	for range 5 {
		made := s.mint(single.session(), api.NewToken{})
		events := len(s.events())
		var deleted, absent atomic.Int64
		together(16, func(i int) {
			c := s.client(single.session())
			if i%2 == 0 {
				c = s.local
			}
			_, err := c.DeleteToken(t.Context(), made.ID)
			switch status(err) {
			case 200:
				deleted.Add(1)
			case 404:
				absent.Add(1)
			default:
				t.Error(err)
			}
		})
		if deleted.Load() != 1 || absent.Load() != 15 || len(s.events()) != events+1 {
			t.Errorf("%d deleted it, %d found nothing, %d audit entries", deleted.Load(), absent.Load(), len(s.events())-events)
		}
	}
}

// Effective rights are the token's, cut to what the owner may do now.
func TestRightsAreCutToTheOwners(t *testing.T) {
	s := newServer(t)
	s.role("clerk", db.PermUserRead, db.PermUserSearch)
	ann := s.newUser(annEmail, "clerk", db.RoleUser)
	read := s.mint(ann.session(), api.NewToken{Permissions: []string{db.PermUserRead, db.PermTokenSearch}}).AccessToken
	all := s.mint(ann.session(), api.NewToken{}).AccessToken
	can := func(secret, path string, want int) {
		t.Helper()
		s.do("GET", path, "", apiToken(secret)).want(want)
	}
	const readUser, searchUsers, searchTokens = "/security/user/" + annEmail, "/security/user/_search", "/auth/access_token/_search"
	roles := func(names ...string) {
		t.Helper()
		_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Roles: ptr(append([]string{}, names...))})
		must(t, err)
	}
	can(read, readUser, 200)
	can(read, searchUsers, 403)
	can(read, searchTokens, 200)
	can(all, searchUsers, 200)
	roles(db.RoleUser)
	can(read, readUser, 403)
	can(read, searchTokens, 200)
	can(all, searchUsers, 403)
	roles(db.RoleAdmin)
	can(read, readUser, 200)
	can(read, searchUsers, 403) // a narrow token does not grow with its owner
	can(all, searchUsers, 200)
	roles()
	can(read, searchTokens, 403)
	can(all, "/account/profile", 200)
	s.do("GET", searchTokens, "", apiToken(all)).want(403, "not_permitted").challenge(challengeScope)
}

// Nobody asks for more than they have, at create or at update.
func TestTokensDoNotAskForMore(t *testing.T) {
	s := newServer(t)
	admin, ann, bob := s.single(), s.newUser(annEmail), s.newUser("bob@example.com")
	for _, more := range [][]string{{db.PermAll}, {db.PermUserRead}, {db.PermTokenSearch, db.PermUserRead}, {db.PermSystemRead}, {db.PermBackup}} {
		body := api.NewToken{Permissions: more}
		s.do("POST", "/auth/access_token", jsonOf(body), ann.session()).want(403, "asks_more")
		made := s.mint(ann.session(), api.NewToken{Permissions: []string{db.PermTokenSearch}})
		s.do("PUT", "/auth/access_token/"+made.ID, jsonOf(api.TokenUpdate{Name: "x", Permissions: more}), ann.session()).want(403, "asks_more")
		// An administrator gives nobody's token more than its owner has.
		body.Owner = ann.id
		for _, with := range []edit{admin.session(), local} {
			s.do("POST", "/auth/access_token", jsonOf(body), with).want(403, "owner_lacks")
			s.do("PUT", "/auth/access_token/"+made.ID, jsonOf(api.TokenUpdate{Name: "x", Permissions: more}), with).want(403, "owner_lacks")
		}
		if k := s.shown(made.ID); !slices.Equal(k.Permissions, []string{db.PermTokenSearch}) || k.Name == "x" {
			t.Errorf("refused, and yet it is %+v", k)
		}
	}
	// For others only administrators mint, whether the other exists or not.
	want := s.do("POST", "/auth/access_token", `{"owner":"nobody@example.com"}`, ann.session()).want(403, "administrator_required")
	for _, owner := range []string{bob.id, bob.email, db.SingleUser, "*", "local", absentID} {
		if a := s.do("POST", "/auth/access_token", jsonOf(api.NewToken{Owner: owner}), ann.session()); a.body != want.body {
			t.Errorf("for %s: %s", owner, a.body)
		}
	}
	for _, owner := range []string{ann.id, "ANN@example.com"} {
		s.do("POST", "/auth/access_token", jsonOf(api.NewToken{Owner: owner}), ann.session()).want(200)
	}
	for _, with := range []edit{admin.session(), local} {
		var made api.TokenCreated
		s.do("POST", "/auth/access_token", jsonOf(api.NewToken{Owner: bob.email, Permissions: []string{db.PermTokenSearch}}), with).want(200).json(&made)
		if k := s.shown(made.ID); k.Owner != bob.id {
			t.Errorf("it belongs to %s", k.Owner)
		}
		s.do("POST", "/auth/access_token", `{"owner":"nobody@example.com"}`, with).want(404)
		s.do("POST", "/auth/access_token", `{"owner":"`+absentID+`"}`, with).want(404)
	}
	// A narrow token of an administrator is no administrator.
	narrow := s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermTokenCreate, db.PermTokenSearch, db.PermTokenUpdate, db.PermTokenDelete}}).AccessToken
	s.do("POST", "/auth/access_token", jsonOf(api.NewToken{Owner: bob.id}), apiToken(narrow)).want(403, "administrator_required")
	foreign := s.mint(bob.session(), api.NewToken{}).ID
	s.do("GET", "/auth/access_token/"+foreign, "", apiToken(narrow)).want(404)
	s.do("PUT", "/auth/access_token/"+foreign, `{"name":"x"}`, apiToken(narrow)).want(404)
	s.do("DELETE", "/auth/access_token/"+foreign, "", apiToken(narrow)).want(404)
	s.do("GET", "/auth/access_token/"+foreign, "", admin.session()).want(200)
	s.do("PUT", "/auth/access_token/"+foreign, `{"name":"x"}`, admin.session()).want(200)
	s.do("DELETE", "/auth/access_token/"+foreign, "", admin.session()).want(200)
}

// With a token: what it mints or changes is no more than itself.
func TestTokensMintNoMoreThanThemselves(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	manage := []string{db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenSearch, db.PermTokenDelete}
	ends := s.clock.now().Add(24 * time.Hour).Unix()
	narrow := s.mint(admin.session(), api.NewToken{Permissions: manage, ExpireIn: ends, AllowedIPs: []string{"192.0.2.0/24", "2001:db8::/32"}})
	by := apiToken(narrow.AccessToken)

	t.Run("what is not asked for is the token's", func(t *testing.T) {
		made := s.mint(by, api.NewToken{})
		k := s.shown(made.ID)
		if !slices.Equal(k.Permissions, db.NewPermissions(manage).Keys()) || k.ExpireIn != ends || !slices.Equal(k.AllowedIPs, []string{"192.0.2.0/24", "2001:db8::/32"}) {
			t.Errorf("it is %+v", k)
		}
		s.do("GET", "/security/user/_search", "", apiToken(made.AccessToken)).want(403)
	})
	for _, c := range []struct {
		name string
		n    api.NewToken
		code string
	}{
		{"all rights", api.NewToken{Permissions: []string{db.PermAll}}, "asks_more"},
		{"another right", api.NewToken{Permissions: []string{db.PermUserRead}}, "asks_more"},
		{"one right more", api.NewToken{Permissions: append([]string{db.PermUserRead}, manage...)}, "asks_more"},
		{"never", api.NewToken{ExpireIn: db.Never}, "outlives_token"},
		{"a second longer", api.NewToken{ExpireIn: ends + 1}, "outlives_token"},
		{"other address", api.NewToken{AllowedIPs: []string{"203.0.113.0/24"}}, "wider_addresses"},
		{"wider address", api.NewToken{AllowedIPs: []string{"192.0.0.0/16"}}, "wider_addresses"},
		{"everywhere", api.NewToken{AllowedIPs: []string{"0.0.0.0/0"}}, "wider_addresses"},
		{"everywhere by IPv6", api.NewToken{AllowedIPs: []string{"192.0.2.0/24", "::/0"}}, "wider_addresses"},
		{"another owner", api.NewToken{Owner: "nobody@example.com"}, "administrator_required"},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("POST", "/auth/access_token", jsonOf(c.n), by).want(403, c.code) })
	}
	for _, n := range []api.NewToken{
		{Permissions: manage[:1]}, {ExpireIn: ends}, {ExpireIn: ends - 1}, {AllowedIPs: []string{"192.0.2.128/25"}}, {AllowedIPs: []string{"2001:db8:1::/48", "192.0.2.1"}},
	} {
		s.do("POST", "/auth/access_token", jsonOf(n), by).want(200)
	}

	update := func(id string, u api.TokenUpdate) answer {
		u.Name = "changed"
		return s.do("PUT", "/auth/access_token/"+id, jsonOf(u), by)
	}
	like := s.mint(by, api.NewToken{})
	wide := map[string]string{
		"more rights":     s.mint(admin.session(), api.NewToken{Permissions: append([]string{db.PermUserRead}, manage...), ExpireIn: ends, AllowedIPs: []string{"192.0.2.0/24"}}).ID,
		"the owner's":     s.mint(admin.session(), api.NewToken{ExpireIn: ends, AllowedIPs: []string{"192.0.2.0/24"}}).ID,
		"longer":          s.mint(admin.session(), api.NewToken{Permissions: manage, AllowedIPs: []string{"192.0.2.0/24"}}).ID,
		"never":           s.mint(admin.session(), api.NewToken{Permissions: manage, ExpireIn: db.Never, AllowedIPs: []string{"192.0.2.0/24"}}).ID,
		"everywhere":      s.mint(admin.session(), api.NewToken{Permissions: manage, ExpireIn: ends}).ID,
		"other addresses": s.mint(admin.session(), api.NewToken{Permissions: manage, ExpireIn: ends, AllowedIPs: []string{"203.0.113.0/24"}}).ID,
	}
	for name, id := range wide {
		before := s.shown(id)
		update(id, api.TokenUpdate{}).want(403, "above_token")
		update(id, api.TokenUpdate{Description: ptr("x")}).want(403, "above_token")
		if after := s.shown(id); jsonOf(after) != jsonOf(before) {
			t.Errorf("%s: refused, and yet it is %+v", name, after)
		}
	}
	// It may cut another one down to its own measure, and rename its likes.
	update(wide["more rights"], api.TokenUpdate{Permissions: manage[:2]}).want(200)
	update(wide["the owner's"], api.TokenUpdate{Permissions: manage}).want(200)
	update(wide["everywhere"], api.TokenUpdate{AllowedIPs: &[]string{"192.0.2.0/25"}}).want(200)
	update(like.ID, api.TokenUpdate{}).want(200)
	// Neither itself nor its like does it make wider.
	for _, id := range []string{like.ID, narrow.ID} {
		update(id, api.TokenUpdate{Permissions: []string{db.PermAll}}).want(403, "asks_more")
		update(id, api.TokenUpdate{Permissions: append([]string{db.PermUserRead}, manage...)}).want(403, "asks_more")
		update(id, api.TokenUpdate{AllowedIPs: &[]string{}}).want(403, "above_token")
		update(id, api.TokenUpdate{AllowedIPs: &[]string{"192.0.0.0/16"}}).want(403, "above_token")
		update(id, api.TokenUpdate{Permissions: manage}).want(200)
	}
	update(narrow.ID, api.TokenUpdate{Permissions: []string{db.PermTokenUpdate}}).want(200)
	update(narrow.ID, api.TokenUpdate{Permissions: manage}).want(403, "asks_more")
}

// An editor that sends back what it was shown asks for nothing, even where the
// owner has lost the right meanwhile.
func TestSamePermissionsAgain(t *testing.T) {
	s := newServer(t)
	s.role("clerk", db.PermUserRead, db.PermTokenUpdate, db.PermTokenCreate)
	ann := s.newUser(annEmail, "clerk")
	held := []string{db.PermUserRead, db.PermTokenUpdate}
	made := s.mint(ann.session(), api.NewToken{Permissions: held})
	_, err := s.local.UpdateUser(t.Context(), ann.id, api.UserUpdate{Roles: &[]string{db.RoleUser}})
	must(t, err)
	again := s.shown(made.ID).Permissions
	put := func(p []string) answer {
		return s.do("PUT", "/auth/access_token/"+made.ID, jsonOf(api.TokenUpdate{Name: "renamed", Permissions: p}), ann.session())
	}
	put(again).want(200)
	slices.Reverse(again)
	put(append(again, again...)).want(200)
	put(again[1:]).want(200) // fewer, that the owner still has
	put(held).want(403)
	s.do("GET", "/security/user/"+ann.id, "", apiToken(made.AccessToken)).want(403)
}

// A token that grants everything is no less than one without limits.
func TestFullTokenChangesUnlimitedOne(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	full := s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermAll}, ExpireIn: db.Never})
	unlimited := s.mint(admin.session(), api.NewToken{})
	s.do("PUT", "/auth/access_token/"+unlimited.ID, `{"name":"renamed"}`, apiToken(full.AccessToken)).want(200)
}

func TestMaxTokenTTL(t *testing.T) {
	const day = 24 * time.Hour
	s := newServer(t, func(c *web.Config) { c.MaxTokenTTL = 30 * day })
	admin := s.single()
	bound := s.clock.now().Add(30 * day).Unix()
	if made := s.mint(admin.session(), api.NewToken{}); made.ExpireIn != bound {
		t.Errorf("a default expiry is %d, want %d", made.ExpireIn, bound)
	}
	for _, with := range []edit{admin.session(), local} {
		s.do("POST", "/auth/access_token", jsonOf(api.NewToken{ExpireIn: bound}), with).want(200)
		s.do("POST", "/auth/access_token", jsonOf(api.NewToken{ExpireIn: bound + 1}), with).want(400, "ttl_too_long")
		s.do("POST", "/auth/access_token", jsonOf(api.NewToken{ExpireIn: db.Never}), with).want(400, "ttl_too_long")
	}
}

func TestTokenExpires(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	made := s.mint(admin.session(), api.NewToken{ExpireIn: s.clock.now().Add(time.Hour).Unix()})
	never := s.mint(admin.session(), api.NewToken{ExpireIn: db.Never})
	s.clock.advance(time.Hour - time.Nanosecond)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
	s.clock.advance(time.Nanosecond)
	s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401, "invalid_token")
	s.clock.advance(100 * 365 * 24 * time.Hour)
	s.do("GET", "/account/profile", "", apiToken(never.AccessToken)).want(200)
}

// A replaced secret ends with its grace, and so does what it makes.
func TestReplacedSecretMakesNothingThatOutlivesIt(t *testing.T) {
	s := newServer(t)
	p := s.newUser("ann@example.com")
	k := s.mintFor(p, api.NewToken{})
	made, err := s.local.RotateToken(t.Context(), k.ID, api.Rotate{Grace: "1h"})
	must(t, err)
	s.secret(made.AccessToken)
	old := apiToken(k.AccessToken)
	ends := s.clock.now().Add(time.Hour).Unix()
	if minted := s.mint(old, api.NewToken{}); minted.ExpireIn != ends {
		t.Errorf("it made a token that ends at %d, itself ends at %d", minted.ExpireIn, ends)
	}
	s.do("POST", "/auth/access_token", `{"expire_in":-1}`, old).want(403, "outlives_token")
	s.do("POST", "/auth/access_token/"+k.ID+"/_rotate", "", old).want(403, "above_token")
	s.do("POST", "/auth/access_token/"+k.ID+"/_rotate", "", apiToken(made.AccessToken)).want(200)
}
