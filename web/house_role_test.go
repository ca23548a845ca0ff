package web

import (
	"slices"
	"testing"

	"husk/db"
	"husk/web/console"
)

// The console has words for each permission that the server asks for, and for none that
// it does not.
func TestConsoleKnowsThePermissions(t *testing.T) {
	keys := console.OwnPermissions()
	if want := append([]string{db.PermAll}, db.BuiltinPermissions()...); !slices.Equal(keys, want) {
		t.Errorf("the console has words for\n%q, the server asks for\n%q", keys, want)
	}
}
