package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"husk/db"
	"husk/web/gate"
	"husk/web/relay"
)

// Where a rule has an upstream, Husk is the reverse proxy of that host: what comes is
// decided as a proxy's question is, and passed on. A host like that is wholly the
// application's. Where one application is behind every host, Husk keeps its own paths,
// but for the root and the icon, which are the application's.

// direct is how Husk's own proxy asks the gate: about the request itself.
var direct = map[string]*gateEndpoint{"http": {read: gate.Direct("http")}, "https": {read: gate.Direct("https")}}

// servesApplication tells whether r is for an application behind Husk's own proxy.
// Requests of this machine's own commands, and of pages, never are.
func (s *Server) servesApplication(r *http.Request, rules *gate.Rules) bool {
	if !rules.ServesAny() {
		return false
	}
	if _, isLocal := localOf(r.Context()); isLocal {
		return false
	}
	host, err := gate.FoldHost(r.Host)
	if err != nil || !rules.Serves(host) {
		return false
	}
	if rules.ServesAll() {
		return !s.isOwnPath(r)
	}
	return !s.isPublicHost(host) // which the pattern of a rule may fit
}

// isOwnPath tells whether the path is one of Husk's own, by any method.
func (s *Server) isOwnPath(r *http.Request) bool {
	if r.URL.Path == "/" || r.URL.Path == "/favicon.ico" {
		return false
	}
	if gateEndpointOf(r) != nil {
		return true
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	return slices.ContainsFunc(s.ownPaths[firstSegment(path)], func(pattern string) bool { return fitsPattern(pattern, path) })
}

// firstSegment is what stands between the first two slashes of a path. No route has a
// parameter there.
func firstSegment(path string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return segment
}

// fitsPattern tells whether a path is one of a route's, whose parameters begin with
// a colon and are one segment.
func fitsPattern(pattern, path string) bool {
	for pattern != "" && path != "" {
		var want, got string
		want, pattern, _ = strings.Cut(pattern[1:], "/")
		got, path, _ = strings.Cut(path[1:], "/")
		if want != got && (!strings.HasPrefix(want, ":") || got == "") {
			return false
		}
		pattern, path = slashed(pattern), slashed(path)
	}
	return pattern == path
}

// serveApplication passes a request on that the gate allows.
func (s *Server) serveApplication(w http.ResponseWriter, r *http.Request, rules *gate.Rules) {
	q := s.question(r, rules, direct[s.schemeOf(r)])
	if !s.letsIn(w, q) {
		return
	}
	identity := make(http.Header, 4)
	q.setIdentity(identity)
	pass := relay.Pass{
		Upstream: q.rules.UpstreamOf(q.decision.Rule, q.asked.Host),
		Identity: identity,
		Scheme:   q.asked.Scheme, Host: r.Host, Client: q.actor.Address,
		Remove: s.ownHeaders(r.Header), RequestID: s.name(q),
	}
	if q.who != nil {
		pass.Alive = func() bool { return s.stillAllowed(q) }
	}
	s.relay.Serve(w, r, pass)
}

// letsIn decides; where it is false, it has answered.
func (s *Server) letsIn(w http.ResponseWriter, q *question) bool {
	defer s.endQuestion(w, q)
	return s.allowed(w, q, s.decide(w, q))
}

// stillAllowed asks again what was decided about a request that goes on, by the rules
// of now and with the credential that it came with.
func (s *Server) stillAllowed(q *question) bool {
	again := &question{r: q.r.WithContext(context.Background()), endpoint: q.endpoint, rules: s.gate.rules.Load(), asked: q.asked, again: true,
		actor: db.Actor{Transport: q.actor.Transport, Address: q.actor.Address}}
	if s.identifyAtGate(again) != nil {
		return false
	}
	return again.rules.Decide(&again.asked, again.who.atGate()).Outcome == gate.Allowed
}

// EndUpgraded ends the WebSockets of applications. Call it when the server stops:
// net/http knows nothing of them any more.
func (s *Server) EndUpgraded() { s.relay.Close() }

// schemeOf is the scheme by which a client came: that of the connection, or what a
// proxy says that Husk trusts.
func (s *Server) schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if told := r.Header["X-Forwarded-Proto"]; len(told) == 1 && strings.EqualFold(told[0], "https") && s.fromTrusted(r) {
		return "https"
	}
	return "http"
}

// ownHeaders are the headers of a request that hold a credential of Husk's, which is
// nothing for an application.
func (s *Server) ownHeaders(h http.Header) []string {
	names := []string{"X-Api-Token"}
	for _, line := range h["Authorization"] {
		if _, own := s.ownAuthorization(line); own {
			return append(names, "Authorization")
		}
	}
	return names
}

// ownCookies are those that only Husk sets.
var ownCookies = []string{gateCookie, cookieName, secureCookieName, deviceCookie}

// slashed puts back the slash that strings.Cut took.
func slashed(rest string) string {
	if rest == "" {
		return ""
	}
	return "/" + rest
}
