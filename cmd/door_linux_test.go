package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// waitsForLock waits until a process has the store open, which it has before
// it holds the lock.
func waitsForLock(t *testing.T, pid int, data string) {
	t.Helper()
	eventually(t, "the process opens the store", func() bool {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, entry := range entries {
			target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, entry.Name()))
			if target == filepath.Join(data, embedded.file) {
				return true
			}
		}
		return false
	})
}
