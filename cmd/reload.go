package cmd

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// reload takes what can change while the server runs, and says what can't. A
// mistake leaves what runs as it is.
func (s *service) reload(cmd *cobra.Command) {
	s.manager.notify(s.log.Logger, reloading()...)
	defer s.manager.notify(s.log.Logger, "READY=1")
	kept := []string{} // as it was, for a fault that the log names
	if s.tls != nil && !s.tls.reload() {
		kept = append(kept, "tls-cert", "tls-key")
	}
	then, err := s.resolveNext(cmd)
	if err != nil {
		s.log.Error("the configuration was not reloaded: the one before stays in use; mend it, see 'husk config check', and reload again", "error", err)
		return
	}
	applied, restart := s.reloadGate(then)
	for name, value := range valuesOf(then.resolved) {
		if value == s.values[name] {
			continue
		}
		if slices.Contains(reloadable, name) {
			applied = append(applied, name)
			s.values[name] = value
		} else {
			restart = append(restart, name)
		}
	}
	s.log.set(s.values["log-level"], s.values["log-format"])
	s.shown.Store(afterReload(s.shown.Load(), s.behind(then).configuration(), restart))
	if len(kept) > 0 {
		s.log.Warn("reloaded", "applied", sorted(applied), "not_applied", sorted(kept))
	} else {
		s.log.Info("reloaded", "applied", sorted(applied))
	}
	if len(restart) > 0 {
		s.log.Warn("some changed settings need a restart: husk goes on with their old values until then", "settings", sorted(restart))
	}
}

// resolveNext returns the settings as they are now. Its error is why serve would
// not start with them. TLS files of the same names were looked at by themselves.
func (s *service) resolveNext(cmd *cobra.Command) (*app, error) {
	next, err := s.resolve(cmd)
	if err != nil {
		return nil, err
	}
	then := *s.app
	then.resolved = next
	if err := then.settings.take(next.FlagSet); err != nil {
		return nil, err
	}
	judged := then
	if text(next.FlagSet, "tls-cert") == s.values["tls-cert"] && text(next.FlagSet, "tls-key") == s.values["tls-key"] {
		judged.settings.TLSCerts, judged.settings.TLSKeys = nil, nil
	}
	_, faults := judged.judge(slog.New(slog.DiscardHandler))
	return &then, then.refuse(faults)
}

// reloadGate takes the gate of other settings, at the public URL under which this
// server is reached until it is restarted.
func (s *service) reloadGate(then *app) (applied, restart []string) {
	now := s.behind(then)
	c, _ := now.gateConfig()
	if reflect.DeepEqual(c, s.gate) {
		return nil, nil
	}
	rules, faults := now.gateRules()
	if len(faults) > 0 { // they fit what needs a restart
		return nil, []string{gateKey}
	}
	s.gate = c
	s.server.SetGate(rules)
	for _, text := range s.settings.gateWarnings(rules, s.tls) {
		s.log.Warn(text)
	}
	s.warnOfGate(context.Background())
	return []string{gateKey}, nil
}

// behind are other settings where this server is reached as it was started.
func (s *service) behind(then *app) *app {
	now := *then
	now.settings.PublicURL, now.settings.OtherURLs, now.settings.Upstream = s.settings.PublicURL, s.settings.OtherURLs, s.settings.Upstream
	return &now
}

// warnOfGate tells what in the rules works and is rarely meant.
func (s *service) warnOfGate(ctx context.Context) {
	if n := s.server.Rules(); n > 0 {
		s.log.Info("the gate decides about applications", "rules", n)
	}
	for _, text := range s.server.GateWarnings(ctx) {
		s.log.Warn(text)
	}
}

func sorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}

func valuesOf(r *resolution) map[string]string {
	values := map[string]string{}
	r.VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	return values
}
