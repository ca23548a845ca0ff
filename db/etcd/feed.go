package etcd

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
)

const (
	// maxUnheard is how many keys wait for one who listens. Beyond it an All stands
	// for them.
	maxUnheard = 1 << 13

	// trusted is how long what was heard is as good as what the store says.
	trusted = time.Second

	askEvery   = 200 * time.Millisecond // whether anything was missed
	mayLag     = 300 * time.Millisecond // how far what is heard may be behind what is there
	mayConnect = 400 * time.Millisecond // to a member, before another one is listened to
)

// feed has those who listen.
type feed struct {
	mu        sync.Mutex
	listeners []*listener
	fresh     atomic.Pointer[time.Time] // all who listen have heard what was there then; nil: nobody knows
}

// listener has what one who listens did not hear yet.
type listener struct {
	mu      sync.Mutex
	unheard db.Changes
	upTo    int64         // the revision that it goes up to
	wake    chan struct{} // has a place for one

	told  atomic.Int64 // the revision up to which it was told
	heard atomic.Int64 // up to which it has heard, and made of it what it makes of it
	fresh time.Time    // when the store was last known to have no more than that; feed.mu is held
}

func (l *listener) tell(c db.Changes, upTo int64) {
	l.mu.Lock()
	switch {
	case l.unheard.All:
	case c.All || len(l.unheard.Keys)+len(c.Keys) > maxUnheard:
		l.unheard = db.Changes{All: true}
	default:
		l.unheard.Keys = append(l.unheard.Keys, c.Keys...)
	}
	l.upTo = max(l.upTo, upTo)
	l.mu.Unlock()
	l.told.Store(upTo)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) take() (c db.Changes, upTo int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, l.unheard = l.unheard, db.Changes{}
	return c, l.upTo
}

// Feed implements db.Feeder. It listens to one member, and to another one where that
// says nothing of what others have.
func (e *Engine) Feed(ctx context.Context, hear func(db.Changes)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, e.guard("feed", cancel))()
	s, err := e.pin(ctx)
	if err != nil {
		if e.ctx.Err() != nil {
			return errClosed
		}
		return err
	}
	l := &listener{wake: make(chan struct{}, 1)}
	l.tell(db.Changes{All: true}, s.revision)
	e.join(l)
	defer e.leave(l)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	behind := make(chan struct{}, 1)
	work.Go(e.guard("feed", func() { e.listen(ctx, l, behind) }))
	work.Go(e.guard("feed", func() { e.compare(ctx, l, behind) }))
	for {
		select {
		case <-l.wake:
			c, upTo := l.take()
			if c.All || len(c.Keys) > 0 {
				hear(c)
			}
			l.heard.Store(upTo)
		case <-ctx.Done():
			if e.ctx.Err() != nil {
				return errClosed
			}
			return nil
		}
	}
}

func (e *Engine) join(l *listener) {
	e.feed.mu.Lock()
	defer e.feed.mu.Unlock()
	e.feed.listeners = append(e.feed.listeners, l)
	e.feed.fresh.Store(nil)
}

func (e *Engine) leave(gone *listener) {
	e.feed.mu.Lock()
	defer e.feed.mu.Unlock()
	var left []*listener
	for _, l := range e.feed.listeners {
		if l != gone {
			left = append(left, l)
		}
	}
	e.feed.listeners = left
	e.feed.fresh.Store(nil)
}

// known notes that a listener has heard all that was in the store at a time.
func (e *Engine) known(l *listener, at time.Time) {
	e.feed.mu.Lock()
	defer e.feed.mu.Unlock()
	l.fresh = at
	for _, other := range e.feed.listeners {
		if other.fresh.Before(at) {
			at = other.fresh
		}
	}
	if !at.IsZero() {
		e.feed.fresh.Store(&at)
	}
}

// Fresh implements db.Freshener: whether all that was in the store a second ago was
// heard. Both clocks are asked: the one that can't be set stands still while a machine
// sleeps.
func (e *Engine) Fresh() bool {
	at := e.feed.fresh.Load()
	if at == nil {
		return false
	}
	now := time.Now()
	wall := now.Round(0).Sub(at.Round(0))
	return now.Sub(*at) < trusted && wall < trusted && wall > -trusted
}

// compare asks again and again what the store's last commit is, and whether that was
// heard. The answer is a majority's, so a member that is cut off can't give it.
func (e *Engine) compare(ctx context.Context, l *listener, behind chan<- struct{}) {
	for ctx.Err() == nil {
		var asked time.Time
		var last int64
		_, err := e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
			asked = time.Now()
			r, err := c.Get(ctx, e.prefix+headKey, clientv3.WithKeysOnly())
			if err == nil && len(r.Kvs) > 0 {
				last = r.Kvs[0].ModRevision
			}
			return err
		})
		if err == nil {
			for l.heard.Load() < last && ctx.Err() == nil && time.Since(asked) < trusted {
				if l.told.Load() < last && time.Since(asked) > mayLag {
					select {
					case behind <- struct{}{}:
					default:
					}
				}
				pause(ctx, 2*time.Millisecond)
			}
			if l.heard.Load() >= last {
				e.known(l, asked)
			}
		}
		pause(ctx, askEvery)
	}
}

// listen tells a listener what is changed after what it was told.
func (e *Engine) listen(ctx context.Context, l *listener, behind <-chan struct{}) {
	for next := e.members.first.Load(); ctx.Err() == nil; next++ {
		m := e.members.all[int(next)%len(e.members.all)]
		within, cancel := context.WithTimeout(ctx, mayConnect)
		client, err := m.connected(within)
		cancel()
		if err == nil {
			e.listenTo(ctx, client, l, behind)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// listenTo listens to one member. How far it has come is told by the events alone: the
// revision beside them is the store's, which those of who is behind have not come to;
// and notifications of progress can come before the events that they are about
// (etcd-io/etcd#15220), as in the 3.4 that Debian has.
func (e *Engine) listenTo(ctx context.Context, c *clientv3.Client, l *listener, behind <-chan struct{}) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	select { // what was said of another member
	case <-behind:
	default:
	}
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(e.guard("feed", func() { // also while a member that stands still is asked
		select {
		case <-behind:
			cancel()
		case <-ctx.Done():
		}
	}))
	changes := c.Watch(ctx, e.prefix, clientv3.WithPrefix(), clientv3.WithRev(l.told.Load()+1))
	for {
		select {
		case r, ok := <-changes:
			switch {
			case ok && r.CompactRevision != 0: // what came between is gone
				if s, err := e.pin(ctx); err == nil {
					l.tell(db.Changes{All: true}, s.revision)
				}
				return
			case !ok || r.Err() != nil:
				return
			case len(r.Events) > 0:
				l.tell(e.changes(r.Events), r.Events[len(r.Events)-1].Kv.ModRevision)
			}
		case <-ctx.Done():
			return
		}
	}
}

// changes are the keys that were put and deleted by commits. Those of a large one are told
// when it is made; the steps in which it is carried out do not change the head.
func (e *Engine) changes(events []*clientv3.Event) (c db.Changes) {
	tell := func(key string) {
		if bucket, key, ok := strings.Cut(key, "/"); ok && key != "" {
			c.Keys = append(c.Keys, db.Change{Bucket: bucket, Key: []byte(key)})
		}
	}
	commits := map[int64]bool{}
	for _, event := range events {
		if string(event.Kv.Key) == e.prefix+headKey {
			commits[event.Kv.ModRevision] = true
		}
	}
	for _, event := range events {
		if !commits[event.Kv.ModRevision] {
			continue
		}
		key := strings.TrimPrefix(string(event.Kv.Key), e.prefix)
		switch {
		case key == redoKey && event.Type == clientv3.EventTypePut:
			w, err := decodeWrites(event.Kv.Value)
			if err != nil {
				return db.Changes{All: true}
			}
			for _, key := range w.order {
				tell(key)
			}
		case !strings.HasPrefix(key, "_"):
			tell(key)
		}
	}
	return c
}
