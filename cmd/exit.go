package cmd

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"husk/db"
	"husk/web/api"
)

// Exit codes. Scripts depend on them as on an API; help prints them.
const (
	exitDone      = 0
	exitFailure   = 1 // also 400
	exitUsage     = 2
	exitNotFound  = 3 // 404, no store
	exitConflict  = 4 // 409
	exitDenied    = 5 // 401, 403
	exitBusy      = 6 // store locked, server unreachable, 429, 503
	exitInvalid   = 7 // invalid, expired or damaged
	exitAttention = 8 // a list that was asked for trouble found some
)

const exitHelp = `Exit codes:
  0  done                        5  denied
  1  failure                     6  store locked, server unreachable or busy
  2  usage                       7  invalid, expired or damaged
  3  not found                   8  attention: what was looked for was found
  4  exists, or in conflict    130  interrupted; 143 by SIGTERM
`

// kinds is the store's part of the table of kinds and codes.
var kinds = []struct {
	kind error
	code int
}{
	{db.ErrAbsent, exitNotFound},
	{db.ErrNotFound, exitNotFound},
	{db.ErrConflict, exitConflict},
	{db.ErrDenied, exitDenied},
	{fs.ErrNotExist, exitNotFound}, // a file that was named
	{fs.ErrPermission, exitDenied},
	{db.ErrLocked, exitBusy},
	{db.ErrMoved, exitBusy},
	{db.ErrUnavailable, exitBusy},
	{db.ErrUnknown, exitBusy},
	{db.ErrDamaged, exitInvalid},
	{db.ErrNewer, exitInvalid},
}

// exitCode is the one place that chooses it.
func exitCode(err error) int {
	var own *failure
	var answer *api.Error
	var unreachable *api.UnreachableError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &answer):
		return exitOfStatus(answer.Status)
	case errors.Is(err, context.Canceled):
		return exitFailure
	case errors.As(err, &unreachable):
		return exitBusy
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.code
		}
	}
	return exitFailure
}

func exitOfStatus(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict:
		return exitConflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitBusy
	}
	return exitFailure
}
