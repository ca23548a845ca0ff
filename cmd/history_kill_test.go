//go:build unix

package cmd

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
)

const (
	killClients = 8
	kills       = 6   // always
	killsLong   = 24  // with HUSK_LONG
	killsWhole  = 100 // with HUSK_LONG=all
	killsRace   = 10  // with HUSK_LONG and the race detector: each has all clients at work at once

	mostBetweenKills = 200 // acknowledged operations
)

// TestKill kills a server again and again while clients change everything that
// can be changed, as it starts and as it stops, and looks each time whether all
// that was ever acknowledged holds, on the same folder.
//
// HUSK_SEED is the seed of a run that is to be done again: the clients then ask
// for the same, and the kills come after as many answers. Which of the requests
// of that moment are in the commit is up to the machine.
func TestKill(t *testing.T) {
	dbtest.TakesLong(t, "a server that is used and killed, again and again")
	t.Parallel()
	tries := kills
	switch {
	case dbtest.Race && dbtest.Long():
		tries = killsRace
	case dbtest.Whole():
		tries = killsWhole
	case dbtest.Long():
		tries = killsLong
	}
	k := newKiller(t)
	k.settleIn()
	tally := &dbtest.Tally{Kind: "kill"}
	for range tries {
		if faults := k.cycle(); len(faults) == 0 {
			tally.Survived()
		} else {
			tally.Lost()
			t.Errorf("HUSK_SEED=%d, after kill %d:\n%s", k.seed, k.round, strings.Join(faults[:min(len(faults), 20)], "\n"))
		}
	}
	if faults := k.last(); len(faults) > 0 {
		t.Errorf("HUSK_SEED=%d, in the end:\n%s", k.seed, strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
	acknowledged, unknown := k.counts()
	tally.Set("acknowledged", acknowledged)
	tally.Set("unanswered", unknown)
	tally.Set("longest_open", k.longest.Round(time.Millisecond))
	tally.Report(t)
}

// killer is a history with the servers that it was written with.
type killer struct {
	*history
	t       *testing.T
	rand    *rand.Rand
	program program
	args    []string
	server  *server
	longest time.Duration // from the start of a server until it is ready
}

func newKiller(t *testing.T, args ...string) *killer {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("HUSK_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatalf("HUSK_SEED: %v", err)
	}
	t.Logf("HUSK_SEED=%d", seed)
	p := program{data: newData(t)}
	admin := p.ok(t, "token", "create", "--name", "history", "--expires", "never")
	program{data: p.data, stdin: "the administrator's password\n"}.ok(t, "passwd", "--password-stdin")
	return &killer{
		history: newHistory(seed, killClients, admin), t: t, rand: rand.New(rand.NewPCG(seed, 0)), program: p,
		// Wrong passwords are asked for on purpose.
		args: append([]string{"--login-attempts", "100", "--login-address-attempts", "1000000", "--login-delay", "1ms", "--login-max-delay", "1ms"}, args...),
	}
}

// open starts a server and waits until it is ready.
func (k *killer) open() {
	k.t.Helper()
	began := time.Now()
	k.server = k.program.serve(k.t, k.args...)
	answer, err := http.Get(k.server.url() + "/readyz")
	if err != nil {
		k.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		k.t.Fatalf("it is not ready: %s\n%s", answer.Status, &k.server.log)
	}
	k.longest = max(k.longest, time.Since(began))
}

// settleIn makes the users with a password, one for each client, which takes a
// while: what is killed later is mostly commits.
func (k *killer) settleIn() {
	k.open()
	defer k.server.end()
	k.begin(k.server.url())
	k.each(func(w *historyClient) {
		for len(w.faults) == 0 && (w.own == nil || len(w.own.sessions) == 0) {
			w.step()
		}
	})
}

// cycle is one kill and what is found after it.
func (k *killer) cycle() (faults []string) {
	k.open()
	k.begin(k.server.url())
	from := k.round
	if k.rand.IntN(5) > 0 {
		k.killUnderLoad()
	} else {
		k.server.end() // and the next one is killed before it serves
		k.server = k.program.start(k.t, k.args...)
		k.wait(time.Duration(k.rand.Int64N(int64(max(k.longest, time.Millisecond)))))
		k.server.kill()
	}
	if r := k.program.run(k.t, "check"); r.code != exitDone {
		faults = append(faults, fmt.Sprintf("husk check: %v", r))
	}
	k.open()
	k.each(func(w *historyClient) { w.connect(k.server.url()) })
	faults = append(faults, k.check(from, 20)...)
	k.server.kill() // what is asked is not waited for either
	return faults
}

// killUnderLoad lets the clients work and kills the server after some of it, or
// a moment after it was told to stop.
func (k *killer) killUnderLoad() {
	var end atomic.Bool
	var working sync.WaitGroup
	working.Go(func() { k.each(func(w *historyClient) { w.work(&end) }) })
	working.Go(func() { k.followHead(k.server.url(), &end) })
	enough := k.acks.Load() + k.rand.Int64N(mostBetweenKills)
	for deadline := time.Now().Add(patience); k.acks.Load() < enough && time.Now().Before(deadline); {
		k.wait(100 * time.Microsecond)
	}
	k.wait(time.Duration(k.rand.Int64N(int64(2 * time.Millisecond)))) // some commits are at work
	if k.rand.IntN(4) == 0 {
		_ = k.server.cmd.Process.Signal(syscall.SIGTERM)
		k.wait(time.Duration(k.rand.Int64N(int64(20 * time.Millisecond))))
	}
	k.server.kill()
	end.Store(true)
	working.Wait()
}

// wait lets time pass: the moment of a kill is not that of anything that the
// server does.
func (k *killer) wait(d time.Duration) { <-time.After(d) }

// last looks at everything once more.
func (k *killer) last() (faults []string) {
	k.open()
	defer k.server.end()
	k.begin(k.server.url())
	return append(k.check(0, 0), k.checkAudit(k.t)...)
}
