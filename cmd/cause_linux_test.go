package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"husk/db/dbtest/syscalls"
	"husk/web/control"
)

// faulty runs the program with calls that fail, and tells whether any did.
func (p program) faulty(t *testing.T, rules, args []string) (r result, met bool) {
	t.Helper()
	c := p.command(t.Context(), args...)
	file := filepath.Join(t.TempDir(), "trace")
	if err := syscalls.Trace(c, file, rules...); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	calls, err := syscalls.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range calls {
		met = met || call.Injected
	}
	return result{code: c.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}, met
}

// inject makes calls fail.
func inject(call, rest string) []string {
	return []string{"-e", "trace=" + call, "-e", "inject=" + call + ":error=" + rest}
}

// TestCauseOfFailedCalls: what the system answers is told as what it means, and
// what a file system does not have is done without where that can be.
func TestCauseOfFailedCalls(t *testing.T) {
	t.Parallel()
	needStrace(t)
	store, _ := faultTemplate(t)
	for _, c := range []struct {
		call, fault string
		there       bool // the store; the faults are of its file alone
		code        int
		says        string
		long        bool // tried with HUSK_LONG alone
	}{
		{"linkat", "EPERM", false, exitDone, "", false},
		{"linkat,renameat2", "EOPNOTSUPP", false, exitDone, "", false},
		{"linkat,renameat2", "EINVAL", false, exitDone, "", true},
		{"fchmod", "EPERM", false, exitDone, "", false},
		{"fchmodat", "ENOSYS", false, exitDone, "", true},
		{"fsync", "EINVAL", false, exitFailure, "can't keep what is written", true},
		{"fdatasync", "EINVAL", false, exitFailure, "can't keep what is written", false},
		{"fdatasync", "EIO", false, exitFailure, "failed: it could not read or write; nothing was changed", true},
		{"ftruncate", "EPERM", false, exitFailure, "can't make a file longer", true},
		{"flock", "ENOLCK", false, exitFailure, "keeps no locks", false},
		{"flock", "EOPNOTSUPP", true, exitFailure, "keeps no locks", true},
		{"mkdirat", "EROFS", false, exitFailure, "is read-only", true},
		{"mkdirat", "EDQUOT", false, exitFailure, "the quota is used up", true},
		{"mkdirat", "ENAMETOOLONG", false, exitFailure, "longer than the file system takes", true},
		{"mkdirat", "EPERM", false, exitDenied, "whatever owner and mode say", false},
		{"openat", "EACCES", true, exitDenied, "something else forbids it", false},
		{"openat", "EPERM", true, exitDenied, "lsattr", false},
		{"openat", "EMFILE", true, exitFailure, "LimitNOFILE", false},
		{"openat", "ENFILE", true, exitFailure, "fs.file-max", true},
		{"openat", "ESTALE", true, exitFailure, "the file server does not know the file", true},
		{"mmap", "ENODEV", true, exitFailure, "can't map files into memory", false},
	} {
		if c.long && os.Getenv("HUSK_LONG") == "" {
			continue
		}
		t.Run(c.call+"-"+c.fault, func(t *testing.T) {
			t.Parallel()
			p, rules := program{data: newData(t)}, inject(c.call, c.fault)
			if c.there {
				p = copied(t, store, false)
				rules = append(rules, "-P", p.store())
			}
			r, met := p.faulty(t, rules, []string{"token", "create"})
			if !met || r.code != c.code || !strings.Contains(r.stderr, c.says) {
				t.Errorf("met %v: want %d and %q, got %v", met, c.code, c.says, r)
			}
			for _, wrong := range []string{"server's log", "another process", "request id", ".husk-"} {
				if strings.Contains(r.stderr, wrong) {
					t.Errorf("it says %q: %s", wrong, r.stderr)
				}
			}
			if c.code == exitDone {
				p.want(t, exitDone, "check")
				wantFiles(t, p.data, "husk.db")
			} else if !c.there {
				if made, _ := os.ReadDir(p.data); len(made) > 0 {
					t.Errorf("left behind: %v", made)
				}
			}
		})
	}
}

// A folder that can't be synced keeps nobody out: there is no more to be had.
func TestFolderWithoutSync(t *testing.T) {
	t.Parallel()
	needStrace(t)
	p := program{data: newData(t)}
	rules := append(inject("fsync", "EINVAL"), "-P", p.data, "-P", filepath.Dir(p.data))
	if r, met := p.faulty(t, rules, []string{"token", "create"}); !met || r.code != exitDone {
		t.Errorf("met %v, %v", met, r)
	}
}

// Without hard links the store before is kept all the same.
func TestRestoreWithoutLinks(t *testing.T) {
	t.Parallel()
	needStrace(t)
	store, _ := faultTemplate(t)
	p := copied(t, store, false)
	file := filepath.Join(t.TempDir(), "b.tar")
	p.ok(t, "backup", "--output", file)
	p.ok(t, "token", "create", "--name", "later")
	before, err := os.ReadFile(p.store())
	if err != nil {
		t.Fatal(err)
	}
	r, met := p.faulty(t, inject("linkat", "EPERM"), []string{"restore", file})
	kept, err := os.ReadFile(p.store() + ".before-restore")
	if !met || r.code != exitDone || err != nil || !bytes.Equal(kept, before) || p.tokenNames(t)["later"] {
		t.Errorf("met %v, %v, %v", met, r, err)
	}
	wantFiles(t, p.data, "husk.db", "husk.db.before-restore")
}

// A data folder that takes no socket has its server found without, by its owner
// and by nobody else.
func TestFolderWithoutSockets(t *testing.T) {
	t.Parallel()
	needStrace(t)
	needRoot(t)
	p := program{data: openDir(t)}
	// The first is the sign of claimFolder, which needs no folder. strace counts for
	// each thread, and a goroutine may go on in another: then none met it.
	traced := func() *tracedServer { return p.serveTraced(t, inject("bind", "EOPNOTSUPP:when=2")...) }
	s := traced()
	for try := 1; !strings.Contains(s.log.String(), "takes no sockets"); try++ {
		if try == 5 {
			t.Fatalf("the log: %s", &s.log)
		}
		s.end()
		s = traced()
	}
	p.ok(t, "token", "create", "--name", "beside")
	if got := p.ok(t, "health"); !strings.Contains(got, "the running server") {
		t.Errorf("health says %s", got)
	}
	if _, err := os.Lstat(filepath.Join(p.data, control.Name)); err == nil {
		t.Error("there is a socket")
	}
	stranger := program{data: p.data, uid: nobody}
	if r := stranger.run(t, "token", "list"); r.code != exitDenied || strings.Contains(r.stderr, "know you") {
		t.Errorf("a stranger is answered: %v", r)
	}
	s.end()
	p.ok(t, "token", "list")
}

// The folder is mine, and what is in it is not: both owners are told, and how
// it is mended.
func TestWhoseFileItIs(t *testing.T) {
	t.Parallel()
	needRoot(t)
	owned := func(file, folder int, mode os.FileMode) program {
		data := openDir(t)
		p := program{data: data}
		p.ok(t, "token", "create")
		err := errors.Join(os.Chown(p.store(), file, file), os.Chmod(p.store(), mode), os.Chown(data, folder, folder), os.Chmod(data, 0o700))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	roots, mine := owned(0, nobody, 0o600), owned(nobody, nobody, 0o400)
	other, sealed := owned(nobody+1, nobody+1, 0o600), owned(nobody, nobody, 0o600)
	if err := os.Chmod(sealed.data, 0o500); err != nil {
		t.Fatal(err)
	}
	chown := fmt.Sprintf("as root: chown %d:%d %s", nobody, nobody, roots.store())
	for _, c := range []struct {
		what string
		p    program
		uid  uint32
		args []string
		says []string
	}{
		{"a file of root's", roots, nobody, []string{"token", "create"}, []string{roots.store() + " belongs to uid 0, and its folder to uid", chown}},
		{"the same to root, who is the owner there", roots, 0, []string{"token", "create"}, []string{"belongs to uid 0", chown}},
		{"the same to a server", roots, nobody, []string{"serve", "--addr", "127.0.0.1:0"}, []string{"belongs to uid 0", chown}},
		{"the same to a repair", roots, nobody, []string{"check", "--repair"}, []string{"belongs to uid 0", chown}},
		{"the same to a compaction", roots, nobody, []string{"compact"}, []string{"belongs to uid 0", chown}},
		{"a mode", mine, nobody, []string{"token", "create"}, []string{"mode 0400", "chmod 600 " + mine.store()}},
		{"a folder's mode", sealed, nobody, []string{"serve", "--addr", "127.0.0.1:0"}, []string{"can't be made"}},
		{"another's folder", other, nobody, []string{"token", "create"}, []string{fmt.Sprintf("belongs to uid %d, and this is uid %d", nobody+1, nobody), "as the owner of that folder, or as root"}},
	} {
		p := c.p
		p.uid = c.uid
		r := p.want(t, exitDenied, c.args...)
		for _, says := range append(c.says, "permission denied") {
			if !strings.Contains(r.stderr, says) {
				t.Errorf("%s: %q is not in %s", c.what, says, r.stderr)
			}
		}
	}
}

// An offline command has no server, and so no server's log.
func TestOfflineTellsTheCause(t *testing.T) {
	t.Parallel()
	needStrace(t)
	store, _ := faultTemplate(t)
	p := copied(t, store, false)
	r, met := p.faulty(t, inject("unlinkat", "EPERM:when=1"), []string{"backup", "--output", filepath.Join(t.TempDir(), "b.tar")})
	if !met || r.code != exitFailure || strings.Contains(r.stderr, "server's log") || !strings.Contains(r.stderr, "chattr") {
		t.Errorf("met %v, %v", met, r)
	}
}
