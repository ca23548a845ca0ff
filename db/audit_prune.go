package db

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// auditStub is what retention leaves of the entries that it removed from the
// beginning: their end, signed by the store, so that the rest still verifies.
type auditStub struct {
	Seq    uint64 `json:"seq"`              // of the newest entry that was removed
	Hash   string `json:"hash"`             // of that entry
	Change string `json:"change,omitempty"` // of the newest of them that was no stranger's; empty where nothing tells it
	MAC    []byte `json:"mac"`              // HMAC-SHA-256 by the store's own secret
}

const metaStub = "audit.stub"

// Retention is what PruneAudit keeps. Of the two numbers 0 is all.
type Retention struct {
	Since    time.Time // what is older goes; zero: nothing goes for its age
	Changes  int64     // entries of changes, and of whatever known people did
	Refusals int64     // entries of strangers, whose refusals push nothing else out
}

// PruneAudit removes the entries that are older than keep.Since, and the oldest
// beyond its numbers: changes from the beginning of the log, with what strangers
// were refused among them; of strangers besides what is too many, out of the
// middle. It goes in small steps and tells how many went. While the clock is in
// doubt none is too old.
func (s *Store) PruneAudit(ctx context.Context, keep Retention) (removed int, err error) {
	if _, certain := s.clock.settledMark(); !certain {
		keep.Since = time.Time{}
	}
	for more := true; more && err == nil; {
		n := 0
		err = s.update(ctx, &Actor{ID: OwnActor, Name: OwnActor}, func(t *txn) (err error) {
			n, err = t.pruneAudit(keep)
			more = n == t.pruneStep()
			return err
		})
		if err == nil {
			removed += n
		}
	}
	return removed, err
}

// pruneStep is how many entries one transaction removes, each with its index and
// the ranges beside it, and those of the checkpoints that it makes.
func (t *txn) pruneStep() int { return t.step(sweepStep, auditWrites+3) }

// removed is an entry that goes.
type removed struct {
	Event
	sum [sha256.Size]byte
}

func (e *removed) hash() string { return hex.EncodeToString(e.sum[:]) }

func (t *txn) pruneAudit(keep Retention) (n int, err error) {
	err = t.inBudget(func(b *strangersBudget) error {
		gone, err := t.pruneFront(keep, b)
		if err != nil {
			return err
		}
		middle, err := t.pruneStrangers(keep.Refusals, t.pruneStep()-len(gone), b)
		if err != nil {
			return err
		}
		gone = append(gone, middle...)
		n = len(gone)
		return t.keepHashes(gone, b)
	})
	return n, err
}

// pruneFront removes a step of what is too old, or one change too many, from
// the beginning.
func (t *txn) pruneFront(keep Retention, b *strangersBudget) ([]removed, error) {
	head, stub, err := t.auditEnds()
	if err != nil {
		return nil, err
	}
	surplus := int64(0)
	if n := int64(head.Seq-stub.Seq) - t.lostEntries(stub.Seq) - b.Pruned - b.Kept - keep.Changes; keep.Changes > 0 && n >= sweepStep {
		surplus = n // a whole step at least: each leaves an entry of its own
	}
	var gone []removed
	err = t.scan(auditBucket, nil, nil, false, func(_, value []byte) bool {
		e := removed{sum: sha256.Sum256(value)}
		if unmarshal(value, &e.Event) != nil || (surplus <= 0 && !e.Time.Before(keep.Since)) || e.Seq == head.Seq {
			return false
		}
		if !e.stranger() {
			surplus--
			stub.Change = e.hash()
		}
		gone = append(gone, e)
		return len(gone) < t.pruneStep()
	})
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	last := gone[len(gone)-1]
	stub.Seq, stub.Hash = last.Seq, last.hash()
	if err := t.removeEvents(gone, b); err != nil {
		return nil, err
	}
	if err := t.putStub(stub, b); err != nil {
		return nil, err
	}
	return gone, t.auditPrune(fmt.Sprint(stub.Seq))
}

// pruneStrangers removes the oldest entries of strangers beyond most, room of
// them at most, and leaves ranges in their places.
func (t *txn) pruneStrangers(most int64, room int, b *strangersBudget) ([]removed, error) {
	surplus := b.Kept - most
	if most <= 0 || surplus < sweepStep || room <= 0 {
		return nil, nil
	}
	head, stub, err := t.auditEnds()
	if err != nil {
		return nil, err
	}
	gone, err := t.oldestStrangers(int(min(surplus, int64(room))), head.Seq)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	if err := t.removeEvents(gone, b); err != nil {
		return nil, err
	}
	for begin, i := 0, 1; i <= len(gone); i++ {
		if i < len(gone) && gone[i].Seq == gone[i-1].Seq+1 {
			continue
		}
		first, last := gone[begin], gone[i-1]
		r := auditRange{From: first.Seq, To: last.Seq, Prev: first.Prev, Hash: last.hash()}
		if err := t.putRange(r); err != nil {
			return nil, err
		}
		b.Pruned += r.size()
		begin = i
	}
	if err := t.putStub(stub, b); err != nil {
		return nil, err
	}
	return gone, t.auditPrune(fmt.Sprintf("refusals up to %d", gone[len(gone)-1].Seq))
}

// oldestStrangers returns up to n entries of strangers, the oldest first, and
// none of a number from end on. A damaged one stays, for a verdict to name.
func (t *txn) oldestStrangers(n int, end uint64) (oldest []removed, err error) {
	err = t.Scan(auditIndex, indexPrefix(byStranger, everything), nil, false, func(key, _ []byte) bool {
		key = key[len(key)-8:]
		if binary.BigEndian.Uint64(key) >= end {
			return false
		}
		value, err := t.get(auditBucket, key)
		if err != nil || value == nil {
			return true
		}
		e := removed{sum: sha256.Sum256(value)}
		if unmarshal(value, &e.Event) == nil && e.stranger() && string(seqKey(e.Seq)) == string(key) {
			oldest = append(oldest, e)
		}
		return len(oldest) < n
	})
	return oldest, err
}

// removeEvents removes entries with what they are found by.
func (t *txn) removeEvents(gone []removed, b *strangersBudget) error {
	for i := range gone {
		e := &gone[i].Event
		for _, k := range auditIndexKeys(e) {
			if err := t.Delete(auditIndex, k); err != nil {
				return err
			}
		}
		if err := t.Delete(auditBucket, seqKey(e.Seq)); err != nil {
			return err
		}
		if e.stranger() {
			b.Kept--
		}
	}
	return nil
}

// putStub writes the stub, with the ranges that it reaches.
func (t *txn) putStub(stub auditStub, b *strangersBudget) (err error) {
	if err := t.absorbRanges(&stub, b); err != nil || stub.Seq == 0 {
		return err
	}
	if stub.MAC, err = t.ownMAC(stub); err != nil {
		return err
	}
	return t.putJSON(metaBucket, metaStub, stub)
}

// auditPrune tells of a step of retention.
func (t *txn) auditPrune(upto string) error {
	return t.audit("audit.prune", Literal(upto))
}

// signed implements signable. Without a change it is as that of schema 2.
func (stub auditStub) signed() (purpose, text string, mac []byte) {
	text = fmt.Sprintf("%d %s", stub.Seq, stub.Hash)
	if stub.Change != "" {
		text += " " + stub.Change
	}
	return "husk audit stub", text, stub.MAC
}
