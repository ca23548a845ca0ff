package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/password"
	"husk/web/ratelimit"
	"husk/web/session"
)

// Config is all that a Server needs; it is written out by hand in one place.
type Config struct {
	Store     *db.Store
	Passwords *password.Hasher
	Limiter   *ratelimit.Limiter // of tries at passwords; nil: the default limits
	Log       *slog.Logger

	Version     string        // of this program
	SessionTTL  time.Duration // absolute life of a session; 0: 24 h
	MaxTokenTTL time.Duration // longest life of a new API token; 0: no bound
	PublicURL   string        // under which browsers reach this server; "": only the listening address is known
	TLS         bool          // the own listener is https
	AccessLog   bool          // log successful requests too
	Dir         string        // the data folder, for a backup's temporary copy

	Metrics       *Metrics         // nil: nothing is counted
	CertExpiry    func() time.Time // when the certificate that is served ends; zero or nil: there is none
	NotifyCommand string           // path of a program that is told of what needs attention; "": none

	// OpenCopy opens a copy of the store's file, to prove a backup.
	OpenCopy func(path string) (db.Engine, error)
}

// Server is the HTTP API over a store. It is a handler and no more until Run
// is called.
type Server struct {
	Config
	log     *slog.Logger
	echo    *echo.Echo
	jwt     *session.Parser
	csrf    *http.CrossOriginProtection
	secure  bool // cookies are for https only
	started time.Time

	idPrefix string // of request ids; new in each process
	idCount  atomic.Uint64

	identities identities
	deviceKey  []byte // signs device cookies

	running atomic.Bool // Run works: only then anything is written that nobody asked for
	proof   proof
	watcher watcher

	proofPatience time.Duration // set by tests
}

// New makes a Server. It opens nothing and starts nothing: what works in the
// background is Run's. A route that does not say what it needs is an error.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, log: c.Log, started: c.Store.Now(), idPrefix: randomHex(6), proofPatience: proofPatience, csrf: http.NewCrossOriginProtection()}
	if s.SessionTTL == 0 {
		s.SessionTTL = 24 * time.Hour
	}
	s.secure = c.TLS
	if c.PublicURL != "" {
		u, err := parsePublicURL(c.PublicURL)
		if err != nil {
			return nil, err
		}
		s.secure = s.secure || u.Scheme == "https"
		if err := s.csrf.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("public-url: %w", err)
		}
	}
	if s.Limiter == nil {
		s.Limiter = ratelimit.New(ratelimit.Config{})
	}
	var err error
	if s.deviceKey, err = c.Store.Secret(context.Background(), "husk device cookie"); err != nil {
		return nil, err
	}
	s.jwt = session.NewParser(c.Store.Now)
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		s.fail(c, err)
		s.Metrics.countUnmatched(c.Response().Status)
	}
	// echo would believe X-Forwarded-For and X-Real-IP from anybody.
	s.echo.IPExtractor = echo.ExtractIPDirect()
	for _, r := range s.routes() {
		if err := s.add(r); err != nil {
			return nil, err
		}
	}
	return s, s.Metrics.attach(s)
}

func parsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("public-url: it is the scheme and host under which browsers reach husk, such as https://id.example.com")
	}
	return u, nil
}

const headerRequestID = "X-Request-Id"

// The values of constant headers, shared by all answers: never appended to.
var (
	valueNosniff  = []string{"nosniff"}
	valueNoStore  = []string{"no-store"}
	valueReferrer = []string{"no-referrer"}
	valueCSP      = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"}
)

// ServeHTTP gives the request its id and the answer its headers, and keeps a
// panic of one request from ending the process.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := s.newRequestID()
	h := w.Header()
	h[headerRequestID] = []string{id}
	h["X-Content-Type-Options"] = valueNosniff
	h["Referrer-Policy"] = valueReferrer
	h["Cache-Control"] = valueNoStore
	h["Content-Security-Policy"] = valueCSP
	defer func() {
		if p := recover(); p != nil {
			s.panicked(w, r, id, p)
		}
	}()
	trimSlash(r.URL)
	s.echo.ServeHTTP(w, r)
}

func (s *Server) panicked(w http.ResponseWriter, r *http.Request, id string, p any) {
	if p == http.ErrAbortHandler {
		panic(p) // net/http's own way to cut a connection
	}
	s.log.Error("panic in a request", "request_id", id, "method", r.Method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	writeFailure(w, explainStatus(http.StatusInternalServerError))
}

// trimSlash makes paths work with and without a trailing slash, without a
// redirect, which would lose a body. Both spellings of the path are cut alike,
// so that the router and the handlers see one.
func trimSlash(u *url.URL) {
	if len(u.Path) > 1 && strings.HasSuffix(u.Path, "/") && !strings.HasSuffix(u.Path, "//") {
		u.Path = u.Path[:len(u.Path)-1]
		u.RawPath = strings.TrimSuffix(u.RawPath, "/")
	}
}

// newRequestID is unique over processes by its prefix, and cheap.
func (s *Server) newRequestID() string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	var b [32]byte
	i := len(b)
	for n := s.idCount.Add(1); ; n /= 36 {
		i--
		b[i] = digits[n%36]
		if n < 36 {
			break
		}
	}
	i--
	b[i] = '-'
	return s.idPrefix + string(b[i:])
}

// clientAddress is the address of the TCP peer, without port.
func (s *Server) clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

func parseAddress(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a.Unmap()
}

// Run does the work in the background until ctx ends: it writes down when
// credentials were last used, removes what has ended, and tells what needs
// attention. It returns when the last use is written.
func (s *Server) Run(ctx context.Context) {
	defer s.startWatch(ctx)()
	flush, sweep := time.NewTicker(flushEvery), time.NewTicker(sweepEvery)
	defer flush.Stop()
	defer sweep.Stop()
	for minutes := 0; ; {
		select {
		case <-ctx.Done():
			s.background(func() { s.flush(context.WithoutCancel(ctx)) })
			return
		case <-flush.C:
			s.background(func() { s.flush(ctx) })
		case <-s.Store.UsesFull():
			s.background(func() { s.flush(ctx) })
		case <-sweep.C:
			minutes++
			s.background(func() { s.sweep(ctx, minutes%10 == 0) })
			s.background(func() { s.watch(ctx) })
		}
	}
}

const (
	flushEvery = 30 * time.Second // how long a last use may stay in memory only
	sweepEvery = time.Minute
)

// background runs f and keeps its panic from ending the process.
func (s *Server) background(f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in the background", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	f()
}

func (s *Server) flush(ctx context.Context) {
	if err := s.Store.FlushUse(ctx); err != nil {
		s.log.Warn("last uses could not be written", "error", err)
	}
}

// sweep removes what has ended where there is something, and always where
// that was long ago: it also writes down the time.
func (s *Server) sweep(ctx context.Context, always bool) {
	due, err := s.Store.SweepDue(ctx)
	if err == nil && (due || always) {
		_, err = s.Store.Sweep(ctx)
	}
	if err != nil {
		s.log.Warn("what has ended could not be removed", "error", err)
	}
	if fault := s.Store.ClockFault(); fault > 0 {
		s.log.Warn("the machine's clock is set back: expiry goes on from the latest time that was seen; set the clock right", "behind", fault.Round(time.Second).String())
	}
}
