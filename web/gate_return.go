package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/console"
	"husk/web/gate"
)

// The way in. Who is not signed in is led to Husk's own sign-in, with the address
// that was asked for, signed. From there /continue leads back, with a code in the
// query that is good once, for a minute, and for that host. At the gate, which alone
// knows what it is, the code is exchanged for the cookie of the host. So an
// application has no route of Husk's, and the browser no cookie that is good at two
// hosts, but for those of cookie_domain.

const (
	codeParameter = "husk_code"
	codeTTL       = time.Minute

	// maxReturns is how often in a minute a session may be led back to one address and
	// never arrive: see arrivals. A browser that keeps no cookie of the application's host is led around in a circle;
	// the browsers' own bound is about 20 redirects, of which a round takes four.
	maxReturns = 4

	maxReturnAddress = 2048 // bytes; of a longer one the query is left out, then the path
)

// askSignIn leads a person to the sign-in, and tells a program that there is one.
func (s *Server) askSignIn(w http.ResponseWriter, q *question) error {
	if !q.wantsPage() {
		return errNoCredential
	}
	return s.lead(w, q, s.signInFor(q))
}

// mayProve tells whether somebody can do something about what is missing: a browser
// that is signed in here, and lacks a second factor alone. Who shows a JWT in a header
// would show the same one again.
func (q *question) mayProve() bool {
	return q.decision.LacksFactor() && q.who.scope != "" && q.wantsPage()
}

// askFactorAtGate leads a person to where a second factor is set up, or proved.
func (s *Server) askFactorAtGate(w http.ResponseWriter, q *question) error {
	return s.lead(w, q, s.secondFactorFor(q))
}

// lead leads a person to a page of Husk's, as the proxy that asks knows how.
func (s *Server) lead(w http.ResponseWriter, q *question, location string) error {
	status := http.StatusFound
	switch {
	case q.endpoint.subrequest:
		status = http.StatusUnauthorized
		w.Header()["Www-Authenticate"] = []string{errNoCredential.challenge}
	case q.asked.Method != http.MethodGet && q.asked.Method != http.MethodHead:
		status = http.StatusSeeOther
	}
	setNobody(w.Header())
	w.Header()["Location"] = []string{location}
	w.WriteHeader(status)
	return errAnswered
}

// signInFor is the address of the sign-in that leads back to what was asked for.
func (s *Server) signInFor(q *question) string { return s.pageFor(q, "/login") }

// secondFactorFor is the address where a second factor is set up or proved.
func (s *Server) secondFactorFor(q *question) string { return s.pageFor(q, "/second-factor") }

func (s *Server) pageFor(q *question, path string) string {
	sealed := s.sealReturnAddress(q.returnAddress(), s.Store.Now().Add(q.rules.ReturnTTL()))
	return q.rules.LoginURL() + path + "?return=" + sealed
}

// returnAddress is the address that was asked for. Where one application is behind
// every host, it is the path alone: who asks chooses the host, and what is signed
// must not lead to one of their choosing.
func (q *question) returnAddress() string {
	origin, uri := q.origin(), q.asked.URI
	if len(origin)+len(uri) > maxReturnAddress {
		uri, _, _ = strings.Cut(uri, "?")
	}
	if len(origin)+len(uri) > maxReturnAddress {
		uri = "/"
	}
	return origin + uri
}

// origin is the scheme and host of what was asked for; "" where the browser is to
// stay where it is.
func (q *question) origin() string {
	if q.rules.ServesAll() {
		return ""
	}
	return q.asked.Origin()
}

func (s *Server) sealReturnAddress(address string, ends time.Time) string {
	return console.Seal(s.gate.mac, address, ends)
}

func (g *gateway) mac(text []byte) []byte { return mac(g.returnKey, text) }

var (
	errReturnUnknown = malformed("return_unknown", "this way back leads to no application that husk knows: open the address of the application again")
	errReturnEnded   = malformed("return_ended", "the sign-in took too long for the way back: open the address of the application again")
)

// returnTo reads a signed return address, and finds out to which host it leads.
func (s *Server) returnTo(r *http.Request, sealed string) (address, host string, err error) {
	address, ends, ok := console.Unseal(s.gate.mac, sealed, maxReturnAddress)
	switch {
	case !ok:
		return "", "", errReturnUnknown
	case !s.Store.Now().Before(ends):
		return "", "", errReturnEnded
	}
	rules := s.gate.rules.Load()
	host = r.Host
	if rules.ServesAll() != strings.HasPrefix(address, "/") {
		return "", "", errReturnUnknown // the rules were others when it was signed
	}
	if !rules.ServesAll() {
		u, err := url.Parse(address)
		if err != nil {
			return "", "", errReturnUnknown
		}
		host = u.Host
	}
	if host, err = gate.FoldHost(host); err != nil || !rules.Knows(host) {
		return "", "", errReturnUnknown
	}
	return address, host, nil
}

// applicationAt is the name of the application to which a return address leads, for
// the page of the sign-in. ok tells whether the address was signed here: one that
// has ended is told of when it is used.
func (s *Server) applicationAt(r *http.Request, sealed string) (name string, ok bool) {
	_, name, err := s.returnTo(r, sealed)
	return name, err == nil || errors.Is(err, errReturnEnded)
}

// enterApplication leads a browser that is signed in back to the application, with a
// code for the gate.
func (s *Server) enterApplication(c echo.Context, actor *db.Actor) error {
	address, host, err := s.returnTo(c.Request(), c.QueryParam("to"))
	if err != nil {
		return err
	}
	if !s.gate.arrived.take(actor.Session.ID) && s.gate.returns.Spend(actor.Session.ID+" "+address) > 0 {
		return malformed("cookie_not_kept", "the browser comes back from "+host+" again and again, without the cookie that it was given there: have it keep cookies of that host, and open the address of the application again in a minute")
	}
	code, err := s.Store.MakeCode(c.Request().Context(), actor, scopeOf(s.gate.rules.Load(), host), codeTTL)
	if err != nil {
		return err
	}
	joint := "?"
	if strings.Contains(address, "?") {
		joint = "&"
	}
	return c.Redirect(http.StatusSeeOther, address+joint+codeParameter+"="+code)
}

// takeCode exchanges the code in the query for the cookie of the host, and leads on
// to the address without it. A code that is good no more is left out where a person
// waits: they are signed in by then, or asked again. So is that of a browser that is
// signed in: a link with somebody else's would have it go on as them.
func (s *Server) takeCode(w http.ResponseWriter, q *question) (answered bool, err error) {
	if q.asked.Method != http.MethodGet || !strings.Contains(q.asked.URI, codeParameter+"=") {
		return false, nil
	}
	code, uri := withoutCode(q.asked.URI)
	if code == "" {
		return false, nil
	}
	scope := scopeOf(q.rules, q.asked.Host)
	known := false
	if q.who == nil {
		if known, err = s.Store.KnowsCode(q.r.Context(), code, scope); err != nil {
			return false, err
		}
	}
	if known {
		pass, ends, err := s.Store.TakeCode(q.r.Context(), &q.actor, code, scope)
		if err != nil && !errors.Is(err, db.ErrDenied) {
			return false, err
		}
		if known = err == nil; known {
			http.SetCookie(w, s.passCookie(q, pass, ends))
		}
	}
	if !known && !q.wantsPage() {
		return false, nil
	}
	s.leadOn(w, q, q.origin()+uri)
	return true, nil
}

// leadOn leads a browser to another address of the application.
func (s *Server) leadOn(w http.ResponseWriter, q *question, location string) {
	h := w.Header()
	h["Location"], h["Referrer-Policy"] = []string{location}, valueReferrer
	setNobody(h)
	if q.endpoint.subrequest {
		h["Www-Authenticate"] = []string{errNoCredential.challenge}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusFound)
}

// withoutCode takes the code out of a request target; the rest stays as it is.
func withoutCode(uri string) (code, rest string) {
	path, query, _ := strings.Cut(uri, "?")
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if value, found := strings.CutPrefix(pair, codeParameter+"="); found {
			code = value
		} else {
			kept = append(kept, pair)
		}
	}
	if len(kept) > 0 {
		path += "?" + strings.Join(kept, "&")
	}
	return code, path
}

func (s *Server) passCookie(q *question, pass string, ends time.Time) *http.Cookie {
	c := &http.Cookie{Name: gateCookie, Value: pass, Path: "/", MaxAge: int(ends.Sub(s.Store.Now()).Seconds()),
		HttpOnly: true, Secure: q.asked.Scheme == "https", SameSite: http.SameSiteLaxMode}
	if scope, isDomain := q.rules.Scope(q.asked.Host); isDomain {
		c.Domain = scope
	}
	return c
}
