package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/listen"
)

// Run does the work in the background until ctx ends: it writes down when
// credentials were last used, removes what has ended, makes regular backups,
// and tells what needs attention. It returns when the last use is written, and
// the time, behind which no clock that is set back will lead.
func (s *Server) Run(ctx context.Context) {
	defer s.startWatch(ctx)()
	defer s.startBackups(ctx)()
	flush, sweep := time.NewTicker(flushEvery), time.NewTicker(sweepEvery)
	locate := time.NewTicker(locateEvery)
	defer flush.Stop()
	defer sweep.Stop()
	defer locate.Stop()
	for minutes := 0; ; {
		select {
		case <-ctx.Done():
			s.Store.KeepTime(s.Store.Now())
			s.background(func() { s.flush(context.WithoutCancel(ctx)) })
			s.background(s.folds.Tell)
			return
		case <-flush.C:
			s.background(func() { s.flush(ctx) })
		case <-s.Store.UsesFull():
			s.background(func() { s.flush(ctx) })
		case <-locate.C:
			s.background(func() { _ = s.lookForFile() })
		case <-sweep.C:
			minutes++
			s.background(func() { s.sweep(ctx, minutes%10 == 0) })
			s.background(func() { s.watch(ctx) })
			s.background(s.tellConnections)
			s.background(s.folds.Tell)
		}
	}
}

const (
	flushEvery = 30 * time.Second // how long a last use may stay in memory only
	sweepEvery = time.Minute

	// locateEvery is how often it is looked whether the file has its name: one
	// system call.
	locateEvery = 5 * time.Second
)

// background runs f and keeps its panic from ending the process; see listen.Guard.
func (s *Server) background(f func(), about ...any) (finished bool) {
	return listen.Guard(s.log, f, about...)
}

// tellConnections has the last of those told that were closed to make room.
func (s *Server) tellConnections() {
	if s.Connections != nil {
		s.Connections.Tell()
	}
}

func (s *Server) flush(ctx context.Context) {
	if s.lookForFile() != nil {
		return // it waits in memory, where it has its bound
	}
	if err := s.Store.FlushUse(ctx); err != nil {
		s.log.Warn("last uses could not be written", "error", withCause(err))
	}
}

// sweep removes what has ended where there is something, and always where
// that was long ago: it also writes down the time.
func (s *Server) sweep(ctx context.Context, always bool) {
	if s.lookForFile() != nil {
		return
	}
	due, err := s.Store.SweepDue(ctx)
	if err == nil && (due || always) {
		_, err = s.Store.Sweep(ctx)
	}
	if err != nil {
		s.log.Warn("what has ended could not be removed", "error", withCause(err))
	}
	if always && s.SessionIdle > 0 {
		s.endIdle(ctx)
	}
	if always {
		s.prune(ctx)
	}
	if fault := s.Store.ClockFault(); fault > 0 {
		s.log.Warn(clockText(fault, s.Store.Now()))
	}
}

// endIdle ends the sessions that were not used for too long. They are refused
// already; ended, they stay so under another setting, too.
func (s *Server) endIdle(ctx context.Context) {
	n, err := s.Store.EndIdleSessions(ctx, s.SessionIdle)
	if err != nil {
		s.log.Warn("sessions that were not used could not be ended", "error", withCause(err))
	}
	if n > 0 {
		s.log.Info("sessions ended that were not used", "count", n)
	}
}

// prune removes the audit entries that are too old or too many.
func (s *Server) prune(ctx context.Context) {
	keep := db.Retention{Changes: s.AuditEntries, Refusals: s.AuditRefusals}
	if s.AuditKeep > 0 {
		keep.Since = s.Store.Now().Add(-s.AuditKeep)
	}
	n, err := s.Store.PruneAudit(ctx, keep)
	if err != nil {
		s.log.Warn("old audit entries could not be removed", "error", withCause(err))
	}
	if n > 0 {
		s.log.Info("old audit entries removed", "count", n)
	}
}
