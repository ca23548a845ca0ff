package cmd

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"os"

	"golang.org/x/term"
)

// liveLog is a log whose level and format can change. What was derived from it
// changes too.
type liveLog struct {
	*slog.Logger
	out        *steady
	text, json slog.LevelVar // of each format; noLevel: it is not in use
}

// noLevel is above that of any line.
const noLevel = slog.Level(math.MaxInt)

func newLiveLog(out io.Writer) *liveLog {
	l := &liveLog{out: newSteady(out)}
	l.set("info", "auto")
	l.out.tell = func(lost int) []byte {
		var line bytes.Buffer
		l.logger(&line).Error("lines of this log were lost: its reader is too slow, was stopped, or had no room; look at what collects the log, and at its disk", "count", lost)
		return line.Bytes()
	}
	l.Logger = l.logger(l.out)
	return l
}

func (l *liveLog) logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(w, &slog.HandlerOptions{Level: &l.text}), slog.NewJSONHandler(w, &slog.HandlerOptions{Level: &l.json})))
}

// set takes values that were checked as settings. A line that is written while
// the format changes stands in both of them sooner than in none.
func (l *liveLog) set(level, format string) {
	var now slog.Level
	_ = now.UnmarshalText([]byte(level))
	used, unused := &l.json, &l.text
	if format == "text" || format == "auto" && l.onTerminal() {
		used, unused = unused, used
	}
	used.Set(now)
	unused.Set(noLevel)
}

func (l *liveLog) onTerminal() bool {
	f, ok := l.out.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
