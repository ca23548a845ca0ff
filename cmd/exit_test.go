package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"husk/db"
	"husk/web/api"
)

// Every kind of failure has its code, however deep it is wrapped.
func TestExitCodes(t *testing.T) {
	for status, want := range map[int]int{
		400: 1, 401: 5, 403: 5, 404: 3, 405: 1, 409: 4, 413: 1, 415: 1, 429: 6, 431: 1, 500: 1, 502: 6, 503: 6, 504: 6, 507: 1,
	} {
		if got := exitCode(fmt.Errorf("ask: %w", &api.Error{Status: status})); got != want {
			t.Errorf("status %d ends with %d, want %d", status, got, want)
		}
	}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{usage("what", "next"), 2},
		{db.ErrAbsent, 3}, {db.ErrNotFound, 3},
		{db.ErrConflict, 4},
		{db.ErrDenied, 5}, {fs.ErrPermission, 5},
		{db.ErrLocked, 6}, {&api.UnreachableError{Err: errors.New("no route")}, 6},
		{&api.UnreachableError{Err: context.Canceled}, 1}, // interrupted
		{db.ErrDamaged, 7}, {db.ErrNewer, 7},
		{&failure{code: exitAttention, what: "found"}, 8},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("do: %w", errors.Join(err, errors.New("and more")))
		}
		if got := exitCode(err); got != c.want {
			t.Errorf("%v ends with %d, want %d", c.err, got, c.want)
		}
	}
}
