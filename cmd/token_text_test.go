package cmd

import (
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// Both an unfinished rotation and the secret of the one before it are told.
func TestOldSecretText(t *testing.T) {
	a := &app{}
	made := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	replaced, begun := &api.PreviousSecret{Ends: made.Unix()}, &api.NextSecret{Made: made, Ends: -1}
	for want, k := range map[string]api.Token{
		"-":            {},
		"valid until ": {Previous: replaced},
		"valid: a rotation of 2030-01-02T03:04:05Z was not finished, rotate again":                               {Next: begun},
		"valid: a rotation of 2030-01-02T03:04:05Z was not finished, rotate again; one before it: valid until 2": {Next: begun, Previous: replaced},
	} {
		if got := a.oldSecretText(k); !strings.HasPrefix(got, want) || k.Previous == nil && got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
