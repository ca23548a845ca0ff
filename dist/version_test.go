//go:build ship

package dist

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// program is the one of a release that runs here.
func program(t testing.TB) string {
	t.Helper()
	return filepath.Join(released(t), "husk-v"+next(t)+"-"+runtime.GOOS+"-"+runtime.GOARCH)
}

// TestProgramTellsItsOrigin: a program of a release knows its commit and its date,
// though it was built without a repository, and the sum of each module in it,
// though it was built from vendor/.
func TestProgramTellsItsOrigin(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(program(t), "version", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Version, Commit, Date, Platform, Level string
		Modified                               bool
		Modules                                []struct{ Path, Version, Sum string }
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	if v.Version != next(t) || !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(v.Commit) || v.Modified ||
		!regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(v.Date) || v.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%s", out)
	}
	if len(v.Modules) < 10 {
		t.Errorf("it knows of %d modules", len(v.Modules))
	}
	for _, m := range v.Modules {
		if !strings.HasPrefix(m.Sum, "h1:") || m.Version == "" {
			t.Errorf("%s %s has the sum %q", m.Path, m.Version, m.Sum)
		}
	}
}

// TestProgramKnowsItself: it finds itself in a list of sha256sum, and one with a
// byte more does not.
func TestProgramKnowsItself(t *testing.T) {
	t.Parallel()
	sha256sum := need(t, "sha256sum", "coreutils")
	cmd := exec.Command(sha256sum, filepath.Base(program(t)))
	cmd.Dir = filepath.Dir(program(t))
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	verify := func(program string) (string, int) {
		cmd := exec.Command(program, "version", "--verify", "-")
		cmd.Stdin = bytes.NewReader(list)
		said, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(said), cmd.ProcessState.ExitCode()
	}
	if said, code := verify(program(t)); code != 0 || !strings.Contains(said, "line 1: "+filepath.Base(program(t))) {
		t.Errorf("%d: %s", code, said)
	}
	other := filepath.Join(t.TempDir(), "husk")
	// By another process: a descriptor for writing that a fork takes along would keep
	// it from being started.
	if err := exec.Command("sh", "-c", `cp "$1" "$2" && echo >>"$2"`, "sh", program(t), other).Run(); err != nil {
		t.Fatal(err)
	}
	if said, code := verify(other); code != 7 || !strings.Contains(said, "in line 1, "+filepath.Base(program(t))) {
		t.Errorf("%d: %s", code, said)
	}
}
