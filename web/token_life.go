package web

import (
	"fmt"
	"sync"
	"time"

	"husk/db"
	"husk/web/api"
)

// To count tokens by what is left of their life is to walk an index, 80,000 keys of it in
// a large store, and each overview that somebody leaves open asks every half minute. So
// that of a large store is kept for a while, and the answer says when it was made.
const (
	livesKept = time.Minute
	fewTokens = 1000 // of no more it is not kept: who has just made one sees it
)

// lifeCount is the last count.
type lifeCount struct {
	mu    sync.Mutex
	lives []db.TokenLife // nil: none is kept; changed by nobody
	at    time.Time
}

// get returns a count, and when it was made. Who asks while another one counts waits
// for that.
func (c *lifeCount) get(now time.Time, count func() ([]db.TokenLife, error)) (lives []db.TokenLife, at time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.at); c.lives != nil && age >= 0 && age < livesKept {
		return c.lives, c.at, nil
	}
	if lives, err = count(); err != nil {
		return nil, now, err
	}
	all := int64(0)
	for _, l := range lives {
		all += l.Count
	}
	if c.lives, c.at = lives, now; all <= fewTokens {
		c.lives = nil
	}
	return lives, now, nil
}

func tokenLife(lives []db.TokenLife) []api.TokenLife {
	out := make([]api.TokenLife, len(lives))
	for i, l := range lives {
		out[i] = api.TokenLife{Left: leftOf(l), Total: api.Total{Value: l.Count, Relation: "eq"}}
		if l.OrMore {
			out[i].Total.Relation = "gte"
		}
	}
	return out
}

func leftOf(l db.TokenLife) string {
	switch {
	case l.Ended:
		return "ended"
	case l.Never:
		return "never"
	case l.Under == 0:
		return "more"
	}
	return fmt.Sprintf("%dd", l.Under/(24*time.Hour))
}
