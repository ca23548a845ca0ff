//go:build unix

package fsys

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func init() {
	ways["without links"] = func(dir *os.Root, from, to string) error { return renameWithoutLinks(dir, from, to, errNoLinks) }
	ways["under a lock"] = func(dir *os.Root, from, to string) error { return renameLocked(dir, from, to, errNoLinks) }
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
