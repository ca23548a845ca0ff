package cmd

import (
	"strings"

	"github.com/spf13/pflag"

	"husk/web/api"
)

// This file has what the commands for API tokens say of those that are good behind
// the gate alone.

// reachOptions are the hosts, paths and methods that a token is limited to.
type reachOptions struct {
	hosts, paths, methods []string
}

var reachFlags = []string{"host", "path", "method"}

// flags adds the flags; none is what gives a limit up.
func (o *reachOptions) flags(f *pflag.FlagSet, none string) {
	f.StringArrayVar(&o.hosts, "host", nil, "good behind the gate alone, for this host or *.DOMAIN; may be repeated"+none)
	f.StringArrayVar(&o.paths, "path", nil, "good behind the gate alone, for this path and what is under it; may be repeated"+none)
	f.StringArrayVar(&o.methods, "method", nil, "good behind the gate alone, for this method, GET with HEAD; may be repeated"+none)
}

// change asks for what the flags name.
func (o *reachOptions) change(f *pflag.FlagSet, in *api.TokenUpdate) {
	for name, to := range map[string]struct {
		list   **[]string
		values []string
	}{"host": {&in.AllowedHosts, o.hosts}, "path": {&in.AllowedPaths, o.paths}, "method": {&in.AllowedMethods, o.methods}} {
		if f.Changed(name) {
			*to.list = ptr(withoutEmpty(to.values))
		}
	}
}

// reachText is what a token is good for behind the gate, in a cell of a table.
func reachText(t api.Token) string {
	var limits []string
	for _, list := range [][]string{t.AllowedMethods, t.AllowedHosts, t.AllowedPaths} {
		if len(list) > 0 {
			limits = append(limits, listText(list))
		}
	}
	return orDash(strings.Join(limits, " "))
}
