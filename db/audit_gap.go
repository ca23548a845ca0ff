package db

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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

func (g auditGap) signed() (purpose, text string, mac []byte) {
	return "husk audit gap", fmt.Sprintf("%d %d %s", g.From, g.To, g.Hash), g.MAC
}

// beginGaps takes up the gaps behind what retention removed.
func (v *auditVerifier) beginGaps(t *txn) {
	gaps, err := t.auditGaps()
	if err != nil {
		v.problem(FoundGapsUnreadable, 0, 0, "the record of what damage took can't be read")
	}
	for _, g := range gaps {
		switch {
		case g.To < v.next:
		case !t.isSigned(g):
			v.problem(FoundGapUnsigned, g.From, g.To, "the record of a gap, entries %d to %d, is not signed by this store", g.From, g.To)
		default:
			v.gaps = append(v.gaps, g)
		}
	}
}

// crossGap goes over a gap that ends before the number, where there is one.
func (v *auditVerifier) crossGap(seq uint64) (crossed bool) {
	for _, g := range v.gaps {
		if g.From == v.next && g.To < seq {
			v.gap(&g)
			v.unread(g.From, g.To)
			v.next, v.sum = g.To+1, g.Hash
			v.found(g.To, g.Hash, KeptLost)
			return true
		}
	}
	return false
}

// mender goes along the log as it stands and finds its gaps.
type mender struct {
	*repair
	gaps   []auditGap
	next   uint64 // number that the next entry must have
	last   string // hash of the one before
	change string // of the newest before that is no stranger's
	budget strangersBudget
}

// gap adds a gap that is not known yet.
func (m *mender) gap(g auditGap) {
	var added bool
	if m.gaps, added = addGap(m.gaps, g); added {
		addLine(&m.Lost, "audit: %s", g.String())
	}
}

// reach goes up to an entry, over what retention took out; prev is the hash of
// the one before it as it has it. The rest is a gap.
func (m *mender) reach(seq uint64, prev string) {
	for m.next < seq {
		if r, ok := m.rangeAround(m.next); ok && r.To < seq && r.From == m.next && m.isSigned(r) {
			m.budget.Pruned += r.size()
			m.next, m.last = r.To+1, r.Hash
			continue
		}
		g := auditGap{From: m.next, To: seq - 1, Hash: prev}
		if from, ok := m.rangeBetween(m.next, seq); ok {
			r, _ := m.rangeAround(from)
			g.To, g.Hash = from-1, r.Prev
		}
		m.gap(g)
		m.next, m.last = g.To+1, g.Hash
	}
}

// entry takes up an entry.
func (m *mender) entry(key, value []byte) {
	seq := binary.BigEndian.Uint64(key)
	var e Event
	if unmarshal(value, &e) == nil {
		m.reach(seq, e.Prev)
	}
	sum := sha256.Sum256(value)
	m.next, m.last = seq+1, hex.EncodeToString(sum[:])
	if e.stranger() {
		m.budget.Kept++
	} else {
		m.change = m.last
	}
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
	m := &mender{repair: r, gaps: gaps, next: stub.Seq + 1, last: stub.Hash, change: stub.Change}
	err = r.scan(auditBucket, nil, nil, false, func(key, value []byte) bool {
		m.entry(key, value)
		return true
	})
	if err != nil {
		return err
	}
	switch {
	case head.Seq == 0 && m.next > 1:
		addLine(&r.Made, "the end of the audit log, at entry %d: whether there were more is not known", m.next-1)
		err = r.putJSON(metaBucket, metaHead, auditHead{Seq: m.next - 1, Hash: m.last, Change: m.change})
	case m.next <= head.Seq:
		m.reach(head.Seq+1, head.Hash)
	}
	return errors.Join(err, r.putGaps(m.gaps), m.mendBudget())
}

// mendBudget writes the numbers of strangers' entries where they are not what
// was counted.
func (m *mender) mendBudget() error {
	var b strangersBudget
	if _, err := m.getJSON(metaBucket, metaStrangers, &b); err != nil {
		return err
	}
	if b.Kept == m.budget.Kept && b.Pruned == m.budget.Pruned {
		return nil
	}
	m.Derived++
	b.Kept, b.Pruned = m.budget.Kept, m.budget.Pruned
	return m.putJSON(metaBucket, metaStrangers, b)
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
		if gaps[i].MAC, err = r.ownMAC(gaps[i]); err != nil {
			return err
		}
	}
	return r.putJSON(metaBucket, metaGaps, gaps)
}

// signAnew signs by a new secret what the one before had signed.
func (r *repair) signAnew() error {
	if err := r.signRangesAnew(); err != nil {
		return err
	}
	_, stub, err := r.auditEnds()
	if err != nil || stub.Seq == 0 {
		return err
	}
	if stub.MAC, err = r.ownMAC(stub); err != nil {
		return err
	}
	return r.putJSON(metaBucket, metaStub, stub)
}
