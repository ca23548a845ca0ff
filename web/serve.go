package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of connections: net/http's own defaults wait for ever.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // the whole request; routes that stream lift it
	writeTimeout      = 60 * time.Second // the whole answer, from the end of the header
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 64 << 10
	drainTimeout      = 10 * time.Second // for what is in flight when the server stops
	drainReadTimeout  = time.Second      // for the rest of what has come in part by then
)

// HTTPServer returns an http.Server for s with its limits.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ConnContext:       ConnContext,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Serve answers on the listeners and does the background work until ctx ends
// or a listener fails. Then it stops accepting, lets what is in flight finish
// for at most drainTimeout, and returns when everything is written.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hs := s.HTTPServer()
	hs.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), drainKey{}, ctx) }
	var silent silentConns
	hs.ConnState = silent.note
	var accepting, working sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() {
			if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				stop(fmt.Errorf("serve on %s: %w", l.Addr(), err))
			}
		})
	}
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	working.Go(func() { s.Run(background) })

	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	defer time.AfterFunc(drainReadTimeout, silent.close).Stop()
	if hs.Shutdown(drain) != nil {
		hs.Close()
	}
	accepting.Wait()
	endBackground()
	working.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// drainKey leads to a context that ends when the server stops.
type drainKey struct{}

// readWhileServing lets a body be read. When the server stops it cuts the
// reading short: a client that never sends the rest must not hold the stop.
// The caller tells the returned function how the reading ended.
func readWhileServing(w http.ResponseWriter, r *http.Request) (done func(error)) {
	serving, ok := r.Context().Value(drainKey{}).(context.Context)
	if !ok {
		return func(error) {} // nobody stops a server that serves one command
	}
	control := http.NewResponseController(w)
	stop := context.AfterFunc(serving, func() { _ = control.SetReadDeadline(time.Now().Add(drainReadTimeout)) })
	return func(err error) {
		if !stop() && err == nil {
			_ = control.SetReadDeadline(time.Time{}) // what has come whole is answered in full
		}
	}
}

// silentConns are the connections that have not sent a whole first header.
// http.Server waits for them when it stops.
type silentConns struct{ conns sync.Map }

func (s *silentConns) note(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.conns.Store(c, nil)
	} else {
		s.conns.Delete(c)
	}
}

func (s *silentConns) close() {
	s.conns.Range(func(c, _ any) bool {
		c.(net.Conn).Close()
		return true
	})
}
