package cmd

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"husk/web"
	"husk/web/listen"
	"husk/web/upkeep"
)

// monitoring is what serve adds so that others can watch it. The zero value
// adds nothing.
type monitoring struct {
	certExpiry func() time.Time // nil: no TLS
	certStale  func() bool
	metrics    *web.Metrics
	listener   net.Listener // of the metrics; nil: none
	server     *http.Server
}

// backups are the scheduled backups that serve makes. A folder that can't be
// written to is found out now, not in the night.
// Its error is about the setting.
func (a *app) backups() (b upkeep.Backups, setting string, err error) {
	b = upkeep.Backups{Dir: a.settings.BackupDir, Every: a.settings.BackupEvery, Keep: a.settings.BackupKeep}
	switch {
	case b.Dir == "" && len(a.settings.BackupRecipients) > 0:
		return b, "backup-recipient", usage("backup-recipient needs backup-dir", "name the folder for scheduled backups")
	case b.Dir == "":
		return b, "", nil
	case b.Every < time.Minute:
		return b, "backup-every", usage("backup-every is a minute at least", "24h is the default")
	}
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return b, "backup-dir", err
	}
	encrypt, err := sealTo(a.settings.BackupRecipients)
	if err != nil {
		return b, "backup-recipient", err
	}
	b.Seal = encrypt
	var exposed *upkeep.ExposedError
	if err := upkeep.CheckBackups(b); errors.As(err, &exposed) {
		return b, "", err
	} else if err != nil {
		return b, "backup-dir", &failure{code: exitUsage, err: err, what: "no backup can be written to backup-dir: " + printable(plainWriteError(b.Dir, err)),
			next: "make that folder, with mode 0700, for the owner of the data folder, as whom husk runs; under systemd it has to be in ReadWritePaths="}
	}
	return b, "", nil
}

// monitoring takes the address of the metrics, so that a mistake in it ends
// serve before anybody is served.
func (s *service) monitoring() (m monitoring, err error) {
	if s.tls != nil {
		m.certExpiry, m.certStale = s.tls.expiry, s.tls.stale
	}
	if s.settings.MetricsAddr == "" {
		return m, nil
	}
	if m.metrics, err = web.NewMetrics(prometheus.NewRegistry()); err != nil {
		return m, err
	}
	if m.listener, err = listenOn(s.settings.MetricsAddr, "--metrics-addr"); err != nil {
		return m, err
	}
	m.server = m.metrics.HTTPServer(s.log.Logger)
	if addr := m.listener.Addr().(*net.TCPAddr); addr.IP.IsLoopback() {
		m.server.Handler = web.LoopbackOnly(m.server.Handler, append([]string{s.settings.PublicURL}, s.settings.OtherURLs...)...)
	} else {
		s.log.Warn("whoever reaches this address may read the metrics: they name nobody, and they are not encrypted; let only Prometheus reach it", "metrics_addr", addr.String())
	}
	m.listener = ownConnections("metrics", metricsConnections, s.log.Logger).Listener(m.listener)
	return m, nil
}

// notifyCommand returns the program of --notify-command, which must be there.
func (a *app) notifyCommand() (string, error) {
	if a.settings.NotifyCommand == "" {
		return "", nil
	}
	path, err := filepath.Abs(a.settings.NotifyCommand)
	if err == nil {
		path, err = exec.LookPath(path)
	}
	if err != nil {
		return "", &failure{code: exitUsage, err: err, what: "notify-command can't be run: " + cause(err).Error(),
			next: "give the path of one program that may be executed, without arguments"}
	}
	return path, nil
}

func cause(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (m *monitoring) config(c web.Config) web.Config {
	c.Metrics, c.CertExpiry, c.CertStale = m.metrics, m.certExpiry, m.certStale
	return c
}

// serve answers until close. A failure of it is told and ends nothing: who is
// signed in matters more than who counts.
func (m *monitoring) serve(log *slog.Logger) {
	if m.listener == nil {
		return
	}
	log.Info("metrics are served", "metrics_addr", m.listener.Addr().String())
	go func() {
		err := errors.New("a panic")
		listen.Guard(log, func() { err = m.server.Serve(m.listener) })
		if !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics are not served any more: restart husk for them", "metrics_addr", m.listener.Addr().String(), "error", err)
		}
	}()
}

func (m *monitoring) close() {
	if m.listener != nil {
		m.server.Close()
		m.listener.Close()
	}
}
