package bolttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
)

// Faulty is an engine whose disk can fail. What stands before Updates may be
// changed while it is used.
type Faulty struct {
	db.Engine
	failing atomic.Pointer[error] // what Update answers
	reading atomic.Pointer[error] // what View answers

	Updates, Views atomic.Int64  // how many there were
	Hold           chan struct{} // what Update waits for; nil: nothing
}

// Clocks are turned by hand.
type Clocks struct {
	Wall atomic.Int64 // Unix nanoseconds
	Mono atomic.Int64 // nanoseconds
}

// Watched opens a store whose disk can fail and whose clocks can be set: of the
// time of now, and an hour more.
func Watched(t testing.TB, c *Clocks) (store *db.Store, disk *Faulty) {
	t.Helper()
	c.Wall.Store(time.Now().Add(time.Hour).UnixNano())
	store = Store(t, Options{
		Wrap: func(e db.Engine) db.Engine {
			disk = &Faulty{Engine: e}
			return disk
		},
		Options: db.Options{
			Now:       func() time.Time { return time.Unix(0, c.Wall.Load()) },
			Monotonic: func() time.Duration { return time.Duration(c.Mono.Load()) },
		},
	})
	t.Cleanup(func() { disk.FailReads(nil) })
	return store, disk
}

// Fail has changes fail with err; nil: no more.
func (e *Faulty) Fail(err error) { set(&e.failing, err) }

// FailReads has reads fail with err; nil: no more.
func (e *Faulty) FailReads(err error) { set(&e.reading, err) }

func set(where *atomic.Pointer[error], err error) {
	if err == nil {
		where.Store(nil)
	} else {
		where.Store(&err)
	}
}

// Update implements db.Engine.
func (e *Faulty) Update(ctx context.Context, f func(db.Tx) error) error {
	e.Updates.Add(1)
	if e.Hold != nil {
		<-e.Hold
	}
	if err := e.failing.Load(); err != nil {
		return *err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.Engine.Update(ctx, f)
}

// View implements db.Engine.
func (e *Faulty) View(ctx context.Context, f func(db.Tx) error) error {
	e.Views.Add(1)
	if err := e.reading.Load(); err != nil {
		return *err
	}
	return e.Engine.View(ctx, f)
}

// Backup implements db.Backuper.
func (e *Faulty) Backup(ctx context.Context, w io.Writer) error {
	return e.Engine.(db.Backuper).Backup(ctx, w)
}

// BrokenBackup is an engine whose copies fail in the middle, with Err.
type BrokenBackup struct {
	db.Engine
	Err error
}

// Backup implements db.Backuper.
func (e BrokenBackup) Backup(_ context.Context, w io.Writer) error {
	_, _ = w.Write([]byte("half"))
	return e.Err
}

// Flip changes the last byte of a record as it stands in the file, and returns
// how it was.
func Flip(t testing.TB, e db.Engine, bucket, key string) (whole []byte) {
	t.Helper()
	err := e.Update(t.Context(), func(tx db.Tx) error {
		sealed, err := tx.Get(bucket, []byte(key))
		if err != nil || sealed == nil {
			return errors.Join(err, errors.New("no such record"))
		}
		whole = bytes.Clone(sealed)
		sealed[len(sealed)-1] ^= 1
		return tx.Put(bucket, []byte(key), sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	return whole
}
