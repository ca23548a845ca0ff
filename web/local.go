package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

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
// listener: who is at their end.
func (*Server) ConnContext(ctx context.Context, c net.Conn) context.Context {
	peer, ok := control.PeerOf(c)
	if !ok {
		if _, unix := c.LocalAddr().(*net.UnixAddr); unix {
			// A system that does not tell the peer: nobody by default.
			return context.WithValue(ctx, localKey{}, local{transport: db.TransportSocket})
		}
		return ctx
	}
	l := local{transport: db.TransportSocket, name: fmt.Sprintf("uid %d", peer.UID)}
	if peer.Offline {
		l.transport = db.TransportOffline
	}
	l.owner = peer.Offline || peer.UID == 0 || peer.UID == os.Geteuid()
	return context.WithValue(ctx, localKey{}, l)
}

func localOf(ctx context.Context) (local, bool) {
	l, ok := ctx.Value(localKey{}).(local)
	return l, ok
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
