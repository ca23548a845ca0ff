package dbtest

import (
	"os"
	"testing"
)

// TakesVeryLong leaves a test to those who have the time, which HUSK_LONG says: go
// test has three minutes. Where CI=true, it leaves out nothing, but under the race
// detector, where HUSK_LONG alone decides: most of what takes so long are other processes,
// of which a detector in this one sees nothing.
func TakesVeryLong(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("HUSK_LONG") == "" && (os.Getenv("CI") != "true" || Race) {
		t.Skip("left out without HUSK_LONG: " + what)
	}
}

// TakesLong leaves a test out of the quick ones (go test -short), and says what is
// not tried then. Where CI=true says that everything has to run, it leaves out
// nothing.
func TakesLong(t testing.TB, what string) {
	t.Helper()
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skip("left out by -short: " + what)
	}
}

// NoRace leaves a test out where the race detector watches, and says what the
// detector could not see there: a process that is killed before it tells, another
// program, work of one goroutine. The tests without the detector have it always.
func NoRace(t testing.TB, what string) {
	t.Helper()
	if Race {
		t.Skip("left out under the race detector: " + what)
	}
}
