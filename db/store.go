package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	metaBucket = "meta"
	metaSchema = "schema"
)

// How many decoded records are kept in memory. A check of a token needs its
// owner too, and there are far fewer owners than tokens, so most of a large
// store's are to be there: at 330 bytes each, and 110 more with a password. The
// process grows by twice that before memory is collected.
const (
	cachedUsers    = 81_920
	cachedTokens   = 16384
	cachedSessions = 16384
)

// Schema is what the file says about itself.
type Schema struct {
	Version int       `json:"schema"`
	Needs   string    `json:"needs,omitempty"` // the least version of husk that reads it
	Created time.Time `json:"created"`
	From    int       `json:"from,omitempty"` // the schema that an upgrade that is not at its end has come to; 0: none is
}

// Store is the typed store over an engine. Its methods may be called by many
// goroutines. It starts none.
type Store struct {
	engine Engine
	bound  Bound // of an update
	clock  *clock
	older  bool                  // of an older schema: to be looked at only
	newer  atomic.Pointer[error] // why nothing is changed: another process has upgraded the store; nil: none has

	nouns    []noun
	users    *cache[User]
	tokens   *cache[Token]
	sessions *cache[Session]
	roles    setCache[RoleSet]
	keys     setCache[KeySet]

	use      *useLog
	refusals refusalLog
	counts   countLog
	figures  figures

	wrongCodes wrongCodes // of whom their users are not told yet
}

// Options of Open. The zero value is what a server uses.
type Options struct {
	Now       func() time.Time     // the wall clock; nil: the machine's
	Monotonic func() time.Duration // time since some moment, whatever the wall clock does; nil: the machine's, or Now where that is given

	// Keep keeps a copy of a store of an older schema before Open upgrades it;
	// where it fails, nothing is changed. nil: an older store is not upgraded,
	// and can only be looked at, as one looks at a copy to prove it.
	Keep func(ctx context.Context, schema Schema) error
}

// Init writes what a new store begins with: the schema, the built-in roles,
// the single user and the first signing key. An engine's Create calls it, so
// that a file is never seen without them.
func Init(tx Tx) error {
	s := newStore(nil, Options{})
	t := s.begin(tx, offlineActor())
	if err := t.putJSON(metaBucket, metaSchema, Schema{Version: newestSchema(), Needs: needs(newestSchema()), Created: t.now}); err != nil {
		return err
	}
	for _, role := range builtinRoles(t.now) {
		if err := roleRecords.put(t, nil, role); err != nil {
			return err
		}
	}
	if err := userRecords.put(t, nil, singleUser(t.now)); err != nil {
		return err
	}
	if err := keyRecords.put(t, nil, newKey(t.now)); err != nil {
		return err
	}
	if err := t.putJSON(metaBucket, metaSecret, secretRecord{Secret: newSecret()}); err != nil {
		return err
	}
	return t.audit("store.create", NoTarget)
}

// Open reads the schema and returns the typed store. A file without a schema
// is ErrDamaged, one with a newer schema ErrNewer; one with an older schema is
// upgraded where Options.Keep says how.
func Open(ctx context.Context, engine Engine, o Options) (*Store, error) {
	s := newStore(engine, o)
	schema, err := s.Schema(ctx)
	if err != nil {
		return nil, err
	}
	if err := schema.Readable(); err != nil {
		return nil, err
	}
	if err := s.view(ctx, s.loadClock); err != nil {
		return nil, err
	}
	if err := s.upgrade(ctx, schema, o.Keep); err != nil {
		return nil, err
	}
	return s, nil
}

func newStore(engine Engine, o Options) *Store {
	s := &Store{
		engine:   engine,
		nouns:    nouns(),
		clock:    newClock(o.Now, o.Monotonic),
		users:    newCache(cachedUsers, userRecords.id),
		tokens:   newCache(cachedTokens, tokenRecords.id),
		sessions: newCache(cachedSessions, sessionRecords.id),
		use:      newUseLog(),
		figures:  figures{met: make(chan struct{}, 1)},
	}
	if b, ok := engine.(Bounder); ok {
		s.bound = b.Bound()
	}
	return s
}

// Schema returns what the file says about itself.
func (s *Store) Schema(ctx context.Context) (schema Schema, err error) {
	err = s.view(ctx, func(t *txn) error { schema, err = t.schema(); return err })
	return schema, err
}

func (t *txn) schema() (schema Schema, err error) {
	if _, err = t.getJSON(metaBucket, metaSchema, &schema); err == nil {
		err = schema.known() // absent: 0
	}
	return schema, err
}

// Located tells whether the store is where it was opened; see Locator.
func (s *Store) Located() error {
	if l, ok := s.engine.(Locator); ok {
		return l.Located()
	}
	return nil
}

// Backup writes a copy of the store to w; see Backuper. ErrInvalid where the
// engine makes none.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if b, ok := s.engine.(Backuper); ok {
		return b.Backup(ctx, w)
	}
	return fail(ErrInvalid, "no_backup", "this engine makes no backups of its own")
}

// CheckEngine checks what the engine keeps below the records, where it can; see
// Checker.
func (s *Store) CheckEngine(ctx context.Context, report func(error)) error {
	if c, ok := s.engine.(Checker); ok {
		return c.Check(ctx, report)
	}
	return nil
}

// Engine returns the engine beneath, for commands that only one of its kind
// has.
func (s *Store) Engine() Engine { return s.engine }

// Now returns the store's time, UTC.
func (s *Store) Now() time.Time { return s.clock.now() }

// WallClock returns what the machine's clock shows, UTC: also where that is behind the
// store's time. Codes that another clock makes are held against it, since a clock that
// was ahead and is set right would else have none be good until it has caught up. What
// was taken once is good no more, whatever it shows.
func (s *Store) WallClock() time.Time { return s.clock.wall().UTC() }

// Close closes the engine.
func (s *Store) Close() error { return s.engine.Close() }

// txn is a transaction with its envelopes, its actor and the records that it
// changed.
type txn struct {
	Tx
	actor *Actor
	now   time.Time
	dirty map[string][]string // bucket to ids
	mark  int64               // the clock's mark, where the transaction keeps it
	size  size
	use   *useLog // what is not written yet of last uses
}

func (s *Store) begin(tx Tx, actor *Actor) *txn {
	return &txn{Tx: tx, actor: actor, now: s.Now(), size: size{bound: s.bound}, use: s.use}
}

func (s *Store) view(ctx context.Context, f func(*txn) error) error {
	err := s.engine.View(ctx, func(tx Tx) error { return f(s.begin(tx, nil)) })
	s.figures.failed(err)
	return err
}

// update runs f and drops what it changed from memory. What f has to have
// removed first, since there is no room for it beside the rest, goes in updates
// before; see makeRoom.
func (s *Store) update(ctx context.Context, actor *Actor, f func(*txn) error) error {
	for before := 0; ; {
		err := s.commit(ctx, actor, func(t *txn) error {
			t.size.before = before
			return f(t)
		})
		var first *makeRoom
		if !errors.As(err, &first) {
			return err
		}
		n := 0
		err = s.commit(ctx, actor, func(t *txn) (err error) { n, err = first.remove(t); return err })
		if err != nil {
			return err
		}
		before += n
	}
}

// commit drops from memory after a failure too: then it costs a read, and
// nothing has to be known about how far the commit came.
func (s *Store) commit(ctx context.Context, actor *Actor, f func(*txn) error) error {
	if err := s.changeable(); err != nil {
		return err
	}
	var t *txn
	began := time.Now()
	err := s.engine.Update(ctx, func(tx Tx) error {
		t = s.begin(tx, actor)
		if err := t.actorNow(); err != nil {
			return err
		}
		if err := f(t); err != nil {
			return err
		}
		return s.markTime(t)
	})
	s.figures.updates.add(time.Since(began))
	s.figures.failed(err)
	s.figures.refused(err, s.Now())
	if t != nil {
		s.drop(t.dirty)
	}
	if err == nil && t.mark != 0 {
		s.clock.raise(t.mark)
	}
	return err
}

// changeable tells why nothing may be changed, where that is so for the schema's
// sake.
func (s *Store) changeable() error {
	if s.older {
		return errOlder
	}
	if newer := s.newer.Load(); newer != nil {
		return *newer
	}
	return nil
}

// drop is the one place where cached records end: each noun's memory forgets
// what a transaction changed of it, and the roles and the keys, which are
// remembered as a whole, are read anew.
func (s *Store) drop(dirty map[string][]string) {
	for _, n := range s.nouns {
		if m := n.memoryIn(s); m != nil && dirty[n.name()] != nil {
			m.drop(dirty[n.name()])
		}
	}
}

// dropAll drops all that is remembered.
func (s *Store) dropAll() {
	for _, n := range s.nouns {
		if m := n.memoryIn(s); m != nil {
			m.dropAll()
		}
	}
}

func (t *txn) changed(bucket, id string) {
	if t.dirty == nil {
		t.dirty = map[string][]string{}
	}
	t.dirty[bucket] = append(t.dirty[bucket], id)
}

// get returns the value inside the envelope, or nil.
func (t *txn) get(bucket string, key []byte) ([]byte, error) {
	sealed, err := t.Get(bucket, key)
	if err != nil || sealed == nil {
		return nil, err
	}
	return unseal(bucket, key, sealed)
}

// record is get of what is there, or else ErrNotFound.
func (t *txn) record(bucket string, key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, errAbsentRecord
	}
	value, err := t.get(bucket, key)
	if err == nil && value == nil {
		err = errAbsentRecord
	}
	return value, err
}

// getMany returns the values inside the envelopes of many keys, nil where there
// is none.
func (t *txn) getMany(bucket string, ids []string) (values [][]byte, err error) {
	keys := keysOf(ids)
	if values, err = t.GetMany(bucket, keys); err != nil {
		return nil, err
	}
	for i, sealed := range values {
		if sealed == nil {
			continue
		}
		if values[i], err = unseal(bucket, keys[i], sealed); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func keysOf(ids []string) [][]byte {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = []byte(id)
	}
	return keys
}

func (t *txn) put(bucket string, key, value []byte) error {
	return t.Put(bucket, key, seal(bucket, key, value))
}

func (t *txn) scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) bool) error {
	var damage error
	err := t.Scan(bucket, prefix, from, reverse, func(key, sealed []byte) bool {
		var value []byte
		if value, damage = unseal(bucket, key, sealed); damage != nil {
			return false
		}
		return f(key, value)
	})
	return errors.Join(err, damage)
}

func (t *txn) getJSON(bucket, key string, v any) (found bool, err error) {
	value, err := t.get(bucket, []byte(key))
	if err != nil || value == nil {
		return false, err
	}
	if err := unmarshal(value, v); err != nil {
		return false, errors.Join(damagedRecord(bucket, []byte(key)), err)
	}
	return true, nil
}

func (t *txn) putJSON(bucket, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", bucket, key, err)
	}
	return t.put(bucket, []byte(key), value)
}

// errAbsentRecord is the same for what is absent and for what is not the
// actor's, so that nobody learns which.
var errAbsentRecord = fail(ErrNotFound, "not_found", "there is no such thing, or it is not yours")

// Counts returns how many records of each kind there are.
func (s *Store) Counts(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	err := s.view(ctx, func(t *txn) error {
		for _, n := range s.nouns {
			count, err := t.count(n.name())
			if err != nil {
				return err
			}
			counts[n.name()+"s"] = count
		}
		return nil
	})
	return counts, err
}
