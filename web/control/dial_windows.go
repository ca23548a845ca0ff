package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"husk/db/fsys"
)

// Dial connects to the server of the data folder dir, and sees to it that it is
// one. Without a server, or a folder, the error is ErrNoServer. Where the socket
// may not be opened, or belongs to a stranger, errors.Is(err, fs.ErrPermission)
// holds: that is an answer, not a reason to go on to the data file.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	c, err := dial(ctx, dir)
	if err != nil {
		return nil, dialError(dir, err)
	}
	return c, nil
}

// isAbsent: a pipe that is not there any more is what a server leaves that was killed.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoName) }

func dial(ctx context.Context, dir string) (net.Conn, error) {
	name, err := readName(filepath.Join(dir, Name))
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, ErrNoServer // it is about to listen
	}
	c, err := dialPipe(ctx, name)
	if err != nil {
		return nil, err
	}
	pipe := &pipeConn{Conn: c}
	err = checkServer(pipe, dir)
	if err == nil {
		err = greet(ctx, pipe, prefaceTimeout)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return pipe, nil
}

// dialPipe waits, where all instances of a pipe are taken, for the next one. The
// server is told who this is, and can do nothing in its name.
func dialPipe(ctx context.Context, name string) (net.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, prefaceTimeout)
	defer cancel()
	c, err := winio.DialPipeAccessImpLevel(bounded, name, windows.GENERIC_READ|windows.GENERIC_WRITE, winio.PipeImpLevelIdentification)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, fmt.Errorf("all its connections are taken: %w", os.ErrDeadlineExceeded)
	}
	return c, err
}

// checkServer refuses the pipe of a stranger: passwords and tokens go through it.
// Whose it is the system says, and nobody but its administrators can make a pipe
// that is another's.
func checkServer(c *pipeConn, dir string) error {
	h, ok := c.handle()
	if !ok {
		return fs.ErrPermission
	}
	me, err := fsys.Me()
	if err != nil {
		return err
	}
	pipe, err := fsys.AccessOf(h, windows.SE_KERNEL_OBJECT)
	if err != nil {
		return err
	}
	folder, err := fsys.AccessAt(dir)
	if err != nil {
		return err
	}
	if pipe.Owner != nil && (fsys.IsSystem(pipe.Owner) || folder.Owner != nil && pipe.Owner.Equals(folder.Owner) || !me.Elevated && pipe.Owner.Equals(me.SID)) {
		return nil
	}
	return &StrangerError{Server: pipe.Owner.String(), Folder: folder.Owner.String()}
}

// Broken tells whether err says that what was sent, or will be, reaches nobody.
func Broken(err error) bool {
	return errors.Is(err, windows.ERROR_NO_DATA) || errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED)
}
