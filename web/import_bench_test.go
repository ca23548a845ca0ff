package web_test

import (
	"runtime"
	"testing"
	"time"

	"husk/web/api"
)

// BenchmarkImportMany imports 100,000 users: it takes memory in proportion to the
// file, and no more than a GiB.
func BenchmarkImportMany(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := newServer(b)
		peak := watchMemory()
		b.StartTimer()
		out, err := s.local.ImportUsers(b.Context(), &lines{n: 100_000}, api.ImportOptions{})
		must(b, err)
		most := peak()
		if out.Created != 100_000 {
			b.Fatalf("%+v", out)
		}
		if most > 1<<30 {
			b.Errorf("the heap grew to %d MiB", most>>20)
		}
		b.ReportMetric(float64(most>>20), "heap-MiB")
	}
}

// watchMemory tells the largest heap that was seen.
func watchMemory() (peak func() uint64) {
	done, most := make(chan struct{}), make(chan uint64, 1)
	go func() {
		var max uint64
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapInuse > max {
				max = m.HeapInuse
			}
			select {
			case <-tick.C:
			case <-done:
				most <- max
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-most }
}
