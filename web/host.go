package web

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"husk/web/gate"
)

// A page can have the name of its own host lead to 127.0.0.1. To the browser a
// server there is then of the page's own origin, and all that it answers is the
// page's to read. But the Host that the browser sends is the page's name still:
// where only programs of this machine, and proxies, can be meant to come, any
// name that is not known is refused.

var errMisdirected = &failure{status: http.StatusMisdirectedRequest, code: "misdirected",
	reason: "husk listens on this machine alone, and does not know the host that was asked for as its own: where that is its name, or a proxy's that leads here, start it with --public-url"}

// onLoopback tells whether what listens on TCP does so on loopback alone.
func onLoopback(listeners []net.Listener) bool {
	found := false
	for _, l := range listeners {
		if _, unix := l.Addr().(*net.UnixAddr); unix {
			continue
		}
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok || !tcp.IP.IsLoopback() {
			return false
		}
		found = true
	}
	return found
}

// misdirected tells whether r came for a host that is not this server's. The
// control socket and the command line's own server have no name.
func (s *Server) misdirected(r *http.Request) bool {
	if !s.loopback.Load() || knownHost(r.Host, s.publicHosts...) || s.gateKnows(r.Host) {
		return false
	}
	_, isLocal := localOf(r.Context())
	return !isLocal
}

// gateKnows tells whether a host is one of the gate's rules, or the one to which the
// gate leads people to sign in.
func (s *Server) gateKnows(host string) bool {
	folded, err := gate.FoldHost(host)
	if err != nil {
		return false
	}
	rules := s.gate.rules.Load()
	return rules.Knows(folded) || rules.SignsIn(folded)
}

// misdirect refuses before anything of the request is looked at.
func (s *Server) misdirect(w http.ResponseWriter, r *http.Request, id string) {
	who := s.nobody(r, id)
	s.folds.Line(slog.LevelInfo, "request refused", errMisdirected.code, sourceOf(who), append(origin(who), "method", r.Method, "status", errMisdirected.status, "code", errMisdirected.code)...)
	s.Metrics.countUnmatched(errMisdirected.status)
	writeFailure(w, errMisdirected)
}

// LoopbackOnly refuses what comes for another host, as a Server does, for a
// handler beside it whose listener is on loopback. The addresses by which browsers
// reach this server may be none.
func LoopbackOnly(h http.Handler, publicURLs ...string) http.Handler {
	var public []string
	for _, own := range publicURLs {
		public = append(public, hostOf(own))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownHost(r.Host, public...) {
			writeFailure(w, errMisdirected)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostOf is the name in a URL; "" where there is none.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// knownHost tells whether a Host header names this machine as no name that is
// another's to give can: by an address, or as localhost or what is under it
// (RFC 6761, 6.3); or whether it is one of those that were configured. Ports do not
// count: a proxy has its own. HTTP/1.0 may name none, and no browser speaks
// that.
func knownHost(host string, public ...string) bool {
	if host == "" {
		return true
	}
	name, ok := hostName(host)
	if !ok {
		return false
	}
	if isLocalhost(name) || isOneOf(name, public) {
		return true
	}
	_, err := netip.ParseAddr(name) // last: its errors are made anew
	return err == nil
}

// checkHost refuses what no browser sends as a Host (RFC 9110, 7.2): where no public-url
// is known, pages name it in what people copy. net/http lets any sub-delimiter pass.
func checkHost(r *http.Request) error {
	folded := strings.TrimSuffix(strings.Replace(strings.ToLower(r.Host), ".:", ":", 1), ".")
	if r.Host == "" || originHost.MatchString(folded) {
		return nil
	}
	return malformed("bad_host_header", "the Host header is no name of a host and no address")
}

func isOneOf(name string, hosts []string) bool {
	return name != "" && slices.ContainsFunc(hosts, func(one string) bool { return strings.EqualFold(name, one) })
}

// hostName is a Host without port, brackets and final dot.
func hostName(host string) (name string, ok bool) {
	name = host
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		if strings.Trim(host[colon+1:], "0123456789") != "" {
			return "", false
		}
		name = host[:colon]
	}
	if inner, bracket := strings.CutPrefix(name, "["); bracket {
		return strings.CutSuffix(inner, "]")
	}
	return strings.TrimSuffix(name, "."), true
}

func isLocalhost(name string) bool {
	const under = ".localhost"
	return strings.EqualFold(name, under[1:]) ||
		(len(name) > len(under) && strings.EqualFold(name[len(name)-len(under):], under))
}

// IsLoopback tells whether what is sent to the host of a URL stays on this
// machine.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return isLocalhost(strings.TrimSuffix(host, ".")) || (err == nil && a.Unmap().IsLoopback())
}
