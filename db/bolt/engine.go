// Package bolt is the embedded engine: a db.Engine over one bbolt file.
//
// Open never makes a file. It takes the lock, makes sure that the locked file
// is the one at the path, looks at the content, and only then hands the open
// file to bbolt, which would fill an empty file and panic on a damaged one.
// Create makes the first file, aside, and puts it in place in one step.
//
// An Update goes into a queue; the first of those who wait writes for all of
// them in one commit (group.go). Every step into bbolt is guarded, so damage
// in the file is an error and never the end of the process (guard, in
// errors.go). A commit that fails for another reason than a full disk makes
// the engine open the file anew (recover.go), because what bbolt and the page
// cache hold then can't be relied on.
package bolt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"husk/db"
)

// Options are the settings of Open; the zero value is fine.
type Options struct {
	Timeout time.Duration // how long to wait for the file lock; 0: one second
	Named   string        // the path by which others find the file, where that is not the one it is opened by
}

// Engine is a db.Engine and db.Backuper over one file. Its methods may be
// called by many goroutines. A function that was passed to View or Update must
// not call the engine again: what it waits for may be waiting for its end.
type Engine struct {
	path    string
	named   string // where the file is looked for; see located.go
	timeout time.Duration

	queue  queue
	feed   feed
	writer chan struct{} // holds one token: that of the one who writes or closes

	callers  int           // how many calls the last commit was for, and how many had come meanwhile; with the token
	lastTook time.Duration // how long it took
	secured  bool          // what was found in the file is durable; with the token
	lost     *loss         // how to come back, where the file could not be opened anew; with the token

	mu       sync.RWMutex // held for reading by every transaction, for writing to change what follows
	bolt     *bbolt.DB
	file     *os.File // the descriptor that bolt works with
	header   []byte   // the first two pages, mapped; nil where the system can't
	pageSize int64

	oldHeader bool // one of the two headers did not hold when the file was opened

	failed atomic.Pointer[error] // why the engine serves no more
	stuck  atomic.Bool           // a panic left one of bbolt's locks held: its Close would wait for ever

	commitHook func(commit func() error) error // for tests: stands in for the commit
}

var (
	_ db.Engine    = (*Engine)(nil)
	_ db.Backuper  = (*Engine)(nil)
	_ db.Feeder    = (*Engine)(nil)
	_ db.Measurer  = (*Engine)(nil)
	_ db.Checker   = (*Engine)(nil)
	_ db.Compacter = (*Engine)(nil)
	_ db.Scrubber  = (*Engine)(nil)
	_ db.Locator   = (*Engine)(nil)
)

const (
	defaultTimeout = time.Second
	openCheck      = 50 * time.Millisecond // how long Open looks at the pages, those nearest to the root first
	growth         = 1 << 20               // by how much the file grows at least, in bytes
)

// Open opens the store at path, which exists. Its error wraps db.ErrAbsent
// where there is none, db.ErrLocked where another process holds it beyond the
// timeout, db.ErrDamaged where it is empty, foreign, truncated or damaged, or
// fs.ErrPermission. A file that is refused stays as it was, byte for byte.
func Open(path string, o Options) (*Engine, error) {
	e := newEngine(path, cmp.Or(o.Timeout, defaultTimeout))
	e.named = cmp.Or(o.Named, path)
	f, err := claim(path, e.timeout)
	if err != nil {
		return nil, classify(err)
	}
	if err := e.mount(f); err != nil {
		return nil, err
	}
	return e, nil
}

func newEngine(path string, timeout time.Duration) *Engine {
	return &Engine{path: path, named: path, timeout: timeout, writer: make(chan struct{}, 1), feed: feed{closed: make(chan struct{})}}
}

// mount inspects a claimed file and opens it by bbolt. It takes f over.
func (e *Engine) mount(f *os.File) error {
	m, err := inspect(f)
	if err == nil {
		err = inspectPages(f, m, openCheck)
	}
	if err != nil {
		_ = unlock(f)
		f.Close()
		return err
	}
	e.oldHeader = e.oldHeader || halfHeader(f, m.pageSize)
	return e.attach(f)
}

// attach opens a file by bbolt, unseen.
func (e *Engine) attach(f *os.File) error {
	var bolt *bbolt.DB
	err := guard(func() (err error) {
		bolt, err = bbolt.Open(f.Name(), 0o600, &bbolt.Options{
			Timeout:         e.timeout,
			FreelistType:    bbolt.FreelistMapType,
			InitialMmapSize: mapReserve,
			OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err != nil {
		_ = unlock(f)
		f.Close()
		if errors.Is(err, bbolterrors.ErrTimeout) {
			return locked("%s is in use by another process", f.Name())
		}
		return classify(mapping(err, f.Name()))
	}
	// A mapping that is larger than AllocSize would make bbolt grow the file
	// by AllocSize from the start; its own 16 MiB are too much for a small store.
	bolt.AllocSize = growth
	e.bolt, e.file, e.pageSize = bolt, f, int64(bolt.Info().PageSize)
	e.header = mapHeader(f, 2*int(e.pageSize))
	return nil
}

// detach gives the file up. The mapping of a bbolt that can't be closed stays
// behind, so the lock has to be given back by itself.
func (e *Engine) detach() error {
	unmapHeader(e.header)
	e.header = nil
	if !e.stuck.Swap(false) {
		return guard(e.bolt.Close)
	}
	return errors.Join(unlock(e.file), e.file.Close())
}

// View runs f on a snapshot. See db.Engine.
func (e *Engine) View(ctx context.Context, f func(db.Tx) error) error {
	return e.read(ctx, func(tx *bbolt.Tx) error {
		t := &transaction{tx: tx}
		defer t.end()
		return t.run(f)
	})
}

func (e *Engine) read(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.regainForRead()
	e.mu.RLock()
	defer e.mu.RUnlock()
	tx, err := e.begin(false)
	if err != nil {
		return err
	}
	defer e.rollback(tx)
	return f(tx)
}

// begin begins a transaction of bbolt; e.mu is held. bbolt reads the metas out
// of the mapping while it holds locks that a panic would leave held, and then
// everybody would wait for ever. So they are verified before, where a fault
// holds no lock.
func (e *Engine) begin(writable bool) (tx *bbolt.Tx, err error) {
	if failed := e.failed.Load(); failed != nil {
		return nil, *failed
	}
	if err := e.verifyHeader(); err != nil {
		return nil, damaged(err, "the store is damaged: its header was changed while it is open")
	}
	err = guard(func() (err error) {
		tx, err = e.bolt.Begin(writable)
		return err
	})
	e.checkStuck(err)
	return tx, classify(err)
}

// verifyHeader reads a mapping, where there is one: two system calls would be
// a good part of what a transaction costs.
func (e *Engine) verifyHeader() error {
	return guard(func() error {
		var r io.ReaderAt = e.file
		if e.header != nil {
			r = bytes.NewReader(e.header)
		}
		_, err := newest(r, e.pageSize)
		return err
	})
}

// rollback ends a transaction that has no commit. After one it does nothing.
func (e *Engine) rollback(tx *bbolt.Tx) {
	e.checkStuck(guard(tx.Rollback))
}

func (e *Engine) checkStuck(err error) {
	if errors.Is(err, db.ErrDamaged) {
		e.stuck.Store(true)
		e.fail(err)
	}
}

func (e *Engine) fail(err error) { e.failed.CompareAndSwap(nil, &err) }

// Close waits for the transactions under way, gives the lock back and closes
// the file. A second Close does nothing.
func (e *Engine) Close() error {
	e.writer <- struct{}{}
	defer func() { <-e.writer }()
	e.mu.Lock()
	defer e.mu.Unlock()
	closed := errClosed
	e.failed.Store(&closed)
	e.lost = nil
	e.feed.close.Do(func() { close(e.feed.closed) })
	if e.bolt == nil {
		return nil
	}
	err := e.detach()
	e.bolt = nil
	return err
}

// Backup writes a copy of one snapshot to w, in the form of the file. See
// db.Backuper.
func (e *Engine) Backup(ctx context.Context, w io.Writer) error {
	out := &backupWriter{ctx: ctx, w: w}
	return e.read(ctx, func(tx *bbolt.Tx) error {
		err := guard(func() error { _, err := tx.WriteTo(out); return err })
		if out.err != nil {
			err = out.err // bbolt's error has only its text
		}
		return classify(err)
	})
}

// backupWriter ends a backup whose context has ended.
type backupWriter struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (b *backupWriter) Write(p []byte) (n int, err error) {
	if b.err = b.ctx.Err(); b.err == nil {
		n, b.err = b.w.Write(p)
	}
	return n, b.err
}

// Stats answers the zero value where the engine serves no more. See
// db.Measurer.
func (e *Engine) Stats() db.EngineStats {
	var s db.EngineStats
	_ = e.read(context.Background(), func(tx *bbolt.Tx) error {
		info, err := e.file.Stat()
		if err != nil {
			return err
		}
		b := e.bolt.Stats()
		s = db.EngineStats{
			Size: info.Size(), PageSize: int(e.pageSize), FreePages: b.FreePageN, PendingPages: b.PendingPageN,
			Reads: b.TxN, Commits: tx.ID(), OldHeader: e.oldHeader,
		}
		return nil
	})
	return s
}
