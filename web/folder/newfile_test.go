package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// ways are those by which a file is made: as the system can, and as one does
// that can less.
var ways = map[string]func(t *testing.T, dir string) *NewFile{
	"as it can": func(t *testing.T, dir string) *NewFile {
		f, err := Create(dir, ".new-")
		must(t, err)
		return f
	},
	"with a name": named,
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
	for name, create := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(text string, replace bool) error {
				t.Helper()
				f := create(t, dir)
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
			create(t, dir).Discard()
			wantNames(t, dir, "file")
		})
	}
}
