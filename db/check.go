package db

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Check walks the whole store on one snapshot and reports everything that does
// not fit: a record that does not match its checksum or can't be read, an
// index entry that is missing or too many, a counter that is wrong, what is
// known of the use of a credential that is gone, a break in the audit chain.
// It returns how many records it looked at, and an error only where it could
// not go on.
func (s *Store) Check(ctx context.Context, report func(error)) (records int, err error) {
	err = s.view(ctx, func(t *txn) error {
		w := &walk{txn: t, ctx: ctx, report: report, counts: map[string]int64{}, owners: owners{}}
		steps := []func() error{
			func() error { return w.nouns(s.nouns) },
			w.factors,
			w.counters,
			func() error { return w.each(metaBucket, func(_, _ []byte) {}) },
			func() error { return w.each(proofBucket, func(_, _ []byte) {}) },
			func() error { return w.each(tombstoneBucket, func(_, _ []byte) {}) },
			w.statistics,
			w.auditChain,
		}
		if s.older { // what it keeps beside its records can be of another form
			steps = []func() error{func() error { return w.checksums(layoutOf(s.nouns)) }}
		}
		defer func() { records = w.records }()
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	return records, err
}

// walk is one Check under way.
type walk struct {
	*txn
	ctx     context.Context
	report  func(error)
	counts  map[string]int64 // what the records say that the counters should be
	records int
	owners  owners
}

// each calls f for every sealed value of a bucket that matches its checksum,
// and reports the others.
func (w *walk) each(bucket string, f func(key, value []byte)) error {
	err := w.Scan(bucket, nil, nil, false, func(key, sealed []byte) bool {
		w.records++
		value, err := unseal(bucket, key, sealed)
		if err != nil {
			w.report(cause(err))
			return w.ctx.Err() == nil
		}
		f(key, value)
		return w.ctx.Err() == nil
	})
	return errors.Join(err, w.ctx.Err())
}

// cause is the part of an error that names the place.
func cause(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause
	}
	return err
}

func (w *walk) nouns(nouns []noun) error {
	for _, n := range nouns {
		if err := w.noun(n); err != nil {
			return err
		}
	}
	return nil
}

// noun compares the records of a noun with their index. Every entry that a
// record should have is looked up, and the entries are counted: they are equal
// when none is missing and the numbers agree. So nothing that grows with the
// store has to be kept in memory.
func (w *walk) noun(n noun) error {
	s, expected, damaged := n.shelf(), 0, false
	err := w.each(s.bucket, func(key, value []byte) {
		d, err := n.read(string(key), value)
		if err != nil {
			damaged = true
			w.report(cause(err))
			return
		}
		for _, name := range d.counts {
			w.counts[name]++
		}
		if s.owned && !w.owned(d.owner) {
			w.report(fmt.Errorf("%s %q belongs to user %q, who is not there", s.bucket, key, d.owner))
		}
		expected += w.recordIndexed(s.bucket, d)
	})
	if err != nil {
		return err
	}
	actual := 0
	if err := w.each(indexOf(s.bucket), func(_, _ []byte) { actual++ }); err != nil {
		return err
	}
	if actual != expected && !damaged {
		err = w.surplus(n)
	}
	if err != nil || s.used == "" {
		return err
	}
	return w.orphans(s.used, s.bucket)
}

// recordIndexed reports what is missing in the index of a record, and tells how many
// entries it should have there.
func (w *walk) recordIndexed(bucket string, d derived) int {
	entries := d.keys
	slices.SortFunc(entries, bytes.Compare)
	entries = slices.CompactFunc(entries, bytes.Equal)
	for _, entry := range entries {
		id, err := w.get(indexOf(bucket), entry)
		if err != nil || string(id) != d.id {
			w.report(fmt.Errorf("record %q of %s is missing in the index at %q", d.id, bucket, entry))
		}
	}
	return len(entries)
}

// owned tells whether an owner is there, or left what is removed yet. One that
// can't be read is reported where it stands.
func (w *walk) owned(id string) bool {
	there, err := w.owners.has(w.txn, id)
	return there || err != nil
}

// surplus reports the index entries that no record has.
func (w *walk) surplus(n noun) error {
	bucket := n.name()
	return w.each(indexOf(bucket), func(entry, id []byte) {
		d, err := w.readDerived(n, string(id))
		if err != nil || !containsKey(d.keys, entry) {
			w.report(fmt.Errorf("the index of %s has %q for %q, which has it not", bucket, entry, id))
		}
	})
}

// checksums looks at every record by itself.
func (w *walk) checksums(l layout) error {
	var failed error
	for _, bucket := range l.buckets() {
		failed = errors.Join(failed, w.each(bucket, func(_, _ []byte) {}))
	}
	return failed
}

func (w *walk) counters() error {
	err := w.each(countBucket, func(key, _ []byte) {
		name := string(key)
		n, err := w.count(name)
		if err != nil || n != w.counts[name] {
			w.report(fmt.Errorf("counter %s is %d and should be %d", name, n, w.counts[name]))
		}
		delete(w.counts, name)
	})
	for name, n := range w.counts {
		if n != 0 {
			w.report(fmt.Errorf("counter %s is missing and should be %d", name, n))
		}
	}
	return err
}

func (w *walk) orphans(bucket, owner string) error {
	return w.each(bucket, func(key, _ []byte) {
		if record, err := w.Get(owner, key); err == nil && record == nil {
			w.report(fmt.Errorf("%s has %q, which is no %s", bucket, key, owner))
		}
	})
}

// auditChain verifies the chain, and that each entry can be found.
func (w *walk) auditChain() error {
	head, stub, err := w.auditEnds()
	if err != nil {
		w.report(cause(err)) // and without its ends the chain can't be told whole
	}
	v := auditVerifier{}
	v.begin(w.txn, stub)
	entries, strangers := 0, int64(0)
	err = w.Scan(auditBucket, nil, nil, false, func(key, sealed []byte) bool {
		w.records++
		v.entry(w.txn, key, sealed)
		if e := openEvent(key, sealed); e != nil {
			entries += w.eventIndexed(e)
			if e.stranger() {
				strangers++
			}
		}
		return w.ctx.Err() == nil
	})
	v.end(w.txn, head)
	for _, problem := range v.Problems {
		w.report(errors.New("audit: " + problem))
	}
	if err := errors.Join(err, w.ctx.Err()); err != nil {
		return err
	}
	indexed := 0
	if err := w.each(auditIndex, func(_, _ []byte) { indexed++ }); err != nil {
		return err
	}
	if indexed != entries && len(v.Problems) == 0 {
		w.report(fmt.Errorf("the audit index has %d entries and should have %d", indexed, entries))
	}
	return w.auditPruned(v, strangers)
}

// auditPruned checks what retention left: that all of it is the store's own,
// that it fits the chain as it was walked, and that the numbers are right.
func (w *walk) auditPruned(v auditVerifier, strangers int64) error {
	pruned := int64(0)
	err := w.each(auditRanges, func(key, value []byte) {
		if r, ok := parseRange(key, value); ok {
			pruned += r.size()
		} else {
			w.report(cause(damagedRecord(auditRanges, key)))
		}
	})
	if err != nil {
		return err
	}
	err = w.each(auditCheckpoints, func(key, value []byte) {
		if c, ok := parseCheckpoint(value); !ok || !w.isSigned(c) {
			w.report(fmt.Errorf("%s is not signed by this store", placeText(auditCheckpoints, key)))
		}
	})
	if err != nil || len(v.Problems) > 0 {
		return err
	}
	if pruned != v.Pruned {
		w.report(fmt.Errorf("the records of what retention removed tell of %d audit entries, and %d are not there", pruned, v.Pruned))
	}
	b, err := w.strangersBudget()
	if err == nil && (b.Kept != strangers || b.Pruned != v.Pruned) {
		w.report(fmt.Errorf("the audit log has %d refusals of strangers, and %d removed ones, and counts %d and %d", strangers, v.Pruned, b.Kept, b.Pruned))
	}
	return err
}

// eventIndexed reports what is missing in the index of an entry, and tells how
// many keys it should have there.
func (w *walk) eventIndexed(e *Event) int {
	keys := auditIndexKeys(e)
	for _, k := range keys {
		if v, err := w.get(auditIndex, k); err != nil || string(v) != string(seqKey(e.Seq)) {
			w.report(fmt.Errorf("audit entry %d is missing in the audit index", e.Seq))
		}
	}
	return len(keys)
}

// Scrub checks a small part of the store, pages and checksums, from place on,
// and returns the place to go on from: nil at the end, or where the engine
// can't. It reports what does not fit; one place may be reported again by the
// next part. What it does not see is how records, indexes and counters fit
// together: that is for Check, on one long snapshot.
func (s *Store) Scrub(ctx context.Context, place []byte, report func(error)) (next []byte, err error) {
	engine, ok := s.engine.(Scrubber)
	if !ok {
		return nil, nil
	}
	found := func(err error) {
		s.figures.damaged.Add(1)
		report(cause(err))
	}
	next, err = engine.Scrub(ctx, place, func(bucket string, key, sealed []byte) {
		if _, err := unseal(bucket, key, sealed); err != nil {
			found(err)
		}
	}, found)
	if errors.Is(err, ErrDamaged) {
		found(err)
		return nil, nil
	}
	return next, err
}

// DamageMet delivers after a call that met damage.
func (s *Store) DamageMet() <-chan struct{} { return s.figures.met }
