package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the end of a server, counted from its beginning unless told
// otherwise.
const (
	// DrainTimeout is how long what is in flight may take to finish.
	DrainTimeout = 10 * time.Second
	// freshGrace is how long a connection may take to send its first request,
	// or a request to send the next piece of its body.
	freshGrace = 2 * time.Second
	// idleGrace is how long a kept connection may still send a request, from
	// when it became idle. It is answered with "Connection: close". Closed at
	// once, it would lose the request that is on its way just then.
	idleGrace = 500 * time.Millisecond
	// closeGrace is how long connections that were closed may take to be gone.
	closeGrace = time.Second
)

// Serve answers on the listeners, beside the Background, until ctx ends or one of
// them fails. Then it closes the listeners, lets what was accepted finish for at
// most DrainTimeout, and returns when the Background has come to its end.
//
// It serves once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hs := s.HTTPServer()
	hs.ConnState = s.connections.note
	var accepting, working sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() {
			err := errPanicked
			Guard(s.Log.Logger, func() { err = hs.Serve(ownWords{l}) }, "listener", l.Addr().String())
			if ctx.Err() == nil {
				stop(fmt.Errorf("serve on %s: %w", l.Addr(), err))
			}
		})
	}
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	working.Go(func() {
		if s.Background != nil && !Guard(s.Log.Logger, func() { s.Background(background) }) {
			stop(fmt.Errorf("work in the background: %w", errPanicked))
		}
	})

	<-ctx.Done()
	// Shutdown would close the listeners too, but drop what was accepted and
	// not read yet. So nothing is accepted any more before anything is closed;
	// what the kernel queues on an inherited socket is for the next server.
	for _, l := range listeners {
		l.Close()
	}
	accepting.Wait()
	s.drain(hs)
	endBackground()
	working.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// drain answers what was accepted, and ends all connections. Neither one that
// says nothing nor one that stops in the middle of a request holds it.
func (s *Server) drain(hs *http.Server) {
	s.connections.ending.Store(true)
	s.beginStop()
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for now := began; s.connections.sweep(began, now) > 0; now = <-tick.C {
		if now.Sub(began) >= DrainTimeout {
			hs.Close()
			return
		}
	}
	// Shutdown waits for those that were closed and are not gone yet.
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if hs.Shutdown(ctx) != nil {
		hs.Close()
	}
}
