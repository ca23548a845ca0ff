package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/factor"
	"husk/web/fold"
	"husk/web/folder"
	"husk/web/gate"
	"husk/web/listen"
	"husk/web/upkeep"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the HTTP API",
		Long: `Serve the HTTP API on --addr, and the control socket in the data folder, until
SIGTERM or SIGINT. What is in flight then finishes, for at most 10 seconds.

SIGHUP reads the TLS files and the --config file again; the rules of its gate
and the levels of the log then change at once. Listening sockets that
a service manager passes are used instead of --addr. Windows has neither SIGHUP nor
such sockets: there a restart does the same, and Ctrl-C or the service manager
ends the server.

Every flag is also a variable, HUSK_ADDR for --addr, and a key of the --config
file.`,
		Example: `  husk serve
  husk serve --addr 127.0.0.1:9000 --public-url https://id.example.com
  husk serve --addr :443 --tls-cert fullchain.pem --tls-key privkey.pem
  husk serve --upstream http://127.0.0.1:3000`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onFile(cmd); err != nil {
				return err
			}
			return a.serve(cmd.Context(), cmd)
		},
	}
	addServeFlags(cmd.Flags())
	return cmd
}

// service is a running serve, as far as it can be told to change.
type service struct {
	*app
	log     *liveLog
	tls     keyPairs // nil: http
	notify  string   // the program that is told; empty: none
	saved   upkeep.Backups
	sealer  *factor.Sealer // without keys where no file is named
	server  *web.Server    // once it serves
	gate    gate.Config    // as it runs
	manager manager
	values  map[string]string                 // of the settings as they run
	shown   atomic.Pointer[api.Configuration] // the same, for who asks
}

// serve wires the server by hand, in the order that keeps the data file's lock
// the truth: lock, socket, addresses. What a mistake in the settings breaks
// comes before all of it.
func (a *app) serve(ctx context.Context, cmd *cobra.Command) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from here on it does not end the process
	defer signal.Stop(hangups)
	log, end := a.steadyLog()
	defer end()
	s := &service{app: a, log: log, manager: a.newManager(), values: valuesOf(a.resolved)}
	s.log.set(a.settings.LogLevel, a.settings.LogFormat)
	if a.resolved.file != nil && a.resolved.file.exposed {
		s.log.Warn(a.resolved.file.exposedText())
	}
	if a.environ != nil {
		for _, v := range unknownVariables(a.environ()) {
			s.log.Warn(v.text())
		}
	}
	j, faults := a.judge(s.log.Logger)
	for _, text := range j.warnings {
		s.log.Warn(text)
	}
	if err := a.refuse(faults); err != nil {
		return err
	}
	s.tls, s.notify, s.saved, s.sealer = j.tls, j.notifyCommand, j.backups, j.sealer
	s.gate, _ = a.gateConfig()
	inherited, err := inheritedSockets(a.getenv)
	if err != nil {
		return err
	}
	defer closeAll(inherited)
	patience := lockWait
	if len(inherited) > 0 {
		patience = handoverPatience
	}
	leave, err := a.enter(true)
	if err != nil {
		return err
	}
	defer leave()
	store, err := a.openWhenFree(ctx, s.log.Logger, patience)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // told to stop while it waited
	case err != nil:
		return err
	}
	defer store.Close()
	endClaim := claimFolder(a.settings.Data) // it ends before the lock does, or others would see it without
	defer endClaim()
	if err := s.run(ctx, cmd, store, inherited, hangups); err != nil {
		return err
	}
	endClaim()
	if err := store.Close(); err != nil {
		return err
	}
	s.log.Info("husk has stopped")
	return nil
}

// steadyLog is the log of a server, which goes on when its reader does not: all
// that is said goes there. end waits a moment for it to be written.
func (a *app) steadyLog() (log *liveLog, end func()) {
	// Else the runtime ends the process at a write to a pipe without a reader. A
	// signal that is ignored would stay so in the notify-command; one that is
	// taken does not.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	log = newLiveLog(a.stderr)
	a.stderr = log.out // to the end of the process: the error that ends it too
	return log, func() { _ = log.out.drain(drainPatience) }
}

// run serves the store until ctx ends.
func (s *service) run(ctx context.Context, cmd *cobra.Command, store *db.Store, inherited []net.Listener, hangups <-chan os.Signal) error {
	s.warnOfWideFolder(s.log.Logger)
	s.removeLeftovers()
	watched, err := s.monitoring()
	if err != nil {
		return err
	}
	defer watched.close()
	config := watched.config(s.config(store, s.sealer, s.log.Logger))
	s.shown.Store(s.configuration())
	config.Configuration = s.shown.Load
	config.Connections, config.Folds = s.connections(), fold.New(s.log.Logger, store.Now)
	config.Upkeep = s.upkeep(config)
	s.server, err = newServer(config)
	if err != nil {
		return err
	}
	socket, err := s.listenControl(s.log.Logger)
	if err != nil {
		return err
	}
	defer socket.Close()
	listeners := inherited
	if len(listeners) == 0 {
		l, err := s.listenTCP()
		if err != nil {
			return err
		}
		defer l.Close()
		listeners = []net.Listener{l}
	}
	listeners = bounded(config.Connections, listeners)
	s.log.Info("husk serves", "version", version(), "addr", s.describe(listeners), "tls", s.tls != nil, "inherited", len(inherited) > 0, "data", s.settings.Data)
	watched.serve(s.log.Logger)
	s.server.ListensOn(listeners...)
	s.warnOfGate(ctx)
	for _, notice := range s.server.Notices() {
		s.log.Warn(notice.Text)
	}
	s.tellSetup(ctx, store, s.server)
	s.manager.notify(s.log.Logger, "READY=1")
	// net/http knows nothing of a connection that became a WebSocket.
	context.AfterFunc(ctx, func() { listen.Guard(s.log.Logger, s.server.EndUpgraded) })
	stopBeside := s.beside(ctx, cmd, store, hangups)
	defer stopBeside()
	front := listen.New(listen.Config{Handler: s.server, Background: config.Upkeep.Run, Log: config.Folds})
	return front.Serve(ctx, append(s.secure(listeners), socket)...)
}

// upkeep is what goes on beside the requests of a server.
func (s *service) upkeep(c web.Config) *upkeep.Upkeep {
	return upkeep.New(upkeep.Config{
		Store:   c.Store,
		Log:     c.Log,
		Folds:   c.Folds,
		Backups: s.saved,
		Source:  archive.Source{Store: c.Store, Open: c.OpenCopy, Dir: c.Dir, Version: c.Version},

		SessionIdle:   c.SessionIdle,
		AuditKeep:     s.settings.AuditKeep,
		AuditEntries:  s.settings.AuditEntries,
		AuditRefusals: s.settings.AuditRefusals,
		MaxTokens:     c.Quotas.Tokens,
		Sealer:        c.Sealer,

		NotifyCommand: s.notify,
		PublicURL:     c.PublicURL,
		Connections:   c.Connections,
		CertExpiry:    c.CertExpiry,
		Excess:        func() string { return s.server.Excess() }, // which is made after it
		HandCounts:    func() { s.server.HandCounts() },
	})
}

// beside starts what goes on beside the server: word to the service manager,
// a look at the TLS files, reloads. The watchdog is told until the end, also
// while the server drains.
func (s *service) beside(ctx context.Context, cmd *cobra.Command, store *db.Store, hangups <-chan os.Signal) (stop func()) {
	log := s.log.Logger
	context.AfterFunc(ctx, func() { listen.Guard(log, func() { s.manager.notify(log, "STOPPING=1") }) })
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	start := func(f func()) { working.Go(func() { listen.Guard(log, f) }) }
	start(func() {
		s.manager.watch(ctx, log, func(ctx context.Context) error {
			_, err := store.Schema(ctx)
			return err
		})
	})
	for _, pair := range s.tls {
		start(func() { pair.watch(ctx) })
	}
	start(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				listen.Guard(log, func() { s.reload(cmd) })
			}
		}
	})
	return func() {
		cancel()
		working.Wait()
	}
}

func (a *app) listenControl(log *slog.Logger) (net.Listener, error) {
	l, err := control.Listen(a.dir())
	switch {
	case err == nil:
		if control.Elsewhere(l) {
			log.Warn("the file system of the data folder takes no sockets: commands on this machine find the server without, but not those in another container or network namespace", "data", a.settings.Data, "socket", l.Addr().String())
		}
		return ownConnections("control socket", controlConnections(descriptorLimit()), log).Listener(l), nil
	case errors.Is(err, fsys.NoAccess):
		return nil, &failure{code: exitDenied, err: err, what: "the control socket " + filepath.Join(a.settings.Data, control.Name) + " can't be made: " + fs.ErrPermission.Error(),
			next: "its folder has to belong to the user of the server: chown and chmod 700 it"}
	}
	if c, ok := fsys.Explain(socketCause(err)); ok {
		return nil, &failure{code: systemCode(c), err: err, what: "the control socket " + filepath.Join(a.settings.Data, control.Name) + " can't be made: " + c.Of(a.settings.Data), next: c.Next}
	}
	return nil, err
}

// socketCause is the cause of a socket that was not made, and for which there
// was no other place: where the system permits nothing, it is not the socket.
func socketCause(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return syscall.EPERM
	}
	return err
}

func (a *app) listenTCP() (net.Listener, error) {
	return listenOn(a.settings.Addr, "--addr")
}

// listenOn listens on an address that a setting named.
func listenOn(addr, flag string) (net.Listener, error) {
	var l net.Listener
	err := folder.AsCaller(func() (err error) {
		l, err = listen.On(context.Background(), addr)
		return err
	})
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

// describe returns the addresses for the log, and warns of those where
// passwords travel in the open.
func (s *service) describe(listeners []net.Listener) string {
	var all []string
	for _, l := range listeners {
		addr := l.Addr().String()
		all = append(all, addr)
		if s.tls == nil && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			s.log.Warn("passwords and tokens travel unencrypted on this address: give --tls-cert and --tls-key, put a TLS proxy in front, or listen on loopback", "addr", addr)
		}
	}
	return strings.Join(all, " ")
}

// bounded puts the limits on the listeners, beneath TLS: handshakes count too.
func bounded(pool *listen.Pool, listeners []net.Listener) (all []net.Listener) {
	for _, l := range listeners {
		all = append(all, pool.Listener(l))
	}
	return all
}

// secure puts TLS on the listeners where there is a certificate.
func (s *service) secure(listeners []net.Listener) []net.Listener {
	if s.tls == nil {
		return slices.Clip(listeners)
	}
	config := s.tls.config()
	var secured []net.Listener
	for _, l := range listeners {
		secured = append(secured, tls.NewListener(l, config))
	}
	return secured
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// tellSetup prints the next step while nobody can sign in.
func (a *app) tellSetup(ctx context.Context, store *db.Store, server *web.Server) {
	if required, err := store.SetupRequired(ctx); err != nil || !required {
		return
	}
	command := "husk passwd"
	if a.settings.Data != defaultData() {
		command += " --data " + a.settings.Data
	}
	a.say("\nNo password is set yet: nobody can sign in. Set one, now or later:\n\n  %s\n\nor open %s/setup with the set-up code %s\n", command, server.Endpoint(), server.SetupCode())
}
