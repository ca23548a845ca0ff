package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/db/etcd/etcdtest"
)

func noted(t *testing.T, e *Engine, name string) string {
	t.Helper()
	notes, err := e.Notes(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(notes[name])
}

func count(ctx context.Context, e *Engine, name string) error {
	return e.Note(ctx, name, time.Minute, func(now []byte) ([]byte, error) {
		n, _ := strconv.Atoi(string(now))
		return strconv.AppendInt(nil, int64(n)+1, 10), nil
	})
}

// TestNotes: all processes have the same notes, and lose none of each other's changes.
func TestNotes(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	engines := []*Engine{opened(t, o), opened(t, o), opened(t, o)}
	var work sync.WaitGroup
	for i := range 12 {
		work.Go(func() {
			for range 10 {
				if err := count(t.Context(), engines[i%3], "n/counter"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if got := noted(t, engines[0], "n/counter"); got != "120" {
		t.Errorf("of 120 changes %s are there", got)
	}
	stop := errors.New("no")
	if err := engines[1].Note(t.Context(), "n/counter", time.Minute, func(now []byte) ([]byte, error) { return []byte("0"), stop }); !errors.Is(err, stop) {
		t.Errorf("it answers %v", err)
	}
	if got := noted(t, engines[2], "n/counter"); got != "120" {
		t.Errorf("what failed has left %s", got)
	}
	if err := engines[1].Note(t.Context(), "n/other", time.Minute, func(now []byte) ([]byte, error) {
		if now != nil {
			return nil, fmt.Errorf("there is %q", now)
		}
		return []byte("v"), nil
	}); err != nil {
		t.Error(err)
	}
	if notes, err := engines[0].Notes(t.Context(), "n/"); err != nil || len(notes) != 2 {
		t.Errorf("the notes are %q (%v)", notes, err)
	}
	if err := engines[2].Note(t.Context(), "n/other", time.Minute, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	if got := noted(t, engines[0], "n/other"); got != "" {
		t.Errorf("what was removed is %q", got)
	}
	if n := len(engines[0].leases.byLife); n != 1 {
		t.Errorf("notes of one life have %d leases", n)
	}
}

// TestNotesWithoutTheirLease: what a process takes for a lease can have ended.
func TestNotesWithoutTheirLease(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	e := opened(t, created(t, c.Endpoints()...))
	if err := count(t.Context(), e, "counter"); err != nil {
		t.Fatal(err)
	}
	e.revoke(e.leases.byLife[time.Minute].id)
	if got := noted(t, e, "counter"); got != "" {
		t.Errorf("without its lease it is %q", got)
	}
	if err := count(t.Context(), e, "counter"); err != nil {
		t.Error(err)
	}
	if got := noted(t, e, "counter"); got != "1" {
		t.Errorf("it is %q", got)
	}
}

// TestNotesEnd: a note is there for its life, and not for much longer; what sets it again
// makes that anew.
func TestNotesEnd(t *testing.T) {
	dbtest.TakesVeryLong(t, "leases that end")
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	e := opened(t, o)
	const life = 2 * time.Second
	set := func(name string) {
		t.Helper()
		if err := e.Note(t.Context(), name, life, func([]byte) ([]byte, error) { return fmt.Appendf(nil, "%d", time.Now().UnixNano()), nil }); err != nil {
			t.Fatal(err)
		}
	}
	const lateAt = 7 * life / 4 // by a lease of the first, which ends soon, it would not live long enough
	began, late := time.Now(), time.Time{}
	set("once")
	for time.Since(began) < 8*time.Second {
		set("again")
		if since := time.Since(began); noted(t, e, "once") == "" && since < life {
			t.Fatalf("it ended after %v", since)
		}
		if noted(t, e, "again") == "" {
			t.Fatal("what is set again and again has ended")
		}
		if late.IsZero() && time.Since(began) > lateAt {
			late = time.Now()
			set("late")
		}
		if there := noted(t, e, "late") != ""; !there && !late.IsZero() && time.Since(late) < life {
			t.Fatalf("what was set late ended after %v", time.Since(late))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if noted(t, e, "once") != "" {
		t.Error("it does not end")
	}
}
