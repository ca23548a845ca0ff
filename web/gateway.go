package web

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"husk/db"
	"husk/web/console"
	"husk/web/fold"
	"husk/web/gate"
	"husk/web/ratelimit"
	"husk/web/relay"
)

// The gate answers proxies that ask about requests for applications (forward-auth,
// auth-request, ext-authz), and decides about those that come to Husk's own proxy.
// What is asked is read and decided by package gate; who asks is found out in
// gate_credential.go; the way to the sign-in and back is in gate_return.go. This file
// puts them together, and says what was decided in the way of each endpoint. The
// endpoints are in no table of echo's: a proxy asks with any method, and behind the
// path of one stands another.

// gateway is the state of the gate.
type gateway struct {
	rules     atomic.Pointer[gate.Rules]
	returnKey []byte // signs return addresses
	returns   *ratelimit.Budget
	arrived   arrivals
}

// arrivals are sessions of which a pass was shown since they were last led back to an
// application: their browser keeps its cookies. They are bounded; who is forgotten is
// counted once more.
type arrivals struct {
	mu       sync.Mutex
	sessions map[string]struct{}
}

func (a *arrivals) add(session string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions == nil || len(a.sessions) >= maxIdentities {
		a.sessions = map[string]struct{}{}
	}
	a.sessions[session] = struct{}{}
}

// take tells whether a session is one of them, and forgets it.
func (a *arrivals) take(session string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, arrived := a.sessions[session]
	delete(a.sessions, session)
	return arrived
}

// SetGate has other rules decide from now on; nil has none.
func (s *Server) SetGate(rules *gate.Rules) {
	if rules == nil {
		rules = &gate.Rules{}
	}
	old := s.tally.gate.Swap(newGateTally(rules))
	s.gate.rules.Store(rules)
	if old != nil {
		s.handGate(old)
	}
}

// Rules is how many rules decide.
func (s *Server) Rules() int { return len(s.gate.rules.Load().List()) }

// gateEndpoint is where a proxy asks.
type gateEndpoint struct {
	read gate.Adapter

	// subrequest: the proxy knows 2xx, 401 and 403 alone, and leads the browser by
	// itself where a 401 has a Location.
	subrequest bool

	// hosted: it is asked at the host of the application.
	hosted bool
}

const (
	extAuthzPath = "/api/authz/ext-authz/" // the path of the request follows
	envoyPath    = "/api/auth/envoy"       // and in its query
)

var gateEndpoints = map[string]*gateEndpoint{
	"/api/authz/forward-auth": {read: gate.ForwardAuth},
	"/api/auth/traefik":       {read: gate.ForwardAuth},
	"/api/auth/caddy":         {read: gate.ForwardAuth},
	"/api/authz/auth-request": {read: gate.AuthRequest, subrequest: true},
	"/api/auth/nginx":         {read: gate.AuthRequestAlias, subrequest: true},
	envoyPath:                 {read: gate.ExtAuthz(envoyPath + "?path="), hosted: true},
	envoyPath + "/":           {read: gate.ExtAuthz(envoyPath + "/?path="), hosted: true},
}

var extAuthz = &gateEndpoint{read: gate.ExtAuthz(extAuthzPath), hosted: true}

// gateEndpointOf is the endpoint that is asked; nil: none. What counts is how the path
// was sent: proxies keep their clients from the endpoints by that.
func gateEndpointOf(r *http.Request) *gateEndpoint {
	switch uri := r.RequestURI; {
	case !strings.HasPrefix(uri, "/api/auth"):
		return nil
	case strings.HasPrefix(uri, extAuthzPath):
		return extAuthz
	default:
		path, _, _ := strings.Cut(uri, "?")
		if e := gateEndpoints[path]; e != nil {
			return e
		}
		return gateEndpoints[strings.TrimSuffix(path, "/")]
	}
}

// question is one request that the gate decides about.
type question struct {
	r        *http.Request
	endpoint *gateEndpoint // nil: it came to Husk's own proxy
	rules    *gate.Rules
	asked    gate.Request
	actor    db.Actor
	who      *identity // nil: nobody
	decision gate.Decision
	again    bool // it was answered before, and is asked whether that still holds: that is no use
}

func (s *Server) question(r *http.Request, rules *gate.Rules, e *gateEndpoint) *question {
	return &question{r: r, endpoint: e, rules: rules, actor: db.Actor{Transport: db.TransportHTTP, Address: s.clientAddress(r)}}
}

// serveQuestion answers a proxy.
func (s *Server) serveQuestion(w http.ResponseWriter, r *http.Request, rules *gate.Rules, e *gateEndpoint) {
	q := s.question(r, rules, e)
	w.Header()["Cache-Control"] = valueNoStore
	defer s.endQuestion(w, q)
	var err error
	switch {
	case !s.fromTrusted(r):
		err = errUntrustedProxy
	case !e.hosted && s.misdirected(r):
		err = errAskedElsewhere
	default:
		err = s.decide(w, q)
	}
	if s.allowed(w, q, err) {
		q.setIdentity(w.Header())
		w.WriteHeader(http.StatusOK)
	}
}

// allowed tells whether err lets a request through; else it is answered.
func (s *Server) allowed(w http.ResponseWriter, q *question, err error) bool {
	outcome := gate.Refused
	switch err {
	case nil:
		outcome = gate.Allowed
	case errAnswered, errNoCredential:
		outcome = gate.SignIn
	}
	s.tally.countGate(q.rule(), outcome)
	if err != nil && err != errAnswered {
		s.refuseQuestion(w, q, explain(err))
	}
	if s.AccessLog {
		s.log.Info("asked at the gate", append(origin(&q.actor), "host", q.asked.Host, "method", q.asked.Method, "rule", q.rule(), "outcome", outcome.String())...)
	}
	return err == nil
}

// endQuestion keeps a panic from ending more than the one answer, which then is a
// refusal.
func (s *Server) endQuestion(w http.ResponseWriter, q *question) {
	if p := recover(); p != nil {
		s.panicked(w, q.r, s.newRequestID(), p)
	}
}

// errUntrustedProxy: whoever may ask could ask about anybody's address, and try
// credentials as if from there.
var errUntrustedProxy = &failure{status: http.StatusBadRequest, code: "untrusted_proxy",
	reason: "only a proxy that husk trusts may ask here: start husk with --trusted-proxy and its address"}

// errAskedElsewhere: a page whose own name leads to this machine may ask from it, as a
// proxy does; see misdirected. A proxy is told what it tells of a host without a rule.
var errAskedElsewhere = &failure{status: http.StatusForbidden, code: errMisdirected.code, reason: errMisdirected.reason}

// errAnswered says that the answer is given already.
var errAnswered = errors.New("answered")

// decide finds out what becomes of a request, and is nil where it is allowed.
func (s *Server) decide(w http.ResponseWriter, q *question) error {
	var m *gate.Malformed
	if q.asked, m = q.endpoint.read(q.r); m != nil {
		return q.malformed(m)
	}
	q.asked.Client = parseAddress(q.actor.Address).WithZone("")
	failed := s.identifyAtGate(q)
	if q.who == nil {
		s.tally.countNobody(failed)
	}
	q.decision = q.rules.Decide(&q.asked, q.who.atGate())
	switch {
	case q.decision.Rule == nil:
		if q.who != nil { // of strangers there would be no end
			s.noteRefusal(q, db.NoTarget)
		}
		return errNoRule
	case failed != nil:
		return failed
	}
	if answered, err := s.takeCode(w, q); answered || err != nil {
		return orAnswered(err)
	}
	switch q.decision.Outcome {
	case gate.Allowed:
		return nil
	case gate.SignIn:
		return s.askSignIn(w, q)
	}
	if q.mayProve() {
		return s.askFactorAtGate(w, q)
	}
	s.noteRefusal(q, db.Literal(q.asked.Host))
	return q.refusal()
}

func (s *Server) noteRefusal(q *question, target db.Target) {
	s.name(q)
	s.Store.NoteRefusal(&q.actor, actEnter, target)
}

func orAnswered(err error) error {
	if err != nil {
		return err
	}
	return errAnswered
}

const actEnter = "gate.enter"

var errNoRule = forbidden("no_rule", "no rule of the gate is about this address")

// refusal says what somebody lacks.
func (q *question) refusal() error {
	switch q.decision.Why {
	case gate.OutOfReach:
		return forbidden("token_reach", "this token is not for this host, path or method")
	case gate.MustChange:
		return forbidden(codeMustChange, "the password was generated for you: change it first, on Husk's own pages")
	case gate.NeedsFactor, gate.RoleFactor:
		if len(q.who.user.Factors) == 0 {
			return forbidden(codeSetUpFactor, "that needs a second factor, and this account has none: set one up first, on the page "+q.rules.LoginURL()+"/second-factor")
		}
		return forbidden(codeFactorRequired, "that needs the second factor, which was not proved in this session: prove it on the page "+q.rules.LoginURL()+"/second-factor")
	}
	return forbidden(codeNotPermitted, "you are signed in, and may not open this")
}

// malformed is the refusal of a question that can't be read.
func (q *question) malformed(m *gate.Malformed) error {
	f := &failure{status: http.StatusBadRequest, code: m.Code, reason: m.Reason}
	if m.ByClient {
		return q.byClient(f)
	}
	return f
}

// byClient is a refusal of what a client can send: a proxy that knows no 400 would
// make a fault of its own of that.
func (q *question) byClient(err error) error {
	f := *explain(err)
	if q.endpoint.subrequest {
		f.status = http.StatusForbidden
	}
	return &f
}

// refuseQuestion answers with a failure, in which nobody is anybody.
func (s *Server) refuseQuestion(w http.ResponseWriter, q *question, f *failure) {
	h := w.Header()
	id := s.name(q)
	h[headerRequestID], h["X-Content-Type-Options"] = []string{id}, valueNosniff
	setNobody(h)
	s.logQuestion(q, f)
	if !personWaits(q.r) || q.endpoint.subrequest {
		writeFailure(w, f)
		return
	}
	if f.challenge != "" {
		h["Www-Authenticate"] = []string{f.challenge}
	}
	e, on := f.wire(), relay.Link{}
	switch {
	case f == errNoCredential:
		e.Detail.Reason = "you were signed out, and what you sent did not arrive: sign in, and send it again"
		on = relay.Link{Text: "Sign in", URL: s.signInFor(q)}
	case f.code == codeNotPermitted && q.who != nil && q.who.session != nil:
		e.Detail.Reason = "you are signed in as " + q.who.user.Username() + ", and may not open this"
		on = relay.Link{Text: "Sign in as somebody else", URL: q.rules.LoginURL() + "/account/logout"}
	case f.code == codeSetUpFactor:
		on = relay.Link{Text: "Set up a second factor", URL: s.secondFactorFor(q)}
	case f.code == codeFactorRequired:
		on = relay.Link{Text: "Prove the second factor", URL: s.secondFactorFor(q)}
	case f.code == codeMustChange:
		on = relay.Link{Text: "Change the password", URL: q.rules.LoginURL() + "/password"}
	}
	relay.Refuse(w, e, takesPages(q.r), on)
}

// name gives a question its id, by which its answer, the log and the audit log are
// found: most need none.
func (s *Server) name(q *question) string {
	if q.actor.RequestID == "" {
		q.actor.RequestID = s.newRequestID()
	}
	return q.actor.RequestID
}

// logQuestion tells of a refusal. That nobody is signed in yet is none.
func (s *Server) logQuestion(q *question, f *failure) {
	if f == errNoCredential {
		return
	}
	actor := &q.actor
	attrs := append(origin(actor), "host", q.asked.Host, "method", q.asked.Method, "rule", q.rule(), "status", f.status, "code", f.code)
	if f.cause != nil {
		attrs = append(attrs, "cause", f.cause.code)
	}
	level, what := slog.LevelInfo, "refused at the gate"
	if f.status >= http.StatusInternalServerError {
		level, what, attrs = slog.LevelError, "the gate failed", append(attrs, "error", withCause(f))
	}
	s.folds.Line(level, what, f.code+" "+strconv.Itoa(q.rule()), fold.Source{Actor: actor.ID, Address: actor.Address, Transport: actor.Transport}, attrs...)
}

// rule is the number of the rule that decided, from 1; 0: none did.
func (q *question) rule() int {
	if q.decision.Rule == nil {
		return 0
	}
	return q.decision.Rule.Number()
}

// wantsPage tells whether a person waits for a page that can be asked for again. A
// form that a browser tells of is none: it would be lost without a word.
func (q *question) wantsPage() bool {
	isGet := q.asked.Method == http.MethodGet || q.asked.Method == http.MethodHead
	return personWaits(q.r) && (isGet || len(q.r.Header["Sec-Fetch-Mode"]) == 0)
}

// personWaits tells whether a person sees the answer: a browser that shows it says
// so, and one that does not tell names text/html.
func personWaits(r *http.Request) bool {
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 {
		return mode[0] == "navigate"
	}
	return takesPages(r)
}

// takesPages tells whether an answer may be a page.
func takesPages(r *http.Request) bool { return console.Accepts(r.Header["Accept"], "text/html") }

// The four headers by which an application learns who asks. They are always all
// there: a proxy that copies those that it finds would otherwise let the client's
// own through.
const (
	headerUser   = "Remote-User"
	headerName   = "Remote-Name"
	headerEmail  = "Remote-Email"
	headerGroups = "Remote-Groups"
)

var valueEmpty = []string{""}

// setNobody is of answers that are no application's, and of nobody.
func setNobody(h http.Header) {
	h["Cache-Control"] = valueNoStore
	(&question{}).setIdentity(h)
}

// setIdentity tells who asks.
func (q *question) setIdentity(h http.Header) {
	if q.who == nil || q.who.gate.Limited() { // at a public address; see gate.Who
		h[headerUser], h[headerName], h[headerEmail], h[headerGroups] = valueEmpty, valueEmpty, valueEmpty, valueEmpty
		return
	}
	i := &q.who.told
	h[headerUser], h[headerName], h[headerEmail], h[headerGroups] = i[0:1:1], i[1:2:2], i[2:3:3], i[3:4:4]
}
