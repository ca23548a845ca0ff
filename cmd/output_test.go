package cmd

import (
	"bytes"
	"errors"
	"testing"

	"husk/web/api"
)

// hitsOf yields values, and then an error where there is one.
func hitsOf[T any](values []T, err error) func(func(api.Hit[T], error) bool) {
	return func(yield func(api.Hit[T], error) bool) {
		for _, v := range values {
			if !yield(api.Hit[T]{Source: v}, nil) {
				return
			}
		}
		if err != nil {
			yield(api.Hit[T]{}, err)
		}
	}
}

// A list that is written as it comes is written as the whole of it would be.
func TestArrayAsItComes(t *testing.T) {
	type item struct {
		Name  string   `json:"name"`
		Items []string `json:"items"`
	}
	for _, items := range [][]item{{}, {{"a", nil}}, {{"<&>", []string{"x", "y"}}, {"b", []string{}}, {"c", nil}}} {
		var whole, come bytes.Buffer
		if err := (&app{stdout: &whole}).printJSON(items); err != nil {
			t.Fatal(err)
		}
		if err := printArray(&app{stdout: &come}, hitsOf(items, nil)); err != nil || come.String() != whole.String() {
			t.Errorf("%q, want %q: %v", &come, &whole, err)
		}
	}
	failed := errors.New("no page")
	var out bytes.Buffer
	if err := printArray(&app{stdout: &out}, hitsOf([]item{}, failed)); !errors.Is(err, failed) || out.Len() != 0 {
		t.Errorf("without a first page: %v, %q", err, &out)
	}
}

// A list is not in memory: what came first is written long before the last.
func TestArrayIsNotHeld(t *testing.T) {
	var out bytes.Buffer
	most := 0
	hits := func(yield func(api.Hit[int], error) bool) {
		for i := range 100_000 {
			if !yield(api.Hit[int]{Source: i}, nil) {
				return
			}
			most = max(most, i*4-out.Len())
		}
	}
	if err := printArray(&app{stdout: &out}, hits); err != nil {
		t.Fatal(err)
	}
	if most > 64<<10 {
		t.Errorf("%d bytes were held", most)
	}
}
