package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"husk/db"
	"husk/web/password"
	"husk/web/ratelimit"
	"husk/web/session"
)

// Config is all that a Server needs; it is written out by hand in one place.
type Config struct {
	Store     *db.Store
	Passwords *password.Hasher // nil: one with the default parameters
	Tries     Tries            // at passwords
	Log       *slog.Logger

	Version      string        // of this program
	SessionTTL   time.Duration // absolute life of a session; 0: 24 h
	CORSOrigins  []string      // whose scripts may call the API, without cookies
	AuditKeep    time.Duration // how long audit entries are kept; 0: for ever
	AuditEntries int64         // how many are kept at most; 0: all
	MaxTokenTTL  time.Duration // longest life of a new API token; 0: no bound
	PublicURL    string        // under which browsers reach this server; "": only the listening address is known
	TLS          bool          // the own listener is https
	AccessLog    bool          // log successful requests too

	// TrustedProxies are believed when they say in X-Forwarded-For for whom
	// they ask. Nobody else is.
	TrustedProxies []netip.Prefix

	Dir string // the data folder, for a backup's temporary copy

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
	returnKey  []byte // signs where a sign-in leads back to

	stopping  context.Context // done when Serve has begun to stop
	beginStop context.CancelFunc

	listening  string // URL of the listening address; see Endpoint
	setupCode  string
	setupTries *ratelimit.Limiter
	tries      *ratelimit.Limiter // at passwords
}

// New makes a Server. It opens nothing and starts nothing: what works in the
// background is Run's. A route that does not say what it needs is an error.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, log: c.Log, started: c.Store.Now(), idPrefix: randomHex(6), csrf: http.NewCrossOriginProtection()}
	if s.SessionTTL == 0 {
		s.SessionTTL = 24 * time.Hour
	}
	s.stopping, s.beginStop = context.WithCancel(context.Background())
	s.secure = c.TLS
	if c.PublicURL != "" {
		u, err := parsePublicURL(c.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("public-url: %w", err)
		}
		s.secure = s.secure || u.Scheme == "https"
		if err := s.csrf.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("public-url: %w", err)
		}
	}
	if s.Passwords == nil {
		s.Passwords = password.New(password.Config{Params: password.DefaultParams()})
	}
	s.tries = newTries(c.Tries)
	for purpose, key := range map[string]*[]byte{"husk device cookie": &s.deviceKey, "husk return target": &s.returnKey} {
		var err error
		if *key, err = c.Store.Secret(context.Background(), purpose); err != nil {
			return nil, err
		}
	}
	s.listening = "http://localhost"
	s.setupCode, s.setupTries = newSetupCode(), newSetupTries(c.Store.Now)
	s.jwt = session.NewParser(c.Store.Now)
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(c, err) }
	// echo would believe X-Forwarded-For and X-Real-IP from anybody.
	s.echo.IPExtractor = echo.ExtractIPDirect()
	s.allowOrigins(c.CORSOrigins)
	for _, r := range s.routes() {
		if err := s.add(r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// CheckPublicURL tells whether text has the form of Config.PublicURL.
func CheckPublicURL(text string) error {
	_, err := parsePublicURL(text)
	return err
}

func parsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("it is the scheme and host under which browsers reach husk, such as https://id.example.com")
	}
	return u, nil
}

const headerRequestID = "X-Request-Id"

// The values of constant headers, shared by all answers: never appended to.
var (
	valueNosniff  = []string{"nosniff"}
	valueNoStore  = []string{"no-store"}
	valueReferrer = []string{"no-referrer"}
	valueHSTS     = []string{"max-age=31536000"} // a year
	valueClose    = []string{"close"}
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
	if s.secure {
		h["Strict-Transport-Security"] = valueHSTS
	}
	if s.stopping.Err() != nil {
		h["Connection"] = valueClose
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked(w, r, id, p)
		}
	}()
	if r.Body != nil && r.Body != http.NoBody {
		var b *body
		r, b = s.followBody(w, r)
		defer b.finish(r)
	}
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
// redirect, which would lose a body. The escaped spelling goes: echo would
// route by it and hand out what stands in it, so that a%40b were not a@b.
func trimSlash(u *url.URL) {
	u.RawPath = ""
	if len(u.Path) > 1 && strings.HasSuffix(u.Path, "/") && !strings.HasSuffix(u.Path, "//") {
		u.Path = u.Path[:len(u.Path)-1]
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

func parseAddress(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a.Unmap()
}

// Run does the work in the background until ctx ends: it writes down when
// credentials were last used, and removes what has ended. It returns when the
// last use is written.
func (s *Server) Run(ctx context.Context) {
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
	if always {
		s.prune(ctx)
	}
	if fault := s.Store.ClockFault(); fault > 0 {
		s.log.Warn("the machine's clock is set back: expiry goes on from the latest time that was seen; set the clock right", "behind", fault.Round(time.Second).String())
	}
}

// prune removes the audit entries that are too old or too many.
func (s *Server) prune(ctx context.Context) {
	var older time.Time
	if s.AuditKeep > 0 {
		older = s.Store.Now().Add(-s.AuditKeep)
	}
	n, err := s.Store.PruneAudit(ctx, older, s.AuditEntries)
	if err != nil {
		s.log.Warn("old audit entries could not be removed", "error", err)
	}
	if n > 0 {
		s.log.Info("old audit entries removed", "count", n)
	}
}

// allowOrigins lets scripts of other origins call the API with a credential
// that they hold themselves. Cookies are never theirs to use: the answer does
// not allow credentials, and unsafe requests are still checked for origin.
func (s *Server) allowOrigins(origins []string) {
	if len(origins) == 0 {
		return // closed
	}
	s.echo.Pre(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  origins,
		AllowMethods:  []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowHeaders:  []string{"Authorization", "Content-Type", "X-API-TOKEN"},
		ExposeHeaders: []string{headerRequestID, "Retry-After"},
		MaxAge:        600,
	}))
}
