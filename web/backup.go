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
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

// backup streams a tar of manifest.json and husk.db. The snapshot is first
// copied to a local file: its read transaction lasts as long as that copy,
// never as long as the receiver takes, and the copy is proved by opening it
// before the first byte leaves.
func (s *Server) backup(c echo.Context, actor *db.Actor) error {
	ctx := c.Request().Context()
	copied, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	defer os.Remove(copied.Name())
	defer copied.Close()
	manifest, err := s.prove(ctx, copied)
	if err != nil {
		return err
	}
	s.did(actor, "backup", "bytes", manifest.Size, "sha256", manifest.SHA256)
	c.Response().Header().Set("Content-Type", "application/x-tar")
	c.Response().WriteHeader(http.StatusOK)
	unlimited(c)
	return writeBackup(c.Response(), manifest, copied)
}

// unlimited lifts the time limits of a route that streams.
func unlimited(c echo.Context) {
	control := http.NewResponseController(c.Response())
	// A connection in memory, as of a test, has no limits to lift.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
}

// snapshot copies the store into a file of its own in the data folder.
func (s *Server) snapshot(ctx context.Context) (f *os.File, err error) {
	backuper, ok := s.Store.Engine().(db.Backuper)
	if !ok {
		return nil, errors.New("this engine makes no backups")
	}
	f, err = os.CreateTemp(s.Dir, ".husk-backup-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for the backup: %w", err)
	}
	err = f.Chmod(0o600) // whatever the umask
	if err == nil {
		err = backuper.Backup(ctx, f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, fmt.Errorf("copy the store: %w", err)
	}
	return f, nil
}

// prove opens the copy as a store and tells what is in it.
func (s *Server) prove(ctx context.Context, f *os.File) (m api.Manifest, err error) {
	engine, err := s.OpenCopy(f.Name())
	if err != nil {
		return m, fmt.Errorf("open the copy: %w", err)
	}
	defer engine.Close()
	store, err := db.Open(ctx, engine, db.Options{})
	if err != nil {
		return m, fmt.Errorf("open the copy: %w", err)
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

func writeBackup(w io.Writer, m api.Manifest, f *os.File) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
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
