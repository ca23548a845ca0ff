package cmd

import (
	"errors"

	"husk/web/api"
)

// inOwnWords says for a code of the API what its reason says, where that names
// a member of a body or a route, which a command line has not.
var inOwnWords = map[string]struct{ what, next string }{
	"bad_expiry":   {"that end of the token is in the past", "give --expires a duration such as 365d, a date to come, or never"}, // too far ones are not sent
	"bad_prefix":   {"an address of --allowed-ip is none", "give an address or a CIDR prefix, such as 10.0.0.0/8 or 2001:db8::/32"},
	"own_password": {"one's own password is changed with the old one", "run 'husk passwd' on the machine where husk runs, or change it in a browser"},
}

// inWords returns err in the words of a command line.
func inWords(err error) error {
	var answer *api.Error
	if !errors.As(err, &answer) {
		return err
	}
	own, ok := inOwnWords[answer.Detail.Code]
	if !ok {
		return err
	}
	return &failure{code: exitOfStatus(answer.Status), err: err, what: own.what, next: own.next}
}
