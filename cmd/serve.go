package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"husk/db"
	"husk/web/control"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the HTTP API",
		Long: `Serve the HTTP API on --addr, and the control socket in the data folder, until
SIGTERM or SIGINT. What is in flight then finishes, for at most 10 seconds.

Every flag is also a variable, HUSK_ADDR for --addr, and a key of the --config
file.`,
		Example: `  husk serve
  husk serve --addr 127.0.0.1:9000 --public-url https://id.example.com`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context()) },
	}
	addServeFlags(cmd.Flags())
	return cmd
}

// serve wires the server by hand, in the order that keeps the data file's lock
// the truth: lock, socket, addresses.
func (a *app) serve(ctx context.Context) error {
	log, err := a.logger()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, lockWait, true)
	if err != nil {
		return err
	}
	defer store.Close()
	a.warnOfWideFolder(log)
	watched, err := a.monitoring(log)
	if err != nil {
		return err
	}
	defer watched.close()
	server, err := newServer(watched.config(a.config(store, log)))
	if err != nil {
		return err
	}
	socket, err := a.listenControl()
	if err != nil {
		return err
	}
	defer socket.Close()
	tcp, err := a.listenTCP(log)
	if err != nil {
		return err
	}
	watched.serve(log)
	log.Info("husk serves", "version", version(), "addr", tcp.Addr().String(), "data", a.settings.Data)
	a.tellSetup(ctx, store)
	if err := server.Serve(ctx, tcp, socket); err != nil {
		return err
	}
	log.Info("husk has stopped")
	return store.Close()
}

func (a *app) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.settings.LogLevel)); err != nil {
		return nil, usage("log-level is not understood", "it is debug, info, warn or error")
	}
	o := &slog.HandlerOptions{Level: level}
	switch a.settings.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.stderr, o)), nil
	case "auto":
		if f, ok := a.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return slog.New(slog.NewTextHandler(a.stderr, o)), nil
		}
		return slog.New(slog.NewJSONHandler(a.stderr, o)), nil
	}
	return nil, usage("log-format is not understood", "it is text, json or auto")
}

// warnOfWideFolder says so where others may look into the data folder. What is
// in it stays 0600; the folder is the operator's to choose.
func (a *app) warnOfWideFolder(log *slog.Logger) {
	info, err := os.Stat(a.settings.Data)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("others may enter the data folder; 'chmod 700' it", "data", a.settings.Data, "mode", info.Mode().Perm().String())
	}
}

func (a *app) listenControl() (net.Listener, error) {
	path, err := control.Path(a.settings.Data)
	if err != nil {
		return nil, err
	}
	l, err := control.Listen(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, &failure{code: exitDenied, err: err, what: err.Error()}
	}
	return l, err
}

func (a *app) listenTCP(log *slog.Logger) (net.Listener, error) {
	l, err := listen(a.settings.Addr, "--addr")
	if err != nil {
		return nil, err
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Warn("passwords and tokens travel unencrypted on this address: put a TLS proxy in front, or listen on loopback", "addr", l.Addr().String())
	}
	return l, nil
}

// listen listens on an address that a flag named.
func listen(addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, &failure{code: exitFailure, err: err, what: fmt.Sprintf("can't listen on %s: %v", addr, err),
			next: "choose another address with " + flag}
	}
	return l, nil
}

// tellSetup prints the next step while nobody can sign in.
func (a *app) tellSetup(ctx context.Context, store *db.Store) {
	if required, err := store.SetupRequired(ctx); err != nil || !required {
		return
	}
	command := "husk passwd"
	if a.settings.Data != defaultData() {
		command += " --data " + a.settings.Data
	}
	a.say("\nNo password is set yet: nobody can sign in. Set one, now or later:\n\n  %s\n", command)
}
