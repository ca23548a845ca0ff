package dbtest

import (
	"os"
	"testing"
)

// TakesLong leaves a test out of the quick ones (go test -short), and says what is
// not tried then. Where CI=true says that everything has to run, it leaves out
// nothing.
func TakesLong(t testing.TB, what string) {
	t.Helper()
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skip("left out by -short: " + what)
	}
}
