//go:build ship

package dist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What is in every machine of these tests besides what Debian can't be without.
const machinePackages = "systemd,systemd-sysv,dbus,passwd,rpm"

// machine is a Debian of its own in a container, without any network: a root
// folder, and where it was booted a systemd that starts and stops what is
// installed, as on anybody's machine.
type machine struct {
	t      *testing.T
	root   string
	leader string // its first process, seen from here; "" where it is not booted
}

var machines atomic.Int32

// newMachine makes one, and ends it with the test.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		mustRun(t, "a machine of its own is root's to make")
	}
	need(t, "systemd-nspawn", "systemd-container")
	m := &machine{t: t, root: filepath.Join(t.TempDir(), fmt.Sprintf("husk-%d", machines.Add(1)))}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xf", machineImage(t), "-C", m.root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return m
}

var image struct {
	once sync.Once
	path string
	err  error
}

// machineImage is what a machine begins with. It is made once, from where this
// machine's apt has its Debian, and kept with the user's caches.
func machineImage(t testing.TB) string {
	t.Helper()
	need(t, "mmdebstrap", "mmdebstrap")
	image.once.Do(func() {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir := filepath.Join(cache, "husk-machines")
		image.path = filepath.Join(dir, "bookworm-"+strings.ReplaceAll(machinePackages, ",", "-")+".tar")
		if _, err := os.Stat(image.path); err == nil {
			return
		}
		if image.err = os.MkdirAll(dir, 0o700); image.err != nil {
			return
		}
		part := fmt.Sprintf("%s.%d", image.path, os.Getpid())
		defer os.Remove(part)
		cmd := exec.Command("mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar", "--include="+machinePackages, "bookworm", part, mirror())
		if out, err := cmd.CombinedOutput(); err != nil {
			image.err = fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
			return
		}
		image.err = os.Rename(part, image.path)
	})
	if image.err != nil {
		t.Fatal(image.err)
	}
	return image.path
}

// mirror is where this machine's apt has bookworm, else where Debian has it.
func mirror() string {
	out, _ := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm", "Component: main").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	if first == "" {
		return "http://deb.debian.org/debian"
	}
	return first
}

// put copies a file into the machine, under /root.
func (m *machine) put(path string) (inside string) {
	m.t.Helper()
	text, err := os.ReadFile(path)
	inside = "/root/" + filepath.Base(path)
	if err := errors.Join(err, os.WriteFile(m.root+inside, text, 0o755)); err != nil {
		m.t.Fatal(err)
	}
	return inside
}

// name is one that no other machine of a test here has.
func (m *machine) name() string { return fmt.Sprintf("husk-%d-%s", os.Getpid(), filepath.Base(m.root)) }

// boot starts the machine, and waits until it is up.
func (m *machine) boot() {
	m.t.Helper()
	_ = os.Remove(m.root + "/etc/machine-id")
	cmd := exec.Command("systemd-nspawn", "--quiet", "--boot", "--directory="+m.root, "--machine="+m.name(),
		"--private-network", "--register=no", "--keep-unit", "--console=pipe")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	m.t.Cleanup(func() { m.stop(cmd, ended) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			m.t.Fatalf("the machine did not start: %s", said.String())
		default:
		}
		// The first child is one on the way to the machine's first process.
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		m.leader = strings.TrimSpace(string(children))
		if m.leader == "" {
			continue
		}
		d := m.run("systemctl", "list-units", "--no-legend", "multi-user.target")
		if strings.Contains(d.out, " active ") {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the machine is not up: %s\n%s", d.out, said.String())
		}
	}
}

// stop powers the machine off; what is left of it after that is killed.
func (m *machine) stop(cmd *exec.Cmd, ended chan struct{}) {
	if m.t.Failed() {
		m.t.Logf("the journal of husk:\n%s", m.run("journalctl", "--no-pager", "-u", "husk.service", "-u", "husk.socket", "-n", "40").out)
	}
	m.run("systemctl", "poweroff", "--force")
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}
	m.leader = ""
}

// nspawnSays is what the container says of itself, between what is said inside.
var nspawnSays = regexp.MustCompile(`(?m)^Attempted to remove disk file system under .*\n?`)

// did is what a command inside did.
type did struct {
	code int
	out  string // and what it said
}

// run runs a command inside, without a terminal and without an answer to anything
// that it may ask. In a machine that is not booted, it is the first process there.
func (m *machine) run(args ...string) did {
	m.t.Helper()
	return m.runFor(2*time.Minute, args...)
}

func (m *machine) runFor(patience time.Duration, args ...string) did {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	inside := append([]string{"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}, args...)
	var cmd *exec.Cmd
	if m.leader != "" {
		cmd = exec.CommandContext(ctx, "nsenter", append([]string{"--target", m.leader, "--all", "--"}, inside...)...)
	} else {
		cmd = exec.CommandContext(ctx, "systemd-nspawn", append([]string{"--quiet", "--directory=" + m.root, "--machine=" + m.name(), "--private-network", "--register=no", "--keep-unit", "--pipe", "--"}, inside...)...)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("%v: %v", args, err)
	}
	return did{code: cmd.ProcessState.ExitCode(), out: nspawnSays.ReplaceAllString(string(out), "")}
}

// ok runs a command that has to succeed, and returns what it printed.
func (m *machine) ok(args ...string) string {
	m.t.Helper()
	d := m.run(args...)
	if d.code != 0 {
		m.t.Fatalf("%v ended with %d:\n%s", args, d.code, d.out)
	}
	return d.out
}

// sh runs a line of shell that has to succeed.
func (m *machine) sh(line string) string {
	m.t.Helper()
	return strings.TrimSpace(m.ok("sh", "-euc", line))
}

// there tells whether a path is in the machine. Its own links are not followed out
// of it.
func (m *machine) there(path string) bool {
	_, err := os.Lstat(m.root + path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	return err == nil
}

// owner is the mode, the user and the group of a path.
func (m *machine) owner(path string) string {
	m.t.Helper()
	return m.sh("stat -c '%a %U %G' " + path)
}

// pid is the process of the service, "0" where it does not run.
func (m *machine) pid() string {
	m.t.Helper()
	return m.sh("systemctl show --property=MainPID --value husk.service")
}

// profile asks the server who a token is, as a program would.
func (m *machine) profile(token string) string {
	m.t.Helper()
	cmd := exec.Command("nsenter", "--target", m.leader, "--net", "--", need(m.t, "curl", "curl"), "-sS", "--max-time", "20", "-H", "@-", "http://127.0.0.1:9000/account/profile")
	cmd.Stdin = strings.NewReader("X-API-TOKEN: " + token + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
