package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Root, who may replace what is another user's, takes no file away from the
// service that reads it: the secret that was in it would have ended.
func TestRootTakesNoFileAway(t *testing.T) {
	t.Parallel()
	needRoot(t)
	p := program{data: newData(t)}
	file := filepath.Join(t.TempDir(), "service.token")
	p.ok(t, "token", "create", "--name", "service", "--output", file)
	if err := os.Chown(file, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(file)
	for _, args := range [][]string{{"token", "rotate", "service"}, {"token", "create", "--name", "another"}} {
		r := p.want(t, exitConflict, append(args, "--output", file, "--force")...)
		if !strings.Contains(r.stderr, "belongs to another user") {
			t.Errorf("%v", r)
		}
	}
	if after, _ := os.ReadFile(file); string(after) != string(before) {
		t.Error("the file is another one")
	}
	p.ok(t, "token", "check", file)
	if names := p.tokenNames(t); names["another"] {
		t.Error("a token was made")
	}
}
