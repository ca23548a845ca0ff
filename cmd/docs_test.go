//go:build unix

package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
)

// TestDocs runs the pages that tell an operator what to type. In a block
// marked console, a line that begins with "$ " is a command (and goes on after
// a backslash), and what follows is what it prints, up to what differs from
// run to run. All blocks of a page are one shell, in an empty folder of its
// own, that knows nothing of other pages; only the ports of this machine are
// others. A page makes its own data folder, as its reader does, and leaves nothing
// running: else the next page would meet it. A block that starts a proxy is left out
// where there is none, and a page with codes of a phone where there is no oathtool,
// which makes them.
func TestDocs(t *testing.T) {
	t.Parallel()
	pages := []string{"../README.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	keygen := sync.OnceValue(func() string { return buildKeygen(t) })
	for _, page := range pages {
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			if page != pages[0] {
				dbtest.NoRace(t, "commands as those of the scripts, one after the other")
			}
			t.Parallel()
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			steps := withoutProxies(t, readSteps(string(text)))
			if len(steps) == 0 {
				return
			}
			if _, err := exec.LookPath("oathtool"); err != nil && slices.ContainsFunc(steps, step.takesCodes) {
				prerequisite(t, err.Error())
			}
			path := os.Getenv("PATH") // the first husk of it is this binary
			if strings.Contains(string(text), "$ husk-"+releaseBefore+" ") {
				path = beforeFolder(t) + ":" + path
			}
			if strings.Contains(string(text), "$ age-keygen") {
				path = keygen() + ":" + path
			}
			runSteps(t, path, steps)
		})
	}
}

// step is a command of a page and what the page says that it prints.
type step struct {
	line    int
	block   int // which one of the page it is in
	command string
	prints  string
}

// takesCodes tells whether a command makes codes as a phone does.
func (s step) takesCodes() bool { return strings.Contains(s.command, "oathtool ") }

func readSteps(page string) (steps []step) {
	inside, block := false, 0
	for i, line := range strings.Split(page, "\n") {
		last := len(steps) - 1
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
			block++
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{line: i + 1, block: block, command: line[2:]})
		case strings.HasPrefix(line, "> ") && last >= 0:
			steps[last].command += "\n" + line[2:]
		case last >= 0:
			steps[last].prints += line + "\n"
		}
	}
	return steps
}

// startsProxy finds the proxy that a command starts.
var startsProxy = regexp.MustCompile(`^(nginx|caddy|haproxy) .*&$`)

// withoutProxies leaves out the blocks whose proxy can't be started here, and says so.
func withoutProxies(t *testing.T, steps []step) []step {
	t.Helper()
	out := map[int]bool{}
	for _, s := range steps {
		m := startsProxy.FindStringSubmatch(s.command)
		if m == nil {
			continue
		}
		_, err := exec.LookPath(m[1])
		switch {
		case err == nil && m[1] == "nginx" && os.Geteuid() != 0:
			err = errors.New("the nginx of a package wants to be started by root")
		case err == nil && testing.Short():
			err = errors.New("left out by -short: a real proxy")
		}
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		if err != nil {
			t.Logf("the block around line %d is left out: %v", s.line, err)
			out[s.block] = true
		}
	}
	return slices.DeleteFunc(steps, func(s step) bool { return out[s.block] })
}

// buildKeygen builds the one program of the pages that no Debian has by
// itself, of the module that husk is linked with, and returns its folder.
func buildKeygen(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "filippo.io/age/cmd/age-keygen").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return dir
}

func runSteps(t *testing.T, path string, steps []step) {
	t.Helper()
	if !strings.Contains(steps[0].command, "export HUSK_DATA=") {
		t.Fatalf("line %d: the page would work on the data of this machine: %s", steps[0].line, steps[0].command)
	}
	home, here := t.TempDir(), t.TempDir()
	ports := portsOf(t, steps)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", pageScript(steps, ports))
	cmd.Dir = here
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{"PATH=" + path, "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8", "HUSK_ADDR=127.0.0.1:" + ports["9000"]}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && ctx.Err() != nil {
		t.Fatalf("the page did not come to its end: %v\n%s", err, out.String())
	}
	text := strings.ReplaceAll(out.String(), here, "/home/you")
	for told, port := range ports {
		text = strings.ReplaceAll(text, port, told)
	}
	compareSteps(t, steps, text)
}

// localPort is an address of this machine, as a page has it.
var localPort = regexp.MustCompile(`\b(localhost|127\.0\.0\.1):(\d{4})\b`)

// portsOf are the ports that stand for those that a page names.
func portsOf(t *testing.T, steps []step) map[string]string {
	t.Helper()
	ports := map[string]string{}
	add := func(told string) {
		if ports[told] == "" {
			ports[told] = freePort(t)
		}
	}
	add("9000")
	for _, s := range steps {
		for _, m := range localPort.FindAllStringSubmatch(s.command, -1) {
			add(m[2])
		}
	}
	return ports
}

// pageScript is all that a page has typed. What the page leaves running is
// told at its end.
func pageScript(steps []step, ports map[string]string) string {
	var script strings.Builder
	for i, s := range steps {
		command := localPort.ReplaceAllStringFunc(s.command, func(addr string) string {
			host, port, _ := strings.Cut(addr, ":")
			return host + ":" + ports[port]
		})
		fmt.Fprintf(&script, "printf '\\n@@%d@@\\n'\n%s\n", i, command)
	}
	script.WriteString("printf '\\n@@end@@\\n'; jobs -r; kill $(jobs -p) 2>/dev/null; wait\n")
	return script.String()
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
	if _, left, _ := strings.Cut(out, "\n@@end@@\n"); left != "" {
		t.Errorf("the page leaves running, for the next one to meet:\n%s", left)
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
	{regexp.MustCompile(`\b\d(-[0-9a-z]{4}){4}\b`), "RECOVERY"},
	{regexp.MustCompile(`\b[A-Z2-7]{32}\b`), "SECRET"},
	{regexp.MustCompile(`"ticket":"[^"]*"`), `"ticket":"TICKET"`},
	{regexp.MustCompile(`"(expire_in|took|uptime)":\d+`), `"$1":N`},
	{regexp.MustCompile(`\b[0-9a-f]{8}\*\*\*`), "MASKED"},
	{regexp.MustCompile(`\b\d+ bytes`), "N bytes"},
	{regexp.MustCompile(`\b\d+\.\d [kM]B`), "SIZE"},
	{regexp.MustCompile(`\bhas \d+\.`), "has N."},
	{regexp.MustCompile(`"(size|free)": \d+`), `"$1": N`},
	{regexp.MustCompile(`\buid \d+\b`), "uid N"},
	{regexp.MustCompile(`\bage1[0-9a-z]+`), "RECIPIENT"},
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

// asListed makes the go of a shell list what it would compile, with the
// identity of each package's build, instead of compiling it. What is for the
// linker alone is left out.
const asListed = `go() {
  shift
  flags=()
  while [ $# -gt 0 ]; do
    case $1 in
    -o | -ldflags) shift ;;
    -*) flags+=("$1") ;;
    esac
    shift
  done
  command go list -export -deps -f '{{.ImportPath}} {{.BuildID}}' "${flags[@]}" .
}
`

// TestTheReadmeCompilesOnce: what its first go build needs is what its go run
// has compiled. With other flags that affect a compilation a newcomer would
// wait for it twice.
func TestTheReadmeCompilesOnce(t *testing.T) {
	dbtest.NoRace(t, "builds of the program, which has no detector")
	dbtest.TakesVeryLong(t, "the builds of the README")
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	compiled := func(verb string) string {
		line := regexp.MustCompile(`(?m)^([A-Z_]+=\S+ )*go ` + verb + ` .*$`).FindString(string(text))
		if line == "" {
			t.Fatalf("the README has no go %s", verb)
		}
		cmd := exec.Command("bash", "-c", asListed+line)
		cmd.Dir = ".."
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), "\nhusk ") {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	if compiled("run") != compiled("build") {
		t.Error("go build of the README compiles anew what go run has compiled: their flags differ")
	}
}
