package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
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

	"husk/db"
	"husk/web/api"
	"husk/web/console"
	"husk/web/factor"
	"husk/web/fold"
	"husk/web/gate"
	"husk/web/listen"
	"husk/web/password"
	"husk/web/ratelimit"
	"husk/web/relay"
	"husk/web/session"
	"husk/web/upkeep"
)

// Config is all that a Server needs; it is written out by hand in one place.
type Config struct {
	Store       *db.Store
	Passwords   *password.Hasher // nil: one with the default parameters
	Sealer      *factor.Sealer   // of the secrets of second factors; nil: they are kept as they are
	LoginLimits LoginLimits      // at passwords
	Log         *slog.Logger
	Folds       *fold.Log // of what many can make Log say; nil: nobody shares it

	Version     string        // of this program
	BuildDate   string        // of the commit that it was built from, RFC 3339; "": not known
	BuildHash   string        // of that commit; "": not known
	SessionTTL  time.Duration // absolute life of a session; 0: 24 h
	SessionIdle time.Duration // how long a session lives unused; 0: as long as its absolute life
	CORSOrigins []string      // whose scripts may call the API, without cookies
	MaxTokenTTL time.Duration // longest life of a new API token; 0: no bound
	Quotas      Quotas        // of each user
	PublicURL   string        // under which browsers reach this server; "": only the listening address is known
	OtherURLs   []string      // under which browsers reach it besides, of the same scheme
	TLS         bool          // the own listener is https
	AccessLog   bool          // log successful requests too

	// TrustedProxies are believed when they say in X-Forwarded-For for whom
	// they ask. Nobody else is.
	TrustedProxies []netip.Prefix

	// Gate has the rules of the gate; see SetGate. nil: there are none.
	Gate *gate.Rules

	Dir string // the data folder, for a backup's temporary copy

	Connections *listen.Pool     // those that strangers may have, for the figures; nil: they have no limits
	Metrics     *Metrics         // nil: nothing is counted
	CertExpiry  func() time.Time // when the certificate that is served ends; zero or nil: there is none
	CertStale   func() bool      // whether its files hold what can't be served; nil: never
	Upkeep      *upkeep.Upkeep   // what goes on beside requests; nil: nothing does

	// Configuration tells the settings of this process, as they are now: what is
	// returned is read only. nil: they are not known.
	Configuration func() *api.Configuration

	// OpenCopy opens a copy of the store's file, to prove a backup.
	OpenCopy func(path string) (db.Engine, error)
}

// Server is the HTTP API over a store. It is a handler and no more.
type Server struct {
	Config
	log     *slog.Logger
	folds   *fold.Log // of what many can make the log say
	echo    *echo.Echo
	jwt     *session.Parser
	csrf    *http.CrossOriginProtection
	secure  bool // cookies are for https only
	started time.Time

	idPrefix string // of request ids; new in each process
	idCount  atomic.Uint64

	lists map[string]bool // the paths of routes that list something

	identities identities
	tally      *tally
	clocks     codeClocks
	deviceKey  []byte // signs device cookies
	ticketKey  []byte // signs what stands for a password that was right
	passkeyKey []byte // signs what a passkey is asked for
	nobodysKey []byte // a public key that is compared with where there is none

	gate      gateway
	relay     *relay.Relay
	ownPaths  map[string][]string // patterns of the table of routes, by their first segment
	console   *console.Console
	pageCalls *http.Server // of calls of the API by pages; it serves while one is under way

	listening     string      // URL of the listening address; see Endpoint
	toldLocalhost bool        // others than this machine can connect, and are told localhost; see notices
	loopback      atomic.Bool // only this machine can connect; see misdirected
	publicHost    string      // of PublicURL
	origins       []string    // of PublicURL and OtherURLs, as browsers write them
	publicHosts   []string    // of them
	setupCode     string
	setupTries    *ratelimit.Limiter
	logins        *ratelimit.Limiter // at passwords

	changes, proofs quota // how much each user may do; see quota.go
	turns           turns // at large answers
	lives           lifeCount

	copies  atomic.Int32 // of the store, that backups under way have made
	imports atomic.Int32 // that are under way

	stallTimeout time.Duration // set by tests
}

// New makes a Server. It opens nothing and starts nothing. A route that does not
// say what it needs is an error.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, log: c.Log, folds: c.Folds, tally: newTally(), started: c.Store.Now(), idPrefix: randomHex(6), stallTimeout: listen.StallTimeout, csrf: http.NewCrossOriginProtection()}
	if s.SessionTTL == 0 {
		s.SessionTTL = 24 * time.Hour
	}
	if s.folds == nil {
		s.folds = fold.New(c.Log, c.Store.Now)
	}
	if s.Passwords == nil {
		s.Passwords = password.New(password.Config{Params: password.DefaultParams()})
	}
	if s.Sealer == nil {
		s.Sealer = &factor.Sealer{}
	}
	s.logins = newLoginLimiter(c.LoginLimits)
	s.changes, s.proofs = newQuota(c.Quotas, c.Store.Now), newQuota(c.Quotas, c.Store.Now)
	s.listening = "http://localhost"
	s.setupCode, s.setupTries = newSetupCode(), newSetupTries(c.Store.Now)
	s.jwt = session.NewParser(c.Store.Now)
	s.relay = relay.New(relay.Config{Cookies: ownCookies, Log: s.folds, WantsPage: takesPages})
	s.gate.returns = ratelimit.NewBudget(maxReturns, c.Store.Now)
	s.SetGate(c.Gate)
	if err := errors.Join(s.takePublicURL(), s.takeSecrets(), s.buildRouter()); err != nil {
		return nil, err
	}
	return s, s.Metrics.attach(s)
}

// takePublicURL decides from the configuration, never from a request, what
// cookies and origins are like.
func (s *Server) takePublicURL() error {
	s.secure = s.TLS
	if s.PublicURL == "" {
		return nil
	}
	for _, text := range append([]string{s.PublicURL}, s.OtherURLs...) {
		origin, err := ParseOrigin(text)
		if err == nil {
			err = s.csrf.AddTrustedOrigin(origin)
		}
		if err == nil && len(s.origins) > 0 && isHTTPS(origin) != isHTTPS(s.origins[0]) {
			err = ErrMixedURLs
		}
		if err != nil {
			return fmt.Errorf("public-url: %w", err)
		}
		s.origins, s.publicHosts = append(s.origins, origin), append(s.publicHosts, hostOf(origin))
	}
	s.publicHost = s.publicHosts[0]
	s.secure = s.secure || isHTTPS(s.origins[0])
	return nil
}

// ErrMixedURLs refuses addresses of both schemes: a cookie for https alone would be none
// at the others, and one for both no secret.
var ErrMixedURLs = errors.New("the addresses are https or http, all of them")

func isHTTPS(origin string) bool { return strings.HasPrefix(origin, "https:") }

// isPublicHost tells whether a host is one of those by which browsers reach this server.
func (s *Server) isPublicHost(host string) bool {
	return isOneOf(host, s.publicHosts)
}

// takeSecrets reads the keys that sign what travels through browsers.
func (s *Server) takeSecrets() (err error) {
	if s.deviceKey, err = s.Store.Secret(context.Background(), "husk device cookie"); err != nil {
		return err
	}
	if s.ticketKey, err = s.Store.Secret(context.Background(), "husk sign-in ticket"); err != nil {
		return err
	}
	if s.passkeyKey, err = s.Store.Secret(context.Background(), "husk passkey"); err != nil {
		return err
	}
	s.nobodysKey = factor.NobodysKey()
	if s.gate.returnKey, err = s.Store.Secret(context.Background(), "husk gate return address"); err != nil {
		return err
	}
	returnKey, err := s.Store.Secret(context.Background(), "husk return target")
	s.takeConsole(returnKey)
	return err
}

// buildRouter makes the router from the table.
func (s *Server) buildRouter() error {
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		s.failUnmatched(c, err)
		s.Metrics.countUnmatched(c.Response().Status)
	}
	// Nothing here asks echo who calls and by which scheme; where something did,
	// it would believe no header. By default it takes the scheme from those of
	// every peer in a private network.
	s.echo.IPExtractor, s.echo.SchemeExtractor = echo.ExtractIPDirect(), echo.ExtractSchemeDirect()
	s.allowOrigins(s.CORSOrigins)
	s.lists, s.ownPaths = map[string]bool{}, map[string][]string{}
	for _, r := range s.routes() {
		if err := s.add(r); err != nil {
			return err
		}
		first := firstSegment(r.path)
		s.ownPaths[first] = append(s.ownPaths[first], r.path)
		if r.method == http.MethodGet && strings.HasSuffix(r.path, "/_search") {
			s.lists[r.path] = true
		}
	}
	return nil
}

const headerRequestID = "X-Request-Id"

// The values of constant headers, shared by all answers: never appended to.
var (
	valueNosniff  = []string{"nosniff"}
	valueNoStore  = []string{"no-store"}
	valueReferrer = []string{"no-referrer"}
	valueHSTS     = []string{"max-age=31536000"} // a year
	valueCSP      = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"}
)

// begin gives the answer to a request of an id its headers.
func (s *Server) begin(h http.Header, id string) {
	h[headerRequestID] = []string{id}
	h["X-Content-Type-Options"] = valueNosniff
	h["Referrer-Policy"] = valueReferrer
	h["Cache-Control"] = valueNoStore
	h["Content-Security-Policy"] = valueCSP
	if s.secure {
		h["Strict-Transport-Security"] = valueHSTS
	}
}

// Refuse answers a request that is not looked at: with the same headers.
func (s *Server) Refuse(w http.ResponseWriter, e *api.Error) {
	s.begin(w.Header(), s.newRequestID())
	s.Metrics.countUnmatched(e.Status)
	writeFailure(w, &failure{status: e.Status, code: e.Detail.Code, reason: e.Detail.Reason})
}

// ServeHTTP looks at what is for applications first: Husk's headers, its rule for
// slashes, its checks of host and origin are for its own routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rules := s.gate.rules.Load()
	if s.servesApplication(r, rules) {
		s.serveApplication(w, r, rules)
		return
	}
	if e := gateEndpointOf(r); e != nil {
		s.serveQuestion(w, r, rules, e)
		return
	}
	s.serveOwn(w, r, s.newRequestID())
}

// serveOwn gives the request its id and the answer its headers, and keeps a
// panic of one request from ending the process.
func (s *Server) serveOwn(w http.ResponseWriter, r *http.Request, id string) {
	s.begin(w.Header(), id)
	defer func() {
		if p := recover(); p != nil {
			s.panicked(w, r, id, p)
		}
	}()
	listen.Name(r, id)
	if s.misdirected(r) {
		s.misdirect(w, r, id)
		return
	}
	trimSlash(r.URL)
	s.echo.ServeHTTP(w, r)
}

func (s *Server) panicked(w http.ResponseWriter, r *http.Request, id string, p any) {
	if p == http.ErrAbortHandler {
		panic(p) // net/http's own way to cut a connection
	}
	who := s.nobody(r, id)
	s.folds.Line(slog.LevelError, "panic in a request", fmt.Sprintf("%.200v", p), sourceOf(who), append(origin(who), "method", r.Method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))...)
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

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
