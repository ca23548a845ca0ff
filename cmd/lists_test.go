//go:build unix

package cmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"husk/db/dbtest"
)

// TestListsPageThroughEverything: a list of the command line is the whole one,
// over every transport, also where it takes several of the server's pages.
func TestListsPageThroughEverything(t *testing.T) {
	dbtest.NoRace(t, "one command after another")
	const n = 2100 // two full pages and a bit
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	env := []string{"HUSK_DATA=" + data}
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"email":"user%04d@example.com"}`+"\n", i)
	}
	if r := runHere(t, env, lines.String(), "user", "import", "--ndjson", "-"); r.code != exitDone {
		t.Fatal(r.errors)
	}
	token := runHere(t, env, "", "token", "create", "--quiet")
	if token.code != exitDone {
		t.Fatal(token.errors)
	}
	wantAll := func(transport string, env ...string) {
		t.Helper()
		r := runHere(t, env, "", "user", "list", "--json")
		var users []struct{ Email string }
		if err := json.Unmarshal([]byte(r.out), &users); err != nil {
			t.Fatalf("%s: %v: %s", transport, err, r.errors)
		}
		seen := map[string]bool{}
		for _, u := range users {
			seen[u.Email] = true
		}
		if len(users) != n+1 || len(seen) != n+1 { // with the single user
			t.Errorf("%s: %d users are listed, %d different ones, of %d", transport, len(users), len(seen), n+1)
		}
		if r := runHere(t, env, "", "user", "list"); strings.Count(r.out, "\n") != n+2 {
			t.Errorf("%s: the table has %d lines", transport, strings.Count(r.out, "\n"))
		}
	}
	wantAll("offline", env...)
	d := program{data: data}.start(t)
	d.ready()
	server := "HUSK_SERVER=" + d.url()
	wantAll("socket", env...)
	wantAll("remote", server, "HUSK_DATA="+filepath.Join(dir, "none"), "HUSK_TOKEN_FILE="+writeFile(t, dir, "token", token.out))
	d.end()
}
