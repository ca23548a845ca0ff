package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// They own nothing but what a test gives them.
const (
	one = 64001
	two = 64002
)

// enterEnv makes the test binary a process that enters a folder: ids belong to
// the process, so that no test may change those of another.
const enterEnv = "HUSK_TEST_ENTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(enterEnv); dir != "" {
		enterAsChild(dir, os.Args[1], os.Args[2])
		return
	}
	os.Exit(m.Run())
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

// place is a folder of root's for the folders of a test, in one that everybody
// may write to.
type place struct {
	*testing.T
	dir string
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "folder-test-")
	p := place{t, dir}
	p.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.must(os.Chmod(dir, 0o755))
	return p
}

func (p place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p place) mkdir(name string, uid int, mode os.FileMode) string {
	p.Helper()
	path := filepath.Join(p.dir, name)
	p.must(errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode), os.Lchown(path, uid, uid)))
	return path
}

func (p place) link(name, to string, uid int) string {
	p.Helper()
	path := filepath.Join(p.dir, name)
	p.must(errors.Join(os.Symlink(to, path), os.Lchown(path, uid, uid)))
	return path
}

// What others own on the way leads root nowhere, but to what is their own.
func TestOpen(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	p.mkdir("roots", 0, 0o700)
	p.mkdir("one", one, 0o755)
	p.mkdir("one/data", one, 0o700)
	p.mkdir("one/of-two", two, 0o700)
	p.mkdir("one/of-root", 0, 0o700)
	p.mkdir("shared", 0, 0o777)
	p.mkdir("shared/roots", 0, 0o700)
	p.mkdir("group", 0, 0o775)
	p.must(os.Lchown(filepath.Join(p.dir, "group"), 0, one))
	p.mkdir("group/of-one", one, 0o700)
	p.mkdir("sticky", 0, os.ModeSticky|0o777)
	p.mkdir("sticky/roots", 0, 0o700)
	p.link("root-link", "roots", 0)
	p.link("one-link", "roots", one)
	p.link("one-to-own", "one/data", one)
	p.link("one/abs", filepath.Join(p.dir, "roots"), one)
	p.link("one/root-link", "../roots", 0)
	p.link("chain", "one/chain", 0)
	p.link("one/chain", "../roots", one)
	p.link("to-missing", "roots/new", 0)
	p.must(os.WriteFile(filepath.Join(p.dir, "file"), nil, 0o600))
	for _, test := range []struct {
		name    string
		led     string // "": not led
		uid     int
		missing bool
	}{
		{name: "roots"},
		{name: "root-link"},
		{name: "one/../roots", led: "folder " + p.dir + "/one belongs to uid 64001"},
		{name: "one-link", led: "link " + p.dir + "/one-link belongs to uid 64001"},
		{name: "one-link/.", led: "one-link"},
		{name: "one/abs", led: p.dir + "/one"},
		{name: "one/root-link", led: p.dir + "/one"},
		{name: "chain", led: p.dir + "/one"},
		{name: "one/data", uid: one},
		{name: "one-to-own", uid: one},
		{name: "one/of-two", led: "leads root to " + p.dir + "/one/of-two, which belongs to uid 64002"},
		{name: "one/of-root", led: "which belongs to root"},
		{name: "shared", led: "others may write to " + p.dir + "/shared"},
		{name: "shared/roots", led: "others may write to"},
		{name: "shared/new", led: "others may write to"},
		{name: "group", led: "others may write to"},
		{name: "group/of-one", led: "others may write to"},
		{name: "sticky", led: "others may write to"},
		{name: "sticky/roots"},
		{name: "sticky/new", missing: true},
		{name: "roots/new/deep", missing: true},
		{name: "to-missing", missing: true},
		{name: "one/new", uid: one, missing: true},
		{name: "one-link/new", led: "one-link"},
	} {
		f, err := Open(filepath.Join(p.dir, "/") + "/" + test.name)
		var led *LedError
		switch {
		case test.led != "":
			if !errors.As(err, &led) || !strings.Contains(led.What, test.led) || led.Next == "" || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s: %v", test.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		default:
			if f.uid != test.uid || f.Missing() != test.missing || (f.Path() == f.path) != (test.uid == 0) {
				t.Errorf("%s: uid %d, missing %v, at %s", test.name, f.uid, f.Missing(), f.Path())
			}
			p.must(f.Close())
		}
	}
	p.link("loop", "loop", 0)
	for name, want := range map[string]error{"loop": unix.ELOOP, "file": unix.ENOTDIR, "file/in": unix.ENOTDIR} {
		if _, err := Open(filepath.Join(p.dir, name)); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	for path, good := range map[string]bool{p.mkdir("roots", 0, 0o700): true, filepath.Join(p.dir, "absent"): true, p.mkdir("one", one, 0o700): false, p.mkdir("shared", 0, 0o777): false} {
		if err := Check(path); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// enterAsChild enters dir, swaps it for other meanwhile, and tells what it is
// and what it may do.
func enterAsChild(dir, other, roots string) {
	f, err := Open(dir)
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	write := func(path string) error { return os.WriteFile(path, nil, 0o600) }
	fmt.Println("open", os.Geteuid())
	leave, err := f.Become()
	fmt.Println("in", os.Geteuid(), os.Getegid(), err)
	fmt.Println("writes", write(filepath.Join(f.Path(), "made")))
	fmt.Println("as root", errors.Is(write(filepath.Join(roots, "made")), fs.ErrPermission))
	fmt.Println("caller", AsCaller(func() error { return write(filepath.Join(roots, "by-caller")) }), os.Geteuid())
	fmt.Println("as root again", errors.Is(write(filepath.Join(roots, "made")), fs.ErrPermission))
	fmt.Println("out", leave(), os.Geteuid(), os.Getegid(), write(filepath.Join(roots, "after")), f.Close())
}

// In the folder of another user root is that user, in the folder that was
// looked at, whatever is at its path by now, and also behind folders that only
// root enters.
func TestBecome(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	p.mkdir("one", one, 0o755)
	data, roots, closed := p.mkdir("one/data", one, 0o700), p.mkdir("roots", 0, 0o700), p.mkdir("closed", 0, 0o700)
	p.mkdir("closed/data", one, 0o700)
	for _, dir := range []string{data, filepath.Join(closed, "data")} {
		other := filepath.Join(filepath.Dir(dir), "other")
		p.must(errors.Join(os.Symlink(roots, other), os.Lchown(other, one, one)))
		c := exec.Command("/proc/self/exe", other, roots)
		c.Env = append(os.Environ(), enterEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
		out, err := c.CombinedOutput()
		want := fmt.Sprintf("open 0\nin %d %d <nil>\nwrites <nil>\nas root true\ncaller <nil> %d\nas root again true\nout <nil> 0 0 <nil> <nil>\n", one, noGroup, one)
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s", dir, err, out)
		}
		info, err := os.Stat(filepath.Join(other, "made")) // it was swapped
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != one {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for name, uid := range map[string]uint32{"by-caller": 0, "after": 0} {
		info, err := os.Stat(filepath.Join(roots, name))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != uid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
