package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
)

const (
	unfinishedKey = "_unfinished" // as long as a store is being filled; there is no head then
	loadingKey    = "_loading"    // who fills it, under a lease

	loaders     = 4                // commits under way at once
	loadingTerm = 15 * time.Second // how long one who fills a store is waited for
	clearAtOnce = 1000             // records that a step of clearing deletes
)

// Load makes a store below a prefix that nothing is below yet, and puts in it what fill
// puts, in any order and each key once. It is no store before all of that is kept and
// prove, which reads it, has found it right: until then who opens it is told that it is
// unfinished. One that was broken off, at whatever moment, is begun anew by the next Load.
// Where there is a store, it is an error that wraps fs.ErrExist; where another process
// fills it, ErrLocked; where the answer to the last step is lost, ErrUnknown.
func Load(ctx context.Context, o Options, fill func(put func(bucket string, key, value []byte) error) error, prove func(db.Engine) error) (err error) {
	e, err := newEngine(o)
	if err != nil {
		return err
	}
	defer e.Close()
	l := &load{e: e, name: newName()}
	if err := l.begin(ctx); err != nil {
		return err
	}
	defer l.leave()
	if l.again {
		if err := l.clear(ctx); err != nil {
			return err
		}
	}
	if err := l.fill(ctx, fill); err != nil {
		return err
	}
	if err := prove(e); err != nil {
		return err
	}
	return l.finish(ctx)
}

// load is one filling of a store.
type load struct {
	e     *Engine
	name  string
	mark  int64 // the revision of the marker
	again bool  // there is what another one left
	lease clientv3.LeaseID
	stop  func() // to hold the lease
}

// marker is the value of _unfinished, for who looks.
type marker struct {
	Since time.Time `json:"since"`
	Host  string    `json:"host"`
}

// begin takes the place, and sets the marker.
func (l *load) begin(ctx context.Context) error {
	s, err := l.e.pin(ctx)
	if err != nil {
		return err
	}
	if s.headAt != 0 {
		return errExists
	}
	var left *db.Error
	switch err = l.e.whyNone(ctx, s); {
	case errors.As(err, &left) && left.Code == codeUnfinished:
		l.again = true
	case !errors.Is(err, db.ErrAbsent):
		return err
	}
	host, _ := os.Hostname()
	text, err := json.Marshal(marker{time.Now().UTC().Truncate(time.Second), host})
	if err != nil {
		return err
	}
	var made bool
	_, err = l.e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
		if l.lease == 0 {
			granted, err := c.Grant(ctx, int64(loadingTerm/time.Second))
			if err != nil {
				return err
			}
			l.lease = granted.ID
		}
		r, err := c.Txn(ctx).If(l.absent(headKey), l.absent(loadingKey)).
			Then(clientv3.OpPut(l.e.prefix+unfinishedKey, string(text)), clientv3.OpPut(l.e.prefix+loadingKey, l.name, clientv3.WithLease(l.lease))).
			Else(clientv3.OpGet(l.e.prefix+loadingKey), clientv3.OpGet(l.e.prefix+unfinishedKey)).Commit()
		if err != nil {
			return err
		}
		if made = r.Succeeded; made {
			l.mark = r.Header.Revision
			return nil
		}
		who, _ := first(r.Responses[0].GetResponseRange().Kvs)
		_, l.mark = first(r.Responses[1].GetResponseRange().Kvs)
		made = string(who) == l.name // by a question whose answer was lost
		return nil
	})
	if err != nil {
		l.e.revoke(l.lease)
		return classify(err)
	}
	if !made {
		l.e.revoke(l.lease)
		return &db.Error{Kind: db.ErrLocked, Code: "store_locked", Reason: "another process fills the store below this prefix: wait until it has ended"}
	}
	l.hold()
	return nil
}

func (l *load) absent(key string) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(l.e.prefix+key), "=", 0)
}

// mine are the conditions under which a load may go on.
func (l *load) mine() []clientv3.Cmp {
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(l.e.prefix+unfinishedKey), "=", l.mark),
		clientv3.Compare(clientv3.Value(l.e.prefix+loadingKey), "=", l.name),
	}
}

// hold asks for more of the lease until leave.
func (l *load) hold() {
	ctx, cancel := context.WithCancel(l.e.ctx)
	var work sync.WaitGroup
	work.Go(l.e.guard("load", func() {
		for ctx.Err() == nil {
			pause(ctx, loadingTerm/5)
			_, _ = l.e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
				_, err := c.KeepAliveOnce(ctx, l.lease)
				return err
			})
		}
	}))
	l.stop = func() { cancel(); work.Wait() }
}

// leave lets another one have the place at once.
func (l *load) leave() {
	l.stop()
	l.e.revoke(l.lease)
}

var errOvertaken = &db.Error{Kind: db.ErrLocked, Code: "store_locked",
	Reason: "this process was held up for so long that another one may fill the store in its place: nothing more was written; run it again"}

// do carries out one step, as long as the place is this one's. Where that failed, it
// tells whether it may have been done.
func (l *load) do(ctx context.Context, ops ...clientv3.Op) (maybe bool, err error) {
	var r *clientv3.TxnResponse
	sent := 0
	asked, err := l.e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		sent++
		r, err = c.Txn(ctx).If(l.mine()...).Then(ops...).Else(clientv3.OpGet(l.e.prefix + headKey)).Commit()
		return err
	})
	switch {
	case err != nil:
		return asked.sent && !(sent == 1 && asked.refused), classify(err)
	case r.Succeeded:
		return false, nil
	}
	if text, _ := first(r.Responses[0].GetResponseRange().Kvs); text != nil && sent > 1 { // finish, whose answer was lost
		if h, err := decodeHead(text); err == nil && h.Commits[0] == l.name {
			return false, nil
		}
	}
	return false, errOvertaken
}

// clear deletes what one that was broken off has put.
func (l *load) clear(ctx context.Context) error {
	for _, part := range [][2]string{{"", own}, {behindOwn, "\xff"}} {
		at := l.e.prefix + part[0]
		for {
			var last string
			_, err := l.e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
				r, err := c.Get(ctx, at, clientv3.WithRange(l.e.prefix+part[1]), clientv3.WithLimit(clearAtOnce), clientv3.WithKeysOnly())
				if err == nil && len(r.Kvs) > 0 {
					last = string(r.Kvs[len(r.Kvs)-1].Key)
				}
				return err
			})
			if err != nil {
				return classify(err)
			}
			if last == "" {
				break
			}
			if _, err := l.do(ctx, clientv3.OpDelete(at, clientv3.WithRange(last+"\x00"))); err != nil {
				return err
			}
			at = last
		}
	}
	return nil
}

// fill commits what f puts, several commits at once.
func (l *load) fill(ctx context.Context, f func(put func(bucket string, key, value []byte) error) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	commits := make(chan []clientv3.Op)
	var work sync.WaitGroup
	for range loaders {
		work.Go(l.e.guard("load", func() {
			err := errGone // by a panic
			defer func() {
				if err != nil {
					fail(err)
				}
			}()
			for ops := range commits {
				if _, e := l.do(ctx, ops...); e != nil {
					err = e
					return
				}
			}
			err = nil
		}))
	}
	var ops []clientv3.Op
	size := 0
	commit := func() error {
		select {
		case commits <- ops:
			ops, size = nil, 0
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := f(func(bucket string, key, value []byte) error {
		n, err := name(bucket, key)
		switch {
		case err != nil:
			return err
		case len(key) == 0 || len(value) == 0 || len(n)+len(value) > bound.Bytes:
			return misuse("a record of %d bytes with a key of %d can't be kept", len(value), len(key))
		}
		if len(ops) > 0 && (len(ops) >= maxDirect || size+len(n)+len(value) > bound.Bytes) {
			if err := commit(); err != nil {
				return err
			}
		}
		ops, size = append(ops, clientv3.OpPut(l.e.prefix+n, string(value))), size+len(n)+len(value)
		return nil
	})
	if err == nil && len(ops) > 0 {
		err = commit()
	}
	close(commits)
	work.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// finish makes it a store.
func (l *load) finish(ctx context.Context) error {
	maybe, err := l.do(ctx, clientv3.OpPut(l.e.prefix+headKey, head{}.next(l.name).encode()),
		clientv3.OpDelete(l.e.prefix+unfinishedKey), clientv3.OpDelete(l.e.prefix+loadingKey))
	if maybe {
		return unknown(err)
	}
	return err
}

const codeUnfinished = "store_unfinished"

// unfinished says what a store is that is being filled, or was.
func unfinished(text []byte) error {
	var m marker
	since := ""
	if json.Unmarshal(text, &m) == nil && m.Host != "" {
		since = fmt.Sprintf(" (begun on %s, on %s)", m.Host, m.Since.Format(time.RFC3339))
	}
	return &db.Error{Kind: db.ErrDamaged, Code: codeUnfinished,
		Reason: "the store below this prefix is unfinished: it is being filled, or that was broken off" + since + "; where nothing fills it any more, run the same command again"}
}
