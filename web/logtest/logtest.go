// Package logtest keeps what a program logs while tests read it. It is for tests
// alone.
package logtest

import (
	"bytes"
	"strings"
	"sync"
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
