//go:build attack && !race

package password

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// anonymous returns the process's anonymous memory (RssAnon, proc(5)) in MiB,
// -1 where the kernel does not tell.
func anonymous() int {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, found := strings.Cut(string(status), "RssAnon:")
	var kib int
	if _, err := fmt.Sscanf(after, "%d kB", &kib); !found || err != nil {
		return -1
	}
	return kib >> 10
}

// TestAttackMemory: a flood of real hashes, two at once, stays bounded, and what it
// took goes back to the system.
func TestAttackMemory(t *testing.T) {
	if anonymous() < 0 {
		t.Fatal("the kernel tells no RssAnon")
	}
	h := New(Config{MaxConcurrent: 2, MaxQueue: 200, MaxWait: time.Hour}) // however slow the machine is
	var mu sync.Mutex
	peak := 0
	derive := h.derive
	h.derive = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		tag := derive(password, salt, time, memory, threads, keyLen)
		mu.Lock()
		defer mu.Unlock()
		peak = max(peak, anonymous())
		return tag
	}
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			if err := h.VerifyNobody(t.Context(), Caller{}, "", "correct horse"); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	flooded := anonymous()
	h.tidy()
	idle := anonymous()
	runtime.KeepAlive(h)
	t.Logf("peak %d MiB, after the flood %d MiB, idle %d MiB", peak, flooded, idle)
	if peak > 256 {
		t.Errorf("%d MiB during the flood", peak)
	}
	if idle > 25 {
		t.Errorf("%d MiB when idle", idle)
	}
}
