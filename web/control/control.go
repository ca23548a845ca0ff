// Package control is the control socket: the door beside the data file
// through which the command line talks to a running server, and the in-memory
// listener that stands in for it when no server runs.
//
// The flow. A server takes the lock of the data file, calls Listen, and serves
// HTTP there as on TCP, after a line that says that a husk command speaks
// (preface.go). A command calls Dial. ErrNoServer sends it on to the data file,
// which it opens itself and serves on a Memory; every other error is the answer.
// On either way the handler asks PeerOf who is there: the kernel vouches for the
// peer's uid, so that no secret is needed.
//
// The lock of the data file is the truth and the socket a signpost: a socket
// may be stale, and nothing here may be taken as proof that no server runs.
package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the control socket's file name in the data folder.
const Name = "husk.sock"

// ErrNoServer says that nobody listens on the socket: it is absent, or it is
// stale and refuses. A socket that may not be opened is another error, for
// which errors.Is(err, fs.ErrPermission) holds.
var ErrNoServer = errors.New("no server listens on the control socket")

// Dial connects to the server of the data folder dir, and sees to it that it is
// one. Without a server, or a folder, the error is ErrNoServer. Where the socket
// may not be opened, or belongs to a stranger, errors.Is(err, fs.ErrPermission)
// holds: that is an answer, not a reason to go on to the data file.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	at, err := openPlace(dir)
	if err != nil {
		return nil, dialError(dir, err)
	}
	defer at.close()
	c, err := at.dial(ctx)
	if isAbsent(err) && at.goAway() == nil {
		c, err = at.dialAway(ctx, err)
	}
	if err != nil {
		return nil, dialError(dir, err)
	}
	return c, nil
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// dial connects and sees to it that it is a server, and the right one.
func (at *place) dial(ctx context.Context) (net.Conn, error) {
	if err := at.check(); err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", at.socket)
	if err != nil {
		return nil, err
	}
	err = checkServer(c, at)
	if err == nil {
		err = greet(ctx, c, prefaceTimeout)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// dialAway connects where a server listens whose folder takes no socket. absent
// is the error of the one in the folder: it is that, too, where a stranger
// listens, who may take the name as well.
func (at *place) dialAway(ctx context.Context, absent error) (net.Conn, error) {
	c, err := at.dial(ctx)
	var stranger *StrangerError
	var op *net.OpError
	if errors.As(err, &stranger) || errors.As(err, &op) && op.Op == "dial" {
		return nil, absent
	}
	return c, err
}

func dialError(dir string, err error) error {
	path := filepath.Join(dir, Name)
	switch {
	case errors.Is(err, ErrNoServer) || isAbsent(err):
		// The cause is told, not wrapped: an absent socket must not pass for
		// an absent record or store.
		return fmt.Errorf("%w %s: %v", ErrNoServer, path, err)
	}
	return fmt.Errorf("connecting to the control socket %s: %w", path, err)
}

// StrangerError says that who listens on the socket is not who the folder
// belongs to. errors.Is(err, fs.ErrPermission) holds.
type StrangerError struct{ Server, Folder int } // uids

func (e *StrangerError) Error() string {
	return fmt.Sprintf("its server runs as uid %d, the folder belongs to uid %d: %v", e.Server, e.Folder, fs.ErrPermission)
}

// Unwrap gives fs.ErrPermission.
func (e *StrangerError) Unwrap() error { return fs.ErrPermission }

// checkServer refuses a server that is not the folder's owner: passwords and
// tokens go through this connection. Root is led by nobody to another server,
// not to one of its own either, by what is called husk.sock in the folder of
// another user. Others take also what root or they themselves run.
func checkServer(c net.Conn, at *place) error {
	peer, ok := lookup(c)
	if !ok {
		return nil
	}
	info, err := at.dir.Stat()
	if err != nil {
		return err
	}
	uid, me := ownerOf(info), os.Geteuid()
	if peer.UID == uid || me != 0 && (peer.UID == 0 || peer.UID == me) {
		return nil
	}
	return &StrangerError{Server: peer.UID, Folder: uid}
}
