package db

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"
)

// TokenLife is how many tokens have so much of their life left.
type TokenLife struct {
	Under  time.Duration // less than this, and no less than the one before; 0: more than all, or none
	Ended  bool          // they have ended
	Never  bool          // they never end
	Count  int64
	OrMore bool // counting stopped: there are so many or more
}

// maxLifeCount is where counting the tokens of one span stops: of a million it would
// take a second.
const maxLifeCount = 10_000

const dayLong = 24 * time.Hour

// lifeSpans are where one span ends and the next begins.
var lifeSpans = []time.Duration{dayLong, 7 * dayLong, 30 * dayLong, 90 * dayLong, 365 * dayLong}

// TokenLives counts the tokens by what is left of their life, from the index by
// expiry: those that have ended first, those that never end last. Where one span
// alone has more than are counted, it has the rest of all.
func (s *Store) TokenLives(ctx context.Context) (lives []TokenLife, err error) {
	err = s.view(ctx, func(t *txn) (err error) { lives, err = t.tokenLives(maxLifeCount); return err })
	return lives, err
}

func (t *txn) tokenLives(most int64) (lives []TokenLife, err error) {
	lives = []TokenLife{{Ended: true}}
	ends := []int64{t.now.Unix() + 1} // a token that ends in the second that runs has ended
	for _, span := range lifeSpans {
		lives = append(lives, TokenLife{Under: span})
		ends = append(ends, t.now.Add(span).Unix()+1)
	}
	lives, ends = append(lives, TokenLife{}, TokenLife{Never: true}), append(ends, Never)
	from := []byte(nil)
	for i := range lives {
		var end []byte
		if i < len(ends) {
			end = slices.Concat(indexPrefix(everything, byExpiry), expiryKey(ends[i]))
		}
		if err := t.countLife(&lives[i], from, end, most); err != nil {
			return nil, err
		}
		from = end
	}
	return lives, t.countRest(lives)
}

// countLife counts the entries from one key on and before another one; nil: there
// is no such bound.
func (t *txn) countLife(l *TokenLife, from, end []byte, most int64) error {
	return t.Scan(tokenRecords.indexBucket(), indexPrefix(everything, byExpiry), from, false, func(key, _ []byte) bool {
		if end != nil && bytes.Compare(key, end) >= 0 {
			return false
		}
		if l.Count == most {
			l.OrMore = true
			return false
		}
		l.Count++
		return true
	})
}

// countRest finds out how many there are where counting stopped once.
func (t *txn) countRest(lives []TokenLife) error {
	var stopped *TokenLife
	counted := int64(0)
	for i := range lives {
		switch l := &lives[i]; {
		case !l.OrMore:
			counted += l.Count
		case stopped != nil:
			return nil
		default:
			stopped = l
		}
	}
	if stopped == nil {
		return nil
	}
	all, err := t.count(tokenRecords.bucket)
	if rest := all - counted; err == nil && rest > stopped.Count {
		stopped.Count, stopped.OrMore = rest, false
	}
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}
