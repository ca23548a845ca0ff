package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

// health tells how the server is; it is 200 also when that is not well.
func (s *Server) health(c echo.Context, _ *db.Actor) error {
	return write(c, s.healthNow(s.healthStatus(c.Request().Context())))
}

func (s *Server) healthNow(status string) api.Health {
	uptime := int64(s.Store.Now().Sub(s.started) / time.Second)
	return api.Health{Status: status, Version: s.Version, Uptime: max(0, uptime)}
}

// healthStatus is one of green, yellow (it answers, and needs attention) and
// red (it does not answer).
func (s *Server) healthStatus(ctx context.Context) string {
	if _, err := s.Store.Schema(ctx); err != nil {
		return "red"
	}
	return colour(s.warnings(s.proveWrite(ctx)))
}

func colour(warnings []api.Warning) string {
	if len(warnings) > 0 {
		return "yellow"
	}
	return "green"
}

// healthDetails tells more, to those who may know.
func (s *Server) healthDetails(c echo.Context, _ *db.Actor) error {
	ctx := c.Request().Context()
	proved := s.proveWrite(ctx)
	engine := s.Store.Stats().Engine
	out := api.HealthDetails{
		Warnings: s.warnings(proved), Writable: writable(proved),
		StoreBytes: engine.Size, FreeBytes: engine.FreeBytes(),
	}
	out.Health = s.healthNow(colour(out.Warnings))
	out.Warnings = append(out.Warnings, s.Notices()...)
	if newest := s.regular.newestBackup(); !newest.IsZero() {
		out.LastBackup = &newest
	}
	if ends := s.certExpiry(); !ends.IsZero() {
		ends = ends.UTC()
		out.CertExpires = &ends
	}
	if err := s.countRecords(ctx, &out); err != nil {
		s.log.Error("the store does not answer", "request_id", requestID(c), "error", withCause(err))
		out.Status = "red"
		out.Warnings = append(out.Warnings, api.Warning{Code: "store_unreadable", Text: "the store does not answer; see the log"})
	}
	return write(c, out)
}

func (s *Server) countRecords(ctx context.Context, out *api.HealthDetails) error {
	counts, err := s.Store.Counts(ctx)
	if err != nil {
		return err
	}
	expiring, err := s.Store.ExpiringTokens(ctx, expiryWarning)
	out.Users, out.Tokens, out.Sessions, out.TokensExpiring = counts["users"], counts["tokens"], counts["sessions"], expiring.Count
	return err
}

// warnings tells what needs attention; proved is what proveWrite answered.
func (s *Server) warnings(proved error) []api.Warning {
	all := []api.Warning{}
	if proved != nil && !errors.Is(proved, errNotProved) {
		all = append(all, writeWarning(proved))
	}
	if s.damage.found() && !errors.Is(proved, db.ErrDamaged) {
		all = append(all, writeWarning(db.ErrDamaged))
	}
	if s.damage.header.Load() {
		all = append(all, api.Warning{Code: "store_header", Text: headerText})
	}
	if fault := s.Store.ClockFault(); fault > 0 {
		all = append(all, api.Warning{Code: eventClock, Text: clockText(fault, s.Store.Now())})
	}
	if trouble := s.regular.trouble(s.Backups.Every, s.Store.Now()); trouble != "" {
		all = append(all, api.Warning{Code: eventBackup, Text: trouble})
	}
	if ends := s.certExpiry(); !ends.IsZero() && !s.Store.Now().Before(ends) {
		all = append(all, api.Warning{Code: "certificate_expired", Text: "the TLS certificate ended at " + ends.UTC().Format(time.RFC3339) + "; renew it"})
	}
	if s.CertStale != nil && s.CertStale() {
		all = append(all, api.Warning{Code: "certificate_stale", Text: "the TLS files can't be served, and a server that starts now would not: the certificate from before stays in use, until " + s.certExpiry().UTC().Format(time.RFC3339) + "; the log says what is wrong with them"})
	}
	return append(all, s.quotaWarnings()...)
}

// clockText tells what the machine's clock shows and what time it is held to be.
func clockText(fault time.Duration, now time.Time) string {
	return "the machine's clock is set back by " + fault.Round(time.Second).String() + ": it shows " + now.Add(-fault).Format(time.RFC3339) +
		", and time goes on from what was seen, " + now.Format(time.RFC3339) + "; set it right"
}

// certExpiry returns when the certificate that is served ends, or zero.
func (s *Server) certExpiry() time.Time {
	if s.CertExpiry == nil {
		return time.Time{}
	}
	return s.CertExpiry()
}

// livez answers as long as the process does.
func (s *Server) livez(c echo.Context, _ *db.Actor) error {
	return write(c, api.Status{Status: "ok"})
}

// readyz answers 200 while the store can be read and written.
func (s *Server) readyz(c echo.Context, _ *db.Actor) error {
	ctx := c.Request().Context()
	if _, err := s.Store.Schema(ctx); err != nil {
		who := s.nobody(c.Request(), requestID(c))
		s.folds.Line(slog.LevelError, "not ready", "", sourceOf(who), append(origin(who), "error", withCause(err))...)
		return notReady("the store does not answer; see the log")
	}
	if s.damage.found() {
		return notReady(writeWarning(db.ErrDamaged).Text)
	}
	if err := s.proveWrite(ctx); err != nil && !errors.Is(err, errNotProved) {
		return notReady(writeWarning(err).Text)
	}
	ready := api.Ready{Status: "ok", Warnings: []string{}}
	for _, w := range append(s.warnings(nil), s.Notices()...) {
		ready.Warnings = append(ready.Warnings, w.Text)
	}
	return write(c, ready)
}

func notReady(reason string) error {
	return &failure{status: http.StatusServiceUnavailable, code: "not_ready", reason: reason, retryAfter: proofLife}
}

const (
	proofLife     = 10 * time.Second // how long a proof holds: probes don't wear the disk
	proofPatience = 5 * time.Second  // how long a probe waits for one
)

var (
	errNotProved = errors.New("no server runs: nothing is written to find out")
	errSlowWrite = errors.New("a write takes longer than " + proofPatience.String())
)

// proof is whether changes can be written, found out by one at a time.
type proof struct {
	mu      sync.Mutex
	at      time.Time     // of the last result; zero: none yet
	err     error         // that result
	heeded  uint64        // how many refusals of changes it knows of
	running chan struct{} // closed when the try under way ends; nil: none is
	told    time.Time     // when the log heard of err
}

// proveWrite tells whether a change can be written, by writing one, at most
// once in proofLife. What others met counts more: a change that was refused is
// the result at once, and stays it until a try that began after it succeeds. A
// disk that hangs costs one goroutine, and those who ask their patience. Only a
// running server writes; else it is errNotProved.
func (s *Server) proveWrite(ctx context.Context) error {
	if !s.running.Load() {
		return errNotProved
	}
	if err := s.lookForFile(); err != nil {
		return err
	}
	p := &s.proof
	p.mu.Lock()
	p.heed(s.Store.Refusal())
	if age := s.Store.Now().Sub(p.at); p.running == nil && (p.at.IsZero() || age < 0 || age >= proofLife) {
		p.running = make(chan struct{})
		// The result is for all who ask: it must not depend on whether the first
		// one stays.
		go s.background(func() { s.tryWrite(context.WithoutCancel(ctx)) })
	}
	running := p.running
	p.mu.Unlock()
	if running != nil {
		patience := time.NewTimer(s.proofPatience)
		defer patience.Stop()
		select {
		case <-running:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return errSlowWrite
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// heed makes a refusal that came since the last result the result. One that
// comes while the result is bad already does not put off the next try. p.mu is
// held.
func (p *proof) heed(r db.Refusal) {
	if r.N == p.heeded {
		return
	}
	p.heeded = r.N
	if p.err == nil {
		p.at, p.err = r.At, r.Err
	}
}

func (s *Server) tryWrite(ctx context.Context) {
	err := errors.New("the try to write was cut short") // by a panic
	before := s.Store.Refusal().N
	defer func() {
		p := &s.proof
		p.mu.Lock()
		defer p.mu.Unlock()
		now, last := s.Store.Now(), s.Store.Refusal()
		if err == nil && last.N != before {
			err = last.Err // whether it came before or after, nobody can tell
		}
		s.tellProof(err, now)
		p.at, p.err, p.heeded = now, err, last.N
		close(p.running)
		p.running = nil
	}()
	err = s.Store.ProveWrite(ctx)
}

// tellProof logs a result that is bad, when it begins and hourly as long as it
// lasts, and its end. s.proof.mu is held.
func (s *Server) tellProof(err error, now time.Time) {
	p := &s.proof
	switch since := now.Sub(p.told); {
	case err == nil && !p.told.IsZero():
		p.told = time.Time{}
		s.log.Info("changes can be written again")
	case err != nil && (p.told.IsZero() || since < 0 || since >= tellAgain):
		p.told = now
		s.log.Error("changes can't be written", "error", withCause(err))
	}
}

// lookForFile tells whether the store's file is where it was opened. The log
// hears of it when that changes.
func (s *Server) lookForFile() error {
	err := s.Store.Located()
	if gone := err != nil; s.fileGone.Swap(gone) != gone {
		if gone {
			s.log.Error("changes are refused: the data file is not where it was opened", "error", withCause(err))
		} else {
			s.log.Info("the data file is back: changes are made again")
		}
	}
	return err
}

// writeWarning says why changes are refused, in words for everybody.
func writeWarning(err error) api.Warning {
	switch {
	case errors.Is(err, db.ErrFull):
		return api.Warning{Code: eventFull, Text: "the disk is full: changes are refused, credentials are still checked; free some space"}
	case errors.Is(err, db.ErrDisk):
		return api.Warning{Code: eventDisk, Text: "the disk failed: changes are refused; look at the log of the machine and at the disk"}
	case errors.Is(err, db.ErrDamaged):
		return api.Warning{Code: eventDamaged, Text: "the store is damaged: run 'husk check' and restore a backup"}
	case errors.Is(err, db.ErrMoved):
		return api.Warning{Code: eventMoved, Text: "the data file was moved, replaced or deleted under the running server: changes are refused, credentials are still checked; the log says what to do"}
	case errors.Is(err, errSlowWrite):
		return api.Warning{Code: "store_slow", Text: errSlowWrite.Error() + ": look at the disk"}
	}
	return api.Warning{Code: "write_refused", Text: "changes can't be written; see the log"}
}

func writable(proved error) string {
	switch {
	case proved == nil:
		return "yes"
	case errors.Is(proved, errNotProved):
		return "unknown"
	}
	return "no"
}
