//go:build unix

package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"husk/db"
)

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	err := Create(path, func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) })
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, open(t, path), "k", "v")
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("the folder holds %q", got)
	}
}

func TestCreateFailureLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	failure := errors.New("failure")
	if err := Create(path, func(db.Tx) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("create = %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = Create(path, func(db.Tx) error { panic("own") })
	}()
	if got := names(t, filepath.Dir(path)); len(got) != 0 {
		t.Errorf("the folder holds %q", got)
	}
	if err := Create(filepath.Join(path, "absent", "husk.db"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in an absent folder = %v", err)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	for _, when := range []string{"before", "meanwhile"} {
		os.Remove(path)
		write := func() error { return os.WriteFile(path, []byte("another"), 0o600) }
		if when == "before" {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		err := Create(path, func(db.Tx) error { return write() })
		if !errors.Is(err, db.ErrConflict) || !errors.Is(err, fs.ErrExist) {
			t.Errorf("create with a file made %s = %v", when, err)
		}
		if b, err := os.ReadFile(path); string(b) != "another" {
			t.Errorf("file made %s was replaced: %v", when, err)
		}
		if got := names(t, filepath.Dir(path)); len(got) != 1 {
			t.Errorf("the folder holds %q", got)
		}
	}
}

func TestCreateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	var all sync.WaitGroup
	var made atomic.Int32
	for range 8 {
		all.Go(func() {
			switch err := Create(path, func(db.Tx) error { return nil }); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, db.ErrConflict):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d of 8 creations succeeded, want 1", made.Load())
	}
	open(t, path)
}

func TestMode(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		old := syscall.Umask(umask)
		dir := t.TempDir()
		_ = os.Chmod(dir, 0o700)
		path, compact := filepath.Join(dir, "husk.db"), filepath.Join(dir, "compact.db")
		err := Create(path, func(db.Tx) error { return nil })
		if err == nil {
			e := open(t, path)
			err = errors.Join(set(e, "k", "v"), e.Compact(t.Context(), compact))
		}
		syscall.Umask(old)
		if err != nil {
			t.Errorf("umask %04o: %v", umask, err)
			continue
		}
		for _, name := range []string{path, compact} {
			if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
				t.Errorf("umask %04o: mode of %s is %v, %v", umask, name, info.Mode(), err)
			}
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	const uid, gid = 12345, 23456
	dir := t.TempDir()
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	path, compact := filepath.Join(dir, "husk.db"), filepath.Join(dir, "compact.db")
	if err := Create(path, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Compact(t.Context(), compact); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, compact} {
		var stat syscall.Stat_t
		if err := syscall.Stat(name, &stat); err != nil || stat.Uid != uid || stat.Gid != gid {
			t.Errorf("%s belongs to %d:%d, %v, want the folder's owner", name, stat.Uid, stat.Gid, err)
		}
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for name, age := range map[string]time.Time{
		newPrefix + "killed": old, newPrefix + "running": time.Now(), "other": old,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, age, age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Create(filepath.Join(dir, "husk.db"), func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	got := names(t, dir)
	if len(got) != 3 || got[0] != newPrefix+"running" {
		t.Errorf("the folder holds %q", got)
	}
}
