package db

import (
	"context"
	"slices"
)

// Follow drops from memory what is changed, in whichever process, until ctx
// ends; then it returns nil. So it does at once where the engine tells nothing,
// since then there is no other process. Where the feed breaks it returns an
// error, and is to be called again soon: what is changed meanwhile is not heard
// of. What this Store changes it drops by itself, before the change is answered.
func (s *Store) Follow(ctx context.Context) error {
	f, ok := s.engine.(Feeder)
	if !ok {
		return nil
	}
	return f.Feed(ctx, func(c Changes) { s.hear(ctx, c) })
}

// hear drops what was changed, and looks again at what is known of the store as
// a whole. A look that fails is made up for by the next one.
func (s *Store) hear(ctx context.Context, c Changes) {
	dirty := map[string][]string{}
	for _, k := range c.Keys {
		if k.Bucket == metaBucket || slices.ContainsFunc(s.nouns, func(n noun) bool { return n.name() == k.Bucket }) {
			dirty[k.Bucket] = append(dirty[k.Bucket], string(k.Key))
		}
	}
	s.drop(dirty)
	if c.All {
		s.dropAll()
	}
	if c.All || slices.Contains(dirty[metaBucket], metaSchema) || slices.Contains(dirty[metaBucket], metaClock) {
		_ = s.Look(ctx)
	}
}

// Look looks again at what a Store knows since it was opened and another
// process may have changed: the schema, whose upgrade makes this Store refuse all
// changes with ErrNewer, and the clock's mark, behind which its time is never.
// Follow does so when it hears of it; besides it is to be called now and then.
func (s *Store) Look(ctx context.Context) error {
	return s.view(ctx, func(t *txn) error {
		schema, err := t.schema()
		if err != nil {
			return err
		}
		var why *error
		if schema.Version > newestSchema() {
			err := newer(schema)
			why = &err
		}
		s.newer.Store(why)
		mark, err := t.clockMark()
		if err == nil {
			s.clock.raise(mark)
		}
		return err
	})
}

// Shared tells whether other processes may have the store too, and so whether
// there is anybody to Follow: then its engine is an Elector. Whoever has a file
// alone is not to follow itself: each look is a reader, whose snapshot keeps pages
// from being used again, which a disk that is nearly full has no room for.
func (s *Store) Shared() bool {
	_, ok := s.engine.(Elector)
	return ok
}

// Leads tells whether this process does what is to be done once for all that
// share the store, such as a sweep or a scheduled backup; see Elector. It is to
// be asked before each run.
func (s *Store) Leads(ctx context.Context) bool {
	e, ok := s.engine.(Elector)
	return !ok || e.Leads(ctx)
}
