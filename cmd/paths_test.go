//go:build unix

package cmd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// badPaths are paths that something in between should have made others of, and
// what is said of them.
var badPaths = map[string]string{
	`"/data"`:           "a quotation mark",
	`'/data'`:           "a quotation mark",
	`/data"`:            "a quotation mark",
	"\u201c/data\u201d": "a quotation mark",
	"`pwd`":             "a quotation mark",
	"~":                 "make a home folder of ~",
	"~/data":            "make a home folder of ~",
	"~ada/data":         "make a home folder of ~",
	"$HOME/data":        "what $ stands for",
	"/data\r":           "a carriage return",
	"/da\rta":           "a control character",
	"/data\n":           "a control character",
	"/da\x1b[2Jta":      "a control character",
	" /data":            "begins or ends with a space",
	"/data ":            "begins or ends with a space",
	"\ufeff/data":       "begins or ends with a space",
	"file:///data":      "not a URL",
}

func TestIsPath(t *testing.T) {
	t.Parallel()
	for text, want := range badPaths {
		if err := isPath(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "data") {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
	for _, text := range []string{"", "-", "/data", "data", "./~", "./$HOME", `/a"b/c`, "/my data/x", "/it's", "/data~", `C:\data`, "C:/data", "/größe", "/a//b", "./file:x"} {
		if err := isPath(text); err != nil {
			t.Errorf("%q is refused: %v", text, err)
		}
	}
}

// namesFile tells whether a flag is about a file, a folder or a program, as its
// help says.
func namesFile(f *pflag.Flag) bool {
	usage := strings.ToLower(f.Usage)
	for _, word := range []string{"file", "folder", "program "} {
		if strings.Contains(usage, word) && f.Value.Type() == "string" && f.Name != "server" {
			return true
		}
	}
	return false
}

// Every flag and argument that names a file is held to it, wherever it is
// defined.
func TestEveryPathIsAPath(t *testing.T) {
	t.Parallel()
	flags, arguments := map[string]bool{}, 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		check := func(f *pflag.Flag) {
			if !namesFile(f) {
				return
			}
			flags[f.Name] = true
			for text, want := range badPaths {
				if err := f.Value.Set(text); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s --%s takes %q: %v", c.CommandPath(), f.Name, text, err)
				}
			}
		}
		c.LocalFlags().VisitAll(check)
		c.PersistentFlags().VisitAll(check)
		if strings.Contains(c.Use, "FILE") || strings.Contains(c.Use, "DIR") {
			if err := c.ValidateArgs([]string{"~/x"}); strings.Contains(c.Use, "--") == (err != nil && exitCode(err) == exitUsage && strings.Contains(err.Error(), "home folder")) {
				t.Errorf("%s takes ~/x: %v", c.Use, err)
			}
			arguments++
		}
	}
	walk((&app{getenv: func(string) string { return "" }}).root())
	for _, name := range []string{"data", "config", "token-file", "tls-cert", "tls-key", "backup-dir", "notify-command", "output", "recipients-file", "identity-file", "htpasswd", "ndjson"} {
		if !flags[name] {
			t.Errorf("--%s was not looked at", name)
		}
	}
	if arguments < 4 {
		t.Errorf("%d commands with a file were looked at", arguments)
	}
}

// The doors of a setting are a flag, a variable and a file, and what is refused
// leaves nothing behind.
func TestBadPathsAtEveryDoor(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct{ env, args []string }{
		{[]string{`HUSK_DATA="/data"`}, nil},
		{[]string{"HUSK_DATA=data\r"}, nil},
		{nil, []string{"--data", "~/data"}},
		{nil, []string{"--config", writeFile(t, dir, "husk.yaml", "data: ~/data\n")}},
		{[]string{"HUSK_CONFIG='husk.yaml'"}, nil},
		{[]string{"HUSK_TOKEN_FILE=~/t"}, nil},
	} {
		for _, command := range [][]string{{"token", "create"}, {"passwd"}, {"serve", "--addr", "127.0.0.1:0"}, {"config", "show"}, {"config", "check", "husk.yaml"}} {
			want := exitUsage
			if len(command) == 3 && command[0] == "config" && command[1] == "check" && len(c.args) > 0 && c.args[0] == "--config" {
				want = exitInvalid // of the file that is checked
			}
			run := func(env []string, args ...string) ran { return runHere(t, env, "", args...) }
			if command[0] == "serve" {
				run = runUntilServing
			}
			if r := run(c.env, append(command, c.args...)...); r.code != want {
				t.Errorf("%q %q: want %d, got %d: %s", c.env, append(command, c.args...), want, r.code, r.errors)
			}
		}
	}
	if made, _ := filepath.Glob("*"); len(made) != 1 {
		t.Errorf("there is %q", made)
	}
	if r := runHere(t, []string{"HUSK_DATA=./~"}, "", "token", "create"); r.code != exitDone {
		t.Errorf("a folder ./~: %s", r.errors)
	}
	if r := runHere(t, []string{"HOME=/x\r", "HUSK_DATA=relative"}, "", "token", "create"); r.code != exitDone {
		t.Errorf("a relative folder: %s", r.errors)
	}
	if made, _ := filepath.Glob("*/husk.db"); len(made) != 2 {
		t.Errorf("there is %q", made)
	}
}
