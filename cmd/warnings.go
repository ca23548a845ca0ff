package cmd

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"husk/web"
	"husk/web/gate"
)

// warnings are what in the settings of a server works and is rarely meant.
func (s *settings) warnings() (all []string) {
	for _, p := range s.TrustedProxies {
		if isWide(p) {
			all = append(all, fmt.Sprintf("trusted-proxy %s is believed from so many addresses that strangers can choose theirs, for the limits of tries, for allowed_ips and in the log: name the proxy's own", p))
		}
	}
	if strings.HasPrefix(s.PublicURL, "https:") && len(s.TLSCerts) == 0 && len(s.TrustedProxies) == 0 {
		all = append(all, "public-url is https, and there is neither tls-cert nor trusted-proxy: cookies work only behind something that speaks TLS, and all that comes through it shares the limits of its one address; name it as trusted-proxy")
	}
	return all
}

// gateWarnings are what in the gate works and is rarely meant, beside these
// certificates.
func (s *settings) gateWarnings(rules *gate.Rules, pairs keyPairs) (all []string) {
	if rules == nil {
		return nil
	}
	if s.PublicURL == "" && len(s.TLSCerts) == 0 && strings.HasPrefix(rules.LoginURL(), "https:") {
		all = append(all, "gate.login_url is https and public-url is not set: the cookie of a sign-in is not kept to https then, and husk does not know its own address; set public-url to the same, and leave login_url out")
	}
	if rules.NeedProxy() && len(s.TrustedProxies) == 0 {
		all = append(all, web.UnaskedRules)
	}
	return append(all, uncertified(rules, pairs)...)
}

// The private networks of IPv6 (RFC 4193, RFC 4291) are wide, and yet one's own.
var privateIPv6 = []netip.Prefix{netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10")}

// isWide tells whether a network is wider than what any one may have.
func isWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	for _, private := range privateIPv6 {
		if private.Contains(p.Addr()) && p.Bits() >= private.Bits() {
			return false
		}
	}
	return p.Bits() < 16
}

// inTheOpen tells whether what is sent to server can be read on its way to
// another machine.
func inTheOpen(server string) bool {
	u, err := url.Parse(server)
	return err == nil && u.Scheme == "http" && !web.IsLoopback(u.Hostname())
}
