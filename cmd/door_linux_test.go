package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"husk/db"
	"husk/web/api"
	"husk/web/control"
)

// nobody is a user who owns nothing but what a test gives.
const nobody = 65534

// openDir makes a folder that everybody may enter, which t.TempDir is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "husk-test-*")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestForbiddenSocket has a server whose socket one may not open. That is the
// answer, although the store's file lies open.
func TestForbiddenSocket(t *testing.T) {
	t.Parallel()
	needRoot(t)
	data := filepath.Join(openDir(t), "data")
	root := program{data: data}
	s := root.serve(t)
	if err := errors.Join(os.Chmod(data, 0o755), os.Chmod(root.store(), 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"token", "list"}, {"token", "create"}, {"health"}, {"backup", "--output", "-"}, {"user", "list"}} {
		r := program{data: data, uid: nobody}.want(t, exitDenied, args...)
		if r.stdout != "" || !strings.Contains(r.stderr, "no access to the control socket in "+data) || !strings.Contains(r.stderr, "as root") {
			t.Errorf("husk %q: %v", args, r)
		}
	}
	s.end()
}

// TestForbiddenFolder is about folders that one may not enter, not write to,
// or whose store one may not open.
func TestForbiddenFolder(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := openDir(t)
	folder := func(name string, mode os.FileMode, filled bool) string {
		p := program{data: filepath.Join(dir, name)}
		if filled {
			p.ok(t, "token", "create")
		} else if err := os.Mkdir(p.data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p.data, mode); err != nil {
			t.Fatal(err)
		}
		return p.data
	}
	closed, readable := folder("closed", 0o700, true), folder("readable", 0o755, true)
	empty := folder("empty", 0o755, false)
	all := [][]string{{"token", "list"}, {"token", "create"}, {"passwd", "--password-stdin"}, {"serve", "--addr", "127.0.0.1:0"}, {"restore", os.DevNull}}
	creating := all[1:]
	for _, test := range []struct {
		data     string
		commands [][]string
	}{
		{closed, all}, {filepath.Join(closed, "in", "it"), all}, {readable, all},
		{empty, creating}, {filepath.Join(empty, "in", "it"), creating},
	} {
		for _, args := range test.commands {
			p := program{data: test.data, uid: nobody, stdin: testPassword + "\n"}
			r := p.want(t, exitDenied, args...)
			if r.stdout != "" || !strings.Contains(r.stderr, test.data) || !strings.Contains(r.stderr, "permission denied") {
				t.Errorf("husk %q in %s: %v", args, test.data, r)
			}
		}
	}
	program{data: empty, uid: nobody}.want(t, exitNotFound, "token", "list")
	if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestMadeByRoot has root work in the folder of a service's user, before the
// first start and beside the server, and the service goes on.
func TestMadeByRoot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	data := filepath.Join(openDir(t), "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	root, service := program{data: data, stdin: testPassword + "\n"}, program{data: data, uid: nobody}
	belongs := func() {
		t.Helper()
		entries, err := os.ReadDir(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t); owner.Uid != nobody || owner.Gid != nobody || info.Mode().Perm() != 0o600 {
				t.Errorf("%s belongs to %d:%d, mode %v", entry.Name(), owner.Uid, owner.Gid, info.Mode())
			}
		}
	}
	root.ok(t, "passwd", "--password-stdin")
	belongs()
	s := service.serve(t)
	signIn(t, s)
	belongs()
	root.ok(t, "token", "create", "--name", "by root")
	service.ok(t, "token", "create", "--name", "by the service")
	backup := filepath.Join(t.TempDir(), "husk.tar")
	root.ok(t, "backup", "--output", backup)
	s.end()

	// As does a server that root runs for once.
	s = root.serve(t)
	root.ok(t, "token", "create", "--name", "beside root's server")
	belongs()
	// It works as the service's user, whose commands are its owner's.
	service.ok(t, "token", "create", "--name", "by the service, beside root's server")
	s.end()
	root.ok(t, "restore", backup)
	belongs()
	s = service.serve(t)
	signIn(t, s)
	s.end()
	wantWhole(t, data)
}

// TestLongPathOfAnother has root ask the server of another user whose socket
// has too long a path. Nothing of it is elsewhere, where a third user could be
// before them.
func TestLongPathOfAnother(t *testing.T) {
	t.Parallel()
	needRoot(t)
	data := filepath.Join(openDir(t), strings.Repeat("long", 30))
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	const third = 65533
	taken := fmt.Sprintf("/tmp/husk-run-%d", nobody)
	if err := os.Mkdir(taken, 0o700); err == nil {
		t.Cleanup(func() { os.Remove(taken) })
		if err := os.Chown(taken, third, third); err != nil {
			t.Fatal(err)
		}
	}
	s := program{data: data, uid: nobody}.serve(t)
	for _, uid := range []uint32{0, nobody} {
		if got := (program{data: data, uid: uid}).ok(t, "health"); !strings.Contains(got, "the running server") {
			t.Errorf("health says %q", got)
		}
	}
	s.end()
}

// TestFolderOfAnother has a server whose user may not make the control socket.
func TestFolderOfAnother(t *testing.T) {
	t.Parallel()
	needRoot(t)
	data := openDir(t)
	p := program{data: data}
	p.ok(t, "token", "create")
	if err := os.Chown(p.store(), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	p.uid = nobody
	p.ok(t, "token", "create")
	r := p.want(t, exitDenied, "serve", "--addr", "127.0.0.1:0")
	if !strings.Contains(r.stderr, filepath.Join(data, control.Name)+" can't be made: permission denied") || !strings.Contains(r.stderr, "chown") || strings.Contains(r.stderr, "bind") {
		t.Errorf("serve says: %s", r.stderr)
	}
}

// TestReadOnlyDisk tells what keeps a store on it from being opened.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	p := program{data: dir}
	p.ok(t, "token", "create")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{dir, filepath.Join(dir, "new")} {
		p.data = data
		if r := p.want(t, exitFailure, "token", "create"); !strings.Contains(r.stderr, "the file system of "+data+" is read-only") {
			t.Errorf("token create says: %s", r.stderr)
		}
	}
}

// TestUmask makes everything private although nothing is masked, and leaves
// it to its owner although everything is.
func TestUmask(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"0", "0777", "0277"} {
		t.Run(umask, func(t *testing.T) { testUmask(t, umask) })
	}
}

func testUmask(t *testing.T, umask string) {
	t.Parallel()
	data := newData(t)
	work := filepath.Dir(data)
	p := program{data: data}
	masked := func(args ...string) {
		t.Helper()
		if out, err := p.masked(t.Context(), umask, args...).CombinedOutput(); err != nil {
			t.Errorf("husk %q: %v\n%s", args, err, out)
		}
	}
	mode := func(want os.FileMode, path ...string) {
		t.Helper()
		info, err := os.Lstat(filepath.Join(path...))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", filepath.Join(path...), info.Mode().Perm(), want, err)
		}
	}
	masked("token", "create", "--output", filepath.Join(work, "token"))
	mode(0o700, data)
	mode(0o600, data, embedded.file)
	mode(0o600, work, "token")
	masked("backup", "--output", filepath.Join(work, "backup.tar"))
	mode(0o600, work, "backup.tar")
	masked("restore", filepath.Join(work, "backup.tar"))
	mode(0o600, data, embedded.file)
	mode(0o600, data, embedded.file+".before-restore")
	masked("restore", filepath.Join(work, "backup.tar"), "--data", filepath.Join(work, "deep", "new"))
	mode(0o700, work, "deep")
	mode(0o700, work, "deep", "new")
	mode(0o600, work, "deep", "new", embedded.file)

	s := run(t, p.masked(context.Background(), umask, "serve", "--addr", "127.0.0.1:0"))
	s.ready()
	mode(0o600, data, control.Name)
	s.end()
}

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	needRoot(t)
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		prerequisite(t, "mount: "+err.Error())
	}
	t.Cleanup(func() {
		// A process that another test is about to start shares the open files
		// of this one until then.
		eventually(t, "unmount", func() bool { return syscall.Unmount(dir, 0) == nil })
	})
	return dir
}

// fillDisk takes all the space that is left, until free is called.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	return func() { os.Remove(path) }
}

// TestFullDisk: reads go on, writes are refused and say why, and work again
// when there is space.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	p := program{data: filepath.Join(dir, "data"), stdin: testPassword + "\n"}
	p.ok(t, "passwd", "--password-stdin")
	secret := p.ok(t, "token", "create", "--name", "root")
	s := p.serve(t)
	jwt := signIn(t, s)
	c := s.client(secret)

	free := fillDisk(t, dir)
	made := map[string]bool{"root": true}
	var full error
	for i := 0; full == nil; i++ { // until the free pages of the store are used up
		name := fmt.Sprint("filler ", i)
		if _, full = c.CreateToken(t.Context(), api.NewToken{Name: name, Description: strings.Repeat("x", 1000)}); full == nil {
			made[name] = true
		}
	}
	var answer *api.Error
	if !errors.As(full, &answer) || answer.Status != http.StatusInsufficientStorage || answer.Detail.Code != "disk_full" {
		t.Fatalf("the answer on a full disk: %v", full)
	}
	if _, err := c.Profile(t.Context()); err != nil {
		t.Errorf("a read with a token: %v", err)
	}
	if _, err := (&api.Client{Base: s.url(), JWT: jwt}).Profile(t.Context()); err != nil {
		t.Errorf("a read with a session: %v", err)
	}
	clear := func(r result) {
		t.Helper()
		if r.stdout != "" || !strings.Contains(r.stderr, "the disk") || !strings.Contains(r.stderr, "is full") || !strings.Contains(r.stderr, "free some space") {
			t.Errorf("it does not say so: %v", r)
		}
	}
	big := []string{"token", "create", "--description", strings.Repeat("x", 1000)}
	clear(p.want(t, exitFailure, big...))
	clear(p.want(t, exitFailure, "backup", "--output", filepath.Join(dir, "backup.tar")))
	p.ok(t, "check")
	if names := p.tokenNames(t); len(names) != len(made) {
		t.Errorf("%d tokens are listed, %d were made", len(names), len(made))
	}
	s.end()

	// The same without a server, and where the store can't be made.
	clear(p.want(t, exitFailure, big...))
	clear(program{data: filepath.Join(dir, "other")}.want(t, exitFailure, "token", "create"))
	if names := p.tokenNames(t); len(names) != len(made) {
		t.Errorf("%d tokens are listed, %d were made", len(names), len(made))
	}
	s = p.serve(t)
	c = s.client(secret)
	if _, err := c.Profile(t.Context()); err != nil {
		t.Errorf("a read after a start on a full disk: %v", err)
	}

	free()
	for i := range 20 {
		if _, err := c.CreateToken(t.Context(), api.NewToken{Name: fmt.Sprint("after ", i)}); err != nil {
			t.Fatalf("a write with space again: %v", err)
		}
	}
	s.end()
	wantWhole(t, p.data)
}

// TestDamagedStores are refused and stay as they were, byte for byte.
func TestDamagedStores(t *testing.T) {
	t.Parallel()
	good := program{data: newData(t)}
	good.ok(t, "token", "create")
	whole, err := os.ReadFile(good.store())
	if err != nil {
		t.Fatal(err)
	}
	newer := program{data: filepath.Join(t.TempDir(), "newer")}
	newer.ok(t, "token", "create")
	setSchema(t, newer.store(), fmt.Sprintf(`{"schema":%d,"created":"2030-01-02T03:04:05Z"}`, db.SchemaVersion+1))
	newerText, err := os.ReadFile(newer.store())
	if err != nil {
		t.Fatal(err)
	}
	none := program{data: filepath.Join(t.TempDir(), "none")}
	none.ok(t, "token", "create")
	setSchema(t, none.store(), `{"schema":0}`)
	noneText, err := os.ReadFile(none.store())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text []byte
		says string
	}{
		"empty":     {nil, "it is empty"},
		"foreign":   {bytes.Repeat([]byte("SQLite format 3\x00"), 1000), "does not have the form of a store"},
		"short":     {whole[:100], "refused"},
		"truncated": {whole[:5*os.Getpagesize()], "truncated"},
		"zeros":     {make([]byte, len(whole)), "refused"},
		"headless":  {append(make([]byte, 2*os.Getpagesize()), whole[2*os.Getpagesize():]...), "refused"},
		"schema":    {noneText, "it has no schema"},
		"newer":     {newerText, "schema is " + fmt.Sprint(db.SchemaVersion+1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program{data: filepath.Join(t.TempDir(), "data"), stdin: testPassword + "\n"}
			if err := errors.Join(os.Mkdir(p.data, 0o700), os.WriteFile(p.store(), test.text, 0o600)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(p.store())
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"token", "list"}, {"token", "create"}, {"passwd", "--password-stdin"}, {"health"}, {"serve", "--addr", "127.0.0.1:0"},
				{"backup", "--output", filepath.Join(p.data, "backup.tar")},
			} {
				r := p.want(t, exitInvalid, args...)
				if r.stdout != "" || strings.Count(r.stderr, p.store()) != 1 || !strings.Contains(r.stderr, test.says) {
					t.Errorf("husk %q: %v", args, r)
				}
			}
			text, err := os.ReadFile(p.store())
			after, err2 := os.Stat(p.store())
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text, test.text) || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
				t.Error("the file was changed")
			}
			if entries, err := os.ReadDir(p.data); err != nil || len(entries) != 1 {
				t.Errorf("the folder holds %v, %v", entries, err)
			}
		})
	}
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		p := program{data: t.TempDir()}
		if err := os.Mkdir(p.store(), 0o700); err != nil {
			t.Fatal(err)
		}
		p.want(t, exitInvalid, "token", "list")
		p.want(t, exitInvalid, "serve", "--addr", "127.0.0.1:0")
	})
}
