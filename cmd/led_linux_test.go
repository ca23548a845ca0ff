package cmd

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"husk/db/dbtest"
	"husk/web/control"
)

// decoy is a store of root's that others would like root to work on, with what
// it was when it was made.
type decoy struct {
	program
	text []byte
}

func newDecoy(t *testing.T, data string) decoy {
	t.Helper()
	d := decoy{program: program{data: data}}
	d.ok(t, "token", "create", "--name", "of root")
	text, err := os.ReadFile(d.store())
	if err != nil {
		t.Fatal(err)
	}
	d.text = text
	return d
}

func (d decoy) wantUntouched(t *testing.T) {
	t.Helper()
	wantStore(t, d.program, d.text)
	wantFiles(t, d.data, embedded.file)
}

// own makes a folder and gives it away.
func own(t *testing.T, uid int, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Lchown(dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func linkOf(t *testing.T, uid int, to string, path ...string) string {
	t.Helper()
	link := filepath.Join(path...)
	if err := errors.Join(os.Symlink(to, link), os.Lchown(link, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return link
}

// TestRootIsNotLed has folders on the way to which somebody else decides where
// root comes to: no command goes there.
func TestRootIsNotLed(t *testing.T) {
	dbtest.NoRace(t, "commands, one after the other")
	t.Parallel()
	needRoot(t)
	dir := openDir(t)
	roots := newDecoy(t, filepath.Join(dir, "roots"))
	backup := filepath.Join(dir, "backup.tar")
	roots.ok(t, "backup", "--output", backup)
	roots = newDecoy(t, filepath.Join(dir, "decoy")) // which nothing has looked at
	theirs := own(t, nobody, dir, "theirs")
	shared := own(t, 0, dir, "shared")
	inTheirs := newDecoy(t, filepath.Join(dir, "moved"))
	moved := filepath.Join(own(t, nobody, dir, "above"), "data")
	if err := os.Rename(inTheirs.data, moved); err != nil {
		t.Fatal(err)
	}
	inTheirs.data = moved
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"a link in their place":          linkOf(t, nobody, roots.data, theirs, "data"),
		"a link in root's":               linkOf(t, nobody, roots.data, dir, "link"),
		"a link above it":                filepath.Join(linkOf(t, nobody, dir, theirs, "up"), "decoy"),
		"a folder of root's, in theirs":  inTheirs.data,
		"a folder all may write to":      shared,
		"a new one, where all may write": filepath.Join(shared, "new"),
		"a new one, where a link leads":  filepath.Join(linkOf(t, nobody, dir, theirs, "new"), "new"),
	} {
		t.Run(name, func(t *testing.T) {
			p := program{data: data, stdin: testPassword + "\n"}
			for _, args := range [][]string{
				{"token", "create"}, {"token", "list"}, {"passwd", "--password-stdin"}, {"health"}, {"check"}, {"check", "--repair"}, {"compact"},
				{"backup", "--output", "-"}, {"restore", backup}, {"serve", "--addr", "127.0.0.1:0"},
			} {
				r := p.want(t, exitDenied, args...)
				if r.stdout != "" || !strings.Contains(r.stderr, "root does not work in the data folder "+data+": ") || strings.Count(r.stderr, "\n") != 2 {
					t.Errorf("husk %q: %v", args, r)
				}
			}
			roots.wantUntouched(t)
			inTheirs.wantUntouched(t)
			wantFiles(t, shared)
		})
	}
}

// TestSocketOfAnotherServer has a link in the place of their control socket: it
// leads to a server of root's, which root's command is not to change.
func TestSocketOfAnotherServer(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := openDir(t)
	roots := program{data: filepath.Join(dir, "roots")}
	s := roots.serve(t)
	theirs := program{data: own(t, nobody, dir, "theirs")}
	linkOf(t, nobody, filepath.Join(roots.data, control.Name), theirs.data, control.Name)
	r := theirs.want(t, exitDenied, "user", "create", "evil@example.com", "--role", "admin", "--generate")
	if r.stdout != "" || !strings.Contains(r.stderr, "no access to the control socket in "+theirs.data) {
		t.Errorf("%v", r)
	}
	roots.want(t, exitNotFound, "user", "show", "evil@example.com")
	s.end()
}

// TestRootInTheirFolder has root work in the folder of another user, behind one
// that only root enters: as that user, and with what is root's own.
func TestRootInTheirFolder(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir() // 0700
	p := program{data: filepath.Join(own(t, nobody, dir, "theirs"), "deep", "data"), stdin: testPassword + "\n"}
	mine := own(t, 0, dir, "mine")
	if err := os.Chmod(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	p.ok(t, "token", "create", "--output", filepath.Join(mine, "token"))
	p.ok(t, "backup", "--output", filepath.Join(mine, "husk.tar"))
	p.ok(t, "passwd", "--password-stdin")
	p.ok(t, "compact")
	p.ok(t, "restore", filepath.Join(mine, "husk.tar"))
	p.ok(t, "check", "--repair")
	if got := p.ok(t, "audit", "list", "--json"); !strings.Contains(got, `"actor_name": "uid 0"`) {
		t.Errorf("the audit does not name root: %s", got)
	}
	for path, want := range map[string]uint32{
		filepath.Dir(p.data): nobody, p.data: nobody, p.store(): nobody, p.store() + ".before-restore": nobody,
		filepath.Join(mine, "token"): 0, filepath.Join(mine, "husk.tar"): 0,
	} {
		if uid := ownerOf(t, path); uid != want {
			t.Errorf("%s belongs to %d", path, uid)
		}
	}
	// What goes wrong is told of the folder that was named.
	if err := os.WriteFile(p.store(), []byte("no store"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"token", "list"}, {"compact"}, {"check", "--repair"}} {
		if r := p.want(t, exitInvalid, args...); strings.Contains(r.stderr, "/proc/") || !strings.Contains(r.stderr, p.store()) {
			t.Errorf("husk %q: %v", args, r)
		}
	}
}

// TestRootServesAnother has root serve the folder of another user. The server
// works as that user, and is root for what root named alone.
func TestRootServesAnother(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir() // 0700
	p := program{data: own(t, nobody, dir, "theirs")}
	config := writeFile(t, dir, "husk.yaml", "log-level: info\n")
	s := p.serve(t, "--config", config)
	for what, want := range map[string]string{"Uid": "0\t65534\t0\t65534", "Gid": "0\t65534\t0\t65534"} {
		if got := statusOf(t, s.cmd.Process.Pid, what); got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
	writeFile(t, dir, "husk.yaml", "log-level: debug\n")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it reads root's file again", func() bool { return strings.Contains(s.log.String(), `"applied":"log-level"`) })
	p.ok(t, "token", "create", "--name", "beside")
	for _, name := range []string{embedded.file, control.Name} {
		if uid := ownerOf(t, filepath.Join(p.data, name)); uid != nobody {
			t.Errorf("%s belongs to %d", name, uid)
		}
	}
	s.end()
	wantFiles(t, p.data, embedded.file)
}

// statusOf returns a line of /proc/PID/status. All threads of a process are the
// same there.
func statusOf(t *testing.T, pid int, what string) string {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	found := ""
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), what+":\t")
		line, _, _ := strings.Cut(rest, "\n")
		if found != "" && line != found {
			t.Errorf("%s: %q in one thread, %q in another", what, line, found)
		}
		found = line
	}
	return found
}

// TestBackupFolderOfAnother has a server of root's keep no backups where others
// lead it.
func TestBackupFolderOfAnother(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := openDir(t)
	p := program{data: filepath.Join(dir, "data")}
	elsewhere := own(t, 0, dir, "elsewhere")
	for _, folder := range []string{own(t, nobody, dir, "theirs"), linkOf(t, nobody, elsewhere, dir, "link")} {
		r := p.want(t, exitUsage, "serve", "--addr", "127.0.0.1:0", "--backup-dir", folder)
		if !strings.Contains(r.stderr, "no backup can be written to backup-dir: "+folder) || !strings.Contains(r.stderr, "lead") {
			t.Errorf("%s: %v", folder, r)
		}
	}
	wantFiles(t, elsewhere)
}

// TestOlderServer asks a server of before the preface, which answers in HTTP.
func TestOlderServer(t *testing.T) {
	t.Parallel()
	data := openDir(t)
	l, err := net.Listen("unix", filepath.Join(data, control.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { _ = http.Serve(l, http.NotFoundHandler()) }()
	r := program{data: data}.want(t, exitBusy, "token", "list")
	if r.stdout != "" || !strings.Contains(r.stderr, "the running server is an older husk: restart it") {
		t.Errorf("%v", r)
	}
}
