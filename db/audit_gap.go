package db

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// auditGap is what a repair leaves of entries that damage took: their place,
// and the hash of the last of them as the entry behind it has it, so that the
// rest still verifies. It is signed by the store. It forges nothing: the
// entries stay missing, and every verdict names them.
type auditGap struct {
	From uint64 `json:"from"` // number of the first entry that is missing
	To   uint64 `json:"to"`   // of the last
	Hash string `json:"hash"` // hex SHA-256 of the entry To; "" where nothing tells it
	MAC  []byte `json:"mac"`  // HMAC-SHA-256 by the store's own secret
}

func (g *auditGap) String() string {
	if g.From == g.To {
		return fmt.Sprintf("entry %d was lost to damage", g.From)
	}
	return fmt.Sprintf("entries %d to %d were lost to damage", g.From, g.To)
}

const metaGaps = "audit.gaps"

func (t *txn) auditGaps() (gaps []auditGap, err error) {
	_, err = t.getJSON(metaBucket, metaGaps, &gaps)
	return gaps, err
}

// lostEntries counts what damage took of the entries behind a number.
func (t *txn) lostEntries(behind uint64) (n int64) {
	gaps, _ := t.auditGaps() // a damaged one is the verdict's to tell
	for _, g := range gaps {
		if g.From > behind {
			n += int64(g.To - g.From + 1)
		}
	}
	return n
}

func (t *txn) gapMAC(g auditGap) ([]byte, error) {
	var r secretRecord
	if found, err := t.getJSON(metaBucket, metaSecret, &r); err != nil || !found {
		return nil, errors.Join(err, damagedRecord(metaBucket, []byte(metaSecret)))
	}
	return sign(r.Secret, "husk audit gap", fmt.Sprintf("%d %d %s", g.From, g.To, g.Hash))
}

func (t *txn) gapSigned(g auditGap) bool {
	mac, err := t.gapMAC(g)
	return err == nil && slices.Equal(mac, g.MAC)
}

// beginGaps takes up the gaps behind what retention removed.
func (v *auditVerifier) beginGaps(t *txn) {
	gaps, err := t.auditGaps()
	if err != nil {
		v.problem("the record of what damage took can't be read")
	}
	for _, g := range gaps {
		switch {
		case g.To < v.next:
		case !t.gapSigned(g):
			v.problem("the record of a gap, entries %d to %d, is not signed by this store", g.From, g.To)
		default:
			v.gaps = append(v.gaps, g)
		}
	}
}

// cross goes over a gap that ends before the number, where there is one.
func (v *auditVerifier) cross(seq uint64) (crossed bool) {
	for _, g := range v.gaps {
		if g.From == v.next && g.To == seq-1 {
			v.Gaps = append(v.Gaps, g.String())
			v.next, v.sum = seq, g.Hash
			v.found = v.found || (v.sum == v.known && v.known != "")
			return true
		}
	}
	return false
}

// mendAudit finds the gaps of the log, writes them down, and its end where
// that is lost.
func (r *repair) mendAudit() error {
	head, stub, err := r.auditEnds()
	if err != nil {
		return err
	}
	gaps, err := r.auditGaps()
	if err != nil {
		return err
	}
	gap := func(g auditGap) {
		var added bool
		if gaps, added = addGap(gaps, g); added {
			note(&r.Lost, "audit: %s", g.String())
		}
	}
	next, last := stub.Seq+1, stub.Hash
	err = r.scan(auditBucket, nil, nil, false, func(key, value []byte) bool {
		seq := binary.BigEndian.Uint64(key)
		var e Event
		if seq != next && json.Unmarshal(value, &e) == nil {
			gap(auditGap{From: next, To: seq - 1, Hash: e.Prev})
		}
		sum := sha256.Sum256(value)
		next, last = seq+1, hex.EncodeToString(sum[:])
		return true
	})
	if err != nil {
		return err
	}
	switch {
	case head.Seq == 0 && next > 1:
		note(&r.Made, "the end of the audit log, at entry %d: whether there were more is not known", next-1)
		err = r.putJSON(metaBucket, metaHead, auditHead{Seq: next - 1, Hash: last})
	case next <= head.Seq:
		gap(auditGap{From: next, To: head.Seq, Hash: head.Hash})
	}
	return errors.Join(err, r.putGaps(gaps))
}

// addGap adds a gap that is not known yet, in the place of those within it.
func addGap(gaps []auditGap, g auditGap) (all []auditGap, added bool) {
	if slices.ContainsFunc(gaps, func(known auditGap) bool { return known.From == g.From && known.To == g.To }) {
		return gaps, false
	}
	gaps = slices.DeleteFunc(gaps, func(known auditGap) bool { return known.From >= g.From && known.To <= g.To })
	return append(gaps, g), true
}

func (r *repair) putGaps(gaps []auditGap) (err error) {
	if len(gaps) == 0 {
		return nil
	}
	for i := range gaps {
		if gaps[i].MAC, err = r.gapMAC(gaps[i]); err != nil {
			return err
		}
	}
	return r.putJSON(metaBucket, metaGaps, gaps)
}

// signAnew signs by a new secret what the one before had signed.
func (r *repair) signAnew() error {
	_, stub, err := r.auditEnds()
	if err != nil || stub.Seq == 0 {
		return err
	}
	if stub.MAC, err = r.stubMAC(stub); err != nil {
		return err
	}
	return r.putJSON(metaBucket, metaStub, stub)
}
