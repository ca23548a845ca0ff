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
	"a link": RenameNew,
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
