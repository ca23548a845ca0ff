package db

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
)

// Bounds of a list.
const (
	MaxPageSize = 1000   // entries of one page
	MaxWindow   = 10_000 // from + size; beyond it one pages by After
)

// ListQuery asks for one page of a list. The zero value but for Size is the
// newest records of everybody.
type ListQuery struct {
	Owner string // the id of a user whose records are listed; "" for everybody's
	Query string // beginnings of words, case folded; all must match
	Sort  string // "created", "name", "expire_in" or "ended", with ":asc" or ":desc"; "" is created:desc
	From  int    // how many to pass over
	Size  int    // how many at most
	After string // the cursor of the page before
}

// Page is one page of a list.
type Page[T any] struct {
	Items  []*T   // shared with nobody
	Total  int64  // how many there are on all pages
	AtMost bool   // Total was counted up to MaxWindow only
	After  string // cursor of the next page; "" where this page was not full
}

// listing is a query that was checked against its collection.
type listing struct {
	scope   string
	kind    string
	reverse bool
	words   []string
	from    int
	size    int
	after   []byte // what follows the prefix in the last key of the page before
	low     []byte // what follows it in the keys of the list is greater; nil: whatever it is
	high    []byte // and less than this; nil: whatever it is. Both are no keys themselves
	bound   uint32 // what a cursor belongs to
}

var sortKinds = map[string]string{"created": byCreated, "name": byName, "expire_in": byExpiry, "ended": byEnded}

// parseListing checks q; sorts are the kinds that the collection has.
func parseListing(bucket string, q ListQuery, sorts ...string) (listing, error) {
	l := listing{scope: everything, from: q.From, size: q.Size, words: words(q.Query)}
	if q.Owner != "" {
		l.scope = q.Owner
	}
	if q.From < 0 || q.Size < 0 || q.Size > MaxPageSize || q.From > MaxWindow-q.Size {
		return l, fail(ErrInvalid, "bad_page", "from and size must not be negative, size at most 1000 and from+size at most 10000; page with 'after' instead")
	}
	field, order, _ := strings.Cut(q.Sort, ":")
	if q.Sort == "" {
		field, order = "created", "desc"
	}
	l.kind = sortKinds[field]
	l.reverse = order == "desc"
	if !slices.Contains(sorts, l.kind) || (order != "desc" && order != "asc" && order != "") {
		return l, fail(ErrInvalid, "bad_sort", "sort by created, name, expire_in or ended where the list has it, with :asc or :desc")
	}
	l.bound = crc32.ChecksumIEEE([]byte(strings.Join(append([]string{bucket, l.scope, l.kind, order}, l.words...), "\x00")))
	if q.After != "" {
		after, ok := parseCursor(q.After, l.bound)
		if !ok {
			return l, fail(ErrInvalid, "bad_cursor", "'after' is not a cursor of this list; take it from the page before, with the same query and sort")
		}
		l.after = after
	}
	return l, nil
}

// A cursor is base64url of a CRC-32 (IEEE) over the rest, what it belongs to,
// and the sort part of the last key. The sum tells a cut or mistyped one; a
// forged one only moves a reader within a list that is theirs.
func formatCursor(bound uint32, key []byte) string {
	b := make([]byte, 4, 8+len(key))
	b = binary.BigEndian.AppendUint32(b, bound)
	b = append(b, key...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string, bound uint32) (key []byte, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 9 || binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return nil, false
	}
	return b[8:], binary.BigEndian.Uint32(b[4:]) == bound
}

// page serves a page of a list that can be sorted by some kinds of the index;
// total is the counter of all that it holds.
func (c *collection[T]) page(ctx context.Context, s *Store, q ListQuery, total string, sorts ...string) (page Page[T], err error) {
	l, err := parseListing(c.bucket, q, sorts...)
	if err != nil {
		return page, err
	}
	err = s.view(ctx, func(t *txn) error {
		found, err := t.list(c, l, total)
		if err != nil {
			return err
		}
		page = Page[T]{Items: make([]*T, len(found.Items)), Total: found.Total, AtMost: found.AtMost, After: l.cursor(found.Items)}
		for i, m := range found.Items {
			if page.Items[i], err = c.decode(m.id, m.value); err != nil {
				return err
			}
		}
		return nil
	})
	return page, err
}

// match is a record as it stands in the store, and its key in the order of a
// list.
type match struct {
	key   []byte
	id    string
	value []byte
}

// list serves one page; its cursor is for who hands it out.
func (t *txn) list(n noun, l listing, total string) (page Page[match], err error) {
	if len(l.words) > 0 {
		return t.listMatching(n, l)
	}
	if page.Total, err = t.count(total); err == nil {
		page.Items, err = t.part(n.name(), l)
	}
	return page, err
}

// cursor is that of the page after items, "" where they are no full one.
func (l *listing) cursor(items []*match) string {
	if l.size == 0 || len(items) < l.size {
		return ""
	}
	return formatCursor(l.bound, items[len(items)-1].key)
}

// listMatching serves a page of the records that have a word beginning with
// each of the words asked for. Its cost is bounded by MaxWindow, not by the
// store: the rarest word decides which records are looked at, and no more than
// MaxWindow of them. Where it has more, the list itself is looked at first.
func (t *txn) listMatching(n noun, l listing) (page Page[match], err error) {
	ids, capped, err := t.candidates(indexOf(n.name()), l)
	if err != nil {
		return page, err
	}
	if capped {
		if page, whole, err := t.listCommon(n, l); err != nil || whole {
			return page, err
		}
	}
	var matches []*match
	for some := range slices.Chunk(ids, listStep) {
		values, err := t.records(n.name(), some)
		if err != nil {
			return page, err
		}
		for i, value := range values {
			d, err := n.read(some[i], value)
			if err != nil {
				return page, err
			}
			if key := l.keyOf(d); key != nil {
				matches = append(matches, &match{key, some[i], value})
			}
		}
	}
	return Page[match]{Items: l.cut(matches), Total: int64(len(matches)), AtMost: capped}, nil
}

// keyOf is the key of a record in the order of the list, nil where it has not
// the words.
func (l *listing) keyOf(d derived) []byte {
	if !hasWords(d.keys, l.scope, l.words) {
		return nil
	}
	prefix := indexPrefix(l.scope, l.kind)
	for _, key := range d.keys {
		if rest, ok := bytes.CutPrefix(key, prefix); ok {
			return rest
		}
	}
	return nil
}

// cut sorts records that were found in any order, and returns those of the page.
func (l *listing) cut(matches []*match) []*match {
	slices.SortFunc(matches, func(a, b *match) int {
		if l.reverse {
			a, b = b, a
		}
		return bytes.Compare(a.key, b.key)
	})
	for l.after != nil && len(matches) > 0 && !l.beyond(matches[0].key) {
		matches = matches[1:]
	}
	matches = matches[min(l.from, len(matches)):]
	return matches[:min(l.size, len(matches))]
}

// listStep is how many records are read at once to be looked at.
const listStep = 200

// listCommon serves a page for words that very many records have: those that
// stand at its place in the order of the list are soon found by looking at one
// after the other. It looks at no more than MaxWindow, and tells whether that
// was enough.
func (t *txn) listCommon(n noun, l listing) (page Page[match], whole bool, err error) {
	page = Page[match]{Total: MaxWindow, AtMost: true}
	window, looked, passed := l, 0, 0
	window.from, window.size = 0, listStep
	for more := true; more && looked < MaxWindow && len(page.Items) < l.size; {
		part, err := t.part(n.name(), window)
		if err != nil {
			return page, false, err
		}
		for _, m := range part {
			d, err := n.read(m.id, m.value)
			if err != nil {
				return page, false, err
			}
			window.after = m.key
			if looked++; !hasWords(d.keys, l.scope, l.words) {
				continue
			}
			if passed++; passed > l.from {
				page.Items = append(page.Items, m)
			}
			if len(page.Items) == l.size {
				break
			}
		}
		more = len(part) == listStep
	}
	return page, len(page.Items) == l.size || looked < MaxWindow, nil
}

// part returns up to l.size records of a list, in its order, behind cursor and
// from.
func (t *txn) part(bucket string, l listing) (part []*match, err error) {
	if part, err = t.places(bucket, l); err == nil {
		err = t.readMatches(bucket, part)
	}
	return part, err
}

// places is part without what stands there: keys and ids alone.
func (t *txn) places(bucket string, l listing) (part []*match, err error) {
	prefix, skip, start := indexPrefix(l.scope, l.kind), l.from, l.start()
	var from []byte
	if start != nil {
		from = slices.Concat(prefix, start)
	}
	err = t.scan(indexOf(bucket), prefix, from, l.reverse, func(key, id []byte) bool {
		key = key[len(prefix):]
		switch {
		case len(part) == l.size || l.ends(key):
			return false
		case l.after != nil && bytes.Equal(key, l.after):
		case skip > 0:
			skip--
		default:
			part = append(part, &match{key: key, id: string(id)})
		}
		return len(part) < l.size
	})
	return part, err
}

// start is from where the index is read; nil: from its beginning. A cursor leads
// nowhere but behind the first key.
func (l *listing) start() []byte {
	first := l.low
	if l.reverse {
		first = l.high
	}
	if l.after == nil || first != nil && l.beyond(first) {
		return first
	}
	return l.after
}

// ends tells whether neither key nor what follows it is of the list any more.
func (l *listing) ends(key []byte) bool {
	if l.reverse {
		return l.low != nil && bytes.Compare(key, l.low) < 0
	}
	return l.high != nil && bytes.Compare(key, l.high) >= 0
}

func (t *txn) readMatches(bucket string, part []*match) error {
	ids := make([]string, len(part))
	for i, m := range part {
		ids[i] = m.id
	}
	values, err := t.records(bucket, ids)
	for i, value := range values {
		part[i].value = value
	}
	return err
}

// records is getMany of what is there, or else ErrNotFound.
func (t *txn) records(bucket string, ids []string) (values [][]byte, err error) {
	values, err = t.getMany(bucket, ids)
	if err == nil && slices.ContainsFunc(values, func(v []byte) bool { return v == nil }) {
		err = errAbsentRecord
	}
	return values, err
}

// beyond tells whether key comes behind the cursor.
func (l *listing) beyond(key []byte) bool {
	if l.reverse {
		return bytes.Compare(key, l.after) < 0
	}
	return bytes.Compare(key, l.after) > 0
}

// candidates returns the ids of the records that have the rarest of the words,
// at most MaxWindow, and whether there would be more. The longest word is
// likely the rarest: of the others no more is read than it has.
func (t *txn) candidates(index string, l listing) (ids []string, capped bool, err error) {
	most := MaxWindow
	for i, word := range slices.SortedFunc(slices.Values(l.words), func(a, b string) int { return len(b) - len(a) }) {
		some, more, err := t.withWord(index, l.scope, word, most)
		if err != nil {
			return nil, false, err
		}
		if i == 0 || !more {
			ids, capped, most = some, more, len(some)
		}
	}
	return ids, capped, nil
}

// withWord returns up to most ids of records with a word that begins so, and
// whether there are more. Of those with one word the newest come first where
// the index has them by time.
func (t *txn) withWord(index, scope, word string, most int) (ids []string, more bool, err error) {
	prefix := append(indexPrefix(scope, byWord), word...)
	seen := map[string]bool{}
	err = t.scan(index, prefix, nil, true, func(_, value []byte) bool {
		if id := string(value); !seen[id] {
			if len(ids) == most {
				more = true
				return false
			}
			seen[id] = true
			ids = append(ids, id)
		}
		return true
	})
	return ids, more, err
}

// hasWords tells whether for each word one of the keys has a word beginning
// with it.
func hasWords(keys [][]byte, scope string, words []string) bool {
	for _, word := range words {
		prefix := append(indexPrefix(scope, byWord), word...)
		if !slices.ContainsFunc(keys, func(key []byte) bool { return bytes.HasPrefix(key, prefix) }) {
			return false
		}
	}
	return true
}

// Owner is what a list tells of whose something is.
type Owner struct {
	Username string
	Disabled bool
}

func ownerOf(u *User) Owner { return Owner{Username: u.Username(), Disabled: u.Disabled} }

// Owners returns the users of a page by id, read in one transaction; one who is
// gone is called by the id.
func (s *Store) Owners(ctx context.Context, ids []string) (map[string]Owner, error) {
	owners := make(map[string]Owner, len(ids))
	var unread []string
	for _, id := range ids {
		if _, met := owners[id]; met {
			continue
		}
		owners[id] = Owner{Username: id}
		if u := s.users.kept(id); u != nil {
			owners[id] = ownerOf(u)
		} else {
			unread = append(unread, id)
		}
	}
	if len(unread) == 0 {
		return owners, nil
	}
	return owners, s.view(ctx, func(t *txn) error {
		all, err := t.GetMany(userRecords.bucket, keysOf(unread))
		for i, sealed := range all {
			u, err := userRecords.open(unread[i], sealed)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			owners[unread[i]] = ownerOf(u)
		}
		return err
	})
}
