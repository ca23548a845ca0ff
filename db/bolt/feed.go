package bolt

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"husk/db"
)

// maxUnheard is how many keys wait for one who listens. Beyond it an All stands
// for them.
const maxUnheard = 1 << 13

// feed tells those who listen what commits change.
type feed struct {
	heard  atomic.Bool // somebody listens
	closed chan struct{}
	close  sync.Once

	mu        sync.Mutex
	listeners []*listener
}

// listener has what one who listens did not hear yet; feed.mu is held.
type listener struct {
	unheard db.Changes
	wake    chan struct{} // has a place for one
}

// Feed implements db.Feeder. All who write the file do so by this Engine, so
// its own commits are all there are.
func (e *Engine) Feed(ctx context.Context, hear func(db.Changes)) error {
	l := e.feed.join()
	defer e.feed.leave(l)
	for ctx.Err() == nil {
		select {
		case <-e.feed.closed:
			return errClosed
		case <-l.wake:
			hear(e.feed.take(l))
		case <-ctx.Done():
		}
	}
	return nil
}

func (f *feed) join() *listener {
	l := &listener{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners = append(f.listeners, l)
	f.heard.Store(true)
	l.tell(db.Changes{All: true})
	return l
}

func (f *feed) leave(gone *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []*listener
	for _, l := range f.listeners {
		if l != gone {
			left = append(left, l)
		}
	}
	f.listeners = left
	f.heard.Store(len(left) > 0)
}

func (f *feed) take(l *listener) (c db.Changes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, l.unheard = l.unheard, db.Changes{}
	return c
}

// tell tells all who listen. One who began to while the transaction ran, which
// noted nothing then, is told that it may be anything.
func (f *feed) tell(n *noted) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := db.Changes{Keys: n.keys, All: !n.on}
	for _, l := range f.listeners {
		l.tell(c)
	}
}

func (l *listener) tell(c db.Changes) {
	switch {
	case l.unheard.All:
	case c.All || len(l.unheard.Keys)+len(c.Keys) > maxUnheard:
		l.unheard = db.Changes{All: true}
	default:
		l.unheard.Keys = append(l.unheard.Keys, c.Keys...)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// noted are the keys that a transaction changes, where somebody listens.
type noted struct {
	on   bool
	keys []db.Change // one more than maxUnheard at most
}

func (n *noted) note(bucket string, key []byte) {
	if n != nil && n.on && len(n.keys) <= maxUnheard {
		n.keys = append(n.keys, db.Change{Bucket: bucket, Key: bytes.Clone(key)})
	}
}
