package db_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"husk/db"
)

// sifted returns the numbers of the entries of a list that is looked through, page by
// page, and how many pages it took.
func (f *timedStore) sifted(q db.AuditQuery) (seqs []uint64, pages int) {
	f.t.Helper()
	for pages = 1; ; pages++ {
		page, err := f.Audit(context.Background(), q)
		must(f.t, err)
		for _, e := range page.Items {
			seqs = append(seqs, e.Seq)
		}
		if int(page.Total) != len(page.Items) || page.AtMost != (q.After != "" || page.After != "") {
			f.t.Errorf("a page of %d with the cursor %q behind %q has the total %d, at least: %t", len(page.Items), page.After, q.After, page.Total, page.AtMost)
		}
		if q.After = page.After; q.After == "" {
			return seqs, pages
		}
	}
}

// The log is narrowed by what became of an act and by where it came from, alone, with
// each other and along each index.
func TestAuditByResultAndAddress(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t) // entry 1 has no address
	began := f.Now()
	ann := f.user("ann@example.com") // 2, from the machine itself
	from := func(address string) *db.Actor {
		f.clock.pass(time.Minute)
		return &db.Actor{ID: ann.ID, Name: "ann@example.com", Transport: db.TransportHTTP, Address: address, RequestID: "r" + address}
	}
	refused := func(who *db.Actor, action string) {
		f.NoteRefusal(who, action, db.NoTarget)
		must(t, f.FlushLastUsed(ctx))
	}
	done := func(who *db.Actor) {
		_, err := f.AuditRead(ctx, who, "user.unlock", ann.Target())
		must(t, err)
	}
	refused(from("192.0.2.7"), "user.password")    // 3
	done(from("192.0.2.7"))                        // 4
	done(from("2001:db8::7"))                      // 5
	done(from("::ffff:192.0.2.9"))                 // 6
	refused(from("2001:db8::7"), "access.refused") // 7
	f.NoteRefusal(nobodyAt("2001:db8:0:1::1"), "session.login", db.NoTarget)
	refused(nobodyAt("2001:db8:0:1::2"), "session.login") // 8, of the /64
	f.NoteRefusal(nobodyAt("192.0.2.7"), "session.login", db.NoTarget)
	must(t, f.FlushLastUsed(ctx)) // 9

	in := netip.MustParsePrefix
	for name, c := range map[string]struct {
		q    db.AuditQuery
		want []uint64
	}{
		"refused":                        {db.AuditQuery{Result: db.ResultRefused}, []uint64{9, 8, 7, 3}},
		"done":                           {db.AuditQuery{Result: db.ResultOK}, []uint64{6, 5, 4, 2, 1}},
		"from an address":                {db.AuditQuery{Address: in("192.0.2.7/32")}, []uint64{9, 4, 3}},
		"from a network":                 {db.AuditQuery{Address: in("192.0.2.0/24")}, []uint64{9, 6, 4, 3}},
		"from an address of IPv6":        {db.AuditQuery{Address: in("2001:db8::7/128")}, []uint64{7, 5}},
		"from one of a network":          {db.AuditQuery{Address: in("2001:db8:0:1::9/128")}, []uint64{8}},
		"from that network":              {db.AuditQuery{Address: in("2001:db8:0:1::/64")}, []uint64{8}},
		"from a wider one":               {db.AuditQuery{Address: in("2001:db8::/32")}, []uint64{8, 7, 5}},
		"from anywhere with an address":  {db.AuditQuery{Address: in("0.0.0.0/0")}, []uint64{9, 6, 4, 3}},
		"from elsewhere":                 {db.AuditQuery{Address: in("198.51.100.0/24")}, nil},
		"refused, from a network":        {db.AuditQuery{Result: db.ResultRefused, Address: in("192.0.2.0/24")}, []uint64{9, 3}},
		"refused, of an actor":           {db.AuditQuery{Result: db.ResultRefused, Actor: ann.ID}, []uint64{7, 3}},
		"refused, of an actor's email":   {db.AuditQuery{Result: db.ResultRefused, Actor: "ann@example.com"}, []uint64{7, 3}},
		"done, of an action":             {db.AuditQuery{Result: db.ResultOK, Action: "user.unlock"}, []uint64{6, 5, 4}},
		"refused, of an action":          {db.AuditQuery{Result: db.ResultRefused, Action: "session.login"}, []uint64{9, 8}},
		"from an address, of a target":   {db.AuditQuery{Address: in("192.0.2.7/32"), Target: ann.ID}, []uint64{4}},
		"from an address, of a request":  {db.AuditQuery{Address: in("2001:db8::7/128"), RequestID: "r2001:db8::7"}, []uint64{7, 5}},
		"done, by a name that was":       {db.AuditQuery{Result: db.ResultOK, Actor: "uid 0"}, []uint64{2}},
		"refused, since":                 {db.AuditQuery{Result: db.ResultRefused, Since: began.Add(5 * time.Minute)}, []uint64{9, 8, 7}},
		"refused, until":                 {db.AuditQuery{Result: db.ResultRefused, Until: began.Add(5 * time.Minute)}, []uint64{3}},
		"from a network, before all":     {db.AuditQuery{Address: in("192.0.2.0/24"), Until: began}, nil},
		"refused, of a target of nobody": {db.AuditQuery{Result: db.ResultRefused, Target: "5f4e1b57-9d4c-4a52-8c11-3b6d2f0e7a90"}, nil},
	} {
		for _, size := range []int{1, 2, 1000} {
			c.q.Size = size
			if got, _ := f.sifted(c.q); !slices.Equal(got, c.want) {
				t.Errorf("%s by %d: %v, want %v", name, size, got, c.want)
			}
		}
	}
	page, err := f.Audit(ctx, db.AuditQuery{Result: db.ResultRefused})
	if err != nil || len(page.Items) != 0 || !page.AtMost || page.After != "" {
		t.Errorf("a page of nothing: %+v, %v", page, err)
	}
}

// What can't be is refused; so is a cursor of another filter, and a page by its number.
func TestAuditFilterRefusals(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(3)
	done := db.AuditQuery{Result: db.ResultOK, Size: 1}
	page, err := f.Audit(ctx, done)
	must(t, err)
	here := netip.MustParsePrefix("127.0.0.0/8")
	for _, c := range []struct {
		q    db.AuditQuery
		kind error
		code string
	}{
		{db.AuditQuery{Result: "OK"}, db.ErrInvalid, "bad_result"},
		{db.AuditQuery{Result: "denied"}, db.ErrInvalid, "bad_result"},
		{db.AuditQuery{Result: db.ResultOK, From: 1}, db.ErrInvalid, "bad_page"},
		{db.AuditQuery{Address: here, From: 1}, db.ErrInvalid, "bad_page"},
		{db.AuditQuery{Result: db.ResultRefused, After: page.After}, db.ErrInvalid, "bad_cursor"},
		{db.AuditQuery{Result: db.ResultOK, Address: here, After: page.After}, db.ErrInvalid, "bad_cursor"},
		{db.AuditQuery{After: page.After}, db.ErrInvalid, "bad_cursor"},
		{db.AuditQuery{Result: db.ResultOK, Actor: "nobody at all"}, db.ErrNotFound, "unknown_actor"},
		{db.AuditQuery{Address: here, Target: "nothing at all"}, db.ErrNotFound, "unknown_target"},
	} {
		c.q.Size = 1
		_, err := f.Audit(ctx, c.q)
		wantErr(t, err, c.kind, c.code)
	}
}

// A page looks at so many entries and no more, whichever index leads to them; its
// cursor leads to the rest, and the end of the time that is asked for is an end.
func TestAuditFilterLooksAtABoundedNumber(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	_, err := f.AuditRead(ctx, &db.Actor{ID: "bird", Name: "early bird"}, "audit.export", db.NoTarget) // entry 2
	must(t, err)
	for range 3 { // entries 3 to 2702
		for i := range 900 {
			f.NoteRefusal(&db.Actor{ID: fmt.Sprint("actor", i%90), Address: fmt.Sprintf("10.0.0.%d", i/90)}, "user.password", db.NoTarget)
		}
		must(t, f.FlushLastUsed(ctx))
		f.clock.pass(3 * time.Hour)
	}
	f.unlocks(1)
	counted := &countingEngine{Engine: f.Engine()}
	store, err := db.Open(ctx, counted, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(t, err)
	bird := db.AuditQuery{Result: db.ResultOK, Actor: "early bird", Size: 25}
	page, err := store.Audit(ctx, bird)
	must(t, err)
	bird.After, counted.scanned = page.After, 0
	if _, err = store.Audit(ctx, bird); err != nil || counted.scanned > db.MostLooked+10 {
		t.Errorf("%d entries were passed for a further page, %v", counted.scanned, err)
	}
	done := db.AuditQuery{Result: db.ResultOK, Size: 25}
	first, err := f.Audit(ctx, done)
	if err != nil || len(first.Items) != 1 || first.Items[0].Seq != 2703 || first.After == "" {
		t.Fatalf("the first page has %d entries, the cursor %q, %v", len(first.Items), first.After, err)
	}
	for name, c := range map[string]struct {
		q     db.AuditQuery
		want  []uint64
		pages int
	}{
		"all":                      {done, []uint64{2703, 2, 1}, 3},
		"by an index":              {db.AuditQuery{Result: db.ResultOK, Action: "user.password", Size: 25}, nil, 3},
		"by a name":                {db.AuditQuery{Result: db.ResultOK, Actor: "early bird", Size: 25}, []uint64{2}, 3},
		"from where nobody was":    {db.AuditQuery{Address: netip.MustParsePrefix("192.0.2.0/24"), Size: 1000}, nil, 3},
		"of the last hours":        {db.AuditQuery{Result: db.ResultOK, Since: f.Now().Add(-4 * time.Hour), Size: 25}, []uint64{2703}, 1},
		"of an index, lately":      {db.AuditQuery{Result: db.ResultOK, Action: "user.password", Since: f.Now().Add(-4 * time.Hour), Size: 25}, nil, 1},
		"of what is found at once": {db.AuditQuery{Result: db.ResultRefused, Size: 1000}, nil, 3},
	} {
		got, pages := f.sifted(c.q)
		if name == "of what is found at once" {
			if len(got) != 2700 || pages != c.pages {
				t.Errorf("%s: %d entries on %d pages", name, len(got), pages)
			}
			continue
		}
		if !slices.Equal(got, c.want) || pages != c.pages {
			t.Errorf("%s: %v on %d pages, want %v on %d", name, got, pages, c.want, c.pages)
		}
	}
}
