package gate

import (
	"net/http"
	"strings"
	"unicode"
)

// Malformed tells why a question can't be answered.
type Malformed struct {
	Code     string // a stable word
	Reason   string // for people
	ByClient bool   // a client can cause it; else the proxy is set up wrong
}

func (m *Malformed) Error() string { return m.Reason }

// The mistakes of a proxy, and what clients try.
var (
	errMissing     = &Malformed{Code: "gate_metadata", Reason: "the proxy does not say what was asked for: its headers for this endpoint are missing or empty; 'husk proxy config' prints them"}
	errNotRead     = &Malformed{Code: "gate_metadata", Reason: "what the proxy says was asked for can't be read; 'husk proxy config' prints the headers"}
	errDoubled     = &Malformed{Code: "doubled_header", Reason: "a header that decides is there twice", ByClient: true}
	errLookAlike   = &Malformed{Code: "look_alike_header", Reason: "a header is spelled like one that only the proxy sets", ByClient: true}
	errContradicts = &Malformed{Code: "contradictory_headers", Reason: "the headers tell of two different requests", ByClient: true}
	errBadHost     = &Malformed{Code: "bad_host", Reason: "the host that was asked for is none", ByClient: true}
	errBadPath     = &Malformed{Code: "bad_path", Reason: "the path could be taken for another one: leave out .., //, ;, #, \\ and what is escaped twice", ByClient: true}
	errBadMethod   = &Malformed{Code: "bad_method", Reason: "the method is none: it is a name in capitals, such as GET", ByClient: true}
)

// Adapter reads from a proxy's question what its client asked for. It looks at no
// header but those of its own endpoint.
type Adapter func(r *http.Request) (Request, *Malformed)

// asked is a request as it is told, not read yet.
type asked struct{ method, scheme, host, uri string }

// ForwardAuth reads the question of Traefik and Caddy.
func ForwardAuth(r *http.Request) (Request, *Malformed) {
	a := asked{one(r, "X-Forwarded-Method"), one(r, "X-Forwarded-Proto"), one(r, "X-Forwarded-Host"), one(r, "X-Forwarded-Uri")}
	return a.read(r.Header)
}

// AuthRequest reads the question of nginx and HAProxy.
func AuthRequest(r *http.Request) (Request, *Malformed) {
	a, ok := original(r)
	if !ok {
		return Request{}, refuseHeaders(r.Header, errNotRead)
	}
	return a.read(r.Header)
}

// AuthRequestAlias also takes the headers of forward-auth, and then GET. Where both
// are there, a client may have sent one of them: they have to name one host and path.
// The method can't be told then, and is Unsure.
func AuthRequestAlias(r *http.Request) (Request, *Malformed) {
	host, uri := one(r, "X-Forwarded-Host"), one(r, "X-Forwarded-Uri")
	if len(r.Header["X-Original-Url"]) == 0 {
		return asked{http.MethodGet, one(r, "X-Forwarded-Proto"), host, uri}.read(r.Header)
	}
	q, m := AuthRequest(r)
	if m != nil {
		return q, m
	}
	if host != "" && !q.agrees(host) || uri != "" && uri != q.URI {
		return Request{}, errContradicts
	}
	if schemeOf(one(r, "X-Forwarded-Proto")) == "https" {
		q.Scheme = "https" // or a client could have a code sent in the open
	}
	q.Unsure = host != "" && uri != ""
	return q, nil
}

// agrees tells whether another header names the same host. A port that it does not
// name is none: proxies leave it out, and a client could choose it.
func (q *Request) agrees(host string) bool {
	folded, err := FoldHost(host)
	_, port, _ := splitPort(host)
	agree := err == nil && folded == q.Host && (port == q.Port || port == "" || q.Port == "")
	if port == "" {
		q.Port = ""
	}
	return agree
}

// ExtAuthz reads the question of Envoy, which asks as the client did: with its
// method and host, and its path behind prefix. Where that ends with a slash, one more
// is of the prefix.
func ExtAuthz(prefix string) Adapter {
	bare, slashed := strings.CutSuffix(prefix, "/")
	return func(r *http.Request) (Request, *Malformed) {
		uri, found := strings.CutPrefix(r.RequestURI, bare)
		if !found {
			return Request{}, refuseHeaders(r.Header, errNotRead)
		}
		if slashed && strings.HasPrefix(uri, "//") {
			uri = uri[1:]
		}
		return asked{r.Method, one(r, "X-Forwarded-Proto"), r.Host, uri}.read(r.Header)
	}
}

// Direct reads a request that came to Husk's own proxy.
func Direct(scheme string) Adapter {
	return func(r *http.Request) (Request, *Malformed) {
		return asked{r.Method, scheme, r.Host, r.RequestURI}.read(r.Header)
	}
}

// one returns the value of a header; "" where it is not there. Those that are there
// twice are refused by refuseHeaders.
func one(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// original reads X-Original-URL.
func original(r *http.Request) (a asked, ok bool) {
	if url := one(r, "X-Original-Url"); url != "" {
		a, ok = split(url)
	} else {
		ok = true // for read to say so
	}
	a.method = one(r, "X-Original-Method")
	return a, ok
}

// split reads scheme://host/path?query, of which nothing is decoded.
func split(url string) (a asked, ok bool) {
	scheme, rest, ok := strings.Cut(url, "://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 0 {
		return asked{}, false
	}
	return asked{scheme: scheme, host: rest[:slash], uri: rest[slash:]}, true
}

// read checks what is told.
func (a asked) read(h http.Header) (q Request, m *Malformed) {
	if m := refuseHeaders(h, nil); m != nil {
		return q, m
	}
	if a.method == "" || a.scheme == "" || a.host == "" || a.uri == "" {
		return q, errMissing
	}
	if q.Scheme = schemeOf(a.scheme); q.Scheme == "" {
		return q, errNotRead
	}
	if !IsMethod(a.method) {
		return q, errBadMethod
	}
	var err error
	if q.Host, err = FoldHost(a.host); err != nil {
		return q, errBadHost
	}
	if q.Path, err = CleanPath(a.uri); err != nil {
		return q, errBadPath
	}
	q.Method, q.URI = a.method, a.uri
	_, q.Port, _ = splitPort(a.host)
	if a.method == http.MethodOptions && len(h["Origin"]) == 1 && len(h["Access-Control-Request-Method"]) == 1 && IsMethod(h["Access-Control-Request-Method"][0]) {
		q.Preflight = h["Access-Control-Request-Method"][0]
	}
	return q, nil
}

// schemeOf is the scheme of what is told; that of a WebSocket is the one that it is
// opened by.
func schemeOf(text string) string {
	switch strings.ToLower(text) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

// guarded are the headers that only a proxy or Husk itself sets, and those with a
// credential, by their folded names. Each is a value that decides: there is one, and
// in one spelling. X-Forwarded-For is a list, whose lines are read as one.
var guarded = map[string]bool{
	"remote-user": true, "remote-name": true, "remote-email": true, "remote-groups": true,
	"x-forwarded-method": true, "x-forwarded-proto": true, "x-forwarded-host": true, "x-forwarded-uri": true, "x-forwarded-for": true,
	"x-original-method": true, "x-original-url": true,
	"x-api-token": true, "authorization": true,
}

// refuseHeaders finds headers that are doubled or look like others; else it returns
// otherwise.
func refuseHeaders(h http.Header, otherwise *Malformed) *Malformed {
	for name, values := range h {
		if len(values) > 1 && name != "X-Forwarded-For" && guarded[strings.ToLower(name)] {
			return errDoubled
		}
		if isLookAlike(name) {
			return errLookAlike
		}
	}
	return otherwise
}

// isLookAlike tells whether a header that is spelled otherwise becomes a guarded one
// where an application reads it: by CGI (RFC 3875, 4.1.18) and what is made after it,
// all that is no letter or digit is an underscore with some servers.
func isLookAlike(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '-' && !isPlain(c) {
			return guarded[strings.Map(hyphened, name)]
		}
	}
	return false
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// hyphened folds a character of a header's name.
func hyphened(r rune) rune {
	if r > unicode.MaxASCII || !isPlain(byte(r)) {
		return '-'
	}
	return unicode.ToLower(r)
}
