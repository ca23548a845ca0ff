package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/db/dbtest/large"
)

// damageHeader overwrites both metas, under whoever has the store open.
func damageHeader(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 8192), 0)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A server whose store was damaged under it still has it: nothing is put in
// its place before the server is stopped, and then it is.
func TestRestoreBesideAServerWithADamagedStore(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "token", "create", "--name", "kept")
	p.ok(t, "backup", "--output", backup)
	s := p.serve(t)
	damageHeader(t, filepath.Join(p.data, embedded.file))
	if r := p.want(t, exitBusy, "restore", backup); !strings.Contains(r.stderr, "stop the server first") {
		t.Errorf("it says %s", r.stderr)
	}
	s.kill()
	p.ok(t, "restore", backup)
	if !p.tokenNames(t)["kept"] {
		t.Error("the token is gone")
	}
}

// What stands where the store should be and is no file is left alone.
func TestRestoreOverAFolder(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "token", "create")
	p.ok(t, "backup", "--output", backup)
	p.data = t.TempDir()
	inside := filepath.Join(p.data, embedded.file, "inside")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := p.want(t, exitInvalid, "restore", backup); !strings.Contains(r.stderr, "is not a regular file") || !strings.Contains(r.stderr, "move it away") {
		t.Errorf("it says %s", r.stderr)
	}
	if _, err := os.Stat(inside); err != nil || len(namesIn(t, p.data)) != 1 {
		t.Errorf("%v, there are %q", err, namesIn(t, p.data))
	}
}

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A store that a server made while a restore into an empty folder was under
// way is not replaced under it.
func TestRestoreBesideANewStore(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create", "--name", "made meanwhile")
	a := &app{}
	a.settings.Data = p.data
	copied := openFile(t, writeFile(t, p.data, ".husk-restore-1", "a copy"))
	err := a.swap(copied, true, nil)
	if exitCode(err) != exitConflict || !strings.Contains(err.Error(), "a store was made in") {
		t.Errorf("swap: %v", err)
	}
	if err := os.Remove(copied.Name()); err != nil {
		t.Error(err)
	}
	if !p.tokenNames(t)["made meanwhile"] {
		t.Error("it was replaced")
	}
}

// The one kept before is replaced in one step, also where both are the same.
func TestRestoreTwiceKeepsTheOneBefore(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	a := &app{}
	a.settings.Data = data
	writeFile(t, data, embedded.file, "one")
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	for i, next := range []string{"two", "three"} {
		before := read(embedded.file)
		if i == 1 { // as one that was killed before the swap leaves it
			if err := errors.Join(os.Remove(filepath.Join(data, embedded.file+".before-restore")), os.Link(a.storePath(), a.storePath()+".before-restore")); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.swap(openFile(t, writeFile(t, data, ".husk-restore-1", next)), false, nil); err != nil {
			t.Fatal(err)
		}
		if read(embedded.file) != next || read(embedded.file+".before-restore") != before {
			t.Errorf("now %s, before %s", read(embedded.file), read(embedded.file+".before-restore"))
		}
	}
	if got := namesIn(t, data); len(got) != 2 {
		t.Errorf("there are %q", got)
	}
}

// A backup goes to a file or to a pipe: not over a device, not to a terminal.
func TestBackupToNoFile(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{pipe, "/dev/null", t.TempDir()} {
		if r := p.want(t, exitUsage, "backup", "--output", output); !strings.Contains(r.stderr, "is not a regular file") {
			t.Errorf("%s: %s", output, r.stderr)
		}
	}
	if info, err := os.Lstat("/dev/null"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("/dev/null is now %v, %v", info.Mode(), err)
	}
	_, tty := terminal(t)
	c := p.command(t.Context(), "backup", "--output", "-")
	c.Stdout = tty
	if err := c.Run(); c.ProcessState.ExitCode() != exitUsage {
		t.Errorf("to a terminal: %v", err)
	}
}

// No room is said to be missing where it is, and nothing half made is left.
func TestBackupWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	p := program{data: large.Copy(t, 3000)} // more than the disk holds
	path := filepath.Join(p.data, embedded.file)
	if info, err := os.Stat(path); err != nil || info.Size() < 4<<20 {
		t.Fatalf("the store is too small: %v", info.Size())
	}
	wantFull := func(r result, what string) {
		t.Helper()
		if !strings.Contains(r.stderr, what) || !strings.Contains(r.stderr, "free some space") {
			t.Errorf("it says %s", r.stderr)
		}
	}
	backup := filepath.Join(dir, "husk.tar")
	for _, more := range [][]string{nil, {"--recipient", "age1feqnwcljfk6lcxhaxl7hgp8ud5xwedks42rwctjlp5xpe8tgtsrqq5rp95"}} {
		wantFull(p.want(t, exitFailure, append([]string{"backup", "--output", backup}, more...)...), "the backup can't be written: "+backup+": no space left on device")
	}
	good := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "backup", "--output", good)
	wantFull(p.want(t, exitFailure, "restore", good, "--data", filepath.Join(dir, "data")), "is full")
	if got := namesIn(t, dir); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}

	// A compaction, and a backup of a store on that disk.
	small := program{data: filepath.Join(dir, "data")}
	small.ok(t, "token", "create", "--name", "kept")
	free := fillDisk(t, dir)
	for _, args := range [][]string{{"compact"}, {"backup", "--output", filepath.Join(t.TempDir(), "x.tar")}} {
		wantFull(small.want(t, exitFailure, args...), "is full")
	}
	if got := namesIn(t, small.data); !slices.Equal(got, []string{embedded.file}) {
		t.Errorf("left behind: %q", got)
	}
	free()
	small.ok(t, "compact")
	if !small.tokenNames(t)["kept"] {
		t.Error("the token is gone")
	}
}

// A scheduled backup that finds no room is told, and the next one made where
// there is some.
func TestScheduledBackupWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	p := program{data: large.Copy(t, 3000)}
	s := p.serve(t, "--backup-dir", dir)
	eventually(t, "it says so", func() bool { return strings.Contains(s.log.String(), "the scheduled backup failed") })
	if !strings.Contains(s.log.String(), "no space left on device") {
		t.Errorf("the log: %s", &s.log)
	}
	r := p.want(t, exitInvalid, "health", "--verbose")
	if !strings.Contains(r.stdout, "the last scheduled backup failed, none was made") {
		t.Errorf("health says %s", r.stdout)
	}
	if got := namesIn(t, dir); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
	s.end()
}

// Who sits at a terminal sees how far it is, and nothing of it stays there.
func TestProgressIsSeen(t *testing.T) {
	dbtest.NoRace(t, "what a terminal shows of a store of 20,000 tokens")
	dbtest.TakesVeryLong(t, "what a terminal shows of a store of 20,000 tokens")
	t.Parallel()
	p := program{data: large.Copy(t, 20_000)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	line := regexp.MustCompile(`(backup|copying|checking)( …|: [0-9.]+ \w+).*, \d+ s`)
	for _, args := range [][]string{{"backup", "--output", backup}, {"restore", backup}, {"compact"}} {
		keys, tty := terminal(t)
		cmd := p.command(context.Background(), args...)
		cmd.Stderr = tty
		began := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatalf("husk %q: %v", args, err)
		}
		took := time.Since(began)
		fmt.Fprint(tty, "@")
		shown, err := bufio.NewReader(keys).ReadString('@')
		if err != nil {
			t.Fatal(err)
		}
		if !line.MatchString(shown) && took > 4*progressEvery { // what is quick shows nothing
			t.Errorf("husk %q took %v and showed %q", args, took, shown)
		}
		if left := shown[strings.LastIndex(shown, eraseLine)+1:]; line.MatchString(left) {
			t.Errorf("husk %q leaves %q", args, left)
		}
	}
}
