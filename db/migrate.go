package db

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
)

// SchemaVersion is the schema that this program writes: the form of all that a
// store keeps. A change that an older husk could not read, or that leaves what
// an older one wrote in another form, is a new schema: one more step below,
// and one more file in cmd/testdata/schema.
const SchemaVersion = 5

// firstNeeds is the least husk that reads schema 1.
const firstNeeds = "0.1.0"

// migration brings a store from one schema to the next.
type migration struct {
	needs string // the least version of husk that reads the new schema
	run   func(*txn) error
}

// migrations has at i the step from schema i+1 to i+2. All that are due run in
// one Update, which may run again, or, where that has a bound, in several; see
// migrateStep. So a step finds in part done what it did itself, and does the
// rest. It reads and writes the records in the form that they have at its
// schema, with types of its own where a later change has altered those of this
// package.
var migrations = []migration{
	{needs: "0.1.0", run: toSchema2},
	{needs: "0.1.0", run: toSchema3},
	{needs: "0.2.0", run: toSchema4},
	{needs: "0.2.0", run: toSchema5},
}

func newestSchema() int { return 1 + len(migrations) }

// needs returns the least version of husk that reads a schema.
func needs(schema int) string {
	if schema <= 1 {
		return firstNeeds
	}
	return migrations[schema-2].needs
}

// errOlder refuses a change to a store of an older schema, which was opened to
// be looked at.
var errOlder = fail(ErrInvalid, "store_older", "the store is of an older schema, and was opened to be looked at only")

// upgrade brings a store of an older schema to the newest, after keep has kept
// a copy of it.
func (s *Store) upgrade(ctx context.Context, schema Schema, keep func(context.Context, Schema) error) error {
	if schema.Version == newestSchema() && schema.From == 0 {
		return nil
	}
	if keep == nil {
		s.older = true
		return nil
	}
	if schema.From == 0 { // else a copy was kept before the first step
		if err := keep(ctx, schema); err != nil {
			return fmt.Errorf("keep a copy before the upgrade: %w", err)
		}
	}
	if err := s.migrate(ctx); err != nil {
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w; the husk that wrote it can still repair it, with 'husk check --repair'", err)
		}
		return fmt.Errorf("upgrade the store from schema %d to %d: %w", schema.Version, newestSchema(), err)
	}
	return nil
}

func newer(schema Schema) error {
	needed := "the husk that wrote it"
	if schema.Needs != "" {
		needed = "husk " + schema.Needs
	}
	return fmt.Errorf("%w: %s or a later one is needed: its schema is %d, this husk knows %d",
		ErrNewer, needed, schema.Version, newestSchema())
}

// migrate runs the steps that are due, and writes down that it did.
func (s *Store) migrate(ctx context.Context) error {
	for more := true; more; {
		err := s.update(ctx, offlineActor(), func(t *txn) (err error) {
			more, err = t.migrate()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// migrate is one transaction of an upgrade: all of it, where there is no bound.
// Then a store is of one schema or of another, never in between. Where there is
// one, the store is of the new schema from the first transaction on, so that no
// older husk touches it, and says at which step it is: whoever opens it does
// the rest. Each transaction begins that step anew, and passes over what is as
// it should be.
func (t *txn) migrate() (more bool, err error) {
	schema, err := t.schema()
	if err != nil {
		return false, err
	}
	began := schema.From != 0
	from := cmp.Or(schema.From, schema.Version)
	at, err := t.runSteps(from)
	if err != nil {
		return false, err
	}
	schema.Version, schema.Needs, schema.From = newestSchema(), needs(newestSchema()), at
	if err := t.putJSON(metaBucket, metaSchema, schema); err != nil || began {
		return at != 0, err
	}
	return at != 0, t.audit("store.upgrade", Literal(fmt.Sprintf("schema %d to %d", from, schema.Version)))
}

// runSteps runs the steps from a schema on. It returns the schema at which one
// has more to write than there is room for, or 0.
func (t *txn) runSteps(from int) (at int, err error) {
	if !t.unbounded() {
		all := t.Tx
		t.Tx = &sparing{Tx: all, room: t.step(math.MaxInt, 1)}
		defer func() { t.Tx = all }() // what follows has its spareWrites
	}
	for at = from; at < newestSchema(); at++ {
		err := migrations[at-1].run(t)
		switch {
		case errors.Is(err, errNoRoom):
			return at, nil
		case err != nil:
			return at, err
		}
	}
	return 0, nil
}

// errNoRoom ends a transaction of an upgrade that has written as much as it may.
var errNoRoom = errors.New("the rest of the upgrade goes in the next transaction")

// sparing is a transaction that writes nothing that is there already, and no
// more than it has room for.
type sparing struct {
	Tx
	room int
}

// Put implements Tx.
func (t *sparing) Put(bucket string, key, value []byte) error {
	before, err := t.Get(bucket, key)
	if err != nil || bytes.Equal(before, value) {
		return err
	}
	return t.spend(func() error { return t.Tx.Put(bucket, key, value) })
}

// Delete implements Tx.
func (t *sparing) Delete(bucket string, key []byte) error {
	before, err := t.Get(bucket, key)
	if err != nil || before == nil {
		return err
	}
	return t.spend(func() error { return t.Tx.Delete(bucket, key) })
}

func (t *sparing) spend(write func() error) error {
	if t.room == 0 {
		return errNoRoom
	}
	t.room--
	return write()
}

// offlineActor is who makes, upgrades and repairs a store: the owner of the
// file.
func offlineActor() *Actor {
	return &Actor{ID: LocalActor, Name: LocalActor, Transport: TransportOffline}
}
