package password

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

// asking begins a VerifyNobody for a caller, whose password is its name.
func asking(t *testing.T, h *Hasher, name string, c Caller) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- h.VerifyNobody(t.Context(), c, "", name) }()
	synctest.Wait()
	return result
}

func at(address string) Caller    { return Caller{Address: netip.MustParseAddr(address)} }
func fresh(address string) Caller { return Caller{Address: netip.MustParseAddr(address), Fresh: true} }
func known(name string) Caller    { return Caller{Known: name} }

// served ends all hashes, one after another, and returns their order.
func served(h *Hasher, g *gate) string {
	for h.Stats().Running > 0 {
		g.end <- struct{}{}
		synctest.Wait()
	}
	return strings.Join(g.order, " ")
}

// Who is known goes before all strangers, and these by whether wrong passwords
// came from their networks; but others get a turn in between.
func TestLanes(t *testing.T) {
	one := Config{MaxConcurrent: 1, MaxQueue: 40}
	for name, c := range map[string]struct {
		callers []Caller
		order   string
	}{
		"known before strangers": {[]Caller{at("10.0.0.1"), at("10.0.0.2"), fresh("10.1.0.1"), known("ann")}, "first 3 2 0 1"},
		"strangers get a turn": {[]Caller{
			at("10.0.0.1"), fresh("10.0.0.2"), known("a"), known("b"), known("c"), known("d"), known("e"), known("f"),
		}, "first 2 3 4 5 1 6 7 0"},
		"fresh ones give way": {[]Caller{
			at("10.0.0.1"), fresh("10.1.0.1"), fresh("10.2.0.1"), fresh("10.3.0.1"), fresh("10.4.0.1"), fresh("10.5.0.1"),
		}, "first 1 2 3 4 0 5"},
		"known take turns":    {[]Caller{known("ann"), known("ann"), known("ann"), known("bob")}, "first 0 3 1 2"},
		"networks take turns": {[]Caller{at("10.0.0.1"), at("10.0.0.2"), at("10.0.1.1"), at("10.0.1.2"), at("10.9.0.1")}, "first 0 4 2 1 3"},
		"so in IPv6": {[]Caller{
			at("2001:db8:1:100::1"), at("2001:db8:1:100::2"), at("2001:db8:1:101::1"), at("2001:db8:1:200::1"), at("2001:db8:2::1"), at("::ffff:10.0.0.1"),
		}, "first 0 4 5 3 2 1"},
		"unknown addresses are one": {[]Caller{{}, {}, {}, at("fe80::1%eth0"), at("fe80::2%eth1")}, "first 0 3 1 4 2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, g := gated(t, one)
				results := []<-chan error{asking(t, h, "first", Caller{})}
				for i, caller := range c.callers {
					results = append(results, asking(t, h, fmt.Sprint(i), caller))
				}
				if got := served(h, g); got != c.order {
					t.Errorf("the order is %s, want %s", got, c.order)
				}
				for _, r := range results {
					want(t, r, nil)
				}
			})
		})
	}
}

// A full queue turns away who came last from where most wait.
func TestNobodyFillsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1, MaxQueue: 4})
		first := asking(t, h, "first", Caller{})
		var crowd []<-chan error
		for i := range 4 {
			crowd = append(crowd, asking(t, h, fmt.Sprint(i), fresh(fmt.Sprintf("2001:db8:1:%x00::1", i))))
		}
		want(t, asking(t, h, "4", fresh("2001:db8:1:400::1")), ErrBusy)
		// Another network gets in for the last of them, and then once more; but
		// not beyond its half.
		others := []<-chan error{asking(t, h, "a", fresh("2001:db8:2::1"))}
		want(t, crowd[3], ErrBusy)
		others = append(others, asking(t, h, "b", fresh("2001:db8:2::2")))
		want(t, crowd[2], ErrBusy)
		want(t, asking(t, h, "c", fresh("2001:db8:2::3")), ErrBusy)
		// Of a network with wrong passwords nobody gets in for one without.
		want(t, asking(t, h, "d", at("192.0.2.1")), ErrBusy)
		if got := served(h, g); got != "first 0 a 1 b" {
			t.Errorf("the order is %s", got)
		}
		for _, r := range append(others, first, crowd[0], crowd[1]) {
			want(t, r, nil)
		}
	})
}

// Strangers leave who is known their room, and one who is known others theirs.
func TestKnownHaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1, MaxQueue: 4})
		results := []<-chan error{asking(t, h, "first", Caller{})}
		stranger := asking(t, h, "stranger", at("192.0.2.1"))
		var thief []<-chan error
		for i := range 6 { // one in the room of the known, the others as strangers
			thief = append(thief, asking(t, h, fmt.Sprint("thief", i), known("thief")))
		}
		want(t, stranger, ErrBusy)
		want(t, thief[5], ErrBusy)
		results = append(results, thief[:5]...)
		for _, name := range []string{"ann", "bob", "carol"} {
			results = append(results, asking(t, h, name, known(name)))
		}
		want(t, asking(t, h, "dave", known("dave")), ErrBusy) // there is an end to it
		if got := served(h, g); got != "first thief0 ann bob carol thief1 thief2 thief3 thief4" {
			t.Errorf("the order is %s", got)
		}
		for _, r := range results {
			want(t, r, nil)
		}
	})
}

// A stored hash that takes more memory or processors than others takes as much
// of the room, and the whole at most.
func TestPermitsAreWeighted(t *testing.T) {
	const salt, tag = "$AAAAAAAAAAAAAAAAAAAAAA", "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for params, slots := range map[string]int{
		"m=19456,t=2,p=1": 1, "m=4096,t=8,p=1": 1, "m=19457,t=1,p=1": 2, "m=38912,t=4,p=1": 2,
		"m=65536,t=3,p=4": 4, "m=311296,t=1,p=1": 4, "m=9728,t=2,p=3": 3,
	} {
		t.Run(params, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, g := gated(t, Config{MaxConcurrent: 4, MaxQueue: 40})
				var results []<-chan error
				for range 6 {
					result := make(chan error, 1)
					results = append(results, result)
					go func() {
						_, _, err := h.Verify(t.Context(), Caller{}, "$argon2id$v=19$"+params+salt+tag, "x")
						result <- err
					}()
					synctest.Wait()
				}
				if n := h.Stats().Running; n != 4/slots {
					t.Errorf("%d run at once", n)
				}
				served(h, g)
				for _, r := range results {
					want(t, r, nil)
				}
				if h.taken != 0 || h.Stats().Running != 0 {
					t.Errorf("%d slots are taken", h.taken)
				}
			})
		})
	}
}

// A large hash waits for room, and small ones that come later don't take it;
// but who is known does, and one that gives up makes room for the others.
func TestLargeOneIsNotPassed(t *testing.T) {
	const large = "$argon2id$v=19$m=38912"
	for _, givesUp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h, g := gated(t, Config{MaxConcurrent: 2, MaxQueue: 40})
			first := asking(t, h, "first", Caller{})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			waiting := make(chan error, 1)
			go func() { waiting <- h.VerifyNobody(ctx, Caller{}, large+",t=1,p=1", "large") }()
			synctest.Wait()
			small := asking(t, h, "small", Caller{})
			wantGauges(t, h, 2, 1)
			ann := asking(t, h, "ann", known("ann"))
			wantGauges(t, h, 2, 2)
			g.end <- struct{}{}
			wantGauges(t, h, 2, 1)
			order := "first ann large small"
			if givesUp {
				leave()
				want(t, waiting, context.Canceled)
				wantGauges(t, h, 0, 2)
				waiting <- nil
				order = "first ann small"
			}
			if got := served(h, g); got != order {
				t.Errorf("the order is %s, want %s", got, order)
			}
			for _, r := range []<-chan error{first, ann, small, waiting} {
				want(t, r, nil)
			}
		})
	}
}

// Whatever comes and goes, the queue holds who waits, and nothing of others.
func TestQueueHoldsWhoWaits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	q := &queue{room: 20}
	waiting := map[*waiter]bool{}
	caller := func() Caller {
		c := Caller{Address: netip.AddrFrom4([4]byte{10, byte(random.IntN(3)), byte(random.IntN(3)), byte(random.IntN(3))}), Fresh: random.IntN(2) == 0}
		if random.IntN(4) == 0 {
			c.Known = fmt.Sprint(random.IntN(5))
		}
		return c
	}
	for range 20_000 {
		if w := q.next(); w != nil && random.IntN(3) == 0 {
			q.take(w)
			delete(waiting, w)
		}
		for w := range waiting {
			if random.IntN(3) == 0 {
				q.remove(w)
				delete(waiting, w)
			}
			break
		}
		w := &waiter{}
		waiting[w] = true
		if out := q.add(w, caller()); out != nil {
			if !waiting[out] || out.at != nil {
				t.Fatal("one was turned away who did not wait")
			}
			delete(waiting, out)
		}
		if q.len() != len(waiting) || q.strangers() > 20 || q.lanes[laneKnown].waiting > 20 {
			t.Fatalf("%d of %d wait, %d of them strangers", q.len(), len(waiting), q.strangers())
		}
	}
	for w := q.next(); w != nil; w = q.next() {
		q.take(w)
		delete(waiting, w)
	}
	for lane := range q.lanes {
		if n := &q.lanes[lane]; n.waiting != 0 || len(n.ring) != 0 || len(n.inside) != 0 {
			t.Errorf("lane %d holds %+v", lane, n)
		}
	}
	if len(waiting) != 0 {
		t.Errorf("%d had no turn", len(waiting))
	}
}
