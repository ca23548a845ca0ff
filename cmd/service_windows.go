package cmd

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// The service manager of Windows starts a program, wants to hear within half a
// minute that it is a service, and tells it when to end. It gives it no terminal, and
// nobody reads what it says: that goes to the event log.

// eventSource is who speaks in the event log 'Application'.
const eventSource = "Husk"

// startPatience is how long the service manager is to wait for READY, in
// milliseconds: an older store is copied and upgraded first.
const startPatience = 10 * 60 * 1000

// runUntilTold runs a command until a signal, or the service manager, ends it.
func (a *app) runUntilTold(args []string) int {
	if service, err := svc.IsWindowsService(); err != nil || !service {
		return a.run(a.untilSignal(), args)
	}
	log, err := eventlog.Open(eventSource)
	if err == nil {
		defer log.Close()
		a.stderr = &eventWriter{log: log}
	}
	a.stdin = bytes.NewReader(nil)
	s := &windowsService{app: a, args: args, ready: make(chan struct{})}
	a.tellService = s.told
	if err := svc.Run("", s); err != nil {
		return exitFailure
	}
	return s.code
}

// windowsService is a command that the service manager has started: serve, unless
// somebody made a service of another one.
type windowsService struct {
	*app
	args  []string
	ready chan struct{}
	once  sync.Once
	code  int
}

// told hears what a server tells its manager; see systemd.go.
func (s *windowsService) told(state string) {
	if strings.Contains(state, "READY=1") {
		s.once.Do(func() { close(s.ready) })
	}
}

// Execute implements svc.Handler. It ends when the command has ended, and not before:
// the manager ends the process then.
func (s *windowsService) Execute(_ []string, asked <-chan svc.ChangeRequest, changes chan<- svc.Status) (own bool, code uint32) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	state := svc.Status{State: svc.StartPending, WaitHint: startPatience}
	changes <- state
	done := make(chan int, 1)
	go func() {
		code := exitFailure
		_ = s.guard(func() error { code = s.run(ctx, s.args); return nil })
		done <- code
	}()
	ready := s.ready
	for {
		select {
		case <-ready:
			ready = nil
			state = svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
			changes <- state
		case r := <-asked:
			if r.Cmd == svc.Stop || r.Cmd == svc.Shutdown {
				state = svc.Status{State: svc.StopPending, WaitHint: uint32(handoverPatience.Milliseconds())}
				cancel(&interruption{syscall.SIGTERM})
			}
			changes <- state
		case s.code = <-done:
			return s.code != 0, uint32(s.code)
		}
	}
}

// eventWriter writes each line as an event of its kind.
type eventWriter struct{ log *eventlog.Log }

// eventID is that of all events: what they are is said in words.
const eventID = 1

// Write implements io.Writer.
func (w *eventWriter) Write(p []byte) (int, error) {
	text := string(bytes.TrimSpace(p))
	if text == "" {
		return len(p), nil
	}
	report := w.log.Info
	switch level := text[:min(len(text), 80)]; {
	case strings.Contains(level, `"level":"ERROR"`), strings.HasPrefix(text, "husk:"):
		report = w.log.Error
	case strings.Contains(level, `"level":"WARN"`):
		report = w.log.Warning
	}
	// A string of an event has no zero in it, and at most 31,839 characters.
	text = strings.ReplaceAll(text, "\x00", " ")
	if len(text) > 31_000 {
		text = strings.ToValidUTF8(text[:31_000], "")
	}
	return len(p), report(eventID, text)
}
