package etcd

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxOps is how many operations etcd takes in a transaction by default.
const maxOps = 128

// snapshot is the store at one revision.
type snapshot struct {
	members  *members
	prefix   string
	revision int64

	head   head
	headAt int64   // the revision of the commit that made it; 0: there is none
	redo   *writes // what that commit is yet to write; nil: nothing
	redoAt int64
}

// pin takes a snapshot of what is there now: it has all that was acknowledged before.
func (e *Engine) pin(ctx context.Context) (*snapshot, error) {
	s := &snapshot{members: e.members, prefix: e.prefix}
	var r *clientv3.TxnResponse
	_, err := e.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		r, err = c.Txn(ctx).Then(s.controls()...).Commit()
		return err
	})
	if err != nil {
		return nil, classify(err)
	}
	return s, s.read(r)
}

// controls are the operations that read what is the engine's own.
func (s *snapshot) controls() []clientv3.Op {
	return []clientv3.Op{clientv3.OpGet(s.prefix + headKey), clientv3.OpGet(s.prefix + redoKey)}
}

// read takes what controls answered.
func (s *snapshot) read(r *clientv3.TxnResponse) (err error) {
	s.revision = r.Header.Revision
	if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		s.headAt = kvs[0].ModRevision
		if s.head, err = decodeHead(kvs[0].Value); err != nil {
			return err
		}
	}
	if kvs := r.Responses[1].GetResponseRange().Kvs; len(kvs) > 0 {
		s.redoAt = kvs[0].ModRevision
		if s.redo, err = decodeWrites(kvs[0].Value); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// do carries out one reading transaction at the revision. Who has come so far is asked
// for what it has by itself, others only with the leader's word.
func (s *snapshot) do(ctx context.Context, op func(at ...clientv3.OpOption) []clientv3.Op) (r *clientv3.TxnResponse, err error) {
	_, err = s.members.ask(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		r, err = c.Txn(ctx).Then(op(clientv3.WithRev(s.revision), clientv3.WithSerializable())...).Commit()
		if e, ok := said(err); ok && e == rpctypes.ErrFutureRev {
			r, err = c.Txn(ctx).Then(op(clientv3.WithRev(s.revision))...).Commit()
		}
		return err
	})
	return r, classify(err)
}

// get returns the values of keys, nil where there is none.
func (s *snapshot) get(ctx context.Context, keys []string) (values [][]byte, err error) {
	for len(keys) > 0 {
		some := keys[:min(len(keys), maxOps)]
		keys = keys[len(some):]
		r, err := s.do(ctx, func(at ...clientv3.OpOption) (ops []clientv3.Op) {
			for _, key := range some {
				ops = append(ops, clientv3.OpGet(s.prefix+key, at...))
			}
			return ops
		})
		if err != nil {
			return nil, err
		}
		for i := range some {
			var value []byte
			if kvs := r.Responses[i].GetResponseRange().Kvs; len(kvs) > 0 {
				value = kvs[0].Value
			}
			values = append(values, value)
		}
	}
	return values, nil
}

// record is a key below the prefix with its value.
type record struct {
	key   string
	value []byte
}

// page returns the first records from lo to before hi, at most limit of them.
func (s *snapshot) page(ctx context.Context, lo, hi string, limit int) (page []record, more bool, err error) {
	r, err := s.do(ctx, func(at ...clientv3.OpOption) []clientv3.Op {
		return []clientv3.Op{clientv3.OpGet(s.prefix+lo, append(at, clientv3.WithRange(s.prefix+hi), clientv3.WithLimit(int64(limit)))...)}
	})
	if err != nil {
		return nil, false, err
	}
	got := r.Responses[0].GetResponseRange()
	for _, kv := range got.Kvs {
		page = append(page, record{s.name(kv), kv.Value})
	}
	return page, got.More, nil
}

// firsts returns the first key at or after each of cuts and before hi, "" where there
// is none.
func (s *snapshot) firsts(ctx context.Context, cuts []string, hi string) ([]string, error) {
	r, err := s.do(ctx, func(at ...clientv3.OpOption) (ops []clientv3.Op) {
		for _, cut := range cuts {
			ops = append(ops, clientv3.OpGet(s.prefix+cut, append(at, clientv3.WithRange(s.prefix+hi), clientv3.WithLimit(1), clientv3.WithKeysOnly())...))
		}
		return ops
	})
	if err != nil {
		return nil, err
	}
	found := make([]string, len(cuts))
	for i := range cuts {
		if kvs := r.Responses[i].GetResponseRange().Kvs; len(kvs) > 0 {
			found[i] = s.name(kvs[0])
		}
	}
	return found, nil
}

func (s *snapshot) name(kv *mvccpb.KeyValue) string {
	return strings.TrimPrefix(string(kv.Key), s.prefix)
}

// errCompacted tells whether a snapshot is gone with the history that it was in.
func errCompacted(err error) bool {
	var e rpctypes.EtcdError
	return errors.As(err, &e) && e == rpctypes.ErrCompacted
}
