package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/archive"
	"husk/web/api"
	"husk/web/fold"
	"husk/web/listen"
	"husk/web/upkeep"
)

// ConfigurationOfTests is one setting of each kind.
func ConfigurationOfTests() *api.Configuration {
	return &api.Configuration{File: "/etc/husk/husk.yaml", Settings: []api.ConfigSetting{
		{Name: "gate.rules", Value: "2", Source: "file", Line: 9, Group: "gate", Default: "0", About: "how many access rules there are", Reloadable: true},
		{Name: "log-level", Value: "info", Source: "default", Group: "server", Default: "info", About: "debug, info, warn or error", Variable: "HUSK_LOG_LEVEL", Reloadable: true},
		{Name: "token-file", Value: "/etc/husk/token", Source: "env", Group: "command", About: "file with the API token", Variable: "HUSK_TOKEN_FILE", Path: true, Secret: true},
	}}
}

// NewKept makes a Server with what goes on beside it, as cmd/serve.go wires them.
func NewKept(c Config) (s *Server, err error) {
	c.Folds = fold.New(c.Log, c.Store.Now)
	var backups upkeep.Backups
	if c.Upkeep != nil { // of which a test says no more
		backups = c.Upkeep.Backups
	}
	c.Upkeep = upkeep.New(upkeep.Config{
		Backups: backups, Source: archive.Source{Store: c.Store, Open: c.OpenCopy, Dir: c.Dir, Version: c.Version},
		Store: c.Store, Log: c.Log, Folds: c.Folds, SessionIdle: c.SessionIdle, MaxTokens: c.Quotas.Tokens,
		PublicURL: c.PublicURL, Connections: c.Connections, Excess: func() string { return s.Excess() },
	})
	s, err = New(c)
	return s, err
}

func (s *Server) front() *listen.Server {
	c := listen.Config{Handler: s, Log: s.folds}
	if s.Upkeep != nil {
		c.Background = s.Upkeep.Run
	}
	return listen.New(c)
}

// HTTPServer returns an http.Server for s with the limits of connections.
func (s *Server) HTTPServer() *http.Server { return s.front().HTTPServer() }

// Serve serves s beside its work in the background until ctx ends, as cmd/serve.go
// wires it.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	s.loopback.Store(onLoopback(listeners))
	return s.front().Serve(ctx, listeners...)
}

// RouteInfo is a route of the table as tests see it.
type RouteInfo struct {
	Method, Path string
	Need         string // "public", "signed-in", "session", "undeclared", or the permission
	Early        bool
	SetsUp       bool
	Page         bool // for browsers; see pages_test.go
	Effect       string
}

// Table returns the routes of s.
func (s *Server) Table() []RouteInfo {
	var infos []RouteInfo
	for _, r := range s.routes() {
		kinds := map[needKind]string{undeclared: "undeclared", public: "public", signedIn: "signed-in", ownSession: "session", permitted: r.need.permission}
		effects := map[effect]string{onlyAsks: "asks", callsAPI: "calls the API", changes: "changes", ends: "ends", proves: "proves"}
		infos = append(infos, RouteInfo{r.method, r.path, kinds[r.need.kind], r.early, r.setsUp, r.page, effects[r.effect]})
	}
	return infos
}

// AddUndeclared adds a route that does not say what it needs, and one that
// names no permission.
func (s *Server) AddUndeclared() (nothing, noKey error) {
	return s.add(route{method: "GET", path: "/undeclared"}), s.add(route{method: "GET", path: "/no-key", need: permission("")})
}

// AddUnsaid adds a public route that does not say whether it changes something;
// a GET acts.
func (s *Server) AddUnsaid(method, path string) error {
	return s.add(route{method: method, path: path, need: isPublic, acts: method == http.MethodGet})
}

// TakeTurn takes one of a user's turns at large answers.
func (s *Server) TakeTurn(ctx context.Context, user string) (end func(), err error) {
	return s.turns.take(ctx, user)
}

// Turns tells how many have a user's turn, or wait for it, and of how many
// users something is known.
func (s *Server) Turns(user string) (holders, users int) {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	if t := s.turns.users[user]; t != nil {
		holders = t.holders
	}
	return holders, len(s.turns.users)
}

// AddPublic adds a public route.
func (s *Server) AddPublic(method, path string, f func(w http.ResponseWriter, r *http.Request)) error {
	return s.add(route{method: method, path: path, need: isPublic, effect: onlyAsks, do: raw(func(c echo.Context, _ *db.Actor) error {
		f(c.Response(), c.Request())
		return nil
	})})
}

// AddFailing adds a public route that answers err.
func (s *Server) AddFailing(path string, err error) error {
	return s.add(route{method: "GET", path: path, need: isPublic, do: raw(func(echo.Context, *db.Actor) error { return err })})
}

// DecodeLogin decodes a login's JSON body as the handler does, and tells the
// answer's status and text where it is refused.
func DecodeLogin(body []byte) (in api.Login, status int, text string) {
	if err := decode(body, &in); err != nil {
		f := explain(err)
		return in, f.status, f.reason
	}
	return in, http.StatusOK, ""
}

// Identities tells how many credentials are remembered.
func (s *Server) Identities() (n int) {
	s.identities.entries.Range(func(any, any) bool { n++; return true })
	return n
}

// MaxIdentities is the bound of it.
const MaxIdentities = maxIdentities

// Remember remembers n made-up credentials.
func (s *Server) Remember(n int) {
	for i := range n {
		s.identities.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, &identity{}, s.settle)
	}
}

// Logger returns where s logs.
func (s *Server) Logger() *slog.Logger { return s.log }

// SetStallTimeout sets how long a receiver of a backup may take no byte.
func (s *Server) SetStallTimeout(d time.Duration) { s.stallTimeout = d }

// Copies tells how many copies of the store backups have on the disk.
func (s *Server) Copies() int { return int(s.copies.Load()) }

// Imports tells how many imports are under way.
func (s *Server) Imports() int32 { return s.imports.Load() }

// MaxCopies is how many there may be.
const MaxCopies = maxCopies
