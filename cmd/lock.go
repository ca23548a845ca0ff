package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"husk/db"
	"husk/web/listen"
)

// This file tells how long who wants the store waits for its lock, and for whom.

// lockWait is how long a command goes round between socket and file before it
// gives up. A server that starts holds the file a moment before it listens;
// one that stops, a moment after.
const (
	lockWait  = 5 * time.Second
	lockRound = 100 * time.Millisecond
)

// untilThen is how long to wait at most, and no longer than ctx lasts.
func untilThen(ctx context.Context, most time.Duration) time.Duration {
	if end, bounded := ctx.Deadline(); bounded {
		return max(min(most, time.Until(end)), time.Millisecond) // 0 would be for ever
	}
	return most
}

// handoverPatience is how long a server that inherits its sockets waits for the
// data file: the one before it keeps it while it drains, and a while more to
// write everything down.
const handoverPatience = listen.DrainTimeout + 10*time.Second

// openWhenFree opens the store when whoever has it lets go of it, and says
// what it waits for.
func (a *app) openWhenFree(ctx context.Context, log *slog.Logger, patience time.Duration) (*db.Store, error) {
	store, err := a.openStore(ctx, lockRound, true)
	if !errors.Is(err, db.ErrLocked) {
		return store, err
	}
	log.Info("the store is in use"+a.holderText()+": waiting for it", "data", a.settings.Data, "at_most", patience.String())
	for deadline := time.Now().Add(patience); errors.Is(err, db.ErrLocked) && time.Now().Before(deadline) && ctx.Err() == nil; {
		store, err = a.openStore(ctx, lockRound, true)
	}
	return store, err
}

func (a *app) holderText() string {
	if pid, name, ok := embedded.holder(a.storeFile()); ok {
		return fmt.Sprintf(" by process %d (%s)", pid, printable(name))
	}
	return " by another process"
}
