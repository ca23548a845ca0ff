package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settings are what flags, environment and file come to. Each is defined once,
// as a flag, in addGlobalFlags or addServeFlags.
type settings struct {
	Data      string
	Server    string
	TokenFile string
	Config    string
	JSON      bool
	Quiet     bool

	Addr        string
	PublicURL   string
	SessionTTL  time.Duration
	MaxTokenTTL time.Duration
	AccessLog   bool
	LogLevel    string
	LogFormat   string

	MetricsAddr   string
	NotifyCommand string
}

func addGlobalFlags(f *pflag.FlagSet) {
	f.String("data", defaultData(), "the data folder")
	f.String("server", "", "ask the husk at this URL instead of the data folder")
	f.String("token-file", "", "file with the API token for --server (- for stdin)")
	f.String("config", "", "YAML file with settings")
	f.Bool("json", false, "print JSON, for programs")
	f.BoolP("quiet", "q", false, "say nothing but errors and what was asked for")
}

func addServeFlags(f *pflag.FlagSet) {
	f.String("addr", "127.0.0.1:9000", "address to listen on")
	f.String("public-url", "", "scheme and host under which browsers reach this server")
	f.Var(newDuration(24*time.Hour), "session-ttl", "absolute life of a sign-in")
	f.Var(newDuration(0), "max-token-ttl", "longest life of a new API token (0: no bound)")
	f.String("metrics-addr", "", "address to serve /metrics on, for Prometheus (none by default)")
	f.String("notify-command", "", "program to tell of what needs attention, as JSON on its standard input")
	f.Bool("access-log", false, "log successful requests too")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("log-format", "auto", "text, json, or auto: text on a terminal, json elsewhere")
}

// defaultData is /var/lib/husk for root, else the user's data folder (XDG Base
// Directory Specification).
func defaultData() string {
	if os.Geteuid() == 0 {
		return "/var/lib/husk"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "husk")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "husk-data"
	}
	return filepath.Join(home, ".local", "share", "husk")
}

// configure fills a.settings for cmd: a flag beats the environment, which
// beats the file, which beats the default. Every command sees every setting,
// also those that are flags of serve alone: the bound on a token's life holds
// offline too.
func (a *app) configure(cmd *cobra.Command) error {
	all, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	return a.settings.take(all)
}

// resolve returns all settings with the values that hold for cmd.
func (a *app) resolve(cmd *cobra.Command) (*pflag.FlagSet, error) {
	all := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	addGlobalFlags(all)
	addServeFlags(all)
	var failed error
	all.VisitAll(func(f *pflag.Flag) {
		value, found := a.getenv(envName(f.Name)), false
		if given := cmd.Flags().Lookup(f.Name); given != nil && given.Changed {
			value, found = given.Value.String(), true
		}
		if (found || value != "") && failed == nil {
			if err := all.Set(f.Name, value); err != nil {
				failed = usage(fmt.Sprintf("%s: %v", envName(f.Name), err), "")
			}
		}
	})
	return all, failed
}

// envName is the variable of a setting: HUSK_PUBLIC_URL for public-url.
func envName(flag string) string {
	return "HUSK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// take copies the values of the flags, whose names and types are those of
// addGlobalFlags and addServeFlags.
func (s *settings) take(f *pflag.FlagSet) error {
	var errs [4]error
	*s = settings{
		Data: text(f, "data"), Server: text(f, "server"), TokenFile: text(f, "token-file"), Config: text(f, "config"),
		Addr: text(f, "addr"), PublicURL: text(f, "public-url"), LogLevel: text(f, "log-level"), LogFormat: text(f, "log-format"),
		MetricsAddr: text(f, "metrics-addr"), NotifyCommand: text(f, "notify-command"),
		SessionTTL: duration(f, "session-ttl"), MaxTokenTTL: duration(f, "max-token-ttl"),
	}
	s.JSON, errs[0] = f.GetBool("json")
	s.Quiet, errs[1] = f.GetBool("quiet")
	s.AccessLog, errs[2] = f.GetBool("access-log")
	s.Data, errs[3] = filepath.Abs(s.Data)
	return errors.Join(errs[:]...)
}

func text(f *pflag.FlagSet, name string) string { return f.Lookup(name).Value.String() }

func duration(f *pflag.FlagSet, name string) time.Duration {
	return time.Duration(*f.Lookup(name).Value.(*durationValue))
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// durationValue is a flag for a span of time: what Go writes, or a number of
// days, weeks or years.
type durationValue time.Duration

func newDuration(d time.Duration) *durationValue { v := durationValue(d); return &v }

func (v *durationValue) String() string { return time.Duration(*v).String() }
func (v *durationValue) Type() string   { return "duration" }

// Set implements pflag.Value.
func (v *durationValue) Set(text string) error {
	d, err := parseDuration(text)
	if err == nil && d < 0 {
		err = errors.New("it must not be negative")
	}
	*v = durationValue(d)
	return err
}

var units = map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}

// parseDuration reads a Go duration, or a number with d, w or y (365 days).
func parseDuration(text string) (time.Duration, error) {
	bad := errors.New("a duration is a number with a unit: 90s, 30m, 24h, 30d, 2w, 1y")
	if text == "" {
		return 0, bad
	}
	if unit, ok := units[text[len(text)-1]]; ok {
		n, err := strconv.ParseFloat(text[:len(text)-1], 64)
		if d := n * float64(unit); err == nil && d < float64(1<<62) && d > -float64(1<<62) {
			return time.Duration(d), nil
		}
		return 0, bad
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad
	}
	return d, nil
}
