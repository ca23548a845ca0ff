package fold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// folding is a log whose clock stands still.
type folding struct {
	*Log
	at  time.Time
	out bytes.Buffer
}

func newFolding(level slog.Level) *folding {
	f := &folding{at: time.Unix(1_800_000_000, 0)}
	f.Log = New(slog.New(slog.NewJSONHandler(&f.out, &slog.HandlerOptions{Level: level})), func() time.Time { return f.at })
	return f
}

// lines counts what was written since the last call, by message; of those that
// stand for others, also how many these are.
func (f *folding) lines(t *testing.T) (written, folded, tellers int) {
	t.Helper()
	for line := range strings.Lines(f.out.String()) {
		var l struct {
			Msg   string
			Count int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(l.Msg, "more like that") {
			folded, tellers = folded+l.Count, tellers+1
		} else {
			written++
		}
	}
	f.out.Reset()
	return written, folded, tellers
}

// However much comes, from however many: few lines, little memory, and every one
// is accounted for.
func TestFoldsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		level            slog.Level
		source           func(i int) Source
		what             func(i int) string
		written, tellers int // at most
	}{
		"one address": {slog.LevelInfo, func(int) Source { return Source{Address: "192.0.2.1"} }, nil, free, 1},
		"one network": {slog.LevelInfo, func(i int) Source { return Source{Address: fmt.Sprintf("192.0.2.%d", i%256)} }, nil, free, 1},
		"one /64":     {slog.LevelInfo, func(i int) Source { return Source{Address: fmt.Sprintf("2001:db8::%x", i)} }, nil, free, 1},
		"no address":  {slog.LevelInfo, func(int) Source { return Source{Transport: "socket"} }, nil, free, 1},
		"a user":      {slog.LevelInfo, func(i int) Source { return Source{Actor: "ann", Address: fmt.Sprintf("192.0.%d.1", i%256)} }, nil, free, 1},
		"a large network": {slog.LevelInfo, func(i int) Source {
			return Source{Address: fmt.Sprintf("2001:db8:%x:%x::1", i/3>>16, i/3&0xffff)}
		}, nil, maxLines, maxTold + 2},
		"all words differ": {slog.LevelError, func(int) Source { return Source{Address: "192.0.2.1"} }, func(i int) string { return fmt.Sprint(i) }, maxLines, maxTold + 2},
		"who looks close":  {slog.LevelDebug, func(int) Source { return Source{Address: "192.0.2.1"} }, nil, freeDebug, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const all = 20_000
			f := newFolding(slog.LevelDebug)
			for i := range all {
				kind := "invalid_token"
				if c.what != nil {
					kind = c.what(i)
				}
				f.Line(c.level, "request refused", kind, c.source(i))
			}
			if n := max(len(f.strangers.of), len(f.failures.of), len(f.known.of)); n > maxSources+1 {
				t.Errorf("%d sources are kept", n)
			}
			written, _, _ := f.lines(t)
			f.at = f.at.Add(every)
			f.Line(c.level, "request refused", "invalid_token", c.source(0))
			again, folded, tellers := f.lines(t)
			if written > c.written || written == 0 || again != 1 || tellers > c.tellers || written+folded != all {
				t.Errorf("%d lines, then %d; %d lines stand for %d", written, again, tellers, folded)
			}
		})
	}
}

// A flood hides nothing of what users who are known do.
func TestFoldsKeepUsersApart(t *testing.T) {
	f := newFolding(slog.LevelInfo)
	for i := range 10_000 {
		f.Line(slog.LevelInfo, "request refused", "not_permitted", Source{Address: fmt.Sprintf("2001:db8:0:%x::1", i)})
	}
	f.lines(t)
	for _, id := range []string{"ann", "bob"} {
		f.Line(slog.LevelInfo, "request refused", "not_permitted", Source{Actor: id, Address: "2001:db8::1"})
	}
	if written, _, _ := f.lines(t); written != 2 {
		t.Errorf("%d lines of two users", written)
	}
	f.Tell()
	if _, folded, _ := f.lines(t); folded != 10_000-maxLines {
		t.Errorf("%d are told of", folded)
	}
	f.Tell()
	if f.out.Len() > 0 {
		t.Errorf("they are told twice: %s", &f.out)
	}
}

// A flood of what is refused hides no failure that another stranger meets.
func TestFoldsKeepFailuresApart(t *testing.T) {
	f := newFolding(slog.LevelInfo)
	for i := range 10_000 {
		f.Line(slog.LevelInfo, "sign-in refused", "login_failed", Source{Address: fmt.Sprintf("2001:db8:0:%x::1", i)})
	}
	f.lines(t)
	for i := range free + 1 {
		f.Line(slog.LevelError, "request failed", "disk_failed", Source{Address: fmt.Sprintf("2001:db8:1:%x::1", i)})
	}
	if written, _, _ := f.lines(t); written != free+1 {
		t.Errorf("%d lines of failures", written)
	}
}
