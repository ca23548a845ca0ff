package db

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"
)

// What tests of this package's outside need of its inside.
var (
	Seal         = seal
	Unseal       = unseal
	FormatCursor = formatCursor
	ParseCursor  = parseCursor
	Words        = words
	Plain        = IsPlain
	CheckText    = checkText
	CheckEmail   = checkEmail
	Within       = within
	Later        = later
	MaskAll      = maskAll
	Unmarshal    = unmarshal
)

// ChainLink returns what of an entry makes the chain.
func ChainLink(value []byte) (seq uint64, change, prev string, stranger, ok bool) {
	l, ok := linkOf(value)
	return l.seq, l.change, l.prev, l.stranger, ok
}

// Within tells whether by reaches all that r does.
func (r *Reach) Within(by *Reach) bool { return r.within(by) }

// Changeable tells why nothing may be changed.
func (s *Store) Changeable() error { return s.changeable() }

// Stranger tells whether an entry is a stranger's.
func Stranger(e *Event) bool { return e.stranger() }

// ReadsFast tells whether value is read into v without encoding/json.
func ReadsFast(value []byte, v any) bool { return readsFast(value, v.(fastReader)) }

const (
	MaxName        = maxName
	MaxDescription = maxDescription
	MaxEmail       = maxEmail
	MaxUses        = maxUses
)

// PutUsers writes users as they are.
func (s *Store) PutUsers(ctx context.Context, users []*User) error {
	return putAll(ctx, s, &userRecords, users)
}

// PutTokens writes tokens as they are.
func (s *Store) PutTokens(ctx context.Context, tokens []*Token) error {
	return putAll(ctx, s, &tokenRecords, tokens)
}

// PutEnded writes what is known of ended tokens as it is.
func (s *Store) PutEnded(ctx context.Context, ended []*EndedToken) error {
	return putAll(ctx, s, &endedRecords, ended)
}

// putAll writes a few hundred in a transaction: an engine's page may split only at
// the commit, and then one large transaction is slower by far.
// ForgetMethods makes of a session one of before schema 5.
func (s *Store) ForgetMethods(ctx context.Context, id string) error {
	return s.update(ctx, &Actor{}, func(t *txn) error {
		old, err := sessionRecords.get(t, id)
		if err != nil {
			return err
		}
		r := *old
		r.Methods = nil
		return sessionRecords.put(t, old, &r)
	})
}

// PutFactors writes so many records of users who are not there.
func (s *Store) PutFactors(ctx context.Context, n int) error {
	var all []*Factors
	for i := range n {
		all = append(all, &Factors{User: fmt.Sprintf("user%04d", i), TOTP: &TOTP{Secret: []byte("old")}})
	}
	return putAll(ctx, s, &factorRecords, all)
}

func putAll[T any](ctx context.Context, s *Store, c *collection[T], records []*T) error {
	for some := range slices.Chunk(records, 500) {
		err := s.update(ctx, &Actor{}, func(t *txn) error {
			for _, r := range some {
				if err := c.put(t, nil, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// PutRole writes a role as it is.
func (s *Store) PutRole(ctx context.Context, name string, permissions ...string) error {
	return s.update(ctx, &Actor{}, func(t *txn) error {
		old, err := roleRecords.get(t, name)
		created := t.now
		if err == nil {
			created = old.Created
		} else {
			old = nil
		}
		return roleRecords.put(t, old, &Role{Name: name, Permissions: permissions, Created: created, Updated: t.now})
	})
}

// Note writes audit entries, and fails with err where there is one.
func (s *Store) Note(ctx context.Context, actor *Actor, err error, actions ...string) error {
	return s.update(ctx, actor, func(t *txn) error {
		for _, action := range actions {
			if err := t.audit(action, Literal("x")); err != nil {
				return err
			}
		}
		return err
	})
}

// PutRaw writes a value in its envelope, whatever it is.
func (s *Store) PutRaw(ctx context.Context, bucket string, key, value []byte) error {
	return s.update(ctx, &Actor{}, func(t *txn) error { return t.put(bucket, key, value) })
}

// EndAll ends all sessions of a user but one.
func (s *Store) EndAll(ctx context.Context, user, keep string) (n int, err error) {
	err = s.update(ctx, &Actor{}, func(t *txn) error { n, err = t.endSessions(user, keep); return err })
	return n, err
}

// CacheMisses tells how often a user or a token was not in memory.
func (s *Store) CacheMisses() (users, tokens uint64) {
	return s.users.misses.Load(), s.tokens.misses.Load()
}

// ShrinkUserCache makes room in memory for n users only.
func (s *Store) ShrinkUserCache(n int) { s.users = newCache(n, userRecords.id) }

// CachedUsers tells how many users are in memory, and how many may be.
func (s *Store) CachedUsers() (n, most int) {
	for i := range s.users.shards {
		n += len(s.users.shards[i].records)
	}
	return n, s.users.perShard * cacheShards
}

// TokenKeys returns what the tokens in memory are kept under.
func (s *Store) TokenKeys() (keys []string) {
	for i := range s.tokens.shards {
		keys = slices.AppendSeq(keys, maps.Keys(s.tokens.shards[i].records))
	}
	return keys
}

// PendingUses tells how many uses wait to be written.
func (s *Store) PendingUses() (n int) {
	for i := range s.use.shards {
		s.use.shards[i].Lock()
		n += len(s.use.shards[i].uses)
		s.use.shards[i].Unlock()
	}
	return n
}

// TakeUses takes the uses as a flush does, and returns what gives them back.
func (s *Store) TakeUses() (giveBack func()) {
	taken := s.use.take()
	return func() { s.use.giveBack(taken) }
}

// PutSession writes a session of the single user.
func (s *Store) PutSession(ctx context.Context, id string) error {
	return s.update(ctx, &Actor{}, func(t *txn) error {
		return sessionRecords.put(t, nil, &Session{ID: id, User: SingleUser, Created: t.now, Expires: t.now.Add(time.Hour)})
	})
}

// Gadget is a record for tests of collections.
type Gadget struct {
	ID     string    `json:"id"`
	Serial []string  `json:"serial"`
	Tags   []string  `json:"tags"`
	Made   time.Time `json:"made"`
}

var gadgets = collection[Gadget]{
	bucket: "gadget",
	id:     func(g *Gadget) string { return g.ID },
	unique: func(g *Gadget) []string { return g.Serial },
	index: func(g *Gadget) [][]byte {
		var keys [][]byte
		for _, tag := range g.Tags {
			keys = append(keys, indexKey(tag, byCreated, timeKey(g.Made), g.ID))
		}
		return keys
	},
	count: func(g *Gadget) []string { return append([]string{"gadget"}, g.Tags...) },
	taken: fail(ErrConflict, "serial_taken", "that serial is taken"),
}

// ReplaceGadget puts new in the place of the gadget of id; nil removes it.
func (s *Store) ReplaceGadget(ctx context.Context, id string, new *Gadget) error {
	return s.update(ctx, &Actor{}, func(t *txn) error {
		old, err := gadgets.get(t, id)
		if err != nil {
			old = nil
		}
		if old == nil && new == nil {
			return nil
		}
		return gadgets.put(t, old, new)
	})
}

// GadgetState is what the store has of gadgets: index entries and counters.
func (s *Store) GadgetState(ctx context.Context) (entries []string, counts map[string]int64, err error) {
	counts = map[string]int64{}
	err = s.view(ctx, func(t *txn) error {
		err := t.scan(gadgets.indexBucket(), nil, nil, false, func(k, v []byte) bool {
			entries = append(entries, string(k)+" -> "+string(v))
			return true
		})
		if err != nil {
			return err
		}
		for _, name := range []string{"gadget", "red", "blue", "round"} {
			n, err := t.count(name)
			if err != nil {
				return err
			}
			counts[name] = n
		}
		return nil
	})
	slices.Sort(entries)
	return entries, counts, err
}

// GadgetEntries is what the index should have of one gadget.
func GadgetEntries(g *Gadget) (entries []string) {
	for _, k := range gadgets.indexEntries(g) {
		entries = append(entries, string(k)+" -> "+g.ID)
	}
	return entries
}

// FindGadget returns the id of the gadget with a serial.
func (s *Store) FindGadget(ctx context.Context, serial string) (id string, err error) {
	err = s.view(ctx, func(t *txn) error { id, err = gadgets.find(t, serial); return err })
	return id, err
}

// Bare is a store that did not look at the schema.
func Bare(e Engine, now func() time.Time) *Store { return newStore(e, Options{Now: now}) }

// Step is a migration for tests: what it does to the transaction that it is in.
type Step func(put func(bucket, key, value string) error, get func(bucket, key string) (string, error)) error

// AddMigrations has the steps follow those that there are, until restore is
// called.
func AddMigrations(steps ...Step) (restore func()) {
	before := migrations
	migrations = slices.Clip(migrations)
	for i, step := range steps {
		migrations = append(migrations, migration{needs: "0." + string(rune('2'+i)) + ".0", run: func(t *txn) error {
			return step(
				func(bucket, key, value string) error { return t.put(bucket, []byte(key), []byte(value)) },
				func(bucket, key string) (string, error) { v, err := t.get(bucket, []byte(key)); return string(v), err })
		}})
	}
	return func() { migrations = before }
}

// NewestSchema is the schema that Open upgrades to.
func NewestSchema() int { return newestSchema() }

// DecodeRecord reads a record of a bucket as the store does, with all that
// stands beside it; false where the bucket has no records.
func DecodeRecord(bucket, key string, value []byte) (known bool, err error) {
	for _, n := range nouns() {
		if n.name() == bucket {
			return true, n.(interface {
				decodeAll(key string, value []byte) error
			}).decodeAll(key, value)
		}
	}
	return false, nil
}

func (c *collection[T]) decodeAll(key string, value []byte) error {
	r, err := c.decode(key, value)
	if err == nil {
		c.indexEntries(r)
		c.count(r)
	}
	return err
}

// keyCounter counts what a scan hands out.
type keyCounter struct {
	Tx
	keys int
}

func (c *keyCounter) Scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) bool) error {
	return c.Tx.Scan(bucket, prefix, from, reverse, func(key, value []byte) bool {
		c.keys++
		return f(key, value)
	})
}

// KeysToCount tells how many keys are read to count the entries of an action.
func (s *Store) KeysToCount(ctx context.Context, action string) int {
	var c keyCounter
	_ = s.view(ctx, func(t *txn) error {
		c.Tx = t.Tx
		t.Tx = &c
		_, err := t.countExact(AuditQuery{Action: action})
		return err
	})
	return c.keys
}

// MaxStrangersDay is how many entries of strangers a day has.
const MaxStrangersDay = maxStrangersDay

// FewCheckpoints keeps the marks of so many checkpoints, until restore is called.
func FewCheckpoints(n uint64) (restore func()) {
	full, most := fullCheckpoints, maxCheckpoints
	fullCheckpoints, maxCheckpoints = n, 16*n
	return func() { fullCheckpoints, maxCheckpoints = full, most }
}

// PassOff removes an entry as if retention had taken it out, signed by the
// store: what one who may write its file can do.
func (s *Store) PassOff(ctx context.Context, seq uint64) error {
	return s.update(ctx, &Actor{ID: "husk"}, func(t *txn) error {
		value, err := t.get(auditBucket, seqKey(seq))
		if err != nil {
			return err
		}
		e := removed{sum: sha256.Sum256(value)}
		if err := unmarshal(value, &e.Event); err != nil {
			return err
		}
		var b strangersBudget
		if err := t.removeEvents([]removed{e}, &b); err != nil {
			return err
		}
		return t.putRange(auditRange{From: seq, To: seq, Prev: e.Prev, Hash: e.hash()})
	})
}

// TokenLivesUpTo is TokenLives that counts no more than most of a span.
func (s *Store) TokenLivesUpTo(ctx context.Context, most int64) (lives []TokenLife, err error) {
	err = s.view(ctx, func(t *txn) (err error) { lives, err = t.tokenLives(most); return err })
	return lives, err
}

// CountsNoted is how many records of counts wait to be written.
func (s *Store) CountsNoted() int { return len(s.counts.counts) }
