package cmd

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Of a file that breaks while it is sent the cause is kept, and its end is none.
func TestFailingKeepsTheCause(t *testing.T) {
	broke := errors.New("it broke")
	f := &failing{Reader: io.MultiReader(strings.NewReader("ann"), broken{broke})}
	if read, err := io.ReadAll(f); string(read) != "ann" || !errors.Is(err, broke) {
		t.Errorf("%q, %v", read, err)
	}
	if kept := f.err.Load(); kept == nil || !errors.Is(*kept, broke) {
		t.Errorf("kept: %v", kept)
	}
	whole := &failing{Reader: strings.NewReader("ann")}
	if _, err := io.ReadAll(whole); err != nil || whole.err.Load() != nil {
		t.Errorf("of a whole file: %v, %v", err, whole.err.Load())
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
