package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/logtest"
)

// watched is an Upkeep with a disk that can fail and clocks that can be set.
type watched struct {
	*Upkeep
	t      *testing.T
	engine *bolttest.Faulty
	bolttest.Clocks
	log *logtest.Buffer
}

func newWatched(t *testing.T, change func(*Config)) *watched {
	t.Helper()
	w := &watched{t: t, log: &logtest.Buffer{}}
	store, disk := bolttest.Watched(t, &w.Clocks)
	w.engine = disk
	config := Config{Store: store, Log: slog.New(slog.NewTextHandler(w.log, nil))}
	if change != nil {
		change(&config)
	}
	w.Upkeep = New(config)
	return w
}

// pass lets time go by.
func (w *watched) pass(d time.Duration) {
	w.Mono.Add(int64(d))
	w.Wall.Add(int64(d))
}

// begin makes it one that runs, without the goroutines of Run.
func (w *watched) begin() {
	w.t.Helper()
	w.running.Store(true)
	w.noteHeader()
	w.watch(w.t.Context())
}

// until waits for a condition that another goroutine or process brings about.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come about in 20 s")
		}
	}
}

// hear puts a queue that nobody empties in the place of the program's.
func (w *watched) hear() {
	w.watcher.notify = &notifier{log: w.Upkeep.Log, waiting: make(chan notice, notifyWaiting)}
}

// told returns the events since the last time.
func (w *watched) told() (kinds []string) {
	for {
		select {
		case e := <-w.watcher.notify.waiting:
			kinds = append(kinds, e.Event)
		default:
			return kinds
		}
	}
}

func (w *watched) token(name string, expires time.Duration) string {
	w.t.Helper()
	sum := [32]byte{byte(len(name))}
	id := fmt.Sprintf("0d3b1b52-37ad-4a05-8a0c-%012x", []byte(name))
	_, err := w.Store.CreateToken(w.t.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions},
		db.NewToken{ID: id, Hash: sum[:], Name: name, Expires: w.Store.Now().Add(expires).Unix()})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// While one tries, the others wait for it; those who have no patience left, and
// those who come for a disk that hangs, are told so.
func TestOneProofAtATime(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.engine.Hold = make(chan struct{})
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if err := w.Prove(context.Background()); err != nil {
				t.Errorf("Prove = %v", err)
			}
		})
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if err := w.Prove(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("one who left got %v", err)
	}
	close(w.engine.Hold)
	asking.Wait()
	if n := w.engine.Updates.Load(); n != 1 {
		t.Errorf("%d writes at once", n)
	}
}

// Whoever asks first may leave: the result is for all.
func TestTheFirstWhoAsksMayLeave(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	gone, leave := context.WithCancel(t.Context())
	leave()
	_ = w.Prove(gone)
	if err := w.Prove(t.Context()); err != nil {
		t.Errorf("the next one got %v", err)
	}
	if n := w.engine.Updates.Load(); n != 1 {
		t.Errorf("%d writes", n)
	}
}

func TestADiskThatHangs(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.proofPatience = time.Nanosecond
	w.engine.Hold = make(chan struct{})
	for range 2 {
		if err := w.Prove(t.Context()); !errors.Is(err, errSlowWrite) || !strings.Contains(WriteWarning(err).Text, "takes longer") {
			t.Errorf("Prove = %v", err)
		}
	}
	w.proof.mu.Lock()
	running := w.proof.running
	w.proof.mu.Unlock()
	close(w.engine.Hold)
	<-running
	if err := w.Prove(t.Context()); err != nil {
		t.Errorf("Prove stays %v", err)
	}
	if n := w.engine.Updates.Load(); n != 1 {
		t.Errorf("%d writes to a disk that hangs", n)
	}
}

// markTime makes the store keep the time, as the sweep does.
func (w *watched) markTime() {
	w.t.Helper()
	w.pass(time.Hour)
	if _, err := w.Store.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestExpiringTokensAreToldDaily(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.hear()
	w.token("late", 100*24*time.Hour)
	w.pass(tellEvery) // the look at the start saw none
	w.watch(t.Context())
	if got := w.told(); got != nil {
		t.Errorf("none expires, and told %v", got)
	}
	id := w.token("soon", 3*24*time.Hour)
	for range 26 * 60 { // a day and two hours, each minute
		w.pass(time.Minute)
		w.watch(t.Context())
	}
	if got := w.told(); len(got) != 1 || got[0] != eventTokens {
		t.Errorf("in a day it told %v", got)
	}
	if n := w.log.Count("API tokens expire within 30 days"); n != 1 {
		t.Errorf("%d lines in a day:\n%s", n, w.log)
	}
	if !strings.Contains(w.log.String(), id+" (soon)") || strings.Contains(w.log.String(), "(late)") {
		t.Errorf("the log does not name the one token:\n%s", w.log)
	}
}

func TestOnlyTheFirstFewAreNamed(t *testing.T) {
	w := newWatched(t, nil)
	for i := range 9 {
		w.token(string(rune('a'+i)), time.Duration(i+1)*time.Hour)
	}
	w.hear()
	w.watch(t.Context())
	e := <-w.watcher.notify.waiting
	if e.Count != 9 || len(e.Tokens) != 5 || e.Tokens[0].Name != "a" || e.Tokens[4].Name != "e" {
		t.Errorf("%+v", e)
	}
	if strings.Contains(w.log.String(), "(f)") || !strings.Contains(w.log.String(), "count=9") {
		t.Errorf("the log:\n%s", w.log)
	}
}

func TestACertificateThatExpiresIsTold(t *testing.T) {
	var ends time.Time
	w := newWatched(t, func(c *Config) { c.CertExpiry = func() time.Time { return ends } })
	w.begin()
	w.hear()
	now := w.Store.Now()
	for i, step := range []struct {
		ends time.Duration
		pass time.Duration
		want int
	}{
		{31 * 24 * time.Hour, 0, 0},
		{29 * 24 * time.Hour, 0, 1},
		{29 * 24 * time.Hour, time.Hour, 0},
		{29 * 24 * time.Hour, 24 * time.Hour, 1},
		{90 * 24 * time.Hour, 0, 0}, // renewed
		{20 * 24 * time.Hour, 0, 0}, // the old one again: at most hourly
		{90 * 24 * time.Hour, 0, 0}, //
		{20 * 24 * time.Hour, 2 * time.Hour, 1},
	} {
		w.pass(step.pass)
		ends = now.Add(step.ends)
		w.watch(t.Context())
		if got := w.told(); len(got) != step.want {
			t.Errorf("step %d told %v, want %d", i, got, step.want)
		}
	}
}

func TestFaultsOfTheStoreAreTold(t *testing.T) {
	for kind, err := range map[string]error{eventFull: &db.Error{Kind: db.ErrFull}, eventDisk: &db.Error{Kind: db.ErrDisk}, eventDamaged: &db.Error{Kind: db.ErrDamaged}} {
		t.Run(kind, func(t *testing.T) {
			w := newWatched(t, nil)
			w.begin()
			w.hear()
			w.watch(t.Context())
			w.engine.Fail(err)
			w.NoteUse()
			w.flush(t.Context())
			w.watch(t.Context())
			if got := w.told(); len(got) != 1 || got[0] != kind {
				t.Errorf("told %v", got)
			}
			w.pass(time.Minute)
			w.flush(t.Context())
			w.watch(t.Context())
			if got := w.told(); got != nil {
				t.Errorf("told again: %v", got)
			}
			w.engine.Fail(nil)
			w.pass(2 * tellEvery)
			w.watch(t.Context())
			if got := w.told(); got != nil {
				t.Errorf("told of what has ended: %v", got)
			}
		})
	}
}

// NoteUse leaves something to flush.
func (w *watched) NoteUse() { w.Store.NoteRefusal(&db.Actor{}, "session.login", db.NoTarget) }

func TestAClockThatIsSetBackIsTold(t *testing.T) {
	w := newWatched(t, nil)
	w.begin()
	w.hear()
	w.markTime()
	w.watch(t.Context())
	w.Wall.Add(-int64(time.Hour))
	shows, held := time.Unix(0, w.Wall.Load()).UTC().Format(time.RFC3339), w.Store.Now().Format(time.RFC3339)
	w.watch(t.Context())
	w.sweep(t.Context())
	w.pass(time.Minute)
	w.watch(t.Context())
	e := <-w.watcher.notify.waiting
	if got := w.told(); e.Event != eventClock || len(got) != 0 {
		t.Errorf("told %v, and %v", e, got)
	}
	// Both times are told: what the clock shows, and what is held to be true.
	for _, text := range []string{e.Message, w.log.String()} {
		if !strings.Contains(text, "set back by 1h0m0s: it shows "+shows) || !strings.Contains(text, held) || shows == held {
			t.Errorf("%q tells not both %s and %s", text, shows, held)
		}
	}
}

// Who has far too many API tokens is named in the log, once a day, and nowhere
// else.
func TestHoardsAreTold(t *testing.T) {
	w := newWatched(t, func(c *Config) { c.MaxTokens = 1 })
	w.begin()
	if all := w.HoardWarnings(); all != nil {
		t.Errorf("of nobody: %v", all)
	}
	for i := range 11 {
		w.token(fmt.Sprint("token ", i), time.Hour)
	}
	w.watch(t.Context())
	if all := w.HoardWarnings(); all != nil {
		t.Errorf("they were counted again at once: %v", all)
	}
	for range 3 {
		w.pass(hoardsEvery)
		w.watch(t.Context())
	}
	all := w.HoardWarnings()
	if len(all) != 1 || all[0].Code != "many_tokens" || !strings.Contains(all[0].Text, "has 11") || all[0].Values["most"] != "11" || all[0].Values["owners"] != "1" || all[0].Values["times"] != "10" || strings.Contains(all[0].Text, db.SingleUser) {
		t.Errorf("11 tokens of 1: %v", all)
	}
	if n := w.log.Count("user=" + db.SingleUser); n != 1 {
		t.Errorf("the log names the user %d times:\n%s", n, w.log)
	}
}

// Who makes far too many changes is named in the log, once a day.
func TestExcessIsTold(t *testing.T) {
	user := ""
	w := newWatched(t, func(c *Config) { c.Excess = func() string { return user } })
	w.begin()
	if w.log.String() != "" {
		t.Errorf("of nobody:\n%s", w.log)
	}
	user = "the-id"
	for range 25 {
		w.pass(time.Hour)
		w.watch(t.Context())
	}
	if n := w.log.Count("user=the-id"); n != 2 {
		t.Errorf("the log names the user %d times in 25 hours:\n%s", n, w.log)
	}
}

// The page lists every event and every word that a warning can have.
func TestEveryEventIsListed(t *testing.T) {
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{eventTokens, eventCertificate, eventClock, eventDamaged, eventFull, eventDisk, eventMoved, eventBackup, "store_slow", "write_refused", "store_header", "many_tokens"} {
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("docs/monitoring.md does not tell of %s", word)
		}
	}
}

// Where no server runs there is no Upkeep, and nothing is known.
func TestNothingIsKnownOfNoServer(t *testing.T) {
	var none *Upkeep
	if err := none.Prove(t.Context()); !errors.Is(err, ErrNotProved) {
		t.Errorf("Prove = %v", err)
	}
	every, figures := none.LastBackups()
	if none.Damaged() || every != 0 || figures != (BackupFigures{}) || len(none.StoreWarnings(ErrNotProved))+len(none.BackupWarnings())+len(none.HoardWarnings()) > 0 {
		t.Errorf("it knows of backups %v each %v, of %v", figures, every, none.StoreWarnings(ErrNotProved))
	}
}
