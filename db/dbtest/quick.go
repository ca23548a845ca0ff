package dbtest

import (
	"iter"
	"math/rand/v2"
	"os"
	"testing"
)

// Long tells that tests take their time: HUSK_LONG is set.
func Long() bool { return os.Getenv("HUSK_LONG") != "" }

// Whole tells that HUSK_LONG=all wants every case of what is otherwise tried in a
// sample: what the tables of docs/reliability.md are made of.
func Whole() bool { return os.Getenv("HUSK_LONG") == "all" }

// Sample yields the numbers of the cases to try, from 1 on and without an end: the first,
// and then each every-th, beginning at another one in each run, so that what a run leaves
// out the next ones take. With HUSK_LONG they are four times as close, with HUSK_LONG=all
// there is none between.
func Sample(every int) iter.Seq[int] {
	switch {
	case Whole():
		every = 1
	case Long():
		every = (every + 3) / 4
	}
	return func(yield func(int) bool) {
		if !yield(1) {
			return
		}
		for n := 2 + rand.IntN(every); yield(n); n += every {
		}
	}
}

// InTurn tells of the n-th of several cases whether this run tries it: one in so many,
// others in each run; all with HUSK_LONG=all. Numbers that follow one another take turns.
func InTurn(of int) func(n int) bool {
	if Whole() {
		of = 1
	}
	first := rand.IntN(of)
	return func(n int) bool { return (n+first)%of == 0 }
}

// TakesVeryLong leaves a test to those who have the time, which HUSK_LONG says: go
// test has three minutes. Where CI=true, it leaves out nothing, but under the race
// detector, where HUSK_LONG alone decides: most of what takes so long are other processes,
// of which a detector in this one sees nothing.
func TakesVeryLong(t testing.TB, what string) {
	t.Helper()
	if !Long() && (os.Getenv("CI") != "true" || Race) {
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
