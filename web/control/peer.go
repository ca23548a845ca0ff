package control

import "net"

// Peer is who stands at the other end of a control connection.
type Peer struct {
	// UID is the effective user id of the process that connected, at the
	// moment it connected; -1 on Windows, which has none.
	UID int
	// SID is, on Windows, the user of the process that connected, and Elevated
	// says that the administrators' rights are in force for it.
	SID      string
	Elevated bool
	// PID is its process id, 0 where the system doesn't tell it. It is for the
	// log only: the process may be gone and its number used again.
	PID int
	// Offline says that the peer is this process itself, through a Memory.
	Offline bool
}

// Conn is a connection that Listen's listener or a Memory accepted.
type Conn struct {
	net.Conn
	who func() (p Peer, known bool)
}

// is answers always the same.
func is(p Peer, known bool) func() (Peer, bool) { return func() (Peer, bool) { return p, known } }

// PeerOf returns the peer of a connection that came through a control socket
// or a Memory, also when it is wrapped by something that has a NetConn method,
// as tls.Conn. ok is false for every other connection, and where the system
// couldn't tell who is there: such a peer has no rights. Windows tells it once
// something was read.
func PeerOf(c net.Conn) (p Peer, ok bool) {
	if own := accepted(c); own != nil && own.who != nil {
		return own.who()
	}
	return Peer{}, false
}

// Accepted tells whether c came through a control socket or a Memory.
func Accepted(c net.Conn) bool { return accepted(c) != nil }

func accepted(c net.Conn) *Conn {
	for c != nil {
		if own, is := c.(*Conn); is {
			return own
		}
		wrapped, is := c.(interface{ NetConn() net.Conn })
		if !is {
			return nil
		}
		c = wrapped.NetConn()
	}
	return nil
}
