//go:build unix

package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

const docFolder = "../docs"

// settingsTable is the table of docs/configuration.md.
func settingsTable() string {
	var b strings.Builder
	table := func(title string, add func(*pflag.FlagSet)) {
		f := pflag.NewFlagSet(title, pflag.ContinueOnError)
		add(f)
		fmt.Fprintf(&b, "\n%s\n\n| flag | variable | key | default | meaning |\n|---|---|---|---|---|\n", title)
		f.VisitAll(func(f *pflag.Flag) {
			key, def := "`"+f.Name+"`", "`"+f.DefValue+"`"
			switch {
			case f.Name == "config":
				key, def = "-", "none"
			case f.Name == "data":
				def = "`/var/lib/husk` for root, else `~/.local/share/husk`"
			case f.DefValue == "":
				def = "none"
			}
			fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", f.Name, envName(f.Name), key, def, f.Usage)
		})
	}
	table("Of every command:", addGlobalFlags)
	table("Of the server; other commands know them too:", addServeFlags)
	return b.String() + "\n"
}

// TestConfigurationPage: the page says what the definitions say.
func TestConfigurationPage(t *testing.T) {
	path := filepath.Join(docFolder, "configuration.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "writes it anew -->\n")
	table, after, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("the page has no place for the table")
	}
	if table == settingsTable() {
		return
	}
	if !*update {
		t.Fatalf("the table of settings is not up to date:\n%s", settingsTable())
	}
	page := before + "writes it anew -->\n" + settingsTable() + "<!-- end -->" + after
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

var codeBlock = regexp.MustCompile("(?ms)^```(sh|yaml|ini)\n(.*?)^```$")

// blocks are the code blocks of a page in one language.
func blocks(t testing.TB, page, language string) (texts []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docFolder, page))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			texts = append(texts, m[2])
		}
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no %s", page, language)
	}
	return texts
}

// TestCommandsOfThePages runs every command of the pages that change a machine,
// below a folder that stands for /. What needs systemd itself is a stub that
// looks at how it was called.
func TestCommandsOfThePages(t *testing.T) {
	for _, page := range []string{"service.md", "proxy.md", "gate.md"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			p := newPageRun(t)
			if page != "service.md" {
				writeFile(t, filepath.Join(p.root, "etc/husk"), "husk.yaml", blocks(t, page, "yaml")[0])
			}
			for _, block := range blocks(t, page, "sh") {
				if strings.Contains(block, "husk serve") {
					for line := range strings.Lines(block) {
						p.serve(strings.TrimSpace(line))
					}
				} else {
					p.sh(block)
				}
			}
		})
	}
}

type pageRun struct {
	t        testing.TB
	dir      string // where commands run
	root     string // what stands for /
	env      []string
	programs string
}

func newPageRun(t testing.TB) *pageRun {
	dir := t.TempDir()
	p := &pageRun{t: t, dir: dir, root: filepath.Join(dir, "root"), programs: filepath.Join(dir, "bin")}
	program, err := os.Executable()
	if err == nil {
		err = os.Mkdir(p.programs, 0o700)
	}
	for _, folder := range []string{"usr/bin", "etc/systemd/system", "etc/husk", "etc/nginx/conf.d", "etc/caddy", "etc/haproxy", "etc/traefik", "etc/envoy"} {
		if err == nil {
			err = os.MkdirAll(filepath.Join(p.root, folder), 0o755)
		}
	}
	units, e := filepath.Abs("../dist")
	if err == nil && e == nil {
		err = os.Symlink(units, filepath.Join(dir, "dist"))
	}
	if err != nil || e != nil {
		t.Fatal(err, e)
	}
	p.env = []string{asDaemon + "=1", "GORACE=atexit_sleep_ms=0", "HUSK_DATA=" + filepath.Join(dir, "data"), "HUSK_ADDR=127.0.0.1:0",
		"PATH=" + p.programs + ":" + os.Getenv("PATH"), "RENEWED_LINEAGE=" + dir}
	// Without a terminal a password comes from a pipe; a proxy is told of a port.
	p.program("husk", `if [ "$1" = proxy ]; then export HUSK_ADDR=127.0.0.1:9000; fi
if [ "$*" = passwd ]; then echo "seven crates of apricots" | exec `+program+` passwd --password-stdin; else exec `+program+` "$@"; fi`)
	p.program("systemctl", `case "$1" in daemon-reload|enable|restart|reload) ;; *) exit 1;; esac`)
	p.program("systemd-sysusers", `test $# = 0`)
	p.program("systemd-tmpfiles", `test "$*" = "--create husk.conf"`)
	// TestBehindAProxy and TestGateBehindAProxy have the real ones look at the same files.
	p.program("nginx", `test "$*" = -t`)
	p.program("caddy", `test "$1 $2" = "validate --config" && test -s "$3"`)
	p.program("haproxy", `test "$1 $2" = "-c -f" && test -s "$3" && test -s "${3%.cfg}.lua"`)
	good := goodPair(t, "first")
	writeFile(t, dir, "husk", "the new one")
	writeFile(t, dir, "fullchain.pem", string(good.cert))
	writeFile(t, dir, "privkey.pem", string(good.key))
	return p
}

func (p *pageRun) program(name, script string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.programs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		p.t.Fatal(err)
	}
}

// sh runs a block as a script that ends at the first failure.
func (p *pageRun) sh(block string) {
	p.t.Helper()
	here := regexp.MustCompile(`(^|\s)/(usr|etc)/`).ReplaceAllString(block, "${1}"+p.root+"/$2/")
	here = strings.ReplaceAll(here, " -g husk ", " ") // the group need not be there
	c := exec.Command("sh", "-euc", here)
	c.Dir, c.Env = p.dir, p.env
	if out, err := c.CombinedOutput(); err != nil {
		p.t.Errorf("%v\n%s\n%s", err, block, out)
	}
}

// serve runs a line that starts a server, until it serves.
func (p *pageRun) serve(line string) {
	p.t.Helper()
	words := strings.Fields(line)
	env := append([]string{}, p.env...)
	for words[0] != "husk" {
		env, words = append(env, words[0]), words[1:]
	}
	for i, w := range words {
		if _, err := os.Stat(filepath.Join(p.dir, w)); err == nil && i > 0 {
			words[i] = filepath.Join(p.dir, w)
		}
	}
	d := program{data: filepath.Join(p.dir, "data"), env: env}.spawn(p.t, words[1:]...)
	d.ready()
	d.end()
}

// TestDropInsOfThePages: systemd understands them.
func TestDropInsOfThePages(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range blocks(t, "service.md", "ini") {
		unit := "husk.service"
		if strings.HasPrefix(text, "[Socket]") {
			unit = "husk.socket"
		}
		dir := t.TempDir()
		writeFile(t, dir, "husk.service", strings.ReplaceAll(unitText(t, "husk.service"), "/usr/bin/husk", program))
		writeFile(t, dir, "husk.socket", unitText(t, "husk.socket"))
		if err := os.Mkdir(filepath.Join(dir, unit+".d"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, unit+".d"), "override.conf", text)
		t.Setenv("SYSTEMD_UNIT_PATH", dir+":") // the colon: and the usual ones
		systemdTool(t, "systemd-analyze", "verify", "--man=no", filepath.Join(dir, "husk.service"), filepath.Join(dir, "husk.socket"))
	}
}

// TestPageTellsTheBounds: the numbers of the page are those of the program.
func TestPageTellsTheBounds(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(docFolder, "service.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("for at most %d seconds", int(handoverPatience.Seconds())),
		fmt.Sprintf("(%d where it listens on `addr` itself)", int(lockWait.Seconds())),
		fmt.Sprintf("looked at every %d seconds", int(certificateCheck.Seconds())),
		fmt.Sprintf("try for %d seconds", int(lockWait.Seconds())),
		"answers no read for 30 seconds",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}
