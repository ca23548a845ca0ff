package fsys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %q, %v", path, got, err)
	}
}

// ways are those to give a file its name: as the system can, and as one does
// that can less.
var ways = map[string]func(dir *os.Root, from, to string) error{
	"a link":        RenameNew,
	"without links": func(dir *os.Root, from, to string) error { return renameWithoutLinks(dir, from, to, errNoLinks) },
	"under a lock":  func(dir *os.Root, from, to string) error { return renameLocked(dir, from, to, errNoLinks) },
}

var errNoLinks = &os.LinkError{Op: opLink, Err: syscall.EPERM}

func openRoot(t *testing.T, path string) *os.Root {
	t.Helper()
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// Each way to give a file its name replaces nobody's, also where many try at
// once.
func TestRenameNewAtOnce(t *testing.T) {
	t.Parallel()
	for name, rename := range ways {
		dir := openRoot(t, t.TempDir())
		var placed atomic.Int32
		var all sync.WaitGroup
		for i := range 16 {
			temp := string(rune('a' + i))
			write(t, filepath.Join(dir.Name(), temp), temp)
			all.Go(func() {
				switch err := rename(dir, temp, "name"); {
				case err == nil:
					placed.Add(1)
				case !errors.Is(err, fs.ErrExist):
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		all.Wait()
		if placed.Load() != 1 {
			t.Errorf("%s: %d were placed", name, placed.Load())
		}
		if err := rename(dir, "none", "free"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A rename replaces nothing, whatever stands there, and leaves one name.
func TestRenameNew(t *testing.T) {
	t.Parallel()
	for name, rename := range ways {
		dir := openRoot(t, t.TempDir())
		at := func(name string) string { return filepath.Join(dir.Name(), name) }
		write(t, at("from"), "text")
		write(t, at("file"), "")
		if err := errors.Join(os.Mkdir(at("folder"), 0o700), os.Symlink("nowhere", at("link"))); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"file", "folder", "link"} {
			if err := rename(dir, "from", to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: over a %s: %v", name, to, err)
			}
		}
		if err := rename(dir, "from", "to"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantText(t, at("to"), "text")
		wantText(t, at("file"), "")
		if entries, err := os.ReadDir(dir.Name()); err != nil || len(entries) != 4 {
			t.Errorf("%s: there are %v, %v", name, entries, err)
		}
	}
}

// Place replaces nothing, Replace does.
func TestPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "name")
	for text, give := range map[string]func(temp, path string) error{"placed": Place, "replaced": Replace} {
		temp := filepath.Join(dir, text)
		write(t, path, "there")
		write(t, temp, text)
		err := give(temp, path)
		want := "there"
		if text == "replaced" {
			want = text
		}
		if (err == nil) != (want == text) || err != nil && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", text, err)
		}
		wantText(t, path, want)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := Place(filepath.Join(dir, "placed"), path); err != nil {
		t.Error(err)
	}
	wantText(t, path, "placed")
}

// What is kept is what was there, by a link or by a copy, in the place of what
// was kept before.
func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, temp, kept := filepath.Join(dir, "a"), filepath.Join(dir, "t"), filepath.Join(dir, "k")
	for _, text := range []string{"one", "two", "two"} {
		write(t, path, text)
		if err := Keep(path, temp, kept); err != nil {
			t.Fatal(err)
		}
		wantText(t, kept, text)
		wantText(t, path, text)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, "three")
	if err := copyPrivate(path, temp); err != nil {
		t.Fatal(err)
	}
	wantText(t, temp, "three")
	if err := copyPrivate(path, temp); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a copy replaces a file: %v", err)
	}
}

// What counts is the mode that a file has in the end.
func TestPrivate(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for mode, private := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o711: true, 0o640: false, 0o620: false, 0o604: false, 0o602: false} {
		if err := f.Chmod(mode); err != nil {
			t.Fatal(err)
		}
		if err := Private(f); (err == nil) != private || err != nil && !Lacks(err) {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if err := MakePrivate(f); err != nil {
		t.Error(err)
	}
}

// One at a time has the lock of a folder, until it closes it.
func TestLockWhole(t *testing.T) {
	t.Parallel()
	var d [2]*os.File
	for i := range d {
		var err error
		if d[i], err = os.Open(t.TempDir() + "/.."); err != nil {
			t.Fatal(err)
		}
		defer d[i].Close()
	}
	if err := lockWhole(d[0]); err != nil {
		t.Fatal(err)
	}
	try := func() error { return syscall.Flock(int(d[1].Fd()), syscall.LOCK_SH|syscall.LOCK_NB) }
	if err := try(); err != syscall.EWOULDBLOCK {
		t.Errorf("a second one is let in: %v", err)
	}
	d[0].Close()
	if err := try(); err != nil {
		t.Error(err)
	}
}
