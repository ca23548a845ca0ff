package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"husk/db"
)

// hold makes the engine's writer busy until the answered function is called,
// so that what comes meanwhile has to share a commit.
func hold(t *testing.T, e *Engine) (release func()) {
	t.Helper()
	e.writer <- struct{}{}
	return func() { <-e.writer }
}

// waiting returns once n updates are in the queue.
func waiting(e *Engine, n int) {
	for {
		e.queue.mu.Lock()
		m := len(e.queue.calls)
		e.queue.mu.Unlock()
		if m >= n {
			return
		}
		runtime.Gosched()
	}
}

func TestCommitsAreShared(t *testing.T) {
	const writers, each = 32, 20
	e := open(t, create(t))
	before := e.Stats().Commits
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if err := set(e, fmt.Sprintf("%d/%d", w, i), "v"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	commits := e.Stats().Commits - before
	if commits > writers*each/2 {
		t.Errorf("%d updates took %d commits", writers*each, commits)
	}
	t.Logf("%d updates in %d commits", writers*each, commits)
}

func TestOneCommitForAllWhoWait(t *testing.T) {
	const n = maxGroup + 50
	e := open(t, create(t))
	before := e.Stats().Commits
	release := hold(t, e)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := set(e, strconv.Itoa(i), "v"); err != nil {
				t.Error(err)
			}
		})
	}
	waiting(e, n)
	release()
	all.Wait()
	if got := e.Stats().Commits - before; got != 2 {
		t.Errorf("%d waiting updates took %d commits, want 2", n, got)
	}
}

// TestAnswersWaitForTheirCommit stops two commits just before they are done:
// until then nobody is answered whose change is in them, and afterwards only
// those are.
func TestAnswersWaitForTheirCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, create(t))
		committing, synced := make(chan struct{}), make(chan struct{})
		e.commitHook = func(commit func() error) error {
			committing <- struct{}{}
			err := commit()
			<-synced
			return err
		}
		var all sync.WaitGroup
		var early, late atomic.Int32 // answered
		update := func(answered *atomic.Int32) {
			all.Go(func() {
				if err := set(e, "k", "v"); err != nil {
					t.Error(err)
				}
				answered.Add(1)
			})
		}
		want := func(when string, wantEarly, wantLate int32) {
			t.Helper()
			synctest.Wait()
			if early.Load() != wantEarly || late.Load() != wantLate {
				t.Errorf("%s: %d of the first and %d of the second are answered, want %d and %d", when, early.Load(), late.Load(), wantEarly, wantLate)
			}
		}
		const n = 3
		release := hold(t, e)
		for range n {
			update(&early)
		}
		waiting(e, n)
		release()
		want("before the first commit", 0, 0)
		<-committing
		for range n {
			update(&late)
		}
		waiting(e, n)
		want("in the first commit", 0, 0)
		synced <- struct{}{}
		want("between the commits", n, 0)
		<-committing
		want("in the second commit", n, 0)
		synced <- struct{}{}
		want("after both", n, n)
		all.Wait()
	})
}

// TestFailuresInAGroup mixes every way to fail into one group.
func TestFailuresInAGroup(t *testing.T) {
	e := open(t, create(t))
	failure := errors.New("failure")
	before := e.Stats().Commits
	release := hold(t, e)
	errs := make([]error, 40)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = p.(error)
				}
			}()
			errs[i] = e.Update(t.Context(), func(tx db.Tx) error {
				if i%4 == 1 {
					return failure
				}
				if err := tx.Put("b", []byte(strconv.Itoa(i)), []byte("v")); err != nil {
					return err
				}
				switch i % 4 {
				case 2:
					return failure
				case 3:
					panic(failure)
				}
				return nil
			})
		})
	}
	waiting(e, len(errs))
	release()
	all.Wait()
	for i, err := range errs {
		want := ""
		if i%4 == 0 {
			want = "v"
		}
		wantValue(t, e, strconv.Itoa(i), want)
		if (err == nil) != (i%4 == 0) || err != nil && !errors.Is(err, failure) {
			t.Errorf("update %d = %v", i, err)
		}
	}
	if got := e.Stats().Commits - before; got != 1 {
		t.Errorf("%d commits, want 1", got)
	}
}

func TestNothingWrittenIsNoCommit(t *testing.T) {
	e := open(t, create(t))
	before := e.Stats().Commits
	if err := e.Update(t.Context(), func(tx db.Tx) error { _, err := tx.Get("b", []byte("k")); return err }); err != nil {
		t.Error(err)
	}
	if got := e.Stats().Commits - before; got != 0 {
		t.Errorf("an update without a write took %d commits", got)
	}
}

func TestPanicInFunction(t *testing.T) {
	e := open(t, create(t))
	for name, run := range map[string]func(func(db.Tx) error) error{
		"view":   func(f func(db.Tx) error) error { return e.View(t.Context(), f) },
		"update": func(f func(db.Tx) error) error { return e.Update(t.Context(), f) },
		"scan": func(f func(db.Tx) error) error {
			return errors.Join(set(e, "k", "v"), e.Update(t.Context(), func(tx db.Tx) error {
				return tx.Scan("b", nil, nil, false, func(_, _ []byte) bool { return f(tx) == nil })
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "the caller's own") {
					t.Errorf("recovered %v, want the caller's own panic", p)
				}
				if err := set(e, "after", name); err != nil {
					t.Errorf("update after the panic: %v", err)
				}
				wantValue(t, e, "after", name)
			}()
			err := run(func(db.Tx) error { panic("the caller's own") })
			t.Errorf("%s returns %v", name, err)
		})
	}
}

// TestGoexit ends the goroutine of one function, as FailNow does, while
// others wait: they get an error instead of waiting for ever.
func TestGoexit(t *testing.T) {
	e := open(t, create(t))
	release := hold(t, e)
	var all sync.WaitGroup
	all.Go(func() { _ = e.Update(t.Context(), func(db.Tx) error { runtime.Goexit(); return nil }) })
	waiting(e, 1)
	for i := range 3 {
		all.Go(func() {
			if err := set(e, strconv.Itoa(i), "v"); err != nil && !errors.Is(err, errGone) {
				t.Errorf("update = %v", err)
			}
		})
	}
	waiting(e, 4)
	release()
	all.Wait()
	if err := set(e, "k", "v"); err != nil {
		t.Error(err)
	}
}

func TestContextEndsInTheQueue(t *testing.T) {
	e := open(t, create(t))
	release := hold(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		result <- e.Update(ctx, func(db.Tx) error { t.Error("the function runs"); return nil })
	}()
	waiting(e, 1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("update = %v, want context.Canceled", err)
	}
	release()
	if err := set(e, "k", "v"); err != nil {
		t.Error(err)
	}
}

func TestContextEndsUnderWay(t *testing.T) {
	e := open(t, create(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Update(ctx, func(tx db.Tx) error {
		cancel()
		return tx.Put("b", []byte("k"), []byte("v"))
	})
	if err != nil {
		t.Errorf("update = %v, want its result", err)
	}
	wantValue(t, e, "k", "v")
}

// TestFailedSync fails the commit before and after its meta was written: the
// change must not be seen either way, nor after the file was opened again.
func TestFailedSync(t *testing.T) {
	for _, tt := range []struct {
		name    string
		errno   error
		written bool
		kind    error
	}{
		{"before the meta", syscall.EIO, false, syscall.EIO},
		{"after the meta", syscall.EIO, true, syscall.EIO},
		{"full disk before the meta", syscall.ENOSPC, false, db.ErrFull},
		{"full disk after the meta", syscall.ENOSPC, true, db.ErrFull},
		{"growth flattened into text", fmt.Errorf("file resize error: %s", &fs.PathError{Op: "truncate", Path: "husk.db", Err: syscall.ENOSPC}), false, db.ErrFull},
		{"no quota", syscall.EDQUOT, false, db.ErrFull},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := create(t)
			e := open(t, path)
			if err := errors.Join(set(e, "k", "1"), set(e, "k", "2")); err != nil {
				t.Fatal(err)
			}
			e.commitHook = func(commit func() error) error {
				if tt.written {
					if err := commit(); err != nil {
						t.Error(err)
					}
				}
				return tt.errno
			}
			if err := set(e, "k", "lost"); !errors.Is(err, tt.kind) || errors.Is(err, db.ErrDamaged) {
				t.Errorf("update = %v, want %v", err, tt.kind)
			}
			e.commitHook = nil
			wantValue(t, e, "k", "2")
			if err := set(e, "l", "3"); err != nil {
				t.Errorf("update afterwards: %v", err)
			}
			wantWhole(t, e)
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			again := open(t, path)
			wantValue(t, again, "k", "2")
			wantValue(t, again, "l", "3")
		})
	}
}

func TestFailedSyncWithReaders(t *testing.T) {
	e := open(t, create(t))
	if err := set(e, "k", "kept"); err != nil {
		t.Fatal(err)
	}
	e.commitHook = func(commit func() error) error {
		_ = commit()
		return syscall.EIO
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if err := readAll(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if err := set(e, "k", "lost"); !errors.Is(err, syscall.EIO) {
			t.Errorf("update = %v, want EIO", err)
		}
	}
	all.Wait()
	e.commitHook = nil
	wantValue(t, e, "k", "kept")
}

// TestNoWayBack takes the file away at the moment of a failed commit: the
// engine serves no more, and says so.
func TestNoWayBack(t *testing.T) {
	path := create(t)
	e := open(t, path)
	e.commitHook = func(func() error) error {
		return errors.Join(syscall.EIO, os.Remove(path), Create(path, func(db.Tx) error { return nil }))
	}
	for range 2 {
		if err := set(e, "k", "v"); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("update = %v, want db.ErrDamaged", err)
		}
		if err := readAll(e); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("view = %v, want db.ErrDamaged", err)
		}
		e.commitHook = nil
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := get(open(t, path), "k"); err != nil {
		t.Errorf("the new file stays locked: %v", err)
	}
}

// TestPanicInCommit has bbolt panic in the middle of a commit.
func TestPanicInCommit(t *testing.T) {
	e := open(t, create(t))
	if err := set(e, "k", "kept"); err != nil {
		t.Fatal(err)
	}
	e.commitHook = func(func() error) error { return guard(func() error { panic("page 7 already freed") }) }
	if err := set(e, "k", "lost"); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("update = %v, want db.ErrDamaged", err)
	}
	e.commitHook = nil
	wantValue(t, e, "k", "kept")
	if err := set(e, "k", "new"); err != nil {
		t.Error(err)
	}
}

// TestStuckLock has a rollback panic, which leaves bbolt's writer lock held
// for ever; the file's own lock must not be.
func TestStuckLock(t *testing.T) {
	path := create(t)
	e := open(t, path)
	if _, err := e.bolt.Begin(true); err != nil {
		t.Fatal(err)
	}
	e.checkStuck(damaged(nil, "page 7 already freed"))
	if err := readAll(e); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("view = %v, want db.ErrDamaged", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := set(open(t, path), "k", "v"); err != nil {
		t.Error(err)
	}
}

// TestACommitWaitsForThoseItKnows: no longer than until they are there, and no
// longer than it is worth.
func TestACommitWaitsForThoseItKnows(t *testing.T) {
	const soon = 100 * time.Microsecond
	tests := []struct {
		name    string
		callers int           // at the last commit
		took    time.Duration // the last commit
		come    int           // soon, beside the one who is there
		want    time.Duration
	}{
		{"alone", 1, time.Second, 0, 0},
		{"all come", 4, time.Second, 3, soon},
		{"more come", 4, time.Second, 5, soon},
		{"one stays away", 4, time.Second, 2, maxGather},
		{"a short commit", 4, 2 * time.Millisecond, 0, time.Millisecond},
		{"the first commit", 0, 0, 0, 0},
		{"more than a commit takes", 2 * maxGroup, time.Second, maxGroup - 1, soon},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine("", 0)
				e.callers, e.lastTook = test.callers, test.took
				e.queue.add(&call{})
				for range test.come {
					time.AfterFunc(soon, func() { e.queue.add(&call{}) })
				}
				began := time.Now()
				e.gather()
				if got := time.Since(began); got != test.want {
					t.Errorf("it waited for %v, want %v", got, test.want)
				}
			})
		})
	}
}

// TestTheNextCommitExpectsBothHalves: those whom a commit wakes, and those who
// came while it was written.
func TestTheNextCommitExpectsBothHalves(t *testing.T) {
	e := open(t, create(t))
	var all sync.WaitGroup
	update := func(n int) {
		for range n {
			all.Go(func() {
				if err := set(e, "k", "v"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	var expected []int
	e.commitHook = func(commit func() error) error {
		expected = append(expected, e.callers)
		if len(expected) == 1 {
			update(3)
			waiting(e, 3)
		}
		return commit()
	}
	release := hold(t, e)
	update(2)
	waiting(e, 2)
	release()
	all.Wait()
	if len(expected) < 2 || expected[0] != 0 || expected[1] != 5 {
		t.Errorf("the commits expected %v callers, want none, then 5", expected)
	}
}
