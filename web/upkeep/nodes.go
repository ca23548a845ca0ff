package upkeep

import "context"

// follow drops from memory what other nodes change, until ctx ends. It comes
// back where the feed breaks; of a feed that breaks each time, the log is told
// once a minute.
func (u *Upkeep) follow(ctx context.Context) {
	err := u.Store.Follow(ctx)
	if now := u.Store.Now(); err != nil && !within(lookEvery, now, u.deaf) {
		u.deaf = now
		u.warn(ctx, "what other nodes change in the store is not heard of: it is tried again each "+followAgain.String(), err)
	}
}

// lookAgain looks at what the feed may not have told.
func (u *Upkeep) lookAgain(ctx context.Context) {
	u.warn(ctx, "schema and clock could not be looked at in the store: it is tried again in "+lookEvery.String(), u.Store.Look(ctx))
}

// leads tells whether this node does what one does for all.
func (u *Upkeep) leads(ctx context.Context) bool {
	leads := u.Store.Leads(ctx)
	if !leads {
		u.scheduled.standDown()
	}
	return leads
}
