package relay

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// rewrite makes the request for the upstream. httputil has removed what is of the
// connection alone, and what the client named in Connection, so that no client can
// have removed what is set here.
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	out, p := pr.Out, &x.pass
	aim(out.URL, pr.In.URL, p.Upstream)
	if p.Host != "" {
		out.Host = p.Host
	}
	dropForeign(out.Header)
	for _, name := range p.Remove {
		delete(out.Header, name)
	}
	x.relay.dropCookies(out.Header)
	for name, values := range p.Identity {
		out.Header[name] = values
	}
	x.setForwarded(out)
	out.Header["Via"] = append(out.Header["Via"], x.relay.via.of(pr.In))
	x.upgrades = out.Header["Upgrade"] != nil && isHandshake(out)
	if !x.upgrades {
		delete(out.Header, "Upgrade")
		delete(out.Header, "Connection")
	}
	x.announceTrailers(pr)
}

func (x *exchange) setForwarded(out *http.Request) {
	values := []string{x.pass.Scheme, out.Host, x.pass.Client}
	out.Header["X-Forwarded-Proto"] = values[0:1:1]
	out.Header["X-Forwarded-Host"] = values[1:2:2]
	if x.pass.Client != "" {
		out.Header["X-Forwarded-For"] = values[2:3:3]
	}
}

// aim leads u to the upstream. The path and query are the client's bytes: what
// httputil and net/url make of odd ones is equal to them for some applications, and
// for others not. The query is the client's whole: httputil has left out of u what it
// can't parse.
//
// A path that begins with two slashes can't be Opaque, where it would be a host.
func aim(u, in, upstream *url.URL) {
	u.Scheme, u.Host = upstream.Scheme, upstream.Host
	u.RawQuery = inOneLine(in.RawQuery)
	base, path := strings.TrimSuffix(upstream.EscapedPath(), "/"), rawPath(in)
	if path = base + inOneLine(path); !strings.HasPrefix(path, "//") {
		u.Opaque = path
	}
}

// rawPath is the path as it was sent. What came without one is about the root.
func rawPath(u *url.URL) string {
	switch {
	case u.RawPath != "":
		return u.RawPath
	case u.Path == "":
		return "/"
	}
	return u.EscapedPath()
}

// inOneLine escapes spaces, which HTTP/2 lets through and which would end the
// target in the first line of HTTP/1.
func inOneLine(text string) string { return strings.ReplaceAll(text, " ", "%20") }

// dropForeign removes what only Husk may tell an application: who asks, from
// where, by which scheme and host, and for which path.
func dropForeign(h http.Header) {
	for name := range h {
		if isForeign(name) {
			delete(h, name)
		}
	}
}

// isForeign tells whether a header of a client is no client's to send. Names are
// compared as applications read them: by CGI (RFC 3875, 4.1.18) and what was made
// after it, all that is no letter or digit is an underscore.
func isForeign(name string) bool {
	const longest = 24
	var folded [longest]byte
	n := min(len(name), longest)
	for i := range n {
		folded[i] = foldByte(name[i])
	}
	start := string(folded[:n])
	for _, prefix := range [...]string{"remote-", "x-forwarded-", "x-original-"} {
		if strings.HasPrefix(start, prefix) {
			return true
		}
	}
	if len(name) > longest {
		return false
	}
	switch start {
	case "forwarded", "x-forwarded",
		"x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "fastly-client-ip",
		"x-scheme", "x-url-scheme", "front-end-https", "x-host", "x-rewrite-url",
		"proxy",          // HTTP_PROXY to a CGI program, which would take it for its own setting
		"http2-settings": // of an upgrade that is not passed on
		return true
	}
	return false
}

func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// dropCookies removes Husk's own cookies from a request, and leaves the others as
// they came.
func (p *Relay) dropCookies(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0]
	for _, line := range lines {
		if line = p.withoutOwn(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = kept
	}
}

func (p *Relay) withoutOwn(line string) string {
	own := false
	for _, name := range p.Cookies {
		own = own || strings.Contains(line, name)
	}
	if !own {
		return line
	}
	var kept []string
	for one := range strings.SplitSeq(line, ";") {
		if name, _, _ := strings.Cut(one, "="); !p.isOwn(name) {
			kept = append(kept, one)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ";"))
}

func (p *Relay) isOwn(name string) bool {
	name = strings.TrimSpace(name)
	for _, own := range p.Cookies {
		if strings.EqualFold(name, own) {
			return true
		}
	}
	return false
}

// dropSetCookies removes from an answer what would set Husk's own cookies.
func (p *Relay) dropSetCookies(h http.Header) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		// Of a cookie without a name browsers send the value alone, which may be
		// one with a name.
		pair, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), ";")
		if name, _, _ := strings.Cut(pair, "="); !p.isOwn(name) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
}

// isHandshake tells whether a request that asks for another protocol asks for a
// WebSocket (RFC 6455, 4.1).
func isHandshake(out *http.Request) bool {
	return out.Method == http.MethodGet && out.Body == nil && strings.EqualFold(out.Header.Get("Upgrade"), "websocket")
}

// announceTrailers has those trailers of the client passed on that are no header
// which it may not send: there are servers that make one of the two. Only trailers
// that were announced pass, as net/http knows no others.
func (x *exchange) announceTrailers(pr *httputil.ProxyRequest) {
	pr.Out.Trailer = nil
	if len(pr.In.Trailer) == 0 || pr.Out.Body == nil {
		return
	}
	x.upload.trailer = http.Header{}
	for name := range pr.In.Trailer {
		if !isForeign(name) && !isCredential(name) {
			x.upload.trailer[name] = nil
		}
	}
	if len(x.upload.trailer) > 0 {
		pr.Out.Trailer = x.upload.trailer
		pr.Out.ContentLength = -1 // else there is no place for trailers in HTTP/1
	}
}

func isCredential(name string) bool {
	return name == "Cookie" || name == "Authorization" || name == "X-Api-Token"
}
