//go:build !windows

package control

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// self is this process.
func self() Peer { return Peer{UID: os.Geteuid(), PID: os.Getpid()} }

// Owner tells whether the peer is who the data file belongs to: this process, its
// user, or root.
func (p Peer) Owner() bool { return p.Offline || p.UID == 0 || p.UID == os.Geteuid() }

func (p Peer) String() string { return uidText(p.UID) }

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

// Broken tells whether err says that what was sent, or will be, reaches nobody.
func Broken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
