package dbtest

import (
	"slices"
	"testing"
)

// first are the first numbers of a sample.
func first(every, n int) (numbers []int) {
	for at := range Sample(every) {
		if numbers = append(numbers, at); len(numbers) == n {
			break
		}
	}
	return numbers
}

// TestSample: the first case, and then one in so many, beginning anywhere; and with
// HUSK_LONG=all each.
func TestSample(t *testing.T) {
	t.Setenv("HUSK_LONG", "")
	begun := map[int]bool{}
	for range 200 {
		got := first(5, 4)
		begun[got[1]] = true
		if got[0] != 1 || got[1] < 2 || got[1] > 6 || got[2] != got[1]+5 || got[3] != got[2]+5 {
			t.Fatalf("one in five is %v", got)
		}
	}
	if len(begun) != 5 {
		t.Errorf("it begins at %v alone", begun)
	}
	t.Setenv("HUSK_LONG", "1")
	if got := first(16, 3); got[2]-got[1] != 4 {
		t.Errorf("with HUSK_LONG it is %v", got)
	}
	t.Setenv("HUSK_LONG", "all")
	if got := first(16, 4); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("all are %v", got)
	}
}

// TestInTurn: one in so many, and over the runs each of them; and with HUSK_LONG=all each.
func TestInTurn(t *testing.T) {
	t.Setenv("HUSK_LONG", "1")
	met := map[int]bool{}
	for range 200 {
		taken, tried := InTurn(3), 0
		for n := range 9 {
			if taken(n) {
				met[n] = true
				tried++
			}
		}
		if tried != 3 {
			t.Fatalf("of nine %d are tried", tried)
		}
	}
	if len(met) != 9 {
		t.Errorf("tried were %v alone", met)
	}
	t.Setenv("HUSK_LONG", "all")
	if taken := InTurn(3); !taken(0) || !taken(1) || !taken(2) {
		t.Error("of all some are left out")
	}
}
