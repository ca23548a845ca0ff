package archive_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/db/bolt/bolttest"
)

// damage puts a record under a key that is not its own.
func damage(t *testing.T, e db.Engine) {
	t.Helper()
	must(t, e.Update(t.Context(), func(tx db.Tx) error {
		value, err := tx.Get("user", []byte(db.SingleUser))
		if err != nil {
			return err
		}
		return tx.Put("user", []byte("another"), value)
	}))
}

// A thorough proof finds what the other one does not look for, and nothing is
// left of what it refuses.
func TestProofOfADamagedStore(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	damage(t, s.Store.Engine())
	c, err := s.Copy(t.Context(), false)
	must(t, err)
	must(t, c.Close())
	var damaged *archive.DamagedError
	c, err = s.Copy(t.Context(), true)
	if !errors.As(err, &damaged) || !errors.Is(err, db.ErrDamaged) || damaged.Places == 0 || damaged.First == nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
	if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// A store of an older schema is read on a copy of its own, and stays as it is.
func TestProofOfAnOlderStore(t *testing.T) {
	t.Parallel()
	for schema := 1; schema < db.SchemaVersion; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) { t.Parallel(); proveOlder(t, schema) })
	}
}

func proveOlder(t *testing.T, schema int) {
	packed, err := os.Open(fmt.Sprintf("../../cmd/testdata/schema/husk.db.schema-%d.gz", schema))
	must(t, err)
	defer packed.Close()
	in, err := gzip.NewReader(packed)
	must(t, err)
	text, err := io.ReadAll(in)
	must(t, err)
	path := filepath.Join(t.TempDir(), archive.StoreName)
	must(t, os.WriteFile(path, text, 0o600))
	c, err := archive.Prove(t.Context(), path, open, false)
	if err != nil || c.Schema != schema || c.Counts != nil {
		t.Errorf("a look at it: %+v, %v", c, err)
	}
	tokens := int64(2)
	if schema >= 4 {
		tokens = 3 // and one that is good at the gate alone
	}
	c, err = archive.Prove(t.Context(), path, open, true)
	if err != nil || c.Schema != schema || c.Counts["users"] != 3 || c.Counts["tokens"] != tokens {
		t.Errorf("%+v, %v", c, err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, text) {
		t.Errorf("it was changed, %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
	e, err := open(path)
	must(t, err)
	must(t, e.Update(t.Context(), func(tx db.Tx) error {
		var last []byte
		err := tx.Scan("user.index", nil, nil, false, func(key, _ []byte) bool { last = key; return true })
		if err != nil || last == nil {
			return errors.Join(errors.New("there is no index"), err)
		}
		return tx.Delete("user.index", last) // which no checksum of a record tells
	}))
	must(t, e.Close())
	var damaged *archive.DamagedError
	if _, err := archive.Prove(t.Context(), path, open, true); !errors.As(err, &damaged) {
		t.Errorf("damaged: %v", err)
	}
}

// A file that is no store is refused by its engine or by its schema.
func TestProofOfNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, empty := filepath.Join(dir, "text"), filepath.Join(dir, "empty")
	must(t, os.WriteFile(text, []byte("no store"), 0o600))
	must(t, bolt.Create(empty, func(tx db.Tx) error { return tx.Put("x", []byte("k"), []byte("v")) }))
	for _, path := range []string{text, empty} {
		if _, err := archive.Prove(t.Context(), path, open, false); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	if _, err := archive.Prove(t.Context(), filepath.Join(dir, "absent"), open, true); !errors.Is(err, db.ErrAbsent) {
		t.Errorf("an absent one: %v", err)
	}
}

// What keeps a copy from being written has its kind, and leaves no half of one.
func TestSnapshotThatFails(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	luck := errors.New("no luck")
	for name, c := range map[string]struct{ err, want error }{
		"full":  {&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, db.ErrFull},
		"quota": {&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, db.ErrFull},
		"disk":  {&os.PathError{Op: "write", Path: "x", Err: syscall.EIO}, db.ErrDisk},
		"known": {db.ErrDisk, db.ErrDisk},
		"other": {luck, luck},
	} {
		f, err := archive.Snapshot(t.Context(), bolttest.BrokenBackup{Engine: s.Store.Engine(), Err: c.err}, s.Dir, ".husk-*")
		if f != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none struct{ db.Engine }
	if _, err := archive.Snapshot(t.Context(), none, s.Dir, ".husk-*"); err == nil {
		t.Error("an engine without copies makes one")
	}
	if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// Reading and writing end with their context.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	c, err := s.Copy(t.Context(), false)
	must(t, err)
	defer c.Close()
	var whole bytes.Buffer
	must(t, c.WriteTar(t.Context(), &whole))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.WriteTar(ended, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("writing: %v", err)
	}
	if _, err := archive.Read(ended, &whole, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("reading: %v", err)
	}
}
