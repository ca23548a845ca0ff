//go:build unix

package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/db/dbtest"
	"husk/db/dbtest/large"
)

// killed counts what came of commands that were killed at random moments.
type killed struct {
	kind                            string
	tried, survived, refused, wrong int
	done, midway                    int // of them: the work was done, or its traces were there
}

// tell prints the line of which the table in docs/reliability.md is made.
func (k *killed) tell(t *testing.T) {
	t.Helper()
	t.Logf("%d of %d were killed midway, %d after the swap", k.midway, k.tried, k.done)
	dbtest.Cases(k.kind, k.tried, k.refused, k.wrong).Report(t)
	if k.survived != k.tried {
		t.Errorf("%d of %d survived", k.survived, k.tried)
	}
	if k.midway == 0 {
		t.Errorf("none was killed midway")
	}
}

func killTries() int {
	if dbtest.Whole() && !dbtest.Race {
		return 100
	}
	return 24
}

// copyFile copies a file, for the sake of a test.
func copyFile(t testing.TB, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = io.Copy(out, in)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tokensIn opens a store, reads all of it, and tells how many tokens it holds.
func tokensIn(path string) (int64, error) {
	e, err := bolt.Open(path, bolt.Options{Timeout: patience})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	store, err := db.Open(context.Background(), e, db.Options{})
	if err != nil {
		return 0, err
	}
	if err := archive.Walk(context.Background(), store); err != nil {
		return 0, err
	}
	counts, err := store.Counts(context.Background())
	return counts["tokens"], err
}

// namesIn are the names in a folder.
func namesIn(t testing.TB, dir string) (names []string) {
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

// killAt runs a command and kills it after so long, or, where a condition is
// given, as soon as that holds and so long after.
func (p program) killAt(t testing.TB, after time.Duration, when func() bool, args ...string) (ended bool) {
	t.Helper()
	c := p.command(context.Background(), args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- c.Wait() }()
	late := time.After(patience)
	for when != nil && !when() {
		select {
		case err := <-over:
			over <- err
			when = nil
		case <-late:
			t.Fatal("it does not come so far")
		default:
		}
	}
	alarm := time.NewTimer(after)
	defer alarm.Stop()
	select {
	case <-alarm.C:
	case err := <-over:
		over <- err
	}
	_ = c.Process.Kill()
	err := <-over
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Exited()) {
		t.Fatalf("it failed by itself: %v", err)
	}
	return err == nil
}

// took is how long a command takes when nobody kills it.
func (p program) took(t testing.TB, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	p.ok(t, args...)
	return time.Since(began)
}

// TestRestoreKilled kills restores with SIGKILL at random moments, some of
// them aimed at the swap. The store is the old or the new one each time, whole;
// the one before is whole too; and the next restore removes what was left.
func TestRestoreKilled(t *testing.T) {
	dbtest.NoRace(t, "a command that is killed before it could tell of a race")
	dbtest.TakesVeryLong(t, "a restore that is killed at many moments")
	t.Parallel()
	work := t.TempDir()
	p := program{data: filepath.Join(work, "data")}
	path := filepath.Join(p.data, embedded.file)
	counts := map[string]int64{}
	backups := []string{}
	for i, tokens := range []int{400, 600} {
		from := program{data: large.Copy(t, tokens)}
		backup := filepath.Join(work, fmt.Sprintf("%d.tar", i))
		from.ok(t, "backup", "--output", backup)
		backups, counts[backup] = append(backups, backup), int64(tokens)
	}
	duration := max(p.took(t, "restore", backups[0]), p.took(t, "restore", backups[1]))
	k := killed{kind: "restore-kill"}
	now := counts[backups[1]]
	for try := range killTries() {
		backup := backups[try%2]
		after, when := time.Duration(rand.Int64N(int64(duration*11/10))), (func() bool)(nil)
		if try%8 == 7 { // into an empty folder
			if err := os.RemoveAll(p.data); err != nil {
				t.Fatal(err)
			}
			now = 0
		} else if try%2 == 1 { // at the swap
			before, _ := os.Stat(path + ".before-restore")
			after = time.Duration(rand.Int64N(int64(time.Millisecond)))
			when = func() bool {
				kept, err := os.Stat(path + ".before-restore")
				return err == nil && !os.SameFile(kept, before)
			}
		}
		p.killAt(t, after, when, "restore", backup)
		k.tried++
		if left, _ := filepath.Glob(filepath.Join(p.data, ".husk-*")); len(left) > 0 {
			k.midway++
		}
		n, err := tokensIn(path)
		if now == 0 && errors.Is(err, db.ErrAbsent) {
			err = nil // as it was before
		}
		switch {
		case err == nil && n == counts[backup]:
			k.survived++
			k.done++
		case err == nil && n == now:
			k.survived++
		case err == nil:
			k.wrong++
			t.Errorf("try %d: %d tokens, want %d or %d", try, n, now, counts[backup])
		default:
			k.refused++
			t.Errorf("try %d, killed after %v: %v", try, after, err)
		}
		if _, err := tokensIn(path + ".before-restore"); err != nil && !errors.Is(err, db.ErrAbsent) {
			t.Errorf("try %d: the store from before: %v", try, err)
		}
		now = n
	}
	k.tell(t)
	p.ok(t, "restore", backups[0])
	p.ok(t, "restore", backups[1])
	if got := namesIn(t, p.data); !slices.Equal(got, []string{embedded.file, embedded.file + ".before-restore"}) {
		t.Errorf("in the end there are %q", got)
	}
}

// TestCompactKilled is the same of compactions: what is in the store never
// changes.
func TestCompactKilled(t *testing.T) {
	dbtest.NoRace(t, "a command that is killed before it could tell of a race")
	dbtest.TakesVeryLong(t, "a compact that is killed at many moments")
	t.Parallel()
	const tokens = 600
	p := program{data: large.Copy(t, tokens)}
	path := filepath.Join(p.data, embedded.file)
	fat := filepath.Join(t.TempDir(), "fat.db")
	copyFile(t, fat, path)
	duration := p.took(t, "compact")
	k := killed{kind: "compact-kill"}
	for try := range killTries() {
		copyFile(t, path, fat)
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		after, when := time.Duration(rand.Int64N(int64(duration*11/10))), (func() bool)(nil)
		if try%2 == 1 { // as soon as there is a copy, or as soon as that is as large as it gets
			after = time.Duration(rand.Int64N(int64(duration / 4)))
			when = func() bool {
				left, _ := filepath.Glob(filepath.Join(p.data, ".husk-compact-*"))
				return len(left) > 0
			}
		}
		p.killAt(t, after, when, "compact")
		k.tried++
		if left, _ := filepath.Glob(filepath.Join(p.data, ".husk-*")); len(left) > 0 {
			k.midway++
		}
		n, err := tokensIn(path)
		switch {
		case err != nil:
			k.refused++
			t.Errorf("try %d, killed after %v: %v", try, after, err)
		case n != tokens:
			k.wrong++
			t.Errorf("try %d: %d tokens", try, n)
		default:
			k.survived++
		}
		if now, err := os.Stat(path); err == nil && !os.SameFile(before, now) {
			k.done++
		}
	}
	k.tell(t)
	p.ok(t, "compact")
	if got := namesIn(t, p.data); !slices.Equal(got, []string{embedded.file}) {
		t.Errorf("in the end there are %q", got)
	}
}

var refusal = regexp.MustCompile(`^husk: (that is no whole backup: |the backup is of a newer husk|the backup is encrypted)`)

// TestRefusedBackups: of a backup that was cut, changed or is something else
// nothing is taken, wherever that is.
func TestRefusedBackups(t *testing.T) {
	dbtest.NoRace(t, "commands, one after the other")
	t.Parallel()
	work := t.TempDir()
	p := program{data: newData(t)}
	p.ok(t, "token", "create", "--name", "kept")
	good := filepath.Join(work, "good.tar")
	p.ok(t, "backup", "--output", good)
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(p.data, embedded.file))
	if err != nil {
		t.Fatal(err)
	}
	tries := killTries() * 4
	kinds := map[string]func() []byte{
		"cut": func() []byte { return whole[:rand.IntN(len(whole)-1024)] }, // without the end of the store
		"changed": func() []byte {
			b := slices.Clone(whole)
			b[rand.IntN(len(b)-1024)] ^= byte(1 + rand.IntN(255))
			return b
		},
		"noise": func() []byte {
			b := make([]byte, rand.IntN(4096))
			for i := range b {
				b[i] = byte(rand.Int())
			}
			return b
		},
	}
	path := filepath.Join(p.data, embedded.file)
	var inside bytes.Buffer
	if _, err := readBackup(t.Context(), bytes.NewReader(whole), &inside); err != nil {
		t.Fatal(err)
	}
	for kind, make := range kinds {
		taken, refused, lost := 0, 0, 0
		for range tries {
			bad := filepath.Join(work, kind)
			if err := os.WriteFile(bad, make(), 0o600); err != nil {
				t.Fatal(err)
			}
			r := runHere(t, []string{"HUSK_DATA=" + p.data}, "", "restore", bad)
			now, err := os.ReadFile(path)
			switch {
			case err != nil:
				t.Fatal(err)
			case r.code == exitInvalid && bytes.Equal(now, before) && refusal.MatchString(r.errors):
				refused++
			case r.code == exitDone && bytes.Equal(now, inside.Bytes()) && kind == "changed":
				taken++ // a byte that says nothing, as in the time of the manifest: the store is that of the backup
				if err := os.WriteFile(path, before, 0o600); err != nil {
					t.Fatal(err)
				}
			default:
				lost++
				t.Errorf("%s: exit code %d: %s", kind, r.code, r.errors)
			}
		}
		dbtest.Cases("backup-"+kind, taken+refused+lost, refused, lost).Report(t)
	}
	for _, name := range namesIn(t, p.data) {
		if name != embedded.file && name != embedded.file+".before-restore" {
			t.Errorf("left behind: %s", name)
		}
	}
	if _, err := os.Stat(good); errors.Is(err, fs.ErrNotExist) {
		t.Error("the backup itself is gone")
	}
}

// A signal ends the work at once, says so in one line, and changes nothing.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	p := program{data: large.Copy(t, 600)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "backup", "--output", backup)
	before, err := os.ReadFile(filepath.Join(p.data, embedded.file))
	if err != nil {
		t.Fatal(err)
	}
	output := t.TempDir()
	for i, args := range slices.Repeat([][]string{{"restore", backup}, {"compact"}, {"backup", "--output", filepath.Join(output, "husk.tar")}}, 3) {
		var stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, getenv: lookIn([]string{"HUSK_DATA=" + p.data})}
		ctx, cancel := context.WithCancel(t.Context())
		late := time.AfterFunc(time.Duration(i/3)*time.Millisecond, cancel)
		if code := a.run(ctx, args); code != exitFailure || stderr.String() != "husk: interrupted; nothing was changed\n" {
			t.Errorf("husk %q ends with %d and says %q", args, code, &stderr)
		}
		late.Stop()
		cancel()
	}
	now, err := os.ReadFile(filepath.Join(p.data, embedded.file))
	if err != nil || !bytes.Equal(before, now) {
		t.Errorf("the store was changed, %v", err)
	}
	if got := append(namesIn(t, p.data), namesIn(t, output)...); !slices.Equal(got, []string{embedded.file}) {
		t.Errorf("there are %q", got)
	}
}
