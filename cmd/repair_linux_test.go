package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
)

// damagedStore makes a store in data, with a token named stays, a damaged one,
// and so many users, and returns the bytes of its file.
func damagedStore(t *testing.T, data string, users int) (p program, text []byte) {
	t.Helper()
	p = program{data: data}
	p.ok(t, "token", "create", "--name", "stays")
	p.ok(t, "token", "create", "--name", "hers")
	if users > 0 {
		var lines bytes.Buffer
		for i := range users {
			fmt.Fprintf(&lines, "{\"email\":\"user%d@example.com\"}\n", i)
		}
		file := filepath.Join(t.TempDir(), "users.ndjson")
		if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		p.ok(t, "user", "import", "--ndjson", file)
	}
	text, err := os.ReadFile(p.store())
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`"name":"hers"`), []byte(`"name":"herz"`))
	if err := os.WriteFile(p.store(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return p, text
}

// wantStore compares the file with what it was.
func wantStore(t *testing.T, p program, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(p.store()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the store was changed: %d bytes of %d, %v", len(got), len(want), err)
	}
}

// On a terminal a repair asks, and whoever does not say yes has said no.
func TestRepairAsks(t *testing.T) {
	t.Parallel()
	keys, tty := terminal(t)
	p, text := damagedStore(t, filepath.Join(t.TempDir(), "data"), 0)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := p.command(ctx, "check", "--repair")
	c.Stdin = tty
	var said bytes.Buffer
	c.Stderr = &said
	if _, err := io.WriteString(keys, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(); c.ProcessState.ExitCode() != exitFailure || !strings.Contains(said.String(), "husk.db.before-repair. [y/N]") {
		t.Errorf("it ended with %v, and said %q", err, said.String())
	}
	wantStore(t, p, text)
	wantFiles(t, p.data, "husk.db")
}

// A disk that is full leaves the store as it was, and nothing beside it.
func TestRepairOnAFullDisk(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		prerequisite(t, "mount: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	p, text := damagedStore(t, dir, 200)
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	ballast.Close()
	r := p.want(t, exitFailure, "check", "--repair")
	if !strings.Contains(r.stderr, "is full") {
		t.Errorf("it says %q", r.stderr)
	}
	wantStore(t, p, text)
	wantFiles(t, dir, "ballast", "husk.db")
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	p.ok(t, "check", "--repair")
	p.ok(t, "check")
}

// Killed at any moment, a repair leaves the old store or the new one.
func TestKilledRepair(t *testing.T) {
	dbtest.NoRace(t, "a command that is killed before it could tell of a race")
	dbtest.TakesLong(t, "a repair that is killed at many moments")
	t.Parallel()
	p, text := damagedStore(t, filepath.Join(t.TempDir(), "data"), 300)
	random := rand.New(rand.NewSource(1))
	outcomes := map[string]int{}
	began := time.Now()
	p.ok(t, "check", "--repair", "--quiet")
	whole := time.Since(began) // how long one takes that is not killed
	os.Remove(p.store())
	for range 15 {
		if err := os.WriteFile(p.store(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration((0.2+random.Float64())*float64(whole)))
		_ = p.command(ctx, "check", "--repair", "--quiet").Run()
		cancel()
		got, err := os.ReadFile(p.store())
		switch {
		case err != nil:
			t.Fatal(err)
		case bytes.Equal(got, text):
			outcomes["old"]++
		default:
			outcomes["new"]++
			p.ok(t, "check")
			if kept, err := os.ReadFile(p.store() + ".before-repair"); err != nil || !bytes.Equal(kept, text) {
				t.Errorf("the old store was not kept: %v", err)
			}
			os.Remove(p.store()) // it has two names
		}
	}
	t.Log(outcomes)
}

// Root repairs the store of another user, who may have put what they like into
// their folder: what is not theirs is neither read for them nor given to them.
func TestRepairInTheFolderOfAnother(t *testing.T) {
	dbtest.NoRace(t, "commands, one after the other")
	t.Parallel()
	needRoot(t)
	const nobody = 65534
	for name, lead := range map[string]func(secret, name string) error{
		"a link":    os.Symlink,
		"a name":    os.Link,
		"a pipe":    func(_, name string) error { return syscall.Mkfifo(name, 0o600) },
		"a folder":  func(_, name string) error { return os.Mkdir(name, 0o700) },
		"to itself": func(_, name string) error { return os.Symlink(filepath.Base(name), name) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, text := damagedStore(t, filepath.Join(dir, "data"), 0)
			for _, path := range []string{p.data, p.store()} {
				if err := os.Chown(path, nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
			secret, aside := filepath.Join(dir, "secret"), p.store()+".damaged.ndjson"
			if err := errors.Join(os.WriteFile(secret, []byte("of root\n"), 0o600), lead(secret, aside)); err != nil {
				t.Fatal(err)
			}
			r := p.want(t, exitFailure, "check", "--repair")
			if !strings.Contains(r.stderr, "is not a file that husk made there") {
				t.Errorf("it says %q", r.stderr)
			}
			wantStore(t, p, text)
			wantFiles(t, p.data, "husk.db", "husk.db.damaged.ndjson")
			if owner := ownerOf(t, secret); owner != 0 {
				t.Errorf("the file of root belongs to %d", owner)
			}
			if err := os.Remove(aside); err != nil {
				t.Fatal(err)
			}
			p.ok(t, "check", "--repair")
			for _, path := range []string{p.store(), aside} {
				if owner := ownerOf(t, path); owner != nobody {
					t.Errorf("%s belongs to %d", path, owner)
				}
			}
		})
	}
}

// Nor does root make a copy for them of a store that they may not read.
func TestStoreOfAnotherFolder(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := openDir(t)
	roots, text := damagedStore(t, filepath.Join(dir, "roots"), 0)
	theirs := program{data: filepath.Join(dir, "theirs")}
	theirs.ok(t, "token", "create", "--name", "theirs")
	elsewhere := filepath.Join(dir, "elsewhere.db")
	if err := errors.Join(os.Rename(theirs.store(), elsewhere), os.Chown(elsewhere, nobody, nobody), os.Chown(theirs.data, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	lead := func(to string) {
		t.Helper()
		os.Remove(theirs.store())
		if err := os.Symlink(to, theirs.store()); err != nil {
			t.Fatal(err)
		}
	}
	lead(roots.store())
	for _, args := range [][]string{{"check", "--repair"}, {"compact"}, {"check"}, {"token", "list"}, {"backup", "--output", filepath.Join(dir, "backup.tar")}} {
		if r := theirs.want(t, exitDenied, args...); !strings.Contains(r.stderr, "permission denied") {
			t.Errorf("%v says %q", args, r.stdout+r.stderr)
		}
		wantFiles(t, theirs.data, "husk.db")
		wantFiles(t, dir, "elsewhere.db", "roots", "theirs")
	}
	wantStore(t, roots, text)
	lead(elsewhere)
	if out := theirs.ok(t, "token", "list"); !strings.Contains(out, "theirs") {
		t.Errorf("their own is not found: %q", out)
	}
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}
