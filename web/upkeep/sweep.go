package upkeep

import (
	"context"

	"husk/db"
)

// flush writes down what was noted in memory: when credentials were last used,
// and who was refused.
func (u *Upkeep) flush(ctx context.Context) {
	if u.lookForFile() != nil {
		return // it waits in memory, where it has its bound
	}
	u.handCounts()
	u.warn(ctx, "when credentials were last used could not be written to the store: it waits in memory, is tried again each "+flushEvery.String()+", and is lost where the server stops before",
		u.Store.FlushLastUsed(ctx))
}

// writeCounts writes down what was counted.
func (u *Upkeep) writeCounts(ctx context.Context) {
	u.handCounts() // of the hour that runs
	if u.lookForFile() != nil {
		return // as above
	}
	u.warn(ctx, "what was counted could not be written to the store: it waits in memory, is tried again each "+lookEvery.String()+", and is lost where the server stops before",
		u.Store.FlushCounts(ctx))
}

func (u *Upkeep) handCounts() {
	if u.HandCounts != nil {
		u.HandCounts()
	}
}

// lastFlush is the flush of a server that stops. It also keeps the time, which
// the next one goes on from.
func (u *Upkeep) lastFlush(ctx context.Context) {
	u.Store.KeepTime(u.Store.Now())
	u.flush(ctx)
}

// sweep removes what has ended, where there is something.
func (u *Upkeep) sweep(ctx context.Context) {
	if u.lookForFile() != nil {
		return
	}
	due, err := u.Store.SweepDue(ctx)
	if err == nil && due {
		_, err = u.Store.Sweep(ctx)
	}
	u.tellSweep(ctx, err)
}

func (u *Upkeep) tellSweep(ctx context.Context, err error) {
	u.warn(ctx, "sessions and keys that have ended could not be removed from the store: they are refused all the same, and it is tried again in a minute", err)
}

// tidy keeps the store within its bounds. It sweeps though nothing may be due:
// that also writes down the time.
func (u *Upkeep) tidy(ctx context.Context) {
	if u.lookForFile() != nil {
		return
	}
	_, err := u.Store.Sweep(ctx)
	u.tellSweep(ctx, err)
	if u.SessionIdle > 0 {
		u.endIdle(ctx)
	}
	u.prune(ctx)
}

// endIdle ends the sessions that were not used for too long. They are refused
// already; ended, they stay so under another setting, too.
func (u *Upkeep) endIdle(ctx context.Context) {
	n, err := u.Store.EndIdleSessions(ctx, u.SessionIdle)
	u.warn(ctx, "sessions that were unused for longer than session-idle could not be ended in the store: they are refused all the same, and it is tried again in "+tidyEvery.String(), err)
	if n > 0 {
		u.Log.Info("sessions ended that were unused for longer than session-idle", "count", n)
	}
}

// prune removes the audit entries that are too old or too many.
func (u *Upkeep) prune(ctx context.Context) {
	keep := db.Retention{Changes: u.AuditEntries, Refusals: u.AuditRefusals}
	if u.AuditKeep > 0 {
		keep.Since = u.Store.Now().Add(-u.AuditKeep)
	}
	n, err := u.Store.PruneAudit(ctx, keep)
	u.warn(ctx, "audit entries that are too old or too many could not be removed: the store keeps them, and it is tried again in "+tidyEvery.String(), err)
	if n > 0 {
		u.Log.Info("old audit entries removed", "count", n)
	}
}

// tellFolded has the log told what many caused in the last minute, and the last
// of the connections that were closed to make room.
func (u *Upkeep) tellFolded(context.Context) {
	if u.Connections != nil {
		u.Connections.Tell()
	}
	if u.Folds != nil {
		u.Folds.Tell()
	}
}
