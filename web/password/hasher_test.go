package password

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func cheap() *Hasher { return New(Config{Params: InsecureTestParams()}) }

func TestHashAndVerify(t *testing.T) {
	h := cheap()
	shape := regexp.MustCompile(`^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	for _, password := range []string{"correct horse", " with spaces ", "pässword 🐚", "a\x00b", strings.Repeat("x", MaxLength)} {
		encoded, err := h.Hash(t.Context(), Caller{}, password)
		if err != nil || !shape.MatchString(encoded) {
			t.Fatalf("Hash(%q) = %s, %v", password, encoded, err)
		}
		again, _ := h.Hash(t.Context(), Caller{}, password)
		if again == encoded {
			t.Errorf("%q: the same salt twice", password)
		}
		verify(t, h, encoded, password, true, false)
		verify(t, h, encoded, password+"x", false, false)
		verify(t, h, encoded, strings.TrimSpace(password)+" ", false, false)
	}
}

func verify(t *testing.T, h *Hasher, encoded, password string, wantOK, wantStale bool) {
	t.Helper()
	ok, stale, err := h.Verify(t.Context(), Caller{}, encoded, password)
	if ok != wantOK || stale != wantStale || err != nil {
		t.Errorf("Verify(%s, %q) = %t, %t, %v", encoded, password, ok, stale, err)
	}
}

func TestDefaultHash(t *testing.T) {
	encoded, err := New(Config{}).Hash(t.Context(), Caller{}, "correct horse")
	if err != nil || !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s, %v", encoded, err)
	}
	verify(t, cheap(), encoded, "correct horse", true, false)
}

func TestVerifyTellsStaleOnlyToTheOwner(t *testing.T) {
	old, _ := cheap().Hash(t.Context(), Caller{}, "correct horse")
	h := New(Config{})
	verify(t, h, old, "correct horse", true, true)
	verify(t, h, old, "wrong horse", false, false)
	imported := "$2y" + openwall[0].rest
	verify(t, h, imported, "U*U", true, true)
	verify(t, h, imported, "U*V", false, false)
}

func TestPasswordsDifferAfterByte72(t *testing.T) {
	h, long := cheap(), strings.Repeat("x", 72)
	encoded, _ := h.Hash(t.Context(), Caller{}, long+"1")
	verify(t, h, encoded, long+"1", true, false)
	verify(t, h, encoded, long+"2", false, false)
	verify(t, h, encoded, long, false, false)
}

func TestHashRefusesWhatNobodyCanHave(t *testing.T) {
	for _, password := range []string{"", "abcdefg\xff", strings.Repeat("x", MaxLength+1)} {
		var refused *PolicyError
		if encoded, err := cheap().Hash(t.Context(), Caller{}, password); encoded != "" || !errors.As(err, &refused) {
			t.Errorf("Hash(%.20q) = %s, %v", password, encoded, err)
		}
	}
}

func TestNewPanicsBelowTheFloor(t *testing.T) {
	for _, p := range []Params{{19456, 1, 1}, {7167, 5, 1}, {64, 2, 1}, {1 << 21, 2, 1}, {19456, 33, 1}, {19456, 2, 0}, {19456, 2, 17}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New accepted %+v", p)
				}
			}()
			New(Config{Params: p})
		}()
	}
	for _, p := range floor {
		p.Threads = 1
		New(Config{Params: p})
	}
}

// gate is a hash that lasts until it is told to end.
type gate struct {
	end                 chan struct{} // one receive for each hash that ends
	running, most, done atomic.Int64
	last                Params
	order               []string
}

// gated makes a Hasher whose hashes wait at a gate. Call it in a bubble.
func gated(t *testing.T, c Config) (*Hasher, *gate) {
	t.Helper()
	g := &gate{end: make(chan struct{})}
	h := New(c)
	h.freeMemory = func() {}
	h.derive = func(password, _ []byte, passes, memory uint32, threads uint8, keyLen uint32) []byte {
		g.last = Params{memory, passes, threads}
		g.order = append(g.order, string(password))
		g.most.Store(max(g.most.Load(), g.running.Add(1)))
		<-g.end
		g.running.Add(-1)
		g.done.Add(1)
		return make([]byte, keyLen)
	}
	return h, g
}

// start begins a VerifyNobody and returns where its error will be.
func start(ctx context.Context, h *Hasher, password string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- h.VerifyNobody(ctx, Caller{}, "", password) }()
	synctest.Wait()
	return result
}

func want(t *testing.T, result <-chan error, err error) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-result:
		if !errors.Is(got, err) {
			t.Fatalf("got %v, want %v", got, err)
		}
	default:
		t.Fatalf("still waiting, want %v", err)
	}
}

func wantWaiting(t *testing.T, result <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-result:
		t.Fatalf("got %v, want it to wait", got)
	default:
	}
}

func wantGauges(t *testing.T, h *Hasher, queued, running int) {
	t.Helper()
	synctest.Wait()
	if s := h.Stats(); s.Queued != queued || s.Running != running {
		t.Fatalf("%d queued and %d running, want %d and %d", s.Queued, s.Running, queued, running)
	}
}

func TestAtMostSoManyAtOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 2, MaxQueue: 6})
		var results []<-chan error
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			results = append(results, start(t.Context(), h, name))
		}
		wantGauges(t, h, 6, 2)
		for i := range results {
			g.end <- struct{}{}
			synctest.Wait()
			if done := int(g.done.Load()); done != i+1 {
				t.Fatalf("%d done after %d were let go", done, i+1)
			}
			if i < 6 {
				wantGauges(t, h, 5-i, 2)
			}
		}
		for _, r := range results {
			want(t, r, nil)
		}
		wantGauges(t, h, 0, 0)
		if most := g.most.Load(); most != 2 {
			t.Errorf("%d at once", most)
		}
		if order := strings.Join(g.order, ""); order != "abcdefgh" {
			t.Errorf("served in the order %s", order)
		}
		if s := h.Stats(); s.Total != 8 || s.Busy != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBusyWhenTheQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1, MaxQueue: 1})
		running, queued := start(t.Context(), h, "a"), start(t.Context(), h, "b")
		want(t, start(t.Context(), h, "c"), ErrBusy)
		if _, err := h.Hash(t.Context(), Caller{}, "correct horse"); !errors.Is(err, ErrBusy) {
			t.Errorf("Hash: %v", err)
		}
		if _, _, err := h.Verify(t.Context(), Caller{}, "$2a"+openwall[0].rest, "U*U"); !errors.Is(err, ErrBusy) {
			t.Errorf("Verify: %v", err)
		}
		wantGauges(t, h, 1, 1)
		g.end <- struct{}{}
		g.end <- struct{}{}
		want(t, running, nil)
		want(t, queued, nil)
		if s := h.Stats(); s.Busy != 3 || s.Total != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBusyAfterTheLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1, MaxWait: time.Second})
		running, queued := start(t.Context(), h, "a"), start(t.Context(), h, "b")
		time.Sleep(time.Second - time.Nanosecond)
		wantWaiting(t, queued)
		time.Sleep(time.Nanosecond)
		want(t, queued, ErrBusy)
		wantGauges(t, h, 0, 1)
		g.end <- struct{}{}
		want(t, running, nil)
		s := h.Stats()
		if s.Busy != 1 || s.WaitTotal != time.Second || s.HashTotal != time.Second {
			t.Errorf("%+v", s)
		}
	})
}

func TestLeavingTheQueueFreesThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1, MaxQueue: 1})
		running := start(t.Context(), h, "a")
		ctx, leave := context.WithCancel(t.Context())
		leaver := start(ctx, h, "b")
		leave()
		want(t, leaver, context.Canceled)
		wantGauges(t, h, 0, 1)
		queued := start(t.Context(), h, "c")
		wantWaiting(t, queued)
		g.end <- struct{}{}
		g.end <- struct{}{}
		want(t, running, nil)
		want(t, queued, nil)
		if order := strings.Join(g.order, ""); order != "ac" {
			t.Errorf("hashed: %s", order)
		}
	})
}

func TestLeavingWhileHashingFreesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1})
		ctx, leave := context.WithCancel(t.Context())
		running, queued := start(ctx, h, "a"), start(t.Context(), h, "b")
		leave()
		wantWaiting(t, running)
		wantWaiting(t, queued)
		wantGauges(t, h, 1, 1)
		g.end <- struct{}{}
		want(t, running, nil)
		g.end <- struct{}{}
		want(t, queued, nil)
		if most := g.most.Load(); most != 1 {
			t.Errorf("%d at once", most)
		}
	})
}

func TestGoneBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 1})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		want(t, start(ctx, h, "a"), context.Canceled)
		h.take(1)
		if err := h.stillThere(ctx, &waiter{slots: 1}, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		wantGauges(t, h, 0, 0)
		if len(g.order) != 0 {
			t.Error("hashed for nobody")
		}
	})
}

func TestPanicGivesThePermitBack(t *testing.T) {
	h := cheap()
	h.derive = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte { panic("out of order") }
	func() {
		defer func() { _ = recover() }()
		_ = h.VerifyNobody(t.Context(), Caller{}, "", "a")
	}()
	if s := h.Stats(); s.Running != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNobodyCostsTheSame: an unknown user costs one hash with the configured
// parameters, or with those of most stored ones. A damaged hash costs nothing
// by itself: its caller has nobody verified.
func TestNobodyCostsTheSame(t *testing.T) {
	for _, p := range []Params{DefaultParams(), {47104, 1, 4}, {7168, 5, 2}} {
		synctest.Test(t, func(t *testing.T) {
			h, g := gated(t, Config{Params: p})
			close(g.end)
			for like, cost := range map[string]Params{
				"": p, "$argon2id$v=19$m=65536,t=3,p=4": {65536, 3, 4}, "$argon2id$v=19$m=1048576,t=32,p=1": p, "$2b$31": p, "nonsense": p, "$2b$10$": p,
			} {
				g.last = Params{}
				if err := h.VerifyNobody(t.Context(), Caller{}, like, "correct horse"); err != nil || g.last != cost {
					t.Errorf("nobody like %q: %+v, %v", like, g.last, err)
				}
			}
			before := g.done.Load()
			if err := h.VerifyNobody(t.Context(), Caller{}, "$2b$04", "correct horse"); err != nil || g.done.Load() != before || h.Stats().Total != uint64(before)+1 {
				t.Errorf("nobody like bcrypt: %v, %d more by argon2id", err, g.done.Load()-before)
			}
			ok, stale, err := h.Verify(t.Context(), Caller{}, "damaged", "correct horse")
			if ok || stale || !errors.Is(err, ErrDamaged) || g.done.Load() != before {
				t.Errorf("damaged: %t, %t, %v after %d hashes", ok, stale, err, g.done.Load()-before)
			}
		})
	}
	if rec, ok := cheap().nobody("$2y$05").(bcryptHash); !ok || rec[:7] != "$2y$05$" {
		t.Errorf("like bcrypt it is %v", rec)
	}
}

func TestStartCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{})
		freed := 0
		h.freeMemory = func() { freed++ }
		time.Sleep(time.Hour)
		if len(g.order) != 0 || freed != 0 {
			t.Errorf("%d hashes, freed %d times", len(g.order), freed)
		}
	})
}

func TestMemoryIsFreedOnceWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := gated(t, Config{MaxConcurrent: 2})
		var freed atomic.Int64
		h.freeMemory = func() { freed.Add(1) }
		check := func(want int64) {
			t.Helper()
			synctest.Wait()
			if got := freed.Load(); got != want {
				t.Fatalf("freed %d times, want %d", got, want)
			}
		}
		first, second := start(t.Context(), h, "a"), start(t.Context(), h, "b")
		g.end <- struct{}{}
		time.Sleep(time.Minute) // the other one is still computed
		check(0)
		g.end <- struct{}{}
		want(t, first, nil)
		want(t, second, nil)
		time.Sleep(idleAfter - time.Nanosecond)
		check(0)
		time.Sleep(time.Nanosecond)
		check(1)
		time.Sleep(time.Hour)
		check(1)
	})
}

func BenchmarkHash(b *testing.B) {
	h := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Hash(b.Context(), Caller{}, "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAfterIdle(b *testing.B) {
	h := New(Config{})
	for b.Loop() {
		b.StopTimer()
		h.tidy()
		b.StartTimer()
		if err := h.VerifyNobody(b.Context(), Caller{}, "", "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTidy(b *testing.B) {
	h := New(Config{})
	for b.Loop() {
		b.StopTimer()
		_ = h.VerifyNobody(b.Context(), Caller{}, "", "correct horse")
		b.StartTimer()
		h.tidy()
	}
}
