package db

import (
	"bytes"
	"context"
	"time"
)

// Expiring are the tokens that end within some time.
type Expiring struct {
	Count int      // at most maxExpiring, which means that or more
	First []*Token // the next few to end, at most firstExpiring
}

// What ExpiringTokens looks at is bounded: it is called at each scrape.
const (
	maxExpiring   = 10_000
	firstExpiring = 5
)

// ExpiringTokens returns the tokens that are valid now and not any more when
// within has passed, from the index by expiry.
func (s *Store) ExpiringTokens(ctx context.Context, within time.Duration) (e Expiring, err error) {
	err = s.view(ctx, func(t *txn) error {
		e = Expiring{}
		ids, err := t.expiringTokens(&e, within)
		for _, id := range ids {
			if err != nil {
				return err
			}
			var k *Token
			k, err = tokenRecords.get(t, id)
			e.First = append(e.First, k)
		}
		return err
	})
	return e, err
}

// expiringTokens counts and returns the ids of the first few. A token that
// ends in the second that runs has ended.
func (t *txn) expiringTokens(e *Expiring, within time.Duration) (first []string, err error) {
	prefix := indexPrefix(everything, byExpiry)
	from := append(bytes.Clone(prefix), expiryKey(t.now.Unix()+1)...)
	end := append(bytes.Clone(prefix), expiryKey(t.now.Add(within).Unix()+1)...)
	err = t.scan(tokenRecords.indexBucket(), prefix, from, false, func(key, id []byte) bool {
		if bytes.Compare(key, end) >= 0 || e.Count == maxExpiring {
			return false
		}
		if e.Count++; len(first) < firstExpiring {
			first = append(first, string(id))
		}
		return true
	})
	return first, err
}
