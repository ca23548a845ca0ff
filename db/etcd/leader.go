package etcd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	term     = 6 * time.Second // how long a leader that is not heard of is waited for
	campaign = 2 * time.Second // how often a leader is heard of, and who leads is looked at

	// margin is how much earlier a leader ends its term than the store does: clocks
	// do not run alike.
	margin = time.Second
)

// leader is what an engine knows of its own term.
type leader struct {
	once  sync.Once
	name  string
	lease atomic.Int64 // clientv3.LeaseID; 0: none
	until atomic.Int64 // its term, since began; 0: another one leads, or nobody
	began time.Time
}

// Leads implements db.Elector. Who leads has a key in the store under a lease. It says
// so for as long as the lease lasts since it last asked for more of it, and a little
// less: so it ends before anybody else can begin, whatever the clocks show.
func (e *Engine) Leads(context.Context) bool {
	e.leader.once.Do(func() {
		e.leader.name, e.leader.began = newName(), time.Now()
		e.work.Go(e.guard("election", e.campaign))
	})
	return e.ctx.Err() == nil && int64(time.Since(e.leader.began)) < e.leader.until.Load()
}

func (e *Engine) campaign() {
	for e.ctx.Err() == nil {
		e.stand()
		pause(e.ctx, campaign)
	}
}

// stand stays leader, or becomes it where nobody is. Where nobody answers, its term ends
// by itself.
func (e *Engine) stand() {
	began := time.Now()
	mine, err := e.elected()
	switch {
	case err == nil && mine:
		e.leader.until.Store(int64(began.Add(term - margin).Sub(e.leader.began)))
	case err == nil:
		e.leader.until.Store(0)
	}
}

// elected tells whether this engine leads from now on for as long as a lease lasts.
func (e *Engine) elected() (mine bool, err error) {
	key := e.prefix + leaderKey
	lease := clientv3.LeaseID(e.leader.lease.Load())
	defer func() { e.leader.lease.Store(int64(lease)) }()
	_, err = e.members.ask(e.ctx, func(ctx context.Context, c *clientv3.Client) error {
		if lease != 0 {
			_, err := c.KeepAliveOnce(ctx, lease)
			if errors.Is(err, rpctypes.ErrLeaseNotFound) {
				lease, err = 0, nil
			}
			if err != nil {
				return err
			}
		}
		r, err := c.Get(ctx, key)
		if err != nil || len(r.Kvs) > 0 {
			mine = err == nil && lease != 0 && string(r.Kvs[0].Value) == e.leader.name
			return err
		}
		if lease == 0 {
			granted, err := c.Grant(ctx, int64(term/time.Second))
			if err != nil {
				return err
			}
			lease = granted.ID
		}
		put, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, e.leader.name, clientv3.WithLease(lease))).Commit()
		mine = err == nil && put.Succeeded
		return err
	})
	return mine, err
}

// resign ends the term at once, so that another one begins.
func (e *Engine) resign() {
	e.leader.until.Store(0)
	e.revoke(clientv3.LeaseID(e.leader.lease.Swap(0)))
}

// revoke ends a lease, and what is kept under it; where nobody answers soon, time does.
func (e *Engine) revoke(lease clientv3.LeaseID) {
	if lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Revoke(ctx, lease)
		return err
	})
}
