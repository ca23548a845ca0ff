package cmd

import (
	"context"
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

// TestServeWaitsForACommand starts a server while the store is held.
func TestServeWaitsForACommand(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	_, release := holdStore(t, p.data)
	s := p.start(t)
	waitsForLock(t, s.cmd.Process.Pid, p.data)
	release()
	s.ready()
	p.ok(t, "health")
	s.end()
}

// TestCommandWaitsForACommand starts a command while the store is held.
func TestCommandWaitsForACommand(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	_, release := holdStore(t, p.data)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := p.command(ctx, "token", "list")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitsForLock(t, c.Process.Pid, p.data)
	release()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}
