package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// Listen listens on path, which Path gave, with the mode 0600. The caller holds
// the lock of the data file, so a socket found there has no server: it is
// replaced. Anything else found there is left alone and named in the error.
// Close removes the socket: close the listener first, then the data file.
//
// The socket belongs to the owner of its folder, also when root serves the
// folder of another user, so that this user's commands reach the server.
//
// Accepted connections are of the type *Conn. Listen narrows the umask of the
// whole process for a moment (see bindPrivate).
func Listen(path string) (net.Listener, error) {
	if err := makeRunDirOf(path); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := bindPrivate(func() (net.Listener, error) {
		return new(net.ListenConfig).Listen(context.Background(), "unix", path)
	})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := giveToFolderOwner(path); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: giving it to the folder's owner: %w", err)
	}
	return &listener{l}, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way and is not a socket: move it elsewhere", path)
	}
	return os.Remove(path)
}

func giveToFolderOwner(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	uid, gid := ownerOf(info)
	if uid == 0 {
		return nil
	}
	return giveSocket(path, uid, gid)
}

type listener struct{ net.Listener }

// Accept returns a *Conn. A failed look-up of the peer is no error here: an
// HTTP server would end its accept loop over one client that is gone already.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, ok := lookup(c)
	return &Conn{Conn: c, peer: peer, known: ok}, nil
}
