//go:build unix

package cmd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// badSettings are sets of settings, of which serve takes none: for each setting
// one of a wrong form, and those whose form is right.
func badSettings(t *testing.T) (all []map[string]string) {
	t.Helper()
	allSettings().VisitAll(func(f *pflag.Flag) {
		bad := "\u2026"
		switch f.Value.(type) {
		case *pathValue, *pathList:
			bad = "~/x"
		}
		if f.Name != "config" { // which has no place in a file
			all = append(all, map[string]string{f.Name: bad})
		}
	})
	dir := t.TempDir()
	plain := writeFile(t, dir, "plain", "")
	expired := newPairFiles(t, newPair(t, "old", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)))
	const recipient = "age1feqnwcljfk6lcxhaxl7hgp8ud5xwedks42rwctjlp5xpe8tgtsrqq5rp95"
	return append(all,
		map[string]string{"tls-cert": expired.cert},
		map[string]string{"tls-key": expired.key},
		map[string]string{"tls-cert": expired.cert, "tls-key": expired.key},
		map[string]string{"tls-cert": plain, "tls-key": plain},
		map[string]string{"tls-cert": plain + ".absent", "tls-key": plain},
		map[string]string{"notify-command": plain},
		map[string]string{"notify-command": plain + ".absent"},
		map[string]string{"notify-command": dir},
		map[string]string{"notify-command": "/bin/true --with arguments"},
		map[string]string{"backup-dir": plain},
		map[string]string{"backup-dir": plain + ".absent"},
		map[string]string{"backup-dir": dir, "backup-every": "59s"},
		map[string]string{"backup-recipient": recipient},
		map[string]string{"metrics-addr": "127.0.0.1:9", "addr": "127.0.0.1:9"},
		map[string]string{"addr": "\"127.0.0.1:9000\""},
		map[string]string{"addr": "http://127.0.0.1:9000"},
		map[string]string{"metrics-addr": "*:9100"},
		map[string]string{"data": plain},
		map[string]string{"data": filepath.Join(plain, "in", "it")},
	)
}

func yamlOf(settings map[string]string) string {
	text := ""
	for name, value := range settings {
		text += fmt.Sprintf("%s: '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	return text
}

// judgedByServe starts a server that ends at once where it would start.
func judgedByServe(env []string) ran { return runUntilServing(env, "serve") }

// runUntilServing runs a command that has been told to stop.
func runUntilServing(env []string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	stop()
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: lookIn(env)}
	return ran{a.run(ctx, args), stdout.String(), stderr.String()}
}

// firstFault is what a command says is wrong, without how the setting came.
func firstFault(r ran) string {
	for line := range strings.Lines(r.errors) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "husk: "); ok {
			if name, rest, cut := strings.Cut(text, ": "); cut && strings.HasPrefix(name, envPrefix) {
				return rest
			}
			return text
		}
	}
	return ""
}

// TestOneJudgement: what serve refuses, 'config show' shows with the same fault
// and the same exit code, 'config check' names, and a reload leaves alone; and
// what it takes, they take.
func TestOneJudgement(t *testing.T) {
	dir := t.TempDir()
	home := []string{"HUSK_DATA=" + filepath.Join(dir, "data")}
	config := writeFile(t, dir, "husk.yaml", "addr: 127.0.0.1:0\n")
	d := program{data: filepath.Join(dir, "running"), env: []string{"HUSK_CONFIG=" + config}}.spawn(t, "serve")
	d.ready()
	refused := 0
	for _, settings := range badSettings(t) {
		env := append([]string{"HUSK_ADDR=127.0.0.1:0"}, home...)
		for name, value := range settings {
			env = append(env, envName(name)+"="+value)
		}
		serve, show := judgedByServe(env), runHere(t, env, "", "config", "show")
		fault := firstFault(serve)
		if serve.code == exitDone || fault == "" || show.code != serve.code || firstFault(show) != fault {
			t.Errorf("%v: serve ends with %d, %s config show with %d, %s", settings, serve.code, serve.errors, show.code, show.errors)
		}
		file := writeFile(t, dir, "bad.yaml", yamlOf(settings))
		given := home
		if settings["data"] != "" {
			given = nil // which would beat the file
		}
		if r := runHere(t, given, "", "config", "check", file); r.code != exitInvalid || !strings.Contains(r.out, fault) || !strings.HasPrefix(r.out, file+":") {
			t.Errorf("%v: serve says %s, config check ends with %d, %s%s", settings, fault, r.code, r.out, r.errors)
		}
		if value := settings["data"]; value != "" && value != "~/x" {
			continue // the running one has its own
		}
		writeFile(t, dir, "husk.yaml", "log-level: debug\n"+yamlOf(settings))
		refused++
		d.signal(syscall.SIGHUP)
		d.saysTimes("the configuration was not reloaded", refused)
	}
	writeFile(t, dir, "husk.yaml", "log-level: debug\naddr: 127.0.0.1:0\n")
	d.signal(syscall.SIGHUP)
	d.says(`"msg":"reloaded","applied":"log-level"`)
	if strings.Count(d.log.String(), `"msg":"reloaded"`) != 1 {
		t.Errorf("it reloaded what it should not:\n%s", &d.log)
	}
	d.end()
	if left, err := os.ReadDir(filepath.Join(dir, "data")); err == nil {
		t.Errorf("settings that are refused made %v", left)
	}
	for _, r := range []ran{judgedByServe(append([]string{"HUSK_ADDR=127.0.0.1:0"}, home...)), runHere(t, home, "", "config", "show"), runHere(t, home, "", "config", "check", config)} {
		if r.code != exitDone {
			t.Errorf("what is right ends with %d: %s", r.code, r.errors)
		}
	}
}
