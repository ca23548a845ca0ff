package web

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/fsys"
	"husk/web/api"
	"husk/web/listen"
)

// maxCopies is how many copies of the store, for those who asked for a backup
// over the network, are on the disk at once; a receiver that is slow keeps one.
const maxCopies = 4

// backup streams a tar of manifest.json and husk.db. The snapshot is first
// copied to a local file: its read transaction lasts as long as that copy,
// never as long as the receiver takes, and the copy is proved by opening it
// before the first byte leaves.
func (s *Server) backup(c echo.Context, actor *db.Actor) error {
	if s.copies.Add(1) > maxCopies && !actor.Local() { // slow receivers don't keep the owner from one
		s.copies.Add(-1)
		return &failure{status: http.StatusServiceUnavailable, code: "busy", reason: "too many backups are under way; try again when one has ended", retryAfter: 10 * time.Second}
	}
	defer s.copies.Add(-1)
	copied, manifest, err := s.provedCopy(c.Request().Context(), false)
	if err != nil {
		return err
	}
	defer copied.Close()
	header, err := manifestText(manifest)
	if err != nil {
		return err
	}
	whole := tarSize(int64(len(header)), manifest.Size)
	if !looksOnly(c) {
		if err := s.audited(c.Request().Context(), actor, actBackup, destination(c, actor)); err != nil {
			return err
		}
		s.did(actor, "backup", "bytes", manifest.Size, "sha256", manifest.SHA256)
	}
	h := c.Response().Header()
	h.Set("Content-Type", "application/x-tar")
	if manifest.Size < 1<<33 { // a larger one has a longer header
		h.Set("Content-Length", strconv.FormatInt(whole, 10))
	}
	c.Response().WriteHeader(http.StatusOK)
	unlimited(c)
	out := listen.NewPatientWriter(c.Response(), s.stallTimeout)
	err = writeBackup(out, header, manifest, copied)
	if err != nil {
		s.brokeOff(c.Request().Context(), actor, out.Sent, whole)
	}
	return err
}

// unlimited lifts the time limits of a route that streams, which is for
// somebody with rights: its connection makes no room for others.
func unlimited(c echo.Context) {
	listen.From(c.Request().Context()).Hold()
	control := http.NewResponseController(c.Response())
	// A connection in memory, as of a test, has no limits to lift.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
}

// provedCopy makes a copy of the store and tells what is in it; thoroughly, it
// reads all of it. The copy has no name any more: however the process ends,
// nothing is left.
func (s *Server) provedCopy(ctx context.Context, thoroughly bool) (f *os.File, m api.Manifest, err error) {
	if f, err = s.snapshot(ctx); err != nil {
		return nil, m, err
	}
	m, err = s.prove(ctx, f, thoroughly)
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		f.Close()
		return nil, m, err
	}
	return f, m, nil
}

// snapshot copies the store into a file of its own in the data folder. It is
// read at once and then gone, and is not synced.
func (s *Server) snapshot(ctx context.Context) (f *os.File, err error) {
	backuper, ok := s.Store.Engine().(db.Backuper)
	if !ok {
		return nil, errors.New("this engine makes no backups")
	}
	f, err = os.CreateTemp(s.Dir, ".husk-backup-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for the backup: %w", diskError(err))
	}
	err = fsys.MakePrivate(f)
	if err == nil {
		err = backuper.Backup(ctx, f)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, fmt.Errorf("copy the store: %w", diskError(err))
	}
	return f, nil
}

// diskError gives the error of a disk its kind.
func diskError(err error) error {
	c, ok := fsys.Explain(err)
	switch {
	case !ok || c.Kind == fsys.Spent || c.Kind == fsys.Odd || errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrDisk):
		return err
	case c.Kind == fsys.Full:
		return &db.Error{Kind: db.ErrFull, Code: "disk_full", Reason: c.What() + ": there is no room for a copy of the store; " + c.Next, Cause: err}
	}
	return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: c.What() + ": no copy of the store can be made; " + c.Next, Cause: err}
}

// prove opens the copy as a store and tells what is in it.
func (s *Server) prove(ctx context.Context, f *os.File, thoroughly bool) (m api.Manifest, err error) {
	engine, err := s.OpenCopy(f.Name())
	if err != nil {
		return m, fmt.Errorf("open the copy: %w", err)
	}
	defer engine.Close()
	store, err := db.Open(ctx, engine, db.Options{})
	if err != nil {
		return m, fmt.Errorf("open the copy: %w", err)
	}
	if thoroughly {
		if err := walkCopy(ctx, store); err != nil {
			return m, err
		}
	}
	m = api.Manifest{Version: s.Version, Created: s.Store.Now().Truncate(time.Second)}
	schema, err := store.Schema(ctx)
	if err != nil {
		return m, err
	}
	m.Schema = schema.Version
	if m.Counts, err = store.Counts(ctx); err != nil {
		return m, err
	}
	m.Size, m.SHA256, err = sum(f)
	return m, err
}

func sum(f *os.File) (size int64, hash string, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// walkCopy reads every page and record of a copy. A backup of a damaged store
// is none.
func walkCopy(ctx context.Context, store *db.Store) error {
	var first error
	report := func(err error) {
		if first == nil {
			first = fmt.Errorf("%w: %w", db.ErrDamaged, err)
		}
	}
	if c, ok := store.Engine().(db.Checker); ok {
		if err := c.Check(ctx, report); err != nil {
			return err
		}
	}
	_, err := store.Check(ctx, report)
	return errors.Join(err, first)
}

func manifestText(m api.Manifest) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// tarSize is the size of the tar of two files of such sizes: a header each,
// whole blocks, two empty ones at the end.
func tarSize(manifest, store int64) int64 {
	const block = 512
	blocks := func(n int64) int64 { return (n + block - 1) / block }
	return block * (1 + blocks(manifest) + 1 + blocks(store) + 2)
}

func writeBackup(w io.Writer, text []byte, m api.Manifest, f *os.File) error {
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Name: api.BackupManifest, Mode: 0o600, Size: int64(len(text)), ModTime: m.Created}); err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: api.BackupStore, Mode: 0o600, Size: m.Size, ModTime: m.Created}); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(out, f); err != nil {
		return err
	}
	return out.Close()
}
