package upkeep

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
	"husk/web/api"
	"husk/web/folder"
)

// Backups are the scheduled backups of a running server; the zero value makes
// none. A folder is for one server alone.
type Backups struct {
	Dir   string        // where they are kept
	Every time.Duration // how old the newest may become
	Keep  int           // how many are kept, one at least

	// Seal begins a file that is encrypted, in w; its Close ends it. nil: they
	// are not encrypted.
	Seal func(w io.Writer) (io.WriteCloser, error)
}

// backupRetry is how long after a failure the next try is, at most.
const backupRetry = time.Hour

// The name of a backup has the time of its making, in UTC, so that names sort by
// age. What is called otherwise is somebody else's.
const (
	backupTime = "20060102T150405Z"
	askedMark  = "-asked" // in the name of one that somebody asked for
)

var backupName = regexp.MustCompile(`^husk-(\d{8}T\d{6}Z)(` + askedMark + `)?\.tar(\.age)?$`)

// BackupFigures are what is known of the scheduled backups.
type BackupFigures struct {
	Newest time.Time     // when the newest was made that is there, UTC; zero: there is none
	Kept   int           // how many are there
	Size   int64         // bytes of the last that was made since the start
	Took   time.Duration // how long that took
	Made   uint64        // since the start
	Failed uint64        // since the start
}

// scheduled is what is known of the scheduled backups. One goroutine makes them;
// others read what it tells.
type scheduled struct {
	mu    sync.Mutex
	begun time.Time // when the making began; zero: nobody makes any
	tried time.Time // the last try that failed
	err   error     // why; nil: there is none since the last that succeeded
	BackupFigures
}

// LastBackups returns what is known of the scheduled backups, and every when one
// is due; 0: none are made.
func (u *Upkeep) LastBackups() (every time.Duration, f BackupFigures) {
	if u == nil || u.Backups.Dir == "" {
		return 0, f
	}
	u.scheduled.mu.Lock()
	defer u.scheduled.mu.Unlock()
	return u.Backups.Every, u.scheduled.BackupFigures
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

// ExposedError says that others may read the scheduled backups, which are not
// encrypted: the file system keeps no modes. It is a warning.
type ExposedError struct{ Dir string }

func (e *ExposedError) Error() string {
	return "others may read what is in backup-dir, " + e.Dir + ", whose file system keeps no file modes: name a backup-recipient, or mount it with umask=077"
}

// beginBackups looks at what is there, so that it can be told from the start.
func (u *Upkeep) beginBackups(ctx context.Context) {
	if u.Backups.Dir == "" || !u.leads(ctx) {
		return
	}
	r := &u.scheduled
	found, err := u.listBackups(u.Store.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = u.Store.Now()
	if err == nil {
		r.note(found)
	}
}

// standDown has none be told as overdue: another node makes them.
func (r *scheduled) standDown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun, r.err = time.Time{}, nil
}

// begin has the making begin now, where it has not.
func (r *scheduled) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun.IsZero() {
		r.begun = now
	}
}

func (r *scheduled) note(found []backupFile) {
	r.Kept, r.Newest = len(found), time.Time{}
	if len(found) > 0 {
		r.Newest = found[0].made.UTC()
	}
}

// backUpWhenDue makes a backup where the newest is too old, and not again at
// once where that fails.
func (u *Upkeep) backUpWhenDue(ctx context.Context) {
	now := u.Store.Now()
	r := &u.scheduled
	r.begin(now)
	if r.waits(now, min(u.Backups.Every, backupRetry)) {
		return
	}
	found, err := u.listBackups(now)
	if err == nil && len(found) > 0 && now.Sub(found[0].made) < u.Backups.Every {
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
		name, size, found, err = u.backUpAndThin(ctx, now)
	}
	if err != nil && ctx.Err() != nil {
		return // the server stops: the next one makes it
	}
	took := time.Since(began)
	r.noteTry(now, found, size, took, err)
	u.tellBackup(ctx, name, size, took, err)
}

// backUpAndThin makes a backup, and removes those that are more than are kept.
func (u *Upkeep) backUpAndThin(ctx context.Context, now time.Time) (name string, size int64, found []backupFile, err error) {
	u.making <- struct{}{} // there is one file that it is written to
	defer func() { <-u.making }()
	if name, size, err = u.backUp(ctx, now, ""); err == nil {
		found, err = u.removeOldBackups(now)
	}
	return name, size, found, err
}

// noteTry notes how a try at now ended, and what is there since.
func (r *scheduled) noteTry(now time.Time, found []backupFile, size int64, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if err != nil {
		r.Failed++
		r.tried = now
		return
	}
	r.Made++
	r.Size, r.Took = size, took
	r.note(found)
}

// waits tells whether the last try failed, and less than retry ago.
func (r *scheduled) waits(now time.Time, retry time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil && within(retry, now, r.tried)
}

func (u *Upkeep) tellBackup(ctx context.Context, name string, size int64, took time.Duration, err error) {
	if err != nil {
		u.Log.Error("the scheduled backup failed, and is tried again in "+min(u.Backups.Every, backupRetry).String(), "dir", u.Backups.Dir, "error", WithCause(err))
		return
	}
	file := filepath.Join(u.Backups.Dir, name)
	u.auditBackup(context.WithoutCancel(ctx), &db.Actor{ID: db.OwnActor, Name: db.OwnActor}, file)
	u.Log.Info("scheduled backup made", "file", file, "bytes", size, "encrypted", u.Backups.Seal != nil, "took", took.Round(time.Millisecond).String())
}

// auditBackup writes down that there is a copy of all. It must not depend on
// room on the disk; then the entry comes later.
func (u *Upkeep) auditBackup(ctx context.Context, actor *db.Actor, file string) {
	later, err := u.Store.AuditRead(ctx, actor, archive.ActBackup, archive.Target(file))
	if later != nil {
		u.Log.Error("a backup was made and is not in the audit log yet: make room on the disk before the server stops, or its entry is lost", "file", file, "error", WithCause(later))
	}
	if err != nil {
		u.Log.Error("a backup was made and can't be written to the audit log", "file", file, "error", WithCause(err))
	}
}

// backUp makes one backup as of now, with a mark in its name. It is read as a whole
// before it gets its name, as a store and then as a file.
func (u *Upkeep) backUp(ctx context.Context, now time.Time, mark string) (name string, size int64, err error) {
	copied, err := u.Source.Copy(ctx, true)
	if err != nil {
		return "", 0, err
	}
	defer copied.Close()
	f, err := u.newBackupFile()
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(f.Name()) // gone after the rename
	defer f.Close()
	written := sha256.New()
	err = u.sealed(io.MultiWriter(f, written), func(w io.Writer) error { return copied.WriteTar(ctx, w) })
	if err == nil {
		size, err = archive.ReadBack(f, written.Sum(nil))
	}
	if err != nil {
		return "", 0, fmt.Errorf("write the backup: %w", err)
	}
	name = "husk-" + now.UTC().Format(backupTime) + mark + u.Backups.extension()
	return name, size, u.placeBackup(f, name)
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
func (u *Upkeep) newBackupFile() (*os.File, error) {
	of := sha256.Sum256([]byte(u.Source.Dir))
	path := filepath.Join(u.Backups.Dir, ".husk-backup-"+hex.EncodeToString(of[:4]))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// placeBackup gives the file its name, if it is still the one that was
// written: another server that was given the same folder by mistake may have
// begun one of its own.
func (u *Upkeep) placeBackup(f *os.File, name string) error {
	mine, err := f.Stat()
	now, err2 := os.Stat(f.Name())
	if err != nil || err2 != nil || !os.SameFile(mine, now) {
		return errors.Join(errors.New("another husk writes to the folder: each needs one of its own"), err, err2)
	}
	// What has the name already is somebody else's.
	return fsys.Place(f.Name(), filepath.Join(u.Backups.Dir, name))
}

func (u *Upkeep) sealed(w io.Writer, write func(io.Writer) error) error {
	if u.Backups.Seal == nil {
		return write(w)
	}
	out, err := u.Backups.Seal(w)
	if err == nil {
		err = write(out)
	}
	if err != nil {
		return err
	}
	return out.Close()
}

// backupFile is a backup that is there.
type backupFile struct {
	name  string
	made  time.Time
	asked bool // somebody asked for it
}

// listBackups returns the scheduled backups, newest first. One of the future was
// made while the clock was wrong: it tells nothing about when the next is due,
// and is left where it is. So is one that somebody asked for: who asks often must
// put off no backup, and push out none.
func (u *Upkeep) listBackups(now time.Time) (found []backupFile, err error) {
	all, err := u.Backups.files()
	if err != nil {
		return nil, err
	}
	future := ""
	for _, file := range all {
		switch {
		case file.asked:
		case file.made.After(now):
			future = cmp.Or(future, file.name)
		default:
			found = append(found, file)
		}
	}
	u.tellFuture(future)
	return found, nil
}

// files are all backups in the folder, newest first.
func (b *Backups) files() (found []backupFile, err error) {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range slices.Backward(entries) {
		m := backupName.FindStringSubmatch(entry.Name())
		if m == nil || !entry.Type().IsRegular() {
			continue
		}
		if made, err := time.Parse(backupTime, m[1]); err == nil {
			found = append(found, backupFile{entry.Name(), made, m[2] != ""})
		}
	}
	return found, nil
}

func (u *Upkeep) tellFuture(name string) {
	if name != "" && u.future != name {
		u.Log.Warn("a scheduled backup is of the future and is not counted: if the clock was wrong when it was made, rename or remove it", "file", filepath.Join(u.Backups.Dir, name))
	}
	u.future = name
}

// removeOldBackups removes the scheduled ones beyond how many are kept, and returns
// the others. That one can't be removed is an error: the disk would fill up.
func (u *Upkeep) removeOldBackups(now time.Time) (kept []backupFile, err error) {
	found, err := u.listBackups(now)
	if err != nil {
		return found, err
	}
	return u.Backups.removeBeyond(found, u.Backups.Keep)
}

// removeBeyond keeps the first so many, and returns them.
func (b *Backups) removeBeyond(found []backupFile, keep int) (kept []backupFile, err error) {
	if len(found) <= keep {
		return found, nil
	}
	for _, old := range found[keep:] {
		if err := os.Remove(filepath.Join(b.Dir, old.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, fmt.Errorf("remove an old backup: %w", err)
		}
	}
	return found[:keep], fsys.SyncFolder(b.Dir)
}

// trouble tells what is wrong with the scheduled backups, in words for
// everybody; the zero value: nothing. Its values are which trouble it is, "failed" or
// "overdue"; of when the newest backup is, or "none"; and the kind of what the system
// answered, or "unknown".
func (r *scheduled) trouble(every time.Duration, now time.Time) (w api.Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tell := func(trouble, text string) api.Warning {
		last, values := "none was made since the server started", map[string]string{"trouble": trouble, "newest": "none", "cause": "unknown"}
		if !r.Newest.IsZero() {
			values["newest"] = r.Newest.Format(time.RFC3339)
			last = "the newest is of " + values["newest"]
		}
		why := "; see the log"
		if c, ok := fsys.Explain(r.err); ok && trouble == "failed" {
			why, values["cause"] = ": "+c.What(), c.Kind.String()
		}
		return api.Warning{Code: eventBackup, Text: text + ", " + last + why, Values: values}
	}
	switch {
	case r.begun.IsZero():
	case r.err != nil:
		return tell("failed", "the last scheduled backup failed")
	case now.Sub(r.Newest) > 2*every && now.Sub(r.begun) > 2*every:
		return tell("overdue", "scheduled backups are overdue")
	}
	return api.Warning{}
}
