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

func dialAsChild(path string) {
	c, err := Dial(context.Background(), path)
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

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// openFolder is a folder with a short path that every user may enter.
func openFolder(t *testing.T) string {
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
	dir := filepath.Join(openFolder(t), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustPath(t *testing.T, dir string) string {
	t.Helper()
	path, err := Path(dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func mustListen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
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

func mustMeet(t *testing.T, l net.Listener, path string) {
	t.Helper()
	c, err := Dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if p, ok := PeerOf(s); !ok || p.UID != os.Geteuid() || p.Offline {
		t.Errorf("PeerOf = %+v, %v", p, ok)
	}
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
	path := mustPath(t, openFolder(t))
	makeStale(t, path)
	if _, err := Dial(context.Background(), path); !errors.Is(err, ErrNoServer) {
		t.Fatalf("Dial on a stale socket: %v", err)
	}
	mustMeet(t, mustListen(t, path), path)
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
			path := mustPath(t, openFolder(t))
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), path) {
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
	path := mustPath(t, openFolder(t))
	mustListen(t, path)
	mustMode(t, path, fs.ModeSocket|0o600)
	if got := syscall.Umask(0); got != 0 {
		t.Errorf("umask after Listen is %04o, want the one before it", got)
	}
}

func TestParallelListensRestoreTheUmask(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	dir := openFolder(t)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			l, err := Listen(filepath.Join(dir, fmt.Sprint(i)))
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
	path := mustPath(t, openFolder(t))
	l := mustListen(t, path)
	cmd := child(t, dialEnv, path, os.Geteuid())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
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
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if p, ok := PeerOf(c); !ok || p != want {
		t.Errorf("PeerOf after the child's end = %+v, %v, want %+v", p, ok, want)
	}
}

func TestStrangerIsRefused(t *testing.T) {
	needRoot(t)
	for name, mode := range map[string]fs.FileMode{"by the socket": 0o755, "by the folder": 0o700} {
		t.Run(name, func(t *testing.T) {
			dir := openFolder(t)
			path := mustPath(t, dir)
			mustListen(t, path)
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			out, err := child(t, dialEnv, path, nobody).Output()
			if err != nil || !strings.HasPrefix(string(out), "permission:") {
				t.Errorf("the stranger got %q, %v", out, err)
			}
		})
	}
}

func TestSocketBelongsToFolderOwner(t *testing.T) {
	needRoot(t)
	for name, folder := range map[string]func(*testing.T) string{"data folder": openFolder, "run folder": longFolder} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			if err := os.Chown(dir, nobody, nobody); err != nil {
				t.Fatal(err)
			}
			path := mustPath(t, dir)
			removeRunDir(t, path)
			l := mustListen(t, path)
			mustMode(t, path, fs.ModeSocket|0o600)
			mustMeet(t, l, path)
			out, err := child(t, dialEnv, path, nobody).Output()
			if err != nil || !strings.HasPrefix(string(out), "connected") {
				t.Errorf("the folder's owner got %q, %v", out, err)
			}
		})
	}
}

// removeRunDir leaves no run folder of another user behind.
func removeRunDir(t *testing.T, path string) {
	t.Helper()
	if uid, ok := runDirOwner(path); ok && uid != os.Geteuid() {
		t.Cleanup(func() { _ = os.Remove(filepath.Dir(path)) })
	}
}

func TestNoServer(t *testing.T) {
	long := mustPath(t, longFolder(t))
	for name, path := range map[string]string{"absent": mustPath(t, openFolder(t)), "absent, long": long} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(context.Background(), path)
			if !errors.Is(err, ErrNoServer) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Dial = %v", err)
			}
		})
	}
	if _, err := Path(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Path of an absent folder: %v", err)
	}
}

func TestDialKeepsTheContextsError(t *testing.T) {
	path := mustPath(t, openFolder(t))
	mustListen(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(ctx, path); err == nil || errors.Is(err, ErrNoServer) {
		t.Errorf("Dial = %v", err)
	}
}

func TestBothSidesAgreeOnTheFallback(t *testing.T) {
	dir := longFolder(t)
	link := filepath.Join(openFolder(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	server := mustPath(t, dir)
	if len(server) > maxPath || filepath.Dir(server) != runDir(os.Geteuid()) {
		t.Fatalf("Path = %s", server)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if client := mustPath(t, link); client != server {
		t.Errorf("through a link the client looks at %s, the server listens on %s", client, server)
	}
	if other := mustPath(t, longFolder(t)); other == server {
		t.Errorf("two folders share %s", other)
	}
	l := mustListen(t, server)
	mustMode(t, server, fs.ModeSocket|0o600)
	mustMode(t, filepath.Dir(server), fs.ModeDir|0o700)
	mustMeet(t, l, server)
}

func TestPathLimit(t *testing.T) {
	dir := openFolder(t)
	room := maxPath - len(filepath.Join(dir, "", Name)) - 1
	for _, c := range []struct {
		length   int
		fallback bool
	}{{room, false}, {room + 1, true}} {
		sub := filepath.Join(dir, strings.Repeat("x", c.length))
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		path := mustPath(t, sub)
		if fallback := path != filepath.Join(sub, Name); fallback != c.fallback {
			t.Errorf("a name of %d bytes gives %s", c.length, path)
		}
		mustMeet(t, mustListen(t, path), path)
	}
}

func TestStrangersRunFolderIsRefused(t *testing.T) {
	me := os.Geteuid()
	cases := map[string]func(dir string) error{
		"open to others": func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o710)
		},
		"a file": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link": func(dir string) error {
			if err := os.Mkdir(dir+"2", 0o700); err != nil {
				return err
			}
			return os.Symlink(dir+"2", dir)
		},
	}
	if me == 0 {
		cases["a stranger's"] = func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chown(dir, nobody, nobody)
		}
	}
	for name, put := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(openFolder(t), "run")
			if err := put(dir); err != nil {
				t.Fatal(err)
			}
			if err := checkRunDir(dir, me); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("checkRunDir = %v", err)
			}
			if err := makeRunDir(dir, me); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("makeRunDir = %v", err)
			}
		})
	}
}

// A stranger who can write to the folder may serve there, but is not talked to.
func TestStrangersServerIsRefused(t *testing.T) {
	needRoot(t)
	dir := openFolder(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := mustPath(t, dir)
	cmd := child(t, listenEnv, path, nobody)
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
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "listening\n" {
		t.Fatalf("the server says %q, %v", line, err)
	}
	if _, err := Dial(context.Background(), path); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNoServer) {
		t.Errorf("Dial = %v", err)
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestSquattedRunFolderIsRefused(t *testing.T) {
	needRoot(t)
	// Of a uid that no other test has.
	uid := 2_000_000_000 + os.Getpid()
	dir := runDir(uid)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "0.sock")
	makeStale(t, path)
	if _, err := Dial(context.Background(), path); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNoServer) {
		t.Errorf("Dial = %v", err)
	}
	if _, err := Listen(path); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Listen = %v", err)
	}
}

func TestDataFolderNamedLikeARunFolder(t *testing.T) {
	dir := runDir(2_100_000_000 + os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := mustPath(t, dir)
	mustMeet(t, mustListen(t, path), path)
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
