package etcd

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	turnKey  = noteKey + "turn"
	turnLife = time.Second // after twice that a turn that nobody took is over

	// fairTries is how many others may come before a commit until it asks for its turn.
	fairTries = 2
)

// turn is what a process knows of the one of all processes. Who has just committed knows
// all that the next commit needs, and would come first again and again: who came too late
// too often asks for its turn, and until it has committed, or its turn is over, nobody
// else does. Who commits has it.
type turn struct {
	name string
	mine bool
}

// askTurn asks for the turn, where nobody has it.
func (e *Engine) askTurn() {
	if e.turn.name == "" {
		e.turn.name = newName()
	}
	_, err := e.members.ask(e.ctx, func(ctx context.Context, c *clientv3.Client) error {
		lease, err := e.leases.of(ctx, c, turnLife)
		if err != nil {
			return err
		}
		key := e.prefix + turnKey
		r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, e.turn.name, clientv3.WithLease(lease))).Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			e.leases.forget(turnLife)
			return err
		}
		e.turn.mine = r.Succeeded || isTurn(r.Responses[0], e.turn.name)
		return nil
	})
	if err != nil {
		e.turn.mine = false // the commit finds out what is the matter
	}
}

// passTurn gives back a turn in which there was nothing to commit.
func (e *Engine) passTurn() {
	if !e.turn.mine {
		return
	}
	e.turn.mine = false
	key := e.prefix + turnKey
	_, _ = e.members.ask(e.ctx, func(ctx context.Context, c *clientv3.Client) error { // else it is over soon
		_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Value(key), "=", e.turn.name)).Then(clientv3.OpDelete(key)).Commit()
		return err
	})
}

// mayCommit are the conditions of a commit: that the head is the one that was read, and
// that it is nobody else's turn.
func (e *Engine) mayCommit(on *snapshot) []clientv3.Cmp {
	same := clientv3.Compare(clientv3.ModRevision(e.prefix+headKey), "=", on.headAt)
	switch {
	case on.headAt == 0: // a new store
		return []clientv3.Cmp{same}
	case e.turn.mine:
		return []clientv3.Cmp{same, clientv3.Compare(clientv3.Value(e.prefix+turnKey), "=", e.turn.name)}
	}
	return []clientv3.Cmp{same, clientv3.Compare(clientv3.CreateRevision(e.prefix+turnKey), "=", 0)}
}

// isTurn tells whether it is the turn of a name by an answer to who has it.
func isTurn(r *pb.ResponseOp, name string) bool {
	value, at := first(r.GetResponseRange().Kvs)
	return at != 0 && string(value) == name
}
