package db_test

import (
	"context"
	"testing"
	"time"

	"husk/db"
)

// write makes any change, with which the store keeps its mark of time.
func (f *timedStore) write() {
	f.t.Helper()
	must(f.t, f.UnlockUser(context.Background(), local, db.SingleUser))
}

func TestClockSetBackKeepsExpiry(t *testing.T) {
	f := newTimedStore(t)
	s := f.session(f.user("ann@example.com"), time.Hour)
	f.clock.pass(2 * time.Hour)
	f.write()
	if !s.Expired(f.Now()) {
		t.Fatal("an hour's session lives after two")
	}

	t.Run("in a running process", func(t *testing.T) {
		f.clock.step(-3 * time.Hour)
		if !s.Expired(f.Now()) {
			t.Error("the session lives again")
		}
		if got := f.ClockFault().Round(time.Second); got != 3*time.Hour {
			t.Errorf("fault is %v, want 3h", got)
		}
		before := f.Now()
		f.clock.pass(time.Minute)
		if got := f.Now().Sub(before); got != time.Minute {
			t.Errorf("time went on by %v in a minute", got)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		f.reopen()
		if !s.Expired(f.Now()) {
			t.Error("the session lives again")
		}
		if f.ClockFault() == 0 {
			t.Error("the fault is not told")
		}
	})
	t.Run("until the clock is right again", func(t *testing.T) {
		f.clock.step(3 * time.Hour)
		if got := f.ClockFault(); got != 0 {
			t.Errorf("fault is %v", got)
		}
		if got := f.Now(); !got.Equal(f.clock.now()) {
			t.Errorf("time is %v, the clock shows %v", got, f.clock.now())
		}
	})
}

func TestClockAheadOnceEndsNothing(t *testing.T) {
	ctx := context.Background()
	const jump = 1000 * time.Hour
	for _, restart := range []bool{false, true} {
		f := newTimedStore(t)
		s := f.session(f.user("ann@example.com"), time.Hour)
		f.clock.pass(2 * time.Minute)
		f.write()
		f.clock.step(jump)
		if restart {
			f.reopen()
		}
		if !s.Expired(f.Now()) {
			t.Error("the store does not follow the clock ahead")
		}
		for range 3 {
			if _, err := f.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			f.clock.pass(time.Minute)
		}
		f.clock.step(-jump)
		if restart {
			f.reopen()
		}
		if s.Expired(f.Now()) || f.ClockFault() != 0 {
			t.Errorf("restart %v: the right clock is not believed: %v, fault %v", restart, f.Now(), f.ClockFault())
		}
		if _, err := f.Session(ctx, s.ID); err != nil {
			t.Errorf("restart %v: the session is gone: %v", restart, err)
		}
	}
}

func TestClockAheadForGoodIsBelieved(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	s := f.session(f.user("ann@example.com"), time.Hour)
	f.clock.pass(2 * time.Minute)
	f.write()
	f.clock.step(1000 * time.Hour) // the machine was off
	f.reopen()
	f.write()
	f.clock.pass(11 * time.Minute)
	if _, err := f.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(ctx, s.ID); err == nil {
		t.Error("an expired session is not swept once the clock has proved itself")
	}
	f.clock.step(-1000 * time.Hour)
	if f.ClockFault() == 0 {
		t.Error("a clock set back behind what was proved is not told")
	}
}

func TestClockSmallStepsAreNoFault(t *testing.T) {
	f := newTimedStore(t)
	for range 100 {
		f.clock.pass(2 * time.Minute)
		f.clock.step(-time.Second)
		f.write()
		if fault := f.ClockFault(); fault != 0 {
			t.Fatalf("fault %v after small steps back", fault)
		}
	}
}

// What was seen expired is in the store at the next flush, also soon after
// another mark was kept and with nothing else to write.
func TestSeenExpiredIsKept(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.write()
	s := f.session(f.user("ann@example.com"), 20*time.Second)
	f.clock.pass(30 * time.Second)
	f.KeepTime(s.Expires)
	must(t, f.FlushLastUsed(ctx))
	f.clock.step(-time.Hour)
	f.reopen()
	if !s.Expired(f.Now()) || f.ClockFault() == 0 {
		t.Errorf("after a restart it is expired %t, fault %v", s.Expired(f.Now()), f.ClockFault())
	}
}
