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
// An engine answers with an error that wraps one of this package's sentinels
// where the cause is one of them: ErrLocked, ErrDamaged, ErrFull, ErrDisk, ErrMoved. A damaged
// file is an error, never a panic and never a fault.
type Engine interface {
	// View runs f on a snapshot. It sees all commits that were acknowledged
	// before it began and none that comes later.
	View(ctx context.Context, f func(Tx) error) error

	// Update runs f in a transaction that is serializable with all others and
	// returns nil once its writes are durable. When f or the commit fails,
	// nothing of f is kept. f may run more than once (a conflict, a commit
	// shared with others): it has no effects but through its Tx, and sets what
	// it captured anew at each run.
	Update(ctx context.Context, f func(Tx) error) error

	// Close waits for the transactions under way and releases the file.
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

// Backuper is what an Engine can be besides: one that writes a consistent
// copy of itself, in its own file format, while others read and write.
type Backuper interface {
	// Backup writes the copy of one snapshot to w. The snapshot lasts as long
	// as w takes: hand in a local file, never a network connection.
	Backup(ctx context.Context, w io.Writer) error
}

// Checker is what an Engine can be besides: one that checks its own pages.
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

// Locator is what an Engine can be besides: one whose file others can move.
type Locator interface {
	// Located tells whether the file is where it was opened, by a look at the
	// names alone; else it is ErrMoved. An Update is refused then, or its outcome
	// said to be unknown where that was found after the commit.
	Located() error
}

// Measurer is what an Engine can be besides: one that tells its figures.
type Measurer interface {
	// Stats answers the zero value where the engine serves no more.
	Stats() EngineStats
}

// EngineStats are figures of an engine, as of one moment.
type EngineStats struct {
	Size         int64 // of the file, in bytes
	PageSize     int   // in bytes
	FreePages    int   // pages that the next writes can use
	PendingPages int   // pages that wait for a reader's end to become free
	Reads        int   // read transactions since it was opened
	Commits      int   // commits in the life of the file
	OldHeader    bool  // part of the header was damaged when it was opened: the last commit before may be missing
}

// FreeBytes are the bytes of the file that hold nothing: the next writes use
// them, and only a compaction gives them back to the disk.
func (s EngineStats) FreeBytes() int64 { return int64(s.FreePages+s.PendingPages) * int64(s.PageSize) }

// compactFrom is from how many free bytes on a compaction is worth its while.
const compactFrom = 32 << 20

// WorthCompacting tells whether a compaction gives back so much that it is
// worth a stop: half of the file, and not just a little.
func (s EngineStats) WorthCompacting() bool {
	return s.FreeBytes() >= compactFrom && s.FreeBytes()*2 >= s.Size
}
