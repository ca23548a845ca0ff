//go:build !windows

package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
)

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
	return &StrangerError{Server: uidText(peer.UID), Folder: uidText(uid)}
}

func uidText(uid int) string { return "uid " + strconv.Itoa(uid) }
