package dbtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Tally counts the cases of a test of reliability and prints them as one line
// of a form that does not change: the table of docs/reliability.md is made of
// such lines.
//
//	reliability: kind=kill tried=100 survived=100 refused=0 lost=0 longest_open=62ms
//
// A case is survived where everything that was promised holds, refused where
// Husk clearly says why it does not go on, and lost else. A Tally may be used
// by many goroutines.
type Tally struct {
	Kind string // one word

	mu                      sync.Mutex
	survived, refused, lost int
	names                   []string
	more                    map[string]string
}

// Cases is the Tally of cases that were counted elsewhere.
func Cases(kind string, tried, refused, lost int) *Tally {
	return &Tally{Kind: kind, survived: tried - refused - lost, refused: refused, lost: lost}
}

// Survived, Refused and Lost count one case each.
func (y *Tally) Survived() { y.count(&y.survived) }

// Refused counts a case in which Husk said clearly why it does not go on.
func (y *Tally) Refused() { y.count(&y.refused) }

// Lost counts a case in which something that was promised does not hold.
func (y *Tally) Lost() { y.count(&y.lost) }

// Case counts one that survived, or one in which something was lost.
func (y *Tally) Case(survived bool) {
	if survived {
		y.Survived()
	} else {
		y.Lost()
	}
}

func (y *Tally) count(n *int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	*n++
}

// Set adds a figure, in the order in which they are first set.
func (y *Tally) Set(name string, value any) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.more == nil {
		y.more = map[string]string{}
	}
	if _, ok := y.more[name]; !ok {
		y.names = append(y.names, name)
	}
	y.more[name] = fmt.Sprint(value)
}

// String is the line.
func (y *Tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	pairs := []any{"tried", y.survived + y.refused + y.lost, "survived", y.survived, "refused", y.refused, "lost", y.lost}
	for _, name := range y.names {
		pairs = append(pairs, name, y.more[name])
	}
	return Figures(y.Kind, pairs...)
}

// Figures is such a line of names and values, for what has no cases.
func Figures(kind string, pairs ...any) string {
	var b strings.Builder
	b.WriteString("reliability: kind=" + kind)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, " %v=%v", pairs[i], pairs[i+1])
	}
	return b.String()
}

// Report prints the line, and fails the test where a case was lost or none was
// tried.
func (y *Tally) Report(t testing.TB) {
	t.Helper()
	t.Log(y)
	if y.lost > 0 || y.survived+y.refused == 0 {
		t.Errorf("%s: %d cases lost, %d tried", y.Kind, y.lost, y.survived+y.refused+y.lost)
	}
}
