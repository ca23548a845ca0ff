package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/archive"
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
	copied, err := s.source().Copy(c.Request().Context(), false)
	if err != nil {
		return err
	}
	defer copied.Close()
	whole := copied.TarSize()
	if !looksOnly(c) {
		if err := s.audited(c.Request().Context(), actor, archive.ActBackup, destination(c, actor)); err != nil {
			return err
		}
		s.did(actor, "backup", "bytes", copied.Size, "sha256", copied.SHA256)
	}
	h := c.Response().Header()
	h.Set("Content-Type", "application/x-tar")
	if copied.Size < 1<<33 { // a larger one has a longer header
		h.Set("Content-Length", strconv.FormatInt(whole, 10))
	}
	c.Response().WriteHeader(http.StatusOK)
	unlimited(c)
	out := listen.NewPatientWriter(c.Response(), s.stallTimeout)
	err = copied.WriteTar(c.Request().Context(), out)
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

// source is the store as one of which copies are made.
func (s *Server) source() archive.Source {
	return archive.Source{Store: s.Store, Open: s.OpenCopy, Dir: s.Dir, Version: s.Version}
}
