package web

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
)

// mayHouse is a house with people who may do much, some, little and nothing, and what is
// theirs: by names that stand in the addresses of the table below.
func mayHouse(t *testing.T) (visitors map[string]*visitor, names *strings.Replacer) {
	t.Helper()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	role := func(name string, permissions ...string) {
		if err := h.Store.CreateRole(t.Context(), localActor, name, db.RoleChange{Permissions: permissions}); err != nil {
			t.Fatal(err)
		}
	}
	role("clerk", db.PermUserRead)
	role("strong", db.PermUserRead, db.PermKeys)
	role("none")
	role("help", db.PermUserSearch, db.PermUserRead, db.PermUserUpdate, db.PermUserDelete, db.PermSessionSearch, db.PermSessionDelete,
		db.PermRoleSearch, db.PermRoleRead, db.PermRoleUpdate, db.PermRoleDelete, db.PermTokenSearch, db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenDelete, db.PermPermissionRead)
	role("blind", db.PermUserSearch, db.PermUserRead, db.PermUserUpdate, db.PermUserDelete)
	ids, words := map[string]string{"SINGLE": db.SingleUser}, []string{}
	visitors = map[string]*visitor{"admin": h.signedIn("")}
	for name, r := range map[string]string{"ann": "user", "help": "help", "bare": "none", "blind": "blind"} {
		ids[strings.ToUpper(name)] = h.user(name+"@example.com", testPassword, false, r).ID
		visitors[name] = h.signedIn(name + "@example.com")
	}
	ids["THEIRS"], _ = visitors["ann"].makeToken("theirs")
	ids["MINE"], _ = visitors["admin"].makeToken("mine")
	for name, user := range map[string]string{"S-SINGLE": db.SingleUser, "S-ANN": ids["ANN"]} {
		found, err := visitors["admin"].asks().SearchSessions(t.Context(), api.ListOptions{Size: 1, Filter: map[string]string{"user": user}})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = found.Hits.Hits[0].ID
	}
	for name, id := range ids {
		words = append(words, "<"+name+">", id)
	}
	return visitors, strings.NewReplacer(words...)
}

const (
	above = "may do more than you may"
	more  = "grants more than you have"
	built = "built-in role"
	lacks = "needs the permission"
	gone  = "it is not yours"
)

type mayRow struct {
	who   string
	paths string // several, by spaces
	words string // of the refusal; "" is the form
}

// A form stands at an address for who may send it. To all others the address says in
// words why not, no page leads there, and the API refuses what the form would ask.
var mayTable = []mayRow{
	{"admin", "/console/tokens/<THEIRS>/rotate /me/tokens/<THEIRS>/rotate", "only one&#39;s own tokens"},
	{"admin", "/console/tokens/<MINE>/rotate /me/tokens/<MINE>/rotate /console/tokens/<THEIRS>/edit /console/tokens/<THEIRS>/revoke /console/tokens/new /me/tokens/new", ""},
	{"admin", "/console/users/<SINGLE>/delete", "can&#39;t be deleted"},
	{"admin", "/console/users/<SINGLE>/password", "your own password"},
	{"admin", "/console/users/<SINGLE>/roles", "their own roles"},
	{"admin", "/console/users/<SINGLE>/edit /console/users/new /console/users/import /console/users/import/check", ""},
	{"admin", "/console/users/<ANN>/edit /console/users/<ANN>/roles /console/users/<ANN>/password /console/users/<ANN>/disable /console/users/<ANN>/end /console/users/<ANN>/delete", ""},
	{"admin", "/console/roles/admin/delete /console/roles/user/delete", built},
	{"admin", "/console/roles/admin/edit /console/roles/user/edit", ""},
	{"admin", "/console/roles/clerk/edit /console/roles/clerk/delete /console/roles/_new", ""},
	{"admin", "/console/sessions/<S-ANN>/end /console/sessions/end?user=<ANN> /console/system/keys/rotate /console/rules/test /console/rules/test/token", ""},

	{"help", "/console/users/<SINGLE>/edit /console/users/<SINGLE>/roles /console/users/<SINGLE>/password /console/users/<SINGLE>/disable /console/users/<SINGLE>/end /console/users/<SINGLE>/delete", above},
	{"help", "/console/users/<ANN>/edit /console/users/<ANN>/roles /console/users/<ANN>/password /console/users/<ANN>/disable /console/users/<ANN>/end /console/users/<ANN>/delete /console/users/<HELP>/edit", ""},
	{"help", "/console/users/<HELP>/delete", "Nobody deletes themselves"},
	{"help", "/console/users/<HELP>/password", "your own password"},
	{"help", "/console/users/<HELP>/roles", "their own roles"},
	{"help", "/console/roles/strong/edit /console/roles/strong/delete", more},
	{"help", "/console/roles/admin/delete", built},
	{"help", "/console/roles/clerk/edit /console/roles/clerk/delete", ""},
	{"help", "/console/sessions/<S-SINGLE>/end /console/sessions/end?user=<SINGLE>", above},
	{"help", "/console/sessions/<S-ANN>/end /console/sessions/end?user=<ANN>", ""},
	{"help", "/console/tokens/new", "administrators"},
	{"help", "/console/tokens/<THEIRS>/rotate /console/tokens/<THEIRS>/edit /console/tokens/<THEIRS>/revoke", gone},
	{"help", "/console/users/new /console/users/import /console/users/import/check /console/roles/_new", lacks},
	{"help", "/console/system/keys/rotate /console/rules/test /console/rules/test/token", lacks},

	// Who may not see roles can't tell from them who may do more: the API does.
	{"blind", "/console/users/<SINGLE>/edit /console/users/<SINGLE>/password /console/users/<SINGLE>/disable /console/users/<SINGLE>/delete", above},

	{"ann", "/me/tokens/new /me/tokens/<THEIRS>/edit /me/tokens/<THEIRS>/rotate /me/tokens/<THEIRS>/revoke", ""},
	{"ann", "/me/tokens/<MINE>/edit /me/tokens/<MINE>/rotate /me/tokens/<MINE>/revoke", gone},
	{"ann", "/console/users/new /console/users/import /console/users/<BARE>/edit /console/users/<BARE>/roles /console/users/<BARE>/password /console/users/<BARE>/disable /console/users/<BARE>/end /console/users/<BARE>/delete", lacks},
	{"ann", "/console/roles/_new /console/roles/clerk/edit /console/roles/clerk/delete /console/sessions/<S-SINGLE>/end /console/sessions/end?user=<SINGLE> /console/system/keys/rotate", lacks},
	{"ann", "/console/tokens/new", "administrators"},
	{"bare", "/me/tokens/new /me/tokens/<THEIRS>/edit /me/tokens/<THEIRS>/rotate /me/tokens/<THEIRS>/revoke", lacks},
}

func TestFormsAreForWhoMay(t *testing.T) {
	t.Parallel()
	visitors, names := mayHouse(t)
	for _, row := range mayTable {
		v := visitors[row.who]
		for _, pattern := range strings.Fields(row.paths) {
			address := names.Replace(pattern)
			page := v.get(address)
			form := strings.Contains(page.body, `name="once"`) || strings.Contains(page.body, `class="filter`) || page.StatusCode == http.StatusOK
			if form != (row.words == "") {
				t.Errorf("%s at %s: a form is shown: %t (%d)\n%s", row.who, pattern, form, page.StatusCode, page.main())
				continue
			}
			if row.words == "" {
				continue
			}
			if !strings.Contains(page.body, row.words) || !strings.Contains(page.body, `class="house"`) || page.StatusCode != http.StatusForbidden && page.StatusCode != http.StatusNotFound {
				t.Errorf("%s at %s: %d without %q\n%s", row.who, pattern, page.StatusCode, row.words, page.main())
			}
			on, _, _ := strings.Cut(address, "?")
			if leads := v.get(path.Dir(on)); strings.Contains(leads.body, `href="`+address+`"`) {
				t.Errorf("%s: a page leads to %s", row.who, pattern)
			}
			kept := v.post(address, "kept", "yes", "user", names.Replace("<SINGLE>"))
			if hasForm(address) && kept.StatusCode < http.StatusBadRequest {
				t.Errorf("%s at %s: the form that was kept is shown: %d", row.who, pattern, kept.StatusCode)
			}
			sent := v.post(address, "user", names.Replace("<SINGLE>"), "name", "x", "roles", "user", "password", testPassword)
			if hasForm(address) && (sent.StatusCode < http.StatusBadRequest || sent.StatusCode == http.StatusInternalServerError) {
				t.Errorf("%s at %s: the API does it: %d", row.who, pattern, sent.StatusCode)
			}
		}
	}
}

// hasForm tells whether a form is sent to the address where it stands.
func hasForm(address string) bool {
	on, _, _ := strings.Cut(address, "?")
	return path.Base(on) != "new" && path.Base(on) != "_new" && path.Base(on) != "test"
}

// Each address of a form is in the table, as one that is shown and one that is not.
func TestTableOfFormsIsWhole(t *testing.T) {
	t.Parallel()
	var posts, forms []string
	for _, p := range console.Places() {
		if p.Method == http.MethodPost {
			posts = append(posts, p.Path)
		}
	}
	for _, p := range console.Places() {
		if p.Method == http.MethodGet && (slices.Contains(posts, p.Path) || strings.HasSuffix(p.Path, "new")) {
			forms = append(forms, p.Path)
		}
	}
	if len(forms) < 15 {
		t.Fatalf("only %d forms were found", len(forms))
	}
	// Lists that have a form for something new beside them, and what anybody may.
	free := []string{"/me/tokens", "/console/tokens", "/console/users", "/console/roles", "/console/system/backups",
		// What is there for who has a second factor, whoever they are: TestOwnSecondFactor and TestResetSecondFactorByPage.
		"/me/second-factor/totp", "/me/second-factor/totp/remove", "/me/second-factor/codes", "/console/users/:id/second-factor",
		// One's own: TestBrowserPasskey and TestBrowserPasskeysOfTwo.
		"/me/second-factor/passkey", "/me/second-factor/passkeys/:id", "/me/second-factor/passkeys/:id/remove"}
	for _, form := range forms {
		if slices.Contains(free, form) {
			continue
		}
		for _, shown := range []bool{true, false} {
			if !slices.ContainsFunc(mayTable, func(row mayRow) bool {
				return (row.words == "") == shown && slices.ContainsFunc(strings.Fields(row.paths), func(address string) bool { return isPlace(address, form) })
			}) {
				t.Errorf("%s: the table has nobody to whom it is shown: %t", form, shown)
			}
		}
	}
}

// isPlace tells whether an address is one of a place.
func isPlace(address, place string) bool {
	on, _, _ := strings.Cut(address, "?")
	parts, want := strings.Split(on, "/"), strings.Split(place, "/")
	for i := range min(len(parts), len(want)) {
		if parts[i] != want[i] && !strings.HasPrefix(want[i], ":") {
			return false
		}
	}
	return len(parts) == len(want)
}

// main is what the page has beside the navigation.
func (a answer) main() string {
	_, main, _ := strings.Cut(a.body, "<main")
	return main
}
