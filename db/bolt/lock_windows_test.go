package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"husk/db"
	"husk/db/fsys"
)

// A store that is open, or only locked, is locked for everybody else.
func TestLockedByAnother(t *testing.T) {
	path := create(t)
	e := open(t, path)
	release, err := Lock(path, 50*time.Millisecond)
	if !errors.Is(err, db.ErrLocked) {
		t.Fatalf("Lock of an open store = %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if release, err = Lock(path, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Timeout: 50 * time.Millisecond}); !errors.Is(err, db.ErrLocked) {
		t.Errorf("Open of a locked store = %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// After Yield the file can be replaced, and nobody else has the lock meanwhile.
func TestYield(t *testing.T) {
	path := create(t)
	e := open(t, path)
	release, err := Yield(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Timeout: 50 * time.Millisecond}); !errors.Is(err, db.ErrLocked) {
		t.Errorf("Open = %v", err)
	}
	fresh := filepath.Join(filepath.Dir(path), "fresh")
	if err := os.WriteFile(fresh, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = fsys.Replace(fresh, path)
	if fsys.InUse(err) { // as on file systems other than NTFS
		if err = release(); err == nil {
			err = fsys.ReplaceUnused(fresh, path)
		}
	}
	if err := errors.Join(err, release()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "new" {
		t.Errorf("the file is %q, %v", text, err)
	}
}
