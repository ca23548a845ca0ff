package web

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	"husk/web/console"
	"husk/web/listen"
)

// A page calls the API over a connection in memory, which is made for it and
// closed when the page is answered. Such a connection is nobody's owner: it has the
// address of who asked for the page, and the transport, and who calls is told by
// what the request shows. The log and the audit so have the call as if the browser
// had made it, under the id of the request for the page; the access log and the
// figures of routes have that request alone.

// pageCall is the server's end of such a connection.
type pageCall struct {
	net.Conn
	id      string // of the request for the page
	address string // from which that came
	local   *local // where it came on a local connection; else nil
}

// RemoteAddr is the address of who asked for the page; the port is not known.
func (c *pageCall) RemoteAddr() net.Addr { return callerAddr(c.address) }

type callerAddr string

func (callerAddr) Network() string  { return "page" }
func (a callerAddr) String() string { return net.JoinHostPort(string(a), "0") }

type pageCallKey struct{}

// pageCallContext marks what comes by a *pageCall: no header can.
func pageCallContext(ctx context.Context, c net.Conn) context.Context {
	call := c.(*pageCall)
	if call.local != nil {
		ctx = call.local.with(ctx)
	}
	return context.WithValue(ctx, pageCallKey{}, call.id)
}

// isPageCall tells whether a page makes the request of ctx.
func isPageCall(ctx context.Context) bool { return ctx.Value(pageCallKey{}) != nil }

// soughtSignIn tells a page's question whether anybody is signed in, which the
// answer to the page tells of.
func soughtSignIn(r *http.Request, f *failure) bool {
	return f.status == http.StatusUnauthorized && isPageCall(r.Context())
}

func (s *Server) newPageCalls() *http.Server {
	hs := listen.HTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serveOwn(w, r, r.Context().Value(pageCallKey{}).(string))
	}), s.folds)
	hs.ConnContext = pageCallContext
	hs.MaxHeaderBytes *= 2 // what the browser sent came through its own limits already
	return hs
}

// dialPageCall is how the page that is answered connects to the API.
func (s *Server) dialPageCall(c echo.Context) console.Dialer {
	call := pageCall{id: requestID(c), address: s.nobody(c.Request(), "").Address}
	if l, ok := localOf(c.Request().Context()); ok {
		call.local = &local{transport: l.transport, name: l.name}
		if forwarded(c.Request()) { // what tells it is not passed on
			call.local.name = forwardedTries
		}
	}
	return func(context.Context, string, string) (net.Conn, error) {
		client, served := net.Pipe()
		own := call
		own.Conn = served
		// It returns when it has accepted the one connection, and that is served on.
		_ = s.pageCalls.Serve(&single{conn: &own})
		return client, nil
	}
}

// single is a listener of one connection.
type single struct{ conn net.Conn }

// Accept implements net.Listener.
func (l *single) Accept() (c net.Conn, err error) {
	if c, l.conn = l.conn, nil; c == nil {
		return nil, io.EOF
	}
	return c, nil
}

// Close implements net.Listener.
func (l *single) Close() error { return nil }

// Addr implements net.Listener.
func (l *single) Addr() net.Addr { return callerAddr("") }
