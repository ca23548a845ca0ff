package web

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
)

// The log has a line for each sign-in, change, refusal and error, with the id of
// the request and where it came from; what succeeds and changes nothing has one
// with AccessLog only. slog escapes what came from elsewhere. No line has a
// secret, a query or a body.

// keyActor is the key of echo.Context for the actor of a request that failed.
const keyActor = "actor"

// did logs what actor did, with what more there is to tell.
func (s *Server) did(actor *db.Actor, what string, more ...any) {
	s.log.Info(what, append(origin(actor), more...)...)
}

// toldRefusal is a refusal that the log has a line of already.
type toldRefusal struct{ error }

// Unwrap returns the refusal.
func (t toldRefusal) Unwrap() error { return t.error }

// refused logs a refusal that has a line of its own, and returns it.
func (s *Server) refused(actor *db.Actor, what string, err error) error {
	code := explain(err).code
	s.folds.line(slog.LevelInfo, what, code, actor, append(origin(actor), "code", code)...)
	return toldRefusal{err}
}

func origin(actor *db.Actor) []any {
	attrs := []any{"request_id", actor.RequestID, "transport", actor.Transport, "address", actor.Address}
	if actor.ID != "" {
		attrs = append(attrs, "actor", actor.ID)
	}
	return attrs
}

// logFailure logs an answer that is no success: on every level what an operator
// has to see, else for who looks closely.
func (s *Server) logFailure(c echo.Context, f *failure, err error) {
	r := c.Request()
	actor, known := c.Get(keyActor).(*db.Actor)
	if !known || actor == nil {
		actor = s.nobody(r, requestID(c))
	}
	attrs := append(origin(actor), "method", r.Method, "path", c.Path(), "status", f.status, "code", f.code)
	kind := f.code
	if actor.ID != "" {
		kind += " " + r.Method + " " + c.Path() // how many routes there are is known
	}
	switch gone := r.Context().Err() != nil; {
	case gone: // who asked has left: nothing failed but the wait
		s.folds.line(slog.LevelDebug, "request failed", kind, actor, append(attrs, "error", err)...)
	case f.status >= http.StatusInternalServerError:
		s.folds.line(slog.LevelError, "request failed", kind, actor, append(attrs, "error", withCause(err))...)
	case f.isRefusal() && !errors.As(err, new(toldRefusal)) && !soughtSignIn(r, f):
		if f.cause != nil {
			attrs = append(attrs, "cause", f.cause.code)
		}
		s.folds.line(slog.LevelInfo, "request refused", kind, actor, attrs...)
	default:
		s.folds.line(slog.LevelDebug, "request refused", kind, actor, attrs...)
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
