//go:build unix

package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/web/logtest"
)

// script writes an executable shell script.
func script(t *testing.T, dir, body string) string {
	t.Helper()
	path := filepath.Join(dir, "notify")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func newTestNotifier(t *testing.T, body string) (*notifier, *logtest.Buffer, string) {
	t.Helper()
	dir := t.TempDir()
	log := &logtest.Buffer{}
	n := newNotifier(script(t, dir, body), slog.New(slog.NewTextHandler(log, nil)))
	return n, log, dir
}

func TestAProgramGetsTheEventAndNothingElse(t *testing.T) {
	n, _, _ := newTestNotifier(t, `echo "$#"; cat`)
	output, err := n.exec(t.Context(), notice{Event: eventFull, Message: "$(id) `id` ; id"})
	if err != nil {
		t.Fatal(err)
	}
	want := "0\n" + `{"event":"disk_full","time":"0001-01-01T00:00:00Z","message":"$(id) ` + "`id`" + ` ; id"}` + "\n"
	if output != want {
		t.Errorf("got %q, want %q", output, want)
	}
}

func TestAProgramThatReadsNothing(t *testing.T) {
	n, _, _ := newTestNotifier(t, "exit 0")
	if _, err := n.exec(t.Context(), notice{Message: strings.Repeat("x", 1<<20)}); err != nil {
		t.Error(err)
	}
}

func TestOutputIsLimited(t *testing.T) {
	n, _, _ := newTestNotifier(t, "head -c 10000000 /dev/zero | tr '\\0' x; exit 3")
	output, err := n.exec(t.Context(), notice{})
	if err == nil || len(output) != notifyOutput {
		t.Errorf("%d bytes, %v", len(output), err)
	}
}

// What hangs is killed with what it started.
func TestAProgramThatHangsIsKilledWithItsGroup(t *testing.T) {
	n, _, dir := newTestNotifier(t, `cd "$(dirname "$0")"; sleep 1000 & echo $! > pid.part; mv pid.part pid; wait`)
	n.timeout = time.Second
	_, err := n.exec(t.Context(), notice{})
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("exec = %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return gone(pid) })
}

// gone tells whether a process has ended, as a zombie too: nobody may be there
// to bury an orphan.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// The end of the server does not wait for a program that hangs, and is no
// failure of it.
func TestTheEndKillsTheProgram(t *testing.T) {
	n, log, dir := newTestNotifier(t, `cd "$(dirname "$0")"; echo > started; sleep 1000`)
	ctx, stop := context.WithCancel(t.Context())
	n.send(notice{})
	done := make(chan struct{})
	go func() { n.run(ctx); close(done) }()
	until(t, func() bool { _, err := os.Stat(filepath.Join(dir, "started")); return err == nil })
	stop()
	<-done
	if log.String() != "" {
		t.Errorf("the log has %s", log)
	}
}

func TestOneProgramAtATime(t *testing.T) {
	n, log, dir := newTestNotifier(t, `cd "$(dirname "$0")"; mkdir busy || exit 1; cat >> all; rmdir busy`)
	for range 5 {
		n.send(notice{Event: eventFull})
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.run(ctx); close(done) }()
	until(t, func() bool {
		all, _ := os.ReadFile(filepath.Join(dir, "all"))
		return strings.Count(string(all), "\n") == 5 || log.String() != ""
	})
	stop()
	<-done
	if log.String() != "" {
		t.Errorf("the log has %s", log)
	}
}

func TestEventsThatWaitAreBounded(t *testing.T) {
	n, log, _ := newTestNotifier(t, "true")
	for range notifyWaiting + 3 {
		n.send(notice{Event: eventFull})
	}
	if len(n.waiting) != notifyWaiting || log.Count("not passed on") != 3 {
		t.Errorf("%d wait; the log has %s", len(n.waiting), log)
	}
}

func TestAFailureIsToldOnce(t *testing.T) {
	n, log, _ := newTestNotifier(t, "true")
	fault := errors.New("exit status 1")
	for _, err := range []error{nil, fault, fault, fault, nil, nil, fault} {
		n.tell(notice{Event: eventFull}, "some output", err)
	}
	if failed, again := log.Count("level=ERROR"), log.Count("level=INFO"); failed != 2 || again != 1 {
		t.Errorf("failed %d times and worked again %d times:\n%s", failed, again, log)
	}
	if !strings.Contains(log.String(), "some output") {
		t.Errorf("the log does not have its output:\n%s", log)
	}
}

// Run itself looks at the start, proves writes, and passes events to the
// program; it ends with nothing left running.
func TestRunWatches(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "event")
	w := newWatched(t, func(c *Config) {
		c.NotifyCommand = script(t, dir, "cat > "+out+".part && mv "+out+".part "+out)
		c.PublicURL = "https://id.example.com"
	})
	id := w.token("soon", time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	var body []byte
	until(t, func() (found bool) {
		var err error
		body, err = os.ReadFile(out)
		return err == nil
	})
	var e notice
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	if e.Event != eventTokens || e.Count != 1 || e.Tokens[0].ID != id || e.Server != "https://id.example.com" || e.Message == "" || e.Time.IsZero() {
		t.Errorf("%s", body)
	}
	if err := w.Prove(t.Context()); err != nil {
		t.Errorf("Prove = %v", err)
	}
	stop()
	<-done
	if err := w.Prove(t.Context()); !errors.Is(err, ErrNotProved) {
		t.Errorf("after the end Prove = %v", err)
	}
}

// panicOnce is a log that panics at one message, the first time.
type panicOnce struct {
	slog.Handler
	message string
	done    *bool
}

func (h panicOnce) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.message) && !*h.done {
		*h.done = true
		panic("in the log")
	}
	return h.Handler.Handle(ctx, r)
}

// A panic about one event does not keep the next from being told.
func TestPanicInTheNotifier(t *testing.T) {
	w := newWatched(t, func(c *Config) {
		c.Log = slog.New(panicOnce{c.Log.Handler(), "notify-command failed", new(bool)})
		c.NotifyCommand = "/nonexistent/program"
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	w.tell(notice{Event: eventFull})
	w.tell(notice{Event: eventDamaged})
	until(t, func() bool { return w.log.Count("event=store_damaged") > 0 })
	if n := w.log.Count(`level=ERROR msg="panic in the background" job="run the notify-command" panic="in the log"`); n != 1 {
		t.Errorf("the panic is told %d times:\n%s", n, w.log)
	}
	cancel()
	<-ended
}
