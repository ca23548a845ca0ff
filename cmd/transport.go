package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/password"
)

// lockWait is how long a command goes round between socket and file before it
// gives up. A server that starts holds the file a moment before it listens;
// one that stops, a moment after.
const (
	lockWait  = 5 * time.Second
	lockRound = 100 * time.Millisecond
)

// session is a client with what has to end after the last request.
type session struct {
	*api.Client
	remote bool
	name   string // of who answers, for people
	end    func() error
}

// connect chooses the dialer: TCP with --server, else the control socket of a
// running server, else a handler in this process over the data file. creates
// says that the command makes a store where there is none.
//
// Whatever asks a person something does so before: while connected offline the
// file is locked.
func (a *app) connect(ctx context.Context, creates bool) (*session, error) {
	if a.settings.Server != "" {
		return a.connectRemote()
	}
	for deadline := time.Now().Add(lockWait); ; {
		s, err := a.connectSocket(ctx)
		if !errors.Is(err, control.ErrNoServer) {
			return s, err
		}
		s, err = a.connectOffline(ctx, creates)
		if !errors.Is(err, db.ErrLocked) || time.Now().After(deadline) || ctx.Err() != nil {
			return s, err
		}
	}
}

// use connects, runs f and disconnects. What disconnecting could not write
// down is an error of the command.
func (a *app) use(ctx context.Context, creates bool, f func(*session) error) error {
	s, err := a.connect(ctx, creates)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.end())
}

func (a *app) connectRemote() (*session, error) {
	u, err := url.Parse(a.settings.Server)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, usage("--server is not a URL", "give scheme and host, such as https://id.example.com")
	}
	token, err := a.readTokenFile()
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	return &session{
		Client: &api.Client{Base: a.settings.Server, Token: token, HTTP: &http.Client{Transport: t, CheckRedirect: noRedirect}},
		remote: true,
		name:   a.settings.Server,
		end:    func() error { t.CloseIdleConnections(); return nil },
	}, nil
}

// noRedirect keeps the token from being sent to where a redirect leads.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (a *app) readTokenFile() (string, error) {
	if a.settings.TokenFile == "" {
		return "", nil
	}
	text, err := a.readSmall(a.settings.TokenFile)
	if err != nil {
		return "", &failure{code: exitFailure, err: err, what: "the token file can't be read: " + plainPathError(err)}
	}
	return strings.TrimSpace(string(text)), nil
}

// readSmall reads a small file, or stdin for "-".
func (a *app) readSmall(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(a.stdin, 64<<10))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}

// plainPathError is the path and the cause, without the name of a system call.
func plainPathError(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Path + ": " + p.Err.Error()
	}
	return err.Error()
}

// connectSocket answers control.ErrNoServer where nobody listens. The first
// connection is made here, so that a server that is there is found for sure.
func (a *app) connectSocket(ctx context.Context) (*session, error) {
	path, err := control.Path(a.settings.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, control.ErrNoServer
	}
	var first net.Conn
	if err == nil {
		first, err = control.Dial(ctx, path)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, &failure{code: exitDenied, err: err, what: "no access to the control socket in " + a.settings.Data + ": permission denied",
			next: "run the command as the user of the server, or as root"}
	case err != nil:
		return nil, err
	}
	return local("the running server", func(ctx context.Context) (net.Conn, error) {
		if c := first; c != nil {
			first = nil
			return c, nil
		}
		return control.Dial(ctx, path)
	}, func() error { return nil }), nil
}

// local makes a session over a dialer of this machine; end runs when the
// connections are closed.
func local(name string, dial func(context.Context) (net.Conn, error), end func() error) *session {
	t := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConns:    1,
		MaxConnsPerHost: 1, // dial is called by one at a time
	}
	return &session{
		name:   name,
		Client: &api.Client{Base: "http://husk", HTTP: &http.Client{Transport: t}},
		end: func() error {
			t.CloseIdleConnections()
			return end()
		},
	}
}

// connectOffline opens the data file and serves the handler in this process.
func (a *app) connectOffline(ctx context.Context, creates bool) (*session, error) {
	store, err := a.openStore(ctx, lockRound, creates)
	if err != nil {
		return nil, err
	}
	handler, err := newServer(a.config(store, slog.New(slog.DiscardHandler)))
	if err != nil {
		store.Close()
		return nil, err
	}
	l := control.NewMemory()
	hs := handler.HTTPServer()
	go hs.Serve(l)
	return local("the store; no server runs", func(ctx context.Context) (net.Conn, error) { return l.DialContext(ctx, "", "") }, func() error {
		hs.Close()
		// The end must not depend on whether the command was interrupted.
		return errors.Join(store.FlushUse(context.WithoutCancel(ctx)), store.Close())
	}), nil
}

// config is the server: what serve runs, and what a command runs in its own
// process. What only serve has, it adds.
func (a *app) config(store *db.Store, log *slog.Logger) web.Config {
	return web.Config{
		Store:       store,
		Passwords:   password.New(password.Config{Params: password.DefaultParams()}),
		Log:         log,
		Version:     version(),
		SessionTTL:  a.settings.SessionTTL,
		MaxTokenTTL: a.settings.MaxTokenTTL,
		PublicURL:   a.settings.PublicURL,
		AccessLog:   a.settings.AccessLog,
		Dir:         a.settings.Data,
		OpenCopy:    func(path string) (db.Engine, error) { return embedded.open(path, time.Second) },
	}
}

func newServer(c web.Config) (*web.Server, error) {
	s, err := web.New(c)
	if err != nil {
		return nil, &failure{code: exitUsage, err: err, what: fmt.Sprintf("the settings don't fit: %v", err)}
	}
	return s, nil
}
