package cmd

// The service manager's side of serve: sd_notify(3), sd_watchdog_enabled(3) and
// sd_listen_fds(3).
//
// These are three variables, a datagram and a loop. coreos/go-systemd is well
// kept and has them too, but answers with nothing where a socket can't be used
// or a variable is garbled; here that is an error that names it, and what is
// left is not worth a dependency.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"husk/web/listen"
)

// manager is the service manager, as far as it asked to be told something. The
// zero value is told nothing.
type manager struct {
	socket   string        // NOTIFY_SOCKET; a leading @ stands for the abstract name space
	watchdog time.Duration // after so long without a word it restarts husk; 0: never
	tell     func(socket, state string) error
}

func (a *app) newManager() manager {
	if a.tellService != nil {
		return manager{socket: "service", tell: func(_, state string) error { a.tellService(state); return nil }}
	}
	return newManager(a.getenv)
}

func newManager(getenv func(string) string) manager {
	m := manager{socket: getenv("NOTIFY_SOCKET"), tell: tellDatagram}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	pid := getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	return m
}

// notify tells what it can. A manager that does not listen is no reason for a
// server to stop.
func (m manager) notify(log *slog.Logger, state ...string) {
	if m.socket == "" {
		return
	}
	if err := m.tell(m.socket, strings.Join(state, "\n")); err != nil {
		log.Warn("the service manager could not be told how husk is, and may take it for hung: see whether husk may write to its socket", "socket", m.socket, "state", state[0], "error", err)
	}
}

func tellDatagram(socket, state string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}

// watch tells the manager in time that all is well, as long as answers says
// so, until ctx ends.
func (m manager) watch(ctx context.Context, log *slog.Logger, answers func(context.Context) error) {
	if m.watchdog == 0 || m.socket == "" {
		return
	}
	tick := time.NewTicker(m.watchdog / 2)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, m.watchdog/2)
		err := errors.New("a panic")
		listen.Guard(log, func() { err = answers(bounded) })
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the store does not answer, so the service manager is not told that all is well, and restarts husk if that goes on: look at the disk", "error", err)
		default:
			m.notify(log, "WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// firstSocket is the descriptor of the first socket that is passed.
const firstSocket = 3

// inheritedSockets returns the listening sockets that the service manager
// passed, none where it passed none to this process. The variables are unset
// afterwards: the sockets are taken.
func inheritedSockets(getenv func(string) string) ([]net.Listener, error) {
	count, pid := getenv("LISTEN_FDS"), getenv("LISTEN_PID")
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 64 {
		return nil, &failure{code: exitFailure, what: "LISTEN_FDS is not a number of sockets"}
	}
	var listeners []net.Listener
	for i := range n {
		name := strconv.Itoa(firstSocket + i)
		if i < len(names) && names[i] != "" {
			name += " (" + names[i] + ")"
		}
		l, err := inheritedSocket(firstSocket+i, name)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func inheritedSocket(fd int, name string) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has a duplicate
	l, err := net.FileListener(f)
	if err != nil {
		return nil, &failure{code: exitFailure, err: err, what: fmt.Sprintf("the inherited descriptor %s is not a listening socket: %v", name, err)}
	}
	if _, ok := l.(*net.TCPListener); !ok {
		l.Close()
		return nil, &failure{code: exitFailure, what: fmt.Sprintf("the inherited socket %s is not TCP: only the control socket is local", name),
			next: "give the .socket unit a ListenStream of the form HOST:PORT"}
	}
	return l, nil
}
