package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/upkeep"
)

// health tells how the server is; it is 200 also when that is not well.
func (s *Server) health(ctx context.Context, _ *db.Actor, _ *nothing) (*api.Health, error) {
	return s.healthNow(s.healthStatus(ctx)), nil
}

func (s *Server) healthNow(status string) *api.Health {
	uptime := int64(s.Store.Now().Sub(s.started) / time.Second)
	return &api.Health{Status: status, Version: s.Version, Uptime: max(0, uptime)}
}

// healthStatus is one of green, yellow (it answers, and needs attention) and
// red (it does not answer).
func (s *Server) healthStatus(ctx context.Context) string {
	if _, err := s.Store.Schema(ctx); err != nil {
		return "red"
	}
	return colour(s.warnings(s.Upkeep.Prove(ctx)))
}

func colour(warnings []api.Warning) string {
	if len(warnings) > 0 {
		return "yellow"
	}
	return "green"
}

// healthDetails tells more, to those who may know.
func (s *Server) healthDetails(ctx context.Context, actor *db.Actor, _ *nothing) (*api.HealthDetails, error) {
	proved := s.Upkeep.Prove(ctx)
	engine := s.Store.Stats().Engine
	out := &api.HealthDetails{
		Warnings: s.warnings(proved), Writable: writable(proved),
		StoreBytes: engine.Size, FreeBytes: engine.FreeBytes(),
	}
	out.Health = *s.healthNow(colour(out.Warnings))
	out.Warnings = append(out.Warnings, s.notices()...)
	if _, backups := s.Upkeep.LastBackups(); !backups.Newest.IsZero() {
		out.LastBackup = &backups.Newest
	}
	if ends := s.certExpiry(); !ends.IsZero() {
		ends = ends.UTC()
		out.CertExpires = &ends
	}
	if err := s.countRecords(ctx, out); err != nil {
		s.log.Error("the store does not answer", "request_id", actor.RequestID, "error", withCause(err))
		out.Status = "red"
		out.Warnings = append(out.Warnings, api.Warning{Code: "store_unreadable", Text: "the store does not answer; see the log"})
	}
	return out, nil
}

func (s *Server) countRecords(ctx context.Context, out *api.HealthDetails) error {
	counts, err := s.Store.Counts(ctx)
	if err != nil {
		return err
	}
	expiring, err := s.Store.ExpiringTokens(ctx, upkeep.ExpiryWarning)
	out.Users, out.Tokens, out.Sessions, out.TokensExpiring = counts["users"], counts["tokens"], counts["sessions"], expiring.Count
	return err
}

// warnings tells what needs attention; proved is what Upkeep.Prove answered.
func (s *Server) warnings(proved error) []api.Warning {
	all := append([]api.Warning{}, s.Upkeep.StoreWarnings(proved)...)
	if fault := s.Store.ClockFault(); fault > 0 {
		all = append(all, upkeep.ClockWarning(fault, s.Store.Now()))
	}
	all = append(all, s.clockWarnings()...)
	all = append(all, s.Upkeep.BackupWarnings()...)
	all = append(all, s.Upkeep.SecretWarnings()...)
	if ends := s.certExpiry(); !ends.IsZero() && !s.Store.Now().Before(ends) {
		all = append(all, api.Warning{Code: "certificate_expired", Text: "the TLS certificate ended at " + ends.UTC().Format(time.RFC3339) + "; renew it",
			Values: map[string]string{"ended": ends.UTC().Format(time.RFC3339)}})
	}
	if s.CertStale != nil && s.CertStale() {
		all = append(all, api.Warning{Code: "certificate_stale", Text: "the TLS files can't be served, and a server that starts now would not: the certificate from before stays in use, until " + s.certExpiry().UTC().Format(time.RFC3339) + "; the log says what is wrong with them",
			Values: map[string]string{"ends": s.certExpiry().UTC().Format(time.RFC3339)}})
	}
	return append(all, s.quotaWarnings()...)
}

// certExpiry returns when the certificate that is served ends, or zero.
func (s *Server) certExpiry() time.Time {
	if s.CertExpiry == nil {
		return time.Time{}
	}
	return s.CertExpiry()
}

// livez answers as long as the process does.
func (s *Server) livez(context.Context, *db.Actor, *nothing) (*api.Status, error) {
	return &api.Status{Status: "ok"}, nil
}

// readyz answers 200 while the store can be read and written.
func (s *Server) readyz(ctx context.Context, actor *db.Actor, _ *nothing) (*api.Ready, error) {
	if _, err := s.Store.Schema(ctx); err != nil {
		s.folds.Line(slog.LevelError, "not ready", "", sourceOf(actor), append(origin(actor), "error", withCause(err))...)
		return nil, notReady("the store does not answer; see the log")
	}
	if s.Upkeep.Damaged() {
		return nil, notReady(upkeep.WriteWarning(db.ErrDamaged).Text)
	}
	if err := s.Upkeep.Prove(ctx); err != nil && !errors.Is(err, upkeep.ErrNotProved) {
		return nil, notReady(upkeep.WriteWarning(err).Text)
	}
	ready := &api.Ready{Status: "ok", Warnings: []string{}}
	for _, w := range append(s.warnings(nil), s.Notices()...) {
		ready.Warnings = append(ready.Warnings, w.Text)
	}
	return ready, nil
}

func notReady(reason string) error {
	return &failure{status: http.StatusServiceUnavailable, code: "not_ready", reason: reason, retryAfter: upkeep.ProofLife}
}

func writable(proved error) string {
	switch {
	case proved == nil:
		return "yes"
	case errors.Is(proved, upkeep.ErrNotProved):
		return "unknown"
	}
	return "no"
}
