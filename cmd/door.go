package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"husk/db"
	"husk/web/control"
	"husk/web/fold"
	"husk/web/listen"
)

// door is the way to the store on this machine: the control socket of a
// running server, else a handler in this process over the data file. The way
// is chosen at each connection, since a server may start or stop in between.
type door struct {
	*app
	creates bool // a store where there is none

	mu      sync.Mutex
	offline *offline // nil as long as a server answers
	failed  atomic.Pointer[string]
}

// why is what broke off an answer in this process; empty where a server's log
// says it.
func (d *door) why() string {
	if text := d.failed.Load(); text != nil {
		return *text
	}
	return ""
}

// offline is a handler in this process. As long as it is there the file is
// locked.
type offline struct {
	store    *db.Store
	leave    func() error // the data folder; see enter
	listener *control.Memory
	server   *http.Server

	handler http.Handler
	asked   sync.RWMutex // held for reading by each request
}

// ServeHTTP implements http.Handler.
func (o *offline) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.asked.RLock()
	defer o.asked.RUnlock()
	o.handler.ServeHTTP(w, r)
}

func (d *door) dial(ctx context.Context) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for deadline := time.Now().Add(lockWait); d.offline == nil; {
		c, err := d.dialSocket(ctx)
		if !errors.Is(err, control.ErrNoServer) {
			return c, err
		}
		err = d.open(ctx)
		if err != nil && (!errors.Is(err, db.ErrLocked) || time.Now().After(deadline) || ctx.Err() != nil) {
			return nil, err
		}
	}
	return d.offline.listener.DialContext(ctx, "", "")
}

// dialSocket answers control.ErrNoServer where nobody listens.
func (d *door) dialSocket(ctx context.Context) (net.Conn, error) {
	f, err := d.findFolder()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := control.Dial(ctx, f.Path())
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return nil, d.explainStore(err)
	case errors.Is(err, control.ErrOlder):
		return nil, &failure{code: exitBusy, err: err, what: "the server in " + d.settings.Data + " is of another version, with which this husk does not speak",
			next: "the running server is an older husk: restart it"}
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
		return nil, &failure{code: exitBusy, err: err, what: "the server in " + d.settings.Data + " does not answer on its control socket",
			next: "look at its log, or restart it"}
	case err != nil:
		return nil, cmp.Or(d.explainSocket(err), err)
	}
	return &socketConn{Conn: c}, nil
}

// open opens the data file and serves the handler in this process.
func (d *door) open(ctx context.Context) (err error) {
	listener := control.NewMemory() // its peer is the caller, not the owner of the folder
	leave, err := d.enter(d.creates)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, leave())
		}
	}()
	store, err := d.openStore(ctx, untilThen(ctx, lockRound), d.creates)
	if err != nil {
		return err
	}
	log := slog.New(&onlyPanics{slog.NewTextHandler(d.stderr, nil), &d.failed})
	handler, err := newServer(d.config(store, d.sealerOffline(), log))
	if err != nil {
		store.Close()
		return err
	}
	server := listen.New(listen.Config{Handler: handler, Log: fold.New(log, store.Now)}).HTTPServer()
	d.offline = &offline{store: store, leave: leave, listener: listener, server: server, handler: server.Handler}
	server.Handler = d.offline
	// Should it panic, the listener is closed: the command fails.
	go listen.Guard(log, func() { _ = d.offline.server.Serve(d.offline.listener) })
	return nil
}

// onlyPanics is the log of a handler in the process of a command: what is to be
// said, the command says, and there is no other place for a panic.
type onlyPanics struct {
	slog.Handler
	failed *atomic.Pointer[string] // what the last failure says of its cause
}

// Handle implements slog.Handler. Only what tells of a panic has a stack.
func (h *onlyPanics) Handle(ctx context.Context, r slog.Record) (err error) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" && r.Level >= slog.LevelError {
			text := a.Value.String()
			h.failed.Store(&text)
		}
		if a.Key == "stack" {
			err = h.Handler.Handle(ctx, r)
		}
		return a.Key != "stack"
	})
	return err
}

// close writes down what is left to write and gives the file back.
func (d *door) close(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.offline == nil {
		return nil
	}
	d.offline.server.Close()
	// What was asked ends by itself now. The process must not end before: a
	// backup that was interrupted would leave a copy of the store behind.
	d.offline.asked.Lock()
	defer d.offline.asked.Unlock()
	// The end must not depend on whether the command was interrupted.
	return errors.Join(d.offline.store.FlushLastUsed(context.WithoutCancel(ctx)), d.offline.store.Close(), d.offline.leave())
}

// errUndelivered says that no handler has seen the request.
var errUndelivered = errors.New("the server stopped before it took the request")

// socketConn is a connection for one request. It tells a request that was not
// taken from one whose answer was lost: a server that stops also closes
// connections that it has not accepted yet. The system then refuses the write,
// or answers the read with ECONNRESET, since what was written was never read;
// where it was read, the end is a plain EOF.
type socketConn struct {
	net.Conn
	mu      sync.Mutex // held while writing
	written bool       // all of it, so far
	read    bool
}

func (c *socketConn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err = c.Conn.Write(p)
	c.written = err == nil
	if control.Broken(err) {
		err = fmt.Errorf("%w: %w", errUndelivered, err)
	}
	return n, err
}

func (c *socketConn) Read(p []byte) (n int, err error) {
	n, err = c.Conn.Read(p)
	c.read = c.read || n > 0
	if err == nil || c.read {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.written || control.Broken(err) {
		err = fmt.Errorf("%w: %w", errUndelivered, err)
	}
	return n, err
}

// retryUndelivered sends a request once more that no handler has seen.
type retryUndelivered struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t retryUndelivered) RoundTrip(r *http.Request) (*http.Response, error) {
	for deadline := time.Now().Add(lockWait); ; {
		answer, err := t.Transport.RoundTrip(r)
		if !errors.Is(err, errUndelivered) || time.Now().After(deadline) || (r.Body != nil && r.GetBody == nil) {
			return answer, err
		}
		r = r.Clone(r.Context())
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}
