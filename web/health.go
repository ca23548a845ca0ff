package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

// health tells how the server is; it is 200 also when that is not well.
func (s *Server) health(c echo.Context, _ *db.Actor) error {
	status := "green"
	if _, err := s.Store.Schema(c.Request().Context()); err != nil {
		status = "red"
	}
	uptime := int64(s.Store.Now().Sub(s.started) / time.Second)
	return write(c, api.Health{Status: status, Version: s.Version, Uptime: max(0, uptime)})
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
