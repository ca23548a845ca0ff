package cmd

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program whose file was replaced or removed since it was started looks at itself,
// and says that its file is another one.
func TestVersionVerifyReplaced(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	_, list := listOf(t, "husk")
	for name, replace := range map[string]func(path string) error{
		"replaced": func(path string) error {
			return os.Rename(writeFile(t, filepath.Dir(path), "other", "#!/bin/sh\n"), path)
		},
		"removed": os.Remove,
	} {
		path := filepath.Join(t.TempDir(), "husk") // the name makes the tests' program husk
		// By another process: a descriptor for writing that a fork takes along would
		// keep it from being started.
		must(t, exec.Command("cp", self, path).Run())
		cmd := program{data: t.TempDir()}.command(t.Context(), "version", "--verify", "-")
		cmd.Path, cmd.Args[0], cmd.Stdin = path, path, nil
		stdin, err := cmd.StdinPipe()
		must(t, err)
		var out, said strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &said
		must(t, cmd.Start())
		must(t, replace(path))
		_, err = io.WriteString(stdin, list)
		must(t, err)
		must(t, stdin.Close())
		if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "line 2: husk") || !strings.Contains(said.String(), path+" is another file now") {
			t.Errorf("%s: %v, %s%s", name, err, &out, &said)
		}
	}
}
