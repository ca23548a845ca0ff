package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Repair makes a sound store of what can be read of a damaged one. What goes
// into the new store is what its checksum proves; everything that stands
// beside records, indexes and counters, is made anew from them. What is damaged
// is handed out as it was found, and nothing is guessed: a lost record stays
// lost, and the audit log says where it has a gap.

// Walk hands every record of a damaged store to record and every fault of its
// pages to report. A record whose bucket is not known comes with an empty one,
// and one may come twice. It can be called again.
type Walk func(record func(bucket string, key, sealed []byte), report func(error)) error

// Aside is a record that was not taken over, as it stood in the file.
type Aside struct {
	Bucket string `json:"bucket"` // empty where it is not known
	Key    []byte `json:"key"`    // base64 in JSON, as is Value
	Value  []byte `json:"value"`  // with its envelope
	Why    string `json:"why"`
}

// Repaired tells what Repair did.
type Repaired struct {
	Problems []string // what did not fit; at most maxRepaired, as the lists below
	Lost     []string // what is known to have been there and is not
	Made     []string // what was made anew because nothing can do without it, and what that means
	Records  int      // taken over
	Aside    int      // set aside
	Derived  int      // entries of indexes, and counters, that were wrong or missing
}

// Sound tells that there was nothing to repair.
func (r *Repaired) Sound() bool {
	return len(r.Problems)+len(r.Lost)+len(r.Made)+r.Aside+r.Derived == 0
}

const maxRepaired = 1000

// addLine adds to one of the lists of Repaired.
func addLine(list *[]string, format string, args ...any) {
	if len(*list) < maxRepaired {
		*list = append(*list, fmt.Sprintf(format, args...))
	}
}

// repair is one Repair under way.
type repair struct {
	*txn
	Repaired
	ctx     context.Context
	nouns   []noun
	layout  layout
	aside   func(Aside) error
	failed  error // the first error that ends it
	schema  Schema
	derived int // entries of the damaged store that are as they should be
	lost    map[string]string
}

// Repair fills tx, which is empty, with what walk finds, and hands out through
// aside what it does not take. tx may commit on the way: after an error what it
// wrote is of no use.
func Repair(ctx context.Context, tx Tx, walk Walk, aside func(Aside) error) (Repaired, error) {
	return newStore(nil, Options{}).repair(ctx, tx, walk, aside)
}

func (s *Store) repair(ctx context.Context, tx Tx, walk Walk, aside func(Aside) error) (Repaired, error) {
	r := &repair{txn: s.begin(tx, offlineActor()), ctx: ctx, nouns: s.nouns, layout: layoutOf(s.nouns), aside: aside, lost: map[string]string{}}
	steps := []func() error{
		func() error { return walk(r.take, func(err error) { addLine(&r.Problems, "%v", err) }) },
		r.checkSchema,
		func() error { return walk(r.compare, func(error) {}) },
		r.countDerived,
		r.essentials,
		r.mendNouns,
		r.mendFactors,
		r.mendAudit,
		r.tell,
	}
	for _, step := range steps {
		if err := errors.Join(step(), r.failed, ctx.Err()); err != nil {
			return r.Repaired, err
		}
	}
	return r.Repaired, nil
}

// takeRecord keeps the very bytes of a record, and makes index and counters.
func takeRecord(n noun) taken {
	s := n.shelf()
	return func(t *txn, key string, value []byte) error {
		d, err := n.read(key, value)
		if err == nil {
			err = errors.Join(s.putIndex(t, key, nil, d.keys), t.putCounts(nil, d.counts))
		}
		if err != nil {
			return err
		}
		return t.put(s.bucket, []byte(key), value)
	}
}

func takeEvent(t *txn, key string, value []byte) error {
	var e Event
	if err := unmarshal(value, &e); err != nil || string(seqKey(e.Seq)) != key {
		return damagedRecord(auditBucket, []byte(key))
	}
	for _, k := range auditIndexKeys(&e) {
		if err := t.put(auditIndex, k, []byte(key)); err != nil {
			return err
		}
	}
	return t.put(auditBucket, []byte(key), value)
}

func takePlain(bucket string) taken {
	return func(t *txn, key string, value []byte) error {
		if bucket != tombstoneBucket && !json.Valid(value) {
			return damagedRecord(bucket, []byte(key))
		}
		return t.put(bucket, []byte(key), value)
	}
}

// place finds the bucket whose checksum a record has: its own, or, where the
// way to it or its page is damaged, another one.
func (l layout) place(bucket string, key, sealed []byte) (found string, value []byte, ok bool) {
	value, err := unseal(bucket, key, sealed)
	if err == nil {
		return bucket, value, true
	}
	for _, bucket := range l.buckets() {
		if value, err := unseal(bucket, key, sealed); err == nil {
			return bucket, value, true
		}
	}
	return bucket, nil, false
}

// CheckRecord tells what is wrong with one record as it stands in the file, nil
// where its checksum holds. Where the bucket is empty it is not known.
func CheckRecord(bucket string, key, sealed []byte) error {
	_, err := unseal(bucket, key, sealed)
	if err != nil && bucket == "" {
		if _, _, ok := layoutOf(nouns()).place(bucket, key, sealed); ok {
			return nil
		}
	}
	return cause(err)
}

// take takes one record over, or sets it aside.
func (r *repair) take(bucket string, key, sealed []byte) {
	if r.failed != nil || r.ctx.Err() != nil {
		return
	}
	found, value, ok := r.layout.place(bucket, key, sealed)
	_, derived := r.layout.derived[found]
	switch {
	case derived && ok:
	case derived:
		addLine(&r.Problems, "%v", cause(damagedRecord(bucket, key)))
	case !ok:
		r.setAside(bucket, key, sealed, cause(damagedRecord(bucket, key)))
	default:
		r.takeOver(found, key, sealed, value)
	}
}

func (r *repair) takeOver(bucket string, key, sealed, value []byte) {
	take := r.layout.takers[bucket]
	before, err := r.Get(bucket, key)
	switch {
	case err != nil:
		r.failed = err
		return
	case string(before) == string(sealed):
		return // met twice
	case before != nil:
		r.setAside(bucket, key, sealed, fmt.Errorf("%s is there twice, with another content", placeText(bucket, key)))
		return
	case take == nil:
		r.setAside(bucket, key, sealed, fmt.Errorf("bucket %q is not known", bucket))
		return
	}
	switch err := take(r.txn, string(key), value); {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrConflict):
		r.setAside(bucket, key, sealed, cause(err))
	case err != nil:
		r.failed = err
	default:
		r.Records++
	}
}

func (r *repair) setAside(bucket string, key, sealed []byte, why error) {
	r.Aside++
	addLine(&r.Problems, "%v", why)
	if err := r.aside(Aside{Bucket: bucket, Key: key, Value: sealed, Why: why.Error()}); err != nil && r.failed == nil {
		r.failed = err
	}
}

// checkSchema refuses what this program can't make anew.
func (r *repair) checkSchema() error {
	found, err := r.getJSON(metaBucket, metaSchema, &r.schema)
	switch {
	case err != nil || !found:
		return err
	case r.schema.Version > newestSchema():
		return newer(r.schema)
	case r.schema.Version < newestSchema():
		return fail(ErrInvalid, "store_older", fmt.Sprintf("the store is of schema %d, which another husk wrote: repair it with that one", r.schema.Version))
	}
	return nil
}

// compare looks at what the damaged store has beside its records. What an
// index names and is not there was lost.
func (r *repair) compare(bucket string, key, sealed []byte) {
	if r.failed != nil || r.ctx.Err() != nil {
		return
	}
	found, value, ok := r.layout.place(bucket, key, sealed)
	of, derived := r.layout.derived[found]
	if !ok || !derived {
		return
	}
	made, err := r.Get(found, key)
	if err != nil {
		r.failed = err
		return
	}
	if made != nil {
		r.derived++
	}
	if string(made) == string(sealed) {
		return
	}
	r.Derived++
	if of == "" {
		return
	}
	record, err := r.Get(of, value)
	if err != nil {
		r.failed = err
	}
	name := of + " " + string(value)
	if record != nil || len(r.lost) == maxRepaired && r.lost[name] == "" {
		return
	}
	if email, unique := strings.CutPrefix(string(key), "="); unique {
		r.lost[name] = name + " (" + email + ")"
	} else if r.lost[name] == "" {
		r.lost[name] = name
	}
}

// countDerived counts what the damaged store did not have and should.
func (r *repair) countDerived() error {
	made := 0
	for bucket := range r.layout.derived {
		if err := r.Scan(bucket, nil, nil, false, func(_, _ []byte) bool { made++; return true }); err != nil {
			return err
		}
	}
	r.Derived += max(0, made-r.derived)
	r.Lost = slices.Sorted(maps.Values(r.lost))
	return nil
}

// essentials makes what no store can be without.
func (r *repair) essentials() error {
	if r.schema.Version == 0 {
		addLine(&r.Made, "the schema, taken for %d", newestSchema())
		if err := r.putJSON(metaBucket, metaSchema, Schema{Version: newestSchema(), Needs: needs(newestSchema()), Created: r.now}); err != nil {
			return err
		}
	}
	for _, role := range builtinRoles(r.now) {
		made, err := makeMissing(r, &roleRecords, role)
		if err != nil {
			return err
		}
		if made {
			addLine(&r.Made, "the built-in role %s, which requires no second factor", role.Name)
		}
	}
	// Closed: nobody knows whether it was, and what it owns must not come back.
	single := singleUser(r.now)
	single.Disabled = true
	made, err := makeMissing(r, &userRecords, single)
	if made {
		addLine(&r.Made, "the user %s, disabled and without a password: 'husk user enable %s' and 'husk passwd' open it", SingleUser, SingleUser)
	}
	return errors.Join(err, r.signingKey(), r.ownSecret())
}

func makeMissing[T any](r *repair, c *collection[T], record *T) (made bool, err error) {
	before, err := r.get(c.bucket, []byte(c.id(record)))
	if err != nil || before != nil {
		return false, err
	}
	return true, c.put(r.txn, nil, record)
}

func (r *repair) signingKey() error {
	signing := false
	err := keyRecords.each(r.txn, func(k *Key) (more bool, err error) {
		signing = k.Retired.IsZero()
		return !signing, nil
	})
	if err != nil || signing {
		return err
	}
	addLine(&r.Made, "a signing key: who was signed in by the one before has to sign in again")
	return keyRecords.put(r.txn, nil, newKey(r.now))
}

func (r *repair) ownSecret() error {
	var s secretRecord
	if found, err := r.getJSON(metaBucket, metaSecret, &s); err != nil || found && len(s.Secret) == 32 {
		return err
	}
	addLine(&r.Made, "the store's own secret: browsers are no longer known to the throttle, and what retention and repairs cut off the audit log is signed anew as it stood")
	if err := r.putJSON(metaBucket, metaSecret, secretRecord{Secret: newSecret()}); err != nil {
		return err
	}
	return r.signAnew()
}

// mendNouns sets aside what belongs to nobody, and what is known of the use of
// it.
func (r *repair) mendNouns() error {
	for _, n := range r.nouns {
		s := n.shelf()
		if s.owned {
			if err := r.removeOrphans(n); err != nil {
				return err
			}
		}
		if s.used == "" {
			continue
		}
		if err := r.removeUses(s.used, s.bucket); err != nil {
			return err
		}
	}
	return nil
}

// removeOrphans sets aside what belongs to an owner who is not there and did
// not leave a tombstone: it is refused anyway.
func (r *repair) removeOrphans(n noun) error {
	s, known := n.shelf(), owners{}
	var orphans []string
	err := r.visit(s.bucket, nil, func(id, value []byte) (more bool, err error) {
		d, err := n.read(string(id), value)
		if err != nil {
			return false, err
		}
		there, err := known.has(r.txn, d.owner)
		if !there {
			orphans = append(orphans, d.id)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	for _, id := range orphans {
		key := []byte(id)
		sealed, err := r.Get(s.bucket, key)
		if err != nil {
			return err
		}
		d, err := r.readDerived(n, id)
		if err != nil {
			return err
		}
		r.setAside(s.bucket, key, sealed, fmt.Errorf("%s %s belongs to user %s, who is not there", s.bucket, key, d.owner))
		if err := s.replace(r.txn, d, derived{}, nil); err != nil {
			return err
		}
	}
	return nil
}

// owners are those who were looked for as one, and whether they are there.
type owners map[string]bool

func (o owners) has(t *txn, user string) (there bool, err error) {
	there, asked := o[user]
	if !asked {
		if there, err = t.owns(user); err == nil {
			o[user] = there
		}
	}
	return there, err
}

// owns tells whether somebody is a user, or was and left what is removed yet.
func (t *txn) owns(user string) (bool, error) {
	for _, bucket := range []string{userRecords.bucket, tombstoneBucket} {
		if record, err := t.Get(bucket, []byte(user)); err != nil || record != nil {
			return record != nil, err
		}
	}
	return false, nil
}

// removeUses removes what is known of the use of credentials that are gone.
func (r *repair) removeUses(bucket, of string) error {
	var keys [][]byte
	var failed error
	err := r.Scan(bucket, nil, nil, false, func(key, _ []byte) bool {
		record, err := r.Get(of, key)
		if record == nil {
			keys = append(keys, key)
		}
		failed = err
		return failed == nil
	})
	for _, key := range keys {
		r.Derived++
		failed = errors.Join(failed, r.Delete(bucket, key))
	}
	return errors.Join(err, failed)
}

// tell writes the repair into the audit log.
func (r *repair) tell() error {
	if r.Sound() {
		return nil
	}
	return r.audit("store.repair", Literal(fmt.Sprintf("%d taken over, %d set aside, %d lost", r.Records, r.Aside, len(r.Lost))))
}
