package etcd

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"

	"husk/db"
)

const maxGroup = 256 // updates that share one commit

// call is one Update on its way. What stands behind the function is read by the caller
// after done is closed.
type call struct {
	f    func(db.Tx) error
	done chan struct{}

	err      error
	panicked *callerPanic
	settled  bool // it is at its end: others of its group may not be
}

// callerPanic carries the panic of a function to the goroutine of the one who passed it
// in, with the stack of where it happened.
type callerPanic struct {
	value any
	stack []byte
}

func (p *callerPanic) Error() string { return string(p.stack) }

// queue has the updates that wait for a commit.
type queue struct {
	mu    sync.Mutex
	calls []*call
}

func (q *queue) add(c *call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls = append(q.calls, c)
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
	i := slices.Index(q.calls, c)
	if i >= 0 {
		q.calls = slices.Delete(slices.Clone(q.calls), i, i+1)
	}
	return i >= 0
}

// Update runs f and returns once its writes are kept by a majority of the members; see
// db.Engine. Updates that come while another one is being committed share the next
// commit, in which their functions run one after the other. A context that ends has its
// effect only as long as f has not been taken up.
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

// lead commits, in the order of the queue, until c is done, and then passes the turn on:
// there is no writer in the background.
func (e *Engine) lead(c *call) {
	defer func() { <-e.writer }()
	for {
		select {
		case <-c.done:
			return
		default:
			e.settle(e.queue.take())
		}
	}
}

// settle brings all calls of a group to their end and wakes their callers.
func (e *Engine) settle(group []*call) {
	defer func() {
		for _, c := range group { // runtime.Goexit, as of a test's FailNow
			if !c.settled {
				c.err = errGone
				close(c.done)
			}
		}
	}()
	e.commitAll(group)
}

// end tells the callers what became of their updates.
func end(calls []*call) {
	for _, c := range calls {
		c.settled = true
		close(c.done)
	}
}

func fail(calls []*call, err error) {
	for _, c := range calls {
		c.err, c.panicked = err, nil
	}
	end(calls)
}

// run runs the function of a call over what those before it wrote, and adds to that what
// it writes. It answers false where there is no room for it beside them.
func (c *call) run(ctx context.Context, from *base, group *writes) bool {
	own := &writes{}
	t := &transaction{ctx: ctx, source: from, below: []*writes{group}, own: own}
	func() {
		defer func() {
			if p := recover(); p != nil {
				c.panicked = &callerPanic{value: p, stack: debug.Stack()}
			}
		}()
		c.panicked, c.err = nil, nil
		c.err = t.run(c.f)
	}()
	if t.failed != nil && !errors.Is(t.failed, db.ErrInvalid) {
		from.fail(t.failed)
	}
	if c.err != nil || c.panicked != nil || len(own.order) == 0 {
		return true
	}
	if n := len(group.order); n > 0 && (n+len(own.order) > maxDirect || group.bytes+own.bytes > bound.Bytes) {
		return false
	}
	for _, key := range own.order {
		group.set(key, own.values[key])
	}
	return true
}
