package cmd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"

	"golang.org/x/term"
)

// liveLog is a log whose level and format can change. What was derived from it
// changes too.
type liveLog struct {
	*slog.Logger
	out   *steady
	level slog.LevelVar
	base  atomic.Pointer[slog.Handler]
}

func newLiveLog(out io.Writer) *liveLog {
	l := &liveLog{out: newSteady(out)}
	l.set("info", "auto")
	l.Logger = slog.New(&liveHandler{base: &l.base})
	return l
}

// set takes values that were checked as settings.
func (l *liveLog) set(level, format string) {
	var now slog.Level
	_ = now.UnmarshalText([]byte(level))
	l.level.Set(now)
	if format == "auto" {
		format = "json"
		if f, ok := l.out.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "text"
		}
	}
	h := l.handler(l.out, format)
	l.base.Store(&h)
	l.out.tellBy(func(lost int) []byte {
		var text bytes.Buffer
		slog.New(l.handler(&text, format)).Error("lines of this log were lost: its reader is too slow, was stopped, or had no room", "count", lost)
		return text.Bytes()
	})
}

func (l *liveLog) handler(w io.Writer, format string) slog.Handler {
	o := &slog.HandlerOptions{Level: &l.level}
	if format == "text" {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// liveHandler passes on to the base of the moment, with what was added.
type liveHandler struct {
	base  *atomic.Pointer[slog.Handler]
	added []func(slog.Handler) slog.Handler
}

// Enabled implements slog.Handler.
func (h *liveHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return (*h.base.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *liveHandler) Handle(ctx context.Context, r slog.Record) error {
	now := *h.base.Load()
	for _, add := range h.added {
		now = add(now)
	}
	return now.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *liveHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(now slog.Handler) slog.Handler { return now.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *liveHandler) WithGroup(name string) slog.Handler {
	return h.with(func(now slog.Handler) slog.Handler { return now.WithGroup(name) })
}

func (h *liveHandler) with(add func(slog.Handler) slog.Handler) slog.Handler {
	return &liveHandler{h.base, append(slices.Clip(h.added), add)}
}
