package upkeep

import "context"

// follow drops from memory what other nodes change, until ctx ends. It comes
// back where the feed breaks; of a feed that breaks each time, the log is told
// once a minute.
func (u *Upkeep) follow(ctx context.Context) {
	err := u.Store.Follow(ctx)
	if now := u.Store.Now(); err != nil && ctx.Err() == nil && now.Sub(u.deaf).Abs() >= lookEvery {
		u.deaf = now
		u.Log.Warn("what other nodes change in the store is not heard of: it is tried again each "+followAgain.String(), "error", WithCause(err))
	}
}

// lookAgain looks at what the feed may not have told.
func (u *Upkeep) lookAgain(ctx context.Context) {
	if err := u.Store.Look(ctx); err != nil && ctx.Err() == nil {
		u.Log.Warn("schema and clock could not be looked at in the store: it is tried again in "+lookEvery.String(), "error", WithCause(err))
	}
}

// leads tells whether this node does what one does for all.
func (u *Upkeep) leads(ctx context.Context) bool {
	leads := u.Store.Leads(ctx)
	if !leads {
		u.scheduled.standDown()
	}
	return leads
}
