package upkeep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os/exec"
	"time"

	"husk/web/folder"
)

const (
	notifyTimeout = 30 * time.Second
	notifyWaiting = 16      // events; more are dropped, and counted in the log
	notifyOutput  = 1 << 10 // bytes of its output that the log may show
)

// notifier runs a program for each event, one at a time.
type notifier struct {
	path    string
	log     *slog.Logger
	timeout time.Duration
	waiting chan notice
	failing bool // the log has told so
}

func newNotifier(path string, log *slog.Logger) *notifier {
	return &notifier{path: path, log: log, timeout: notifyTimeout, waiting: make(chan notice, notifyWaiting)}
}

// send never waits.
func (n *notifier) send(e notice) {
	select {
	case n.waiting <- e:
	default:
		n.log.Warn("the notify-command is too slow: this event was not passed on, and only this log has it", "path", n.path, "event", e.Event, "message", e.Message)
	}
}

// run passes on events until ctx ends.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.waiting:
			output, err := n.exec(ctx, e)
			if ctx.Err() == nil {
				n.tell(e, output, err)
			}
		}
	}
}

// exec runs the program with the event on its standard input: no shell, no
// arguments. It returns the beginning of its output. A program that hangs is
// killed with what it started; what it leaves behind with its output open is
// waited for no longer than a second. It runs as whoever named it.
func (n *notifier) exec(ctx context.Context, e notice) (output string, err error) {
	body, err := json.Marshal(&e)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	var out head
	cmd := exec.CommandContext(ctx, n.path)
	cmd.Stdin = bytes.NewReader(append(body, '\n'))
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	killGroup(cmd)
	if err = folder.AsCaller(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errors.New("it took longer than " + n.timeout.String() + " and was killed")
	}
	return string(out.kept), err
}

// tell logs that the program fails once, until it works again.
func (n *notifier) tell(e notice, output string, err error) {
	switch {
	case err != nil && !n.failing:
		n.log.Error("the notify-command failed, and nobody was told of this event: look at what it says, and run it by hand; further failures are not told until it works again", "path", n.path, "event", e.Event, "error", err, "output", output)
	case err == nil && n.failing:
		n.log.Info("the notify-command works again: events are passed on", "path", n.path)
	}
	n.failing = err != nil
}

// head keeps the beginning of what is written to it and takes the rest, so
// that the writer is not stopped.
type head struct{ kept []byte }

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), notifyOutput-len(h.kept))]...)
	return len(p), nil
}
