package listen

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections knows the state of every connection of an http.Server, which
// knows it too and does not tell. A request costs it no lock.
type connections struct {
	states sync.Map    // net.Conn to *connection
	ending atomic.Bool // from now on it matters since when one is idle
}

type connection struct {
	limited *Conn
	state   atomic.Int32 // an http.ConnState; StateNew is 0
	idle    atomic.Int64 // since when, in Unix nanoseconds; 0: since before the end
}

// note is an http.Server's ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.states.Store(conn, &connection{limited: Of(conn)})
	case http.StateClosed, http.StateHijacked:
		c.states.Delete(conn)
	default:
		v, ok := c.states.Load(conn)
		if !ok {
			return
		}
		known := v.(*connection)
		if state == http.StateIdle {
			nextHeader(conn)
			if c.ending.Load() {
				known.idle.Store(time.Now().UnixNano())
			}
		}
		known.state.Store(int32(state))
		known.limited.Note(state)
	}
}

// sweep closes the connections whose time is over and counts the others.
//
// One that becomes idle after the end began has its grace from then on: the
// header of its answer may have left before, and did not tell the client that
// the connection ends.
func (c *connections) sweep(began, now time.Time) (open int) {
	c.states.Range(func(conn, v any) bool {
		known := v.(*connection)
		over := false
		switch http.ConnState(known.state.Load()) {
		case http.StateNew:
			over = now.Sub(began) > freshGrace
		case http.StateIdle:
			since := max(began.UnixNano(), known.idle.Load())
			over = now.UnixNano()-since > int64(idleGrace)
		}
		if over {
			conn.(net.Conn).Close()
		} else {
			open++
		}
		return true
	})
	return open
}
