//go:build unix

package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"husk/db"
)

// TestPeek reads records of a file that somebody else has locked: in a bucket of
// many pages and in one that is a part of its page.
func TestPeek(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := os.WriteFile(path, populated(t), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for place, want := range map[string]string{"b/key 000000": strings.Repeat("v", 50), "b/key 002999": strings.Repeat("v", 50+2999%100), "small/k": "v"} {
		bucket, key, _ := strings.Cut(place, "/")
		if got, err := Peek(path, bucket, []byte(key)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", place, got, err)
		}
	}
	for _, place := range []string{"b/nothing", "small/key 000000", "none/k", "/k"} {
		bucket, key, _ := strings.Cut(place, "/")
		if _, err := Peek(path, bucket, []byte(key)); !errors.Is(err, db.ErrDamaged) || !strings.Contains(err.Error(), "is not there") {
			t.Errorf("%s: %v, want that it is not there", place, err)
		}
	}
}

// TestPeekBesideAWriter: what was committed before is read, whatever is being
// written.
func TestPeekBesideAWriter(t *testing.T) {
	path := create(t)
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	populate(t, e, 3000)
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			err := e.Update(t.Context(), func(tx db.Tx) error {
				return tx.Put("b", fmt.Appendf(nil, "key %06d", i%3000), bytes.Repeat([]byte("w"), 400))
			})
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 200 {
		if got, err := Peek(path, "small", []byte("k")); err != nil || string(got) != "v" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestPeekOfWhatIsNoStore is refused, and stays as it was.
func TestPeekOfWhatIsNoStore(t *testing.T) {
	whole := populated(t)
	for name, content := range map[string][]byte{
		"empty":     nil,
		"foreign":   bytes.Repeat([]byte("no store "), 9000),
		"truncated": whole[:len(whole)/2],
		"headless":  append(make([]byte, 2*pageSizeOf(t, whole)), whole[2*pageSizeOf(t, whole):]...),
	} {
		path := filepath.Join(t.TempDir(), "husk.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Peek(path, "small", []byte("k")); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("%s: %v, want db.ErrDamaged", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: it was changed, %v", name, err)
		}
	}
	if _, err := Peek(filepath.Join(t.TempDir(), "husk.db"), "small", []byte("k")); !errors.Is(err, db.ErrAbsent) {
		t.Errorf("an absent one: %v", err)
	}
	if _, err := Peek(t.TempDir(), "small", []byte("k")); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("a folder: %v", err)
	}
}
