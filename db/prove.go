package db

import (
	"context"
	"time"
)

const metaProof = "proof"

// proofRecord is what ProveWrite writes.
type proofRecord struct {
	Time time.Time `json:"time"`
}

// ProveWrite makes one small change, to prove that changes can be made. It
// changes nothing that anybody reads.
func (s *Store) ProveWrite(ctx context.Context) error {
	return s.update(ctx, &Actor{}, func(t *txn) error { return t.putJSON(metaBucket, metaProof, proofRecord{t.now}) })
}
