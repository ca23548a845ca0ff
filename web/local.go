package web

import (
	"context"
	"net"
	"net/http"
	"sync"

	"husk/db"
	"husk/web/control"
)

// local is what is known of a connection that did not come by TCP.
type local struct {
	transport string // db.TransportSocket or db.TransportOffline
	owner     bool   // the peer owns the data file: the server's own user, or root
	name      string // for the audit
}

type localKey struct{}

// ConnContext marks the connections of the control socket and of the in-memory
// listener: who is at their end. That is asked for with the first request: not
// every system knows it before something was read.
func (*Server) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if !control.Accepted(c) {
		if _, unix := c.LocalAddr().(*net.UnixAddr); unix {
			return local{transport: db.TransportSocket}.with(ctx) // nobody
		}
		return ctx
	}
	return context.WithValue(ctx, localKey{}, sync.OnceValue(func() local { return localBy(c) }))
}

func localBy(c net.Conn) local {
	peer, ok := control.PeerOf(c)
	if !ok {
		// The system does not tell the peer: nobody by default.
		return local{transport: db.TransportSocket}
	}
	l := local{transport: db.TransportSocket, owner: peer.Owner(), name: peer.String()}
	if peer.Offline {
		l.transport = db.TransportOffline
	}
	return l
}

func localOf(ctx context.Context) (local, bool) {
	l, ok := ctx.Value(localKey{}).(func() local)
	if !ok {
		return local{}, false
	}
	return l(), true
}

// with is a context of a connection that is local.
func (l local) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, localKey{}, func() local { return l })
}

// forwarded tells whether somebody else speaks through the local connection: a
// proxy that was pointed at the control socket, or a browser behind one. The
// kernel vouches for the proxy alone, and what it passes on is from anybody. A
// header for credentials, though it decides nothing, is nothing that the command
// line sends without one.
func forwarded(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Sec-Fetch-Site", "Origin", "Authorization", "X-Api-Token", "Cookie"} {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return false
}
