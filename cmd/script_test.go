//go:build unix

package cmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata" // a script is in another zone

	"github.com/rogpeppe/go-internal/testscript"

	"husk/db/dbtest"
	"husk/web/logtest"
)

// The transports of a command. Every script runs over each of them.
const (
	overOffline = "offline" // no server runs
	overSocket  = "socket"  // a server runs on the data folder
	overRemote  = "remote"  // a server runs elsewhere; HUSK_SERVER and HUSK_TOKEN_FILE lead there
)

var transports = []string{overOffline, overSocket, overRemote}

// TestScripts runs every script of testdata/script three times, over each
// transport, remote with HUSK_LONG alone, and then compares what the commands
// wrote. Under the race detector it runs each once, beside a server, in two runs: every
// other one in one, the rest in the next. A script says with [offline], [socket] and
// [remote] where a line is for some only; such a line is compared where its like ran.
//
// Commands besides those of testscript:
//
//	store                  make a store, over the transport of the run; the
//	                       folder is absent before. The remote credential is
//	                       an administrator's token named operator
//	pipe 'TEXT'            stdin of the next command, with Go's escapes
//	exits N husk ARG...    run husk; its exit code is N
//	becomes N husk ARG...  the same, again and again until its exit code is N
//	setenv NAME stdout     keep stdout without the line end
//	json PATH [WANT]       the value at PATH (a.0.b, a.length) in stdout
//	jsonenv NAME PATH      keep it
//	mode FILE 0600         the permission bits of a file
//	serve [ARG...]         a server on the data folder; URL is set
//	stopserve              stop it by SIGTERM; what it kept in memory is written
//	restart [ARG...]       the same and a new server, where one runs
//	damage OLD NEW         replace bytes of the same number in the store, as a
//	                       bad disk does, with the server stopped meanwhile
//	damageroot             zero the page that leads to all others, likewise
//	begin husk ARG...      run husk beside the script
//	tells REGEXP [NAME]    wait until its stdout matches; keep what did
//	ends N                 SIGTERM ends it; its exit code is N
//	totp NAME SECRET STEP  keep a code of now, or of so many time steps from now
//	http CODE METHOD PATH [HEADER: VALUE]... [BODY]
//	                       a request to URL; its status is CODE
func TestScripts(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(found) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var files []string
	taken := dbtest.InTurn(2)
	for i, file := range found {
		if !dbtest.Race || taken(i) {
			files = append(files, file)
		}
	}
	all := &transcripts{of: map[string]map[string]transcript{}}
	t.Run("run", func(t *testing.T) {
		for _, transport := range transports {
			t.Run(transport, func(t *testing.T) {
				if transport != overSocket {
					dbtest.NoRace(t, "the same commands, over "+transport)
				}
				switch transport {
				case overRemote: // the same API as over the socket
					dbtest.TakesVeryLong(t, "the scripts over "+transport)
				case overSocket:
					dbtest.TakesLong(t, "the scripts over "+transport)
				}
				t.Parallel()
				testscript.Run(t, testscript.Params{
					Files:               files,
					RequireExplicitExec: true,
					RequireUniqueNames:  true,
					Setup:               func(e *testscript.Env) error { return newScript(e, transport, all) },
					Cmds:                scriptCommands,
					Condition: func(cond string) (bool, error) {
						switch {
						case slices.Contains(transports, cond):
							return cond == transport, nil
						case cond == "root":
							return os.Geteuid() == 0, nil
						}
						return false, fmt.Errorf("unknown condition %s", cond)
					},
				})
			})
		}
	})
	if !t.Failed() && !testing.Short() && !dbtest.Race {
		all.compare(t)
	}
}

// script is one run of a script.
type script struct {
	t         testing.TB
	transport string
	work      string
	data      string    // HUSK_DATA
	server    *server   // nil where none runs
	ended     []*server // those that ran before
	beside    *beside   // nil where nothing runs beside the script
	damaged   bool      // by the script: it is not whole in the end
	stdin     *string   // for the next command
	secrets   map[string]bool
	entries   []entry
}

// entry is one command of a script, with what it wrote.
type entry struct {
	command        string
	stdout, stderr string
	made           []string // the secrets that it made, and may show
}

type scriptKey struct{}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func newScript(e *testscript.Env, transport string, all *transcripts) error {
	s := &script{t: e.T().(testing.TB), transport: transport, work: e.WorkDir, data: filepath.Join(e.WorkDir, "data"), secrets: map[string]bool{}}
	e.Setenv("HUSK_DATA", s.data)
	e.Setenv("GORACE", os.Getenv("GORACE"))
	e.Values[scriptKey{}] = s
	e.Defer(func() { s.finish(all) })
	return nil
}

// finish looks at what a script left behind.
func (s *script) finish(all *transcripts) {
	if s.beside != nil {
		s.beside.stop()
	}
	s.endServer()
	if s.t.Failed() {
		return
	}
	for _, data := range []string{s.data, s.elsewhere()} {
		if !s.damaged {
			wantWhole(s.t, data)
		}
		s.wantNoSecrets(data)
	}
	all.add(s)
}

// elsewhere is the data folder of a remote server.
func (s *script) elsewhere() string { return filepath.Join(s.work, "elsewhere") }

// storeFolder is where the command store has made the store.
func (s *script) storeFolder() string {
	if s.transport == overRemote {
		return s.elsewhere()
	}
	return s.data
}

func (s *script) startServer(data string, args ...string) {
	s.server = program{data: data}.serve(s.t, args...)
}

func (s *script) endServer() {
	if s.server != nil {
		s.server.end()
		s.ended, s.server = append(s.ended, s.server), nil
	}
}

// wantNoSecrets looks for passwords, tokens and JWTs where none may be: in
// what other commands wrote, in the logs, in the store.
func (s *script) wantNoSecrets(data string) {
	files, _ := filepath.Glob(filepath.Join(data, "*"))
	for secret := range s.secrets {
		for _, e := range s.entries {
			if strings.Contains(e.stderr, secret) || strings.Contains(e.stdout, secret) && !slices.Contains(e.made, secret) {
				s.t.Errorf("a secret is in the output of %s", e.command)
			}
		}
		for _, server := range s.ended {
			if strings.Contains(server.log.String(), secret) {
				s.t.Errorf("a secret is in the server's log")
			}
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("a secret is in %s", filepath.Base(file))
			}
		}
	}
}

// secretForm is what husk makes: API tokens, first passwords, JWTs.
var secretForm = regexp.MustCompile(`[0-9a-f-]{36}_[0-9A-Za-z]{49}|\b([a-z2-9]{5}-){4}[a-z2-9]{5}\b|eyJ[\w-]+\.[\w-]+\.[\w-]+`)

// learn remembers the secrets in text and returns those that are new.
func (s *script) learn(text string) (made []string) {
	for _, secret := range secretForm.FindAllString(text, -1) {
		if !s.secrets[secret] {
			made = append(made, secret)
		}
		s.secrets[secret] = true
	}
	return made
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"store":      store,
	"pipe":       pipe,
	"exits":      exits,
	"becomes":    becomes,
	"setenv":     setenv,
	"json":       wantJSON,
	"jsonenv":    jsonenv,
	"mode":       wantMode,
	"serve":      serve,
	"stopserve":  stopserve,
	"restart":    restart,
	"damage":     damage,
	"damageroot": damageRoot,
	"begin":      begin,
	"tells":      tells,
	"ends":       ends,
	"http":       request,
	"totp":       totpCode,
}

// need fails a script that calls a command in a way that it has not.
func need(ts *testscript.TestScript, holds bool, form string) {
	if !holds {
		ts.Fatalf("usage: %s", form)
	}
}

func store(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 0, "store")
	s := scriptOf(ts)
	data := s.storeFolder()
	if s.transport != overOffline {
		s.startServer(data)
	}
	// In this process: it is the same, and quicker.
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	if a.run(context.Background(), []string{"token", "create", "--data", data, "--name", "operator", "--expires", "never"}) != exitDone {
		ts.Fatalf("make the store: %s", &stderr)
	}
	s.learn(stdout.String())
	file := filepath.Join(s.work, ".operator")
	ts.Check(os.WriteFile(file, stdout.Bytes(), 0o600))
	if s.transport == overRemote {
		ts.Setenv("HUSK_SERVER", s.server.url())
		ts.Setenv("HUSK_TOKEN_FILE", file)
	}
	if s.server != nil {
		s.setURL(ts)
	}
}

// setURL tells where the server listens.
func (s *script) setURL(ts *testscript.TestScript) {
	ts.Setenv("ADDR", s.server.addr)
	ts.Setenv("URL", s.server.url())
}

func pipe(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "pipe 'TEXT'")
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[0], `"`, `\"`) + `"`)
	ts.Check(err)
	scriptOf(ts).stdin = &text
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, command := parseExits(ts, neg, args)
	if code := scriptOf(ts).husk(ts, command); code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	scriptOf(ts).record(ts, args)
}

func becomes(ts *testscript.TestScript, neg bool, args []string) {
	want, command := parseExits(ts, neg, args)
	s := scriptOf(ts)
	stdin := s.stdin
	eventually(s.t, strings.Join(args, " "), func() bool {
		s.stdin = stdin
		return s.husk(ts, command) == want
	})
	s.record(ts, args)
}

func parseExits(ts *testscript.TestScript, neg bool, args []string) (code int, command []string) {
	const form = "exits|becomes N husk ARG..."
	need(ts, !neg && len(args) >= 2 && args[1] == "husk", form)
	code, err := strconv.Atoi(args[0])
	need(ts, err == nil, form)
	return code, args[1:]
}

// husk runs a command with what was piped for it.
func (s *script) husk(ts *testscript.TestScript, command []string) (code int) {
	if s.stdin != nil {
		if text := strings.TrimRight(*s.stdin, "\r\n"); len(text) > 6 && slices.Contains(command, "--password-stdin") {
			s.secrets[text] = true
		}
		file := filepath.Join(s.work, ".stdin")
		ts.Check(os.WriteFile(file, []byte(*s.stdin), 0o600))
		s.stdin = nil
		command = append([]string{"sh", "-c", `exec "$@" <"$0"`, file}, command...)
	}
	err := ts.Exec(command[0], command[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// record keeps what the last command wrote.
func (s *script) record(ts *testscript.TestScript, args []string) {
	e := entry{command: strings.Join(args, " "), stdout: ts.ReadFile("stdout"), stderr: ts.ReadFile("stderr")}
	e.made = s.learn(e.stdout)
	s.entries = append(s.entries, e)
}

func setenv(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "setenv NAME stdout|FILE")
	text := strings.TrimSuffix(ts.ReadFile(args[1]), "\n")
	scriptOf(ts).learn(text)
	ts.Setenv(args[0], text)
}

// valueAt returns the value at a path into the JSON on stdout.
func valueAt(ts *testscript.TestScript, path string) (text string, ok bool) {
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &value); err != nil {
		ts.Fatalf("stdout is not one JSON value: %v", err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			if name == "length" {
				value = float64(len(v))
				continue
			}
			if value, ok = v[name]; !ok {
				return "", false
			}
		case []any:
			if name == "length" {
				value = float64(len(v))
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return "", false
			}
			value = v[i]
		default:
			return "", false
		}
	}
	if s, ok := value.(string); ok {
		return s, true
	}
	// As it stands there: a number of seconds has no exponent.
	printed, err := json.Marshal(value)
	ts.Check(err)
	return string(printed), true
}

func wantJSON(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 2 || len(args) == 1, "[!] json PATH [WANT]")
	got, found := valueAt(ts, args[0])
	holds := found && (len(args) == 1 || got == args[1])
	if holds == neg {
		ts.Fatalf("%s is %q (present: %t)", args[0], got, found)
	}
}

func jsonenv(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "jsonenv NAME PATH")
	value, found := valueAt(ts, args[1])
	if !found {
		ts.Fatalf("there is no %s", args[1])
	}
	ts.Setenv(args[0], value)
}

func wantMode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "mode FILE BITS")
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	need(ts, !neg && s.server == nil, "serve [ARG...], while none runs")
	s.startServer(s.data, args...)
	s.setURL(ts)
}

func stopserve(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	need(ts, !neg && len(args) == 0 && s.server != nil, "stopserve, while one runs")
	s.endServer()
}

func restart(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	need(ts, !neg, "restart [ARG...]")
	if s.server == nil {
		return
	}
	s.endServer()
	s.serveAgain(ts, args...)
}

// serveAgain starts a server on the store that was served before.
func (s *script) serveAgain(ts *testscript.TestScript, args ...string) {
	s.startServer(s.storeFolder(), args...)
	s.setURL(ts)
	if s.transport == overRemote {
		ts.Setenv("HUSK_SERVER", s.server.url())
	}
}

func damage(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2 && len(args[0]) == len(args[1]), "damage OLD NEW, of the same length")
	s := scriptOf(ts)
	runs := s.server != nil
	s.endServer()
	file := filepath.Join(s.storeFolder(), embedded.file)
	text, err := os.ReadFile(file)
	ts.Check(err)
	if !bytes.Contains(text, []byte(args[0])) {
		ts.Fatalf("the store does not hold %s", args[0])
	}
	ts.Check(os.WriteFile(file, bytes.ReplaceAll(text, []byte(args[0]), []byte(args[1])), 0o600))
	s.damaged = true
	if runs {
		s.serveAgain(ts)
	}
}

// damageRoot finds the page in the header of the newest commit: in each of the
// first two pages, 16 bytes on, stand the root at 16 and the commit's number at
// 48, in the machine's byte order.
func damageRoot(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 0, "damageroot")
	s := scriptOf(ts)
	runs := s.server != nil
	s.endServer()
	file := filepath.Join(s.storeFolder(), embedded.file)
	text, err := os.ReadFile(file)
	ts.Check(err)
	size := os.Getpagesize()
	header := text[16:]
	if second := text[size+16:]; binary.NativeEndian.Uint64(second[48:]) > binary.NativeEndian.Uint64(header[48:]) {
		header = second
	}
	clear(text[int(binary.NativeEndian.Uint64(header[16:]))*size:][:size])
	ts.Check(os.WriteFile(file, text, 0o600))
	s.damaged = true
	if runs {
		s.serveAgain(ts)
	}
}

// beside is a command that runs beside the script.
type beside struct {
	cmd    *exec.Cmd
	stdout logtest.Buffer
}

func begin(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	need(ts, !neg && len(args) > 1 && args[0] == "husk" && s.beside == nil, "begin husk ARG..., one at a time")
	b := &beside{cmd: exec.Command("husk", args[1:]...)}
	b.cmd.Env = append(environment(), "HUSK_DATA="+ts.Getenv("HUSK_DATA"), "HUSK_SERVER="+ts.Getenv("HUSK_SERVER"), "HUSK_TOKEN_FILE="+ts.Getenv("HUSK_TOKEN_FILE"))
	b.cmd.Stdout = &b.stdout
	ts.Check(b.cmd.Start())
	s.beside = b
}

func tells(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	need(ts, !neg && (len(args) == 1 || len(args) == 2) && s.beside != nil, "tells REGEXP [NAME], after begin")
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	eventually(s.t, args[0], func() bool { return want.MatchString(s.beside.stdout.String()) })
	if len(args) == 2 {
		ts.Setenv(args[1], want.FindString(s.beside.stdout.String()))
	}
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	need(ts, !neg && len(args) == 1 && s.beside != nil, "ends N, after begin")
	code := s.beside.stop()
	fmt.Fprint(ts.Stdout(), s.beside.stdout.String())
	s.beside = nil
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// stop ends the command and returns its exit code.
func (b *beside) stop() int {
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = b.cmd.Process.Kill() })
	defer late.Stop()
	_ = b.cmd.Wait()
	return b.cmd.ProcessState.ExitCode()
}

var passwordMember = regexp.MustCompile(`"[a-z_]*password":"([^"]{7,})"`)

func request(ts *testscript.TestScript, neg bool, args []string) {
	const form = "http CODE METHOD PATH [HEADER: VALUE]... [BODY]"
	need(ts, !neg && len(args) >= 3, form)
	s := scriptOf(ts)
	headers, body := args[3:], ""
	if n := len(headers); n > 0 && !strings.Contains(headers[n-1], ": ") {
		headers, body = headers[:n-1], headers[n-1]
	}
	r, err := http.NewRequest(args[1], ts.Getenv("URL")+args[2], strings.NewReader(body))
	ts.Check(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	for _, match := range passwordMember.FindAllStringSubmatch(body, -1) {
		s.secrets[match[1]] = true
	}
	s.learn(string(text))
	fmt.Fprintf(ts.Stdout(), "%s", text)
	if strconv.Itoa(answer.StatusCode) != args[0] {
		ts.Fatalf("status %d, want %s", answer.StatusCode, args[0])
	}
}

// transcripts collects what the commands of all scripts wrote.
type transcripts struct {
	mu sync.Mutex
	of map[string]map[string]transcript // by script, by transport
}

// transcript is what each command wrote, made comparable.
type transcript map[string]string

func (all *transcripts) add(s *script) {
	all.mu.Lock()
	defer all.mu.Unlock()
	_, name, _ := strings.Cut(s.t.Name(), "/"+s.transport+"/")
	if all.of[name] == nil {
		all.of[name] = map[string]transcript{}
	}
	all.of[name][s.transport] = s.transcript()
}

func (s *script) transcript() transcript {
	lines := transcript{}
	for _, e := range s.entries {
		command := s.comparable(e.command)
		key := command
		for n := 2; lines[key] != ""; n++ {
			key = fmt.Sprintf("%s (%d)", command, n)
		}
		lines[key] = "stdout: " + s.comparable(e.stdout) + "\nstderr: " + s.comparable(e.stderr)
	}
	return lines
}

type replaced struct {
	form *regexp.Regexp
	by   string
}

// incomparable is what differs from run to run. Each form stands for what it
// is replaced by. The tests' own programs, which are this one, start without it.
var incomparable = sync.OnceValue(func() []replaced {
	return []replaced{
		{secretForm, "<secret>"},
		{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
		{regexp.MustCompile(`[0-9a-f]{8}\*\*\*`), "<mask>"},
		{regexp.MustCompile(`token \d{4}-\d\d-\d\d [0-9a-f]{8}`), "<name>"},
		{regexp.MustCompile(`[0-9a-f]{64}`), "<sum>"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+09:00)`), "<time>"},
		{regexp.MustCompile(`("expire_in": |"ends": )\d+`), "$1<time>"},
		{regexp.MustCompile(`("uptime": |"size": |"free": )\d+`), "$1<number>"},
		// An audit log tells the transports apart, and the first use of a remote
		// credential is an entry, which comes when it comes.
		{regexp.MustCompile(`(?m)^\{"seq":.*"action":"token.use".*\n`), ""},
		{regexp.MustCompile(`("seq": ?|"entries": |"first": |"last": |"records": )\d+`), "$1<number>"},
		{regexp.MustCompile(`("actor": ?|"actor_name": ?|"by": ?|"by_name": ?|"transport": ?|"address": ?|"request_id": ?)"[^"]*"`), "$1<who>"},
		{regexp.MustCompile(`\d+ \(1 to \d+\)|(records: +)\d+`), "$1<number>"},
		{regexp.MustCompile(`\d+ bytes`), "<size>"},
		{regexp.MustCompile(`("last_used": |"last_ip": )("[^"]*"|null)`), "$1<use>"}, // written down later by a server
		{regexp.MustCompile(`(?m)^(<id> .* (?:never|<time>)) +(?:<time> +[0-9a-f.:]+|- +-)( +valid until .*| +-)?$`), "$1 <use>$2"},
		{regexp.MustCompile(`answered by: .*`), "answered by: <whom>"},
		{regexp.MustCompile(`(?s)\Amanifest\.json\x00.*`), "<backup>"},
		{regexp.MustCompile(`[0-9a-f]{12}-[0-9a-z]+`), "<request>"},
		{regexp.MustCompile(`\d+ s ago`), "<ago>"},
		{regexp.MustCompile(`<ago> by (?:uid \d+|coco-default-user)`), "<ago> by <who>"},
		{regexp.MustCompile(` +`), " "},
		{regexp.MustCompile(`(?m) revoked (?:uid \d+|coco-default-user)$`), " revoked <who>"},
		{regexp.MustCompile(`(?m)^actor: .*\ntransport: .*\nfrom: .*`), "<who>"},
		{regexp.MustCompile(`(?m)^\d+ (\S+ (?:ok|refused) \S+(?: \(<id>\))? \d+)$`), "<number> $1"},
		{regexp.MustCompile(`(?m)^\d+ (<time> \S+ (?:ok|refused)) (?:uid \d+|\S+) (\S+(?: \(<id>\))?) \S+ (\d+)$`), "<number> $1 <who> $2 <where> $3"},
		// Refusals of one kind are folded for a minute, whose end may come between them.
		{regexp.MustCompile(`(?m)^(<number> <time> session\.login refused .*) \d+(?:\n<number> <time> session\.login refused .*)?$`), "$1 <times>"},
		// Where a backup goes is believed of the command line on the machine alone.
		{regexp.MustCompile(`(?m)^(<number> <time> system\.backup ok <who>) \S+ <where>`), "$1 <place> <where>"},
	}
})

func (s *script) comparable(text string) string {
	text = strings.ReplaceAll(text, s.work, "$WORK")
	for _, i := range incomparable() {
		text = i.form.ReplaceAllString(text, i.by)
	}
	return text
}

// compare fails where a command wrote something else over another transport.
func (all *transcripts) compare(t *testing.T) {
	compared := 0
	for _, name := range slices.Sorted(maps.Keys(all.of)) {
		offline := all.of[name][overOffline]
		for _, transport := range transports[1:] {
			other := all.of[name][transport]
			for _, command := range slices.Sorted(maps.Keys(other)) {
				want, ran := offline[command]
				if ran {
					compared++
				}
				if ran && other[command] != want {
					t.Errorf("%s: %s\n%s:\n%s\n%s:\n%s", name, command, overOffline, want, transport, other[command])
				}
			}
		}
	}
	if compared == 0 {
		t.Errorf("nothing was compared")
	}
	t.Logf("%d commands were compared", compared)
}
