package bolt

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"husk/db"
)

const (
	maxGroup  = 256                  // updates that share one commit
	maxGather = 2 * time.Millisecond // for which a commit waits for more of them
)

// call is one Update on its way. What stands behind the functions is read by
// the caller after done is closed.
type call struct {
	f    func(db.Tx) error
	done chan struct{}

	out      bool // it failed after it had written, and takes no part in further runs
	err      error
	panicked *callerPanic
}

type queue struct {
	mu    sync.Mutex
	calls []*call
	want  int           // that many make it full
	full  chan struct{} // closed then; nil where nobody waits for that
}

func (q *queue) add(c *call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls = append(q.calls, c)
	if q.full != nil && len(q.calls) >= q.want {
		close(q.full)
		q.full = nil
	}
}

// fills returns what is closed once so many calls wait, or nil where they do.
// It is for one at a time: the one who has the token.
func (q *queue) fills(want int) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full = nil; len(q.calls) < want {
		q.want, q.full = want, make(chan struct{})
	}
	return q.full
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.calls)
}

func (q *queue) take() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.calls), maxGroup)
	group := q.calls[:n:n]
	if q.calls = q.calls[n:]; len(q.calls) == 0 {
		q.calls = nil
	}
	return group
}

// withdraw takes back a call that no one has taken yet.
func (q *queue) withdraw(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.calls {
		if q.calls[i] == c {
			q.calls = append(q.calls[:i:i], q.calls[i+1:]...)
			return true
		}
	}
	return false
}

// Update runs f in a transaction and returns once its commit is synced. See
// db.Engine. Updates that come while another one is being synced share the
// next commit, in which their functions run one after the other; one that
// comes alone is committed at once. A context that ends has its effect only as
// long as f has not been taken up.
func (e *Engine) Update(ctx context.Context, f func(db.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{f: f, done: make(chan struct{})}
	e.queue.add(c)
	select {
	case <-c.done:
	case e.writer <- struct{}{}:
		e.lead(c)
	case <-ctx.Done():
		if e.queue.withdraw(c) {
			return ctx.Err()
		}
		<-c.done
	}
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

// lead writes, in the order of the queue, until c is done, and then passes the
// token on: there is no writer in the background.
func (e *Engine) lead(c *call) {
	defer func() { <-e.writer }()
	for {
		select {
		case <-c.done:
			return
		default:
			e.gather()
			began := time.Now()
			group := e.queue.take()
			e.settle(group)
			e.callers, e.lastTook = len(group)+e.queue.len(), time.Since(began)
		}
	}
}

// gather waits for as many calls as there were callers at the last commit, in
// it and behind it, where those whom it woke are likely to call again: taken as
// they come, they would fall apart into two halves that commit in turns, and
// write twice the pages that both have in common. It takes at most half as long
// as that commit, and never long; one who calls alone does not wait.
//
// It sleeps: one that looked again and again would keep its processor from
// those whom it waits for, who may have to be told by the network first.
func (e *Engine) gather() {
	patience := min(e.lastTook/2, maxGather)
	full := e.queue.fills(min(e.callers, maxGroup))
	if full == nil || patience <= 0 {
		return
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-full:
	case <-late.C:
	}
}

// settle brings all calls of a group to their end and wakes their callers.
func (e *Engine) settle(group []*call) {
	settled := false
	defer func() {
		if !settled { // runtime.Goexit, as of a test's FailNow
			failAll(group, errGone)
		}
		for _, c := range group {
			close(c.done)
		}
	}()
	e.regain()
	for !settled {
		again, err := e.attempt(group)
		var failed *commitError
		if errors.As(err, &failed) {
			err = e.recover(failed)
		}
		if err != nil {
			failAll(group, err)
		}
		settled = !again
	}
}

// failAll fails those, too, that had failed by themselves: their reason may
// be found in the writes of a neighbour, which are gone.
func failAll(group []*call, err error) {
	for _, c := range group {
		c.err = err
	}
}

// commitError is a failed commit; last is the id of the one before it.
type commitError struct {
	error
	last int
}

// attempt runs a group in one transaction and commits it. Where a function
// failed after it had written, it answers again: bbolt can only roll back the
// whole, so the others have to run once more without that one.
func (e *Engine) attempt(group []*call) (again bool, err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	tx, err := e.begin(true)
	if err != nil {
		return false, err
	}
	defer e.rollback(tx)
	t := &transaction{tx: tx, noted: &noted{on: e.feed.heard.Load()}}
	defer t.end()
	for _, c := range group {
		if !c.out && !c.run(t) {
			return true, nil
		}
	}
	if t.writes == 0 {
		return false, nil
	}
	if err := e.located(moved); err != nil {
		e.secured = false // it may come back under a name that is not durable
		return false, err
	}
	if err := e.secure(); err != nil {
		return false, classify(err)
	}
	last := tx.ID() - 1
	if err := e.commit(tx); err != nil {
		return false, &commitError{err, last}
	}
	e.feed.tell(t.noted)
	return false, e.located(movedMeanwhile)
}

func (e *Engine) commit(tx *bbolt.Tx) error {
	commit := func() error { return guard(tx.Commit) }
	if e.commitHook != nil {
		return e.commitHook(commit)
	}
	return commit()
}

// run runs the function of a call; it answers false where the transaction is
// of no use to the others any more. One that failed before its first write has
// done no harm.
func (c *call) run(t *transaction) bool {
	before := t.writes
	c.panicked, c.err = protect(t, c.f)
	failed := c.err != nil || c.panicked != nil
	c.out = failed && (t.writes != before || t.damage != nil)
	return !c.out
}

// protect keeps a panic of one function from the others: it may run in the
// goroutine of another caller.
func protect(t *transaction, f func(db.Tx) error) (panicked *callerPanic, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = &callerPanic{value: p, stack: debug.Stack()}
		}
	}()
	return nil, t.run(f)
}
