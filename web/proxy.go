package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is the address from which r came, without port: that of the
// TCP peer, unless this is a trusted proxy. Then it is the right-most hop of
// X-Forwarded-For that is not one: what stands to the left of it was written
// by somebody whom nobody vouches for. No other header is looked at: a client
// can send X-Real-IP or Forwarded through a proxy that knows only its own.
func (s *Server) clientAddress(r *http.Request) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	if len(s.TrustedProxies) == 0 {
		return peer
	}
	address := parseAddress(peer).WithZone("")
	if !s.trusts(address) {
		return peer
	}
	return s.lastUntrusted(r.Header["X-Forwarded-For"], address).String()
}

// fromTrusted tells whether r came from a proxy that is trusted. Who comes by a local
// connection is none.
func (s *Server) fromTrusted(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	_, isLocal := localOf(r.Context())
	return err == nil && !isLocal && s.trusts(parseAddress(peer).WithZone(""))
}

func (s *Server) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// lastUntrusted walks from the nearest hop to the farthest, over all lines of
// the header as if they were one, as long as the hops are trusted. A hop that
// is no address ends the walk at the one before, which wrote it: that is the
// last address known for sure, and who hides behind it shares its limits. The
// same goes for a header that ends before anybody untrusted was found.
func (s *Server) lastUntrusted(lines []string, nearest netip.Addr) netip.Addr {
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			hop := line
			if comma := strings.LastIndexByte(line, ','); comma >= 0 {
				line, hop = line[:comma], line[comma+1:]
			} else {
				more = false
			}
			if hop = strings.Trim(hop, " \t"); hop == "" {
				continue // RFC 9110, 5.6.1: empty elements do not count
			}
			address, ok := parseHop(hop)
			if !ok {
				return nearest
			}
			if nearest = address; !s.trusts(address) {
				return address
			}
		}
	}
	return nearest
}

// parseHop reads an address as proxies write them: with or without a port, an
// IPv6 one with or without brackets.
func parseHop(hop string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(hop)
	if err != nil {
		var withPort netip.AddrPort
		if withPort, err = netip.ParseAddrPort(hop); err == nil {
			a = withPort.Addr()
		} else if inner, ok := strings.CutPrefix(hop, "["); ok && strings.HasSuffix(inner, "]") {
			a, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		}
	}
	return a.Unmap().WithZone(""), err == nil
}
