//go:build ship

package dist

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWindows runs the program for Windows by wine: the first password, a server,
// commands beside it by its pipe, a backup and its way back, a server that is
// killed, and one that Ctrl-C ends.
//
// What wine 8 can't show is tested where it is decided, by what a Windows would
// answer: access lists (it makes them of modes: db/fsys), and the replacing of a
// file that is open (it has none).
func TestWindows(t *testing.T) {
	t.Parallel()
	w := newWine(t, windowsProgram(t))
	w.wants(0, "windows/amd64", "version")
	w.wants(3, "there is no store", "token", "list")
	w.given("correct horse battery staple\n").wants(0, "", "passwd", "--password-stdin")
	w.wants(0, `C:\ProgramData\Husk`, "config", "show")
	w.wants(0, "", "token", "create", "--name", "offline", "--output", `C:\offline.token`)

	s := w.serve()
	w.firstConnection()
	secret := strings.TrimSpace(w.wants(0, "", "token", "create", "--name", "beside"))
	if code := s.status(t, "/account/profile", secret); code != http.StatusOK {
		t.Errorf("the new token gets %d", code)
	}
	if said := w.wants(0, `"transport": "socket"`, "audit", "list", "--json"); !strings.Contains(said, "S-1-5-") {
		t.Errorf("the audit log names no user of Windows:\n%s", said)
	}
	w.wants(0, "sound:", "check")
	w.wants(0, "", "backup", "--output", `C:\backup.tar`)
	for _, busy := range [][]string{{"compact"}, {"restore", `C:\backup.tar`}, {"serve", "--addr", "127.0.0.1:0"}} {
		w.wants(6, "", busy...)
	}
	s.kill()

	w.wants(0, "", "token", "create", "--name", "late")
	if list := w.wants(0, "", "token", "list"); !strings.Contains(list, "late") || !strings.Contains(list, "beside") {
		t.Errorf("after the server was killed there are:\n%s", list)
	}
	w.wants(0, "", "restore", `C:\backup.tar`)
	if list := w.wants(0, "", "token", "list"); strings.Contains(list, "late") || !strings.Contains(list, "beside") {
		t.Errorf("after the restore there are:\n%s", list)
	}
	w.wants(0, "", "compact")
	w.wants(0, "sound:", "check")

	s = w.serve() // where the killed one has left the name of its pipe
	if code := s.status(t, "/account/profile", secret); code != http.StatusOK {
		t.Errorf("after all that the token gets %d", code)
	}
	s.interrupt()
	if _, err := os.Stat(filepath.Join(w.data(), "husk.sock")); !os.IsNotExist(err) {
		t.Errorf("a server that has ended leaves the name of its pipe: %v", err)
	}
	w.wants(0, "", "token", "list")
}

// windowsProgram is the one of the release. The release that tests make for
// themselves has none, so then it is built.
func windowsProgram(t *testing.T) string {
	t.Helper()
	need(t, "wine", "wine wine64")
	path := filepath.Join(released(t), "husk-v"+next(t)+"-windows-amd64.exe")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("HUSK_RELEASE") != "" {
		t.Fatalf("the release has no program for Windows: %s", path)
	}
	path = filepath.Join(t.TempDir(), "husk.exe")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "..")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return path
}

// wine is a Windows of its own with the program.
type wine struct {
	t       *testing.T
	program string
	prefix  string
	stdin   string
}

func newWine(t *testing.T, program string) *wine {
	t.Helper()
	w := &wine{t: t, program: program, prefix: filepath.Join(t.TempDir(), "prefix")}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	boot := w.command(ctx, "wineboot", "--init")
	said := w.output("boot")
	boot.Stdout, boot.Stderr = said, said
	if err := boot.Run(); err != nil {
		t.Fatalf("wineboot: %v: %s", err, readAll(t, said))
	}
	t.Cleanup(func() { // its server lives on for a while, and writes there
		end := exec.Command("wineserver", "-k", "-w")
		end.Env = w.env()
		_ = end.Run()
	})
	// Go asks bcryptprimitives.dll for random numbers, which wine has from version 9
	// on. What is there called ProcessPrng is older under another name.
	dll := filepath.Join(w.prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll")
	if _, err := os.Stat(dll); err == nil {
		return w
	}
	if err := os.WriteFile(dll, forwarder("bcryptprimitives.dll", "ProcessPrng", "advapi32.SystemFunction036"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wine) env() []string {
	return append(os.Environ(), "WINEPREFIX="+w.prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=")
}

// command runs a program by wine, for which files have modes: that they are private
// shows only under a umask that keeps them so.
func (w *wine) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `umask 077; exec wine "$@"`, "wine", program}, args...)...)
	cmd.Env = w.env()
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// data is the data folder of an administrator.
func (w *wine) data() string { return filepath.Join(w.prefix, "drive_c", "ProgramData", "Husk") }

// given is a wine whose next command reads text.
func (w *wine) given(text string) *wine {
	more := *w
	more.stdin = text
	return &more
}

// run runs a command of husk to its end.
func (w *wine) run(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cmd := w.command(ctx, w.program, args...)
	out, err := w.output("out"), w.output("err")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(w.stdin), out, err
	_ = cmd.Run()
	return readAll(w.t, out), readAll(w.t, err), cmd.ProcessState.ExitCode()
}

// output is a file for what a program says: what wine starts beside it would keep
// a pipe open.
func (w *wine) output(name string) *os.File {
	w.t.Helper()
	f, err := os.CreateTemp(filepath.Dir(w.prefix), name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { f.Close() })
	return f
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wants wants an exit code of a command, and a text on either stream.
func (w *wine) wants(code int, text string, args ...string) (stdout string) {
	w.t.Helper()
	out, err, got := w.run(args...)
	if got != code || !strings.Contains(out+err, text) {
		w.t.Fatalf("husk %s: exit code %d, want %d and %q:\n%s%s", strings.Join(args, " "), got, code, text, out, err)
	}
	return out
}

// firstConnection has wine's own first one: the first end of a pipe that a server
// makes, which in Windows only keeps its name, is one that clients get there, and
// nobody is behind it. The husk that gets it has to say so, in bounded time.
func (w *wine) firstConnection() {
	w.t.Helper()
	if out, err, code := w.run("token", "list"); code != 0 && (code != 6 || !strings.Contains(err, "does not answer")) {
		w.t.Fatalf("the first command: exit code %d:\n%s%s", code, out, err)
	}
}

// winServer is a running 'husk serve'.
type winServer struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string
	log  *os.File
}

func (w *wine) serve() *winServer {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := &winServer{t: w.t, log: w.output("serve"), base: "http://" + addr, cmd: w.command(w.t.Context(), w.program, "serve", "--addr", addr)}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if answer, err := http.Get(s.base + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(end) {
			s.kill()
			w.t.Fatalf("the server is not ready:\n%s", readAll(s.t, s.log))
		}
	}
}

// status asks the server with a token.
func (s *winServer) status(t *testing.T, path, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-TOKEN", token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// kill ends the server without a chance to do anything.
func (s *winServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// interrupt is Ctrl-C, which wine makes of SIGINT.
func (s *winServer) interrupt() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil || !strings.Contains(readAll(s.t, s.log), "husk has stopped") {
		s.t.Errorf("after Ctrl-C: %v:\n%s", err, readAll(s.t, s.log))
	}
}

// forwarder is a 64-bit DLL without code: one name, which leads to that of another
// DLL. Its form is that of "PE Format" of Microsoft.
func forwarder(dll, name, to string) []byte {
	const at, align, base = 0x1000, 0x200, 0x180000000
	le := binary.LittleEndian
	u16, u32, u64 := le.AppendUint16, le.AppendUint32, le.AppendUint64
	dllAt := uint32(at + 50) // behind the directory and its three tables of one
	nameAt := dllAt + uint32(len(dll)) + 1
	toAt := nameAt + uint32(len(name)) + 1
	var exports []byte
	for _, v := range []uint32{0, 0, 0, dllAt, 1, 1, 1, at + 40, at + 44, at + 48, toAt, nameAt} {
		exports = u32(exports, v)
	}
	exports = u16(exports, 0)
	exports = fmt.Appendf(exports, "%s\x00%s\x00%s\x00", dll, name, to)

	f := append([]byte("MZ"), make([]byte, 58)...)
	f = append(u32(f, 64), "PE\x00\x00"...)
	f = u16(u16(f, 0x8664), 1)                                             // amd64, one section
	f = u16(u16(append(f, make([]byte, 12)...), 240), 0x2022)              // a DLL
	f = u32(u32(u32(u32(u32(u16(u16(f, 0x20b), 0), 0), align), 0), 0), at) // PE32+
	f = u32(u32(u64(f, base), at), align)
	f = u32(u32(u32(u32(f, 6), 0), 6), 0) // versions
	f = u32(u32(u32(f, 2*at), 2*align), 0)
	f = u16(u16(f, 3), 0x100) // console, relocations don't matter
	f = u64(u64(u64(u64(f, 1<<20), 1<<12), 1<<20), 1<<12)
	f = u32(u32(f, 0), 16)
	f = u32(u32(f, at), uint32(len(exports)))
	f = append(f, make([]byte, 15*8)...)
	f = append(f, ".edata\x00\x00"...)
	f = u32(u32(u32(u32(f, uint32(len(exports))), at), align), 2*align)
	f = u32(append(f, make([]byte, 12)...), 0x40000040)
	f = append(f, make([]byte, 2*align-len(f))...)
	f = append(f, exports...)
	return append(f, make([]byte, 3*align-len(f))...)
}
