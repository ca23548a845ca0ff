package ratelimit

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type clock struct{ nanos atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(1_700_000_000, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// testConfig keeps the numbers small: 3 failures, then 10 s, 20 s, 40 s, 60 s.
func testConfig(c *clock) Config {
	return Config{
		Free: 3, AddressFree: 5, Base: 10 * time.Second, Max: time.Minute,
		Forget: time.Hour, AddressForgive: 5 * time.Minute, MaxKeys: 1000, Now: c.Now,
	}
}

// newTest checks the tables' invariants when the test ends.
func newTest(t testing.TB, change func(*Config)) (*Limiter, *clock) {
	t.Helper()
	ck := new(clock)
	cfg := testConfig(ck)
	if change != nil {
		change(&cfg)
	}
	l := New(cfg)
	t.Cleanup(func() {
		for _, tb := range append(l.own(), l.networks[:]...) {
			checkTable(t, tb)
		}
	})
	return l, ck
}

func checkTable(t testing.TB, tb *table) {
	t.Helper()
	seen := 0
	for _, q := range []*queue{&tb.light, &tb.heavy} {
		n := 0
		for e := q.oldest; e != nil; e = e.next {
			if tb.entries[e.key] != e || e.queue != q {
				t.Errorf("an entry is queued in the wrong place")
			}
			n++
		}
		if n != q.len {
			t.Errorf("a queue of %d entries says %d", n, q.len)
		}
		seen += n
	}
	if seen != len(tb.entries) || seen > tb.limit {
		t.Errorf("%d entries are queued, %d mapped, the limit is %d", seen, len(tb.entries), tb.limit)
	}
}

func fail(t testing.TB, l *Limiter, account, address string, device bool) *Attempt {
	t.Helper()
	a, wait := l.Allow(account, address, device)
	if a == nil || wait != 0 {
		t.Fatalf("%q from %q is throttled for %v", account, address, wait)
	}
	return a
}

func refused(t testing.TB, l *Limiter, account, address string, device bool, want time.Duration) {
	t.Helper()
	if a, wait := l.Allow(account, address, device); a != nil || wait != want {
		t.Fatalf("%q from %q: passed %v, wait %v, want a wait of %v", account, address, a != nil, wait, want)
	}
}

func failTimes(t testing.TB, l *Limiter, n int, account, address string) {
	t.Helper()
	for range n {
		fail(t, l, account, address, false)
	}
}

func TestDelayGrowsIsBoundedAndEnds(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 3, "a", "")
	for _, s := range []int{10, 20, 40, 60, 60, 60} {
		d := time.Duration(s) * time.Second
		refused(t, l, "a", "", false, d)
		ck.advance(d - time.Nanosecond)
		refused(t, l, "a", "", false, time.Second)
		ck.advance(time.Nanosecond)
		fail(t, l, "a", "", false)
	}
}

func TestAttemptsDuringADelayChangeNothing(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 3, "a", "")
	before, until := l.State("a", false)
	for range 100 {
		ck.advance(50 * time.Millisecond)
		if a, _ := l.Allow("a", "192.0.2.1", false); a != nil {
			t.Fatal("passed")
		}
	}
	if n, u := l.State("a", false); n != before || !u.Equal(until) {
		t.Errorf("State = %d, %v, want %d, %v", n, u, before, until)
	}
	if len(l.networks[0].entries) != 0 {
		t.Error("a refused attempt was counted for the address")
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 3, "a", "")
	ck.advance(8500 * time.Millisecond)
	refused(t, l, "a", "", false, 2*time.Second)
}

func TestSuccessResets(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 2, "a", "")
	fail(t, l, "a", "", false).Success()
	failTimes(t, l, 3, "a", "")
	ck.advance(10 * time.Second)
	fail(t, l, "a", "", false).Success()
	if n, until := l.State("a", false); n != 0 || !until.IsZero() {
		t.Errorf("State = %d, %v", n, until)
	}
	failTimes(t, l, 3, "a", "")
	refused(t, l, "a", "", false, 10*time.Second)
}

func TestClear(t *testing.T) {
	l, _ := newTest(t, nil)
	for range 3 {
		fail(t, l, "a", "", false)
		fail(t, l, "a", "", true)
	}
	l.Clear("a")
	l.Clear("unknown")
	fail(t, l, "a", "", false)
	fail(t, l, "a", "", true)
}

func TestForget(t *testing.T) {
	cases := []struct {
		name  string
		fails int
		rest  time.Duration
		want  int
	}{
		{"light, a little too early", 2, time.Hour - time.Nanosecond, 2},
		{"light", 2, time.Hour, 0},
		{"delayed: the time begins with the delay's end", 3, time.Hour, 3},
		{"delayed", 3, time.Hour + 10*time.Second, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l, ck := newTest(t, nil)
			failTimes(t, l, c.fails, "a", "")
			ck.advance(c.rest)
			if n, until := l.State("a", false); n != c.want || !until.IsZero() {
				t.Errorf("State = %d, %v, want %d", n, until, c.want)
			}
		})
	}
}

func TestManyAddressesOnOneAccount(t *testing.T) {
	l, _ := newTest(t, nil)
	for i := range 3 {
		fail(t, l, "a", fmt.Sprintf("192.0.2.%d", i), false)
	}
	refused(t, l, "a", "198.51.100.1", false, 10*time.Second)
	fail(t, l, "b", "198.51.100.1", false)
}

func TestOneAddressOnManyAccounts(t *testing.T) {
	l, ck := newTest(t, nil)
	for i := range 5 {
		fail(t, l, fmt.Sprint("user", i), "192.0.2.1", false)
	}
	refused(t, l, "another", "192.0.2.1", false, 10*time.Second)
	if n, _ := l.State("another", false); n != 0 {
		t.Error("an attempt that the address was refused counts for the account")
	}
	fail(t, l, "another", "192.0.2.2", false)
	ck.advance(10 * time.Second)
	fail(t, l, "another", "192.0.2.1", false)
	refused(t, l, "another", "192.0.2.1", false, 20*time.Second)
}

func TestTheLongerWaitIsTold(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 3, "a", "")
	ck.advance(4 * time.Second)
	for i := range 5 {
		fail(t, l, fmt.Sprint("user", i), "192.0.2.1", false)
	}
	refused(t, l, "a", "192.0.2.1", false, 10*time.Second)
	refused(t, l, "a", "192.0.2.2", false, 6*time.Second)
}

func TestOwnSuccessDoesNotHelpASprayer(t *testing.T) {
	l, ck := newTest(t, nil)
	for i := range 4 {
		fail(t, l, fmt.Sprint("user", i), "192.0.2.1", false)
	}
	for range 10 {
		fail(t, l, "mine", "192.0.2.1", false).Success()
	}
	fail(t, l, "user5", "192.0.2.1", false)
	refused(t, l, "mine", "192.0.2.1", false, 10*time.Second)
	ck.advance(10 * time.Second)
	fail(t, l, "mine", "192.0.2.1", false).Success()
	fail(t, l, "user6", "192.0.2.1", false)
	refused(t, l, "user7", "192.0.2.1", false, 20*time.Second)
}

func TestAddressIsForgivenByAndBy(t *testing.T) {
	l, ck := newTest(t, nil)
	for i := range 5 {
		fail(t, l, fmt.Sprint("user", i), "192.0.2.1", false)
	}
	ck.advance(5 * time.Minute)
	fail(t, l, "b", "192.0.2.1", false)
	refused(t, l, "c", "192.0.2.1", false, 10*time.Second)
	ck.advance(25 * time.Minute)
	for i := range 5 {
		fail(t, l, fmt.Sprint("again", i), "192.0.2.1", false)
	}
	refused(t, l, "c", "192.0.2.1", false, 10*time.Second)
}

func TestSteadySprayerIsHeldToThePace(t *testing.T) {
	l, ck := newTest(t, func(c *Config) { c.Max = time.Hour })
	const day = 24 * time.Hour
	passed, longest := 0, time.Duration(0)
	for ck.Now().Sub(l.start) < day {
		a, wait := l.Allow(fmt.Sprint("user", passed), "192.0.2.1", false)
		if a != nil {
			passed++
		}
		longest = max(longest, wait)
		ck.advance(max(wait, time.Second))
	}
	if pace := int(day / (5 * time.Minute)); passed > pace+20 || passed < pace {
		t.Errorf("%d attempts passed in a day, want about %d", passed, pace)
	}
	if longest > 15*time.Minute {
		t.Errorf("those who share the address wait up to %v", longest)
	}
}

func TestDeviceBucketIsApart(t *testing.T) {
	l, _ := newTest(t, nil)
	for i := range 5 {
		fail(t, l, fmt.Sprint("user", i), "192.0.2.1", false)
	}
	failTimes(t, l, 3, "a", "192.0.2.2")
	// Both the account and the address are throttled for strangers.
	fail(t, l, "a", "192.0.2.1", true).Success()
	refused(t, l, "a", "192.0.2.2", false, 10*time.Second)
	for range 3 {
		fail(t, l, "a", "192.0.2.1", true)
	}
	refused(t, l, "a", "192.0.2.9", true, 10*time.Second)
	if n, _ := l.State("a", true); n != 3 {
		t.Errorf("State of the device bucket = %d", n)
	}
	if n := l.networks[0].entries[l.hash.address("192.0.2.1")[0]].failures; n != 5 {
		t.Errorf("attempts with a cookie changed the address's count to %d", n)
	}
}

func TestStrangersSuccessLeavesTheDeviceBucket(t *testing.T) {
	l, _ := newTest(t, nil)
	fail(t, l, "a", "", true)
	fail(t, l, "a", "", false).Success()
	if n, _ := l.State("a", true); n != 1 {
		t.Errorf("device failures = %d, want 1", n)
	}
}

func TestParallelGuesses(t *testing.T) {
	l, ck := newTest(t, nil)
	rush := func() int {
		var passed atomic.Int64
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if a, _ := l.Allow("a", fmt.Sprintf("10.0.0.%d", i), false); a != nil {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		return int(passed.Load())
	}
	if n := rush(); n != 3 {
		t.Errorf("%d of 100 parallel guesses passed, want 3", n)
	}
	ck.advance(10 * time.Second)
	if n := rush(); n != 1 {
		t.Errorf("%d passed when the delay ended, want 1", n)
	}
}

func TestParallelUseOfAllMethods(t *testing.T) {
	l, ck := newTest(t, func(c *Config) { c.MaxKeys = 16 })
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			account := fmt.Sprint("user", i%20)
			a, _ := l.Allow(account, fmt.Sprintf("10.0.0.%d", i%30), i%5 == 0)
			switch i % 4 {
			case 0:
				a.Success()
			case 1:
				a.Cancel()
			case 2:
				l.Clear(account)
			}
			l.State(account, false)
			ck.advance(time.Second)
		})
	}
	wg.Wait()
}

func TestCancelCountsNowhere(t *testing.T) {
	l, _ := newTest(t, nil)
	for range 20 {
		fail(t, l, "a", "192.0.2.1", false).Cancel()
	}
	if len(l.accounts.entries)+len(l.networks[0].entries) != 0 {
		t.Error("cancelled attempts left a count")
	}
	failTimes(t, l, 2, "a", "192.0.2.1")
	third := fail(t, l, "a", "192.0.2.1", false)
	refused(t, l, "a", "", false, 10*time.Second)
	third.Cancel()
	third.Cancel()
	third.Success()
	if n, until := l.State("a", false); n != 2 || !until.IsZero() {
		t.Errorf("State = %d, %v, want 2 without a delay", n, until)
	}
}

func TestCancelLeavesALaterDelay(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 3, "a", "")
	ck.advance(10 * time.Second)
	slow := fail(t, l, "a", "", false) // still being verified when its delay ends
	ck.advance(20 * time.Second)
	fail(t, l, "a", "", false)
	slow.Cancel()
	refused(t, l, "a", "", false, 40*time.Second)
}

func TestCancelAfterResetIsHarmless(t *testing.T) {
	l, _ := newTest(t, nil)
	old := fail(t, l, "a", "", false)
	l.Clear("a")
	old.Cancel()
	old = fail(t, l, "a", "", false)
	l.Clear("a")
	fail(t, l, "a", "", false)
	old.Cancel()
	if n, _ := l.State("a", false); n != 1 {
		t.Errorf("failures = %d, want those of the new count, 1", n)
	}
}

func TestNilAttempt(t *testing.T) {
	var a *Attempt
	a.Success()
	a.Cancel()
}

func TestRightAndWrongLookAlike(t *testing.T) {
	// One limiter sees an account that is about to get it right, the other one
	// that never will. Until a password was verified they tell the same.
	known, ck := newTest(t, nil)
	unknown, ck2 := newTest(t, nil)
	for i := range 50 {
		a, w := known.Allow("a", "192.0.2.1", false)
		b, w2 := unknown.Allow("made-up", "192.0.2.1", false)
		if (a == nil) != (b == nil) || w != w2 {
			t.Fatalf("attempt %d: %v %v, %v %v", i, a != nil, w, b != nil, w2)
		}
		ck.advance(3 * time.Second)
		ck2.advance(3 * time.Second)
	}
}

func TestDefaults(t *testing.T) {
	got := Config{Max: 100 * time.Hour, MaxKeys: 1}.withDefaults()
	if got.Max != MaxDelay || got.MaxKeys != 4 || got.Free != 5 || got.AddressFree != 20 || got.Base != 15*time.Second {
		t.Errorf("%+v", got)
	}
	r := rule{free: 5, base: 15 * time.Second, max: MaxDelay}
	for failures, want := range map[int]time.Duration{
		4: 0, 5: 15 * time.Second, 6: 30 * time.Second, 12: 32 * time.Minute, 13: time.Hour, 1 << 30: time.Hour,
	} {
		if d := r.delay(failures); d != want {
			t.Errorf("%d failures cost %v, want %v", failures, d, want)
		}
	}
	if d := (rule{free: 1, base: time.Hour, max: time.Minute}).delay(1); d != time.Minute {
		t.Errorf("a base over the maximum costs %v", d)
	}
	l := New(Config{})
	for range 5 {
		fail(t, l, "a", "", false)
	}
	if a, _ := l.Allow("a", "", false); a != nil {
		t.Error("the zero Config limits nothing")
	}
}

func TestAddressKeys(t *testing.T) {
	h := newHasher()
	cases := []struct {
		a, b string
		same [3]bool // the address, /56, /48 or /24
	}{
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", [3]bool{true, true, true}},
		{"2001:db8::1", "2001:db8:0:1::1", [3]bool{false, true, true}},
		{"2001:db8::1", "2001:db8:0:ff::1", [3]bool{false, true, true}},
		{"2001:db8::1", "2001:db8:0:100::1", [3]bool{false, false, true}},
		{"2001:db8::1", "2001:db8:1::1", [3]bool{}},
		{"fe80::1%eth0", "fe80::2", [3]bool{true, true, true}},
		{"192.0.2.1", "192.0.2.2", [3]bool{false, true, true}},
		{"192.0.2.1", "192.0.3.1", [3]bool{false, true, false}},
		{"::ffff:192.0.2.1", "192.0.2.1", [3]bool{true, true, true}},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", [3]bool{false, true, true}},
		{"192.0.2.1:1234", "192.0.2.1:5678", [3]bool{true, true, true}},
		{"192.0.2.1:1234", "192.0.2.1", [3]bool{true, true, true}},
		{"[2001:db8::1]:1234", "2001:db8::2", [3]bool{true, true, true}},
		{"nonsense", "nonsense", [3]bool{true, true, true}},
		{"nonsense", "other", [3]bool{false, true, true}},
	}
	for _, c := range cases {
		a, b := h.address(c.a), h.address(c.b)
		for i := range a {
			if same := a[i] == b[i]; same != c.same[i] {
				t.Errorf("%s and %s share network %d: %v, want %v", c.a, c.b, i, same, c.same[i])
			}
		}
	}
	// Of IPv4 there is no /56, and around what is no address nothing.
	if four, none := h.address("192.0.2.1"), h.address("nonsense"); four[1] != 0 || none[1] != 0 || none[2] != 0 {
		t.Errorf("there is a count of %v and %v", four, none)
	}
}

func TestFloodNeitherGrowsNorFrees(t *testing.T) {
	l, ck := newTest(t, nil)
	failTimes(t, l, 3, "victim", "")
	ck.advance(10 * time.Second)
	fail(t, l, "victim", "", false)
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	for i := range n {
		a, _ := l.Allow(fmt.Sprint("made-up", i), "", false)
		if a == nil {
			t.Fatal("a new key is throttled")
		}
	}
	if len(l.accounts.entries) != 1000 {
		t.Errorf("%d keys are held, the limit is 1000", len(l.accounts.entries))
	}
	refused(t, l, "victim", "", false, 20*time.Second)
}

func TestAddressFloodIsBounded(t *testing.T) {
	l, _ := newTest(t, nil)
	for i := range 20_000 {
		fail(t, l, fmt.Sprint("user", i), fmt.Sprintf("2001:db8:%x::1", i), false)
	}
	for i, tb := range l.networks {
		if n := len(tb.entries); n != 1000 {
			t.Errorf("%d networks of kind %d are held, the limit is 1000", n, i)
		}
	}
}

// A table that someone filled with delayed accounts still counts new ones.
func TestHeavyEntriesLeaveRoom(t *testing.T) {
	l, _ := newTest(t, nil)
	for i := range 2000 {
		failTimes(t, l, 3, fmt.Sprint("delayed", i), "")
	}
	fail(t, l, "victim", "", false)
	for i := range 248 {
		fail(t, l, fmt.Sprint("made-up", i), "", false)
	}
	if n, _ := l.State("victim", false); n != 1 {
		t.Errorf("the count of a light account is %d after fewer new keys than its quarter", n)
	}
	if n := l.accounts.heavy.len; n < 750 {
		t.Errorf("new keys pushed heavy ones out: %d are left", n)
	}
}

func TestExpiredGoFirst(t *testing.T) {
	l, ck := newTest(t, nil)
	for i := range 900 {
		fail(t, l, fmt.Sprint("old", i), "", false)
	}
	ck.advance(time.Hour)
	fail(t, l, "new", "", false)
	if n := len(l.accounts.entries); n != 1 {
		t.Errorf("%d keys are held, want the new one only", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	names := make([]string, 1<<16)
	for i := range names {
		names[i] = fmt.Sprintf("user%d@example.org", i)
	}
	b.Run("new keys, full table", func(b *testing.B) {
		l, _ := newTest(b, nil)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.Allow(names[i&0xffff], "", false)
		}
	})
	b.Run("throttled", func(b *testing.B) {
		l, _ := newTest(b, nil)
		failTimes(b, l, 3, "a", "")
		b.ReportAllocs()
		for b.Loop() {
			l.Allow("a", "192.0.2.1", false)
		}
	})
	b.Run("account of 64 KiB", func(b *testing.B) {
		l, _ := newTest(b, nil)
		long := strings.Repeat("x", 64<<10)
		b.ReportAllocs()
		for b.Loop() {
			a, _ := l.Allow(long, "192.0.2.1", false)
			a.Success()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		l, _ := newTest(b, nil)
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				a, _ := l.Allow(names[next.Add(1)&0xffff], "192.0.2.1", false)
				a.Success()
			}
		})
	})
}
