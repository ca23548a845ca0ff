package upkeep

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"husk/db"
)

// nodes is an engine of which another node leads, and whose feed breaks.
type nodes struct {
	db.Engine
	follows int
	leads   bool
}

// Located implements db.Locator.
func (e *nodes) Located() error { return e.Engine.(db.Locator).Located() }

// Leads implements db.Elector.
func (e *nodes) Leads(context.Context) bool { return e.leads }

// Feed implements db.Feeder.
func (e *nodes) Feed(ctx context.Context, hear func(db.Changes)) error {
	if e.follows++; e.follows < 3 {
		return db.ErrUnavailable
	}
	hear(db.Changes{All: true})
	<-ctx.Done()
	return nil
}

// A node that does not lead leaves to the other one what is done once for all;
// it follows what that one does, and again where the feed broke.
func TestNodeThatDoesNotLead(t *testing.T) {
	e := &nodes{}
	run(t, func(c *Config) {
		e.Engine = c.Store.Engine()
		var err error
		c.Store, err = db.Open(t.Context(), e, db.Options{})
		must(t, err)
	}, func(t *testing.T, r *running) {
		user, err := r.Store.CreateUser(t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, db.NewUser{Email: "ann@example.com", Password: "hash"})
		must(t, err)
		id := r.session(user, time.Minute)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if !r.there("session", id) {
			t.Error("a node that does not lead removes what has ended")
		}
		if e.follows != 3 {
			t.Errorf("a feed that breaks twice is listened to %d times", e.follows)
		}
		e.leads = true
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if r.there("session", id) {
			t.Error("a node that leads does not remove what has ended")
		}
	})
}
