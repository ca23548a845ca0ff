package db

import (
	"maps"
	"slices"
)

// noun is a kind of record as all see it who need not know what it tells of:
// drop, check, repair, sweep and lists. A collection is one: what its kind has of
// its own, who owns a record, what is remembered of it, it says where it is
// declared.
type noun interface {
	// name is the bucket of the records, and what figures are told by.
	name() string

	// memoryIn is where a store remembers decoded records; nil: nowhere.
	memoryIn(s *Store) memory

	// shelf is where the records stand, and what stands beside them.
	shelf() shelf

	// read reads a record as it stands under id, and tells what is derived from
	// it, or ErrDamaged.
	read(id string, value []byte) (derived, error)
}

// nouns is all that a store keeps records of, and the one place that lists it.
// A new noun is a file with its collection and a line here.
func nouns() []noun {
	return []noun{&userRecords, &tokenRecords, &endedRecords, &sessionRecords, &factorRecords, &roleRecords, &keyRecords}
}

// memory is decoded records that a store remembers.
type memory interface {
	// drop forgets those of the ids, and whatever was made of them. Their change
	// has been committed: a fill from a snapshot before it is not to be kept.
	drop(ids []string)

	// dropAll forgets all of them, as drop does.
	dropAll()

	stats() CacheStats
}

// layout is what is kept in which bucket.
type layout struct {
	takers  map[string]taken  // whose records a repair takes over
	derived map[string]string // what is made anew, and of which records; empty: of no noun's
}

// taken tells how records of a bucket are taken over.
type taken func(t *txn, key string, value []byte) error

// layoutOf is the layout of nouns, and of what belongs to none.
func layoutOf(nouns []noun) layout {
	l := layout{
		takers: map[string]taken{
			auditBucket:      takeEvent,
			auditRanges:      takeRange,
			auditCheckpoints: takeCheckpoint,
			tombstoneBucket:  takePlain(tombstoneBucket),
			statisticsBucket: takeCounts,
			metaBucket:       takePlain(metaBucket),
		},
		derived: map[string]string{auditIndex: "", countBucket: "", proofBucket: ""},
	}
	for _, n := range nouns {
		l.add(n)
	}
	return l
}

// add adds what is kept of a noun.
func (l layout) add(n noun) {
	s := n.shelf()
	l.takers[s.bucket] = takeRecord(n)
	if s.hasIndex {
		l.derived[indexOf(s.bucket)] = s.bucket
	}
	if s.used != "" {
		l.takers[s.used] = takePlain(s.used)
	}
}

func (l layout) buckets() []string {
	return slices.AppendSeq(slices.Collect(maps.Keys(l.takers)), maps.Keys(l.derived))
}

func (c *collection[T]) name() string { return c.bucket }

func (c *collection[T]) memoryIn(s *Store) memory {
	if c.memory == nil {
		return nil
	}
	return c.memory(s)
}

func (c *collection[T]) shelf() shelf {
	return shelf{bucket: c.bucket, hasIndex: c.index != nil || c.unique != nil, owned: c.owner != nil, used: c.used, taken: c.taken}
}

func (c *collection[T]) read(id string, value []byte) (derived, error) {
	r, err := c.decode(id, value)
	if err != nil {
		return derived{}, err
	}
	return c.derived(r), nil
}
