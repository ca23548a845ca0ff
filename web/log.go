package web

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/fold"
)

// The log has a line for each sign-in, change, refusal and error, with the id of
// the request and where it came from; what succeeds and changes nothing has one
// with AccessLog only. slog escapes what came from elsewhere. No line has a
// secret, a query or a body.

// did logs what actor did, with what more there is to tell.
func (s *Server) did(actor *db.Actor, what string, more ...any) {
	s.log.Info(what, append(origin(actor), more...)...)
}

// refused logs a refusal that has a line of its own, and returns it as one that the
// log has.
func (s *Server) refused(actor *db.Actor, what string, err error) error {
	f := *explain(err)
	f.told = true
	s.folds.Line(slog.LevelInfo, what, f.code, sourceOf(actor), append(origin(actor), "code", f.code)...)
	return &f
}

// sourceOf is whose lines are folded into one.
func sourceOf(actor *db.Actor) fold.Source {
	return fold.Source{Actor: actor.ID, Address: actor.Address, Transport: actor.Transport}
}

func origin(actor *db.Actor) []any {
	attrs := []any{"request_id", actor.RequestID, "transport", actor.Transport, "address", actor.Address}
	if actor.ID != "" {
		attrs = append(attrs, "actor", actor.ID)
	}
	return attrs
}

// logFailure logs an answer that is no success: on every level what an operator
// has to see, else for who looks closely. Who asked is nil where that was not asked.
func (s *Server) logFailure(c echo.Context, actor *db.Actor, f *failure) {
	r, err := c.Request(), cmp.Or(f.err, error(f))
	if actor == nil {
		actor = s.nobody(r, requestID(c))
	}
	attrs := append(origin(actor), "method", r.Method, "path", c.Path(), "status", f.status, "code", f.code)
	kind, from := f.code, sourceOf(actor)
	if actor.ID != "" {
		kind += " " + r.Method + " " + c.Path() // how many routes there are is known
	}
	switch gone := r.Context().Err() != nil; {
	case gone: // who asked has left: nothing failed but the wait
		s.folds.Line(slog.LevelDebug, "request failed", kind, from, append(attrs, "error", err)...)
	case f.status >= http.StatusInternalServerError:
		s.folds.Line(slog.LevelError, "request failed", kind, from, append(attrs, "error", withCause(err))...)
	case f.isRefusal() && !f.told && !soughtSignIn(r, f):
		if f.cause != nil {
			attrs = append(attrs, "cause", f.cause.code)
		}
		s.folds.Line(slog.LevelInfo, "request refused", kind, from, attrs...)
	default:
		s.folds.Line(slog.LevelDebug, "request refused", kind, from, attrs...)
	}
}

// isRefusal tells whether somebody was kept from something: they showed a
// credential that is not valid, may not do it, or try too often.
func (f *failure) isRefusal() bool {
	return f.status == http.StatusForbidden || f.status == http.StatusTooManyRequests || f.code == errBadCredential.code
}

func (s *Server) logAccess(c echo.Context, r route, actor *db.Actor, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("request_id", requestID(c)),
		slog.String("method", c.Request().Method), slog.String("path", r.path),
		slog.Int("status", c.Response().Status), slog.Duration("took", took),
	}
	if actor != nil {
		attrs = append(attrs, slog.String("actor", actor.ID), slog.String("transport", actor.Transport), slog.String("address", actor.Address))
	}
	s.log.LogAttrs(c.Request().Context(), slog.LevelInfo, "request", attrs...)
}
