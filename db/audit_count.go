package db

import (
	"encoding/binary"
	"maps"
	"sync"
)

// auditCounts remembers how many entries filters were found to have, so that
// each page of a filter that very many have does not count them anew. The log
// grows at one end and loses to retention alone, so a count holds for what it
// was taken of: with as many gone, and with the entry that was the newest still
// at its place.
type auditCounts struct {
	sync.Mutex
	of map[string]auditCount // by the prefix of the index
}

type auditCount struct {
	cut  uint64 // how many retention had removed
	upto uint64 // newest number that was counted
	hash string // of that entry
	n    int64  // at most MaxWindow + 1
}

const (
	maxAuditCounts = 256
	minAuditCount  = 100 // fewer are counted each time
)

func (c *auditCounts) get(prefix []byte) auditCount {
	c.Lock()
	defer c.Unlock()
	return c.of[string(prefix)]
}

func (c *auditCounts) put(prefix []byte, count auditCount) {
	c.Lock()
	defer c.Unlock()
	if c.of == nil {
		c.of = map[string]auditCount{}
	}
	for other := range maps.Keys(c.of) {
		if len(c.of) < maxAuditCounts {
			break
		}
		delete(c.of, other)
	}
	c.of[string(prefix)] = count
}

// countExact returns how many entries an exact filter has, at most
// MaxWindow + 1.
func (t *txn) countExact(q AuditQuery, counts *auditCounts) (int64, error) {
	head, stub, err := t.auditEnds()
	if err != nil {
		return 0, err
	}
	bucket, prefix := q.index()
	known := counts.get(prefix)
	if !t.holds(known, head, stub) {
		known = auditCount{}
	}
	n := known.n
	if n <= MaxWindow {
		err = t.Scan(bucket, prefix, nil, true, func(key, _ []byte) bool {
			if len(key) != len(prefix)+8 {
				return true // what was asked for has a NUL, and another's keys begin so
			}
			if binary.BigEndian.Uint64(key[len(prefix):]) <= known.upto {
				return false
			}
			n++
			return n <= MaxWindow
		})
	}
	if err != nil || n < minAuditCount {
		return n, err
	}
	cut, err := t.auditCut(stub)
	if err == nil {
		counts.put(prefix, auditCount{cut: cut, upto: head.Seq, hash: head.Hash, n: n})
	}
	return n, err
}

// auditCut tells how many entries retention removed: each time it grows.
func (t *txn) auditCut(stub auditStub) (uint64, error) {
	b, err := t.strangersBudget()
	return stub.Seq + uint64(b.Pruned), err
}

// holds tells whether a count was taken of the log as this transaction sees
// it, but for what was appended since.
func (t *txn) holds(c auditCount, head auditHead, stub auditStub) bool {
	if c.n == 0 {
		return false
	}
	switch cut, err := t.auditCut(stub); {
	case err != nil || c.cut != cut:
		return false
	case c.upto == head.Seq:
		return c.hash == head.Hash
	}
	next := t.auditEntry(seqKey(c.upto + 1))
	return next != nil && next.Prev == c.hash
}
