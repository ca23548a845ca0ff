package db_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// withParcels is a store whose list has one more noun: two parcels, of which
// one is Ann's.
func withParcels(t *testing.T) (f *fixture, p *db.Parcels, ann *db.User, hers *db.Parcel) {
	t.Helper()
	f, p = newStore(t), db.NewParcels()
	p.Line(f.Store)
	ann = f.user("ann@example.com")
	hers = &db.Parcel{ID: "hers", Owner: ann.ID, Label: "red", Made: f.now()}
	must(t, p.Put(f.ctx, f.Store, nil, hers))
	must(t, p.Put(f.ctx, f.Store, nil, &db.Parcel{ID: "other", Owner: db.SingleUser, Label: "blue", Made: f.now()}))
	f.raw(func(tx db.Tx) error { return putSealed(tx, "parcel.use", "hers", `{}`) })
	return f, p, ann, hers
}

func putSealed(tx db.Tx, bucket, key, value string) error {
	return tx.Put(bucket, []byte(key), db.Seal(bucket, []byte(key), []byte(value)))
}

// What a store does with every noun it does with one more, which nothing but
// the list names.
func TestOneMoreNounIsRememberedAndDropped(t *testing.T) {
	f, p, _, hers := withParcels(t)
	for range 2 {
		must(t, second1(p.Get(f.ctx, f.Store, "hers")))
	}
	if got := f.Stats().Caches["parcel"]; got != (db.CacheStats{Hits: 1, Misses: 1}) {
		t.Errorf("its figures are %+v", got)
	}
	changed := *hers
	changed.Label = "green"
	must(t, p.Put(f.ctx, f.Store, hers, &changed))
	if now, err := p.Get(f.ctx, f.Store, "hers"); err != nil || now.Label != "green" {
		t.Errorf("after the change it is %+v, %v", now, err)
	}
	must(t, f.PutRole(f.ctx, "clerk", db.PermUserRead))
	must(t, second1(p.Get(f.ctx, f.Store, "hers")))
	if got := f.Stats().Caches["parcel"]; got != (db.CacheStats{Hits: 2, Misses: 2}) {
		t.Errorf("after another noun's change its figures are %+v", got)
	}
}

func TestOneMoreNounIsCounted(t *testing.T) {
	f, _, _, _ := withParcels(t)
	counts, err := f.Counts(f.ctx)
	if err != nil || counts["parcels"] != 2 || counts["users"] != 2 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestOneMoreNounIsChecked(t *testing.T) {
	const record, index = "parcel", "parcel.index"
	for name, c := range map[string]struct {
		change func(tx db.Tx, owner string) error
		older  bool // looks at checksums alone
		want   string
	}{
		"a record damaged":        {func(tx db.Tx, _ string) error { return tx.Put(record, []byte("hers"), []byte("damaged")) }, false, `record "hers"`},
		"an index entry gone":     {func(tx db.Tx, _ string) error { return tx.Delete(index, []byte("=red")) }, false, "missing in the index"},
		"an index entry too many": {func(tx db.Tx, _ string) error { return putSealed(tx, index, "=grey", "hers") }, false, "has it not"},
		"its counter":             {func(tx db.Tx, _ string) error { return putSealed(tx, "count", "parcel", "7") }, false, "should be 2"},
		"its owner gone":          {func(tx db.Tx, owner string) error { return tx.Delete("user", []byte(owner)) }, false, `parcel "hers" belongs to user`},
		"a use of nothing":        {func(tx db.Tx, _ string) error { return putSealed(tx, "parcel.use", "none", `{}`) }, false, "is no parcel"},
		"of an older schema":      {func(tx db.Tx, _ string) error { return tx.Put("parcel.use", []byte("hers"), []byte("damaged")) }, true, "parcel.use"},
		"an older one's index":    {func(tx db.Tx, _ string) error { return tx.Put(index, []byte("=red"), []byte("damaged")) }, true, "parcel.index"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, ann, _ := withParcels(t)
			if faults := f.check(); len(faults) > 0 {
				t.Fatalf("before: %v", faults)
			}
			f.broken = true
			f.raw(func(tx db.Tx) error { return c.change(tx, ann.ID) })
			if c.older {
				f.LookAtOnly()
			}
			if faults := fmt.Sprint(f.check()); !strings.Contains(faults, c.want) {
				t.Errorf("reported %s, want %q", faults, c.want)
			}
		})
	}
}

func TestOneMoreNounIsTakenOver(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tx db.Tx, owner string) error
		left   int    // parcels in the repaired store
		aside  string // what is set aside
		lost   string
	}{
		"sound":               {func(db.Tx, string) error { return nil }, 2, "", ""},
		"an index entry gone": {func(tx db.Tx, _ string) error { return tx.Delete("parcel.index", []byte("=red")) }, 2, "", ""},
		"its counter":         {func(tx db.Tx, _ string) error { return putSealed(tx, "count", "parcel", "7") }, 2, "", ""},
		"a record damaged": {func(tx db.Tx, _ string) error { return tx.Put("parcel", []byte("hers"), []byte("damaged")) },
			1, `record "hers"`, "parcel hers (red)"},
		"its owner gone": {func(tx db.Tx, owner string) error { return tx.Delete("user", []byte(owner)) },
			1, "belongs to user", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, p, ann, _ := withParcels(t)
			f.broken = true
			f.raw(func(tx db.Tx) error { return c.change(tx, ann.ID) })
			r, aside, s := f.repairedBy(p.Repair, p.Line)
			if counts, err := s.Counts(f.ctx); err != nil || counts["parcels"] != int64(c.left) {
				t.Errorf("%v, %v; want %d parcels", counts, err, c.left)
			}
			if c.lost != "" && !slices.Contains(r.Lost, c.lost) {
				t.Errorf("lost %q, want %q", r.Lost, c.lost)
			}
			why := fmt.Sprint(aside)
			if c.aside == "" && len(aside) > 0 || !strings.Contains(why, c.aside) {
				t.Errorf("set aside %s, want %q", why, c.aside)
			}
		})
	}
}

func TestOneMoreNounGoesWithItsOwner(t *testing.T) {
	f, p, ann, _ := withParcels(t)
	must(t, second1(p.Get(f.ctx, f.Store, "hers")))
	must(t, second1(f.DeleteUser(f.ctx, local, ann.ID)))
	must(t, second1(f.Sweep(f.ctx)))
	if _, err := p.Get(f.ctx, f.Store, "hers"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
	if uses := f.keys("parcel.use"); len(uses) > 0 {
		t.Errorf("uses of %q are left", uses)
	}
	if _, err := p.Get(f.ctx, f.Store, "other"); err != nil {
		t.Errorf("that of another: %v", err)
	}
}
