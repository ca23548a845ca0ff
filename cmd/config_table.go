package cmd

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"husk/web/api"
	"husk/web/gate"
)

// This file tells the settings: 'husk config show' prints them, and the API answers
// those of the server that runs.

// Groups of settings, as docs/configuration.md has them.
const (
	groupCommand = "command"
	groupServer  = "server"
)

// reloadable are the settings that a reload applies, besides the gate.
var reloadable = []string{"log-level", "log-format"}

// namesSecret are the settings whose files hold secrets.
var namesSecret = []string{"token-file", "tls-key", "secrets-key-file"}

// configuration is every setting with the value that holds and where it comes
// from, by name.
func (a *app) configuration() *api.Configuration {
	r := a.resolved
	global := pflag.NewFlagSet("global", pflag.ContinueOnError)
	addGlobalFlags(global)
	out := &api.Configuration{Settings: a.gateSettings()}
	if r.file != nil {
		out.File = r.file.name
		if path, err := filepath.Abs(out.File); err == nil {
			out.File = path
		}
	}
	r.VisitAll(func(f *pflag.Flag) {
		s := api.ConfigSetting{Name: f.Name, Value: withoutUserinfo(f.Value.String()), Source: r.sourceOf(f.Name), Group: groupServer,
			Default: f.DefValue, About: f.Usage, Variable: envName(f.Name), Path: namesPaths(f.Value),
			Secret: slices.Contains(namesSecret, f.Name), Reloadable: slices.Contains(reloadable, f.Name)}
		if global.Lookup(f.Name) != nil {
			s.Group = groupCommand
		}
		if s.Source == fromFile {
			s.Line = r.file.lines[f.Name]
		}
		out.Settings = append(out.Settings, s)
	})
	slices.SortFunc(out.Settings, func(a, b api.ConfigSetting) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func namesPaths(v pflag.Value) bool {
	switch v.(type) {
	case *pathValue, *pathList:
		return true
	}
	return false
}

// gateSettings is the gate among the settings.
func (a *app) gateSettings() []api.ConfigSetting {
	c, _ := a.gateConfig()
	file := a.gateFile()
	ttl, rules := newDuration(gate.DefaultReturnTTL), 0
	if c.ReturnTTL > 0 {
		ttl = newDuration(c.ReturnTTL)
	}
	if file != nil {
		rules = len(file.Rules)
	}
	all := []api.ConfigSetting{
		{Name: "cookie_domain", Value: c.CookieDomain, About: "domain for whose hosts one sign-in is good (none by default)"},
		{Name: "login_url", Value: withoutUserinfo(c.LoginURL), About: "scheme and host of Husk's own pages, where people sign in; public-url by default"},
		{Name: "return_ttl", Value: ttl.String(), Default: newDuration(gate.DefaultReturnTTL).String(), About: "how long somebody may take to sign in"},
		{Name: "rules", Value: strconv.Itoa(rules), Default: "0", About: "how many access rules there are"},
	}
	for i := range all {
		s := &all[i]
		s.Source, s.Group, s.Reloadable = fromDefault, gateKey, true
		if file != nil && file.lines[s.Name] > 0 {
			s.Source, s.Line = fromFile, file.lines[s.Name]
		}
		s.Name = gateKey + "." + s.Name
	}
	return all
}

// afterReload is the configuration that runs once that of next was read, but for
// what needs a restart.
func afterReload(runs, next *api.Configuration, restart []string) *api.Configuration {
	for i, s := range next.Settings {
		name := s.Name
		if s.Group == gateKey {
			name = gateKey
		}
		if slices.Contains(restart, name) {
			next.Settings[i] = runs.Settings[i] // the same one: all are there, by name
			next.Settings[i].Waiting = true
		}
	}
	return next
}
