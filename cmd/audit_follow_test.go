package cmd

import (
	"context"
	"testing"

	"husk/db"
	"husk/web/api"
)

// What is rare is looked for among what is new, and not in the whole log at each look.
func TestFollowLooksAmongTheNewest(t *testing.T) {
	for _, test := range []struct {
		entries uint64
		full    int // pages before those of a log without end that have nothing
		want    int
	}{
		{1, 0, 1}, {db.MostLooked, 0, 1}, {db.MostLooked + 1, 0, 2}, {3 * db.MostLooked, 0, 3}, {1, 4, 5},
	} {
		asked := 0
		search := func(_ context.Context, o api.ListOptions) (page api.Search[api.AuditEvent], err error) {
			if asked++; asked <= test.full {
				page.Hits.Hits = make([]api.Hit[api.AuditEvent], o.Size)
			}
			if asked < 100 {
				page.Hits.After = "on"
			}
			return page, nil
		}
		for range api.All(t.Context(), api.ListOptions{Size: 100}, amongNewest(search, test.entries)) {
			continue
		}
		if asked != test.want {
			t.Errorf("for %d new entries, behind %d full pages, %d pages were asked for, want %d", test.entries, test.full, asked, test.want)
		}
	}
}
