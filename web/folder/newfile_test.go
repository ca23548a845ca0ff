package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// ways are those by which a file is made and gets its name: as the system can,
// and as one does that can less.
var ways = map[string]struct {
	create func(t *testing.T, dir string) *NewFile
	rename func(folder *os.Root, from, to string) error
}{
	"as it can": {
		create: func(t *testing.T, dir string) *NewFile {
			f, err := Create(dir, ".new-")
			must(t, err)
			return f
		},
		rename: RenameNew,
	},
	"slowly":             {create: named, rename: renameSlowly},
	"without hard links": {create: named, rename: renameOver},
}

func named(t *testing.T, dir string) *NewFile {
	folder, err := os.OpenRoot(dir)
	must(t, err)
	f := &NewFile{folder: folder, prefix: ".new-"}
	f.names, err = folder.Open(".")
	must(t, errors.Join(err, f.createNamed(), f.Chmod(0o600)))
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Errorf("there are %q, not %q", got, want)
	}
	for _, name := range want {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// A file takes the place of another only where that is asked for, and leaves
// nothing behind.
func TestNewFile(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(text string, replace bool) error {
				t.Helper()
				f := way.create(t, dir)
				defer f.Discard()
				_, err := f.WriteString(text)
				must(t, err)
				return f.Place("file", replace)
			}
			must(t, write("one", false))
			if err := write("two", false); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over another: %v", err)
			}
			want := func(text string) {
				t.Helper()
				got, err := os.ReadFile(filepath.Join(dir, "file"))
				info, err2 := os.Lstat(filepath.Join(dir, "file"))
				must(t, errors.Join(err, err2))
				if string(got) != text || info.Mode() != 0o600 {
					t.Errorf("there is %q, %v", got, info.Mode())
				}
			}
			want("one")
			must(t, write("three", true))
			want("three")
			way.create(t, dir).Discard()
			wantNames(t, dir, "file")
		})
	}
}

// A rename replaces nothing, whatever stands there.
func TestRenameNew(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in, err := os.OpenRoot(dir)
			must(t, errors.Join(err, os.WriteFile(filepath.Join(dir, "from"), []byte("text"), 0o600),
				os.WriteFile(filepath.Join(dir, "file"), nil, 0o600), os.Mkdir(filepath.Join(dir, "folder"), 0o700), os.Symlink("nowhere", filepath.Join(dir, "link"))))
			defer in.Close()
			for _, to := range []string{"file", "folder", "link"} {
				if err := way.rename(in, "from", to); !errors.Is(err, fs.ErrExist) {
					t.Errorf("over a %s: %v", to, err)
				}
			}
			must(t, way.rename(in, "from", "to"))
			wantNames(t, dir, "to", "file", "folder", "link")
		})
	}
}
