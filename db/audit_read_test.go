package db_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// unlocks writes n entries.
func (f *timedStore) unlocks(n int) {
	f.t.Helper()
	for i := range n {
		f.clock.pass(time.Second)
		must(f.t, f.UnlockUser(context.Background(), local, fmt.Sprintf("user-%d", i%10)))
	}
}

func TestAuditPages(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(100) // entry 1 is the store's creation
	began := f.Now()
	f.clock.pass(time.Second)
	u := f.user("ann@example.com")
	cases := []struct {
		name  string
		query db.AuditQuery
		total int64
		first uint64
	}{
		{"all", db.AuditQuery{Size: 7}, 102, 102},
		{"by action", db.AuditQuery{Size: 7, Action: "user.unlock"}, 100, 101},
		{"by target", db.AuditQuery{Size: 7, Target: "user-3"}, 10, 95},
		{"by actor", db.AuditQuery{Size: 7, Actor: db.LocalActor}, 102, 102},
		{"by actor and action", db.AuditQuery{Size: 7, Actor: db.LocalActor, Action: "user.create", Target: u.ID}, 1, 102},
		{"since", db.AuditQuery{Size: 7, Since: began}, 2, 102},
		{"until", db.AuditQuery{Size: 7, Until: began.Add(-10 * time.Second)}, 90, 90},
		{"between, of a target", db.AuditQuery{Size: 7, Target: "user-3", Since: began.Add(-30 * time.Second), Until: began}, 3, 95},
		{"nothing", db.AuditQuery{Size: 7, Action: "user.delete"}, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var seen []uint64
			for q := c.query; ; {
				page, err := f.Audit(ctx, q)
				must(t, err)
				if page.Total != c.total {
					t.Errorf("total is %d, want %d", page.Total, c.total)
				}
				for _, e := range page.Items {
					seen = append(seen, e.Seq)
				}
				if q.After = page.After; q.After == "" {
					break
				}
			}
			if int64(len(seen)) != c.total || (c.total > 0 && seen[0] != c.first) {
				t.Errorf("paged through %v, want %d entries from %d down", seen, c.total, c.first)
			}
			for i := 1; i < len(seen); i++ {
				if seen[i] >= seen[i-1] {
					t.Errorf("entry %d after %d", seen[i], seen[i-1])
				}
			}
		})
	}
}

func TestVerifyAuditNamesThePlace(t *testing.T) {
	ctx := context.Background()
	entry := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	cases := []struct {
		name   string
		break_ func(t *testing.T, tx db.Tx)
		told   string
	}{
		{"removed", func(t *testing.T, tx db.Tx) { must(t, tx.Delete("audit", entry(40))) }, "entry 40 is missing"},
		{"changed", func(t *testing.T, tx db.Tx) {
			v, err := tx.Get("audit", entry(40))
			must(t, err)
			v = bytes.Replace(v[9:], []byte("user-"), []byte("usex-"), 1)
			must(t, tx.Put("audit", entry(40), db.Seal("audit", entry(40), v)))
		}, "entry 41 does not follow entry 40"},
		{"swapped", func(t *testing.T, tx db.Tx) {
			a, err := tx.Get("audit", entry(40))
			must(t, err)
			b, err := tx.Get("audit", entry(41))
			must(t, err)
			must(t, tx.Put("audit", entry(40), db.Seal("audit", entry(40), b[9:])))
			must(t, tx.Put("audit", entry(41), db.Seal("audit", entry(41), a[9:])))
		}, "entry 40 is damaged"},
		{"truncated", func(t *testing.T, tx db.Tx) {
			for n := uint64(90); n <= 101; n++ {
				must(t, tx.Delete("audit", entry(n)))
			}
		}, "entries 90 to 101 are missing at the end"},
		{"damaged", func(t *testing.T, tx db.Tx) {
			v, err := tx.Get("audit", entry(40))
			must(t, err)
			v[30] ^= 1
			must(t, tx.Put("audit", entry(40), v))
		}, "entry 40 is damaged"},
		{"newest changed", func(t *testing.T, tx db.Tx) {
			v, err := tx.Get("audit", entry(101))
			must(t, err)
			v = bytes.Replace(v[9:], []byte("user-"), []byte("usex-"), 1)
			must(t, tx.Put("audit", entry(101), db.Seal("audit", entry(101), v)))
		}, "entry 101, the newest, was changed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newTimedStore(t)
			f.unlocks(100)
			_, head, err := f.AuditHead(ctx)
			must(t, err)
			if v, err := f.VerifyAudit(ctx, head); err != nil || !v.OK || v.Entries != 101 {
				t.Fatalf("before: %+v, %v", v, err)
			}
			// The broken file is put aside before the invariants of the store are
			// checked in the cleanup, which would rightly find it broken.
			whole := readFile(t, f)
			must(t, f.Engine().Update(ctx, func(tx db.Tx) error { c.break_(t, tx); return nil }))
			v, err := f.VerifyAudit(ctx, "")
			must(t, err)
			if v.OK || !strings.Contains(strings.Join(v.Problems, "; "), c.told) {
				t.Errorf("told %q, want %q", v.Problems, c.told)
			}
			page, err := f.Audit(ctx, db.AuditQuery{Size: 5})
			if err != nil || len(page.Items) == 0 {
				t.Errorf("the rest is not readable: %v", err)
			}
			writeFile(t, f, whole)
		})
	}
}

func readFile(t *testing.T, f *timedStore) []byte {
	t.Helper()
	must(t, f.Close())
	b, err := os.ReadFile(f.path)
	must(t, err)
	f.open()
	return b
}

func writeFile(t *testing.T, f *timedStore, b []byte) {
	t.Helper()
	must(t, f.Close())
	must(t, os.WriteFile(f.path, b, 0o600))
	f.open()
}

func TestVerifyAuditAgainstAKeptHead(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(50)
	_, kept, err := f.AuditHead(ctx)
	must(t, err)
	shorter := readFile(t, f)
	f.unlocks(50)
	_, newest, err := f.AuditHead(ctx)
	must(t, err)
	for _, head := range []string{kept, newest} {
		if v, err := f.VerifyAudit(ctx, head); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
	}
	// A log that was cut and closed again holds by itself, but not against the
	// head that was kept.
	writeFile(t, f, shorter)
	if v, err := f.VerifyAudit(ctx, ""); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := f.VerifyAudit(ctx, newest); err != nil || v.OK {
		t.Errorf("a cut log passes for whole: %+v, %v", v, err)
	}
}

func TestPruneAuditLeavesAStub(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(1000)
	_, head, err := f.AuditHead(ctx)
	must(t, err)
	if n, err := f.PruneAudit(ctx, db.Retention{Changes: 900}); err != nil || n != 0 {
		t.Fatalf("pruned %d, %v below a step", n, err)
	}
	n, err := f.PruneAudit(ctx, db.Retention{Changes: 300})
	must(t, err)
	if n < 600 {
		t.Errorf("pruned %d of 1001 to 300", n)
	}
	v, err := f.VerifyAudit(ctx, head)
	if err != nil || !v.OK || v.First != uint64(n)+1 {
		t.Errorf("after pruning %d: %+v, %v", n, v, err)
	}
	before := v.First
	n, err = f.PruneAudit(ctx, db.Retention{Since: f.Now().Add(-30 * time.Second)})
	must(t, err)
	if n == 0 {
		t.Error("nothing was pruned by age")
	}
	if v, err := f.VerifyAudit(ctx, head); err != nil || !v.OK || v.First != before+uint64(n) {
		t.Errorf("after pruning by age: %+v, %v", v, err)
	}
	must(t, f.Engine().Update(ctx, func(tx db.Tx) error {
		key := []byte("audit.stub")
		v, err := tx.Get("meta", key)
		must(t, err)
		return tx.Put("meta", key, db.Seal("meta", key, bytes.Replace(v[9:], []byte(`"seq":`), []byte(`"seq":1`), 1)))
	}))
	if v, err := f.VerifyAudit(ctx, ""); err != nil || v.OK || !strings.HasPrefix(coded(v), db.FoundPrunedUnsigned+" 1-") {
		t.Errorf("a forged stub passes: %+v, %v", v, err)
	}
	f.restoreStub(t)
}

// A single wrong jump ahead makes no entry too old: what the right clock calls
// new is there when it is right again.
func TestClockAheadOncePrunesNothing(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(10)
	f.clock.pass(2 * time.Minute)
	f.write()
	prune := func() int {
		n, err := f.PruneAudit(ctx, db.Retention{Since: f.Now().Add(-time.Hour)})
		must(t, err)
		return n
	}
	f.clock.step(1000 * time.Hour)
	if n := prune(); n != 0 {
		t.Errorf("%d entries are pruned in a jump ahead", n)
	}
	f.clock.pass(11 * time.Minute)
	if n := prune(); n == 0 {
		t.Error("nothing is pruned once the clock has proved itself")
	}
}

// restoreStub undoes the forgery above.
func (f *timedStore) restoreStub(t *testing.T) {
	must(t, f.Engine().Update(context.Background(), func(tx db.Tx) error {
		key := []byte("audit.stub")
		v, err := tx.Get("meta", key)
		must(t, err)
		return tx.Put("meta", key, db.Seal("meta", key, bytes.Replace(v[9:], []byte(`"seq":1`), []byte(`"seq":`), 1)))
	}))
}

func TestRefusalsAreFolded(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	for i := range 10_000 {
		f.NoteRefusal(&db.Actor{Transport: db.TransportHTTP, Address: fmt.Sprintf("192.0.2.%d", i%4)}, "session.login", db.NoTarget)
	}
	must(t, f.FlushLastUsed(ctx))
	page, err := f.Audit(ctx, db.AuditQuery{Action: "session.login", Size: 10})
	must(t, err)
	if len(page.Items) != 4 {
		t.Fatalf("%d entries for one minute from four addresses", len(page.Items))
	}
	for _, e := range page.Items {
		if e.Count != 2500 || e.Result != db.ResultRefused {
			t.Errorf("entry %+v", e)
		}
	}
	for i := range 5000 {
		f.NoteRefusal(&db.Actor{Address: fmt.Sprintf("2001:db8:%x::1", i)}, "session.login", db.NoTarget)
	}
	must(t, f.FlushLastUsed(ctx))
	page, err = f.Audit(ctx, db.AuditQuery{Action: "session.login", Size: 1})
	must(t, err)
	if page.Total > 1100 || page.Total < 1000 {
		t.Errorf("a flood from many addresses wrote %d entries", page.Total)
	}
}

func TestNewAddressOfATokenIsAudited(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	k := f.token("00000000-0000-4000-8000-000000000001", db.SingleUser)
	use := func(addresses ...string) {
		for _, a := range addresses {
			f.NoteTokenUse(k.ID, a, false)
		}
		must(t, f.FlushLastUsed(ctx))
	}
	count := func() int64 {
		page, err := f.Audit(ctx, db.AuditQuery{Target: k.ID, Action: "token.use", Size: 100})
		must(t, err)
		return page.Total
	}
	use("192.0.2.1", "192.0.2.2", "192.0.2.1")
	if n := count(); n != 2 {
		t.Errorf("%d entries for two addresses", n)
	}
	use("192.0.2.2", "192.0.2.1")
	if n := count(); n != 2 {
		t.Errorf("%d entries after known ones", n)
	}
	for i := 10; i < 26; i++ {
		use(fmt.Sprintf("192.0.2.%d", i))
	}
	use("192.0.2.1") // forgotten: sixteen others came since
	if n := count(); n != 2+16+1 {
		t.Errorf("%d entries", n)
	}
	f.reopen()
	use("192.0.2.1")
	if n := count(); n != 19 {
		t.Errorf("%d entries: a restart forgets the addresses", n)
	}
}

// On the machine itself there is no address that could be new.
func TestUseWithoutAnAddress(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	k := f.token("00000000-0000-4000-8000-000000000001", db.SingleUser)
	f.NoteTokenUse(k.ID, "", false)
	must(t, f.FlushLastUsed(ctx))
	page, err := f.Audit(ctx, db.AuditQuery{Target: k.ID, Action: "token.use", Size: 10})
	if err != nil || page.Total != 0 {
		t.Errorf("%d entries, %v", page.Total, err)
	}
	if u, err := f.TokenLastUsed(ctx, k.ID); err != nil || u.Time.IsZero() || len(u.Seen) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

// Whoever goes on behind the last entry comes to an end, also where one was
// given another's number.
func TestAnEntryWithAnothersNumber(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(30)
	whole := readFile(t, f)
	must(t, f.Engine().Update(ctx, func(tx db.Tx) error {
		for _, n := range []byte{25, 31} { // as the last of a page, and of all
			key := []byte{0, 0, 0, 0, 0, 0, 0, n}
			v, err := tx.Get("audit", key)
			must(t, err)
			v = bytes.Replace(v[9:], fmt.Appendf(nil, `"seq":%d`, n), []byte(`"seq":28`), 1)
			must(t, tx.Put("audit", key, db.Seal("audit", key, v)))
		}
		return nil
	}))
	seen := 0
	for q := (db.AuditQuery{Size: 3}); seen < 100; {
		page, err := f.Audit(ctx, q)
		must(t, err)
		seen += len(page.Items)
		if q.After = page.After; q.After == "" {
			break
		}
	}
	exported := 0
	for next := uint64(1); exported < 100; {
		events, err := f.AuditFrom(ctx, next)
		must(t, err)
		if len(events) == 0 {
			break
		}
		exported += len(events)
		next = events[len(events)-1].Seq + 1
	}
	if seen != 29 || exported != 29 {
		t.Errorf("of 29 whole entries %d were listed and %d exported", seen, exported)
	}
	writeFile(t, f, whole)
}

// between calls do after the first look at the store.
type between struct {
	db.Engine
	looks int
	do    func()
}

func (e *between) View(ctx context.Context, f func(db.Tx) error) error {
	err := e.Engine.View(ctx, f)
	if e.looks++; e.looks == 1 {
		e.do()
	}
	return err
}

// What retention takes away while the chain is walked is not missing.
func TestVerifyAuditBesideRetention(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	for range 7 {
		for i := range 900 {
			f.NoteRefusal(&db.Actor{ID: fmt.Sprint(i)}, "user.password", db.NoTarget)
		}
		f.clock.pass(time.Minute)
		must(t, f.FlushLastUsed(ctx))
	}
	e := &between{Engine: f.Engine(), do: func() {}}
	beside, err := db.Open(ctx, e, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(t, err)
	e.looks, e.do = 0, func() {
		n, err := f.PruneAudit(ctx, db.Retention{Since: f.Now().Add(-time.Minute)})
		if err != nil || n < 5200 {
			t.Errorf("pruned %d, %v: the walk is not overtaken", n, err)
		}
	}
	v, err := beside.VerifyAudit(ctx, "")
	if err != nil || !v.OK || e.looks < 2 {
		t.Errorf("after %d looks: %+v, %v", e.looks, v, err)
	}
}

func BenchmarkVerifyAudit(b *testing.B) {
	f := newTimedStore(b)
	ctx := context.Background()
	for range 50 {
		for range 900 {
			f.NoteRefusal(&db.Actor{ID: fmt.Sprint(b.N, f.Now().UnixNano())}, "session.login", db.NoTarget)
			f.clock.pass(time.Second)
		}
		must(b, f.FlushLastUsed(ctx))
	}
	entries := int64(0)
	b.ResetTimer()
	for b.Loop() {
		v, err := f.VerifyAudit(ctx, "")
		if err != nil || !v.OK {
			b.Fatal(v, err)
		}
		entries += v.Entries
	}
	b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
}
