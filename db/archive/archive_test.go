package archive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
)

func open(path string) (db.Engine, error) {
	e, err := bolt.Open(path, bolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newSource is a store in a folder of its own, with one token.
func newSource(t *testing.T) archive.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), archive.StoreName)
	must(t, bolt.Create(path, db.Init))
	e, err := open(path)
	must(t, err)
	store, err := db.Open(t.Context(), e, db.Options{})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	_, err = store.CreateToken(t.Context(), actor, db.NewToken{ID: "8d0b8c8e-1f2a-4c3d-9e4f-5a6b7c8d9e0f", Hash: make([]byte, 32)})
	must(t, err)
	return archive.Source{Store: store, Open: open, Dir: filepath.Dir(path), Version: "1.2.3"}
}

// What is read is what was written, which is as long as was said before, and
// nothing is left beside the store.
func TestWrittenAndRead(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	for _, thoroughly := range []bool{false, true} {
		c, err := s.Copy(t.Context(), thoroughly)
		must(t, err)
		defer c.Close()
		var backup, store bytes.Buffer
		must(t, c.WriteTar(t.Context(), &backup))
		if int64(backup.Len()) != c.TarSize() {
			t.Errorf("%d bytes were announced, it has %d", c.TarSize(), backup.Len())
		}
		m, err := archive.Read(t.Context(), &backup, &store)
		must(t, err)
		if m.Version != "1.2.3" || m.Schema != db.SchemaVersion || m.Counts["tokens"] != 1 || m.SHA256 != c.SHA256 || m.Size != int64(store.Len()) || !m.Created.Equal(c.Created) {
			t.Errorf("read %+v, written %+v", m, c.Manifest)
		}
		entries, err := os.ReadDir(s.Dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("there are %v, %v", entries, err)
		}
	}
}

// A file that is not what was written to it is none.
func TestReadBack(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	c, err := s.Copy(t.Context(), false)
	must(t, err)
	defer c.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "backup"))
	must(t, err)
	defer f.Close()
	must(t, c.WriteTar(t.Context(), f))
	_, err = archive.ReadBack(f, make([]byte, 32))
	if err == nil {
		t.Error("another file was read back")
	}
	var invalid *archive.InvalidError
	if _, err := f.Seek(1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Read(t.Context(), f, new(bytes.Buffer)); !errors.As(err, &invalid) {
		t.Errorf("what does not begin as a tar is taken: %v", err)
	}
}

// A look at a backup tells what Read tells, and what is cut short; none of the
// store in it is read.
func TestLook(t *testing.T) {
	t.Parallel()
	c, err := newSource(t).Copy(t.Context(), false)
	must(t, err)
	defer c.Close()
	var backup bytes.Buffer
	must(t, c.WriteTar(t.Context(), &backup))
	size := int64(backup.Len())
	// Without the end: 1024 bytes of the tar and all of the store.
	begins := backup.Bytes()[:size-c.Size-1024]
	m, err := archive.Look(bytes.NewReader(begins), size)
	if err != nil || m.SHA256 != c.SHA256 || m.Counts["tokens"] != 1 {
		t.Errorf("it is %+v, %v", m, err)
	}
	var invalid *archive.InvalidError
	if _, err := archive.Look(bytes.NewReader(begins), c.Size-1); !errors.As(err, &invalid) {
		t.Errorf("it is cut short: %v", err)
	}
	if _, err := archive.Look(bytes.NewReader([]byte("no tar")), size); !errors.As(err, &invalid) {
		t.Errorf("it is none: %v", err)
	}
}
