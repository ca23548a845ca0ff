package db

import (
	"context"
	"errors"
	"fmt"
)

// SchemaVersion is the schema that this program writes: the form of all that a
// store keeps. A change that an older husk could not read, or that leaves what
// an older one wrote in another form, is a new schema: one more step below,
// and one more file in cmd/testdata/schema.
const SchemaVersion = 3

// firstNeeds is the least husk that reads schema 1.
const firstNeeds = "0.1.0"

// migration brings a store from one schema to the next.
type migration struct {
	needs string // the least version of husk that reads the new schema
	run   func(*txn) error
}

// migrations has at i the step from schema i+1 to i+2. All that are due run in
// one Update, which may run again. A step reads and writes the records in the
// form that they have at its schema, with types of its own where a later
// change has altered those of this package.
var migrations = []migration{
	{needs: "0.1.0", run: toSchema2},
	{needs: "0.1.0", run: toSchema3},
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
	if schema.Version == newestSchema() {
		return nil
	}
	if keep == nil {
		s.older = true
		return nil
	}
	if err := keep(ctx, schema); err != nil {
		return fmt.Errorf("keep a copy before the upgrade: %w", err)
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

// migrate runs the steps that are due, and writes down that it did, in one
// transaction: a store is of one schema or of another, never in between.
func (s *Store) migrate(ctx context.Context) error {
	return s.update(ctx, offlineActor(), func(t *txn) error {
		var schema Schema
		if _, err := t.getJSON(metaBucket, metaSchema, &schema); err != nil {
			return err
		}
		from := schema.Version
		for _, step := range migrations[from-1:] {
			if err := step.run(t); err != nil {
				return err
			}
		}
		schema.Version, schema.Needs = newestSchema(), needs(newestSchema())
		if err := t.putJSON(metaBucket, metaSchema, schema); err != nil {
			return err
		}
		return t.audit("store.upgrade", Literal(fmt.Sprintf("schema %d to %d", from, schema.Version)))
	})
}

// offlineActor is who makes, upgrades and repairs a store: the owner of the
// file.
func offlineActor() *Actor {
	return &Actor{ID: LocalActor, Name: LocalActor, Transport: TransportOffline}
}
