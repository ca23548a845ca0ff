package upkeep

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
	"husk/web/api"
)

// This file tells which backups a running server keeps, hands one out, and makes
// one because somebody asks.

const (
	keptTold   = 1000        // backups that are told of, the newest
	keptAsked  = 3           // backups that are kept of those somebody asked for
	AskedPause = time.Minute // between two of them: their names have the second
)

// Why none is made for who asks.
var (
	ErrNoBackupDir = errors.New("no folder for backups is configured")
	ErrMaking      = errors.New("a backup is being made")
	ErrMadeJustNow = errors.New("one was made less than a minute ago")
)

// KeptBackups tells of the backups in the folder.
func (u *Upkeep) KeptBackups() (*api.Backups, error) {
	out := &api.Backups{Files: []api.BackupFile{}}
	if u == nil || u.Backups.Dir == "" {
		return out, nil
	}
	b := &u.Backups
	out.Kept, out.Every, out.Keep, out.KeepAsked, out.Encrypts, out.Making = true, int64(b.Every/time.Second), b.Keep, keptAsked, b.Seal != nil, u.isMaking()
	files, err := b.files()
	if err != nil {
		return nil, err
	}
	out.Total = len(files)
	for _, file := range files[:min(keptTold, len(files))] {
		if told, err := b.describe(file); !errors.Is(err, fs.ErrNotExist) { // else it was removed since
			out.Files = append(out.Files, told)
		}
	}
	return out, nil
}

// isMaking takes no turn itself: who looks would keep others from making one.
func (u *Upkeep) isMaking() bool { return len(u.making) > 0 }

// describe reads what a backup says of itself. Its error says why it can't be read.
func (b *Backups) describe(file backupFile) (told api.BackupFile, err error) {
	told = api.BackupFile{Name: file.name, Made: file.made, Asked: file.asked, Encrypted: filepath.Ext(file.name) == ".age", Manifest: "unreadable"}
	f, size, err := b.open(file.name)
	if err != nil {
		return told, err
	}
	defer f.Close()
	told.Bytes, told.Manifest = size, "ok"
	if told.Encrypted {
		told.Manifest = "sealed"
		return told, nil
	}
	m, err := archive.Look(f, size)
	if err != nil {
		told.Manifest = "bad"
		return told, nil
	}
	told.Version, told.Schema, told.Users, told.Tokens = m.Version, m.Schema, m.Counts["users"], m.Counts["tokens"]
	return told, nil
}

// open opens a backup by its name, which is no path: neither a link nor what only
// pretends to be a file is followed. What is none is fs.ErrNotExist.
func (b *Backups) open(name string) (f *os.File, size int64, err error) {
	if b.Dir == "" || !backupName.MatchString(name) {
		return nil, 0, fs.ErrNotExist
	}
	path := filepath.Join(b.Dir, name)
	f, err = fsys.OpenPlain(path)
	if errors.Is(err, syscall.ELOOP) {
		return nil, 0, fs.ErrNotExist
	} else if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// OpenBackup opens one of the backups that are kept, by its name; the caller
// closes it. One that is not there is fs.ErrNotExist.
func (u *Upkeep) OpenBackup(name string) (f io.ReadCloser, size int64, err error) {
	if u == nil {
		return nil, 0, fs.ErrNotExist
	}
	return u.Backups.open(name)
}

// BackUpNow makes a backup because actor asks, and writes it down. It goes on when
// ctx ends, which a proxy may bring about long before a large store is copied, and
// ends with the server. A clock that is set back makes no pause for ever.
func (u *Upkeep) BackUpNow(ctx context.Context, actor *db.Actor) (told api.BackupFile, err error) {
	if u == nil || u.Backups.Dir == "" {
		return told, ErrNoBackupDir
	}
	select {
	case u.making <- struct{}{}:
		defer func() { <-u.making }()
	default:
		return told, ErrMaking
	}
	if err := u.life.Err(); err != nil {
		return told, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(u.life, func() { u.guard(cancel) })()
	now := u.Store.Now()
	all, err := u.Backups.files()
	if err != nil {
		return told, err
	}
	asked := slices.DeleteFunc(all, func(f backupFile) bool { return !f.asked })
	if slices.ContainsFunc(asked, func(f backupFile) bool { return within(AskedPause, now, f.made) }) {
		return told, ErrMadeJustNow
	}
	name, _, err := u.backUp(ctx, now, askedMark)
	if err != nil {
		return told, err
	}
	made := backupFile{name, now.UTC().Truncate(time.Second), true}
	// Their credential may have ended meanwhile; what was made is there.
	who := &db.Actor{ID: actor.ID, Name: actor.Name, Transport: actor.Transport, Address: actor.Address, RequestID: actor.RequestID}
	u.auditBackup(ctx, who, filepath.Join(u.Backups.Dir, name))
	if _, err := u.Backups.removeBeyond(append([]backupFile{made}, asked...), keptAsked); err != nil {
		return told, err
	}
	return u.Backups.describe(made)
}
