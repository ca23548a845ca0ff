//go:build soak

package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
)

// What a server may have more, after its load, than before it. A leak would
// grow with the load, and that is thousands of requests.
const (
	moreGoroutines  = 8
	moreDescriptors = 8
	moreMemory      = 48.0  // MB
	mostMemory      = 256.0 // MB, at any time
	// The file may be so many times as large as what is in it, and so much
	// larger, for what was written during backups.
	mostGrowth, moreGrowth = 3, 16 << 20
)

// TestSoak mixes everything for a while: what clients change, backups, checks
// and reloads beside the server, kills, restarts, and beside no server
// compaction, backup and restore. All that was acknowledged holds all the time,
// and nothing grows that should not.
//
//	go test -tags soak ./cmd -run Soak -v -timeout 1h
//
// HUSK_SOAK is how long, 3m where it is not set; HUSK_SEED as in TestKill.
func TestSoak(t *testing.T) {
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("HUSK_SOAK"), "3m"))
	if err != nil {
		t.Fatalf("HUSK_SOAK: %v", err)
	}
	s := &soak{killer: newKiller(t, "--metrics-addr", "127.0.0.1:0"), tally: &dbtest.Tally{Kind: "soak"}}
	s.settleIn()
	phase := min(max(lasts/8, 2*time.Second), 30*time.Second)
	for deadline := time.Now().Add(lasts); time.Now().Before(deadline) && !t.Failed(); {
		s.phase(phase)
	}
	s.tally.Set("kills", s.kills)
	s.tally.Set("backups", s.backups.Load())
	s.tally.Set("compactions", s.compactions)
	s.tally.Set("restores", s.restores)
	s.note(s.last(), "in the end")
	s.growth()
	acknowledged, unknown := s.counts()
	s.tally.Set("acknowledged", acknowledged)
	s.tally.Set("unanswered", unknown)
	s.tally.Set("most_memory", fmt.Sprintf("%.0fMB", s.memory))
	s.tally.Set("more_goroutines", s.goroutines)
	s.tally.Set("more_descriptors", s.descriptors)
	s.tally.Set("longest_open", s.longest.Round(time.Millisecond))
	s.tally.Report(t)
}

type soak struct {
	*killer
	tally       *dbtest.Tally
	backups     atomic.Int64
	kills       int
	compactions int
	restores    int

	memory                  float64 // the most there ever was, in MB
	goroutines, descriptors int     // the most there were more after a load
}

// note counts a phase as survived, or tells what does not hold.
func (s *soak) note(faults []string, when string) {
	if len(faults) == 0 {
		s.tally.Survived()
		return
	}
	s.tally.Lost()
	s.t.Errorf("HUSK_SEED=%d, %s:\n%s", s.seed, when, strings.Join(faults[:min(len(faults), 20)], "\n"))
}

// phase is the life of one server, and what is done to its store after it.
func (s *soak) phase(lasts time.Duration) {
	s.open()
	s.begin(s.server.url())
	from := s.round
	s.load(min(time.Second, lasts/4)) // what is kept for good is made now
	before := s.measure(func(held) bool { return true })
	s.load(lasts)
	after := s.measure(func(now held) bool {
		return now.goroutines <= before.goroutines+moreGoroutines && now.descriptors <= before.descriptors+moreDescriptors && now.memory <= before.memory+moreMemory
	})
	s.goroutines, s.descriptors = max(s.goroutines, after.goroutines-before.goroutines), max(s.descriptors, after.descriptors-before.descriptors)
	if s.memory > mostMemory {
		s.t.Errorf("%.0f MB of memory", s.memory)
	}
	if s.round%2 == 0 {
		s.kills++
		s.killUnderLoad()
	} else {
		s.stopUnderLoad()
	}
	s.offline()
	s.open()
	s.each(func(w *historyClient) { w.connect(s.server.url()) })
	s.note(s.check(from, 50), fmt.Sprintf("after round %d", s.round))
	s.server.end()
}

// load lets the clients work for a while, beside whoever administers.
func (s *soak) load(lasts time.Duration) {
	var end atomic.Bool
	var working sync.WaitGroup
	working.Go(func() { s.each(func(w *historyClient) { w.work(&end) }) })
	working.Go(func() { s.followHead(s.server.url(), &end) })
	working.Go(func() {
		for !end.Load() {
			s.beside()
		}
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < lasts; <-tick.C {
		s.memory = max(s.memory, anonymous(s.t, s.server.cmd.Process.Pid))
	}
	end.Store(true)
	working.Wait()
	for _, w := range s.clients {
		w.transport.CloseIdleConnections()
		if w.doubt != nil {
			s.t.Errorf("%s was not answered %s\n%s", w.name, w.doubt.action, &s.server.log)
		}
	}
}

// beside is what an administrator does beside the server.
func (s *soak) beside() {
	copied := filepath.Join(s.program.data, "soak.tar")
	s.program.want(s.t, exitDone, "backup", "--output", copied)
	s.backups.Add(1)
	_ = os.Remove(copied)
	s.program.want(s.t, exitDone, "check")
	s.program.want(s.t, exitDone, "audit", "verify")
	_ = s.server.cmd.Process.Signal(syscall.SIGHUP)
}

// stopUnderLoad ends the server as a service manager does, in the middle of
// the load: it is gone within its bound.
func (s *soak) stopUnderLoad() {
	var end atomic.Bool
	var working sync.WaitGroup
	working.Go(func() { s.each(func(w *historyClient) { w.work(&end) }) })
	s.wait(time.Duration(s.rand.Int64N(int64(300 * time.Millisecond))))
	if code, took := s.server.stop(syscall.SIGTERM); code != exitDone || took > 12*time.Second {
		s.t.Errorf("the server ended with %d after %v:\n%s", code, took, &s.server.log)
	}
	end.Store(true)
	working.Wait()
}

// offline is what is done while no server runs: each thing in its turn.
func (s *soak) offline() {
	s.program.want(s.t, exitDone, "check")
	switch s.round % 3 {
	case 0:
		s.program.want(s.t, exitDone, "compact")
		s.compactions++
	case 1: // the same comes back
		copied := filepath.Join(s.t.TempDir(), "husk.tar")
		s.program.want(s.t, exitDone, "backup", "--output", copied)
		s.program.want(s.t, exitDone, "restore", copied)
		s.restores++
		_ = os.Remove(filepath.Join(s.program.data, "husk.db.before-restore"))
	}
}

// growth compares the file with what is in it.
func (s *soak) growth() {
	path := filepath.Join(s.program.data, embedded.file)
	size := func() int64 {
		n, err := fileSize(path)
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	grown := size()
	s.program.want(s.t, exitDone, "compact")
	content := size()
	s.tally.Set("file", fmt.Sprintf("%.1fMB", float64(grown)/(1<<20)))
	s.tally.Set("compacted", fmt.Sprintf("%.1fMB", float64(content)/(1<<20)))
	if grown > mostGrowth*content+moreGrowth {
		s.t.Errorf("the file has %d bytes, and %d are in it", grown, content)
	}
}

// held is what a server holds.
type held struct {
	goroutines, descriptors int
	memory                  float64 // anonymous, in MB
}

// measure returns what the server holds once it is enough that it holds.
func (s *soak) measure(enough func(held) bool) (now held) {
	s.t.Helper()
	metrics := s.metricsURL()
	for deadline := time.Now().Add(patience); ; s.wait(100 * time.Millisecond) {
		text := s.scrape(metrics)
		now = held{int(gauge(s.t, text, "go_goroutines")), int(gauge(s.t, text, "process_open_fds")), anonymous(s.t, s.server.cmd.Process.Pid)}
		if enough(now) {
			return now
		}
		if time.Now().After(deadline) {
			s.t.Errorf("after its load the server goes on to hold %+v", now)
			return now
		}
	}
}

func (s *soak) metricsURL() string {
	_, rest, ok := strings.Cut(s.server.log.String(), `"metrics_addr":"`)
	addr, _, _ := strings.Cut(rest, `"`)
	if !ok {
		s.t.Fatalf("it does not say where the metrics are:\n%s", &s.server.log)
	}
	return "http://" + addr + "/metrics"
}

func (s *soak) scrape(url string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// gauge reads the one sample of a name.
func gauge(t testing.TB, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	if name == "process_open_fds" && runtime.GOOS != "linux" {
		return 0 // not told there
	}
	t.Fatalf("the metrics have no %s", name)
	return 0
}
