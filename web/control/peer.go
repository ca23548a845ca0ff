package control

import (
	"net"
	"syscall"
)

// Peer is who stands at the other end of a control connection.
type Peer struct {
	// UID is the effective user id of the process that connected, at the
	// moment it connected.
	UID int
	// PID is its process id, 0 where the system doesn't tell it. It is for the
	// log only: the process may be gone and its number used again.
	PID int
	// Offline says that the peer is this process itself, through a Memory.
	Offline bool
}

// Conn is a connection that Listen's listener or a Memory accepted.
type Conn struct {
	net.Conn
	peer  Peer
	known bool
}

// PeerOf returns the peer of a connection that came through a control socket
// or a Memory, also when it is wrapped by something that has a NetConn method,
// as tls.Conn. ok is false for every other connection, and where the system
// couldn't tell who is there: such a peer has no rights.
func PeerOf(c net.Conn) (p Peer, ok bool) {
	for c != nil {
		if own, is := c.(*Conn); is {
			return own.peer, own.known
		}
		wrapped, is := c.(interface{ NetConn() net.Conn })
		if !is {
			return Peer{}, false
		}
		c = wrapped.NetConn()
	}
	return Peer{}, false
}

// lookup asks the kernel for the other end of a Unix connection.
func lookup(c net.Conn) (p Peer, ok bool) {
	sc, is := c.(syscall.Conn)
	if !is {
		return Peer{}, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, false
	}
	if err := raw.Control(func(fd uintptr) { p, ok = peerOfSocket(fd) }); err != nil {
		return Peer{}, false
	}
	return p, ok
}
