package db_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"husk/db"
)

func TestCollection(t *testing.T) {
	f := newStore(t)
	at := f.now()
	state := func(want ...*db.Gadget) {
		t.Helper()
		var entries []string
		counts := map[string]int64{"gadget": int64(len(want)), "red": 0, "blue": 0, "round": 0}
		for _, g := range want {
			entries = append(entries, db.GadgetEntries(g)...)
			for _, tag := range g.Tags {
				counts[tag]++
			}
		}
		slices.Sort(entries)
		entries = slices.Compact(entries)
		gotEntries, gotCounts, err := f.GadgetState(f.ctx)
		if err != nil || !slices.Equal(gotEntries, entries) || !maps.Equal(gotCounts, counts) {
			t.Errorf("index %q, counters %v, %v; want %q, %v", gotEntries, gotCounts, err, entries, counts)
		}
	}
	put := func(id string, g *db.Gadget) { t.Helper(); must(t, f.ReplaceGadget(f.ctx, id, g)) }
	a := &db.Gadget{ID: "a", Serial: []string{"1"}, Tags: []string{"red"}, Made: at}
	b := &db.Gadget{ID: "b", Serial: []string{"2", "3"}, Tags: []string{"red", "round"}, Made: at.Add(1)}
	state()
	put("a", a)
	put("b", b)
	state(a, b)
	put("a", a)
	state(a, b)
	a2 := &db.Gadget{ID: "a", Serial: []string{"1", "4"}, Tags: []string{"blue"}, Made: at}
	put("a", a2)
	state(a2, b)
	for serial, id := range map[string]string{"1": "a", "4": "a", "2": "b", "3": "b"} {
		if got, err := f.FindGadget(f.ctx, serial); err != nil || got != id {
			t.Errorf("serial %s is of %s, %v", serial, got, err)
		}
	}
	// A taken key changes nothing at all.
	wantErr(t, f.ReplaceGadget(f.ctx, "a", &db.Gadget{ID: "a", Serial: []string{"5", "2"}, Tags: []string{"round"}, Made: at}), db.ErrConflict, "serial_taken")
	wantErr(t, f.ReplaceGadget(f.ctx, "c", &db.Gadget{ID: "c", Serial: []string{"1"}, Made: at}), db.ErrConflict, "serial_taken")
	state(a2, b)
	if _, err := f.FindGadget(f.ctx, "5"); err == nil {
		t.Error("a key of a failed change stayed")
	}
	// A key that was given back is free.
	put("b", &db.Gadget{ID: "b", Serial: []string{"3"}, Made: at})
	put("a", &db.Gadget{ID: "a", Serial: []string{"2"}, Made: at})
	state(&db.Gadget{ID: "b", Serial: []string{"3"}, Made: at}, &db.Gadget{ID: "a", Serial: []string{"2"}, Made: at})
	put("a", nil)
	put("b", nil)
	state()
	for _, bucket := range []string{"gadget", "gadget.index"} {
		if keys := f.keys(bucket); len(keys) > 0 {
			t.Errorf("%s still has %q", bucket, keys)
		}
	}
}

// Whatever the changes, index and counters are what the records say.
func TestCollectionModel(t *testing.T) {
	f := newStore(t)
	random := rand.New(rand.NewPCG(1, 2))
	model := map[string]*db.Gadget{}
	some := func(of ...string) (chosen []string) {
		for _, s := range of {
			if random.IntN(2) == 0 {
				chosen = append(chosen, s)
			}
		}
		return chosen
	}
	for step := range 150 {
		id := string(rune('a' + random.IntN(5)))
		if random.IntN(4) == 0 {
			must(t, f.ReplaceGadget(f.ctx, id, nil))
			delete(model, id)
			continue
		}
		g := &db.Gadget{ID: id, Serial: some("1", "2", "3", "4"), Tags: some("red", "blue", "round"), Made: f.now().Add(time.Duration(random.IntN(3)))}
		taken := false
		for other, o := range model {
			taken = taken || other != id && slices.ContainsFunc(o.Serial, func(s string) bool { return slices.Contains(g.Serial, s) })
		}
		err := f.ReplaceGadget(f.ctx, id, g)
		if (err != nil) != taken {
			t.Fatalf("step %d: %v, taken: %t", step, err, taken)
		}
		if err == nil {
			model[id] = g
		}
		var want []string
		counts := map[string]int64{"gadget": int64(len(model)), "red": 0, "blue": 0, "round": 0}
		for _, o := range model {
			want = append(want, db.GadgetEntries(o)...)
			for _, tag := range o.Tags {
				counts[tag]++
			}
		}
		slices.Sort(want)
		entries, got, err := f.GadgetState(f.ctx)
		if err != nil || !slices.Equal(entries, want) || !maps.Equal(got, counts) {
			t.Fatalf("step %d: %q %v %v, want %q %v", step, entries, got, err, want, counts)
		}
	}
	for id := range model {
		must(t, f.ReplaceGadget(f.ctx, id, nil)) // Check knows no gadgets
	}
}

func TestOpen(t *testing.T) {
	f := newStore(t)
	schema, err := f.Schema(f.ctx)
	if err != nil || schema.Version != db.SchemaVersion {
		t.Errorf("%+v, %v", schema, err)
	}
	counts, err := f.Counts(f.ctx)
	if err != nil || fmt.Sprint(counts) != "map[ended_tokens:0 factors:0 keys:1 roles:2 sessions:0 tokens:0 users:1]" {
		t.Errorf("%v, %v", counts, err)
	}
	f.broken = true
	for name, c := range map[string]struct {
		schema any
		want   error
	}{
		"newer":    {map[string]int{"schema": db.SchemaVersion + 1}, db.ErrNewer},
		"none":     {map[string]int{}, db.ErrDamaged},
		"zero":     {map[string]int{"schema": 0}, db.ErrDamaged},
		"negative": {map[string]int{"schema": -1}, db.ErrDamaged},
		"no JSON":  {json.RawMessage(`"x"`), db.ErrDamaged},
	} {
		text, _ := json.Marshal(c.schema)
		must(t, f.PutRaw(f.ctx, "meta", []byte("schema"), text))
		if _, err := db.Open(f.ctx, f.engine, db.Options{}); err == nil || !errorsIs(err, c.want) {
			t.Errorf("%s: Open = %v, want %v", name, err, c.want)
		}
	}
	f.raw(func(tx db.Tx) error { return tx.Delete("meta", []byte("schema")) })
	if _, err := db.Open(f.ctx, f.engine, db.Options{}); !errorsIs(err, db.ErrDamaged) {
		t.Errorf("Open of a file without schema = %v", err)
	}
}
