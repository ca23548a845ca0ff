package web

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
)

// A page of a list has up to a thousand records, and is in memory, with the
// answer made of it, until the one who asked has taken the last byte. So each
// user has few large ones at once: others wait their turn, those of other users
// for nobody.

const (
	largePage    = 100              // of more records an answer is large
	largeAtOnce  = 2                // of a user
	turnPatience = 15 * time.Second // how long one waits
)

var errTurns = busy("you are reading several large lists already: read them one after the other, or in smaller pages", time.Second)

// turns are those who have their turn, by user.
type turns struct {
	mu    sync.Mutex
	users map[string]*turn
}

type turn struct {
	places  chan struct{}
	holders int // who wait or have a place; nobody: it is forgotten
}

// take waits for a place. end gives it back.
func (t *turns) take(ctx context.Context, user string) (end func(), err error) {
	one := t.join(user)
	ctx, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	select {
	case one.places <- struct{}{}:
		return func() { <-one.places; t.leave(user, one) }, nil
	case <-ctx.Done():
		t.leave(user, one)
		return nil, errTurns
	}
}

func (t *turns) join(user string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.users[user]
	if one == nil {
		one = &turn{places: make(chan struct{}, largeAtOnce)}
		if t.users == nil {
			t.users = map[string]*turn{}
		}
		t.users[user] = one
	}
	one.holders++
	return one
}

func (t *turns) leave(user string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.holders--; one.holders == 0 {
		delete(t.users, user)
	}
}

// turnKind is which requests of a route wait for their turn.
type turnKind int

const (
	never           turnKind = iota
	always                   // also where little is answered, for much is walked
	ifLarge                  // those of a large page
	ifLargeOrNamed           // also those that the audit log is walked for, or looked through: it has no index of names and of these
	ifLargeOrSifted          // also those that a part of a list is looked through for
)

func (k turnKind) waits(c echo.Context) bool {
	switch k {
	case always:
		return true
	case ifLargeOrNamed:
		if c.QueryParam("actor") != "" || c.QueryParam("target") != "" || c.QueryParam("result") != "" || c.QueryParam("address") != "" {
			return true
		}
	case ifLargeOrSifted:
		if c.QueryParam("filter") != "" || c.QueryParam("address") != "" || c.QueryParam("role") != "" {
			return true
		}
	case never:
		return false
	}
	n, err := strconv.Atoi(c.QueryParam("size"))
	return err == nil && n > largePage
}

// act does what a route is for, in its turn. The owner of the file waits for
// nobody.
func (s *Server) act(c echo.Context, r route, actor *db.Actor) error {
	if r.turn != never && !actor.Local() && r.turn.waits(c) {
		end, err := s.turns.take(c.Request().Context(), actor.ID)
		if err != nil {
			return err
		}
		defer end()
	}
	if r.long {
		unlimited(c)
	}
	return r.do.serve(c, actor)
}
