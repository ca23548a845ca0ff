package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"husk/db"
)

// scrubAll goes round once and returns what was met, what was reported and
// in how many parts. between runs after each part.
func scrubAll(t *testing.T, e *Engine, between func(part int)) (met map[string]string, reports []string, parts int) {
	t.Helper()
	met = map[string]string{}
	var place []byte
	for {
		next, err := e.Scrub(t.Context(), place,
			func(bucket string, key, value []byte) { met[bucket+"/"+string(key)] = string(value) },
			func(err error) { reports = append(reports, err.Error()) })
		if err != nil {
			t.Fatal(err)
		}
		if next != nil && bytes.Compare(next, place) <= 0 {
			t.Fatalf("from %q the scrub goes on to %q", place, next)
		}
		parts++
		if next == nil {
			return met, reports, parts
		}
		if between != nil {
			between(parts)
		}
		place = next
	}
}

// contents is all that a store holds.
func contents(t *testing.T, e *Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := e.View(t.Context(), func(tx db.Tx) error {
		for _, bucket := range []string{"a", "b", "c", "small"} {
			if err := tx.Scan(bucket, nil, nil, false, func(k, v []byte) bool { all[bucket+"/"+string(k)] = string(v); return true }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A round meets every record of every bucket, in parts.
func TestScrubMeetsAll(t *testing.T) {
	e := open(t, create(t))
	populate(t, e, 10_000)
	for _, bucket := range []string{"a", "c"} {
		err := e.Update(t.Context(), func(tx db.Tx) error {
			for i := range 3000 {
				// Some are longer than a page.
				if err := tx.Put(bucket, fmt.Appendf(nil, "%s %d", bucket, i), bytes.Repeat([]byte{'x'}, 10+i%7*1500*(i%50/49))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, e)
	met, reports, parts := scrubAll(t, e, nil)
	if len(reports) > 0 || parts < 5 {
		t.Errorf("%d parts, reports %v", parts, reports)
	}
	if len(met) != len(want) {
		t.Errorf("the scrub meets %d records of %d", len(met), len(want))
	}
	for key, value := range want {
		if met[key] != value {
			t.Fatalf("%s is met as %q, want %q", key, met[key], value)
		}
	}
}

// What is written and removed between the parts does no harm to the round.
func TestScrubWhileOthersWrite(t *testing.T) {
	e := open(t, create(t))
	populate(t, e, 10_000)
	before := contents(t, e)
	met, reports, _ := scrubAll(t, e, func(part int) {
		err := e.Update(context.Background(), func(tx db.Tx) error {
			for i := range 400 {
				key := fmt.Appendf(nil, "key %06d", (part*997+i*25)%10_000)
				if err := errors.Join(tx.Delete("b", key), tx.Put("b", append(key, "x"...), bytes.Repeat([]byte{'n'}, 300))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if len(reports) > 0 {
		t.Errorf("a sound store that changes is reported: %v", reports)
	}
	for key := range contents(t, e) {
		if _, there := before[key]; there && met[key] == "" {
			t.Errorf("%s was there all the time and was not met", key)
		}
	}
}

// Damage in the file of a running engine is found, and the rest is met.
func TestScrubFinds(t *testing.T) {
	path := create(t)
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	populate(t, e, 10_000)
	m, err := newest(e.file, e.pageSize)
	if err != nil {
		t.Fatal(err)
	}
	var leaves []int64
	for id := int64(2); id < int64(m.pages); id++ {
		p := make(page, e.pageSize)
		if _, err := e.file.ReadAt(p, id*e.pageSize); err != nil {
			t.Fatal(err)
		}
		if p.id() == uint64(id) && p.flags() == flagLeaf && p.count() > 10 {
			leaves = append(leaves, id)
		}
	}
	whole, found := make([]byte, e.pageSize), 0
	for _, id := range []int64{leaves[0], leaves[len(leaves)/2], leaves[len(leaves)-1]} {
		for what, change := range map[string]func(p page){
			"zeroed":     func(p page) { clear(p) },
			"another id": func(p page) { order.PutUint64(p, 3) },
			"a position": func(p page) { order.PutUint32(p[pageHeader+4:], 1<<31) },
		} {
			if _, err := e.file.ReadAt(whole, id*e.pageSize); err != nil {
				t.Fatal(err)
			}
			changed := page(bytes.Clone(whole))
			change(changed)
			if _, err := e.file.WriteAt(changed, id*e.pageSize); err != nil {
				t.Fatal(err)
			}
			met, reports, _ := scrubAll(t, e, nil)
			used := bytes.Contains([]byte(strings.Join(reports, "\n")), fmt.Appendf(nil, "page %d ", id))
			if lost := 10_001 - len(met); lost > 0 && !used || lost > 100 {
				t.Errorf("page %d %s: %d records are not met, reports %q", id, what, lost, reports)
			}
			if used {
				found++
			}
			if _, err := e.file.WriteAt(whole, id*e.pageSize); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found < 6 { // one of the pages may be free
		t.Errorf("of 9 damages %d were found", found)
	}
}
