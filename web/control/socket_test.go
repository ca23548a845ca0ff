//go:build unix

package control

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const nobody = 65534

// These make the test binary a client that dials the named socket, or a server
// that listens there. It tells on stdout how that went and waits for the end
// of stdin.
const (
	dialEnv   = "HUSK_TEST_DIAL"
	listenEnv = "HUSK_TEST_LISTEN"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(dialEnv); path != "" {
		dialAsChild(path)
		return
	}
	if path := os.Getenv(listenEnv); path != "" {
		listenAsChild(path)
		return
	}
	os.Exit(m.Run())
}

func dialAsChild(dir string) {
	c, err := Dial(context.Background(), dir)
	switch {
	case err == nil:
		fmt.Println("connected")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = c.Close()
	case errors.Is(err, ErrNoServer):
		fmt.Println("no server:", err)
	case errors.Is(err, fs.ErrPermission):
		fmt.Println("permission:", err)
	default:
		fmt.Println("other:", err)
	}
}

func listenAsChild(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("listening")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = l.Close()
}

// child runs the test binary as a client or server under uid. It is started through
// /proc because another uid can't reach the folder that the binary lies in.
func child(t *testing.T, role, path string, uid int) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		exe = "/proc/self/exe"
	}
	cmd := exec.Command(exe)
	// The race detector would hold up the exit by a second.
	cmd.Env = append(os.Environ(), role+"="+path, "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

// start starts a child and waits until it says so; end ends it.
func start(t *testing.T, cmd *exec.Cmd, says string) (end func()) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != says+"\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}

// wideFolder is a folder with a short path that every user may enter.
func wideFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "control-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func longFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(wideFolder(t), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustListen(t *testing.T, dir string) net.Listener {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		if _, err := os.Lstat(filepath.Join(dir, Name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Close the socket is still there: %v", err)
		}
	})
	return l
}

func mustMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
	}
}

// mustMeet has a client send a byte to the server, which tells it who is there.
func mustMeet(t *testing.T, l net.Listener, dir string) {
	t.Helper()
	accepted := accept(t, l)
	c, err := Dial(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	s := <-accepted
	if p, ok := PeerOf(s); !ok || p.UID != os.Geteuid() || p.Offline {
		t.Errorf("PeerOf = %+v, %v", p, ok)
	}
}

// accept takes one connection and reads its first byte, as a server does.
func accept(t *testing.T, l net.Listener) <-chan net.Conn {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			close(accepted)
			return
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		accepted <- c
	}()
	return accepted
}

func makeStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := wideFolder(t)
	makeStale(t, filepath.Join(dir, Name))
	if _, err := Dial(context.Background(), dir); !errors.Is(err, ErrNoServer) {
		t.Fatalf("Dial on a stale socket: %v", err)
	}
	mustMeet(t, mustListen(t, dir), dir)
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	kinds := map[string]func(path string) error{
		"file":      func(p string) error { return os.WriteFile(p, []byte("mine"), 0o644) },
		"folder":    func(p string) error { return os.Mkdir(p, 0o755) },
		"dead link": func(p string) error { return os.Symlink("nowhere", p) },
		"link to a socket": func(p string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p + "2", Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			_ = l.Close()
			return os.Symlink(p+"2", p)
		},
	}
	for name, put := range kinds {
		t.Run(name, func(t *testing.T) {
			dir := wideFolder(t)
			path := filepath.Join(dir, Name)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Listen(dir); err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("Listen = %v, want an error that names %s", err, path)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Errorf("it was touched: %v", err)
			}
		})
	}
}

func TestModeUnderWideUmask(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := wideFolder(t)
	mustListen(t, dir)
	mustMode(t, filepath.Join(dir, Name), fs.ModeSocket|0o600)
	if got := syscall.Umask(0); got != 0 {
		t.Errorf("umask after Listen is %04o, want the one before it", got)
	}
}

func TestParallelListensRestoreTheUmask(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	var dirs []string
	for range 32 {
		dirs = append(dirs, wideFolder(t))
	}
	var wg sync.WaitGroup
	for _, dir := range dirs {
		wg.Go(func() {
			l, err := Listen(dir)
			if err != nil {
				t.Error(err)
				return
			}
			_ = l.Close()
		})
	}
	wg.Wait()
	if got := syscall.Umask(0o027); got != 0o027 {
		t.Errorf("umask is %04o, want 0027", got)
	}
}

func TestPeerOfChild(t *testing.T) {
	dir := wideFolder(t)
	accepted := accept(t, mustListen(t, dir))
	cmd := child(t, dialEnv, dir, os.Geteuid())
	end := start(t, cmd, "connected")
	end()
	c := <-accepted // after its end
	want := Peer{UID: os.Geteuid(), PID: cmd.Process.Pid}
	if runtime.GOOS == "freebsd" {
		want.PID = 0
	}
	if p, ok := PeerOf(c); !ok || p != want {
		t.Errorf("PeerOf = %+v, %v, want %+v", p, ok, want)
	}
	if p, ok := PeerOf(tls.Server(c, &tls.Config{})); !ok || p != want {
		t.Errorf("PeerOf through TLS = %+v, %v, want %+v", p, ok, want)
	}
}

func TestStrangerIsRefused(t *testing.T) {
	needRoot(t)
	for name, mode := range map[string]fs.FileMode{"by the socket": 0o755, "by the folder": 0o700} {
		t.Run(name, func(t *testing.T) {
			dir := wideFolder(t)
			mustListen(t, dir)
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			out, err := child(t, dialEnv, dir, nobody).Output()
			if err != nil || !strings.HasPrefix(string(out), "permission:") {
				t.Errorf("the stranger got %q, %v", out, err)
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	for name, dir := range map[string]string{"absent": wideFolder(t), "absent, long": longFolder(t), "no folder": filepath.Join(t.TempDir(), "absent")} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(context.Background(), dir)
			if !errors.Is(err, ErrNoServer) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Dial = %v", err)
			}
		})
	}
}

func TestDialKeepsTheContextsError(t *testing.T) {
	dir := wideFolder(t)
	mustListen(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(ctx, dir); err == nil || errors.Is(err, ErrNoServer) {
		t.Errorf("Dial = %v", err)
	}
}

// A path may have any length, on both sides of the limit.
func TestPathLimit(t *testing.T) {
	dir := wideFolder(t)
	room := maxPath - len(filepath.Join(dir, "", Name)) - 1
	for _, length := range []int{room, room + 1, 200} {
		sub := filepath.Join(dir, strings.Repeat("x", length))
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		mustMeet(t, mustListen(t, sub), sub)
	}
}

// A stranger who can write to the folder may serve there, but is not talked to.
func TestStrangersServerIsRefused(t *testing.T) {
	needRoot(t)
	dir := wideFolder(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, listenEnv, filepath.Join(dir, Name), nobody)
	end := start(t, cmd, "listening")
	if _, err := Dial(context.Background(), dir); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNoServer) {
		t.Errorf("Dial = %v", err)
	}
	end()
}

func TestPeerOfOtherConnections(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for name, c := range map[string]net.Conn{
		"nil":               nil,
		"pipe":              a,
		"TLS over a pipe":   tls.Server(a, &tls.Config{}),
		"peer not known":    &Conn{Conn: a},
		"wraps nothing":     wrapper{},
		"wraps the unknown": wrapper{&Conn{Conn: a}},
	} {
		if p, ok := PeerOf(c); ok || p != (Peer{}) {
			t.Errorf("%s: PeerOf = %+v, %v", name, p, ok)
		}
	}
}

type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }
