package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
)

// misspelt are ways to write a member's name that mean it and are not it.
func misspelt(name string) []string {
	words := strings.Split(name, "_")
	camel := words[0]
	for _, w := range words[1:] {
		camel += strings.ToUpper(w[:1]) + w[1:]
	}
	all := []string{
		strings.ToUpper(name[:1]) + name[1:], strings.ToUpper(name), "_" + name, name + "-", camel, strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(name, "_", ""),
		strings.ReplaceAll(name, "s", "ſ"), strings.ReplaceAll(name, "k", "\u212a"), // which encoding/json takes for s and k
	}
	if len(name) > 3 {
		all = append(all, name[:1]+name[2:3]+name[1:2]+name[3:], name[:len(name)-1], name+"s")
	}
	return append(all, alsoCalled[name]...)
}

// Every body that is described, by what it is read into: each member misspelt is
// refused and named, alone and beside the others, and nothing is done.
func TestNearMissesAreRefused(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	read := 0
	for key, o := range operations {
		if o.example == nil {
			continue
		}
		known := typeMembers(reflect.TypeOf(o.example))
		method, path, _ := strings.Cut(key, " ")
		for _, name := range known.names {
			read++
			for _, wrong := range misspelt(name) {
				if slices.Contains(known.names, wrong) || clientMembers[reflect.TypeOf(o.example)][wrong] != nil && wrong == "permission" {
					continue
				}
				v.sends(t, o, method, strings.ReplaceAll(path, ":id", "00000000-0000-4000-8000-000000000000"), wrong, name)
			}
		}
	}
	if read < 30 {
		t.Errorf("only %d members were tried", read)
	}
}

// sentAs is the media type of a body that is described.
func (o operation) sentAs() string {
	switch {
	case o.line:
		return ndjsonMedia
	case slices.Equal(o.media, []string{formMedia}):
		return formMedia
	}
	return "application/json"
}

// sends sends a body with a member that is like one, and wants to be told so.
func (v *visitor) sends(t *testing.T, o operation, method, path, wrong, meant string) {
	t.Helper()
	body, err := json.Marshal(o.example)
	if err != nil {
		t.Fatal(err)
	}
	if o.sentAs() == formMedia {
		form, _ := exampleOf(t, o, formMedia)
		body = []byte(form + "&" + url.QueryEscape(wrong) + "=x")
	} else {
		body = fmt.Appendf(body[:len(body)-1], `,%q:["x"]}`, wrong)
		body = bytes.Replace(body, []byte("{,"), []byte("{"), 1) // of an example that is empty
	}
	a := v.do(method, path, o.sentAs(), string(body))
	if a.StatusCode == http.StatusBadRequest && strings.Contains(a.body, `"unknown_member"`) && regexp.MustCompile(`[ .](`+meant+`|[a-z_]+) is: write it so`).MatchString(a.body) {
		return
	}
	t.Errorf("%s %s with %s = %d %s: %s is meant", method, path, body, a.StatusCode, a.body, meant)
}

// What the body is read by is the one place: nothing in the package reads JSON
// or a form of a request by itself.
func TestAllBodiesAreReadByBind(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`json\.(Unmarshal|NewDecoder)\(|url\.ParseQuery\(|\.(FormValue|PostFormValue|ParseForm|FormParams|Bind)\(`)
	readers := map[string]int{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(own.FindAll(text, -1)); n > 0 {
			readers[name] = n
		}
	}
	if want := map[string]int{"body.go": 2, "members.go": 1}; !maps.Equal(readers, want) {
		t.Errorf("%v read bodies, want %v: let bind, decode or bindForm do it", readers, want)
	}
}

func TestNearest(t *testing.T) {
	token := typeMembers(reflect.TypeFor[api.NewToken]()).names
	user := typeMembers(reflect.TypeFor[api.UserUpdate]()).names
	for _, c := range []struct {
		name  string
		known []string
		want  string
	}{
		{"permission", token, "permissions"}, {"Permissions", token, "permissions"}, {"premissions", token, "permissions"}, {"permisions", token, "permissions"},
		{"perms", token, "permissions"}, {"scopes", token, "permissions"}, {"grants", token, "permissions"},
		{"expires_in", token, "expire_in"}, {"expireIn", token, "expire_in"}, {"expires", token, "expire_in"}, {"ttl", token, "expire_in"}, {"expires_at", token, "expire_in"},
		{"allowed_ip", token, "allowed_ips"}, {"allowedIps", token, "allowed_ips"}, {"allow_ips", token, "allowed_ips"}, {"allowed", token, "allowed_hosts"},
		{"allowed_host", token, "allowed_hosts"}, {"domains", token, "allowed_hosts"}, {"allowedPath", token, "allowed_paths"}, {"paths", token, "allowed_paths"}, {"allow_methods", token, "allowed_methods"}, {"verbs", token, "allowed_methods"},
		{"role", user, "roles"}, {"Role", user, "roles"}, {"disable", user, "disabled"}, {"disabed", user, "disabled"}, {"enabled", user, "disabled"}, {"emial", user, "email"},
		{"user", token, "owner"}, {"user_id", token, "owner"},

		{"id", token, ""}, {"type", token, ""}, {"created", token, ""}, {"updated", token, ""}, {"last_used", token, ""}, {"last_ip", token, ""}, {"access_token", token, ""},
		{"remember", user, ""}, {"a", user, ""}, {"", user, ""}, {"preferences", user, ""}, {"avatar", user, ""}, {"nested", user, ""}, {"builtin", token, ""},
		{strings.Repeat("permissions", 1000), token, ""}, {"\xff\xfe", token, ""}, {"разрешения", token, ""},
	} {
		if got := nearest(c.name, c.known); got != c.want {
			t.Errorf("%.40q is taken for %q, want %q", c.name, got, c.want)
		}
	}
}

// What is read is sent back whole by those who edit it, and the console adds
// members of its form.
func TestWhatIsShownCanBeSentBack(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	v.json("POST", "/security/role", `{"name":"editor","description":"x","permission":{"feature":["wiki#page/edit"]},"grants":{"permissions":["wiki#page/edit"]}}`).same(t, `{"_id":"editor","result":"created"}`)
	var made api.TokenCreated
	if err := json.Unmarshal([]byte(v.json("POST", "/auth/access_token", `{"name":"a"}`).body), &made); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/security/user/ann@example.com", "/security/user/" + db.SingleUser, "/security/role/editor", "/auth/access_token/" + made.ID} {
		var shown struct {
			Source json.RawMessage `json:"_source"`
		}
		if err := json.Unmarshal([]byte(v.get(path).body), &shown); err != nil {
			t.Fatal(err)
		}
		if a := v.json("PUT", path, string(shown.Source)); a.StatusCode != http.StatusOK {
			t.Errorf("PUT %s %s = %d %s", path, shown.Source, a.StatusCode, a.body)
		}
	}
	v.json("PUT", "/security/role/editor", `{"name":"editor","permission":{"feature":[]},"grants":{"permissions":[]}}`).same(t, `{"_id":"editor","result":"updated"}`)
	for body, meant := range map[string]string{
		`{"name":"x","permission":["wiki#page/edit"]}`:               "grants.permissions",
		`{"name":"x","permissions":["wiki#page/edit"]}`:              "grants.permissions",
		`{"name":"x","grants":{"permission":["wiki#page/edit"]}}`:    "grants.permissions",
		`{"name":"x","grant":{"permissions":["wiki#page/edit"]}}`:    "grants",
		`{"name":"x","no_permission":true}`:                          "no_permissions",
		`{"name":"x","grants":{"Permissions":["wiki#page/edit"]}}`:   "grants.permissions",
		`{"name":"x","grants":{"scopes":["x"],"permissions":["*"]}}`: "grants.permissions",
	} {
		if a := v.json("POST", "/security/role", body); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, " and "+meant+" is: ") {
			t.Errorf("%s = %d %s; want %s named", body, a.StatusCode, a.body, meant)
		}
	}
}

// A member twice is two things said: which of them is meant nobody knows.
func TestMembersTwice(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	for path, body := range map[string]string{
		"/auth/access_token":         `{"permissions":["generic#system/keys"],"name":"x","permissions":[]}`,
		"/security/role":             `{"name":"x","grants":{"permissions":["*"],"permissions":[]}}`,
		"/security/user":             `{"email":"a@example.com","\u0065mail":"b@example.com"}`,
		"/account/login":             `{"password":"` + testPassword + `","password":"` + testPassword + `"}`,
		"/security/key/_rotate":      `{"now":true,"now":false}`,
		"/auth/request_access_token": `{"expire_in":1,"expire_in":2}`,
	} {
		v.json("POST", path, body).fails(t, http.StatusBadRequest, "duplicate_member")
	}
	v.json("POST", "/auth/access_token", `{"name":"x","other":1,"other":2}`).ok(t)
}

// The same for forms, and for what an import is told beside its lines.
func TestNearMissesOfFormsAndParameters(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	send := func(path string, form url.Values) answer {
		return v.do("POST", path, formType, form.Encode(), "Accept", "*/*")
	}
	send("/account/login", url.Values{"emial": {"ann@example.com"}, "password": {testPassword}}).fails(t, http.StatusBadRequest, "unknown_member")
	send("/account/login", url.Values{"username": {"ann@example.com"}, "password": {testPassword}}).fails(t, http.StatusBadRequest, "unknown_member")
	send("/account/login", url.Values{"email": {"", "ann@example.com"}, "password": {testPassword}}).fails(t, http.StatusBadRequest, "duplicate_member")
	send("/password", url.Values{"password": {testPassword}, "new_password": {"x"}, "again": {"x"}}).fails(t, http.StatusBadRequest, "unknown_member")
	send("/account/login", url.Values{"remember": {"on", "on"}, "password": {testPassword}}).ok(t)
	line := `{"email":"made@example.com"}`
	for query, code := range map[string]string{
		"dryrun=true": "unknown_member", "dryRun=true": "unknown_member", "dry-run=true": "unknown_member", "DRY_RUN=true": "unknown_member", "if_mising=true": "unknown_member",
		"dry_run=1": "bad_parameter", "dry_run=yes": "bad_parameter", "if_missing=on": "bad_parameter", "dry_run=true&dry_run=false": "duplicate_member",
	} {
		v.do("POST", "/security/user/_import?"+query, ndjsonMedia, line).fails(t, http.StatusBadRequest, code)
	}
	v.do("POST", "/security/user/_import?dry_run=true&t=1&if_missing=", ndjsonMedia, line).same(t, `{"created":1,"skipped":0,"dry_run":true}`)
}

// ok fails unless the answer is 200.
func (a answer) ok(t *testing.T) {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Errorf("%d %s, want 200", a.StatusCode, a.body)
	}
}

// A body has room for thousands of names, and anybody may send one: what is of
// another length than all that is known is hardly looked at.
func TestNearestIsCheap(t *testing.T) {
	known := []string{"email", "login", "password", "expire_in", "allowed_ips"}
	for _, name := range []string{"zz", strings.Repeat("z", 16), strings.Repeat("z", maxNearName)} {
		if n := testing.AllocsPerRun(10, func() { nearest(name, known) }); n > float64(len(known)) {
			t.Errorf("%s took %v allocations for %d names", name, n, len(known))
		}
	}
}
