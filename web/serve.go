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
