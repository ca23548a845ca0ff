package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has many addresses of one network does not have as many allowances:
// what is let through in all is that of the network.
func TestWiderNetworksCount(t *testing.T) {
	for name, c := range map[string]struct {
		address func(i int) string
		want    int // with 5 for an address
	}{
		"one address":       {func(int) string { return "2001:db8::1" }, 5},
		"one /64":           {func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, 5},
		"one /56":           {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i%256) }, 20},
		"one /48":           {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i*256%65536) }, 80},
		"many /48":          {func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }, 500},
		"one /24":           {func(i int) string { return fmt.Sprintf("192.0.2.%d", i%256) }, 80},
		"many /24":          {func(i int) string { return fmt.Sprintf("192.%d.%d.1", i>>8, i&255) }, 500},
		"no address at all": {func(i int) string { return fmt.Sprint("uid ", i) }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			l, ck := newTest(t, nil)
			passed := 0
			for i := range 500 {
				if a, _ := l.Allow(fmt.Sprint("user", i), c.address(i), false); a != nil {
					a.End()
					passed++
				}
			}
			if passed != c.want {
				t.Errorf("%d wrong tries were looked at, want %d", passed, c.want)
			}
			// A wide one is forgiven faster: in five minutes as many as its factor.
			ck.advance(5 * time.Minute)
			if a, _ := l.Allow("another", c.address(501), false); a == nil {
				t.Error("nothing is forgiven")
			}
		})
	}
}

// A network is fresh until a wrong password comes from it, or from around it,
// and again when that is forgiven.
func TestFresh(t *testing.T) {
	l, ck := newTest(t, nil)
	fresh := func(account, address string, device, want bool) {
		t.Helper()
		a := fail(t, l, account, address, device)
		defer a.Cancel()
		if a.Fresh() != want {
			t.Errorf("%s from %s: fresh %t", account, address, a.Fresh())
		}
	}
	fresh("ann", "192.0.2.1", false, true)
	fail(t, l, "bob", "192.0.2.1", false).Success()
	fresh("ann", "192.0.2.1", false, true)
	fail(t, l, "bob", "192.0.2.1", false).End()
	fresh("ann", "192.0.2.1", false, false)
	fresh("ann", "192.0.2.2", false, false) // of the same /24
	fresh("ann", "192.0.3.1", false, true)
	fresh("ann", "", false, true)
	fresh("bob", "192.0.2.1", false, true) // from where bob signed in
	fresh("ann", "192.0.2.1", true, true)
	ck.advance(5 * time.Minute / 16)
	fresh("ann", "192.0.2.2", false, true)
	fresh("ann", "192.0.2.1", false, false)
	ck.advance(5 * time.Minute)
	fresh("ann", "192.0.2.1", false, true)
	if (*Attempt)(nil).Fresh() {
		t.Error("nothing is fresh")
	}
}

// An owner signs in from where they did before, whatever strangers do
// elsewhere; and strangers there have no more tries than anywhere.
func TestFamiliarAddress(t *testing.T) {
	l, ck := newTest(t, nil)
	const home = "192.0.2.1"
	fail(t, l, "ann", home, false).Success()
	failTimes(t, l, 3, "ann", "198.51.100.1")
	refused(t, l, "ann", "198.51.100.2", false, 10*time.Second)
	refused(t, l, "ann", "", false, 10*time.Second)
	refused(t, l, "ann", "192.0.2.2", false, 10*time.Second)
	fail(t, l, "ann", home, false).Success()
	refused(t, l, "ann", "198.51.100.2", false, 10*time.Second) // as before

	failTimes(t, l, 3, "ann", home)
	refused(t, l, "ann", home, false, 10*time.Second)
	ck.advance(10 * time.Second)
	fail(t, l, "ann", home, false).End()
	if n, until := l.State("ann", false); n != 4 || !until.Equal(ck.Now().Add(20*time.Second)) {
		t.Errorf("State = %d, %v", n, until)
	}
	// The address counts, too: the fifth failure of it is a delay for others.
	fail(t, l, "bob", home, false).End()
	refused(t, l, "carol", home, false, 10*time.Second)

	// It is familiar to this account alone, the last ones are, and only until
	// the account is cleared or estranged.
	for name, forget := range map[string]func(){
		"cleared":   func() { l.Clear("dave") },
		"estranged": func() { l.Estrange("dave") },
		"moved on": func() {
			for i := range maxFamiliar {
				fail(t, l, "dave", fmt.Sprintf("198.51.%d.9", i), true).Success()
			}
		},
	} {
		fail(t, l, "dave", "203.0.113.1", false).Success()
		failTimes(t, l, 3, "dave", "")
		fail(t, l, "dave", "203.0.113.1", false).Success()
		forget()
		if l.familiar.has(l.hash.account("dave"), l.hash.address("203.0.113.1")[0]) {
			t.Errorf("%s: the address is familiar yet", name)
		}
		if _, until := l.State("dave", false); until.IsZero() != (name == "cleared") {
			t.Errorf("%s: the delay ends at %v", name, until)
		}
		l.Clear("dave")
	}
}

// What is familiar stays bounded, and who came last is kept.
func TestFamiliarIsBounded(t *testing.T) {
	f := newFamiliar(10)
	for i := range uint64(1000) {
		f.add(i, 1)
		f.add(0, 1)
		if !f.has(i, 1) || !f.has(0, 1) {
			t.Fatalf("%d is forgotten at once", i)
		}
		if n := len(f.young) + len(f.old); n > 10 {
			t.Fatalf("%d accounts are kept", n)
		}
	}
}

// A try that nobody waits for any more is paid for by its address, and not by
// the account.
func TestAbandon(t *testing.T) {
	l, _ := newTest(t, nil)
	for i := range 5 {
		fail(t, l, "ann", "192.0.2.1", false).Abandon()
		if n, _ := l.State("ann", false); n != 0 {
			t.Errorf("the account has %d failures after %d", n, i+1)
		}
	}
	refused(t, l, "bob", "192.0.2.1", false, 10*time.Second)
	fail(t, l, "ann", "198.51.100.2", false)
}

// Who leaves while they wait for others to be decided pays, too; who is sent
// away, or has waited for too long, does not.
func TestLeavingAwaitIsPaidFor(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(cancel context.CancelFunc)
		pays int
	}{
		"gone":     {func(cancel context.CancelFunc) { cancel() }, 1},
		"too long": {func(context.CancelFunc) { time.Sleep(time.Second) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := newTest(t, nil)
				for range 3 {
					fail(t, l, "ann", "", false)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := await(ctx, l, "ann", "192.0.2.1")
				c.end(cancel)
				synctest.Wait()
				if !r.done || r.attempt != nil || r.err == nil || len(l.waiting) != 0 {
					t.Fatalf("%+v", r)
				}
				paid := 0
				for _, e := range l.networks[0].entries {
					paid += e.failures
					if e.pending != 0 {
						t.Error("it is not decided")
					}
				}
				if paid != c.pays {
					t.Errorf("the address paid with %d", paid)
				}
			})
		})
	}
}

// When too many wait it is one of the crowd who has to go, and one with a
// device cookie is none of it.
func TestAwaitIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newTest(t, func(c *Config) { c.AddressFree = 1000 })
		for _, device := range []bool{false, true} {
			for range 3 {
				fail(t, l, "ann", "", device)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var crowd []*awaited
		for i := range maxWaiting {
			crowd = append(crowd, await(ctx, l, "ann", fmt.Sprintf("2001:db8:0:%x::1", i)))
		}
		crowded := func(r *awaited) bool { return r.done && errors.Is(r.err, ErrCrowded) }
		if r := await(ctx, l, "ann", "2001:db8:0:80::2"); !crowded(r) {
			t.Errorf("one more of the crowd: %+v", r)
		}
		owner := await(ctx, l, "ann", "192.0.2.1")
		if owner.done || !crowded(crowd[maxWaiting-1]) || crowd[maxWaiting-2].done {
			t.Errorf("the owner: %+v, the last of the crowd: %+v", owner, crowd[maxWaiting-1])
		}
		device := func() *awaited {
			r := &awaited{}
			go func() {
				r.attempt, r.wait, r.err = l.Await(ctx, "ann", "192.0.2.2", true)
				r.done = true
			}()
			synctest.Wait()
			return r
		}
		for i := range maxDevicesWaiting {
			if r := device(); r.done {
				t.Fatalf("device %d: %+v", i, r)
			}
		}
		if r := device(); !crowded(r) {
			t.Errorf("one more with a device cookie: %+v", r)
		}
		if crowd[maxWaiting-2].done || owner.done {
			t.Error("a stranger had to go for one with a device cookie")
		}
		cancel()
		synctest.Wait()
		if len(l.waiting) != 0 {
			t.Errorf("%d wait", len(l.waiting))
		}
	})
}
