package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// makers are the commands that make a store where there is none.
var makers = [][]string{
	{"passwd", "--password-stdin"}, {"user", "create", "ann@example.com", "--no-password"},
	{"user", "import", "--ndjson", "-"}, {"restore"}, {"serve", "--addr", "127.0.0.1:0"},
}

// A folder that was taken from under its server is no place for another store,
// for none of those that make one. With the folder back, or the server ended, it
// is.
func TestNoSecondStore(t *testing.T) {
	t.Parallel()
	aside := t.TempDir()
	for name, c := range map[string]struct {
		take func(data string) error
		back func(data string) error // nil: it is gone
	}{
		"deleted": {os.RemoveAll, nil},
		"moved":   {func(data string) error { return os.Rename(data, aside+"/moved") }, func(data string) error { return os.Rename(aside+"/moved", data) }},
		"replaced": {func(data string) error { return errors.Join(os.Rename(data, aside+"/old"), os.Mkdir(data, 0o700)) },
			func(data string) error { return errors.Join(os.RemoveAll(data), os.Rename(aside+"/old", data)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program{data: filepath.Join(t.TempDir(), "data"), stdin: "nine crates of quinces\n"}
			backup := filepath.Join(t.TempDir(), "backup.tar")
			p.ok(t, "passwd", "--password-stdin")
			p.ok(t, "backup", "--output", backup)
			s := p.serve(t)
			if err := c.take(p.data); err != nil {
				t.Fatal(err)
			}
			for _, args := range append(makers, []string{"token", "list"}, []string{"health"}) {
				if args[0] == "restore" {
					args = []string{"restore", backup}
				}
				r := p.want(t, exitBusy, args...)
				if !strings.Contains(r.stderr, fmt.Sprintf("process %d serves", s.cmd.Process.Pid)) || !strings.Contains(r.stderr, "/fd/") {
					t.Errorf("husk %q: %v", args, r)
				}
				if _, err := os.Lstat(filepath.Join(p.data, embedded.file)); err == nil {
					t.Fatalf("husk %q made a store", args)
				}
			}
			if c.back != nil {
				if err := c.back(p.data); err != nil {
					t.Fatal(err)
				}
				p.ok(t, "health")
				p.ok(t, "token", "list")
			}
			s.end()
			p.ok(t, "passwd", "--password-stdin")
		})
	}
}

// Everybody can take the name of a folder: that of another user keeps nobody out.
func TestStrangersClaim(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		prerequisite(t, "only root can be another user")
	}
	data := newData(t)
	for _, name := range claimNames(data) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name + "-x"}); err != nil {
			t.Fatal(err)
		}
		stranger := os.NewFile(uintptr(fd), "socket")
		attr := &os.ProcAttr{Files: []*os.File{r, os.Stderr, os.Stderr, stranger}, Dir: "/", Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}}
		process, err := os.StartProcess("/bin/cat", []string{"cat"}, attr)
		if err != nil {
			t.Fatal(err)
		}
		defer process.Wait()
		defer process.Kill()
		r.Close()
		stranger.Close()
	}
	if len(claimInodes(claimNames(data))) == 0 {
		t.Fatal("no name was taken")
	}
	if pid, _, found := claimant(data); found {
		t.Errorf("process %d is believed", pid)
	}
	program{data: data}.ok(t, "token", "create")
}
