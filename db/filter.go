package db

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Some questions about tokens and sessions have no index: an index by last use
// would have to be written at each flush. They are answered by looking at one
// record after another in the order of an index that is there, at no more than
// MostLooked for a page; the cursor goes on from there.

// MostLooked is how many records one page of a filtered list looks at.
const MostLooked = 1000

// What a TokenFilter can ask for.
const (
	TokensExpiring = "expiring"  // end within ExpiringWithin, the next one first
	TokensUnused   = "unused"    // were not used for UnusedFor; one that never was counts from when it was made
	TokensNever    = "never"     // were never used
	TokensNoExpiry = "no_expiry" // never end
)

// What is soon, and what is long.
const (
	ExpiringWithin = 30 * 24 * time.Hour
	UnusedFor      = 90 * 24 * time.Hour
)

// TokenFilter narrows a list of tokens. The zero value is all of them.
type TokenFilter struct {
	Kind    string       // one of the above, or ""
	Address netip.Prefix // were used from there lately, or are limited to exactly this; zero: any
}

// None tells whether all is asked for.
func (f *TokenFilter) None() bool { return *f == TokenFilter{} }

// order is the sort of a filtered list where none is asked, and those that it has.
func (f *TokenFilter) order() (usual string, kinds []string, err error) {
	switch f.Kind {
	case TokensExpiring, TokensNoExpiry:
		return "expire_in:asc", []string{byExpiry}, nil
	case TokensUnused:
		return "created:desc", []string{byCreated}, nil
	case TokensNever, "":
		return "created:desc", []string{byCreated, byName, byExpiry}, nil
	}
	return "", nil, fail(ErrInvalid, "bad_filter", "filter is one of expiring, unused, never and no_expiry")
}

// limit sets which part of the index is looked at.
func (f *TokenFilter) limit(l *listing, now time.Time) {
	switch f.Kind {
	case TokensExpiring:
		l.low, l.high = expiryKey(now.Unix()+1), expiryKey(now.Add(ExpiringWithin).Unix()+1)
	case TokensNoExpiry:
		l.low = expiryKey(Never)
	case TokensUnused:
		l.high = append(timeKey(now.Add(-UnusedFor)), 1) // made at that moment is long enough ago
	}
}

// FilteredTokens is Tokens of those that a filter asks for. No more than
// MostLooked are looked at: where a page has a cursor, there may be more, and
// Total is what is known of. Its sort is "expire_in" for what is found by expiry
// and "created" for what is unused. From is not for it.
func (s *Store) FilteredTokens(ctx context.Context, q ListQuery, f TokenFilter) (page Page[Token], err error) {
	usual, kinds, err := f.order()
	if err != nil {
		return page, err
	}
	l, err := parseSifted(tokenRecords.bucket, q, usual, kinds, f.Kind, f.Address)
	if err != nil {
		return page, err
	}
	return sifted(ctx, s, &tokenRecords, l, func(t *txn, l *listing) sieve {
		f.limit(l, t.now)
		if f.Kind != TokensUnused && f.Kind != TokensNever && !f.Address.IsValid() && len(l.words) == 0 {
			return nil // the index has it all
		}
		return func(part []*match) ([]*match, error) { return t.siftTokens(f, l, part) }
	})
}

// siftTokens reads what a filter needs to know and nothing else.
func (t *txn) siftTokens(f TokenFilter, l *listing, part []*match) (kept []*match, err error) {
	uses, err := t.knownUses(tokenUseBucket, part)
	if err != nil {
		return nil, err
	}
	longAgo := t.now.Add(-UnusedFor)
	part = slices.DeleteFunc(part, func(m *match) bool {
		used := uses[m.id].Time
		return f.Kind == TokensNever && !used.IsZero() || f.Kind == TokensUnused && used.After(longAgo)
	})
	if err := t.readMatches(tokenRecords.bucket, part); err != nil {
		return nil, err
	}
	for _, m := range part {
		k, err := tokenRecords.decode(m.id, m.value)
		if err != nil {
			return nil, err
		}
		if len(l.words) > 0 && !hasWords(tokenRecords.indexEntries(k), l.scope, l.words) {
			continue
		}
		if !f.Address.IsValid() || slices.Contains(k.AllowedIPs, f.Address) || uses[m.id].from(f.Address) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// SessionsFrom is Sessions of those that were begun or last used from an address
// or a network, by created; as FilteredTokens it looks at MostLooked for a page.
func (s *Store) SessionsFrom(ctx context.Context, q ListQuery, address netip.Prefix) (page Page[Session], err error) {
	q.Query = ""
	l, err := parseSifted(sessionRecords.bucket, q, "created:desc", []string{byCreated}, "", address)
	if err != nil {
		return page, err
	}
	return sifted(ctx, s, &sessionRecords, l, func(t *txn, _ *listing) sieve {
		return func(part []*match) ([]*match, error) { return t.siftSessions(address, part) }
	})
}

func (t *txn) siftSessions(address netip.Prefix, part []*match) (kept []*match, err error) {
	uses, err := t.knownUses(sessionUseBucket, part)
	if err != nil {
		return nil, err
	}
	if err := t.readMatches(sessionRecords.bucket, part); err != nil {
		return nil, err
	}
	for _, m := range part {
		r, err := sessionRecords.decode(m.id, m.value)
		if err != nil {
			return nil, err
		}
		if lies(r.IP, address) || uses[m.id].from(address) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// knownUses are the last uses of records by id, with those that are not written
// yet.
func (t *txn) knownUses(bucket string, part []*match) (map[string]LastUsed, error) {
	keys := make([][]byte, len(part))
	for i, m := range part {
		keys[i] = []byte(m.id)
	}
	all, err := t.GetMany(bucket, keys)
	if err != nil {
		return nil, err
	}
	uses := make(map[string]LastUsed, len(part))
	for i, m := range part {
		var u LastUsed
		if all[i] != nil {
			if err := readUse(bucket, m.id, all[i], &u); err != nil {
				return nil, err
			}
		}
		if noted, ok := t.use.noted(useKey{bucket, m.id}); ok {
			seen := slices.Concat(u.Seen, noted.Seen)
			u = u.later(noted)
			u.Seen = seen
		}
		uses[m.id] = u
	}
	return uses, nil
}

// from tells whether there was a use from an address or a network, as far as it is
// remembered.
func (u LastUsed) from(address netip.Prefix) bool {
	return lies(u.Address, address) || slices.ContainsFunc(u.Seen, func(seen string) bool { return lies(seen, address) })
}

// lies tells whether an address lies in a network.
func lies(text string, in netip.Prefix) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && in.Contains(a.WithZone("").Unmap())
}

var errNoFrom = fail(ErrInvalid, "bad_page", "a filtered list has no 'from': page with 'after'")

// parseSifted is parseListing of a list that is looked through.
func parseSifted(bucket string, q ListQuery, usual string, kinds []string, kind string, address netip.Prefix) (l listing, err error) {
	if q.From != 0 {
		return l, errNoFrom
	}
	if q.Sort == "" {
		q.Sort = usual
	}
	of := []string{bucket, kind, ""} // a cursor belongs to its filter, too
	if address.IsValid() {
		of[2] = address.String()
	}
	return parseListing(strings.Join(of, "\x00"), q, kinds...)
}

// sieve returns those of a part of a list that are wanted, with what they hold. A
// nil one wants all.
type sieve func(part []*match) ([]*match, error)

// sifted serves a page of the records that a sieve lets through.
func sifted[T any](ctx context.Context, s *Store, c *collection[T], l listing, begin func(*txn, *listing) sieve) (page Page[T], err error) {
	err = s.view(ctx, func(t *txn) error {
		l := l
		found, err := t.sift(c.bucket, &l, begin(t, &l))
		if err != nil {
			return err
		}
		page = Page[T]{Items: make([]*T, len(found.Items)), Total: found.Total, AtMost: found.AtMost, After: found.After}
		for i, m := range found.Items {
			if page.Items[i], err = c.decode(m.id, m.value); err != nil {
				return err
			}
		}
		return nil
	})
	return page, err
}

func (t *txn) sift(bucket string, l *listing, through sieve) (page Page[match], err error) {
	if through == nil {
		if page.Total, page.AtMost, err = t.countRange(bucket, *l); err == nil {
			page.Items, err = t.part(bucket, *l)
		}
		page.After = l.cursor(page.Items)
		return page, err
	}
	whole := l.after == nil && l.size > 0
	if page.Items, page.After, err = t.lookThrough(bucket, *l, through); err == nil {
		page.Total, page.AtMost = int64(len(page.Items)), !whole || page.After != ""
	}
	return page, err
}

// countRange counts what is between the ends of a list, up to MostLooked.
func (t *txn) countRange(bucket string, l listing) (n int64, more bool, err error) {
	l.after, l.size = nil, MostLooked+1
	all, err := t.places(bucket, l)
	return int64(min(len(all), MostLooked)), len(all) > MostLooked, err
}

// lookThrough looks at one part of a list after another, until the page is full or
// MostLooked were looked at. There is no cursor where the list has ended.
func (t *txn) lookThrough(bucket string, l listing, through sieve) (items []*match, after string, err error) {
	at, looked, step := l, 0, min(l.size, listStep) // which is enough where all are wanted
	for len(items) < l.size {
		at.size = min(step, MostLooked-looked)
		step = listStep
		part, err := t.places(bucket, at)
		if err != nil {
			return nil, "", err
		}
		ended := len(part) < at.size
		if len(part) > 0 {
			at.after = part[len(part)-1].key
		}
		looked += len(part)
		kept, err := through(part)
		if err != nil {
			return nil, "", err
		}
		if room := l.size - len(items); len(kept) >= room {
			items = append(items, kept[:room]...)
			return items, l.cursor(items), nil
		}
		items = append(items, kept...)
		switch {
		case ended:
			return items, "", nil
		case looked >= MostLooked:
			return items, formatCursor(l.bound, at.after), nil
		}
	}
	return items, "", nil
}
