package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"husk/db"
)

// What is written into a file that has lost its name is never acknowledged,
// whenever it lost it.
func TestUpdateInAFileElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		during bool // between the write and the acknowledgement
		code   string
	}{"before": {false, "store_moved"}, "during": {true, "unknown_outcome"}} {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			e := open(t, path)
			away := filepath.Join(t.TempDir(), "away")
			move := func() {
				if err := os.Rename(path, away); err != nil {
					t.Error(err)
				}
			}
			if c.during {
				e.commitHook = func(commit func() error) error { move(); return commit() }
			} else {
				move()
			}
			err := set(e, "k", "new")
			e.commitHook = nil
			var own *db.Error
			if !errors.Is(err, db.ErrMoved) || !errors.As(err, &own) || own.Code != c.code || errors.Is(err, db.ErrUnknown) != c.during {
				t.Fatalf("update = %v", err)
			}
			if err := e.Located(); !errors.Is(err, db.ErrMoved) {
				t.Errorf("located = %v", err)
			}
			want := ""
			if c.during {
				want = "new" // it is in that file
			}
			if v, err := get(e, "k"); err != nil || v != want {
				t.Errorf("view = %q, %v; want %q", v, err, want)
			}
			if err := os.Rename(away, path); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(e.Located(), set(e, "k", "after")); err != nil {
				t.Errorf("with the file back: %v", err)
			}
			wantValue(t, e, "k", "after")
		})
	}
}

// The operator is told what happened and what to do.
func TestWhereabouts(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(path string) error
		want []string
	}{
		"deleted":        {os.Remove, []string{"it was deleted", "is lost", "can be copied"}},
		"folder deleted": {func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, []string{"it was deleted"}},
		"moved":          {func(path string) error { return os.Rename(path, path+".x") }, []string{"it was moved", "put it back"}},
		"replaced":       {func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) }, []string{"another file is in its place", "is lost"}},
		"folder is a file": {func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, []string{"not a directory", "is lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			e := open(t, path)
			if err := c.do(path); err != nil {
				t.Fatal(err)
			}
			err := e.Located()
			var own *db.Error
			if !errors.As(err, &own) || own.Cause == nil {
				t.Fatalf("located = %v", err)
			}
			for _, text := range append(c.want, path) {
				if !strings.Contains(own.Cause.Error(), text) {
					t.Errorf("the cause is %q, without %q", own.Cause, text)
				}
				if strings.Contains(own.Reason, path) {
					t.Errorf("strangers are told the path: %q", own.Reason)
				}
			}
		})
	}
}
