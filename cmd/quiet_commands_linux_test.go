package cmd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
	"husk/web/api"
)

// quietStep is a command as somebody may give it. A word in braces is what a step before
// kept, or one of those of quietWay.
type quietStep struct {
	line  string
	keep  string // what a UUID of its output is called from then on
	code  [3]int // how it ends offline, beside a server, remote
	dials string // what else it is told to go to
}

// fileCommand is how what is for the file alone ends beside a server and remote.
var fileCommand = [3]int{exitDone, exitBusy, exitUsage}

// quietSteps go through all commands, in an order in which each has something to do.
var quietSteps = []quietStep{
	{line: "user create ann@example.com --generate"},
	{line: "user create bob@example.com --no-password --if-missing"},
	{line: "user import --ndjson {users}"},
	{line: "user import --htpasswd {htpasswd} --domain example.com --dry-run"},
	{line: "user list"}, {line: "user show ann@example.com"}, {line: "user update ann@example.com --name Ann"},
	{line: "user disable bob@example.com"}, {line: "user enable bob@example.com"}, {line: "user unlock ann@example.com"},
	{line: "user reset-second-factor ann@example.com --yes", code: [3]int{exitConflict, exitConflict, exitConflict}},
	{line: "user delete bob@example.com --yes"},
	{line: "passwd ann@example.com --password-stdin", code: [3]int{exitDone, exitDone, exitDenied}},
	{line: "permission list"},
	{line: "role set quiet --permission coco#system/read"}, {line: "role set quiet --require-second-factor"}, {line: "role list"}, {line: "role show quiet"}, {line: "role delete quiet"},
	{line: "token create --name quiet --expires 30d --permission coco#system/read", keep: "token"},
	{line: "token list"}, {line: "token show {token}"}, {line: "token update {token} --description x"}, {line: "token check {tokenfile}"},
	{line: "token rotate {token}"}, {line: "token revoke {token} --yes"},
	{line: "session list --json", keep: "session"}, {line: "session show {session}"}, {line: "session revoke {session} --yes"},
	{line: "key list"}, {line: "key rotate --yes"},
	{line: "audit list --json", keep: "entry"}, {line: "audit head"}, {line: "audit verify"}, {line: "audit export"},
	{line: "explain 4f1c0a9be2d7-1k", code: [3]int{exitNotFound, exitNotFound, exitNotFound}},
	{line: "rule list --config {gate}"}, {line: "rule test --url https://app.example.com/ --config {gate}", code: [3]int{exitDenied, exitDenied, exitDone}},
	{line: "health", code: [3]int{exitBusy}}, {line: "health --verbose", code: [3]int{exitBusy}},
	{line: "backup --output {new}/husk.tar"}, {line: "backup list", code: [3]int{exitBusy, exitNotFound, exitNotFound}},
	{line: "check"}, {line: "check --repair --yes", code: [3]int{exitDone, exitBusy, exitUsage}},
	{line: "compact", code: fileCommand},
	{line: "restore {backup} --yes", code: fileCommand},
	{line: "config show"}, {line: "config check {gate}"},
	{line: "bundle"}, {line: "bundle verify {bundle} --unsigned"},
	{line: "version"}, {line: "version --json"}, {line: "version --verify {sums}", code: [3]int{exitInvalid, exitInvalid, exitInvalid}}, {line: "completion bash"}, {line: "completion zsh"}, {line: "completion fish"}, {line: "completion powershell"},
	{line: "man {new}/man"}, {line: "man --html {new}/html"},
	{line: "proxy config nginx --app app.example.com=http://127.0.0.1:3000 --config {gate}"},
	{line: "proxy probe http://{app}/ --upstream http://{app}", code: [3]int{exitFailure, exitFailure, exitFailure}, dials: "app"},
	{line: "audit"}, {line: "completion"}, {line: "config"}, {line: "key"}, {line: "permission"}, {line: "proxy"}, {line: "role"}, {line: "rule"}, {line: "session"}, {line: "token"}, {line: "user"},
	{line: "help"}, {line: "help token create"}, {line: "token create --help"},
	{line: "__complete user show "}, {line: "__completeNoDesc token revoke "},
	{line: "serve --help"}, // its life is TestQuietServe
}

// quietWay is a way to the store: offline, beside a server, remote.
type quietWay struct {
	name  string
	husk  program
	flags []string // of every command
	reach reach
	words map[string]string
}

// TestQuietCommands: no command reaches further than to where it was told to go.
func TestQuietCommands(t *testing.T) {
	needStrace(t)
	t.Parallel()
	path, env := shippedHusk(t), oddEnvironment(t)
	for i, way := range []string{"offline", "beside", "remote"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			if way != "beside" {
				dbtest.TakesVeryLong(t, "each command in each of its ways, traced")
			}
			w := newQuietWay(t, way)
			w.husk.path, w.husk.env = path, env
			for _, step := range quietSteps {
				w.take(t, i, step)
			}
		})
	}
}

// newQuietWay makes a store, with a server where the way has one.
func newQuietWay(t *testing.T, name string) *quietWay {
	t.Helper()
	dir := t.TempDir()
	app := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(app.Close)
	w := &quietWay{name: name, husk: program{data: newData(t), stdin: "a kettle on the hob\n"}, words: map[string]string{
		"new": filepath.Join(dir, "new"), "backup": filepath.Join(dir, "backup.tar"), "app": app.Listener.Addr().String(),
		"users":    writeFile(t, dir, "users.ndjson", `{"email":"carl@example.com"}`+"\n"),
		"htpasswd": writeFile(t, dir, "htpasswd", "dora:$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n"),
		"gate":     writeFile(t, dir, "husk.yaml", "public-url: https://id.example.com\ngate:\n  rules:\n    - {host: app.example.com, require: any, upstream: \"http://"+app.Listener.Addr().String()+"\"}\n"),
	}}
	w.words["bundle"] = filepath.Join(dir, "bundle")
	for _, folder := range []string{w.words["new"], w.words["bundle"]} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const readme = "It was carried.\n"
	list := fmt.Sprintf("%x  README.txt\n", sha256.Sum256([]byte(readme)))
	writeFile(t, w.words["bundle"], "README.txt", readme)
	w.words["sums"] = writeFile(t, w.words["bundle"], "SHA256SUMS", list)
	w.husk.ok(t, "user", "create", "admin@example.com", "--role", "admin", "--password-stdin")
	token := w.husk.ok(t, "token", "create", "--user", "admin@example.com", "--name", "remote", "--expires", "never")
	w.words["tokenfile"] = writeFile(t, dir, "token", token)
	visited := w.husk.serve(t)
	for _, password := range []string{"a kettle on the hob", "a wrong one"} { // a session, and an entry of who was refused
		_, _ = visited.client("").Login(t.Context(), api.Login{Email: "admin@example.com", Password: password})
	}
	visited.end()
	w.husk.ok(t, "backup", "--output", w.words["backup"])
	w.reach.unix = []string{filepath.Join(w.husk.data, "husk.sock"), "@husk-"}
	if name != "offline" {
		s := w.husk.serve(t, "--config", w.words["gate"])
		t.Cleanup(s.end)
		if name == "remote" {
			w.flags = []string{"--server", s.url(), "--token-file", w.words["tokenfile"]}
			w.reach = reach{dials: []string{s.addr}}
		}
	}
	return w
}

var wordInBraces = regexp.MustCompile(`\{(\w+)\}`)
var anID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (w *quietWay) take(t *testing.T, way int, step quietStep) {
	t.Helper()
	line := wordInBraces.ReplaceAllStringFunc(step.line, func(word string) string { return w.words[strings.Trim(word, "{}")] })
	args := strings.Split(line, " ")
	if last := len(args) - 1; strings.HasPrefix(args[0], "__complete") {
		args = append(append(args[:last:last], w.flags...), args[last]) // what is completed stands last
	} else {
		args = append(args, w.flags...)
	}
	may := w.reach
	if step.dials != "" {
		may.dials = append(slices.Clone(may.dials), w.words[step.dials])
	}
	r, calls := w.husk.traceNet(t, args...)
	if r.code != step.code[way] {
		t.Errorf("husk %s, %s: want exit code %d, got %v", line, w.name, step.code[way], r)
	}
	for _, what := range may.beyond(calls) {
		t.Errorf("husk %s, %s: %s", line, w.name, what)
	}
	if id := anID.FindString(r.stderr + r.stdout); step.keep != "" && id != "" {
		w.words[step.keep] = id
	}
}

// TestQuietLeavesNothingOut: each command that does something is among the steps.
func TestQuietLeavesNothingOut(t *testing.T) {
	t.Parallel()
	tried := func(cmd *cobra.Command) bool {
		name := strings.TrimPrefix(cmd.CommandPath(), "husk ") + " "
		return slices.ContainsFunc(quietSteps, func(s quietStep) bool {
			rest, ok := strings.CutPrefix(s.line+" ", name)
			word, _, _ := strings.Cut(rest, " ")
			return ok && !slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		})
	}
	n := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.HasParent() && cmd.Runnable() && (!cmd.HasSubCommands() || cmd.Flags().HasFlags()) {
			if n++; !tried(cmd) {
				t.Errorf("no step of quietSteps is %s", cmd.CommandPath())
			}
		}
		for _, child := range cmd.Commands() { // the hidden ones, too
			walk(child)
		}
	}
	root := (&app{getenv: func(string) string { return "" }}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	walk(root)
	if n < 50 {
		t.Errorf("only %d commands were seen", n)
	}
}

// TestQuietNames: a name is found where --server has one, once, and by nobody but the
// resolver of the machine; where a proxy is to find it, not even that.
func TestQuietNames(t *testing.T) {
	needStrace(t)
	t.Parallel()
	path := shippedHusk(t)
	served := program{data: newData(t)}.serve(t)
	_, port, _ := net.SplitHostPort(served.addr)
	closed := freeAddr(t)
	p := program{path: path, data: newData(t)}
	proxied := program{path: path, data: p.data, env: []string{"HTTPS_PROXY=http://" + closed, "HTTP_PROXY=http://" + closed, "NO_PROXY="}}
	for _, c := range []struct {
		husk   program
		server string
		code   int
		may    reach
	}{
		{p, served.url(), exitDone, reach{dials: []string{served.addr}}},
		{p, "http://localhost:" + port, exitDone, reach{dials: []string{served.addr}}},
		{p, "http://husk.localhost.:" + port, exitDone, reach{dials: []string{served.addr}}},
		{proxied, served.url(), exitDone, reach{dials: []string{served.addr}}},
		{proxied, "https://id.example.com", exitBusy, reach{dials: []string{closed}}},
		{proxied, "http://id.example.com", exitBusy, reach{dials: []string{closed}}},
	} {
		r, calls := c.husk.traceNet(t, "health", "--server", c.server)
		if r.code != c.code {
			t.Errorf("%s: %v", c.server, r)
		}
		for _, what := range c.may.beyond(calls) {
			t.Errorf("%s: %s", c.server, what)
		}
	}
	asked := map[string]int{}
	for _, server := range []string{"http://id.example.com.", "https://id.example.com."} {
		calls := p.traceApart(t, "health", "--server", server)
		for _, what := range (reach{names: true, asks: nameservers(t)}).beyond(calls) {
			t.Errorf("%s: %s", server, what)
		}
		for _, c := range calls {
			if c.Name == "connect" {
				asked[server]++
			}
		}
	}
	if n := asked["https://id.example.com."]; n == 0 || asked["http://id.example.com."] != n {
		t.Errorf("a name is not looked for once: %v", asked)
	}
}

// nameservers are those that the machine's resolver asks.
func nameservers(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^nameserver\s+(\S+)`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, net.JoinHostPort(m[1], "53"))
	}
	return append(all, "127.0.0.1:53", "[::1]:53") // where there is none
}

// traceApart runs a command in a network of its own that has nobody, where it fails. So
// what it asks for leaves this machine by no way.
func (p program) traceApart(t *testing.T, args ...string) []*syscalls.Call {
	t.Helper()
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		err = exec.Command(unshare, "-rn", "true").Run()
	}
	if err != nil {
		prerequisite(t, "a network of its own, by unshare: "+err.Error())
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := p.command(ctx, args...)
	file := filepath.Join(t.TempDir(), "trace")
	if err := syscalls.Trace(c, file, "-e", networkCalls); err != nil {
		t.Fatal(err)
	}
	c.Args = append([]string{unshare, "-rn", c.Path}, c.Args[1:]...)
	c.Path = unshare
	if out, err := c.CombinedOutput(); c.ProcessState.ExitCode() != exitBusy {
		t.Errorf("%q: %v: %s", args, err, out)
	}
	return readQuiet(t, file)
}
