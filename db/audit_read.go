package db

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"time"
)

// AuditQuery asks for one page of the audit log, the newest entry first. What
// is empty does not limit.
type AuditQuery struct {
	Actor     string // id, or LocalActor; an email, or a name that the log knows
	Action    string // one of Actions
	Target    string // id, or the name of a user or token, now or in the log
	RequestID string
	Result    string       // ResultOK or ResultRefused
	Address   netip.Prefix // came from there; zero: from anywhere
	Since     time.Time
	Until     time.Time
	From      int
	Size      int
	After     string

	actorName, targetName named // see resolve
}

func (q *AuditQuery) matches(e *Event) bool {
	return (q.Actor == "" || e.Actor == q.Actor) && (q.Action == "" || e.Action == q.Action) && (q.Target == "" || e.Target == q.Target) &&
		(q.RequestID == "" || e.RequestID == q.RequestID) && q.letsThrough(e.Result, e.Address) &&
		q.actorName.is(e.Actor, e.ActorName) && q.targetName.is(e.Target, e.TargetName) &&
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
	return !q.byName() && !q.sifted() && q.Actor == "" && q.Action == "" && q.Target == "" && q.RequestID == "" && q.Since.IsZero() && q.Until.IsZero()
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
	return narrow == 1 && !q.byName() && q.Since.IsZero() && q.Until.IsZero()
}

// Audit returns a page of the audit log. An action or a result that there is not,
// and an interval that holds nothing, are ErrInvalid; an actor or a target that
// nobody and nothing is called, or was, is ErrNotFound. A damaged entry is passed
// over here: the rest stays readable, and VerifyAudit names the place.
//
// With Result or Address no more than MostLooked are looked at: where a page has a
// cursor, there may be more, and Total is what is known of. From is not for it.
func (s *Store) Audit(ctx context.Context, q AuditQuery) (page Page[Event], err error) {
	l, err := parseListing(q.cursorOf(), ListQuery{From: q.From, Size: q.Size, After: q.After,
		Query: fmt.Sprint(q.Actor, " ", q.Action, " ", q.Target, " ", q.RequestID, " ", q.Since.Unix(), " ", q.Until.Unix())}, byCreated)
	if err != nil {
		return page, err
	}
	if err := q.check(); err != nil {
		return page, err
	}
	err = s.view(ctx, func(t *txn) error {
		asked := q
		if err := t.resolve(&asked); err != nil {
			return err
		}
		if page, err = t.auditPage(asked, l); err == nil && page.Total == 0 && l.after == nil {
			err = t.known(asked)
		}
		return err
	})
	return page, err
}

// auditPage returns the page and counts all that match, also what stands
// before the cursor.
func (t *txn) auditPage(q AuditQuery, l listing) (page Page[Event], err error) {
	if q.sifted() {
		return t.auditSift(q, l)
	}
	if page, err = t.auditScan(q, l); err != nil {
		return page, err
	}
	if q.unlimited() {
		head, stub, err := t.auditEnds()
		if err != nil {
			return page, err
		}
		b, err := t.strangersBudget()
		page.Total = int64(head.Seq-stub.Seq) - t.lostEntries(stub.Seq) - b.Pruned
		return page, err
	}
	if q.exact() {
		n, err := t.countExact(q)
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

// countExact returns how many entries an exact filter has, at most
// MaxWindow + 1: each page counts them anew, which is a scan of so many keys.
func (t *txn) countExact(q AuditQuery) (n int64, err error) {
	bucket, prefix := q.index()
	err = t.Scan(bucket, prefix, nil, true, func(key, _ []byte) bool {
		if len(key) == len(prefix)+8 { // else what was asked for has a NUL, and another's keys begin so
			n++
		}
		return n <= MaxWindow
	})
	return n, err
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
	skip, exact, unread := l.from, q.exact(), 0
	if exact {
		skip, unread = 0, l.from
	}
	pageOnly := exact || q.unlimited() || l.after != nil
	bucket, _ := q.index()
	err = t.auditWalk(&q, from, unread, l.size, func(key, sealed []byte) bool {
		if bucket == auditBucket && q.passesOver(sealed) {
			return true
		}
		e := openEvent(key, sealed)
		if e == nil || !q.matches(e) {
			return e == nil || !q.isBehind(e)
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

// auditPart is how many entries are read at once at most that an index leads to.
const auditPart = 200

// auditWalk calls f for what may be the entries of a query, downward from a number
// and but for the first few, as they stand in the store, until it answers false.
// What an index leads to is read many at once: first as many as are wanted.
func (t *txn) auditWalk(q *AuditQuery, from uint64, but, wanted int, f func(key, sealed []byte) (more bool)) error {
	bucket, prefix := q.index()
	at := append(bytes.Clone(prefix), seqKey(from)...)
	if bucket == auditBucket {
		return t.Scan(bucket, prefix, at, true, f)
	}
	var last []byte // of the part before
	for most := min(max(wanted, 1), auditPart); ; most = min(2*most, auditPart) {
		var keys [][]byte
		err := t.Scan(bucket, prefix, at, true, func(key, _ []byte) bool {
			if bytes.Equal(key, last) {
				return true
			}
			if at = key; but > 0 {
				but--
				return true
			}
			keys = append(keys, key[len(key)-8:])
			return len(keys) < most
		})
		if err != nil {
			return err
		}
		values, err := t.GetMany(auditBucket, keys)
		for i, sealed := range values {
			if !f(keys[i], sealed) {
				return err
			}
		}
		if last = at; err != nil || len(keys) < most {
			return err
		}
	}
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
		e := t.auditEntryFrom(seq)
		return e == nil || !e.Time.Before(q.Until.Add(auditDelay))
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

// openEvent reads an entry as it stands in the store; nil where it is damaged or
// gone. One in another's place is damaged: who goes on from its number would come
// by it again.
func openEvent(key, sealed []byte) *Event {
	if sealed == nil {
		return nil
	}
	value, err := unseal(auditBucket, key, sealed)
	e := new(Event)
	if err != nil || unmarshal(value, e) != nil || e.Seq != binary.BigEndian.Uint64(key) {
		return nil
	}
	return e
}

// auditEntryFrom reads the first whole entry of a number or behind it, nil at
// the end: of those between, retention may have taken out many.
func (t *txn) auditEntryFrom(seq uint64) (e *Event) {
	_ = t.Scan(auditBucket, nil, seqKey(seq), false, func(key, sealed []byte) bool {
		e = openEvent(key, sealed)
		return e == nil
	})
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

// AuditFrom returns up to a thousand entries from the number on, the oldest
// first. A damaged one is passed over; VerifyAudit names it.
func (s *Store) AuditFrom(ctx context.Context, seq uint64) (events []*Event, err error) {
	err = s.view(ctx, func(t *txn) error {
		events = nil
		return t.Scan(auditBucket, nil, seqKey(seq), false, func(key, sealed []byte) bool {
			if e := openEvent(key, sealed); e != nil {
				events = append(events, e)
			}
			return len(events) < MaxPageSize
		})
	})
	return events, err
}
