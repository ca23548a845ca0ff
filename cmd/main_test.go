//go:build unix

package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"husk/db"
	"husk/db/bolt"
	"husk/web/api"
	"husk/web/logtest"
)

// TestMain makes the test binary also the program: called husk, it is one. So
// the tests run real processes, with real signals, locks and exit codes.
// Called holder, it holds a store until its standard input ends. Called pinned,
// it is husk whose command runs in one thread: strace counts calls by thread.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		// A process with the race detector waits a second before it ends.
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	// Tests here wait for processes more than they compute: two at once, one for
	// each core, leave both idle for half of the time. -parallel has the last word.
	_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	testscript.Main(tidy{m}, map[string]func(){
		"husk":   asHusk,
		"pinned": func() { runtime.LockOSThread(); os.Exit(Main("")) },
		"holder": hold,
		"floor":  serveFloor,
		"noisy":  asNoisy,
	})
}

// tidy removes at the end what tests of the run have shared.
type tidy struct{ *testing.M }

// Run implements testscript.TestingM.
func (t tidy) Run() int {
	code := t.M.Run()
	for _, dir := range foldersOfRun.all {
		_ = os.RemoveAll(dir)
	}
	return code
}

var foldersOfRun struct {
	sync.Mutex
	all []string
}

// folderOfRun makes a folder for what several tests use, which goes when all have ended.
func folderOfRun() (dir string, err error) {
	foldersOfRun.Lock()
	defer foldersOfRun.Unlock()
	if dir, err = os.MkdirTemp("", "husk-test"); err == nil {
		foldersOfRun.all = append(foldersOfRun.all, dir)
	}
	return dir, err
}

// asHusk makes this process husk.
func asHusk() {
	if os.Getenv("LISTEN_FDS") != "" && os.Getenv("LISTEN_PID") == "" {
		// A service manager sets it between fork and exec, which Go can't.
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	os.Exit(Main(""))
}

// asDaemon makes the test binary husk itself, whatever it is called by: shells,
// units and containers have its path alone. It is looked at before any test is.
const asDaemon = "TEST_AS_HUSK_DAEMON"

func init() {
	if os.Getenv(asDaemon) != "" {
		asHusk()
	}
}

// hold opens the store of the first argument, says so, and waits.
func hold() {
	e, err := bolt.Open(os.Args[1], bolt.Options{})
	fmt.Println(err)
	if err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = e.Close()
}

// patience is how long anything is waited for before a test fails; nothing
// that works takes nearly as long.
const patience = 30 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// program is how the program is called: the zero value but for data.
type program struct {
	data    string     // HUSK_DATA
	stdin   string     // what is piped in
	env     []string   // more variables
	uid     uint32     // another user; 0: the one of the test
	sockets []*os.File // that a service manager passes
	path    string     // of another husk; "": the one of the test
}

func (p program) store() string { return filepath.Join(p.data, embedded.file) }

// masked prepares a process that begins with a umask.
func (p program) masked(ctx context.Context, umask string, args ...string) *exec.Cmd {
	c := p.command(ctx, args...)
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `umask "$0"; exec "$@"`, umask}, c.Args...)
	return c
}

// command prepares a process. It is killed when ctx ends.
func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "husk", args...)
	c.Env = append(environment(), "HUSK_DATA="+p.data)
	c.Env = append(c.Env, p.env...)
	if n := len(p.sockets); n > 0 {
		c.ExtraFiles, c.Env = p.sockets, append(c.Env, "LISTEN_FDS="+strconv.Itoa(n))
	}
	c.Stdin = strings.NewReader(p.stdin)
	c.WaitDelay = patience
	if p.path != "" {
		c.Path, c.Err = p.path, nil
	}
	if p.uid != 0 {
		// Another user can't reach the path of the test binary, but what it
		// was started from.
		c.Path, c.Err, c.Dir = "/proc/self/exe", nil, "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.uid, Gid: p.uid}}
	}
	return c
}

// environment is what every process gets: nothing of the one who runs the
// tests.
func environment() []string {
	env := []string{"HOME=/no-home"}
	for _, name := range []string{"PATH", "TMPDIR", "GORACE", "GOCOVERDIR"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// result is what a process did.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// run runs the program to its end.
func (p program) run(t testing.TB, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := p.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("husk %q: %v", args, err)
	}
	return result{code: c.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// want runs the program and fails where it ends with another code.
func (p program) want(t testing.TB, code int, args ...string) result {
	t.Helper()
	r := p.run(t, args...)
	if r.code != code {
		t.Errorf("husk %q: want exit code %d, got %v", args, code, r)
	}
	return r
}

// ok runs the program, which succeeds, and returns its stdout without the line
// end.
func (p program) ok(t testing.TB, args ...string) string {
	t.Helper()
	return strings.TrimSuffix(p.want(t, exitDone, args...).stdout, "\n")
}

// tokenNames returns the names of all tokens.
func (p program) tokenNames(t testing.TB) map[string]bool {
	t.Helper()
	var tokens []api.Token
	if text := p.ok(t, "token", "list", "--json"); json.Unmarshal([]byte(text), &tokens) != nil {
		t.Fatalf("token list --json printed %q", text)
	}
	names := map[string]bool{}
	for _, k := range tokens {
		names[k.Name] = true
	}
	return names
}

// newData names an absent data folder and looks at the store in it when the
// test ends: whatever was done to it, it is whole.
func newData(t testing.TB) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	t.Cleanup(func() { wantWhole(t, data) })
	return data
}

// wantWhole checks every record and index of the store in data, where there is
// one.
func wantWhole(t testing.TB, data string) {
	t.Helper()
	e, err := bolt.Open(filepath.Join(data, embedded.file), bolt.Options{})
	if errors.Is(err, db.ErrAbsent) || errors.Is(err, db.ErrLocked) { // of another server, at whose end it is looked at
		return
	}
	if err != nil {
		t.Errorf("the store in the end: %v", err)
		return
	}
	defer e.Close()
	store, err := db.Open(context.Background(), e, db.Options{})
	if err == nil {
		_, err = store.Check(context.Background(), func(fault error) { t.Errorf("the store in the end: %v", fault) })
	}
	if err != nil {
		t.Errorf("the store in the end: %v", err)
	}
}

// server is a running husk serve.
type server struct {
	t      testing.TB
	cmd    *exec.Cmd
	log    logtest.Buffer // both streams
	done   chan struct{}  // closed when the process has ended
	serves chan struct{}  // closed when it says that it serves
	addr   string         // set before serves is closed
}

// start starts husk serve on a free port and does not wait for it. It is
// killed when the test ends, unless it has ended before.
func (p program) start(t testing.TB, args ...string) *server {
	t.Helper()
	return p.spawn(t, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
}

// spawn starts husk as it is told to, which is to become a server.
func (p program) spawn(t testing.TB, args ...string) *server {
	t.Helper()
	return run(t, p.command(context.Background(), args...))
}

// run starts a command that becomes a server.
func run(t testing.TB, c *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, cmd: c, done: make(chan struct{}), serves: make(chan struct{})}
	s.cmd.Stdout = &s.log
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatalf("start the server: %v", err)
	}
	go func() {
		defer close(s.done)
		s.follow(stderr)
		_ = s.cmd.Wait()
		if s.log.Count("WARNING: DATA RACE") > 0 { // one that is killed has no exit code to tell it by
			t.Errorf("the server has a data race:\n%s", &s.log)
		}
	}()
	t.Cleanup(func() { s.kill() })
	return s
}

// follow reads the log and finds in it where the server listens.
func (s *server) follow(stderr io.Reader) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		_, _ = s.log.Write([]byte(line))
		var entry struct{ Msg, Addr string }
		if s.addr == "" && json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "husk serves" {
			s.addr = entry.Addr
			close(s.serves)
		}
		if err != nil {
			return
		}
	}
}

// serve starts husk serve and waits until it serves.
func (p program) serve(t testing.TB, args ...string) *server {
	t.Helper()
	s := p.start(t, args...)
	s.ready()
	return s
}

// ready waits until the server serves.
func (s *server) ready() {
	s.t.Helper()
	select {
	case <-s.serves:
	case <-s.done:
		s.t.Fatalf("the server ended: %v\n%s", s.cmd.ProcessState, &s.log)
	case <-time.After(patience):
		s.t.Fatalf("the server does not serve:\n%s", &s.log)
	}
}

// says waits for a text in what the server wrote.
func (s *server) says(text string) {
	s.t.Helper()
	s.saysTimes(text, 1)
}

func (s *server) saysTimes(text string, n int) {
	s.t.Helper()
	defer func() {
		if s.log.Count(text) < n {
			s.t.Logf("it said:\n%s", &s.log)
		}
	}()
	eventually(s.t, fmt.Sprintf("that it says %q %d times", text, n), func() bool {
		select {
		case <-s.done:
			if s.log.Count(text) < n {
				s.t.Fatalf("it ended (%v) without saying %q %d times", s.cmd.ProcessState, text, n)
			}
		default:
		}
		return s.log.Count(text) >= n
	})
}

// stop sends the server a signal, waits for its end, and returns its exit code
// and how long that took.
func (s *server) stop(signal syscall.Signal) (code int, took time.Duration) {
	s.t.Helper()
	began := time.Now()
	s.signal(signal)
	return s.exit(), time.Since(began)
}

func (s *server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatalf("signal the server: %v", err)
	}
}

// exit waits for the end of the server and returns its exit code, -1 where a
// signal ended it.
func (s *server) exit() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("the server does not end:\n%s", &s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}

// end stops the server as a service manager does.
func (s *server) end() {
	s.t.Helper()
	if code, _ := s.stop(syscall.SIGTERM); code != exitDone {
		s.t.Errorf("the server ended with %d:\n%s", code, &s.log)
	}
}

// kill ends the server as a power cut does.
func (s *server) kill() {
	select {
	case <-s.done:
	default:
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

func (s *server) url() string { return "http://" + s.addr }

// client speaks to the server over TCP with an API token, which may be "".
func (s *server) client(token string) *api.Client { return &api.Client{Base: s.url(), Token: token} }

// dial opens a plain connection to the server.
func (s *server) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// dialAnswered opens a connection that the server has answered on.
func (s *server) dialAnswered() net.Conn {
	s.t.Helper()
	s.ready()
	c := s.dial()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	// The buffer is empty afterwards: nothing comes that was not asked for.
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	}
	if err != nil {
		s.t.Fatalf("no answer: %v\n%s", err, &s.log)
	}
	return c
}

// prerequisite says that a test can't run here. Where everything has to run,
// that is a failure.
func prerequisite(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		prerequisite(t, "only root becomes another user, or mounts a disk")
	}
}
