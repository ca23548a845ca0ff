package cmd

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A variable that is called like one of Husk's and is none does nothing, and
// who set it believes that it does. So it is told: by what shows or takes the
// settings of a server always, by the other commands where it is nearly one of
// Husk's. What a script keeps for itself under such a name is its own affair.

// unknownVariable is a variable that begins like a setting's.
type unknownVariable struct{ name, near string } // near: what was probably meant, or ""

func (v unknownVariable) text() string {
	text := "there is no setting for the variable " + printable(v.name)
	if v.near != "" {
		text += "; did you mean " + v.near + "?"
	}
	return text
}

const envPrefix = "HUSK_"

// serviceLink finds the variables that Kubernetes and Docker set in every
// container for a service called husk, or husk-something.
var serviceLink = regexp.MustCompile(`^HUSK_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=|^HUSK_(\w+_)?PORT=\w+://`)

// unknownVariables finds them among variables of the form NAME=value, and looks
// at no value but that of a service link.
func unknownVariables(environ []string) (found []unknownVariable) {
	var known []string
	allSettings().VisitAll(func(f *pflag.Flag) { known = append(known, envName(f.Name)) })
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(strings.ToUpper(name), envPrefix) || value == "" || slices.Contains(known, name) || serviceLink.MatchString(variable) {
			continue
		}
		found = append(found, unknownVariable{name, nearVariable(name, known)})
	}
	slices.SortFunc(found, func(a, b unknownVariable) int { return strings.Compare(a.name, b.name) })
	return found
}

// nearVariable finds the one that was meant: the same but for underscores and
// case, or nearly.
func nearVariable(name string, known []string) string {
	plain := func(name string) string {
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(strings.ToUpper(name), envPrefix), "_", ""))
	}
	var candidates []string
	for _, k := range known {
		candidates = append(candidates, plain(k))
	}
	if i := slices.Index(candidates, nearest(plain(name), candidates)); i >= 0 {
		return known[i]
	}
	return ""
}

// warnOfVariables tells of the variables that a command does not know. serve
// puts them into its log.
func (a *app) warnOfVariables(cmd *cobra.Command) {
	if a.environ == nil || cmd.Name() == "serve" {
		return
	}
	for _, v := range unknownVariables(a.environ()) {
		if v.near != "" || cmd.HasParent() && cmd.Parent().Name() == "config" {
			a.warn("%s", v.text())
		}
	}
}
