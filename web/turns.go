package web

import (
	"context"
	"net/http"
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

var errTurns = &failure{status: http.StatusServiceUnavailable, code: "busy", retryAfter: time.Second,
	reason: "you are reading several large lists already: read them one after the other, or in smaller pages"}

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

// inTurn lets a handler of a list wait for its turn where the page is large.
func (s *Server) inTurn(list handler) handler {
	return func(c echo.Context, actor *db.Actor) error {
		if n, err := strconv.Atoi(c.QueryParam("size")); err == nil && n > largePage {
			return s.takeTurn(list)(c, actor)
		}
		return list(c, actor)
	}
}

// inAuditTurn is inTurn for the audit log, which is walked where an actor or a
// target is asked for by name.
func (s *Server) inAuditTurn(list handler) handler {
	return func(c echo.Context, actor *db.Actor) error {
		if c.QueryParam("actor") != "" || c.QueryParam("target") != "" {
			return s.takeTurn(list)(c, actor)
		}
		return s.inTurn(list)(c, actor)
	}
}

// takeTurn lets a handler wait for its turn.
func (s *Server) takeTurn(h handler) handler {
	return func(c echo.Context, actor *db.Actor) error {
		if actor.Local() {
			return h(c, actor)
		}
		end, err := s.turns.take(c.Request().Context(), actor.ID)
		if err != nil {
			return err
		}
		defer end()
		return h(c, actor)
	}
}
