package db

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Checkpoints are what is kept of the hashes of entries that retention removed,
// so that one who kept such a hash elsewhere is told that the entry was pruned,
// and not that the log was written anew. They are signed by the store: who may
// write its file has the secret too, and could sign what they like.

// auditCheckpoints has checkpoints under running numbers.
const auditCheckpoints = "audit.checkpoint"

const (
	markSize        = 16  // bytes of an entry: its number and the beginning of its hash
	checkpointMarks = 256 // entries of a checkpoint
)

// How many checkpoints have their marks, which are those of the last million
// entries that went, and how many there are. Tests set them.
var fullCheckpoints, maxCheckpoints uint64 = 4096, 16 * 4096

// checkpoint tells of entries that went together. Older ones keep the last
// alone.
type checkpoint struct {
	Last  uint64 `json:"last"`            // number of the last entry that was added
	Hash  string `json:"hash"`            // of it; hex SHA-256
	Marks []byte `json:"marks,omitempty"` // of each entry its number and the first 8 bytes of its hash, big endian
	MAC   []byte `json:"mac"`             // HMAC-SHA-256 by the store's own secret
}

func parseCheckpoint(value []byte) (c checkpoint, ok bool) {
	err := json.Unmarshal(value, &c)
	return c, err == nil && len(c.Marks)%markSize == 0 && len(c.Marks) <= checkpointMarks*markSize && len(c.Hash) == hex.EncodedLen(32)
}

// holds tells whether an entry of the hash is among those that went; of that
// number, where it is not 0.
func (c *checkpoint) holds(number uint64, hash []byte) bool {
	of := func(seq uint64) bool { return number == 0 || number == seq }
	if c.Hash == hex.EncodeToString(hash) && of(c.Last) {
		return true
	}
	for mark := range slices.Chunk(c.Marks, markSize) {
		seq := binary.BigEndian.Uint64(mark)
		if seq != c.Last && of(seq) && string(mark[8:]) == string(hash[:8]) {
			return true
		}
	}
	return false
}

// newest is the highest number of its entries.
func (c *checkpoint) newest() (seq uint64) {
	for mark := range slices.Chunk(c.Marks, markSize) {
		seq = max(seq, binary.BigEndian.Uint64(mark))
	}
	return max(seq, c.Last)
}

func (c *checkpoint) add(e removed) {
	c.Last, c.Hash = e.Seq, e.hash()
	c.Marks = append(binary.BigEndian.AppendUint64(c.Marks, e.Seq), e.sum[:8]...)
}

func (c checkpoint) signed() (purpose, text string, mac []byte) {
	return "husk audit checkpoint", fmt.Sprintf("%d %s %x", c.Last, c.Hash, c.Marks), c.MAC
}

func (t *txn) putCheckpoint(n uint64, c checkpoint) (err error) {
	if c.MAC, err = t.ownMAC(c); err != nil {
		return err
	}
	return t.putJSON(auditCheckpoints, string(seqKey(n)), c)
}

// openCheckpoint reads one; false where it is damaged or not signed.
func (t *txn) openCheckpoint(key, sealed []byte) (c checkpoint, ok bool) {
	value, err := unseal(auditCheckpoints, key, sealed)
	if err != nil {
		return c, false
	}
	c, ok = parseCheckpoint(value)
	return c, ok && t.isSigned(c)
}

// newestCheckpoint returns the last one and its number, 0 where there is none.
func (t *txn) newestCheckpoint() (n uint64, c checkpoint, ok bool, err error) {
	err = t.Scan(auditCheckpoints, nil, nil, true, func(key, sealed []byte) bool {
		if len(key) == 8 {
			n = binary.BigEndian.Uint64(key)
			c, ok = t.openCheckpoint(key, sealed)
		}
		return n == 0
	})
	return n, c, ok, err
}

// keepHashes adds entries that go to the checkpoints: to the newest, as long as
// it has room and is whole.
func (t *txn) keepHashes(gone []removed, b *strangersBudget) error {
	n, c, ok, err := t.newestCheckpoint()
	if err != nil {
		return err
	}
	for i, e := range gone {
		if !ok || len(c.Marks) >= checkpointMarks*markSize {
			n, c, ok = n+1, checkpoint{}, true
			if err := t.thinCheckpoint(n, b); err != nil {
				return err
			}
		}
		c.add(e)
		if i == len(gone)-1 || len(c.Marks) == checkpointMarks*markSize {
			if err := t.putCheckpoint(n, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// thinCheckpoint makes room for a new one: it leaves of an older one its last
// entry alone, and removes a much older one.
func (t *txn) thinCheckpoint(newest uint64, b *strangersBudget) error {
	if newest > maxCheckpoints {
		if err := t.Delete(auditCheckpoints, seqKey(newest-maxCheckpoints)); err != nil {
			return err
		}
	}
	if newest <= fullCheckpoints {
		return nil
	}
	n := newest - fullCheckpoints
	sealed, err := t.Get(auditCheckpoints, seqKey(n))
	if err != nil || sealed == nil {
		return err
	}
	c, ok := t.openCheckpoint(seqKey(n), sealed)
	if !ok {
		return t.Delete(auditCheckpoints, seqKey(n))
	}
	b.Forgotten = max(b.Forgotten, c.newest())
	c.Marks = nil
	return t.putCheckpoint(n, c)
}

// wentByRetention tells whether an entry of the hash was removed by retention,
// as a checkpoint has it.
func (t *txn) wentByRetention(number uint64, known string) (went bool, err error) {
	hash, err := hex.DecodeString(known)
	if err != nil || len(hash) != 32 {
		return false, nil // no hash of an entry
	}
	err = t.Scan(auditCheckpoints, nil, nil, false, func(key, sealed []byte) bool {
		value, err := unseal(auditCheckpoints, key, sealed)
		if err != nil {
			return true
		}
		c, ok := parseCheckpoint(value)
		went = ok && c.holds(number, hash) && t.isSigned(c)
		return !went
	})
	return went, err
}

// forgotten tells whether retention removed an entry of the number so long ago
// that its hash is kept no more.
func (t *txn) forgotten(number uint64) (bool, error) {
	_, stub, err := t.auditEnds()
	if err != nil {
		return false, err
	}
	b, err := t.strangersBudget()
	if err != nil || number == 0 || number > b.Forgotten {
		return false, err
	}
	if number <= stub.Seq {
		return t.isSigned(stub), nil
	}
	r, ok := t.rangeAround(number)
	return ok && t.isSigned(r), nil
}

// takeCheckpoint takes over a checkpoint in a repair.
func takeCheckpoint(t *txn, key string, value []byte) error {
	if _, ok := parseCheckpoint(value); !ok || len(key) != 8 {
		return damagedRecord(auditCheckpoints, []byte(key))
	}
	return t.put(auditCheckpoints, []byte(key), value)
}

// signRangesAnew signs by a new secret what the one before had signed of
// ranges and checkpoints.
func (r *repair) signRangesAnew() error {
	for bucket, signed := range map[string]func(key, value []byte) error{
		auditRanges: func(key, value []byte) (err error) {
			was, _ := parseRange(key, value)
			if was.MAC, err = r.ownMAC(was); err != nil {
				return err
			}
			return r.putJSON(auditRanges, string(key), was)
		},
		auditCheckpoints: func(key, value []byte) error {
			was, _ := parseCheckpoint(value)
			return r.putCheckpoint(binary.BigEndian.Uint64(key), was)
		},
	} {
		var all entries
		err := r.scan(bucket, nil, nil, false, func(key, value []byte) bool {
			all.add(key, value)
			return true
		})
		for _, one := range all {
			err = errors.Join(err, signed(one.key, one.value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
