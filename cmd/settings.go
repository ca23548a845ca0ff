package cmd

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"husk/web"
)

// settings are what flags, environment and file come to. Each is defined once,
// as a flag, in addGlobalFlags or addServeFlags: its name, its form, its
// default and its meaning come from there, also for the variable, the key of
// the file and docs/configuration.md.
type settings struct {
	Data      string
	Server    string
	TokenFile string
	ServerCA  string
	Config    string
	JSON      bool
	Quiet     bool
	Wide      bool
	LocalTime bool

	Addr           string
	PublicURL      string
	OtherURLs      []string // of public-url behind the first
	Upstream       string
	TLSCerts       []string
	TLSKeys        []string
	TrustedProxies []netip.Prefix
	SessionTTL     time.Duration
	SessionIdle    time.Duration
	MaxTokenTTL    time.Duration
	Quotas         web.Quotas
	CORSOrigins    []string
	Connections    connectionLimits
	LoginLimits    web.LoginLimits
	AuditKeep      time.Duration
	AuditEntries   int64
	AuditRefusals  int64
	AccessLog      bool
	LogLevel       string
	LogFormat      string
	MetricsAddr    string
	NotifyCommand  string
	SecretsKeyFile string

	BackupDir        string
	BackupEvery      time.Duration
	BackupKeep       int
	BackupRecipients []string
}

func addGlobalFlags(f *pflag.FlagSet) {
	f.Var(newPath(defaultData()), "data", "the data folder")
	f.Var(&formed{form: isServerURL}, "server", "ask the husk at this URL instead of the data folder")
	f.Var(newPath(""), "token-file", "file with the API token for --server (- for stdin)")
	f.Var(newPath(""), "server-ca", "PEM file with the authorities to trust for --server, in place of the machine's")
	f.Var(newPath(""), "config", "YAML file with settings")
	f.Bool("json", false, "print JSON, for programs")
	f.BoolP("quiet", "q", false, "say nothing but errors and what was asked for")
	f.Bool("wide", false, "cut nothing of a table on a terminal, and leave no column out")
	f.Bool("local-time", false, "tell times in this machine's zone instead of UTC; JSON stays in UTC")
}

func addServeFlags(f *pflag.FlagSet) {
	f.Var(&formed{"127.0.0.1:9000", isAddr}, "addr", "address to listen on; not used for sockets from the service manager")
	f.Var(&publicURLs{list{kind: "url", read: readPublicURL}}, "public-url", "scheme and host under which browsers reach this server; repeatable: the first is told to programs, at the others it is reached besides")
	f.Var(&formed{form: isUpstream}, "upstream", "URL of one application that husk is the reverse proxy of, at any host, for who is signed in")
	f.Var(newPaths(), "tls-cert", "PEM file with the TLS certificate and its chain; read again when it changes; repeatable: by the host that is asked for, the first by default")
	f.Var(newPaths(), "tls-key", "PEM file with the private key of --tls-cert; repeatable, in the same order")
	f.Var(&list{kind: "cidr", read: readNetwork}, "trusted-proxy", "address or network (CIDR) whose X-Forwarded-For is believed; repeatable")
	f.Var(newBounded(24*time.Hour, time.Second, 0), "session-ttl", "absolute life of a sign-in")
	f.Var(newOptional(time.Minute), "session-idle", "how long a sign-in lives unused, a minute at least (0: as long as --session-ttl)")
	f.Var(newDuration(0), "max-token-ttl", "longest life of a new API token (0: no bound)")
	f.Var(&countValue{1000, 0, math.MaxInt32}, "max-tokens-per-user", "API tokens that a user may have (0: no bound)")
	f.Var(&countValue{100, 0, web.MaxSessions}, "max-sessions-per-user", "sessions that a user may have: the longest unused ends (0: no bound)")
	f.Var(&countValue{600, 0, web.MaxChanges}, "changes-per-minute", "changes that a user may make in a minute, and as many at once (0: no bound)")
	f.Var(&list{kind: "origin", read: readOrigin}, "cors-origin", "origin whose scripts may call the API, without cookies; repeatable")
	f.Var(&countValue{5, 1, web.MaxAttempts}, "login-attempts", "wrong passwords in a row for an account before the next try waits, 100 at most")
	f.Var(&countValue{20, 1, math.MaxInt32}, "login-address-attempts", "wrong passwords from an address before the next try waits")
	f.Var(newBounded(15*time.Second, 0, web.MaxDelay), "login-delay", "the first wait; it doubles with each wrong password")
	f.Var(newBounded(time.Hour, 0, web.MaxDelay), "login-max-delay", "the longest wait, an hour at most")
	f.Var(newDuration(0), "audit-keep", "how long entries of the audit log are kept (0: for ever)")
	f.Int64("audit-entries", 1_000_000, "how many entries of the audit log are kept at most, of changes and of what known people did (0: all)")
	f.Int64("audit-refusals", 10_000, "how many more are kept of what strangers were refused (0: all)")
	f.Var(&countValue{defaultConnections, 0, maxConnections}, "max-connections", "how many connections there are at most (0: as many as descriptors allow)")
	f.Var(&countValue{256, 0, maxConnections}, "max-connections-per-address", "how many of them an address has at most, or an IPv6 /64; not for trusted proxies (0: no bound)")
	f.Var(&formed{form: isOptionalAddr}, "metrics-addr", "address to serve /metrics on, for Prometheus (none by default)")
	f.Var(newPath(""), "notify-command", "program that is told of what needs attention, as JSON on its standard input")
	f.Var(newPath(""), "secrets-key-file", "file with the keys that the secrets of second factors are sealed under in the store, one a line: the first seals, all open (none by default)")
	f.Var(newPath(""), "backup-dir", "folder for scheduled backups, which is for them alone (none by default)")
	f.Var(newDuration(24*time.Hour), "backup-every", "how old the newest scheduled backup may become, a minute at least")
	f.Var(&countValue{14, 1, 100_000}, "backup-keep", "how many scheduled backups are kept")
	f.Var(newRecipients(), "backup-recipient", "age recipient (age1…) to which scheduled backups are encrypted; repeatable")
	f.Bool("access-log", false, "log successful requests too")
	f.Var(&formed{"info", oneOf("debug", "info", "warn", "error")}, "log-level", "debug, info, warn or error")
	f.Var(&formed{"auto", oneOf("text", "json", "auto")}, "log-format", "text, json, or auto: text on a terminal, json elsewhere")
}

// allSettings returns the definitions of all settings, with their defaults.
func allSettings() *pflag.FlagSet {
	all := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	addGlobalFlags(all)
	addServeFlags(all)
	return all
}

// The sources of a setting.
const (
	fromFlag    = "flag"
	fromEnv     = "env"
	fromFile    = "file"
	fromDefault = "default"
)

// resolution is every setting with the value that holds.
type resolution struct {
	*pflag.FlagSet
	source map[string]string // by name; absent: fromDefault
	file   *configFile       // nil: none was named
}

func (r *resolution) sourceOf(name string) string {
	if s, ok := r.source[name]; ok {
		return s
	}
	return fromDefault
}

// configure fills a.settings for cmd: a flag beats the environment, which
// beats the file, which beats the default. Every command sees every setting,
// also those that are flags of serve alone: the bound on a token's life holds
// offline too.
func (a *app) configure(cmd *cobra.Command, resolve func(*cobra.Command) (*resolution, error)) error {
	r, err := resolve(cmd)
	if err != nil {
		return err
	}
	a.resolved = r
	if err := a.settings.take(r.FlagSet); err != nil {
		return err
	}
	a.warnOfVariables(cmd)
	if r.file != nil && r.file.exposed && cmd.Name() != "serve" { // serve logs it
		a.warn("%s", r.file.exposedText())
	}
	return nil
}

// resolve returns all settings with the values that hold for cmd.
func (a *app) resolve(cmd *cobra.Command) (*resolution, error) {
	r, err := a.resolveGiven(cmd)
	if err != nil {
		return nil, err
	}
	if name := text(r.FlagSet, "config"); name != "" {
		if r.file, err = typed(a, func() (*configFile, error) { return readConfig(name) }); err != nil {
			return nil, &failure{code: exitUsage, err: err, what: "the configuration file can't be read: " + plainPathError(err),
				next: "it was named by --config or HUSK_CONFIG"}
		}
		if err := r.file.broken(); err != nil {
			return nil, err
		}
		r.takeFile()
	}
	return r, r.finish()
}

// takeFile takes what the file sets where nothing else does.
func (r *resolution) takeFile() {
	for name := range r.file.lines {
		if r.sourceOf(name) == fromDefault {
			copyValue(r.Lookup(name).Value, r.file.set.Lookup(name).Value)
			r.source[name] = fromFile
		}
	}
}

// finish sees to the data folder. One that is named on the command line is
// meant, and not the server that a variable or the file names for all commands:
// what is done to the one must not befall the other.
func (r *resolution) finish() error {
	if r.sourceOf("data") == fromFlag && r.sourceOf("server") != fromFlag {
		_ = r.Lookup("server").Value.Set("")
		delete(r.source, "server")
	}
	if text(r.FlagSet, "data") == "" { // what an unset variable leaves: not the folder that one is in
		return usage("--data names no folder", "give one, or leave it out for the default")
	}
	return r.placeData()
}

// placeData makes the data folder absolute: what is relative is so to where the
// program was started. The default comes from HOME or XDG_DATA_HOME, and is a
// path like another.
func (r *resolution) placeData() error {
	p := r.Lookup("data").Value.(*pathValue)
	if err := isPath(p.String()); err != nil {
		return usage("the default data folder \""+printable(p.String())+"\": "+err.Error(), "mend HOME or XDG_DATA_HOME, or name the folder with --data or HUSK_DATA")
	}
	data, err := filepath.Abs(p.String())
	if err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	*p.text = data
	return nil
}

// resolveGiven takes the flags and the variables, and no file.
func (a *app) resolveGiven(cmd *cobra.Command) (*resolution, error) {
	r := &resolution{FlagSet: allSettings(), source: map[string]string{}}
	var failed error
	r.VisitAll(func(f *pflag.Flag) {
		if given := cmd.Flags().Lookup(f.Name); given != nil && given.Changed {
			copyValue(f.Value, given.Value)
			r.source[f.Name] = fromFlag
		} else if value := a.getenv(envName(f.Name)); value != "" {
			if err := set(f.Value, value); err != nil && failed == nil {
				failed = usage(fmt.Sprintf("%s: %v", envName(f.Name), err), "")
			}
			r.source[f.Name] = fromEnv
		}
	})
	return r, failed
}

// copyValue sets a value to another one of the same definition, which was
// checked when it was set.
func copyValue(to, from pflag.Value) {
	if list, ok := to.(pflag.SliceValue); ok {
		_ = list.Replace(from.(pflag.SliceValue).GetSlice())
		return
	}
	_ = to.Set(from.String())
}

// set sets a value from text, with an error for people.
func set(v pflag.Value, text string) error { return valueError(v, v.Set(text)) }

// envName is the variable of a setting: HUSK_PUBLIC_URL for public-url.
func envName(flag string) string {
	return "HUSK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// take copies the values of the flags, whose names and types are those of
// addGlobalFlags and addServeFlags.
func (s *settings) take(f *pflag.FlagSet) error {
	var errs [7]error
	*s = settings{
		Data: text(f, "data"), Server: text(f, "server"), TokenFile: text(f, "token-file"), ServerCA: text(f, "server-ca"), Config: text(f, "config"),
		Addr: text(f, "addr"), Upstream: text(f, "upstream"), LogLevel: text(f, "log-level"), LogFormat: text(f, "log-format"),
		MetricsAddr: text(f, "metrics-addr"), NotifyCommand: text(f, "notify-command"),
		SecretsKeyFile: text(f, "secrets-key-file"),
		TLSCerts:       paths(f, "tls-cert"), TLSKeys: paths(f, "tls-key"),
		TrustedProxies: networks(f, "trusted-proxy"),
		SessionTTL:     duration(f, "session-ttl"), MaxTokenTTL: duration(f, "max-token-ttl"), SessionIdle: duration(f, "session-idle"),
	}
	s.Quotas = web.Quotas{Tokens: count(f, "max-tokens-per-user"), Sessions: count(f, "max-sessions-per-user"), Changes: count(f, "changes-per-minute")}
	s.CORSOrigins = items(f, "cors-origin")
	if urls := f.Lookup("public-url").Value.(*publicURLs).items; len(urls) > 0 {
		s.PublicURL, s.OtherURLs = urls[0], urls[1:]
	}
	s.LoginLimits.Delay, s.LoginLimits.MaxDelay, s.AuditKeep = duration(f, "login-delay"), duration(f, "login-max-delay"), duration(f, "audit-keep")
	s.LoginLimits.Account, s.LoginLimits.Address = count(f, "login-attempts"), count(f, "login-address-attempts")
	s.BackupDir, s.BackupEvery, s.BackupRecipients = text(f, "backup-dir"), duration(f, "backup-every"), items(f, "backup-recipient")
	s.BackupKeep = count(f, "backup-keep")
	s.Connections = connectionLimits{count(f, "max-connections"), count(f, "max-connections-per-address")}
	s.AuditEntries, errs[3] = f.GetInt64("audit-entries")
	s.AuditRefusals, errs[4] = f.GetInt64("audit-refusals")
	s.JSON, errs[0] = f.GetBool("json")
	s.Quiet, errs[1] = f.GetBool("quiet")
	s.AccessLog, errs[2] = f.GetBool("access-log")
	s.Wide, errs[5] = f.GetBool("wide")
	s.LocalTime, errs[6] = f.GetBool("local-time")
	return errors.Join(errs[:]...)
}

func text(f *pflag.FlagSet, name string) string { return f.Lookup(name).Value.String() }

func duration(f *pflag.FlagSet, name string) time.Duration {
	if v, ok := f.Lookup(name).Value.(*boundedDuration); ok {
		return time.Duration(v.durationValue)
	}
	return time.Duration(*f.Lookup(name).Value.(*durationValue))
}

func items(f *pflag.FlagSet, name string) []string { return f.Lookup(name).Value.(*list).items }

func paths(f *pflag.FlagSet, name string) []string { return f.Lookup(name).Value.(*pathList).items }

func networks(f *pflag.FlagSet, name string) (all []netip.Prefix) {
	for _, text := range items(f, name) {
		all = append(all, netip.MustParsePrefix(text)) // readNetwork has read it
	}
	return all
}

func count(f *pflag.FlagSet, name string) int { return f.Lookup(name).Value.(*countValue).n }

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
