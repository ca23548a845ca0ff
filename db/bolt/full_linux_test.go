package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"husk/db"
)

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fillDisk takes all the space that is left, until free is called.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	return func() { os.Remove(path) }
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	path := filepath.Join(dir, "husk.db")
	if err := Create(path, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	e := open(t, path)
	if err := set(e, "k", "kept"); err != nil {
		t.Fatal(err)
	}
	free := fillDisk(t, dir)
	for i := range 3 {
		err := e.Update(t.Context(), func(tx db.Tx) error {
			return tx.Put("b", []byte("k"), bytes.Repeat([]byte("lost"), 500_000))
		})
		if !errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrDamaged) {
			t.Errorf("update %d on a full disk = %v, want db.ErrFull", i, err)
		}
		wantValue(t, e, "k", "kept")
	}
	wantWhole(t, e)
	if err := Create(filepath.Join(dir, "other.db"), func(db.Tx) error { return nil }); !errors.Is(err, db.ErrFull) {
		t.Errorf("create on a full disk = %v, want db.ErrFull", err)
	}
	if err := e.Compact(t.Context(), filepath.Join(dir, "compact.db")); !errors.Is(err, db.ErrFull) {
		t.Errorf("compact on a full disk = %v, want db.ErrFull", err)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("the folder holds %q", got)
	}
	free()
	for i := range 50 {
		if err := set(e, fmt.Sprint("after ", i), "v"); err != nil {
			t.Fatalf("update with space again: %v", err)
		}
	}
	wantValue(t, e, "k", "kept")
}

// TestFullDiskWithReader has a reader at its snapshot while changes fail on a
// full disk and then succeed: none of its pages is used again.
func TestFullDiskWithReader(t *testing.T) {
	dir := smallDisk(t)
	path := filepath.Join(dir, "husk.db")
	if err := Create(path, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	e := open(t, path)
	populate(t, e, 1000)
	all := func(tx db.Tx) (text string, err error) {
		err = tx.Scan("b", nil, nil, false, func(k, v []byte) bool { text += string(k) + string(v); return true })
		return text, err
	}
	fill := func(value string) error {
		return e.Update(t.Context(), func(tx db.Tx) error {
			for i := range 1000 {
				if err := tx.Put("b", fmt.Appendf(nil, "key %06d", i), bytes.Repeat([]byte(value), 60)); err != nil {
					return err
				}
			}
			return tx.Put("large", []byte("k"), bytes.Repeat([]byte(value), 700_000))
		})
	}
	err := e.View(t.Context(), func(tx db.Tx) error {
		before, err := all(tx)
		if err != nil {
			return err
		}
		free := fillDisk(t, dir)
		for i := range 3 {
			if err := fill("lost"); !errors.Is(err, db.ErrFull) {
				t.Errorf("update %d on a full disk = %v, want db.ErrFull", i, err)
			}
			if err := set(e, "small", "v"); err != nil && !errors.Is(err, db.ErrFull) {
				t.Error(err)
			}
		}
		free()
		for i := range 20 {
			if err := set(e, fmt.Sprintf("key %06d", i*50), "new"); err != nil {
				t.Errorf("update with space again: %v", err)
			}
		}
		if after, err := all(tx); err != nil || after != before {
			t.Errorf("the snapshot has changed: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	wantValue(t, e, "key 000050", "new")
}

// TestFullDiskUnderLoad fills the disk by the store itself, until it is full.
func TestFullDiskUnderLoad(t *testing.T) {
	dir := smallDisk(t)
	path := filepath.Join(dir, "husk.db")
	if err := Create(path, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	e := open(t, path)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = e.Update(t.Context(), func(tx db.Tx) error {
			return tx.Put("b", fmt.Appendf(nil, "%06d", n), bytes.Repeat([]byte("v"), 20_000))
		})
	}
	if !errors.Is(err, db.ErrFull) {
		t.Fatalf("update %d = %v, want db.ErrFull", n, err)
	}
	if err := readAll(e); err != nil {
		t.Errorf("view on a full disk: %v", err)
	}
	wantWhole(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err := get(open(t, path), fmt.Sprintf("%06d", n-2)); err != nil || len(v) != 20_000 {
		t.Errorf("the last stored value has %d bytes, %v", len(v), err)
	}
}
