package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
	"husk/web/folder"
)

// Backups are the regular backups of a running server; the zero value makes
// none. A folder is for one server alone.
type Backups struct {
	Dir   string        // where they are kept
	Every time.Duration // how old the newest may become
	Keep  int           // how many are kept, one at least

	// Seal begins a file that is encrypted, in w; its Close ends it. nil: they
	// are not encrypted.
	Seal func(w io.Writer) (io.WriteCloser, error)
}

const (
	backupLook  = time.Minute // how often to see whether one is due
	backupRetry = time.Hour   // how long after a failure the next try is, at most
)

// The name of a regular backup has the time of its making, in UTC, so that
// names sort by age. What is called otherwise is somebody else's.
const backupTime = "20060102T150405Z"

var backupName = regexp.MustCompile(`^husk-(\d{8}T\d{6}Z)\.tar(\.age)?$`)

// regular is what is known of the regular backups. One goroutine makes them;
// others read what it tells.
type regular struct {
	mu     sync.Mutex
	begun  time.Time // when the making began; zero: nobody makes any
	tried  time.Time // the last try that failed
	err    error     // why; nil: there is none since the last that succeeded
	newest time.Time // backup that is there; zero: none
	kept   int       // how many are there
	size   int64     // bytes of the last that was made
	took   time.Duration
	made   uint64
	failed uint64
	future string // the name of one that is of the future, which the log was told
}

// CheckBackups tells whether backups can be written to the folder, and whether
// what root writes goes there and nowhere else. Its error is a *ExposedError
// where others may read them.
func CheckBackups(b Backups) error {
	if b.Dir == "" {
		return nil
	}
	if err := folder.Check(b.Dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(b.Dir, ".husk-try-*")
	if err != nil {
		return err
	}
	open := b.Seal == nil && fsys.Private(f) != nil
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	if err == nil && open {
		return &ExposedError{b.Dir}
	}
	return err
}

// ExposedError says that others may read the regular backups, which are not
// encrypted: the file system keeps no modes. It is a warning.
type ExposedError struct{ Dir string }

func (e *ExposedError) Error() string {
	return "others may read what is in backup-dir, " + e.Dir + ", whose file system keeps no file modes: name a backup-recipient, or mount it with umask=077"
}

// startBackups makes regular backups until ctx ends; stop waits for the end.
func (s *Server) startBackups(ctx context.Context) (stop func()) {
	if s.Backups.Dir == "" {
		return func() {}
	}
	s.background(s.beginBackups)
	var working sync.WaitGroup
	working.Go(func() {
		look := time.NewTicker(backupLook)
		defer look.Stop()
		for {
			s.background(func() { s.backUpWhenDue(ctx) })
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
		}
	})
	return working.Wait
}

// beginBackups looks at what is there, so that it can be told from the start.
func (s *Server) beginBackups() {
	r := &s.regular
	found, err := s.listBackups(s.Store.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = s.Store.Now()
	if err == nil {
		r.note(found)
	}
}

func (r *regular) note(found []backupFile) {
	r.kept, r.newest = len(found), time.Time{}
	if len(found) > 0 {
		r.newest = found[0].made
	}
}

// backUpWhenDue makes a backup where the newest is too old, and not again at
// once where that fails.
func (s *Server) backUpWhenDue(ctx context.Context) {
	now := s.Store.Now()
	r := &s.regular
	r.mu.Lock()
	since := now.Sub(r.tried)
	wait := r.err != nil && since >= 0 && since < min(s.Backups.Every, backupRetry)
	r.mu.Unlock()
	if wait {
		return
	}
	found, err := s.listBackups(now)
	if err == nil && len(found) > 0 && now.Sub(found[0].made) < s.Backups.Every {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.note(found)
		r.err = nil // somebody made one, or mended the folder
		return
	}
	began := time.Now()
	var name string
	var size int64
	if err == nil {
		name, size, err = s.backUp(ctx, now)
	}
	if err == nil {
		found, err = s.removeOldBackups(now)
	}
	if err != nil && ctx.Err() != nil {
		return // the server stops: the next one makes it
	}
	took := time.Since(began)
	s.tellBackup(ctx, name, size, took, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if err != nil {
		r.failed++
		r.tried = now
		return
	}
	r.made++
	r.size, r.took = size, took
	r.note(found)
}

func (s *Server) tellBackup(ctx context.Context, name string, size int64, took time.Duration, err error) {
	if err != nil {
		s.log.Error("the regular backup failed", "dir", s.Backups.Dir, "error", withCause(err))
		return
	}
	file := filepath.Join(s.Backups.Dir, name)
	if err := s.audited(context.WithoutCancel(ctx), &db.Actor{ID: db.OwnActor, Name: db.OwnActor}, actBackup, plainTarget(file)); err != nil {
		s.log.Error("the regular backup is not in the audit log", "file", file, "error", withCause(err))
	}
	s.log.Info("regular backup", "file", file, "bytes", size, "encrypted", s.Backups.Seal != nil, "took", took.Round(time.Millisecond).String())
}

// backUp makes one backup as of now. It is read as a whole before it gets its
// name, as a store and then as a file.
func (s *Server) backUp(ctx context.Context, now time.Time) (name string, size int64, err error) {
	copied, err := s.source().Copy(ctx, true)
	if err != nil {
		return "", 0, err
	}
	defer copied.Close()
	f, err := s.newBackupFile()
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(f.Name()) // gone after the rename
	defer f.Close()
	written := sha256.New()
	err = s.sealed(io.MultiWriter(f, written), func(w io.Writer) error { return copied.WriteTar(ctx, w) })
	if err == nil {
		size, err = archive.ReadBack(f, written.Sum(nil))
	}
	if err != nil {
		return "", 0, fmt.Errorf("write the backup: %w", err)
	}
	name = "husk-" + now.UTC().Format(backupTime) + s.Backups.extension()
	return name, size, s.placeBackup(f, name)
}

func (b *Backups) extension() string {
	if b.Seal != nil {
		return ".tar.age"
	}
	return ".tar"
}

// newBackupFile makes the file that a backup is written to. Its name is always
// the same for a data folder, so that of many tries that were killed one file
// is left at most.
func (s *Server) newBackupFile() (*os.File, error) {
	of := sha256.Sum256([]byte(s.Dir))
	path := filepath.Join(s.Backups.Dir, ".husk-backup-"+hex.EncodeToString(of[:4]))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// placeBackup gives the file its name, if it is still the one that was
// written: another server that was given the same folder by mistake may have
// begun one of its own.
func (s *Server) placeBackup(f *os.File, name string) error {
	mine, err := f.Stat()
	now, err2 := os.Stat(f.Name())
	if err != nil || err2 != nil || !os.SameFile(mine, now) {
		return errors.Join(errors.New("another husk writes to the folder: each needs one of its own"), err, err2)
	}
	in, err := os.OpenRoot(s.Backups.Dir)
	if err != nil {
		return err
	}
	defer in.Close()
	// What has the name already is somebody else's.
	if err := folder.RenameNew(in, filepath.Base(f.Name()), name); err != nil {
		return err
	}
	return fsys.SyncFolder(s.Backups.Dir)
}

func (s *Server) sealed(w io.Writer, write func(io.Writer) error) error {
	if s.Backups.Seal == nil {
		return write(w)
	}
	out, err := s.Backups.Seal(w)
	if err == nil {
		err = write(out)
	}
	if err != nil {
		return err
	}
	return out.Close()
}

// backupFile is a regular backup that is there.
type backupFile struct {
	name string
	made time.Time
}

// listBackups returns the regular backups, newest first. One of the future was
// made while the clock was wrong: it tells nothing about when the next is due,
// and is left where it is.
func (s *Server) listBackups(now time.Time) (found []backupFile, err error) {
	entries, err := os.ReadDir(s.Backups.Dir)
	if err != nil {
		return nil, err
	}
	future := ""
	for _, entry := range slices.Backward(entries) {
		m := backupName.FindStringSubmatch(entry.Name())
		if m == nil || !entry.Type().IsRegular() {
			continue
		}
		made, err := time.Parse(backupTime, m[1])
		switch {
		case err != nil:
		case made.After(now):
			future = cmp.Or(future, entry.Name())
		default:
			found = append(found, backupFile{entry.Name(), made})
		}
	}
	s.tellFuture(future)
	return found, nil
}

func (s *Server) tellFuture(name string) {
	r := &s.regular
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != "" && r.future != name {
		s.log.Warn("a regular backup is of the future and is not counted: was the clock wrong?", "file", name)
	}
	r.future = name
}

// removeOldBackups removes those beyond how many are kept, and returns the
// others. That one can't be removed is an error: the disk would fill up.
func (s *Server) removeOldBackups(now time.Time) (kept []backupFile, err error) {
	found, err := s.listBackups(now)
	if err != nil || len(found) <= s.Backups.Keep {
		return found, err
	}
	for _, old := range found[s.Backups.Keep:] {
		if err := os.Remove(filepath.Join(s.Backups.Dir, old.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, fmt.Errorf("remove an old backup: %w", err)
		}
	}
	return found[:s.Backups.Keep], fsys.SyncFolder(s.Backups.Dir)
}

// trouble tells what is wrong with the regular backups, in words for
// everybody, or "".
func (r *regular) trouble(every time.Duration, now time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := "none was made since the server started"
	if !r.newest.IsZero() {
		last = "the newest is of " + r.newest.UTC().Format(time.RFC3339)
	}
	switch {
	case r.begun.IsZero():
		return ""
	case r.err != nil:
		if c, ok := fsys.Explain(r.err); ok {
			return "the last regular backup failed, " + last + ": " + c.What()
		}
		return "the last regular backup failed, " + last + "; see the log"
	case now.Sub(later(r.newest, r.begun)) > 2*every:
		return "regular backups are overdue, " + last + "; see the log"
	}
	return ""
}

// newestBackup returns when the newest one was made, or zero.
func (r *regular) newestBackup() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest.UTC()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
