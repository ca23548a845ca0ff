package cmd

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"husk/web/api"
)

// inOwnWords says for a code of the API what its reason says, where that names
// a member of a body or a route, which a command line has not. It also gives the
// exit code where all are 400 over HTTP: to a command a value that can't be is a
// misuse, and a name of nothing is an absent thing.
var inOwnWords = map[string]struct {
	code       int
	what, next string // no what: the reason itself
}{
	"bad_expiry":         {exitFailure, "that end of the token is in the past", "give --expires a duration such as 365d, a date to come, or never"}, // too far ones are not sent
	"bad_prefix":         {exitUsage, "an address of --allowed-ip or --address is none", "give an address or a CIDR prefix, such as 10.0.0.0/8 or 2001:db8::/32"},
	"bad_filter":         {exitUsage, "that is no --filter of the server", "give expiring, unused, never or no-expiry"},
	"bad_host":           {exitUsage, "a --host is none", "give a name such as app.example.com, or *.example.com for one label, without a port"},
	"bad_path":           {exitUsage, "a --path is none", "give the beginning of a path as it is seen, such as /api/, without a query, .., // and ;"},
	"bad_method":         {exitUsage, "a --method is none", "give one as clients send it, in capitals, such as GET"},
	"reach_too_long":     {exitUsage, "", ""},
	"own_password":       {exitDenied, "one's own password is changed with the old one", "run 'husk passwd' on the machine where husk runs, or change it in a browser"},
	"bad_permission":     {exitUsage, "", "see 'husk permission list'"},
	"unknown_permission": {exitNotFound, "", "see 'husk permission list'"},
	"unknown_role":       {exitNotFound, "", ""},
	"bad_role_name":      {exitUsage, "", ""},
	"bad_email":          {exitUsage, "", ""},
	"bad_domain":         {exitUsage, "the --domain is none", "give what stands behind the @ of an email, such as example.com"},
	"bad_url":            {exitUsage, "--url is what is asked for, with its scheme and host", "such as https://app.example.com/admin"},
	"bad_test":           {exitUsage, "--user and --token-file exclude each other", "see 'husk rule test --help'"},
	"bad_from":           {exitUsage, "--from is the address of a client", "such as 192.0.2.7 or 2001:db8::7"},
	"name_required":      {exitUsage, "", "give --name one"},
}

// inWords returns err in the words of a command line. Of several things that are
// wrong the first one gives the exit code, and each says what to do.
func inWords(err error) error {
	var answer *api.Error
	if !errors.As(err, &answer) {
		return err
	}
	own, ok := inOwnWords[answer.Detail.Code]
	all := answer.All()
	if len(all) == 1 {
		if !ok {
			return err
		}
		return &failure{code: own.code, err: err, what: cmp.Or(own.what, answer.Error()), next: own.next}
	}
	f := &failure{code: own.code, err: err}
	if !ok {
		f.code = exitCode(err)
	}
	var what, next []string
	for _, one := range all {
		own := inOwnWords[one.Detail.Code]
		what = append(what, cmp.Or(own.what, one.Error()))
		if own.next != "" && !slices.Contains(next, own.next) {
			next = append(next, own.next)
		}
	}
	f.what, f.next = strings.Join(what, "; "), strings.Join(next, "\n  ")
	return f
}
