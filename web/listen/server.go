package listen

import (
	"context"
	"net"
	"net/http"
	"time"

	"husk/web/api"
	"husk/web/fold"
)

// Limits of connections: net/http's own defaults wait for ever.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // the whole request; routes that stream lift it
	writeTimeout      = 60 * time.Second // the whole answer, from the end of the header
	idleTimeout       = 60 * time.Second

	// maxHeader is the longest header of a request, its first line included.
	maxHeader      = 16 << 10
	maxHeaderBytes = maxHeader - 4096 // net/http allows itself so much more

	// maxFields is how many lines it may have. A short field takes some 100
	// bytes of memory, as long as its request does.
	maxFields = 100
	// maxStreams is how many requests of HTTP/2 a connection has at once.
	maxStreams = 32
	// maxUnreadStreams is how much of their bodies waits unread.
	maxUnreadStreams = 256 << 10
)

// Handler answers requests. web.Server is one; Server calls it.
type Handler interface {
	http.Handler

	// ConnContext marks a connection, for what has to know who is at its end.
	ConnContext(context.Context, net.Conn) context.Context

	// Refuse answers with an error a request that ServeHTTP is not to see.
	Refuse(http.ResponseWriter, *api.Error)
}

// Config is all that a Server needs.
type Config struct {
	Handler Handler

	// Background is what goes on beside requests. Its context ends when all that
	// was accepted is answered. A panic in it ends the server. nil: there is nothing.
	Background func(context.Context)

	Log *fold.Log
}

// Server serves a Handler. It starts nothing until Serve is called.
type Server struct {
	Config
	connections connections
	stopping    context.Context // done when Serve has begun to stop
	beginStop   context.CancelFunc
}

// New makes a Server.
func New(c Config) *Server {
	s := &Server{Config: c}
	s.stopping, s.beginStop = context.WithCancel(context.Background())
	return s
}

// HTTPServer returns an http.Server for s with its limits.
func (s *Server) HTTPServer() *http.Server {
	hs := HTTPServer(s, s.Log)
	hs.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return s.Handler.ConnContext(Context(ctx, c), c)
	}
	hs.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxUnreadStreams}
	return hs
}

// HTTPServer returns an http.Server with the limits of a connection, for a handler
// that needs no more: what is wrong with one is told to log.
func HTTPServer(h http.Handler, log *fold.Log) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         func(c net.Conn, state http.ConnState) { Of(c).Note(state) },
		ErrorLog:          connectionLog(log),
	}
}

// valueClose is of a header, shared by all answers: never appended to.
var valueClose = []string{"close"}

// ServeHTTP has the Handler answer, and the client told where its connection ends
// with that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Err() != nil {
		w.Header()["Connection"] = valueClose
	}
	withBody := r.Body != nil && r.Body != http.NoBody
	if r.ProtoMajor > 1 {
		defer From(r.Context()).Stream(withBody)()
	}
	if fieldsOf(r) > maxFields {
		s.refuseFields(w)
		return
	}
	if withBody {
		var b *body
		r, b = s.followBody(w, r)
		defer b.finish(r)
	}
	s.Handler.ServeHTTP(w, r)
}
