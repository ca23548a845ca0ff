package etcd

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	noteKey  = "_note/"
	maxNotes = 1000 // that are listed
)

// Note changes the note of that name by f, which gets what it is now, nil where there is
// none, and returns what it is to be: nil is none, and the very same is no change. All
// processes over the store have the same notes, and of two that change one at once the
// second one's f runs again. So it does over its own note, too, where the answer to that
// was lost. An error of f ends it, and is returned.
//
// A note is for what the processes share beside the records: it is in no backup, tells no
// feed, and no commit waits for it. It ends life after it was set last, or a little later:
// at most twice that.
func (e *Engine) Note(ctx context.Context, name string, life time.Duration, f func(now []byte) (next []byte, err error)) error {
	key := e.prefix + noteKey + name
	now, at, err := e.note(ctx, key)
	for began, tries := time.Now(), 0; err == nil; tries++ {
		next, err := f(bytes.Clone(now))
		if err != nil || (now != nil && bytes.Equal(next, now)) || (now == nil && next == nil) {
			return err
		}
		var made bool
		made, now, at, err = e.setNote(ctx, key, at, next, life)
		switch {
		case err != nil || made:
			return err
		case time.Since(began) > mayMeet:
			return unavailable("others change the same note so often that this change found no turn: try again", nil)
		}
		pause(ctx, time.Millisecond<<min(tries, 5))
	}
	return err
}

// note reads a note, and the revision that it was set at; 0: there is none.
func (e *Engine) note(ctx context.Context, key string) (now []byte, at int64, err error) {
	_, err = e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, key)
		if err == nil {
			now, at = first(r.Kvs)
		}
		return err
	})
	return now, at, classify(err)
}

func first(kvs []*mvccpb.KeyValue) (value []byte, at int64) {
	if len(kvs) == 0 {
		return nil, 0
	}
	return kvs[0].Value, kvs[0].ModRevision
}

// setNote sets a note that was set at a revision last; or it returns what it is instead.
func (e *Engine) setNote(ctx context.Context, key string, at int64, next []byte, life time.Duration) (made bool, now []byte, then int64, err error) {
	_, err = e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
		r, err := e.trySet(ctx, c, key, at, next, life)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) { // the store's time went on without this process
			e.leases.forget(life)
			r, err = e.trySet(ctx, c, key, at, next, life)
		}
		if err != nil {
			return err
		}
		if made = r.Succeeded; !made {
			now, then = first(r.Responses[0].GetResponseRange().Kvs)
		}
		return nil
	})
	return made, now, then, classify(err)
}

func (e *Engine) trySet(ctx context.Context, c *clientv3.Client, key string, at int64, next []byte, life time.Duration) (*clientv3.TxnResponse, error) {
	set := clientv3.OpDelete(key)
	if next != nil {
		lease, err := e.leases.of(ctx, c, life)
		if err != nil {
			return nil, err
		}
		set = clientv3.OpPut(key, string(next), clientv3.WithLease(lease))
	}
	return c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).Then(set).Else(clientv3.OpGet(key)).Commit()
}

// Notes are those whose names begin so, by their names; the first of them, where there
// are very many.
func (e *Engine) Notes(ctx context.Context, beginning string) (notes map[string][]byte, err error) {
	_, err = e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, e.prefix+noteKey+beginning, clientv3.WithPrefix(), clientv3.WithLimit(maxNotes))
		if err != nil {
			return err
		}
		notes = make(map[string][]byte, len(r.Kvs))
		for _, kv := range r.Kvs {
			notes[strings.TrimPrefix(string(kv.Key), e.prefix+noteKey)] = kv.Value
		}
		return nil
	})
	return notes, classify(err)
}

// leases are those that notes end with. One of each life is enough: it is taken for all
// notes that begin within one life, and lasts for two. A lease for each note would be
// one more commit of the store's for each.
type leases struct {
	mu     sync.Mutex
	byLife map[time.Duration]lease
}

type lease struct {
	id    clientv3.LeaseID
	until time.Time
}

func (l *leases) of(ctx context.Context, c *clientv3.Client, life time.Duration) (clientv3.LeaseID, error) {
	l.mu.Lock()
	known := l.byLife[life]
	l.mu.Unlock()
	if time.Until(known.until) > life {
		return known.id, nil
	}
	began := time.Now()
	granted, err := c.Grant(ctx, int64((2*life+time.Second-1)/time.Second))
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byLife == nil {
		l.byLife = map[time.Duration]lease{}
	}
	l.byLife[life] = lease{granted.ID, began.Add(2 * life)}
	return granted.ID, nil
}

func (l *leases) forget(life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byLife, life)
}
