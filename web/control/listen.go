//go:build !windows

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Listen listens in the data folder dir, with the mode 0600. The caller holds
// the lock of the data file, so a socket found there has no server: it is
// replaced. Anything else found there is left alone and named in the error.
// Close removes the socket: close the listener first, then the data file.
//
// On a file system that takes no sockets it listens elsewhere: see Elsewhere.
//
// Accepted connections are of the type *Conn. Listen narrows the umask of the
// whole process for a moment (see bindPrivate).
func Listen(dir string) (net.Listener, error) {
	at, err := openPlace(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := at.listen(filepath.Join(dir, Name))
	if err != nil && (takesNoSocket(err) && at.takesFile() || at.removeMade()) && at.goAway() == nil {
		l, err = at.listen(filepath.Join(dir, Name))
	}
	if err != nil {
		at.close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &listener{l, at}, nil
}

// listen makes the socket; named is how it is called in an error.
func (at *place) listen(named string) (net.Listener, error) {
	if err := at.make(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(at.socket, "@") {
		if err := removeStale(at.socket, named); err != nil {
			return nil, err
		}
	}
	at.bound = true
	return bindPrivate(func() (net.Listener, error) {
		return new(net.ListenConfig).Listen(context.Background(), "unix", at.socket)
	})
}

// takesFile tells whether a file can be made where a socket can't. Else it is
// the folder: it may be marked immutable, or a sandbox is around it.
func (at *place) takesFile() bool {
	f, err := os.CreateTemp(filepath.Dir(at.socket), ".husk-try-*")
	if err != nil {
		return false
	}
	_, _ = f.Close(), os.Remove(f.Name())
	return true
}

// removeMade removes what some file systems of FUSE make where a socket was
// asked for, before they fail: a file with nothing in it. Nothing was there
// before.
func (at *place) removeMade() bool {
	info, err := os.Lstat(at.socket)
	return err == nil && info.Mode().IsRegular() && info.Size() == 0 && at.bound && os.Remove(at.socket) == nil
}

func removeStale(path, named string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way and is not a socket: move it elsewhere", named)
	}
	return os.Remove(path)
}

// listener removes the socket, by way of the place, when it is closed.
type listener struct {
	net.Listener
	at *place
}

// Elsewhere tells whether the socket of a listener of Listen is not in the data
// folder, whose file system takes none.
func Elsewhere(l net.Listener) bool {
	own, ok := l.(*listener)
	return ok && own.at.away
}

// Close removes the socket. A second Close does nothing.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.at.close()
	return err
}

// Accept returns a *Conn. A failed look-up of the peer is no error here: an
// HTTP server would end its accept loop over one client that is gone already.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, ok := lookup(c)
		if l.at.away && (!ok || peer.UID != 0 && peer.UID != os.Geteuid()) {
			c.Close() // no mode of a file keeps strangers out here
			continue
		}
		return l.conn(c, peer, ok), nil
	}
}

func (l *listener) conn(c net.Conn, peer Peer, ok bool) *Conn {
	return &Conn{Conn: &prefaced{Conn: c, state: errNotYet}, who: is(peer, ok)}
}
