//go:build unix

package cmd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/pflag"
)

// fakeManager is the service manager's end of NOTIFY_SOCKET.
type fakeManager struct {
	path string

	mu    sync.Mutex
	heard []string
}

func newFakeManager(t testing.TB) *fakeManager {
	t.Helper()
	dir, err := os.MkdirTemp("", "husk") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &fakeManager{path: filepath.Join(dir, "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, string(buffer[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// has counts the messages that begin with a text.
func (m *fakeManager) has(text string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.heard {
		if strings.HasPrefix(h, text) {
			n++
		}
	}
	return n
}

// story is what was heard, without the watchdog.
func (m *fakeManager) story() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.heard), func(h string) bool { return h == "WATCHDOG=1" })
}

func TestNotify(t *testing.T) {
	t.Parallel()
	m := newFakeManager(t)
	data := filepath.Join(t.TempDir(), "data")
	d := program{data: data, env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=100000"}}.start(t)
	eventually(t, "READY", func() bool { return m.has("READY=1") == 1 })
	if r := runHere(t, []string{"HUSK_DATA=" + data}, "", "health"); r.code != exitDone || !strings.Contains(r.out, "running server") {
		t.Errorf("READY came before husk serves: %s%s", r.out, r.errors)
	}
	eventually(t, "the watchdog, again and again", func() bool { return m.has("WATCHDOG=1") >= 5 })
	d.signal(syscall.SIGHUP)
	eventually(t, "READY after the reload", func() bool { return m.has("READY=1") == 2 })
	idle := d.dialAnswered() // holds the drain for longer than the watchdog waits
	d.signal(syscall.SIGTERM)
	eventually(t, "STOPPING", func() bool { return m.has("STOPPING=1") == 1 })
	alive := m.has("WATCHDOG=1")
	eventually(t, "the watchdog while it drains", func() bool { return m.has("WATCHDOG=1") >= alive+3 })
	idle.Close()
	if code := d.exit(); code != exitDone {
		t.Errorf("it ended with %d:\n%s", code, &d.log)
	}

	story := m.story()
	if len(story) != 4 || story[0] != "READY=1" || !strings.HasPrefix(story[1], "RELOADING=1\nMONOTONIC_USEC=") || story[2] != "READY=1" || story[3] != "STOPPING=1" {
		t.Fatalf("the service manager heard %q", story)
	}
	usec, err := strconv.ParseInt(strings.TrimPrefix(story[1], "RELOADING=1\nMONOTONIC_USEC="), 10, 64)
	if up := uptime(t); err != nil || time.Duration(usec)*time.Microsecond > up || time.Duration(usec)*time.Microsecond < up-patience {
		t.Errorf("MONOTONIC_USEC is %d, %v; the system is up for %v", usec, err, up)
	}
}

func uptime(t testing.TB) time.Duration {
	t.Helper()
	text, ok := strings.CutPrefix(strings.Join(reloading(), "\n"), "RELOADING=1\nMONOTONIC_USEC=")
	usec, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		t.Fatalf("no monotonic clock: %q", text)
	}
	return time.Duration(usec) * time.Microsecond
}

// TestWatchdogOnlyWhileTheStoreAnswers, in fake time.
func TestWatchdogOnlyWhileTheStoreAnswers(t *testing.T) {
	const period = 30 * time.Second
	for _, c := range []struct {
		name    string
		answers func(context.Context) error
		want    int // in ten periods
	}{
		{"it answers", func(context.Context) error { return nil }, 20},
		{"it fails", func(context.Context) error { return errors.New("failed") }, 0},
		{"it panics", func(context.Context) error { panic("in the store") }, 0},
		{"it is silent", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				m := manager{socket: "x", watchdog: period, tell: func(_, state string) error {
					if state == "WATCHDOG=1" {
						told++
					}
					return nil
				}}
				ctx, cancel := context.WithTimeout(t.Context(), 10*period-time.Second)
				defer cancel()
				m.watch(ctx, slog.New(slog.DiscardHandler), c.answers)
				if told != c.want {
					t.Errorf("told %d times in ten periods, want %d", told, c.want)
				}
			})
		})
	}
}

func TestManagerFromEnvironment(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want time.Duration
	}{
		{"no watchdog", nil, 0},
		{"a watchdog", []string{"WATCHDOG_USEC=3000000"}, 3 * time.Second},
		{"of this process", []string{"WATCHDOG_USEC=3000000", "WATCHDOG_PID=" + strconv.Itoa(os.Getpid())}, 3 * time.Second},
		{"of another process", []string{"WATCHDOG_USEC=3000000", "WATCHDOG_PID=1"}, 0},
		{"garbage", []string{"WATCHDOG_USEC=soon"}, 0},
		{"nothing", []string{"WATCHDOG_USEC=0"}, 0},
	} {
		if m := newManager(lookIn(c.env)); m.watchdog != c.want {
			t.Errorf("%s: want %v, got %v", c.name, c.want, m.watchdog)
		}
	}
}

func TestInheritedSockets(t *testing.T) {
	t.Run("of another process", func(t *testing.T) {
		t.Setenv("LISTEN_FDS", "1")
		t.Setenv("LISTEN_PID", "1")
		t.Setenv("LISTEN_FDNAMES", "http")
		l, err := inheritedSockets(os.Getenv)
		if l != nil || err != nil {
			t.Errorf("got %v, %v", l, err)
		}
		for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
			if _, found := os.LookupEnv(name); found {
				t.Errorf("%s is set still", name)
			}
		}
	})
	t.Run("garbage", func(t *testing.T) {
		if _, err := inheritedSockets(lookIn([]string{"LISTEN_FDS=many", "LISTEN_PID=" + strconv.Itoa(os.Getpid())})); err == nil {
			t.Error("it is no error")
		}
	})

	local, err := net.Listen("unix", filepath.Join(newFakeManager(t).path+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	localSocket, err := local.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer localSocket.Close()
	noSocket, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer noSocket.Close()
	for _, c := range []struct {
		name, want string
		file       *os.File
	}{
		{"a local one", "3 (web) is not TCP", localSocket},
		{"no socket", "3 (web) is not a listening socket", noSocket},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := program{data: newData(t), env: []string{"LISTEN_FDNAMES=web"}, sockets: []*os.File{c.file}}.spawn(t, "serve")
			if code := d.exit(); code != exitFailure || !strings.Contains(d.log.String(), c.want) {
				t.Errorf("got %d:\n%s", code, &d.log)
			}
		})
	}
	t.Run("two", func(t *testing.T) {
		oneAddr, one := listenLocal(t)
		otherAddr, other := listenLocal(t)
		d := program{data: newData(t), env: []string{"LISTEN_FDNAMES=a:b"}, sockets: []*os.File{one, other}}.spawn(t, "serve", "--addr", "127.0.0.1:1")
		d.says(oneAddr + " " + otherAddr)
		for _, addr := range []string{oneAddr, otherAddr} {
			get(t, "http://"+addr+"/livez")
		}
		d.end()
	})
}

// systemdTool runs a program of systemd. Without it the test can't run, which
// is a failure where everything has to.
func systemdTool(t testing.TB, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		prerequisite(t, err.Error())
	}
	c := exec.Command(path, args...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	} else if args[0] == "verify" && len(out) > 0 {
		t.Errorf("%s complains:\n%s", name, out)
	}
}

const unitFolder = "../dist/systemd"

func unitText(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnits: systemd understands every line, also those to be taken into a
// drop-in.
func TestUnits(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	service := unitText(t, "husk.service")
	if !strings.Contains(service, "ExecStart=/usr/bin/husk serve\n") {
		t.Fatal("the unit does not start /usr/bin/husk")
	}
	service = strings.ReplaceAll(service, "/usr/bin/husk", program)
	optional := strings.NewReplacer("\n#LoadCredential", "\nLoadCredential", "\n#Environment", "\nEnvironment").Replace(service)
	if strings.Count(optional, "\nLoadCredential=") != 2 || !strings.Contains(optional, "\nEnvironment=HUSK_TLS_CERT=%d/tls.crt HUSK_TLS_KEY=%d/tls.key\n") {
		t.Error("the lines for TLS are not those that are documented")
	}
	for name, text := range map[string]string{"as it is": service, "with TLS": optional} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			systemdTool(t, "systemd-analyze", "verify", "--man=no",
				writeFile(t, dir, "husk.service", text), writeFile(t, dir, "husk.socket", unitText(t, "husk.socket")))
		})
	}
	t.Run("exposure", func(t *testing.T) {
		systemdTool(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=12", unitFolder+"/husk.service")
	})
	t.Run("user", func(t *testing.T) {
		file, err := filepath.Abs(unitFolder + "/husk.sysusers")
		if err != nil {
			t.Fatal(err)
		}
		systemdTool(t, "systemd-sysusers", "--dry-run", file)
	})
}

// TestUnitAgreesWithTheProgram: its bounds leave time for what husk does.
func TestUnitAgreesWithTheProgram(t *testing.T) {
	service := unitText(t, "husk.service")
	setting := func(name string) string {
		_, rest, ok := strings.Cut(service, "\n"+name+"=")
		if !ok {
			t.Fatalf("%s is not in the unit", name)
		}
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	for name, least := range map[string]time.Duration{"TimeoutStartSec": 2 * handoverPatience, "TimeoutStopSec": handoverPatience} {
		if d, err := time.ParseDuration(setting(name)); err != nil || d < least {
			t.Errorf("%s is %v, %v; want at least %v", name, d, err, least)
		}
	}
	if setting("RestartPreventExitStatus") != strconv.Itoa(exitUsage) || setting("User") != "husk" || !strings.HasPrefix(unitText(t, "husk.sysusers"), "#") {
		t.Error("the unit does not fit")
	}
	if strings.Contains(service, "\nPrivateUsers=yes") || strings.Contains(service, "\nDynamicUser=yes") {
		t.Error("root's commands would not be known")
	}
	if !strings.Contains(setting("Environment"), "HUSK_DATA=/var/lib/"+setting("StateDirectory")) {
		t.Error("the data folder is not the state folder")
	}
}

// TestShippedConfig: the file is valid as it is, and with every line taken. It
// shows every setting of the server.
func TestShippedConfig(t *testing.T) {
	text := unitText(t, "husk.yaml")
	var all strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") || strings.HasPrefix(line, "#  ") {
			all.WriteString(rest)
		}
	}
	path := writeFile(t, t.TempDir(), "husk.yaml", text)
	if r := runHere(t, nil, "", "config", "check", path); r.code != exitDone {
		t.Errorf("as it is: %s\n%s", r.out, text)
	}
	// The files that the others name are not there.
	c, err := readConfig(writeFile(t, t.TempDir(), "husk.yaml", all.String()))
	if err != nil || len(c.problems) > 0 {
		t.Fatalf("all: %v, %v\n%s", err, c.problems, &all)
	}
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addServeFlags(f)
	f.VisitAll(func(f *pflag.Flag) {
		if c.lines[f.Name] == 0 {
			t.Errorf("it does not show %s", f.Name)
		}
	})
	if c.gate == nil || len(c.gate.lines) != 4 || len(c.gate.rules) != 2 || len(c.gate.rules[0])+len(c.gate.rules[1]) != 10 {
		t.Errorf("it does not show all of the gate: %+v", c.gate)
	}
}
