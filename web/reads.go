package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/archive"
)

// Reads that matter are in the audit log as changes are: who took a copy of
// all, who read the log itself, who tried what is not theirs.

// Actions of the audit log that are no changes.
const (
	actBackupBroken = "system.backup_broken" // how much of a backup somebody has, where that is less than all of it
	actExport       = "audit.export"
	actDenied       = "access.refused" // the target is the permission that the route needs, or its path
)

// streamed is the target of what left by the connection that asked for it.
const streamed = "stream"

// audited writes down that actor reads what matters, before a byte of it
// leaves: who breaks off at the last one has it. It must not depend on room on
// the disk; then the log has a line, and the audit log its entry later.
func (s *Server) audited(ctx context.Context, actor *db.Actor, action, target string) error {
	later, err := s.Store.AuditRead(ctx, actor, action, db.Literal(target))
	if later != nil {
		s.log.Error("this is not in the audit log yet, and is lost to it if the server stops before there is room",
			append(origin(actor), "action", action, "target", target, "error", withCause(later))...)
	}
	return err
}

// looksOnly tells a request whose answer has no body.
func looksOnly(c echo.Context) bool { return c.Request().Method == http.MethodHead }

// brokeOff tells how much of a backup was taken by somebody who did not take
// all. Their credential may have ended meanwhile; what happened has not.
func (s *Server) brokeOff(ctx context.Context, actor *db.Actor, sent, whole int64) {
	who := &db.Actor{ID: actor.ID, Name: actor.Name, Transport: actor.Transport, Address: actor.Address, RequestID: actor.RequestID}
	if err := s.audited(context.WithoutCancel(ctx), who, actBackupBroken, fmt.Sprintf("%d of %d bytes", sent, whole)); err != nil {
		s.log.Error("a backup that broke off is not in the audit log", append(origin(actor), "bytes", sent, "error", withCause(err))...)
	}
}

// destination is where a backup goes. Only the owner of the data file is
// believed about it.
func destination(c echo.Context, actor *db.Actor) string {
	if to := c.QueryParam("to"); actor.Local() && to != "" {
		return archive.Target(to).ID
	}
	return streamed
}

// auditDenied has the audit log tell of a refusal for want of rights to somebody
// who is known.
func (s *Server) auditDenied(actor *db.Actor, r route, f *failure) {
	if actor == nil || !actor.SignedIn() || !f.forWantOfRights() {
		return
	}
	target := r.need.permission
	if target == "" {
		target = r.path
	}
	s.Store.NoteRefusal(actor, actDenied, db.Literal(target))
}

// forWantOfRights tells a refusal to somebody who may not do what they asked
// for from one of what nobody may, or may so.
func (f *failure) forWantOfRights() bool {
	return errors.Is(f, db.ErrDenied) || f.status == http.StatusForbidden && (f.code == codeNotPermitted || f.code == codeAdministrator)
}
