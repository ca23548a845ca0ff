package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
)

func TestConformance(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) db.Engine { return open(t, roomy(t)) })
}

// An engine that has bounds stands on the same contract.
func TestConformanceWithBounds(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) db.Engine {
		return &dbtest.Altered{Engine: open(t, roomy(t)), Limit: db.Bound{Writes: db.LeastWrites, Bytes: db.LeastBytes}}
	})
}

// No other process can have the file, but there may be more Stores than one.
func TestConformanceShared(t *testing.T) {
	dbtest.RunShared(t, func(t *testing.T) (one, other db.Engine) {
		e := open(t, create(t))
		return e, e
	})
}

// create makes a store with nothing in it.
func create(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "husk.db")
	if err := Create(path, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a store that has to be whole when the test ends.
func open(t testing.TB, path string) *Engine {
	t.Helper()
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		wantWhole(t, e)
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func wantWhole(t testing.TB, e *Engine) {
	t.Helper()
	err := e.Check(context.Background(), func(err error) { t.Errorf("check: %v", err) })
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		t.Errorf("check: %v", err)
	}
}

// set is an Update of one key.
func set(e *Engine, key, value string) error {
	return e.Update(context.Background(), func(tx db.Tx) error { return tx.Put("b", []byte(key), []byte(value)) })
}

func get(e *Engine, key string) (value string, err error) {
	err = e.View(context.Background(), func(tx db.Tx) error {
		v, err := tx.Get("b", []byte(key))
		value = string(v)
		return err
	})
	return value, err
}

func wantValue(t *testing.T, e *Engine, key, want string) {
	t.Helper()
	if got, err := get(e, key); err != nil || got != want {
		t.Errorf("%s = %q, %v, want %q", key, got, err, want)
	}
}

// populate makes several levels of pages, in a bucket of its own and one that
// is kept inline, and leaves free ones behind.
func populate(t testing.TB, e *Engine, n int) {
	t.Helper()
	for from := 0; from < n; from += 500 {
		err := e.Update(context.Background(), func(tx db.Tx) error {
			for i := from; i < min(from+500, n); i++ {
				if err := tx.Put("b", fmt.Appendf(nil, "key %06d", i), bytes.Repeat([]byte{'v'}, 50+i%100)); err != nil {
					return err
				}
			}
			return tx.Put("small", []byte("k"), []byte("v"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readAll reads everything, in both directions.
func readAll(e *Engine) error {
	return e.View(context.Background(), func(tx db.Tx) error {
		for _, reverse := range []bool{false, true} {
			for _, bucket := range []string{"b", "small"} {
				if err := tx.Scan(bucket, nil, nil, reverse, func(_, _ []byte) bool { return true }); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func TestOpenAfterClose(t *testing.T) {
	path := create(t)
	e := open(t, path)
	if err := set(e, "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"view":   e.View(t.Context(), func(db.Tx) error { return nil }),
		"update": set(e, "k", "other"),
		"backup": e.Backup(t.Context(), new(bytes.Buffer)),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after close = %v, want fs.ErrClosed", name, err)
		}
	}
	if s := e.Stats(); s != (db.EngineStats{}) {
		t.Errorf("stats after close = %+v", s)
	}
	wantValue(t, open(t, path), "k", "v")
}

func TestCloseWaitsForReaders(t *testing.T) {
	e := open(t, create(t))
	reading, release, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		_ = e.View(t.Context(), func(db.Tx) error { close(reading); <-release; return nil })
	}()
	<-reading
	go func() { defer close(closed); _ = e.Close() }()
	select {
	case <-closed:
		t.Error("close does not wait for the view")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	<-closed
}

func TestTransactionAfterItsEnd(t *testing.T) {
	e := open(t, create(t))
	var kept db.Tx
	_ = e.View(t.Context(), func(tx db.Tx) error { kept = tx; return nil })
	if _, err := kept.Get("b", []byte("k")); !errors.Is(err, errOver) {
		t.Errorf("get = %v", err)
	}
	if err := kept.Put("b", []byte("k"), []byte("v")); !errors.Is(err, errOver) {
		t.Errorf("put = %v", err)
	}
}

func TestTooLargeKey(t *testing.T) {
	e := open(t, create(t))
	if err := set(e, strings.Repeat("k", 1<<16), "v"); !errors.Is(err, db.ErrInvalid) {
		t.Errorf("update = %v, want db.ErrInvalid", err)
	}
}

func TestBackup(t *testing.T) {
	e := open(t, create(t))
	populate(t, e, 2000)
	path := filepath.Join(t.TempDir(), "copy.db")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Backup(t.Context(), writerFunc(func(p []byte) (int, error) {
		return len(p), errors.Join(set(e, "during", "backup"), func() error { _, err := f.Write(p); return err }())
	}))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	backup := open(t, path)
	wantValue(t, backup, "key 001999", strings.Repeat("v", 149))
	wantValue(t, backup, "during", "")

	ctx, cancel := context.WithCancel(t.Context())
	err = e.Backup(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("backup whose context ends = %v", err)
	}
	failure := errors.New("failure")
	if err := e.Backup(t.Context(), writerFunc(func([]byte) (int, error) { return 0, failure })); !errors.Is(err, failure) {
		t.Errorf("backup whose writer fails = %v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStats(t *testing.T) {
	e := open(t, create(t))
	before := e.Stats()
	if before.PageSize < minPageSize || before.Size < 4*int64(before.PageSize) {
		t.Errorf("stats of a new store = %+v", before)
	}
	for i := range 5 {
		if err := set(e, "k", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	after := e.Stats()
	if after.Commits != before.Commits+5 || after.Reads <= before.Reads || after.FreePages+after.PendingPages == 0 {
		t.Errorf("stats = %+v after 5 updates and before %+v", after, before)
	}
}

func TestCheckBesideWriters(t *testing.T) {
	e := open(t, create(t))
	populate(t, e, 3000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			if err := set(e, fmt.Sprintf("key %06d", i%3000), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 20 {
		wantWhole(t, e)
	}
	cancel()
	<-done
	if err := e.Check(ctx, func(error) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("check whose context has ended = %v", err)
	}
}

func TestCompact(t *testing.T) {
	e := open(t, create(t))
	populate(t, e, 5000)
	err := e.Update(t.Context(), func(tx db.Tx) error {
		for i := range 4900 {
			if err := tx.Delete("b", fmt.Appendf(nil, "key %06d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "compact.db")
	if err := e.Compact(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := e.Compact(t.Context(), path); !errors.Is(err, db.ErrConflict) || !errors.Is(err, fs.ErrExist) {
		t.Errorf("compact over a file = %v", err)
	}
	small := open(t, path)
	if s, was := small.Stats(), e.Stats(); s.Size >= was.Size {
		t.Errorf("%d bytes after compact, %d before", s.Size, was.Size)
	}
	// Also where there is next to nothing: growth by steps is not kept.
	next := filepath.Join(t.TempDir(), "again.db")
	if err := small.Compact(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for file, most := range map[string]int64{path: 64 << 10, next: 64 << 10} {
		if info, err := os.Stat(file); err != nil || info.Size() > most {
			t.Errorf("%s has %d bytes, more than %d (%v)", file, info.Size(), most, err)
		}
	}
	wantValue(t, small, "key 004999", strings.Repeat("v", 149))
	wantValue(t, small, "key 004899", "")
	if err := set(small, "k", "v"); err != nil {
		t.Error(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path += ".2"
	if err := e.Compact(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("compact whose context has ended = %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("compact that failed left a file: %v", err)
	}
}
