package listen

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
)

// Localhost returns the addresses that HOST:PORT stands for where the host is localhost, or
// a name under it: loopback (RFC 6761, section 6.3). nil: it is another host. So nobody is
// asked for that name, whatever the files of the machine lack: where no server of names
// answers, each connection would wait for one.
func Localhost(addr string) []string {
	host, port, err := net.SplitHostPort(addr)
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if err != nil || host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		return nil
	}
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
}

// Dial is d.DialContext, which asks nobody where localhost is.
func Dial(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var failed error
		for _, at := range Localhost(addr) {
			c, err := d.DialContext(ctx, network, at)
			if err == nil {
				return c, nil
			}
			if failed == nil {
				failed = err // what is wrong with the first tells more than that there is no other
			}
			if ctx.Err() != nil {
				break
			}
		}
		if failed != nil {
			return nil, failed
		}
		return d.DialContext(ctx, network, addr)
	}
}

// On listens on HOST:PORT as net.Listen does, which asks nobody where localhost is.
func On(ctx context.Context, addr string) (net.Listener, error) {
	var c net.ListenConfig
	all := Localhost(addr)
	if all == nil {
		return c.Listen(ctx, "tcp", addr)
	}
	l, err := c.Listen(ctx, "tcp", all[0])
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) { // a machine without IPv4
		if other, err := c.Listen(ctx, "tcp", all[1]); err == nil {
			return other, nil
		}
	}
	return l, err
}
