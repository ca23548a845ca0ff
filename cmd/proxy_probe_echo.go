package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"husk/web"
	"husk/web/probe"
)

// The bounds of what the echo reads: it stands where strangers may get to.
const (
	echoPatience = 10 * time.Second
	echoHead     = 64 << 10
)

// echo is the application that shows what reached it, until it is told to stop.
func (a *app) echo(ctx context.Context, addr string) error {
	l, err := listenOn(addr, "--echo")
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(l.Addr().String())
	if !web.IsLoopback(host) {
		a.warn("the echo listens beyond this machine, and shows to whoever gets through the proxy what the proxy adds to a request")
	}
	server := &http.Server{Handler: probe.Echo(), ReadHeaderTimeout: echoPatience, ReadTimeout: echoPatience, WriteTimeout: echoPatience, MaxHeaderBytes: echoHead}
	stop := context.AfterFunc(ctx, func() { _ = a.guard(server.Close) })
	defer stop()
	if _, err := fmt.Fprintf(a.stdout, "http://%s\n", l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	a.say("It shows what reaches it, and takes no heed of who asks. Ctrl-C ends it.")
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
