package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"husk/db"
)

// Walk calls f for each record of one snapshot, bucket by bucket in the order of their
// names, and ends with the error of f. It reads in pages, so what it holds in memory does
// not grow with the store. Where etcd compacts its history meanwhile the rest of the
// snapshot is gone: that is ErrUnavailable.
func (e *Engine) Walk(ctx context.Context, f func(bucket string, key, value []byte) error) error {
	return e.View(ctx, func(tx db.Tx) error {
		t := tx.(*transaction)
		buckets, err := t.buckets()
		for _, bucket := range buckets {
			var failed error
			err = errors.Join(err, t.Scan(bucket, nil, nil, false, func(key, value []byte) bool {
				failed = f(bucket, key, value)
				return failed == nil
			}), failed)
			if err != nil {
				return err
			}
		}
		return err
	})
}

// own is where the engine's own keys are among all below the prefix, and behind them.
const own, behindOwn = "_", "`"

// buckets are the names of those that have records.
func (t *transaction) buckets() (names []string, err error) {
	for at := ""; ; {
		page, _, err := t.source.(*snapshot).page(t.ctx, at, "\xff", 1)
		if err != nil {
			return nil, t.fail(err)
		}
		if len(page) == 0 {
			break
		}
		if strings.HasPrefix(page[0].key, own) {
			at = behindOwn
			continue
		}
		bucket, _, ok := strings.Cut(page[0].key, "/")
		if !ok {
			return nil, damaged(fmt.Errorf("below the prefix is %q, which is no record", page[0].key))
		}
		names = append(names, bucket)
		at = bucket + "0" // behind the slash
	}
	for _, w := range t.below {
		for _, key := range w.order {
			bucket, _, _ := strings.Cut(key, "/")
			names = append(names, bucket)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Check implements db.Checker: what is below the prefix and is no record is to be what
// the engine makes.
func (e *Engine) Check(ctx context.Context, report func(error)) error {
	s, err := e.pin(ctx)
	if err != nil {
		return err
	}
	p := s.pages(own, behindOwn, false)
	for !p.over {
		page, err := p.next(ctx)
		if err != nil {
			return err
		}
		for _, r := range page {
			if r.key != headKey && r.key != redoKey && r.key != leaderKey && !strings.HasPrefix(r.key, noteKey) {
				report(fmt.Errorf("below the prefix is %q, which this husk does not know", r.key))
			}
		}
	}
	_, err = (&transaction{ctx: ctx, source: s}).buckets()
	if errors.Is(err, db.ErrDamaged) {
		report(err)
		return nil
	}
	return err
}
