// Package relay is Husk's own reverse proxy, over that of net/http/httputil. It
// knows neither rules nor credentials: whoever calls Serve has decided, and a Pass
// says what.
//
// The flow. Serve refuses what no application is to see (refuse.go), then has an
// exchange made of the request, which lives as long as that. rewrite (header.go)
// makes the request that the application gets: identity and X-Forwarded-* are Husk's
// own making, whatever the client sent by any spelling. What comes back passes the
// exchange's answer, byte for byte. Beside it the exchange is looked at every two
// seconds (exchange.go): that is where the time limits of the server are lifted, where
// who takes nothing any more is given up, and where it ends with the credential that
// it was asked with. A WebSocket is a connection of its own then (upgrade.go).
//
// Of protocols to switch to a WebSocket alone is passed on: h2c would be a
// connection on which requests come that nobody decides about.
package relay

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"husk/web/fold"
	"husk/web/listen"
)

// Config is all that a Relay needs. What is zero has the default that is named.
type Config struct {
	// Cookies are the names of those that only Husk sets: no application sees or
	// sets one.
	Cookies []string

	Log *fold.Log

	// WantsPage tells whether a person sees the answer. nil: programs alone ask.
	WantsPage func(*http.Request) bool

	// Roots are who may vouch for upstreams over TLS. nil: those of the system.
	Roots *x509.CertPool

	// DialTimeout is how long a connection to an upstream may take, and its
	// handshake as long again. 10 s.
	DialTimeout time.Duration
	// AnswerTimeout is how long an upstream may take to begin its answer, from
	// the last piece of the request that it took. 5 min.
	AnswerTimeout time.Duration
	// StallTimeout is how long a client may take neither what it is sent nor send
	// the next piece of what it began. listen.StallTimeout.
	StallTimeout time.Duration
	// Look is how often an exchange is looked at, and Pass.Alive asked. 2 s.
	Look time.Duration
}

// Pass is what was decided about one request.
type Pass struct {
	// Upstream is http or https; its path goes before that of the request.
	Upstream *url.URL

	// Identity are the headers that tell who asks, by canonical names that begin
	// with Remote-. No other header with such a name passes.
	Identity http.Header

	// Scheme, Host and Client tell what the client asked for and its address:
	// X-Forwarded-Proto, -Host and -For. Host is passed on as that, too. An empty
	// Host is the request's own, an empty Client is not told.
	Scheme, Host, Client string

	// Remove are canonical names of headers that held a credential of Husk's.
	Remove []string

	// Alive tells whether what was decided is still good. It is asked while the
	// exchange lasts, on a goroutine of its own. nil: for ever, as for who is
	// nobody.
	Alive func() bool

	// RequestID is for the log, and for who is refused.
	RequestID string
}

// Relay passes requests on. New makes one; it starts nothing.
type Relay struct {
	Config
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	via       pseudonym

	mu       sync.Mutex
	closed   bool
	upgraded map[*exchange]struct{}
}

// Limits of what upstreams cost.
const (
	maxIdle         = 256 // connections
	maxIdleUpstream = 64  // of one upstream
	idleTimeout     = time.Minute
	maxAnswerHeader = 64 << 10
	bufferSize      = 32 << 10
	// continueTimeout is how long an upstream that is to say whether it wants a
	// body may take for that; then the body is sent.
	continueTimeout = time.Second
	// pingAfter is how long an HTTP/2 upstream may be silent until it is asked
	// whether it is there, and how long it may take to say so.
	pingAfter = 15 * time.Second
)

// New makes a Relay.
func New(c Config) *Relay {
	c.DialTimeout = cmp.Or(c.DialTimeout, 10*time.Second)
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, 5*time.Minute)
	c.StallTimeout = cmp.Or(c.StallTimeout, listen.StallTimeout)
	c.Look = cmp.Or(c.Look, 2*time.Second)
	p := &Relay{Config: c, via: newPseudonym(), upgraded: map[*exchange]struct{}{}}
	p.transport = &http.Transport{ // without Proxy: nothing of the environment decides
		DialContext:            listen.Dial(&net.Dialer{Timeout: c.DialTimeout}),
		TLSClientConfig:        &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.DialTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
		DisableCompression:     true, // else what was not asked for is undone
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdleUpstream,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		ExpectContinueTimeout:  continueTimeout,
	}
	p.proxy = &httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { exchangeOf(pr.In.Context()).rewrite(pr) },
		Transport:      p.transport,
		ModifyResponse: func(res *http.Response) error { return exchangeOf(res.Request.Context()).take(res) },
		ErrorHandler:   func(_ http.ResponseWriter, r *http.Request, err error) { exchangeOf(r.Context()).fail(err) },
		BufferPool:     &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}},
		ErrorLog:       stdlog.New(io.Discard, "", 0), // the exchange knows more
	}
	return p
}

// Serve has the upstream answer a request. w's header is empty but for what is
// about the connection. Where the answer breaks off it panics with
// http.ErrAbortHandler, so that no client takes a part for the whole.
func (p *Relay) Serve(w http.ResponseWriter, r *http.Request, pass Pass) {
	if e := p.refusal(r); e != nil {
		p.refuse(w, r, pass.RequestID, e)
		return
	}
	x := p.begin(w, r, pass)
	defer x.end()
	p.proxy.ServeHTTP(&x.answer, x.in)
}

// Close ends all WebSockets, which a server that stops does not wait for, and
// those that are opened afterwards. Other requests are not touched. Call it when the
// server is to stop.
func (p *Relay) Close() {
	p.mu.Lock()
	p.closed = true
	open := make([]*exchange, 0, len(p.upgraded))
	for x := range p.upgraded {
		open = append(open, x)
	}
	p.mu.Unlock()
	for _, x := range open {
		x.stop(errClosed)
	}
	p.transport.CloseIdleConnections()
}

// pseudonym is the name of this process in Via (RFC 9110, 7.6.3): random, so that
// only what it sent itself has it.
type pseudonym struct{ name, http10, http11, http2 string }

func newPseudonym() pseudonym {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name := "husk-" + hex.EncodeToString(random[:])
	return pseudonym{name, "1.0 " + name, "1.1 " + name, "2 " + name}
}

// of is the element for a request, with the protocol that it came by.
func (v *pseudonym) of(r *http.Request) string {
	switch {
	case r.ProtoMajor > 1:
		return v.http2
	case r.ProtoMinor == 0:
		return v.http10
	}
	return v.http11
}

// buffers is an httputil.BufferPool.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
