package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"husk/db"
	"husk/db/fsys"
)

// What a failed sync leaves: its pages are in the page cache, where everybody
// reads them, and perhaps on the disk, perhaps not; and a later sync that
// succeeds says nothing about them, because the system takes them for written.
// The data pages of a commit that failed are free in the commit before it, so
// they do no harm. Its meta does: it makes that commit the store's, for those
// who open the file next, or after a power cut, when the pages that it names
// may long have been written over. So no commit is made before both metas were
// written anew and synced.

// loss is what an engine needs to come back that could not open its file anew
// after a failed commit.
type loss struct {
	last  uint64      // the commit that counts
	file  os.FileInfo // of the file that it has to be
	cause error       // of the failed commit
	tried time.Time
}

// lossPause is how long readers leave a lost file alone after a try, in which
// they would all wait for a disk that is gone.
const lossPause = time.Second

// readerPatience is how long a new mount waits for readers that can go on with
// the old one.
const readerPatience = 100 * time.Millisecond

// recover brings the engine back after a failed commit and answers the error
// for those whose commit it was. On a full disk bbolt rolls back by itself, and
// all is well as long as the meta was not yet written.
func (e *Engine) recover(failed *commitError) error {
	err, last := classify(failed.error), uint64(failed.last)
	var own *db.Error
	if !errors.As(err, &own) {
		err = diskFailed(err)
	}
	if errors.Is(err, db.ErrFull) && e.unchanged(last) {
		return err
	}
	return e.remount(last, err)
}

// unchanged tells whether the commit last is the one that readers see.
func (e *Engine) unchanged(last uint64) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	m, err := newest(e.file, e.pageSize)
	return err == nil && m.txid == last
}

// remount opens the file anew after a commit has failed by cause, as of the
// commit last; e.mu is not held.
//
// Where the meta was not written, bbolt has rolled back by itself. So what is
// open stays where the file can't be opened, as on a disk that has become
// read-only, or a reader takes long: reads go on, and the next change tries
// again. Where the meta was written, it waits for the readers: what they see may
// be the commit that is taken back. If that can't be, nothing that is read can
// be relied on, and the engine serves no more until it comes back.
func (e *Engine) remount(last uint64, cause error) error {
	unchanged := e.unchanged(last) && !errors.Is(cause, db.ErrDamaged)
	if unchanged && !e.lockWithin(readerPatience) {
		e.secured = false
		return cause
	} else if !unchanged {
		e.mu.Lock()
	}
	defer e.mu.Unlock()
	before, err := e.file.Stat()
	if err != nil {
		before = nil
	}
	f, err := openRegular(e.path, os.O_RDWR)
	if err != nil && unchanged && !e.stuck.Load() && !errors.Is(err, db.ErrAbsent) {
		return cause
	}
	e.lost = &loss{last: last, file: before, cause: cause}
	err = errors.Join(err, e.detach())
	e.bolt = nil
	if err == nil {
		err = e.reattach(f, e.lost)
	} else if f != nil {
		f.Close()
	}
	return e.settled(err)
}

// lockWithin locks e.mu without making others wait who only read.
func (e *Engine) lockWithin(patience time.Duration) bool {
	for began := time.Now(); !e.mu.TryLock(); time.Sleep(readerPatience / 100) {
		if time.Since(began) > patience {
			return false
		}
	}
	return true
}

// settled ends a try to come back: with the cause of the failed commit where
// it has succeeded, else with why everybody is refused from now on. e.mu is
// held. What readers saw may have been taken back.
func (e *Engine) settled(err error) error {
	l := e.lost
	e.feed.tell(&noted{})
	if err == nil {
		e.failed.Store(nil)
		e.lost = nil
		return l.cause
	}
	l.tried = time.Now()
	refusal := gone(errors.Join(l.cause, err))
	err = refusal
	e.failed.Store(&err)
	return unknown(refusal)
}

// gone is the error of an engine that waits for its file.
func gone(cause error) *db.Error {
	const reason = "the store failed to write and can't be opened again: check the disk; husk tries again by itself"
	if classified := classify(cause); errors.Is(classified, db.ErrDisk) && !errors.Is(classified, db.ErrDamaged) {
		return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: reason, Cause: cause}
	}
	return &db.Error{Kind: db.ErrDamaged, Code: "store_damaged", Reason: reason, Cause: cause}
}

// regain tries to come back, where the file was lost. The caller has the token.
func (e *Engine) regain() {
	if e.lost == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	f, err := openRegular(e.path, os.O_RDWR)
	if err == nil {
		err = e.reattach(f, e.lost)
	}
	_ = e.settled(err)
}

// regainForRead does so for a reader, where no writer is at it and the last try
// is a while ago.
func (e *Engine) regainForRead() {
	if e.failed.Load() == nil {
		return
	}
	select {
	case e.writer <- struct{}{}:
	default:
		return
	}
	defer func() { <-e.writer }()
	if e.lost != nil && time.Since(e.lost.tried) > lossPause {
		e.regain()
	}
}

// reattach takes back what was written of a failed commit, and opens the file
// by bbolt. It takes f over. The caller has the token, and holds e.mu.
func (e *Engine) reattach(f *os.File, l *loss) error {
	err := lockBy(f, time.Now().Add(e.timeout))
	var now os.FileInfo
	if err == nil {
		now, err = f.Stat()
	}
	if err == nil && (l.file == nil || !os.SameFile(l.file, now) || !stillAt(f, e.path)) {
		err = damaged(nil, "another file is in the place of the store")
	}
	if err == nil {
		err = retract(f, e.pageSize, l.last)
	}
	if err != nil {
		_ = unlock(f)
		f.Close()
		return err
	}
	// Where the disk still does not take it, reads can go on all the same: they
	// see the commit last. The next change tries again, before anything else.
	e.secured = e.secured && rewriteMetas(f, e.pageSize) == nil
	return e.mount(f)
}

// retract takes back the metas of commits after last. A commit whose sync
// failed may have written its meta; that one is valid in the page cache and
// perhaps on the disk, but nobody was told so. It is overwritten by the meta
// of the commit last, for all who read; what makes that durable is rewriteMetas.
func retract(f *os.File, pageSize int64, last uint64) error {
	var kept *meta
	stale := [2]bool{}
	for slot := range int64(2) {
		m, err := metaAt(f, slot*pageSize)
		if err == nil && m.txid == last {
			kept = &m
		}
		stale[slot] = err != nil || m.txid > last
	}
	if kept == nil {
		return damaged(nil, "the last commit is not found")
	}
	for slot := range int64(2) {
		if !stale[slot] {
			continue
		}
		page := make([]byte, pageSize)
		order.PutUint64(page, uint64(slot))
		order.PutUint16(page[8:], flagMeta)
		copy(page[pageHeader:], kept.raw[:])
		if _, err := f.WriteAt(page, slot*pageSize); err != nil {
			return err
		}
	}
	return nil
}

// rewriteMetas makes durable what the page cache has of the metas, whatever
// syncs have failed before. One of them at most is in doubt; the other one is
// on the disk as it is here, so a write that is torn does no harm.
func rewriteMetas(f *os.File, pageSize int64) error {
	page := make([]byte, pageSize)
	for slot := range int64(2) {
		if _, err := metaAt(f, slot*pageSize); err != nil {
			continue // of no use, but to tell what happened
		}
		if _, err := f.ReadAt(page, slot*pageSize); err != nil {
			return err
		}
		if _, err := f.WriteAt(page, slot*pageSize); err != nil {
			return err
		}
	}
	return f.Sync()
}

// secure is called before the first commit since the file was opened: whoever
// had it before may have been killed between a failed sync and its retraction,
// or before the file's name was durable. The caller has the token.
func (e *Engine) secure() error {
	if e.secured {
		return nil
	}
	if err := rewriteMetas(e.file, e.pageSize); err != nil {
		return fmt.Errorf("make the last commit durable: %w", err)
	}
	// A folder that may not be read, or whose file system does not know of it,
	// can't be synced; then the name is as safe as it can be.
	err := classify(fsys.SyncFolder(filepath.Dir(e.path)))
	if errors.Is(err, db.ErrDisk) || errors.Is(err, db.ErrFull) {
		return fmt.Errorf("make the name of the store durable: %w", err)
	}
	e.secured = true
	return nil
}
