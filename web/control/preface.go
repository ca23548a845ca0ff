package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// preface is the line that a client sends first and that the server answers
// with; HTTP begins after it. No HTTP proxy sends it: one that was pointed at
// the socket by mistake would lend its own rights, which the kernel vouches
// for, to everybody.
const preface = "HUSK-CONTROL 1\n"

// refusal is all that anything else gets. It is one line, and no HTTP. A husk of
// before the preface shows the first word of it, and only where a number of
// three digits is the second: net/http takes the line for that of an answer.
const refusal = "this-control-socket-is-for-the-husk-command-of-the-same-version 400 it is no HTTP server: use husk, or the TCP address of the server\n"

// prefaceTimeout is how long a client waits for the answer. It comes when the
// connection is accepted.
const prefaceTimeout = 10 * time.Second

// ErrOlder says that the server is of a version without the preface.
var ErrOlder = errors.New("the running server is an older husk: restart it")

// prefaced is a connection whose first bytes have to be the preface. They are
// read at the first Read, by the goroutine of the connection: Accept waits for
// nobody. How long they may take is the deadline of who reads, as for a header.
type prefaced struct {
	net.Conn
	state error // errNotYet, nil, or io.EOF: refused
}

var errNotYet = errors.New("the preface was not read yet")

// Read reads what follows the preface. To a client without it the connection is
// at its end, which net/http answers with nothing of its own. One goroutine
// reads at a time.
func (c *prefaced) Read(p []byte) (int, error) {
	if errors.Is(c.state, errNotYet) {
		c.state = c.begin()
	}
	if c.state != nil {
		return 0, c.state
	}
	return c.Conn.Read(p)
}

func (c *prefaced) begin() error {
	ok, err := readPreface(c.Conn)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return io.EOF // gone; there is nobody to tell
	}
	if !ok {
		c.refuse()
		return io.EOF
	}
	if pipe, is := c.Conn.(interface{ meet() }); is {
		pipe.meet()
	}
	if _, err := io.WriteString(c.Conn, preface); err != nil {
		return io.EOF
	}
	return nil
}

// What is read on of a client that is refused, and for how long.
const (
	refusedBytes = 64 << 10
	refusedGrace = 100 * time.Millisecond
)

// refuse says so. What a client sent and nobody read would make the end a reset,
// at which many show nothing of what they were told.
func (c *prefaced) refuse() {
	if _, err := io.WriteString(c.Conn, refusal); err != nil {
		return
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(refusedGrace))
	_, _ = io.CopyN(io.Discard, c.Conn, refusedBytes)
}

// readPreface tells whether r begins with the preface. It takes no byte that
// is after it, and none after the first that is wrong came.
func readPreface(r io.Reader) (ok bool, err error) {
	line := make([]byte, len(preface))
	for n := 0; n < len(line); {
		more, err := r.Read(line[n:])
		n += more
		if !strings.HasPrefix(preface, string(line[:n])) {
			return false, nil
		}
		if err != nil && n < len(line) {
			return false, err
		}
	}
	return true, nil
}

// greet sends the preface and waits for the answer. A server that ends the
// connection before it answers has taken nothing: it is about to stop, which is
// ErrNoServer.
func greet(ctx context.Context, c net.Conn, patience time.Duration) error {
	r := &wantedReader{ctx: ctx, c: c, until: time.Now().Add(patience)}
	_, err := io.WriteString(c, preface)
	ok := false
	if err == nil {
		ok, err = readPreface(r)
	}
	switch {
	case Ended(err):
		return fmt.Errorf("%w: it ended before it answered: %v", ErrNoServer, err)
	case err != nil:
		return err
	case !ok:
		return ErrOlder
	}
	return c.SetReadDeadline(time.Time{})
}

// wantedReader reads from a connection until a moment, or until ctx ends.
type wantedReader struct {
	ctx   context.Context
	c     net.Conn
	until time.Time
}

// wantedPoll is how often it looks at its context.
const wantedPoll = 50 * time.Millisecond

func (r *wantedReader) Read(p []byte) (int, error) {
	for {
		now := time.Now()
		if err := errors.Join(r.ctx.Err(), r.c.SetReadDeadline(now.Add(min(wantedPoll, r.until.Sub(now))))); err != nil {
			return 0, err
		}
		n, err := r.c.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !now.Before(r.until) {
			return n, err
		}
	}
}

// Ended tells whether err says that the other end of a connection is gone.
func Ended(err error) bool { return errors.Is(err, io.EOF) || Broken(err) }
