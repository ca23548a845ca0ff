package web

import (
	"errors"
	"testing"
	"time"

	"husk/db"
)

// A count of many tokens is good for a minute and says of when it is; one of few, one of
// a time to come, and one that failed is made anew.
func TestTokenLivesAreKept(t *testing.T) {
	begin := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	counts := 0
	for _, test := range []struct {
		name   string
		tokens int64
		after  []time.Duration // when it is asked for
		want   []time.Duration // of when the answers are
	}{
		{"many", fewTokens, []time.Duration{0, time.Second, livesKept - 1, livesKept, livesKept + 1}, []time.Duration{0, 0, 0, livesKept, livesKept}},
		{"few", fewTokens - 1, []time.Duration{0, time.Second, time.Minute}, []time.Duration{0, time.Second, time.Minute}},
		{"back", fewTokens, []time.Duration{time.Hour, 0, time.Second}, []time.Duration{time.Hour, 0, 0}},
	} {
		var c lifeCount
		for i, after := range test.after {
			lives, at, err := c.get(begin.Add(after), func() ([]db.TokenLife, error) {
				counts++
				return []db.TokenLife{{Ended: true, Count: 1}, {Never: true, Count: test.tokens}}, nil
			})
			if err != nil || len(lives) != 2 || lives[1].Count != test.tokens || at.Sub(begin) != test.want[i] {
				t.Errorf("%s after %v: %+v of %v, %v, want that of %v", test.name, after, lives, at.Sub(begin), err, test.want[i])
			}
		}
	}
	if counts != 2+3+2 {
		t.Errorf("counted %d times", counts)
	}
	var c lifeCount
	for _, broken := range []bool{true, false} {
		lives, _, err := c.get(begin, func() ([]db.TokenLife, error) {
			if broken {
				return nil, errors.New("no")
			}
			return []db.TokenLife{{Count: 1}}, nil
		})
		if (err != nil) != broken || (len(lives) == 1) == broken {
			t.Errorf("broken %t: %+v, %v", broken, lives, err)
		}
	}
}
