//go:build unix

package bolt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"husk/db"
)

const holdEnv = "HUSK_TEST_HOLD"

// TestMain makes the test binary also a process that holds a store until its
// standard input ends.
func TestMain(m *testing.M) {
	if path := os.Getenv(tracedStore); path != "" {
		runTraced(path)
		return
	}
	path := os.Getenv(holdEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	e, err := Open(path, Options{})
	fmt.Println(err)
	if err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = e.Close()
}

// holdElsewhere opens the store in another process until release is called.
func holdElsewhere(t *testing.T, path string) (pid int, release func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), holdEnv+"="+path)
	in, err := child.StdinPipe()
	out, err2 := child.StdoutPipe()
	if err := errors.Join(err, err2, child.Start()); err != nil {
		t.Fatal(err)
	}
	release = func() { in.Close(); _ = child.Wait() }
	t.Cleanup(release)
	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "<nil>" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return child.Process.Pid, release
}

func TestLocked(t *testing.T) {
	path := create(t)
	pid, release := holdElsewhere(t, path)
	start := time.Now()
	_, err := Open(path, Options{Timeout: 100 * time.Millisecond})
	if took := time.Since(start); took < 80*time.Millisecond || took > 5*time.Second {
		t.Errorf("open gave up after %v, want about 100ms", took)
	}
	if !errors.Is(err, db.ErrLocked) {
		t.Fatalf("open = %v, want db.ErrLocked", err)
	}
	if runtime.GOOS == "linux" {
		holder, name, ok := Holder(path)
		if !ok || holder != pid || name == "" {
			t.Errorf("holder = %d, %q, %t, want %d", holder, name, ok, pid)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("process %d (%s)", pid, name)) {
			t.Errorf("open = %v, want the process to be named", err)
		}
	}
	release()
	if pid, name, ok := Holder(path); ok {
		t.Errorf("holder of a free store = %d, %q", pid, name)
	}
	open(t, path)
}

func TestLockedForAMoment(t *testing.T) {
	path := create(t)
	_, release := holdElsewhere(t, path)
	opened := make(chan error)
	go func() {
		e, err := Open(path, Options{Timeout: 30 * time.Second})
		if err == nil {
			err = e.Close()
		}
		opened <- err
	}()
	release()
	if err := <-opened; err != nil {
		t.Errorf("open = %v, want the store once it is free", err)
	}
}

// TestSwapped has another file put in the place of the one whose lock is
// waited for: what is opened is the new one.
func TestSwapped(t *testing.T) {
	path, other := create(t), create(t)
	e := open(t, other)
	if err := errors.Join(set(e, "which", "new"), e.Close()); err != nil {
		t.Fatal(err)
	}
	old, err := claim(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan *Engine)
	go func() {
		e, err := Open(path, Options{Timeout: 30 * time.Second})
		if err != nil {
			t.Error(err)
		}
		opened <- e
	}()
	time.Sleep(5 * lockPoll) // it waits for the old one, most likely; either way it has to open the new one
	if err := errors.Join(os.Rename(other, path), old.Close()); err != nil {
		t.Fatal(err)
	}
	if e := <-opened; e != nil {
		wantValue(t, e, "which", "new")
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRemovedWhileWaiting has the file vanish instead.
func TestRemovedWhileWaiting(t *testing.T) {
	path := create(t)
	f, err := openRegular(path, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !stillAt(f, path) {
		t.Error("the file is not known as the one at its path")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if stillAt(f, path) {
		t.Error("a removed file passes for the one at its path")
	}
	if _, err := claim(path, 0); !errors.Is(err, db.ErrAbsent) {
		t.Errorf("claim = %v, want db.ErrAbsent", err)
	}
}

// Lock takes the lock whatever is in the file, keeps others out, and finds a
// server that holds a store which was damaged under it.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	if _, err := Lock(path, time.Millisecond); !errors.Is(err, db.ErrAbsent) {
		t.Errorf("of nothing: %v", err)
	}
	if err := Create(path, func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}
	_, release := holdElsewhere(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 8192), 0) // both metas
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path, time.Millisecond); !errors.Is(err, db.ErrLocked) {
		t.Errorf("of a damaged file that is held: %v", err)
	}
	release()
	unlock, err := Lock(path, time.Second)
	if err != nil {
		t.Fatalf("of a damaged file: %v", err)
	}
	if _, err := Open(path, Options{Timeout: time.Millisecond}); !errors.Is(err, db.ErrLocked) {
		t.Errorf("it keeps nobody out: %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if _, err := Open(path, Options{Timeout: time.Millisecond}); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("after the release: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path, time.Millisecond); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("of a folder: %v", err)
	}
}

// TestHold: what begins as a store is held as long as it is open; a backup and a text are not.
func TestHold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "husk.db")
	if err := Create(path, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if isStore, err := Hold(f); !isStore || err != nil {
		t.Errorf("a store: %v, %v", isStore, err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, db.ErrLocked) {
		t.Errorf("what is held is opened: %v", err)
	}
	again, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := Hold(again); !errors.Is(err, db.ErrLocked) {
		t.Errorf("what is held is held twice: %v", err)
	}
	f.Close()
	if isStore, err := Hold(again); !isStore || err != nil {
		t.Errorf("a store that was let go: %v, %v", isStore, err)
	}
	for _, text := range []string{"", "x", "manifest.json", string(make([]byte, 1<<16))} {
		other := filepath.Join(dir, "other")
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(other)
		if err != nil {
			t.Fatal(err)
		}
		if isStore, err := Hold(f); isStore || err != nil {
			t.Errorf("%.20q: %v, %v", text, isStore, err)
		}
		f.Close()
	}
}
