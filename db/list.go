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
	Sort  string // "created", "name" or "expire_in", with ":asc" or ":desc"; "" is created:desc
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
	bound   uint32 // what a cursor belongs to
}

var sortKinds = map[string]string{"created": byCreated, "name": byName, "expire_in": byExpiry}

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
		return l, fail(ErrInvalid, "bad_sort", "sort by created, name or expire_in where the list has it, with :asc or :desc")
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

// list serves one page.
func (c *collection[T]) list(t *txn, l listing, total string) (Page[T], error) {
	if len(l.words) > 0 {
		return c.listMatching(t, l)
	}
	n, err := t.count(total)
	if err != nil {
		return Page[T]{}, err
	}
	page := Page[T]{Total: n}
	keys, ids, err := t.part(c.indexBucket(), l)
	if err != nil {
		return page, err
	}
	if page.Items, err = c.getMany(t, ids); err != nil {
		return page, err
	}
	if l.size > 0 && len(ids) == l.size {
		page.After = formatCursor(l.bound, keys[len(keys)-1])
	}
	return page, nil
}

// scanAfter calls f for up to l.size index entries behind cursor and from,
// until it answers false.
func (t *txn) scanAfter(bucket string, prefix []byte, l listing, f func(key []byte, id string) (more bool)) error {
	var from []byte
	if l.after != nil {
		from = append(slices.Clone(prefix), l.after...)
	}
	skip, room := l.from, l.size
	return t.scan(bucket, prefix, from, l.reverse, func(key, value []byte) bool {
		if room == 0 {
			return false
		}
		if from != nil && bytes.Equal(key, from) {
			return true
		}
		if skip > 0 {
			skip--
			return true
		}
		room--
		return f(key, string(value)) && room > 0
	})
}

// listMatching serves a page of the records that have a word beginning with
// each of the words asked for. Its cost is bounded by MaxWindow, not by the
// store: the rarest word decides which records are looked at, and no more than
// MaxWindow of them. Where it has more, the list itself is looked at first.
func (c *collection[T]) listMatching(t *txn, l listing) (Page[T], error) {
	var page Page[T]
	ids, capped, err := c.candidates(t, l)
	if err != nil {
		return page, err
	}
	if capped {
		if page, whole, err := c.listCommon(t, l); err != nil || whole {
			return page, err
		}
	}
	var matches []match[T]
	for some := range slices.Chunk(ids, listStep) {
		records, err := c.getMany(t, some)
		if err != nil {
			return page, err
		}
		for _, r := range records {
			matches = c.appendMatches(matches, l, r)
		}
	}
	page = pageOf(l, matches)
	page.AtMost = capped
	return page, nil
}

// appendMatches appends a record by its keys in the order of the list, where it
// has the words.
func (c *collection[T]) appendMatches(matches []match[T], l listing, r *T) []match[T] {
	keys, prefix := c.index(r), indexPrefix(l.scope, l.kind)
	if !hasWords(keys, l.scope, l.words) {
		return matches
	}
	for _, key := range keys {
		if bytes.HasPrefix(key, prefix) {
			matches = append(matches, match[T]{key[len(prefix):], r})
		}
	}
	return matches
}

// match is a record and its key in the order of the list.
type match[T any] struct {
	key    []byte
	record *T
}

// pageOf serves a page of records that were found in any order.
func pageOf[T any](l listing, matches []match[T]) Page[T] {
	slices.SortFunc(matches, func(a, b match[T]) int {
		if l.reverse {
			a, b = b, a
		}
		return bytes.Compare(a.key, b.key)
	})
	page := Page[T]{Total: int64(len(matches))}
	rest := matches
	for l.after != nil && len(rest) > 0 && !l.beyond(rest[0].key) {
		rest = rest[1:]
	}
	rest = rest[min(l.from, len(rest)):]
	rest = rest[:min(l.size, len(rest))]
	for _, m := range rest {
		page.Items = append(page.Items, m.record)
	}
	if l.size > 0 && len(rest) == l.size {
		page.After = formatCursor(l.bound, rest[len(rest)-1].key)
	}
	return page
}

// listStep is how many records are read at once to be looked at.
const listStep = 200

// listCommon serves a page for words that very many records have: those that
// stand at its place in the order of the list are soon found by looking at one
// after the other. It looks at no more than MaxWindow, and tells whether that
// was enough.
func (c *collection[T]) listCommon(t *txn, l listing) (page Page[T], whole bool, err error) {
	page = Page[T]{Total: MaxWindow, AtMost: true}
	window, looked, passed := l, 0, 0
	window.from, window.size = 0, listStep
	for more := true; more && looked < MaxWindow && len(page.Items) < l.size; {
		keys, ids, err := t.part(c.indexBucket(), window)
		if err != nil {
			return page, false, err
		}
		records, err := c.getMany(t, ids)
		if err != nil {
			return page, false, err
		}
		for i, r := range records {
			window.after = keys[i]
			if looked++; !hasWords(c.index(r), l.scope, l.words) {
				continue
			}
			if passed++; passed > l.from {
				page.Items = append(page.Items, r)
			}
			if len(page.Items) == l.size {
				page.After = formatCursor(l.bound, keys[i])
				break
			}
		}
		more = len(ids) == listStep
	}
	return page, len(page.Items) == l.size || looked < MaxWindow, nil
}

// part returns a part of a list, in its order: what follows the prefix in each
// key, and the ids.
func (t *txn) part(index string, l listing) (keys [][]byte, ids []string, err error) {
	prefix := indexPrefix(l.scope, l.kind)
	err = t.scanAfter(index, prefix, l, func(key []byte, id string) bool {
		keys, ids = append(keys, key[len(prefix):]), append(ids, id)
		return true
	})
	return keys, ids, err
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
func (c *collection[T]) candidates(t *txn, l listing) (ids []string, capped bool, err error) {
	most := MaxWindow
	for i, word := range slices.SortedFunc(slices.Values(l.words), func(a, b string) int { return len(b) - len(a) }) {
		some, more, err := c.withWord(t, l.scope, word, most)
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
func (c *collection[T]) withWord(t *txn, scope, word string, most int) (ids []string, more bool, err error) {
	prefix := append(indexPrefix(scope, byWord), word...)
	seen := map[string]bool{}
	err = t.scan(c.indexBucket(), prefix, nil, true, func(_, value []byte) bool {
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

// Usernames returns what the users of a page are called, by id, read in one
// transaction; one who is gone is called by the id.
func (s *Store) Usernames(ctx context.Context, ids []string) (map[string]string, error) {
	names := make(map[string]string, len(ids))
	var unread []string
	for _, id := range ids {
		if _, met := names[id]; met {
			continue
		}
		names[id] = id
		if u := s.users.kept(id); u != nil {
			names[id] = u.Username()
		} else {
			unread = append(unread, id)
		}
	}
	if len(unread) == 0 {
		return names, nil
	}
	return names, s.view(ctx, func(t *txn) error {
		all, err := t.GetMany(userRecords.bucket, keysOf(unread))
		for i, sealed := range all {
			u, err := userRecords.open(unread[i], sealed)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			names[unread[i]] = u.Username()
		}
		return err
	})
}
