package web

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

// health tells how the server is; it is 200 also when that is not well.
func (s *Server) health(c echo.Context, _ *db.Actor) error {
	uptime := int64(s.Store.Now().Sub(s.started) / time.Second)
	return write(c, api.Health{Status: s.healthStatus(c.Request().Context()), Version: s.Version, Uptime: max(0, uptime)})
}

// healthStatus is one of green, yellow and red.
func (s *Server) healthStatus(ctx context.Context) string {
	if _, err := s.Store.Schema(ctx); err != nil {
		return "red"
	}
	return "green"
}

// livez answers as long as the process does.
func (s *Server) livez(c echo.Context, _ *db.Actor) error {
	return write(c, api.Status{Status: "ok"})
}

// readyz answers 200 while the store answers.
func (s *Server) readyz(c echo.Context, _ *db.Actor) error {
	if _, err := s.Store.Schema(c.Request().Context()); err != nil {
		s.log.Error("not ready", "request_id", requestID(c), "error", err)
		return &failure{status: http.StatusServiceUnavailable, code: "not_ready", reason: "the store does not answer; see the log", retryAfter: 10 * time.Second}
	}
	ready := api.Ready{Status: "ok", Warnings: []string{}}
	if fault := s.Store.ClockFault(); fault > 0 {
		ready.Warnings = append(ready.Warnings, "the machine's clock is set back by "+fault.Round(time.Second).String()+"; set it right")
	}
	return write(c, ready)
}
