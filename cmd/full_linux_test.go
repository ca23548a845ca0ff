package cmd

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What could not be printed is a failure: a secret is shown once, and a script
// that went on would go on without it.
func TestFullOutput(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "user", "create", "ann@example.com", "--no-password")
	full := func(args ...string) {
		t.Helper()
		device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		c := p.command(t.Context(), args...)
		c.Stdout, c.Stderr = device, &stderr
		err = c.Run()
		device.Close()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailure || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("husk %q = %v, and says: %s", args, err, &stderr)
		}
	}
	for _, args := range [][]string{
		{"token", "create"}, {"token", "create", "--json"}, {"token", "list"}, {"token", "list", "--json"},
		{"user", "create", "bob@example.com", "--generate"}, {"user", "create", "carol@example.com", "--generate", "--json"},
		{"user", "show", "ann@example.com"}, {"user", "list"}, {"user", "delete", "ann@example.com", "--json"}, {"role", "list"},
		{"audit", "list"}, {"audit", "head"}, {"audit", "export"}, {"backup", "--output", "-"},
		{"check"}, {"version"}, {"config", "show"}, {"completion", "bash"},
	} {
		full(args...)
	}
	s := p.serve(t)
	full("health")
	s.end()
}
