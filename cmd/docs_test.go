package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDocs runs the pages that tell an operator what to type. In a block
// marked console, a line that begins with "$ " is a command (and goes on after
// a backslash), and what follows is what it prints, up to what differs from
// run to run. All blocks of a page are one shell on an empty machine: its own
// home, its own data folder, and a port of its own in the place of 9000.
func TestDocs(t *testing.T) {
	pages := []string{"../README.md"}
	more, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	bin := buildHusk(t)
	for _, page := range append(append(pages, more...), tasks...) {
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if steps := readSteps(string(text)); len(steps) > 0 {
				runSteps(t, bin, steps)
			}
		})
	}
}

// step is a command of a page and what the page says that it prints.
type step struct {
	line    int
	command string
	prints  string
}

func readSteps(page string) (steps []step) {
	inside := false
	for i, line := range strings.Split(page, "\n") {
		last := len(steps) - 1
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{line: i + 1, command: line[2:]})
		case strings.HasPrefix(line, "> ") && last >= 0:
			steps[last].command += "\n" + line[2:]
		case last >= 0:
			steps[last].prints += line + "\n"
		}
	}
	return steps
}

// buildHusk builds the program, once for all pages, and returns its folder.
func buildHusk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "husk"), "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func runSteps(t *testing.T, bin string, steps []step) {
	t.Helper()
	port := freePort(t)
	home := t.TempDir()
	var script strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&script, "printf '\\n@@%d@@\\n'\n%s\n", i, strings.ReplaceAll(s.command, "localhost:9000", "localhost:"+port))
	}
	// What the page leaves running ends with its shell.
	script.WriteString("printf '\\n@@end@@\\n'; kill $(jobs -p) 2>/dev/null; wait\n")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8",
		"HUSK_DATA=" + filepath.Join(home, "data"), "HUSK_ADDR=127.0.0.1:" + port}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && ctx.Err() != nil {
		t.Fatalf("the page did not come to its end: %v\n%s", err, out.String())
	}
	compareSteps(t, steps, strings.ReplaceAll(strings.ReplaceAll(out.String(), port, "9000"), home, "/home/you"))
}

func compareSteps(t *testing.T, steps []step, out string) {
	for i, s := range steps {
		_, rest, ok := strings.Cut(out, fmt.Sprintf("\n@@%d@@\n", i))
		if !ok {
			t.Fatalf("line %d was not reached: %s", s.line, s.command)
		}
		printed, _, _ := strings.Cut(rest, "\n@@")
		if got, want := normal(printed), normal(s.prints); got != want {
			t.Errorf("line %d: $ %s\nprints:\n%s\nthe page says:\n%s", s.line, s.command, got, want)
		}
	}
}

// varying is what differs from run to run, and what stands for it.
var varying = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+|eyJ…`), "JWT"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(_[0-9A-Za-z]{49})?`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b\d{8}T\d{6}Z\b`), "TIME"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "DATE"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HASH"},
	{regexp.MustCompile(`\b[0-9a-f]{12}-[0-9a-z]+\b`), "REQUEST"},
	{regexp.MustCompile(`\b\d+ (s|min|h|d) ago\b`), "AGO"},
	{regexp.MustCompile(`\b[0-9a-z]{5}(-[0-9a-z]{5}){4}\b`), "PASSWORD"},
	{regexp.MustCompile(`"(expire_in|took|uptime)":\d+`), `"$1":N`},
	{regexp.MustCompile(`\b[0-9a-f]{8}\*\*\*`), "MASKED"},
	{regexp.MustCompile(`\b\d+ bytes`), "N bytes"},
	{regexp.MustCompile(`\bhas \d+\.`), "has N."},
	{regexp.MustCompile(`"(size|free)": \d+`), `"$1": N`},
	{regexp.MustCompile(`\buid \d+\b`), "uid N"},
	{regexp.MustCompile(`\b(records:) +\d+`), "$1 N"}, // how many is the store's own affair
	{regexp.MustCompile(`\bcurl/[0-9.]+`), "curl/N"},
	{regexp.MustCompile(`husk \d+\.\d+\.\d+\S* \(.*\)`), "husk VERSION"},
	{regexp.MustCompile(`\d+\.\d+\.\d+(-dev)?`), "VERSION"},
	{regexp.MustCompile(` +`), " "}, // columns are as wide as what stands in them
	{regexp.MustCompile(`(?m) $`), ""},
}

func normal(s string) string {
	for _, v := range varying {
		s = v.pattern.ReplaceAllString(s, v.stands)
	}
	return strings.Trim(s, "\n")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
