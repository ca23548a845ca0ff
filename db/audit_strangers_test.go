package db_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
)

func nobodyAt(address string) *db.Actor {
	return &db.Actor{Transport: db.TransportHTTP, Address: address}
}

// strangers has n networks refused once each, and writes that down.
func (f *timedStore) strangers(from, n int) {
	f.t.Helper()
	for i := range n {
		f.NoteRefusal(nobodyAt(fmt.Sprintf("10.0.%d.%d", (from+i)/256, (from+i)%256)), "session.login", db.NoTarget)
	}
	must(f.t, f.FlushLastUsed(context.Background()))
}

// mixed writes changes with strangers' refusals between them, a day for each
// round.
func (f *timedStore) mixed(rounds, each int) {
	f.t.Helper()
	for i := range rounds {
		f.unlocks(1)
		f.strangers(i*each, each)
		f.clock.pass(24 * time.Hour)
	}
}

func (f *timedStore) prune(keep db.Retention) (n int) {
	f.t.Helper()
	n, err := f.PruneAudit(context.Background(), keep)
	must(f.t, err)
	return n
}

func (f *timedStore) verdict(known string) db.AuditVerdict {
	f.t.Helper()
	v, err := f.VerifyAudit(context.Background(), known)
	must(f.t, err)
	if t, is := f.t.(*testing.T); is {
		sameFindings(t, v)
	}
	return v
}

// listed returns the numbers of all entries, by pages, and holds the total to
// them.
func (f *timedStore) listed(q db.AuditQuery) (seqs []uint64) {
	f.t.Helper()
	total := int64(0)
	for q.Size = 70; ; {
		page, err := f.Audit(context.Background(), q)
		must(f.t, err)
		total = page.Total
		for _, e := range page.Items {
			seqs = append(seqs, e.Seq)
		}
		if q.After = page.After; q.After == "" {
			break
		}
	}
	if total != int64(len(seqs)) {
		f.t.Errorf("%d entries are listed, and the total is %d", len(seqs), total)
	}
	return seqs
}

func (f *timedStore) keysOf(bucket string) (keys [][]byte) {
	f.t.Helper()
	must(f.t, f.Engine().View(context.Background(), func(tx db.Tx) error {
		return tx.Scan(bucket, nil, nil, false, func(k, _ []byte) bool { keys = append(keys, k); return true })
	}))
	return keys
}

// What strangers write pushes no change out: it goes out of the middle, and the
// log stays whole, listed and counted.
func TestStrangersPushNoChangeOut(t *testing.T) {
	f := newTimedStore(t)
	f.unlocks(2)
	f.mixed(30, 90) // so that steps end among those of a day
	changes := f.listed(db.AuditQuery{Action: "user.unlock"})
	f.listed(db.AuditQuery{Action: "session.login"}) // whose number is remembered
	head := f.verdict("").Head
	if n := f.prune(db.Retention{Changes: 1000, Refusals: 500}); n != 2200 {
		t.Errorf("%d are pruned of 2700 to 500", n)
	}
	if got := f.listed(db.AuditQuery{Action: "user.unlock"}); !slices.Equal(got, changes) {
		t.Errorf("of changes %v there are %v", changes, got)
	}
	all := f.listed(db.AuditQuery{})
	if n := len(f.listed(db.AuditQuery{Action: "session.login"})); n != 500 || len(all) != 1+len(changes)+500+11 {
		t.Errorf("%d refusals are left, %d entries in all", n, len(all))
	}
	v := f.verdict(head)
	if !v.OK || v.First != 1 || v.Pruned != 2200 || v.Kept != db.KeptPresent || v.Entries != int64(len(all)) {
		t.Errorf("%+v", v)
	}
	if n := len(f.keysOf("audit.pruned")); n != 25 { // one for each day of which some went
		t.Errorf("%d ranges for %d changes", n, len(changes))
	}
	// One step at least goes at a time, and all may stay.
	if n := f.prune(db.Retention{Refusals: 301}) + f.prune(db.Retention{}); n != 0 {
		t.Errorf("%d are pruned", n)
	}
	// Retention by number of changes, and by age, takes what stands among them.
	f.unlocks(300)
	if n := f.prune(db.Retention{Changes: 100}); n < 200 {
		t.Errorf("%d are pruned by number", n)
	}
	if v := f.verdict(""); !v.OK || v.First < 2700 || v.Pruned != 0 || len(f.keysOf("audit.pruned")) != 0 {
		t.Errorf("%+v", v)
	}
	if v := f.verdict(head); !v.OK || v.Kept != db.KeptPruned {
		t.Errorf("the head of before: %+v", v)
	}
	f.listed(db.AuditQuery{})
}

// Ranges at the beginning become one with what is gone there.
func TestRangesAtTheBeginning(t *testing.T) {
	f := newTimedStore(t)
	f.unlocks(3)
	f.mixed(10, 100)
	f.prune(db.Retention{Refusals: 200})
	before := f.verdict("")
	f.clock.pass(time.Hour)
	n := f.prune(db.Retention{Since: f.Now().Add(-7 * 24 * time.Hour)})
	v := f.verdict(before.Head)
	if n != 1+3+4 || !v.OK || v.Kept != db.KeptPresent || v.First != 1+1+3+4*101 || before.Pruned != 800 || v.Pruned != 400 {
		t.Errorf("%d went: %+v before, now %+v", n, before, v)
	}
	f.listed(db.AuditQuery{})
	// What is left of strangers, up to the newest, goes on to end in ranges.
	f.prune(db.Retention{Since: f.Now().Add(-3 * 24 * time.Hour)})
	f.listed(db.AuditQuery{})
	if v := f.verdict(before.Head); !v.OK {
		t.Errorf("%+v", v)
	}
}

// A time is found also where retention took entries out, and without reading
// what is newer.
func TestTimeOverPrunedEntries(t *testing.T) {
	f := newTimedStore(t)
	began := f.Now()
	f.mixed(150, 12)
	f.prune(db.Retention{Refusals: 100})
	for day := 0; day < 150; day += 9 {
		until := began.Add(time.Duration(day) * (24*time.Hour + time.Second))
		got := len(f.listed(db.AuditQuery{Action: "user.unlock", Until: until}))
		if got != day {
			t.Errorf("until day %d there are %d", day, got)
		}
		page, err := f.Audit(context.Background(), db.AuditQuery{Until: until, Size: 1})
		must(t, err)
		if day > 0 && (len(page.Items) != 1 || page.Items[0].Time.After(until)) {
			t.Errorf("until day %d: %+v", day, page.Items)
		}
	}
	counted := &countingEngine{Engine: f.Engine()}
	store, err := db.Open(t.Context(), counted, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(t, err)
	counted.gets, counted.scanned = 0, 0
	_, err = store.Audit(t.Context(), db.AuditQuery{Action: "user.unlock", Until: began.Add(5 * 24 * time.Hour), Size: 1000})
	must(t, err)
	if counted.gets > 60 || counted.scanned > 60 {
		t.Errorf("%d reads and %d steps to find a time", counted.gets, counted.scanned)
	}
}

// A record of what was pruned that is missing, forged or of another place is
// told, and so is a change that is passed off for a stranger's: its record may
// be signed, but the entry behind it names the change before.
func TestForgedRanges(t *testing.T) {
	f := newTimedStore(t)
	f.unlocks(5)
	f.mixed(5, 100)
	f.unlocks(5)
	f.strangers(0, 1)
	f.unlocks(5)
	f.prune(db.Retention{Refusals: 250})
	if v := f.verdict(""); !v.OK || v.Pruned != 200 {
		t.Fatalf("%+v", v)
	}
	ranges := f.keysOf("audit.pruned")
	change := func(tx db.Tx, bucket string, key []byte, with func(map[string]any)) {
		sealed, err := tx.Get(bucket, key)
		must(t, err)
		text, err := db.Unseal(bucket, key, sealed)
		must(t, err)
		var r map[string]any
		must(t, json.Unmarshal(text, &r))
		with(r)
		text, err = json.Marshal(r)
		must(t, errors.Join(err, tx.Put(bucket, key, db.Seal(bucket, key, text))))
	}
	whole := readFile(t, f)
	for name, c := range map[string]struct {
		forge func(tx db.Tx)
		told  string
		code  string
	}{
		"missing": {func(tx db.Tx) { must(t, tx.Delete("audit.pruned", ranges[0])) }, "is missing", db.FoundMissing},
		"longer": {func(tx db.Tx) {
			change(tx, "audit.pruned", ranges[1], func(r map[string]any) { r["to"] = r["to"].(float64) - 1 })
		}, "is not signed by this store", db.FoundRangeUnsigned},
		"another's signature": {func(tx db.Tx) {
			var mac any
			change(tx, "audit.pruned", ranges[0], func(r map[string]any) { mac = r["mac"] })
			change(tx, "audit.pruned", ranges[1], func(r map[string]any) { r["mac"] = mac })
		}, "is not signed by this store", db.FoundRangeUnsigned},
		"damaged": {func(tx db.Tx) {
			must(t, tx.Put("audit.pruned", ranges[0], []byte("damaged, and long enough")))
		}, "is missing", db.FoundMissing},
		"a change before it": {func(tx db.Tx) {
			key := seq(uint64(ranges[1][6])<<8 + uint64(ranges[1][7]) - 1)
			change(tx, "audit", key, func(e map[string]any) { e["target"] = "another" })
		}, "does not follow", db.FoundRangeChanged},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, f.Engine().Update(t.Context(), func(tx db.Tx) error { c.forge(tx); return nil }))
			v := f.verdict("")
			if v.OK || !strings.Contains(strings.Join(v.Problems, "\n"), c.told) || !strings.Contains(coded(v), c.code+" ") {
				t.Errorf("%+v", v)
			}
			writeFile(t, f, whole)
		})
	}
	for seq, told := range map[uint64]string{4: "change_gone 5-5: entry 5 does not follow the change that it names", 1: "range_first 1-1: what retention removed from entry 1 on"} {
		t.Run("a change passed off for a stranger's", func(t *testing.T) {
			must(t, f.PassOff(t.Context(), seq))
			if v := f.verdict(""); v.OK || len(v.Problems) != 1 || !strings.Contains(coded(v)+": "+v.Problems[0], told) {
				t.Errorf("%+v", v)
			}
			writeFile(t, f, whole)
		})
	}
}

// A range that is in no place of the chain is found by a check.
func TestStrayRange(t *testing.T) {
	f := newTimedStore(t)
	f.unlocks(3)
	f.mixed(5, 100)
	f.prune(db.Retention{Refusals: 100})
	whole := readFile(t, f)
	for name, spoil := range map[string]func(tx db.Tx) error{
		"a range in no place": func(tx db.Tx) error {
			key := f.keysOf("audit.pruned")[0]
			sealed, err := tx.Get("audit.pruned", key)
			must(t, err)
			text, err := db.Unseal("audit.pruned", key, sealed)
			must(t, err)
			text = bytes.Replace(text, []byte(`"from":5`), []byte(`"from":2`), 1)
			return tx.Put("audit.pruned", seq(2), db.Seal("audit.pruned", seq(2), text))
		},
		"a checkpoint": func(tx db.Tx) error {
			key := f.keysOf("audit.checkpoint")[0]
			sealed, err := tx.Get("audit.checkpoint", key)
			must(t, err)
			text, err := db.Unseal("audit.checkpoint", key, sealed)
			must(t, err)
			text = bytes.Replace(text, []byte(`"last":`), []byte(`"last":1`), 1)
			return tx.Put("audit.checkpoint", key, db.Seal("audit.checkpoint", key, text))
		},
		"the budget": func(tx db.Tx) error {
			key := []byte("audit.strangers")
			return tx.Put("meta", key, db.Seal("meta", key, []byte(`{"kept":7}`)))
		},
	} {
		var faults []string
		must(t, f.Engine().Update(t.Context(), spoil))
		_, err := f.Check(t.Context(), func(err error) { faults = append(faults, err.Error()) })
		must(t, err)
		if len(faults) == 0 {
			t.Errorf("%s: nothing is told", name)
		}
		writeFile(t, f, whole)
	}
}

// A budget that can't be read is counted anew: refusals go on to be written.
func TestDamagedBudget(t *testing.T) {
	f := newTimedStore(t)
	f.mixed(5, 100)
	f.prune(db.Retention{Refusals: 100})
	must(t, f.Engine().Update(t.Context(), func(tx db.Tx) error { return tx.Put("meta", []byte("audit.strangers"), []byte("damaged, and long")) }))
	f.listed(db.AuditQuery{})
	f.strangers(0, 3)
	f.listed(db.AuditQuery{}) // and the check after the test finds it right
}

// A head that was kept is found whatever it was of, and what is pruned is told
// from what was never there.
func TestKeptHeads(t *testing.T) {
	dbtest.TakesVeryLong(t, "heads that were kept, through every prune")
	f := newTimedStore(t)
	f.unlocks(2)
	type kept struct {
		seq  uint64
		hash string
	}
	var heads []kept
	keep := func() {
		n, hash, err := f.AuditHead(t.Context())
		must(t, err)
		heads = append(heads, kept{n, hash})
	}
	for day := range 9 {
		f.unlocks(1)
		keep()
		for i := range 70 {
			f.strangers(day*70+i, 1)
			keep()
		}
		f.clock.pass(24 * time.Hour)
	}
	for _, keep := range []db.Retention{{}, {Refusals: 200}, {Since: f.Now().Add(-4 * 24 * time.Hour), Refusals: 100}} {
		f.prune(keep)
		there := map[uint64]bool{}
		for _, n := range f.listed(db.AuditQuery{}) {
			there[n] = true
		}
		for _, h := range heads {
			want := map[bool]string{true: db.KeptPresent, false: db.KeptPruned}[there[h.seq]]
			for _, known := range []string{h.hash, fmt.Sprint(h.seq, ":", strings.ToUpper(h.hash))} {
				if v := f.verdict(known); !v.OK || v.Kept != want {
					t.Fatalf("%s, kept %+v: %q, want %q: %q", known, keep, v.Kept, want, v.Problems)
				}
			}
		}
	}
	last := heads[len(heads)-1]
	for known, told := range map[string]string{
		strings.Repeat("0", 64): "no entry has the hash",
		"00":                    "no entry has the hash",
		fmt.Sprint(heads[5].seq, ":", heads[6].hash): "no entry has the hash",
		fmt.Sprint(last.seq, ":", heads[6].hash):     "has another hash",
		fmt.Sprint(last.seq+9999, ":", last.hash):    "no entry has the hash",
	} {
		if v := f.verdict(known); v.OK || v.Kept != db.KeptAbsent || !strings.Contains(strings.Join(v.Problems, "\n"), told) {
			t.Errorf("%s: %+v", known, v)
		}
	}
	for _, none := range []string{"x:" + last.hash, heads[5].hash[:16] + strings.Repeat("0", 47) + "x"} {
		if _, err := f.VerifyAudit(t.Context(), none); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("%s, which is no number and no hash: %v", none, err)
		}
	}
	// Checkpoints that the store did not sign tell nothing.
	whole := readFile(t, f)
	must(t, f.Engine().Update(t.Context(), func(tx db.Tx) error {
		for _, key := range f.keysOf("audit.checkpoint") {
			sealed, err := tx.Get("audit.checkpoint", key)
			must(t, err)
			text, err := db.Unseal("audit.checkpoint", key, sealed)
			must(t, err)
			text = bytes.Replace(text, []byte(`"last":`), []byte(`"last":1`), 1)
			must(t, tx.Put("audit.checkpoint", key, db.Seal("audit.checkpoint", key, text)))
		}
		return nil
	}))
	if v := f.verdict(heads[5].hash); v.OK {
		t.Errorf("an unsigned checkpoint is believed: %+v", v)
	}
	writeFile(t, f, whole)
}

// Of the newest that went all hashes are kept, of older ones some: then the
// number tells that it was retention, and nothing more.
func TestForgottenHeads(t *testing.T) {
	dbtest.TakesVeryLong(t, "heads that were kept, of checkpoints that are gone")
	defer db.FewCheckpoints(2)()
	f := newTimedStore(t)
	var heads []string
	for range 5 {
		f.unlocks(600)
		n, hash, err := f.AuditHead(t.Context())
		must(t, err)
		heads = append(heads, fmt.Sprint(n, ":", hash))
		f.prune(db.Retention{Changes: 100})
	}
	told := map[string]int{}
	for _, known := range heads {
		v := f.verdict(known)
		told[v.Kept]++
		if !v.OK {
			t.Errorf("%s: %+v", known, v)
		}
	}
	if told[db.KeptForgotten] == 0 || told[db.KeptPruned]+told[db.KeptPresent] == 0 {
		t.Errorf("%v", told)
	}
	_, hash, _ := strings.Cut(heads[0], ":")
	if v := f.verdict(hash); v.OK {
		t.Errorf("without its number: %+v", v)
	}
	if n := len(f.keysOf("audit.checkpoint")); n > 32 {
		t.Errorf("%d checkpoints are kept", n)
	}
}

// A day has so many entries of strangers; the rest is a number, that a restart
// does not forget, and that known people's refusals are no part of.
func TestStrangersOfADay(t *testing.T) {
	f := newTimedStore(t)
	for i := range 5 {
		f.strangers(i*900, 900)
		f.clock.pass(time.Minute)
		f.reopen()
	}
	f.NoteRefusal(&db.Actor{ID: "ann"}, "user.password", db.Literal("ann"))
	f.strangers(0, 0)
	if n := len(f.listed(db.AuditQuery{Action: "session.login"})); n != db.MaxStrangersDay {
		t.Errorf("%d entries of strangers in a day", n)
	}
	if n := len(f.listed(db.AuditQuery{Actor: "ann"})); n != 1 {
		t.Errorf("%d refusals of somebody known", n)
	}
	day := f.Now().Format(time.DateOnly)
	f.clock.pass(24 * time.Hour)
	f.prune(db.Retention{})
	f.prune(db.Retention{})
	page, err := f.Audit(t.Context(), db.AuditQuery{Action: db.ActionLeftOut, Size: 9})
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].Count != 2500 || page.Items[0].Target != day || page.Items[0].Address != db.ManyAddresses || page.Items[0].Result != db.ResultRefused {
		t.Errorf("left out: %+v", page.Items)
	}
	f.strangers(0, 5)
	if n := len(f.listed(db.AuditQuery{Action: "session.login"})); n != db.MaxStrangersDay+5 {
		t.Errorf("%d entries: a new day begins anew", n)
	}
}

// Of one network refusals are one, and strangers crowd nobody out who is known.
func TestRefusalsOfANetwork(t *testing.T) {
	f := newTimedStore(t)
	for i := range 5000 {
		f.NoteRefusal(nobodyAt(fmt.Sprintf("2001:db8::%x", i+1)), "session.login", db.NoTarget)
		f.NoteRefusal(nobodyAt("2001:db8:1::1"), "session.login", db.NoTarget)
		f.NoteRefusal(nobodyAt(fmt.Sprintf("10.1.%d.%d", i/256, i%256)), "setup.initialize", db.NoTarget)
	}
	for i := range 100 { // one who is known has no more than a few kinds either
		f.NoteRefusal(&db.Actor{ID: "ann", Address: fmt.Sprint("192.0.2.", i)}, "access.refused", db.Literal(fmt.Sprint(i)))
		f.NoteRefusal(&db.Actor{ID: "bob", Address: "192.0.2.1"}, "access.refused", db.Literal("x"))
	}
	must(t, f.FlushLastUsed(t.Context()))
	page, err := f.Audit(t.Context(), db.AuditQuery{Action: "session.login", Size: 100})
	must(t, err)
	var told []string
	for _, e := range page.Items {
		told = append(told, fmt.Sprint(e.Address, " ", e.Count))
	}
	slices.Sort(told)
	if want := []string{"2001:db8:1::1 5000", "2001:db8::/64 5000"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
	page, err = f.Audit(t.Context(), db.AuditQuery{Actor: "bob", Size: 100})
	if err != nil || len(page.Items) != 1 || page.Items[0].Count != 100 || page.Items[0].Address != "192.0.2.1" {
		t.Errorf("of bob there is %+v, %v", page.Items, err)
	}
	page, err = f.Audit(t.Context(), db.AuditQuery{Actor: "ann", Size: 100})
	if err != nil || len(page.Items) != 21 {
		t.Errorf("of ann there are %d, %v", len(page.Items), err)
	}
}

// A walk over several snapshots goes on where retention made a range of what
// it has seen and of what it has not.
func TestVerifyAuditBesidePrunedStrangers(t *testing.T) {
	f := newTimedStore(t)
	for range 4 { // so many that the walk has to rest among the strangers of the second day
		for i := range 900 {
			f.NoteRefusal(&db.Actor{ID: fmt.Sprint(i)}, "user.password", db.NoTarget)
		}
		f.strangers(0, 0)
		f.clock.pass(time.Minute)
	}
	f.mixed(4, 1000)
	e := &between{Engine: f.Engine(), do: func() {}}
	beside, err := db.Open(t.Context(), e, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(t, err)
	for _, keep := range []db.Retention{{Refusals: 1000}, {Changes: 700, Refusals: 500}} {
		e.looks, e.do = 0, func() { f.prune(keep) }
		if v, err := beside.VerifyAudit(t.Context(), ""); err != nil || !v.OK {
			t.Errorf("%+v: %+v, %v", keep, v, err)
		}
	}
}
