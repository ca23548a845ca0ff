package cmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asDaemon makes the test binary husk itself. It is looked at before any test
// is: what is run then are the real signals, descriptors and exit codes.
const asDaemon = "TEST_AS_HUSK_DAEMON"

func init() {
	if os.Getenv(asDaemon) == "" {
		return
	}
	if os.Getenv("LISTEN_FDS") != "" && os.Getenv("LISTEN_PID") == "" {
		// A service manager sets it between fork and exec, which Go can't.
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	os.Exit(Main())
}

// soon is how long a test waits for what has to come; it comes much earlier.
const soon = 30 * time.Second

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(soon); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// output can be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// daemon is husk in a process of its own.
type daemon struct {
	t     testing.TB
	cmd   *exec.Cmd
	out   output // both streams
	ended chan struct{}
}

// spawn starts husk with variables beside HUSK_DATA, and with inherited
// sockets.
func spawn(t testing.TB, data string, env []string, sockets []*os.File, args ...string) *daemon {
	t.Helper()
	return spawnAs(t, 0, data, env, sockets, args...)
}

// spawnAs starts husk as another user, unless uid is 0.
func spawnAs(t testing.TB, uid uint32, data string, env []string, sockets []*os.File, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	d.cmd.Env = append([]string{asDaemon + "=1", "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH"), "HUSK_DATA=" + data}, env...)
	if len(sockets) > 0 {
		d.cmd.ExtraFiles = sockets
		d.cmd.Env = append(d.cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(sockets)))
	}
	if uid != 0 {
		// Another user can't follow the path of the test binary.
		d.cmd.Path, d.cmd.Dir = "/proc/self/exe", "/"
		d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		wantWhole(t, data)
	})
	return d
}

// says waits for a text in what the daemon wrote.
func (d *daemon) says(text string) {
	d.t.Helper()
	d.saysTimes(text, 1)
}

func (d *daemon) saysTimes(text string, n int) {
	d.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(soon); strings.Count(d.out.String(), text) < n; {
		select {
		case <-tick.C:
		case <-d.ended:
			if strings.Count(d.out.String(), text) < n {
				d.t.Fatalf("it ended (%v) without saying %q %d times:\n%s", d.cmd.ProcessState, text, n, &d.out)
			}
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("it does not say %q %d times:\n%s", text, n, &d.out)
		}
	}
}

// addr is where the daemon says that it serves.
func (d *daemon) addr() string {
	d.t.Helper()
	d.says(`"husk serves"`)
	_, rest, ok := strings.Cut(d.out.String(), `"addr":"`)
	if !ok {
		d.t.Fatalf("it does not say where:\n%s", &d.out)
	}
	addr, _, _ := strings.Cut(rest, `"`)
	return addr
}

// dial opens a connection that the daemon has answered on.
func (d *daemon) dial() net.Conn {
	d.t.Helper()
	c, err := net.Dial("tcp", d.addr())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(soon))
	fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	// The buffer is empty afterwards: nothing comes that was not asked for.
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	}
	if err != nil {
		d.t.Fatalf("no answer: %v\n%s", err, &d.out)
	}
	return c
}

func (d *daemon) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Fatal(err)
	}
}

// code waits for the end.
func (d *daemon) code() int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(soon):
		d.t.Fatalf("it does not end:\n%s", &d.out)
	}
	return d.cmd.ProcessState.ExitCode()
}

// stops ends the daemon, which ends with 0.
func (d *daemon) stops() {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	if code := d.code(); code != exitDone {
		d.t.Errorf("it ended with %d:\n%s", code, &d.out)
	}
}

// listenLocal opens a listening socket that can be handed over.
func listenLocal(t testing.TB) (addr string, socket *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return l.Addr().String(), socket
}

// ran is what a command in this process did.
type ran struct {
	code        int
	out, errors string
}

// runHere runs a command in this process; env are variables as NAME=VALUE.
func runHere(t testing.TB, env []string, stdin string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, getenv: lookIn(env), environ: func() []string { return env }}
	code := a.run(context.Background(), args)
	return ran{code, stdout.String(), stderr.String()}
}

// lookIn makes a getenv; the last of several wins.
func lookIn(env []string) func(string) string {
	return func(name string) string {
		for _, e := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// writeFile writes a file of the test and returns its path.
func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
