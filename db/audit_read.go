package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"
)

// AuditQuery asks for one page of the audit log, the newest entry first. What
// is empty does not limit.
type AuditQuery struct {
	Actor     string // user id, or LocalActor
	Action    string
	Target    string
	RequestID string
	Since     time.Time
	Until     time.Time
	From      int
	Size      int
	After     string
}

func (q *AuditQuery) matches(e *Event) bool {
	return (q.Actor == "" || e.Actor == q.Actor) && (q.Action == "" || e.Action == q.Action) && (q.Target == "" || e.Target == q.Target) &&
		(q.RequestID == "" || e.RequestID == q.RequestID) &&
		(q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until))
}

// index returns the narrowest index for q: bucket and prefix of the keys, at
// whose end the sequence number stands.
func (q *AuditQuery) index() (bucket string, prefix []byte) {
	switch {
	case q.RequestID != "":
		return auditIndex, indexPrefix(byRequest, q.RequestID)
	case q.Target != "":
		return auditIndex, indexPrefix("target", q.Target)
	case q.Actor != "":
		return auditIndex, indexPrefix("actor", q.Actor)
	case q.Action != "":
		return auditIndex, indexPrefix("action", q.Action)
	}
	return auditBucket, nil
}

func (q *AuditQuery) unlimited() bool {
	return q.Actor == "" && q.Action == "" && q.Target == "" && q.RequestID == "" && q.Since.IsZero() && q.Until.IsZero()
}

// exact tells whether all that stands in the index matches: it can be counted
// unread.
func (q *AuditQuery) exact() bool {
	narrow := 0
	for _, by := range []string{q.Actor, q.Action, q.Target, q.RequestID} {
		if by != "" {
			narrow++
		}
	}
	return narrow == 1 && q.Since.IsZero() && q.Until.IsZero()
}

// Audit returns a page of the audit log. A damaged entry is passed over here:
// the rest stays readable, and VerifyAudit names the place.
func (s *Store) Audit(ctx context.Context, q AuditQuery) (page Page[Event], err error) {
	l, err := parseListing(auditBucket, ListQuery{From: q.From, Size: q.Size, After: q.After,
		Query: fmt.Sprint(q.Actor, " ", q.Action, " ", q.Target, " ", q.RequestID, " ", q.Since.Unix(), " ", q.Until.Unix())}, byCreated)
	if err != nil {
		return page, err
	}
	err = s.view(ctx, func(t *txn) error {
		page, err = t.auditPage(q, l, &s.auditCounts)
		return err
	})
	return page, err
}

// auditPage returns the page and counts all that match, also what stands
// before the cursor.
func (t *txn) auditPage(q AuditQuery, l listing, counts *auditCounts) (page Page[Event], err error) {
	if page, err = t.auditScan(q, l); err != nil {
		return page, err
	}
	if q.unlimited() {
		head, stub, err := t.auditEnds()
		page.Total = int64(head.Seq-stub.Seq) - t.lostEntries(stub.Seq)
		return page, err
	}
	if q.exact() {
		n, err := t.countExact(q, counts)
		page.Total, page.AtMost = min(n, MaxWindow), n > MaxWindow
		return page, err
	}
	if l.after != nil {
		l.after, l.from, l.size = nil, 0, 0
		whole, err := t.auditScan(q, l)
		page.Total, page.AtMost = whole.Total, whole.AtMost
		return page, err
	}
	return page, nil
}

// auditScan returns the page and counts what matches from its beginning on: to
// its end where there is a cursor, else as far as is counted.
func (t *txn) auditScan(q AuditQuery, l listing) (page Page[Event], err error) {
	head, _, err := t.auditEnds()
	if err != nil {
		return page, err
	}
	from, err := t.auditFrom(q, l, head.Seq)
	if err != nil || from == 0 {
		return page, err
	}
	bucket, prefix := q.index()
	skip, exact := l.from, q.exact()
	pageOnly := exact || q.unlimited() || l.after != nil
	err = t.Scan(bucket, prefix, append(bytes.Clone(prefix), seqKey(from)...), true, func(key, _ []byte) bool {
		if exact && skip > 0 {
			skip--
			return true
		}
		e := t.auditEntry(key[len(key)-8:])
		if e == nil || !q.matches(e) {
			return e == nil || q.Since.IsZero() || !e.Time.Before(q.Since.Add(-auditDelay))
		}
		page.Total++
		if skip > 0 {
			skip--
			return true
		}
		if len(page.Items) < l.size {
			page.Items = append(page.Items, e)
		}
		return len(page.Items) < l.size || !pageOnly && page.Total <= MaxWindow
	})
	if page.Total > MaxWindow {
		page.Total, page.AtMost = MaxWindow, true
	}
	if n := len(page.Items); n > 0 && n == l.size {
		page.After = formatCursor(l.bound, seqKey(page.Items[n-1].Seq))
	}
	return page, err
}

// auditDelay bounds how long after its time an entry is written: what is folded
// or collected in memory waits for a flush, and longer while the disk is full.
const auditDelay = time.Hour

// auditFrom returns the newest sequence number that the page can have, 0 where
// there is none.
func (t *txn) auditFrom(q AuditQuery, l listing, newest uint64) (uint64, error) {
	if l.after != nil {
		if len(l.after) != 8 {
			return 0, fail(ErrInvalid, "bad_cursor", "'after' is not a cursor of this list")
		}
		return binary.BigEndian.Uint64(l.after) - 1, nil
	}
	if q.Until.IsZero() {
		return newest, nil
	}
	// Time goes on with the sequence, but for auditDelay and a clock that was
	// wrong: near enough to begin a scan that looks at each entry itself.
	late := func(seq uint64) bool {
		e := t.auditEntry(seqKey(seq))
		return e != nil && !e.Time.Before(q.Until.Add(auditDelay))
	}
	from := uint64(1)
	for found := false; !found; {
		from += uint64(sort.Search(int(newest-from), func(i int) bool { return late(from + uint64(i)) }))
		// Where what is late here was written by a clock that was ahead, earlier
		// entries come behind it: as many as those, to be met by these steps.
		found = true
		for step := uint64(1); from+step <= newest && found; step *= 2 {
			if !late(from + step) {
				from, found = from+step, false
			}
		}
	}
	return from, nil
}

// auditEntry reads one entry; nil where it is damaged or gone. One in another's
// place is damaged: who goes on from its number would come by it again.
func (t *txn) auditEntry(key []byte) *Event {
	value, err := t.get(auditBucket, key)
	if err != nil || value == nil {
		return nil
	}
	e := new(Event)
	if unmarshal(value, e) != nil || e.Seq != binary.BigEndian.Uint64(key) {
		return nil
	}
	return e
}

// auditEnds returns the newest entry's place and what was cut off at the other
// end; both are zero where there is none.
func (t *txn) auditEnds() (head auditHead, stub auditStub, err error) {
	_, err = t.getJSON(metaBucket, metaHead, &head)
	if err == nil {
		_, err = t.getJSON(metaBucket, metaStub, &stub)
	}
	return head, stub, err
}

// AuditHead returns number and hash of the newest entry: what one keeps
// elsewhere to be able to prove later that nothing was taken away. The hash is
// hex SHA-256.
func (s *Store) AuditHead(ctx context.Context) (seq uint64, hash string, err error) {
	err = s.view(ctx, func(t *txn) error {
		head, _, err := t.auditEnds()
		seq, hash = head.Seq, head.Hash
		return err
	})
	return seq, hash, err
}

// AuditVerdict is what VerifyAudit found.
type AuditVerdict struct {
	OK       bool
	Entries  int64  // that were looked at
	First    uint64 // number of the oldest entry
	Last     uint64
	Head     string   // hex hash of the newest
	Problems []string // each names a place; at most maxProblems
	Gaps     []string // what damage took before a repair; signed for by the store, and no problem of the rest
}

const maxProblems = 100

// auditStep is how many entries are read on one snapshot: a long walk must not
// keep old pages alive.
const auditStep = 5000

// VerifyAudit walks the chain and finds a removed, changed, reordered or
// damaged entry. known, where it is not empty, is a hash that was kept
// elsewhere: the chain must hold it.
func (s *Store) VerifyAudit(ctx context.Context, known string) (AuditVerdict, error) {
	v := auditVerifier{known: known, found: known == ""}
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
	if !v.found {
		v.problem("no entry has the hash that was kept: entries were removed from the end, or the log was written anew")
	}
	v.OK = len(v.Problems) == 0
	return v.AuditVerdict, nil
}

type auditVerifier struct {
	AuditVerdict
	known string
	found bool
	sum   string // hash of the entry before
	next  uint64 // number that the next entry must have; 0 before the first
	gaps  []auditGap
}

func (v *auditVerifier) problem(format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
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
	err = t.Scan(auditBucket, nil, seqKey(v.next), false, func(key, sealed []byte) bool {
		if binary.BigEndian.Uint64(key) > head.Seq {
			v.problem("entry %d stands behind the end of the log", binary.BigEndian.Uint64(key))
			return false
		}
		n++
		v.entry(key, sealed)
		return n < auditStep
	})
	if n < auditStep {
		v.end(head)
	}
	return n, err
}

// begin takes up the chain where retention has cut it, or at its beginning.
func (v *auditVerifier) begin(t *txn, stub auditStub) {
	v.next, v.sum = stub.Seq+1, stub.Hash
	v.First = v.next
	if stub.Seq > 0 && !t.stubSigned(stub) {
		v.problem("the record of what retention removed, up to entry %d, is not signed by this store", stub.Seq)
	}
	v.found = v.found || (stub.Hash == v.known && v.known != "")
	v.beginGaps(t)
}

func (v *auditVerifier) entry(key, sealed []byte) {
	seq := binary.BigEndian.Uint64(key)
	if seq != v.next && !v.cross(seq) {
		v.problem("entry %d is missing (the next that is there is %d)", v.next, seq)
		v.sum = ""
	}
	v.next = seq + 1
	v.Entries++
	value, err := unseal(auditBucket, key, sealed)
	number, prev, whole := chainLink(value)
	if err != nil || !whole || number != seq {
		v.problem("entry %d is damaged", seq)
		v.sum = ""
		return
	}
	if v.sum != prev && (v.sum != "" || seq == 1) {
		v.problem("entry %d does not follow entry %d: one of them was changed", seq, seq-1)
	}
	sum := sha256.Sum256(value)
	v.sum = hex.EncodeToString(sum[:])
	v.found = v.found || v.sum == v.known
}

// chainLink returns what of an entry's JSON makes the chain. As append writes
// them, the number stands at the beginning and the hash at the end: to look
// there takes a third of the time that reading all of it does.
func chainLink(value []byte) (seq uint64, prev string, ok bool) {
	const begin, middle, end = `{"seq":`, `,"prev":"`, `"}`
	n, tail := 0, len(value)-len(end)-hex.EncodedLen(sha256.Size)
	if tail > len(begin)+len(middle) && bytes.HasPrefix(value, []byte(begin)) && bytes.HasSuffix(value[:tail], []byte(middle)) &&
		bytes.HasSuffix(value, []byte(end)) && json.Valid(value) {
		for n = len(begin); value[n] >= '0' && value[n] <= '9'; n++ {
			seq = seq*10 + uint64(value[n]-'0')
		}
		if value[n] == ',' {
			return seq, string(value[tail : len(value)-len(end)]), true
		}
	}
	var e struct {
		Seq  uint64 `json:"seq"`
		Prev string `json:"prev"`
	}
	err := json.Unmarshal(value, &e)
	return e.Seq, e.Prev, err == nil
}

func (v *auditVerifier) end(head auditHead) {
	v.Last, v.Head = head.Seq, head.Hash
	if v.next <= head.Seq {
		v.cross(head.Seq + 1)
	}
	switch {
	case v.next <= head.Seq:
		v.problem("entries %d to %d are missing at the end", v.next, head.Seq)
	case v.sum != head.Hash && v.sum != "":
		v.problem("entry %d, the newest, was changed", head.Seq)
	}
}

// auditStub is what retention leaves of the entries that it removed: their
// end, signed by the store, so that the rest still verifies.
type auditStub struct {
	Seq  uint64 `json:"seq"`  // of the newest entry that was removed
	Hash string `json:"hash"` // of that entry
	MAC  []byte `json:"mac"`  // HMAC-SHA-256 by the store's own secret
}

const metaStub = "audit.stub"

// PruneAudit removes the entries that are older than the moment, and the
// oldest beyond most; 0 and the zero time keep all. It goes in small steps and
// tells how many went. While the clock is in doubt none is too old.
func (s *Store) PruneAudit(ctx context.Context, older time.Time, most int64) (removed int, err error) {
	if _, certain := s.clock.settledMark(); !certain {
		older = time.Time{}
	}
	for more := true; more && err == nil; {
		n := 0
		err = s.update(ctx, &Actor{ID: "husk", Name: "husk"}, func(t *txn) error {
			n, err = t.pruneAudit(older, most)
			return err
		})
		removed += n
		more = n == sweepStep
	}
	return removed, err
}

func (t *txn) pruneAudit(older time.Time, most int64) (int, error) {
	head, stub, err := t.auditEnds()
	if err != nil {
		return 0, err
	}
	surplus := int64(0)
	if n := int64(head.Seq-stub.Seq) - most; most > 0 && n >= sweepStep {
		surplus = n // a whole step at least: each leaves an entry of its own
	}
	var keys [][]byte
	var last []byte
	err = t.scan(auditBucket, nil, nil, false, func(key, value []byte) bool {
		var e Event
		if unmarshal(value, &e) != nil || (int64(len(keys)) >= surplus && !e.Time.Before(older)) || e.Seq == head.Seq {
			return false
		}
		keys, last = append(keys, key), value
		return len(keys) < sweepStep
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	for _, key := range keys {
		if err := t.removeEvent(key); err != nil {
			return 0, err
		}
	}
	sum := sha256.Sum256(last)
	stub = auditStub{Seq: binary.BigEndian.Uint64(keys[len(keys)-1]), Hash: hex.EncodeToString(sum[:])}
	if stub.MAC, err = t.stubMAC(stub); err != nil {
		return 0, err
	}
	if err := t.putJSON(metaBucket, metaStub, stub); err != nil {
		return 0, err
	}
	return len(keys), t.append(Event{Time: t.now, Actor: t.actor.ID, ActorName: t.actor.Name, Action: "audit.prune", Target: fmt.Sprint(stub.Seq)})
}

func (t *txn) removeEvent(key []byte) error {
	e := t.auditEntry(key)
	if e != nil {
		for _, k := range auditIndexKeys(e) {
			if err := t.Delete(auditIndex, k); err != nil {
				return err
			}
		}
	}
	return t.Delete(auditBucket, key)
}

// stubMAC signs a stub with the store's own secret.
func (t *txn) stubMAC(stub auditStub) ([]byte, error) {
	var r secretRecord
	if found, err := t.getJSON(metaBucket, metaSecret, &r); err != nil || !found {
		return nil, errors.Join(err, damagedRecord(metaBucket, []byte(metaSecret)))
	}
	return sign(r.Secret, "husk audit stub", fmt.Sprintf("%d %s", stub.Seq, stub.Hash))
}

func (t *txn) stubSigned(stub auditStub) bool {
	mac, err := t.stubMAC(stub)
	return err == nil && slices.Equal(mac, stub.MAC)
}

// AuditFrom returns up to a thousand entries from the number on, the oldest
// first. A damaged one is passed over; VerifyAudit names it.
func (s *Store) AuditFrom(ctx context.Context, seq uint64) (events []*Event, err error) {
	err = s.view(ctx, func(t *txn) error {
		events = nil
		return t.Scan(auditBucket, nil, seqKey(seq), false, func(key, _ []byte) bool {
			if e := t.auditEntry(key); e != nil {
				events = append(events, e)
			}
			return len(events) < MaxPageSize
		})
	})
	return events, err
}
