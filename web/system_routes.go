package web

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
	"husk/web/api"
	"husk/web/console"
	"husk/web/listen"
	"husk/web/upkeep"
)

// This file tells the settings, and the backups that the server keeps of itself:
// what web/upkeep makes and cmd knows.

// systemRoutes are of the settings and of backups that are kept.
func (s *Server) systemRoutes() []route {
	return []route{
		{method: "GET", path: "/system/settings", need: permission(db.PermSystemRead), do: endpoint(s.configuration)},
		{method: "GET", path: "/system/backup/_list", need: permission(db.PermBackup), turn: always, do: endpoint(s.listBackups)},
		{method: "GET", path: "/system/backup/_file/:id", need: permission(db.PermBackup), effect: changes, turn: always, do: s.pageOr(s.wantsPage, console.BackupsInstead, raw(s.keptBackup))},
		{method: "POST", path: "/system/backup", need: permission(db.PermBackup), effect: changes, long: true, do: endpoint(s.makeBackup)},
	}
}

func (s *Server) configuration(context.Context, *db.Actor, *nothing) (*api.Configuration, error) {
	if s.Configuration == nil {
		return &api.Configuration{Settings: []api.ConfigSetting{}}, nil
	}
	return s.Configuration(), nil
}

func (s *Server) listBackups(context.Context, *db.Actor, *nothing) (*api.Backups, error) {
	kept, err := s.Upkeep.KeptBackups()
	return kept, folderError(err)
}

// makeBackup has the server make a backup now. One at a time, at most one a minute,
// and few are kept: whoever asks a million times fills no disk, and pushes out none
// that was made by schedule.
func (s *Server) makeBackup(ctx context.Context, actor *db.Actor, _ *nothing) (*api.BackupFile, error) {
	made, err := s.Upkeep.BackUpNow(ctx, actor)
	switch {
	case errors.Is(err, upkeep.ErrNoBackupDir):
		return nil, &failure{status: http.StatusConflict, code: "no_backup_dir", reason: "the server keeps no backups: no server runs, or it has no backup-dir; ask for a backup as a stream instead", err: err}
	case errors.Is(err, upkeep.ErrMaking):
		return nil, busy("a backup is being made already; look again when it is there", 10*time.Second)
	case errors.Is(err, upkeep.ErrMadeJustNow):
		return nil, tooMany("backup_just_made", "a backup that was asked for is less than a minute old: take that one", upkeep.AskedPause)
	case err != nil:
		return nil, folderError(err)
	}
	s.did(actor, "backup made that was asked for", "file", made.Name, "bytes", made.Bytes, "encrypted", made.Encrypted)
	return &made, nil
}

// folderError is an error of the folder of backups in words that name no path.
func folderError(err error) error {
	var said *db.Error
	c, known := fsys.Explain(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: "backup-dir is not there: make it again, or look whether its file system is mounted", Cause: err}
	case err == nil, errors.As(err, &said), !known, c.Kind == fsys.Spent, c.Kind == fsys.Odd:
		return err
	case c.Kind == fsys.Full:
		return &db.Error{Kind: db.ErrFull, Code: "disk_full", Reason: c.What() + ": there is no room in backup-dir; " + c.Next, Cause: err}
	}
	return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: c.What() + ": backup-dir can't be used; " + c.Next, Cause: err}
}

// keptBackup streams a backup that the server keeps, as it is.
func (s *Server) keptBackup(c echo.Context, actor *db.Actor) error {
	name := c.Param("id")
	f, size, err := s.Upkeep.OpenBackup(name)
	if errors.Is(err, fs.ErrNotExist) {
		return explainStatus(http.StatusNotFound)
	} else if err != nil {
		return folderError(err)
	}
	defer f.Close()
	if !looksOnly(c) {
		if err := s.audited(c.Request().Context(), actor, archive.ActBackup, streamed+" of "+name); err != nil {
			return err
		}
		s.did(actor, "backup taken that was kept", "file", name, "bytes", size)
	}
	h := c.Response().Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`) // of letters, digits, - and . alone
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	c.Response().WriteHeader(http.StatusOK)
	if looksOnly(c) {
		return nil
	}
	unlimited(c)
	out := listen.NewPatientWriter(c.Response(), s.stallTimeout)
	if _, err = io.CopyN(out, f, size); err != nil {
		s.brokeOff(c.Request().Context(), actor, out.Sent, size)
	}
	return err
}
