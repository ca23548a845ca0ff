// Package logtest keeps what a program logs while tests read it. It is for tests
// alone.
package logtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// Buffer is a log that can be read while others write it. The zero value is one
// that is empty.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Count is how many times a text stands in it.
func (b *Buffer) Count(text string) int { return strings.Count(b.String(), text) }

// WantPanic looks for the one entry of a log about a panic with a value: a line of
// JSON, with the stack of a test of guards.
func WantPanic(t testing.TB, log *Buffer, message, value, about string) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var e struct{ Level, Msg, Panic, Stack string }
		if json.Unmarshal([]byte(line), &e) == nil && strings.Contains(e.Panic, value) {
			if e.Level != "ERROR" || e.Msg != message || !strings.Contains(e.Stack, "guard_test.go") || !strings.Contains(line, about) {
				t.Errorf("the log tells of the panic %q: %s", value, line)
			}
			return
		}
	}
	t.Errorf("the log does not tell of the panic %q:\n%s", value, log)
}
