package db

import (
	"net/netip"
	"strings"
)

// What became of an act and where it came from have no index, which would cost each
// entry some 90 bytes of file. They are looked for in the entries, along the
// narrowest index of what else is asked for, as other lists are narrowed by what has
// none: at no more than MostLooked for a page, and the cursor goes on from there.

// sifted tells whether the log has to be looked through.
func (q *AuditQuery) sifted() bool { return q.Result != "" || q.Address.IsValid() }

// checkSifted refuses what no entry can have, and a page that can't be found.
func (q *AuditQuery) checkSifted() error {
	if q.Result != "" && q.Result != ResultOK && q.Result != ResultRefused {
		return fail(ErrInvalid, "bad_result", "there is no result "+shortened(q.Result)+": it is "+ResultOK+" or "+ResultRefused)
	}
	if q.sifted() && q.From != 0 {
		return errNoFrom
	}
	return nil
}

// letsThrough tells whether an entry has the result and comes from where it is asked
// for.
func (q *AuditQuery) letsThrough(result, address string) bool {
	return (q.Result == "" || result == q.Result) && (!q.Address.IsValid() || cameFrom(address, q.Address))
}

// siftsOut tells for certain that letsThrough does not, by an entry's JSON.
func (q *AuditQuery) siftsOut(value []byte) bool {
	if q.Result != "" {
		if result, plain := stringMember(value, `,"result":"`); plain && string(result) != q.Result {
			return true
		}
	}
	if !q.Address.IsValid() {
		return false
	}
	address, plain := stringMember(value, `,"address":"`)
	return plain && !cameFrom(string(address), q.Address)
}

// cameFrom tells whether what has this address may have come from a network. Strangers
// of one IPv6 network are one entry, which has the network.
func cameFrom(text string, from netip.Prefix) bool {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Overlaps(from)
	}
	return lies(text, from)
}

// auditSift is auditPage of a log that is looked through. There is no cursor where it
// has ended.
func (t *txn) auditSift(q AuditQuery, l listing) (page Page[Event], err error) {
	page.AtMost = true
	head, _, err := t.auditEnds()
	if err != nil || l.size == 0 {
		return page, err
	}
	from, err := t.auditFrom(q, l, head.Seq)
	if err != nil {
		return page, err
	}
	looked := 0
	err = t.auditWalk(&q, from, 0, l.size, func(key, sealed []byte) (more bool) {
		looked++
		var e *Event
		if looked == MostLooked || !q.passesOver(sealed) { // the last one tells whether what is asked for goes on
			e = openEvent(key, sealed)
		}
		switch {
		case e == nil:
		case q.matches(e):
			page.Items = append(page.Items, e)
		case q.isBehind(e):
			return false
		}
		if more = looked < MostLooked && len(page.Items) < l.size; !more {
			page.After = formatCursor(l.bound, key)
		}
		return more
	})
	page.Total, page.AtMost = int64(len(page.Items)), l.after != nil || page.After != ""
	return page, err
}

// isBehind tells that neither an entry nor one before it is of the time that is asked
// for.
func (q *AuditQuery) isBehind(e *Event) bool {
	return !q.Since.IsZero() && e.Time.Before(q.Since.Add(-auditDelay))
}

// cursorOf is what a cursor of the log belongs to, besides what else is asked for.
func (q *AuditQuery) cursorOf() string {
	if !q.sifted() {
		return auditBucket
	}
	return strings.Join([]string{auditBucket, q.Result, q.Address.String()}, "\x00")
}
