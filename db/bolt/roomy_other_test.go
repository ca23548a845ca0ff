//go:build !windows

package bolt

import "testing"

// roomy makes a store that can grow beside its readers.
func roomy(t *testing.T) string {
	t.Helper()
	return create(t)
}
