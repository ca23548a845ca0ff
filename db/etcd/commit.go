package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
)

const (
	// maxDirect is how many records a commit writes at once; the head and the end of a
	// turn are two more.
	maxDirect = maxOps - 2

	// mayMeet is how long an update that others come before is tried again.
	mayMeet = 4 * time.Second
)

// commitAll runs the functions of a group and commits what they write, in as many
// commits as that takes, until each is at its end.
func (e *Engine) commitAll(group []*call) {
	began := time.Now()
	defer e.passTurn()
	for tries := 0; len(group) > 0; {
		done, again, err := e.attempt(group)
		end(done)
		group = group[len(done):]
		switch {
		case err != nil:
			fail(group, err)
			return
		case !again:
			tries = 0
		case time.Since(began) > mayMeet:
			fail(group, unavailable("others change the store so often that this change found no turn; nothing was changed, try again", nil))
			return
		default:
			if tries >= fairTries && !e.turn.mine {
				e.askTurn()
			}
			if !e.turn.mine {
				pause(e.ctx, time.Millisecond<<min(tries, 5))
			}
			tries++
		}
	}
}

// attempt runs the functions of the first calls of a group, as many as there is room for
// in a commit, and commits what they write. It returns the calls that are at their end;
// again, where another process came before it and nothing was kept.
func (e *Engine) attempt(group []*call) (done []*call, again bool, err error) {
	if e.ctx.Err() != nil {
		return nil, false, errClosed
	}
	b, fresh := e.base, e.base == nil
	if fresh {
		s, err := e.pin(e.ctx)
		if err != nil {
			return nil, false, err
		}
		if s.headAt == 0 {
			return nil, false, errGoneStore
		}
		for s.redo != nil {
			if s, err = e.carryOut(s); err != nil {
				return nil, false, err
			}
		}
		b = newBase(s)
	}
	e.base = nil // as long as it is not known to be good
	if len(group) > 1 {
		e.foresee(b, group)
	}
	w := &writes{}
	for n, c := range group {
		if !c.run(e.ctx, b, w) && n > 0 {
			group = group[:n]
			break
		}
	}
	if b.failure != nil {
		if errCompacted(b.failure) && !fresh {
			return nil, true, nil
		}
		return nil, false, b.failure
	}
	made, next := true, b.snap
	switch {
	case len(w.order) > 0:
		made, next, err = e.send(b.snap, w)
	case !fresh:
		if made, err = e.stillSo(b.snap); !made {
			next = nil
		}
	}
	if err != nil || !made {
		if err == nil && next == b.snap {
			e.base = b
		}
		return nil, !made, err
	}
	if next != nil {
		e.base = b.after(next, w)
	}
	return group, false, nil
}

// foresee runs functions side by side, for what they read: then they can run one after
// the other without waiting for each of their reads.
func (e *Engine) foresee(b *base, group []*call) {
	var all sync.WaitGroup
	for _, c := range group {
		all.Go(e.guard("update", func() {
			defer func() { _ = recover() }() // it will again
			t := &transaction{ctx: e.ctx, source: b, own: &writes{}}
			_ = t.run(c.f)
		}))
	}
	all.Wait()
}

// stillSo tells whether the store is what it was, for updates that wrote nothing.
func (e *Engine) stillSo(s *snapshot) (bool, error) {
	now, err := e.pin(e.ctx)
	return err == nil && now.headAt == s.headAt, err
}

// send makes one commit, and tells whether it was made or another one came first. It
// returns the store as of then, or nil where that is to be looked at anew; that is on
// itself where it is just another one's turn.
func (e *Engine) send(on *snapshot, w *writes) (made bool, then *snapshot, err error) {
	name := newName()
	then = &snapshot{members: on.members, prefix: on.prefix, head: on.head.next(name)}
	ops := append([]clientv3.Op{clientv3.OpPut(e.prefix+headKey, then.head.encode())}, e.operations(w)...)
	if len(w.order) > maxDirect {
		then.redo = w
		ops = append(ops[:1], clientv3.OpPut(e.prefix+redoKey, string(w.encode())))
	}
	if e.turn.mine {
		ops = append(ops, clientv3.OpDelete(e.prefix+turnKey))
	}
	sent := 0
	var r *clientv3.TxnResponse
	asked, err := e.members.ask(e.ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		sent++
		for {
			r, err = c.Txn(ctx).If(e.mayCommit(on)...).Then(ops...).Else(append(on.controls(), clientv3.OpGet(e.prefix+turnKey))...).Commit()
			if err != nil || r.Succeeded {
				return err
			}
			e.turn.mine = isTurn(r.Responses[2], e.turn.name)
			if _, at := first(r.Responses[0].GetResponseRange().Kvs); sent == 1 || at != on.headAt {
				return nil
			}
			// Nobody has committed, but it is another one's turn. What was sent before may be
			// on its way yet, so only this very commit can be sent again.
			pause(ctx, 10*time.Millisecond)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	})
	switch {
	case err == nil:
	case !asked.sent, sent == 1 && asked.refused:
		return false, nil, classify(err)
	default:
		return false, nil, unknown(err)
	}
	if r.Succeeded {
		e.turn.mine = false
		then.revision, then.headAt, then.redoAt = r.Header.Revision, r.Header.Revision, r.Header.Revision
		return true, e.carriedOut(then), nil
	}
	now := &snapshot{members: on.members, prefix: on.prefix}
	if err := now.read(r); err != nil {
		return false, nil, err
	}
	made, known := now.head.fate(name, on.head)
	switch {
	case now.headAt == on.headAt && on.headAt != 0:
		return false, on, nil
	case now.headAt == 0 && on.headAt != 0:
		return false, nil, errGoneStore
	case !known && sent > 1:
		return false, nil, unknown(nil)
	}
	return made, nil, nil
}

// operations are the writes as etcd's.
func (e *Engine) operations(w *writes) (ops []clientv3.Op) {
	for _, key := range w.order {
		if value := w.values[key]; value != nil {
			ops = append(ops, clientv3.OpPut(e.prefix+key, string(value)))
		} else {
			ops = append(ops, clientv3.OpDelete(e.prefix+key))
		}
	}
	return ops
}

// carriedOut is carryOut for a commit that is made, whatever becomes of this.
func (e *Engine) carriedOut(s *snapshot) *snapshot {
	at := s.headAt
	if s, err := e.carryOut(s); err == nil && s.headAt == at && s.redo == nil {
		return s
	}
	return nil
}

// carryOut writes what a large commit was yet to write, as whoever comes across it does:
// each step is harmless when it was done before. Nobody commits before the end of it, so
// what is there then is what the commit has made.
func (e *Engine) carryOut(s *snapshot) (*snapshot, error) {
	if s.redo == nil {
		return s, nil
	}
	ops := e.operations(s.redo)
	for len(ops) > 0 {
		step := ops[:min(len(ops), maxDirect)]
		ops = ops[len(step):]
		if len(ops) == 0 {
			step = append(step[:len(step):len(step)], clientv3.OpDelete(e.prefix+redoKey))
		}
		var r *clientv3.TxnResponse
		_, err := e.members.ask(e.ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
			r, err = c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(e.prefix+redoKey), "=", s.redoAt)).Then(step...).Commit()
			return err
		})
		if err != nil {
			return nil, classify(err)
		}
		if !r.Succeeded { // somebody else has come to its end
			return e.pin(e.ctx)
		}
		s.revision = r.Header.Revision
	}
	s.redo, s.redoAt = nil, 0
	return s, nil
}

var errGoneStore = &db.Error{Kind: db.ErrMoved, Code: "store_gone",
	Reason: "there is no store below this prefix any more: it was deleted, or restored elsewhere"}
