package db_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// sameFindings holds the findings of a verdict to its words.
func sameFindings(t *testing.T, v db.AuditVerdict) {
	t.Helper()
	var problems, gaps []string
	for _, f := range v.Findings {
		if f.Code == db.FoundLost {
			gaps = append(gaps, f.Text)
		} else {
			problems = append(problems, f.Text)
		}
		if !slices.Contains(db.AuditFindings(), f.Code) || f.From > f.To {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(problems, v.Problems) || !slices.Equal(gaps, v.Gaps) {
		t.Errorf("found %+v, told %q and %q", v.Findings, v.Problems, v.Gaps)
	}
}

// coded are the findings of a verdict but for their words.
func coded(v db.AuditVerdict) string {
	var all []string
	for _, f := range v.Findings {
		all = append(all, fmt.Sprintf("%s %d-%d", f.Code, f.From, f.To))
	}
	return strings.Join(all, ", ")
}

// What is found has a code, and the numbers of the entries that it is about.
func TestFindings(t *testing.T) {
	f := newTimedStore(t)
	f.unlocks(100) // entries 2 to 101
	spoil := func(n uint64) func(db.Tx) error {
		return func(tx db.Tx) error {
			sealed, err := tx.Get("audit", seq(n))
			must(t, err)
			return tx.Put("audit", seq(n), db.Seal("audit", seq(n), bytes.Replace(sealed[9:], []byte("user-"), []byte("usex-"), 1)))
		}
	}
	remove := func(from, to uint64) func(db.Tx) error {
		return func(tx db.Tx) error {
			for n := from; n <= to; n++ {
				must(t, tx.Delete("audit", seq(n)))
			}
			return nil
		}
	}
	whole := readFile(t, f)
	head := f.verdict("").Head
	for name, c := range map[string]struct {
		spoil func(db.Tx) error
		known string
		want  string
	}{
		"nothing":         {func(db.Tx) error { return nil }, head, ""},
		"an entry gone":   {remove(40, 40), "", "missing 40-40"},
		"several":         {remove(40, 44), "", "missing 40-44"},
		"two places":      {func(tx db.Tx) error { must(t, remove(50, 51)(tx)); return spoil(20)(tx) }, "", "changed 20-21, missing 50-51"},
		"the newest gone": {remove(90, 101), "", "end_missing 90-101"},
		"one changed":     {spoil(40), "", "changed 40-41"},
		"the newest":      {spoil(101), "", "newest_changed 101-101"},
		"unreadable":      {func(tx db.Tx) error { return tx.Put("audit", seq(40), []byte("damaged, and long enough")) }, "", "damaged 40-40"},
		"behind the end": {func(tx db.Tx) error {
			sealed, err := tx.Get("audit", seq(101))
			must(t, err)
			return tx.Put("audit", seq(200), sealed)
		}, "", "behind_end 200-200"},
		"gaps that can't be read": {func(tx db.Tx) error {
			return tx.Put("meta", []byte("audit.gaps"), []byte("damaged, and long enough"))
		}, "", "gaps_unreadable 0-0"},
		"a hash of nothing": {func(db.Tx) error { return nil }, strings.Repeat("0", 64), "no_hash 0-0"},
		"another's hash":    {func(db.Tx) error { return nil }, "7:" + head, "other_hash 7-7"},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, f.Engine().Update(t.Context(), c.spoil))
			v, err := f.VerifyAudit(t.Context(), c.known)
			if got := coded(v); err != nil || got != c.want {
				t.Errorf("found %q, %v, want %q", got, err, c.want)
			}
			sameFindings(t, v)
			writeFile(t, f, whole)
		})
	}
}
