package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// folding is a log whose clock stands still.
type folding struct {
	*folds
	at  time.Time
	out bytes.Buffer
}

func newFolding(level slog.Level) *folding {
	f := &folding{at: time.Unix(1_800_000_000, 0)}
	f.folds = newFolds(slog.New(slog.NewJSONHandler(&f.out, &slog.HandlerOptions{Level: level})), func() time.Time { return f.at })
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
		actor            func(i int) *db.Actor
		what             func(i int) string
		written, tellers int // at most
	}{
		"one address": {slog.LevelInfo, func(int) *db.Actor { return &db.Actor{Address: "192.0.2.1"} }, nil, foldFree, 1},
		"one network": {slog.LevelInfo, func(i int) *db.Actor { return &db.Actor{Address: fmt.Sprintf("192.0.2.%d", i%256)} }, nil, foldFree, 1},
		"one /64":     {slog.LevelInfo, func(i int) *db.Actor { return &db.Actor{Address: fmt.Sprintf("2001:db8::%x", i)} }, nil, foldFree, 1},
		"no address":  {slog.LevelInfo, func(int) *db.Actor { return &db.Actor{Transport: "socket"} }, nil, foldFree, 1},
		"a user":      {slog.LevelInfo, func(i int) *db.Actor { return &db.Actor{ID: "ann", Address: fmt.Sprintf("192.0.%d.1", i%256)} }, nil, foldFree, 1},
		"a large network": {slog.LevelInfo, func(i int) *db.Actor {
			return &db.Actor{Address: fmt.Sprintf("2001:db8:%x:%x::1", i/3>>16, i/3&0xffff)}
		}, nil, foldLines, foldTold + 2},
		"all words differ": {slog.LevelError, func(int) *db.Actor { return &db.Actor{Address: "192.0.2.1"} }, func(i int) string { return fmt.Sprint(i) }, foldLines, foldTold + 2},
		"who looks close":  {slog.LevelDebug, func(int) *db.Actor { return &db.Actor{Address: "192.0.2.1"} }, nil, foldFreeDebug, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const all = 20_000
			f := newFolding(slog.LevelDebug)
			for i := range all {
				kind := "invalid_token"
				if c.what != nil {
					kind = c.what(i)
				}
				f.line(c.level, "request refused", kind, c.actor(i))
			}
			if n := max(len(f.strangers.of), len(f.failures.of), len(f.known.of)); n > foldSources+1 {
				t.Errorf("%d sources are kept", n)
			}
			written, _, _ := f.lines(t)
			f.at = f.at.Add(foldEvery)
			f.line(c.level, "request refused", "invalid_token", c.actor(0))
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
		f.line(slog.LevelInfo, "request refused", "not_permitted", &db.Actor{Address: fmt.Sprintf("2001:db8:0:%x::1", i)})
	}
	f.lines(t)
	for _, id := range []string{"ann", "bob"} {
		f.line(slog.LevelInfo, "request refused", "not_permitted", &db.Actor{ID: id, Address: "2001:db8::1"})
	}
	if written, _, _ := f.lines(t); written != 2 {
		t.Errorf("%d lines of two users", written)
	}
	f.tell()
	if _, folded, _ := f.lines(t); folded != 10_000-foldLines {
		t.Errorf("%d are told of", folded)
	}
	f.tell()
	if f.out.Len() > 0 {
		t.Errorf("they are told twice: %s", &f.out)
	}
}

// A flood of what is refused hides no failure that another stranger meets.
func TestFoldsKeepFailuresApart(t *testing.T) {
	f := newFolding(slog.LevelInfo)
	for i := range 10_000 {
		f.line(slog.LevelInfo, "sign-in refused", "login_failed", &db.Actor{Address: fmt.Sprintf("2001:db8:0:%x::1", i)})
	}
	f.lines(t)
	for i := range foldFree + 1 {
		f.line(slog.LevelError, "request failed", "disk_failed", &db.Actor{Address: fmt.Sprintf("2001:db8:1:%x::1", i)})
	}
	if written, _, _ := f.lines(t); written != foldFree+1 {
		t.Errorf("%d lines of failures", written)
	}
}
