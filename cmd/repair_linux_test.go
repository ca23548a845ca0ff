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
