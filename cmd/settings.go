package cmd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	Config    string
	JSON      bool
	Quiet     bool

	Addr           string
	PublicURL      string
	TLSCert        string
	TLSKey         string
	TrustedProxies []netip.Prefix
	SessionTTL     time.Duration
	MaxTokenTTL    time.Duration
	AccessLog      bool
	LogLevel       string
	LogFormat      string
}

func addGlobalFlags(f *pflag.FlagSet) {
	f.String("data", defaultData(), "the data folder")
	f.Var(&formed{form: isServerURL}, "server", "ask the husk at this URL instead of the data folder")
	f.String("token-file", "", "file with the API token for --server (- for stdin)")
	f.String("config", "", "YAML file with settings")
	f.Bool("json", false, "print JSON, for programs")
	f.BoolP("quiet", "q", false, "say nothing but errors and what was asked for")
}

func addServeFlags(f *pflag.FlagSet) {
	f.Var(&formed{"127.0.0.1:9000", isAddr}, "addr", "address to listen on; not used for sockets from the service manager")
	f.Var(&formed{form: isPublicURL}, "public-url", "scheme and host under which browsers reach this server")
	f.String("tls-cert", "", "PEM file with the TLS certificate and its chain; read again when it changes")
	f.String("tls-key", "", "PEM file with the private key of --tls-cert")
	f.Var(&prefixes{}, "trusted-proxy", "address or network (CIDR) whose X-Forwarded-For is believed; repeatable")
	f.Var(newDuration(24*time.Hour), "session-ttl", "absolute life of a sign-in")
	f.Var(newDuration(0), "max-token-ttl", "longest life of a new API token (0: no bound)")
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
func (a *app) configure(cmd *cobra.Command) error {
	r, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	a.resolved = r
	if err := a.settings.take(r.FlagSet); err != nil {
		return err
	}
	if r.file != nil && r.file.exposed && cmd.Name() != "serve" { // serve logs it
		a.say("warning: %s", r.file.exposedText())
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
		if r.file, err = readConfig(name); err != nil {
			return nil, &failure{code: exitUsage, err: err, what: "the configuration file can't be read: " + plainPathError(err),
				next: "it was named by --config or HUSK_CONFIG"}
		}
		if err := r.file.broken(); err != nil {
			return nil, err
		}
		for name := range r.file.lines {
			if r.sourceOf(name) == fromDefault {
				copyValue(r.Lookup(name).Value, r.file.set.Lookup(name).Value)
				r.source[name] = fromFile
			}
		}
	}
	// What is relative is so to where the program was started.
	data, err := filepath.Abs(text(r.FlagSet, "data"))
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	return r, r.Lookup("data").Value.Set(data)
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
func set(v pflag.Value, text string) error {
	err := v.Set(text)
	if err != nil && v.Type() == "bool" {
		return errors.New("it is true or false")
	}
	return err
}

// envName is the variable of a setting: HUSK_PUBLIC_URL for public-url.
func envName(flag string) string {
	return "HUSK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// take copies the values of the flags, whose names and types are those of
// addGlobalFlags and addServeFlags.
func (s *settings) take(f *pflag.FlagSet) error {
	var errs [3]error
	*s = settings{
		Data: text(f, "data"), Server: text(f, "server"), TokenFile: text(f, "token-file"), Config: text(f, "config"),
		Addr: text(f, "addr"), PublicURL: text(f, "public-url"), LogLevel: text(f, "log-level"), LogFormat: text(f, "log-format"),
		TLSCert: text(f, "tls-cert"), TLSKey: text(f, "tls-key"),
		TrustedProxies: *f.Lookup("trusted-proxy").Value.(*prefixes),
		SessionTTL:     duration(f, "session-ttl"), MaxTokenTTL: duration(f, "max-token-ttl"),
	}
	s.JSON, errs[0] = f.GetBool("json")
	s.Quiet, errs[1] = f.GetBool("quiet")
	s.AccessLog, errs[2] = f.GetBool("access-log")
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

// formed is a setting of text that has to have a form. The form's error says
// what it is, and never what was given, which may hold a password.
type formed struct {
	text string
	form func(string) error
}

func (v *formed) String() string { return v.text }
func (v *formed) Type() string   { return "string" }

// Set implements pflag.Value.
func (v *formed) Set(text string) error {
	if err := v.form(text); err != nil {
		return err
	}
	v.text = text
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		last := len(words) - 1
		return errors.New("it is " + strings.Join(words[:last], ", ") + " or " + words[last])
	}
}

func isAddr(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return errors.New("it is HOST:PORT, such as 127.0.0.1:9000, [::1]:9000 or :9000")
	}
	return nil
}

func isPublicURL(text string) error {
	if text == "" {
		return nil
	}
	return web.CheckPublicURL(text)
}

func isServerURL(text string) error {
	u, err := url.Parse(text)
	if text != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "") {
		return errors.New("it is a URL with scheme and host, such as https://id.example.com")
	}
	return nil
}

// prefixes is a list of addresses and networks: the flag is repeated, or one
// value holds several with commas between, as a variable has to.
type prefixes []netip.Prefix

func (p *prefixes) String() string { return strings.Join(p.GetSlice(), ",") }
func (p *prefixes) Type() string   { return "cidr" }

// Set implements pflag.Value.
func (p *prefixes) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if err := p.Append(strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	return nil
}

// Append implements pflag.SliceValue.
func (p *prefixes) Append(text string) error {
	prefix, err := netip.ParsePrefix(text)
	if address, e := netip.ParseAddr(text); e == nil && address.Zone() == "" {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	if err != nil || prefix.Addr().Is4In6() {
		return errors.New("it is an address or a network: 10.0.0.7, 10.0.0.0/8, fd00::/8")
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("it has bits beyond its mask; did you mean %s?", prefix.Masked())
	}
	*p = append(*p, prefix)
	return nil
}

// Replace implements pflag.SliceValue.
func (p *prefixes) Replace(items []string) error {
	*p = nil
	for _, item := range items {
		if err := p.Append(item); err != nil {
			return err
		}
	}
	return nil
}

// GetSlice implements pflag.SliceValue.
func (p *prefixes) GetSlice() []string {
	items := []string{}
	for _, prefix := range *p {
		items = append(items, prefix.String())
	}
	return items
}

// durationValue is a flag for a span of time: what Go writes, or a number of
// days, weeks or years.
type durationValue time.Duration

func newDuration(d time.Duration) *durationValue { v := durationValue(d); return &v }

// String is what one would type: whole days as days, no zeros at the end.
func (v *durationValue) String() string {
	d := time.Duration(*v)
	if d > 24*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if cut, ok := strings.CutSuffix(s, "m0s"); ok {
		s = cut + "m"
	}
	if cut, ok := strings.CutSuffix(s, "h0m"); ok {
		s = cut + "h"
	}
	return s
}

func (v *durationValue) Type() string { return "duration" }

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
