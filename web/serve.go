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
	drainPoll         = 5 * time.Millisecond
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
	var connected connections
	hs.ConnState = connected.note
	var accepting, working sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() { stop(fmt.Errorf("serve on %s: %w", l.Addr(), hs.Serve(l))) })
	}
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	working.Go(func() { s.Run(background) })

	<-ctx.Done()
	for _, l := range listeners {
		l.Close()
	}
	accepting.Wait()
	connected.drain(hs)
	hs.Close()
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

// connections are those that were accepted and are open. The silent ones have
// not sent a whole first header.
type connections struct{ open, silent sync.Map }

func (o *connections) note(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.open.Store(c, nil)
		o.silent.Store(c, nil)
	case http.StateActive:
		o.silent.Delete(c)
	case http.StateClosed, http.StateHijacked:
		o.silent.Delete(c)
		o.open.Delete(c)
	}
}

// drain waits until every connection is closed, each after the answer to what
// it sent. http.Server's own Shutdown would drop a request that has come whole
// on a new connection, and its client could not know whether it was done; and
// it would wait for one that never comes whole.
func (o *connections) drain(hs *http.Server) {
	began, tick := time.Now(), time.NewTicker(drainPoll)
	defer tick.Stop()
	for time.Since(began) < drainTimeout {
		hs.SetKeepAlivesEnabled(false) // and closes the idle ones
		if time.Since(began) > drainReadTimeout {
			o.silent.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		}
		if o.none() {
			return
		}
		<-tick.C
	}
}

func (o *connections) none() bool {
	none := true
	o.open.Range(func(any, any) bool { none = false; return false })
	return none
}
