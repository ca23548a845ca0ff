package db

import (
	"context"
	"io"
)

// Engine is an ordered key-value store with transactions. It is implemented
// by package db/bolt and held to its meaning by package db/dbtest; only Store
// calls it. Every bucket that is named in a call exists: an engine makes it on
// the first Put and treats an absent one as empty.
//
// Several processes may have engines over one store, where its kind of engine
// allows it: what follows then holds for all of them together.
//
// An engine answers with an error that wraps one of this package's sentinels
// where the cause is one of them: ErrLocked, ErrDamaged, ErrFull, ErrDisk,
// ErrMoved, ErrUnavailable, ErrUnknown. What is damaged is an error, never a
// panic and never a fault.
type Engine interface {
	// View runs f on a snapshot. It sees all commits that were acknowledged
	// before it began and none that comes later.
	View(ctx context.Context, f func(Tx) error) error

	// Update runs f in a transaction that is serializable with all others and
	// returns nil once its writes are durable. When f or the commit fails,
	// nothing of f is kept, but for ErrUnknown, where all of it may be. f may run
	// more than once (a conflict, a commit shared with others): it has no effects
	// but through its Tx, and sets what it captured anew at each run.
	Update(ctx context.Context, f func(Tx) error) error

	// Close waits for the transactions under way and releases the store.
	Close() error
}

// Tx is a transaction. It is used by one goroutine and only inside the
// function that it was passed to. The bytes that it hands out are copies: they
// stay valid when the transaction has ended and may be changed.
type Tx interface {
	// Get returns the value of key, or nil where there is none.
	Get(bucket string, key []byte) ([]byte, error)

	// Put sets key to value; neither may be empty.
	Put(bucket string, key, value []byte) error

	// Delete removes key; one that is absent is no error.
	Delete(bucket string, key []byte) error

	// Scan calls f for the keys that begin with prefix, in byte order, from
	// the first key >= from (or, in reverse, downward from the last key <=
	// from) until f answers false. An empty from begins at the edge. It sees
	// the transaction's own writes. f writes nothing.
	Scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) (more bool)) error
}

// ManyGetter is what a Tx can be besides: one that reads many keys in one
// call. For an engine that is reached over a network, one of 1,000 keys must not
// cost 1,000 ways there and back.
type ManyGetter interface {
	// GetMany returns the value of each key, in their order, nil where there is
	// none.
	GetMany(bucket string, keys [][]byte) (values [][]byte, err error)
}

// GetMany reads many keys of a bucket, one after the other where the
// transaction is no ManyGetter.
func GetMany(tx Tx, bucket string, keys [][]byte) (values [][]byte, err error) {
	if many, ok := tx.(ManyGetter); ok {
		return many.GetMany(bucket, keys)
	}
	for _, key := range keys {
		value, err := tx.Get(bucket, key)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// Feeder is what an Engine can be besides: one that tells which keys are
// changed, in this process or in another one. Store.Follow listens to it.
type Feeder interface {
	// Feed calls hear with what is changed, until ctx ends; then it returns nil.
	// Where it can't go on it returns an error: whatever is changed from then on
	// is not told.
	//
	// The first call is one of All: from then on every commit is told, those of
	// this Engine too, in the order in which they were made, one or several in a
	// call. A View that begins in hear or later sees what it tells. No commit
	// waits for hear: to who does not keep up, an All stands for what was missed,
	// so that no more than a bounded number of keys waits. What failed is not
	// told; where the outcome is not known, or was taken back after readers may
	// have seen it, an All is.
	Feed(ctx context.Context, hear func(Changes)) error
}

// Changes are what one or several commits changed.
type Changes struct {
	All  bool     // anything may have changed
	Keys []Change // of what was put or deleted; empty with All
}

// Change names a key that was put or deleted. Its value may be what it was.
type Change struct {
	Bucket string
	Key    []byte
}

// Freshener is what a Feeder has to be whose feed can lag behind the store: where it
// comes over a network.
type Freshener interface {
	// Fresh tells whether all who are in Feed have heard, and have come back from
	// hear with, everything that was acknowledged until a second ago. Where it is
	// false, what is remembered is worth nothing.
	Fresh() bool
}

// Bounder is what an Engine can be besides: one whose updates have a bound.
// What has more to write goes in steps, each of which is whole.
type Bounder interface {
	// Bound answers the same at each call, LeastWrites and LeastBytes or more.
	Bound() Bound
}

// Bound is how large an update may be; 0 is none. One that is larger is refused
// with ErrInvalid, before anything of it is written.
type Bound struct {
	Writes int // different keys that are put or deleted
	Bytes  int // of the keys and values that are put
}

// No engine's bound is below these: the change of a single record has room in
// them, with its index and its entries in the audit log. The largest writes half
// as much: that of a user of a hundred roles, who gets a hundred others.
const (
	LeastWrites = 512
	LeastBytes  = 1 << 20
)

// Elector is what an Engine has to be that several processes have, of which one
// does what is to be done once for all of them. It is a Feeder, too. Store.Leads
// asks it.
type Elector interface {
	// Leads tells whether this process is that one now. Of all processes over
	// the store at most one is told so at a time: who can't reach the store is
	// told false before another one is told true, and while some can reach it,
	// one of them is told true in the end. It does not wait for a campaign. What
	// was begun may go on for a while after: so whoever asks does each part of
	// its work in an Update of its own that looks anew at what there is to do,
	// and that two of them do it at once must do no harm.
	Leads(ctx context.Context) bool
}

// Backuper is what an Engine can be besides: one that writes a consistent
// copy of itself, in the form of the embedded engine, while others read and write.
type Backuper interface {
	// Backup writes the copy of one snapshot to w. The snapshot lasts as long
	// as w takes: hand in what is near, never a network connection.
	Backup(ctx context.Context, w io.Writer) error
}

// Compacter is what an Engine can be besides: one that grows, and gives nothing
// back by itself.
type Compacter interface {
	// Compact writes a copy of one snapshot without what is free, in the form of
	// the embedded engine, to a new file at path. Where it fails, there is none.
	Compact(ctx context.Context, path string) error
}

// Checker is what an Engine can be besides: one that checks what it keeps below
// the records.
type Checker interface {
	// Check reports what does not fit below the records, while others read and
	// write. It returns an error where it could not go on.
	Check(ctx context.Context, report func(error)) error
}

// Scrubber is what an Engine can be besides: one that walks its own pages in
// small parts, each on a snapshot of its own.
type Scrubber interface {
	// Scrub checks some pages, from place on, reports what does not fit, and
	// calls record for what stands in them; the bytes are valid as long as
	// record runs. It returns the place to go on from, nil at the end. A record
	// may be met twice.
	Scrub(ctx context.Context, place []byte, record func(bucket string, key, value []byte), report func(error)) (next []byte, err error)
}

// Locator is what an Engine can be besides: one whose store can be taken away
// while it is open.
type Locator interface {
	// Located tells whether the store is where it was opened, and writes nothing
	// for it; else it is ErrMoved or ErrUnavailable. An Update is refused then, or
	// is ErrUnknown where that was found after the commit.
	Located() error
}

// Measurer is what an Engine can be besides: one that tells its figures.
type Measurer interface {
	// Stats answers the zero value where the engine serves no more.
	Stats() EngineStats
}

// EngineStats are figures of an engine, as of one moment.
type EngineStats struct {
	Size         int64 // of all that it keeps, in bytes
	PageSize     int   // in bytes
	FreePages    int   // pages that the next writes can use
	PendingPages int   // pages that wait for a reader's end to become free
	Reads        int   // read transactions since it was opened
	Commits      int   // commits in the life of the store
	OldHeader    bool  // part of the header was damaged when it was opened: the last commit before may be missing
}

// FreeBytes are the bytes of Size that hold nothing: the next writes use
// them, and only a compaction gives them back to the disk.
func (s EngineStats) FreeBytes() int64 { return int64(s.FreePages+s.PendingPages) * int64(s.PageSize) }

// compactFrom is from how many free bytes on a compaction is worth its while.
const compactFrom = 32 << 20

// WorthCompacting tells whether a compaction gives back so much that it is
// worth a stop: half of the file, and not just a little.
func (s EngineStats) WorthCompacting() bool {
	return s.FreeBytes() >= compactFrom && s.FreeBytes()*2 >= s.Size
}
