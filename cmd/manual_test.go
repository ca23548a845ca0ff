package cmd

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"husk/db/dbtest"
)

// update writes the pages that are made from the definitions of the commands:
//
//	go test ./cmd -run Page -update
var update = flag.Bool("update", false, "write the generated pages of docs/ anew")

// newDocumented returns the commands as the pages show them.
func newDocumented() []*cobra.Command {
	return documented((&app{getenv: func(string) string { return "" }}).root())
}

// wantPage compares a file with what it has to be.
func wantPage(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; 'go test ./cmd -run Page -update' writes it anew", name)
	}
}

// TestCommandsPage holds docs/commands.md to the help of every command.
func TestCommandsPage(t *testing.T) {
	var page strings.Builder
	page.WriteString(`# Every command

What ` + "`husk COMMAND --help`" + ` prints, for all of them. The flags of the first one go
with every command. A way through them is in the [README](../README.md), what an
operator does with them in [tasks](tasks).

`)
	page.WriteString(errorsPage)
	page.WriteString(`<!-- made from the commands: go test ./cmd -run Page -update -->
`)
	for _, cmd := range newDocumented() {
		fmt.Fprintf(&page, "\n## %s\n\n```text\n%s\n```\n", cmd.CommandPath(), helpOf(t, cmd))
	}
	wantPage(t, "../docs/commands.md", page.String())
}

// globalFlags is the end of the help of all commands but the first.
var globalFlags = regexp.MustCompile(`(?s)\n*Global Flags:\n.*`)

// errorsPage tells programs how to read errors.
const errorsPage = "An error is told on stderr: what happened and why, and the next step. With `--json`\n" +
	"it is one line of JSON, like the errors of the HTTP API, also where the command\n" +
	"line itself is wrong:\n\n" +
	"```json\n" +
	`{"status":404,"error":{"reason":"there is no user ann@example.com","code":"not_found","next":"see 'husk user list'"},"exit":3}` + "\n" +
	"```\n\n" +
	"`status` is that of the answer, and is left out where no server refused. `code` is a\n" +
	"stable word: that of the answer, else `usage`, `not_found`, `conflict`, `denied`,\n" +
	"`busy`, `invalid`, `attention` or `failure`. `next` is there where it is known, `exit` is\n" +
	"the exit code. What a command tells besides is a line `{\"note\":\"…\"}` or\n" +
	"`{\"warning\":\"…\"}`; `--quiet` leaves those out.\n\n"

func helpOf(t *testing.T, cmd *cobra.Command) string {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	if err := cmd.Help(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(globalFlags.ReplaceAllString(out.String(), ""))
}

// TestReadmeCommands holds the list of commands in the README to those that
// there are.
func TestReadmeCommands(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "## The command line\n")
	list, _, _ = strings.Cut(list, "\n## ")
	told := map[string]bool{}
	for _, line := range strings.Split(list, "\n") {
		names, ok := strings.CutPrefix(line, "    husk ")
		if !ok {
			continue
		}
		names, _, _ = strings.Cut(names, "  ")
		for name := range strings.SplitSeq(names, ", ") {
			words := strings.Fields(name)
			told["husk "+words[0]] = true
			if len(words) > 1 && strings.ToLower(words[1]) == words[1] {
				for verb := range strings.SplitSeq(words[1], "|") {
					told["husk "+words[0]+" "+verb] = true
				}
			}
		}
	}
	for _, cmd := range newDocumented()[1:] {
		path := cmd.CommandPath()
		if !told[path] && cmd.Parent().Name() != "completion" {
			t.Errorf("the README does not list %s", path)
		}
		delete(told, path)
	}
	for path := range told {
		t.Errorf("the README lists %s, which is no command", path)
	}
}

// TestManual writes the manual: a page for each command, the same ones every
// time, which man can show.
func TestManual(t *testing.T) {
	dbtest.NoRace(t, "text that one goroutine makes")
	t.Parallel()
	pages := writeManual(t, "")
	if !maps.Equal(pages, writeManual(t, "")) {
		t.Errorf("a second run wrote other pages")
	}
	for _, cmd := range newDocumented() {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		if text := pages[name]; !strings.Contains(text, cmd.Name()) || !strings.Contains(text, ".SH SYNOPSIS") {
			t.Errorf("%s is no page: %q", name, text)
		}
	}
	if today := time.Now().Format(time.DateOnly); strings.Contains(pages["husk.1"], today) || !strings.Contains(pages["husk.1"], `.TH "HUSK" "1" ""`) {
		t.Errorf("husk.1 has a date: %.100q", pages["husk.1"])
	}
	if got := writeManual(t, "1735689600")["husk.1"]; !strings.Contains(got, `.TH "HUSK" "1" "2025-01-01"`) {
		t.Errorf("husk.1 does not have the date that it was given: %.100q", got)
	}
	wantRendered(t, pages)
}

// writeManual returns the pages that husk man writes, by name.
func writeManual(t *testing.T, epoch string) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "man1")
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(name string) string {
		return map[string]string{"SOURCE_DATE_EPOCH": epoch}[name]
	}}
	if code := a.run(t.Context(), []string{"man", dir}); code != exitDone {
		t.Fatalf("husk man ended with %d: %s", code, &stderr)
	}
	pages := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(name)] = string(text)
	}
	return pages
}

// wantRendered lets man, where there is one, show the pages in which the most
// can go wrong.
func wantRendered(t *testing.T, pages map[string]string) {
	t.Helper()
	man, err := exec.LookPath("man")
	if err != nil {
		t.Log("there is no man here to show the pages")
		return
	}
	dir := t.TempDir()
	names := []string{"husk.1", "husk-config.1", "husk-role-set.1", "husk-user-import.1"}
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
		writeFile(t, dir, name, pages[name])
	}
	cmd := exec.Command(man, append([]string{"--warnings=w", "--pager=cat", "-l"}, names...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100", "MAN_KEEP_FORMATTING=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("man: %v: %s", err, &stderr)
	}
	shown := strings.Join(strings.Fields(stdout.String()), " ")
	for _, want := range []string{
		`{"email":"ann@example.com","name":"Ann","roles":["user"],"password_hash":"$2y$…","disabled":false}`,
		"HUSK_LOG_LEVEL", "husk role set wiki-editor --permission wiki#page/edit", "8 attention: what was looked for was found",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("man does not show %q", want)
		}
	}
}
