package db

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
)

// AuditVerdict is what VerifyAudit found.
type AuditVerdict struct {
	OK       bool
	Entries  int64          // that were looked at
	First    uint64         // number of the oldest entry
	Last     uint64         // of the newest
	Head     string         // hex hash of the newest
	Kept     string         // what became of the entry whose hash was kept, one of those below; empty: none was asked for
	Pruned   int64          // entries of strangers that retention took out between first and last; signed for by the store
	Problems []string       // each names a place; at most maxProblems
	Gaps     []string       // what damage took before a repair; signed for by the store, and no problem of the rest
	Findings []AuditFinding // the problems and gaps, with codes
	Unread   []AuditSpan    // the numbers of what is missing or damaged, by a problem or a gap; at most maxProblems
}

// AuditSpan is a place in the log.
type AuditSpan struct{ From, To uint64 }

// What became of the entry whose hash was kept.
const (
	KeptPresent   = "present"   // it is there: all before it that is there is as it was
	KeptPruned    = "pruned"    // retention removed it; a checkpoint has its hash
	KeptForgotten = "forgotten" // retention removed one of its number, too long ago to compare the hash
	KeptLost      = "lost"      // damage took it, before a repair
	KeptAbsent    = "absent"    // it was never there, or was removed: a problem
)

const maxProblems = 100

// auditStep is how many entries are read on one snapshot: a long walk must not
// keep old pages alive.
const auditStep = 5000

// VerifyAudit walks the chain and finds a removed, changed, reordered or
// damaged entry. known, where it is not empty, is a hash that was kept
// elsewhere, alone or behind its entry's number and a colon: the chain must
// hold it, or retention have removed it.
func (s *Store) VerifyAudit(ctx context.Context, known string) (AuditVerdict, error) {
	v := auditVerifier{}
	if err := v.look(known); err != nil {
		return v.AuditVerdict, err
	}
	for {
		n := 0
		err := s.view(ctx, func(t *txn) (err error) {
			n, err = v.step(t)
			return err
		})
		if err != nil {
			return v.AuditVerdict, err
		}
		if n < auditStep {
			break
		}
	}
	if v.known != "" && v.Kept == "" {
		if err := s.view(ctx, v.missed); err != nil {
			return v.AuditVerdict, err
		}
	}
	v.OK = len(v.Problems) == 0
	return v.AuditVerdict, nil
}

type auditVerifier struct {
	AuditVerdict
	known   string // hash that was kept
	number  uint64 // of its entry; 0: not known
	other   bool   // the entry of that number has another
	sum     string // hash of the entry before
	change  string // of the newest before that is no stranger's; empty where nothing tells it
	next    uint64 // number that the next entry must have; 0 before the first
	resumed uint64 // what it was when this step began
	gaps    []auditGap
}

const notAHead = "what was kept is a hash of hexadecimal digits, or the number of its entry, a colon and the hash"

// look takes up what is to be looked for. What is no hash is a mistake in typing, and
// must not raise the alarm that the log was written anew.
func (v *auditVerifier) look(known string) (err error) {
	number, hash, both := strings.Cut(strings.TrimSpace(known), ":")
	if !both {
		number, hash = "", number
	} else if v.number, err = strconv.ParseUint(number, 10, 63); err != nil {
		return fail(ErrInvalid, "bad_head", notAHead)
	}
	v.known = strings.ToLower(hash)
	if strings.Trim(v.known, "0123456789abcdef") != "" {
		return fail(ErrInvalid, "bad_head", notAHead)
	}
	return nil
}

// found compares the hash of an entry with the one that was kept.
func (v *auditVerifier) found(seq uint64, sum, kept string) {
	switch {
	case v.known == "" || sum == "":
	case sum == v.known && (v.number == 0 || v.number == seq):
		v.Kept = cmp.Or(v.Kept, kept)
	case v.number == seq:
		v.other = true
	}
}

// missed tells what became of an entry that is not there.
func (v *auditVerifier) missed(t *txn) error {
	pruned, err := t.wentByRetention(v.number, v.known)
	if err != nil {
		return err
	}
	old, err := t.forgotten(v.number)
	if err != nil {
		return err
	}
	v.Kept = KeptAbsent
	switch {
	case pruned:
		v.Kept = KeptPruned
	case v.other:
		v.problem(FoundOtherHash, v.number, v.number, "entry %d has another hash than the one that was kept: the log was written anew", v.number)
	case old:
		v.Kept = KeptForgotten
	default:
		v.problem(FoundNoHash, 0, 0, "no entry has the hash that was kept: entries were removed from the end, or the log was written anew")
	}
	return nil
}

// unread notes a place of which nothing is known.
func (v *auditVerifier) unread(from, to uint64) {
	v.sum, v.change = "", ""
	if n := len(v.Unread); n > 0 && v.Unread[n-1].To+1 == from {
		v.Unread[n-1].To = to
	} else if n < maxProblems {
		v.Unread = append(v.Unread, AuditSpan{from, to})
	}
}

func (v *auditVerifier) step(t *txn) (n int, err error) {
	head, stub, err := t.auditEnds()
	if err != nil {
		return 0, err
	}
	if v.next == 0 || v.next <= stub.Seq { // retention came by meanwhile
		v.begin(t, stub)
	}
	v.resumed = v.next
	err = t.Scan(auditBucket, nil, seqKey(v.next), false, func(key, sealed []byte) bool {
		if seq := binary.BigEndian.Uint64(key); seq > head.Seq {
			v.problem(FoundBehindEnd, seq, seq, "entry %d stands behind the end of the log", seq)
			return false
		}
		n++
		v.entry(t, key, sealed)
		return n < auditStep
	})
	if n < auditStep {
		v.end(t, head)
	}
	return n, err
}

// begin takes up the chain where retention has cut it, or at its beginning.
func (v *auditVerifier) begin(t *txn, stub auditStub) {
	v.next, v.sum, v.change = stub.Seq+1, stub.Hash, stub.Change
	v.First = v.next
	if stub.Seq > 0 && !t.isSigned(stub) {
		v.problem(FoundPrunedUnsigned, 1, stub.Seq, "the record of what retention removed, up to entry %d, is not signed by this store", stub.Seq)
	}
	v.found(stub.Seq, stub.Hash, KeptPruned)
	v.beginGaps(t)
}

func (v *auditVerifier) entry(t *txn, key, sealed []byte) {
	seq := binary.BigEndian.Uint64(key)
	v.reach(t, seq)
	v.next = seq + 1
	v.Entries++
	value, err := unseal(auditBucket, key, sealed)
	link, whole := linkOf(value)
	if err != nil || !whole || link.seq != seq {
		v.problem(FoundDamaged, seq, seq, "entry %d is damaged", seq)
		v.unread(seq, seq)
		return
	}
	switch {
	case v.sum != link.prev && (v.sum != "" || seq == 1):
		v.problem(FoundChanged, max(seq, 1)-1, seq, "entry %d does not follow entry %d: one of them was changed", seq, seq-1)
	case v.change != link.change && v.change != "" && link.change != "":
		v.problem(FoundChangeGone, seq, seq, "entry %d does not follow the change that it names: one before it was removed or changed", seq)
	}
	sum := sha256.Sum256(value)
	v.sum = hex.EncodeToString(sum[:])
	if !link.stranger {
		v.change = v.sum
	}
	v.found(seq, v.sum, KeptPresent)
}

// reach goes up to the entry that comes next, over what is known not to be
// there, and names the rest.
func (v *auditVerifier) reach(t *txn, seq uint64) {
	for v.next < seq {
		if v.crossRange(t, seq) || v.crossGap(seq) {
			continue
		}
		to := seq - 1
		if from, ok := t.rangeBetween(v.next, seq); ok {
			to = from - 1
		}
		v.problem(FoundMissing, v.next, to, "entry %d is missing (the next that is there is %d)", v.next, seq)
		v.unread(v.next, to)
		v.next = to + 1
	}
}

// crossRange goes over entries that retention took out, before the number,
// where there are some. Of a walk over several snapshots it may have seen the
// first of them.
func (v *auditVerifier) crossRange(t *txn, seq uint64) (crossed bool) {
	r, ok := t.rangeAround(v.next)
	if !ok || r.To >= seq || r.From < v.next && v.next != v.resumed {
		return false
	}
	switch {
	case !t.isSigned(r):
		v.problem(FoundRangeUnsigned, r.From, r.To, "the record of what retention removed, entries %d to %d, is not signed by this store", r.From, r.To)
	case v.next == v.First: // nothing tells what change stood before, and retention would have made it one with the stub
		v.problem(FoundRangeFirst, r.From, r.To, "what retention removed from entry %d on, at the beginning, is told as if something stood before", r.From)
	case r.From == v.next && v.sum != r.Prev && v.sum != "":
		v.problem(FoundRangeChanged, r.From, r.To, "what retention removed from entry %d on does not follow entry %d: one of them was changed", r.From, r.From-1)
	}
	v.Pruned += int64(r.To - v.next + 1)
	v.next, v.sum = r.To+1, r.Hash
	v.found(r.To, r.Hash, KeptPruned)
	return true
}

// link is what of an entry makes the chain.
type link struct {
	seq          uint64
	change, prev string
	stranger     bool
}

// linkOf reads it from an entry's JSON. As append writes them, the number stands
// at the beginning and the hashes at the end, and a quote inside a text has a
// backslash before it: to look there takes a third of the time that reading all
// of it does.
func linkOf(value []byte) (l link, ok bool) {
	if l, ok = linkWritten(value); ok {
		return l, json.Valid(value)
	}
	var e Event
	err := json.Unmarshal(value, &e)
	return link{e.Seq, e.PrevChange, e.Prev, e.stranger()}, err == nil
}

func linkWritten(value []byte) (l link, ok bool) {
	const begin = `{"seq":`
	rest, ok := bytes.CutPrefix(value, []byte(begin))
	if !ok {
		return l, false
	}
	n := 0
	for ; n < len(rest) && n < 19 && rest[n] >= '0' && rest[n] <= '9'; n++ {
		l.seq = l.seq*10 + uint64(rest[n]-'0')
	}
	if n == len(rest) || rest[n] != ',' {
		return l, false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte(`"}`)); !ok {
		return l, false
	}
	if l.prev, rest, ok = cutHash(rest, `,"prev":"`); !ok {
		return l, false
	}
	if last := len(rest) - 1; last < 0 || rest[last] < '0' || rest[last] > '9' { // not the count, as in schema 2
		if rest, ok = bytes.CutSuffix(rest, []byte(`"`)); ok {
			l.change, rest, ok = cutHash(rest, `,"prev_change":"`)
		}
	}
	l.stranger = bytes.Contains(rest, []byte(`,"actor":"","actor_name":`)) && bytes.Contains(rest, []byte(`,"result":"`+ResultRefused+`",`))
	return l, ok
}

// cutHash takes a hash off the end, and the name of its member.
func cutHash(b []byte, name string) (hash string, rest []byte, ok bool) {
	at := len(b) - hex.EncodedLen(sha256.Size)
	if at < 0 {
		return "", b, false
	}
	rest, ok = bytes.CutSuffix(b[:at], []byte(name))
	return string(b[at:]), rest, ok
}

func (v *auditVerifier) end(t *txn, head auditHead) {
	v.Last, v.Head = head.Seq, head.Hash
	for v.next <= head.Seq && (v.crossRange(t, head.Seq+1) || v.crossGap(head.Seq+1)) {
	}
	switch {
	case v.next <= head.Seq:
		v.problem(FoundEndMissing, v.next, head.Seq, "entries %d to %d are missing at the end", v.next, head.Seq)
		v.unread(v.next, head.Seq)
	case v.sum != head.Hash && v.sum != "":
		v.problem(FoundNewestChanged, head.Seq, head.Seq, "entry %d, the newest, was changed", head.Seq)
	}
}
