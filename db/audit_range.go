package db

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// auditRange is what retention leaves of strangers' entries that stood one
// behind the other in the middle of the chain. It is signed by the store, and
// ranges that touch are made one, so that there are no more of them than there
// are entries that stay. It holds strangers' entries alone: what the entry
// behind it says of the change before (Event.PrevChange) proves that, to who
// keeps a hash elsewhere, also against the store's own signature.
type auditRange struct {
	From uint64 `json:"from"` // number of the first entry
	To   uint64 `json:"to"`   // of the last
	Prev string `json:"prev"` // hash of the entry before From
	Hash string `json:"hash"` // of the entry To
	MAC  []byte `json:"mac"`  // HMAC-SHA-256 by the store's own secret
}

// auditRanges has the ranges under the number of their first entry.
const auditRanges = "audit.pruned"

func (r *auditRange) size() int64 { return int64(r.To - r.From + 1) }

// parseRange reads a range; false where it is none, or in another's place.
func parseRange(key, value []byte) (r auditRange, ok bool) {
	err := json.Unmarshal(value, &r)
	return r, err == nil && len(key) == 8 && r.From == binary.BigEndian.Uint64(key) && r.From > 0 && r.To >= r.From && r.To < 1<<63
}

// signable is what the store signs with its own secret.
type signable interface {
	// signed returns what is signed, and the MAC that it has.
	signed() (purpose, text string, mac []byte)
}

func (t *txn) ownMAC(s signable) ([]byte, error) {
	var r secretRecord
	if found, err := t.getJSON(metaBucket, metaSecret, &r); err != nil || !found {
		return nil, errors.Join(err, damagedRecord(metaBucket, []byte(metaSecret)))
	}
	purpose, text, _ := s.signed()
	return sign(r.Secret, purpose, text)
}

func (t *txn) isSigned(s signable) bool {
	made, err := t.ownMAC(s)
	_, _, mac := s.signed()
	return err == nil && slices.Equal(made, mac)
}

func (r auditRange) signed() (purpose, text string, mac []byte) {
	return "husk audit range", fmt.Sprintf("%d %d %s %s", r.From, r.To, r.Prev, r.Hash), r.MAC
}

// eachRange calls f for the ranges that begin at a number or behind it, until
// it answers false; with ok false for one that can't be read, of which its
// place is known at most.
func (t *txn) eachRange(from uint64, f func(r auditRange, ok bool) (more bool)) error {
	return t.Scan(auditRanges, nil, seqKey(from), false, func(key, sealed []byte) bool {
		r, ok := openRange(key, sealed)
		return f(r, ok)
	})
}

func openRange(key, sealed []byte) (r auditRange, ok bool) {
	value, err := unseal(auditRanges, key, sealed)
	if err == nil {
		r, ok = parseRange(key, value)
	}
	if !ok && len(key) == 8 {
		r = auditRange{From: binary.BigEndian.Uint64(key)}
	}
	return r, ok
}

// rangeAround returns the range that has an entry.
func (t *txn) rangeAround(seq uint64) (r auditRange, ok bool) {
	err := t.Scan(auditRanges, nil, seqKey(seq), true, func(key, sealed []byte) bool {
		r, ok = openRange(key, sealed)
		return false
	})
	return r, err == nil && ok && r.From <= seq && seq <= r.To
}

// rangeBetween returns where the first range begins that does so behind one
// entry and before another.
func (t *txn) rangeBetween(behind, before uint64) (from uint64, ok bool) {
	err := t.eachRange(behind+1, func(r auditRange, whole bool) bool {
		from, ok = r.From, whole && r.From < before
		return !whole && r.From < before
	})
	return from, err == nil && ok
}

// putRange writes a range, as one with those that it touches. One that is not
// signed is left as it is: nothing signs it by the way.
func (t *txn) putRange(r auditRange) (err error) {
	if left, ok := t.rangeAround(r.From - 1); ok && left.To == r.From-1 && left.Hash == r.Prev && t.isSigned(left) {
		r.From, r.Prev = left.From, left.Prev
	}
	if right, ok := t.rangeAround(r.To + 1); ok && right.From == r.To+1 && right.Prev == r.Hash && t.isSigned(right) {
		r.To, r.Hash = right.To, right.Hash
		if err := t.Delete(auditRanges, seqKey(right.From)); err != nil {
			return err
		}
	}
	if r.MAC, err = t.ownMAC(r); err != nil {
		return err
	}
	return t.putJSON(auditRanges, string(seqKey(r.From)), r)
}

// absorbRanges has the stub take in the ranges before its end, and the one that
// it touches.
func (t *txn) absorbRanges(stub *auditStub, b *strangersBudget) error {
	var gone []uint64
	err := t.eachRange(0, func(r auditRange, ok bool) bool {
		switch {
		case r.From <= stub.Seq:
		case ok && r.From == stub.Seq+1 && r.Prev == stub.Hash && t.isSigned(r):
			stub.Seq, stub.Hash = r.To, r.Hash
		default:
			return false
		}
		if ok {
			b.Pruned -= r.size()
		}
		gone = append(gone, r.From)
		return true
	})
	for _, from := range gone {
		err = errors.Join(err, t.Delete(auditRanges, seqKey(from)))
	}
	return err
}

// takeRange takes over a range in a repair.
func takeRange(t *txn, key string, value []byte) error {
	if _, ok := parseRange([]byte(key), value); !ok {
		return damagedRecord(auditRanges, []byte(key))
	}
	return t.put(auditRanges, []byte(key), value)
}
