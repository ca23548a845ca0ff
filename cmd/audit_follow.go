package cmd

import (
	"bufio"
	"context"
	"slices"
	"time"

	"husk/db"
	"husk/web/api"
)

// followEvery is how often --follow looks for new entries.
const followEvery = time.Second

// auditFollow prints the newest entries, as many as begin says, and then new
// ones as they come. It connects anew each time: it must not hold the file that
// others want to write.
func (a *app) auditFollow(ctx context.Context, list api.ListOptions, begin uint) error {
	var seen uint64 // the newest entry of the log at the last look
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var lines *grid
	for first := true; ; first = false {
		var fresh []api.AuditEvent
		err := a.use(ctx, false, func(s *session) error {
			head, err := s.AuditHead(ctx)
			if err != nil || !first && head.Seq <= seen {
				return err
			}
			search := s.SearchAudit
			if !first {
				search = amongNewest(search, head.Seq-seen)
			}
			behind := seen
			seen = head.Seq
			for hit, err := range api.All(ctx, list, search) {
				if err != nil || hit.Source.Seq <= behind || (first && uint(len(fresh)) == begin) {
					return err
				}
				fresh = append(fresh, hit.Source)
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil // the way that a person ends it
		}
		if err != nil {
			return err
		}
		slices.Reverse(fresh)
		if len(fresh) > 0 {
			seen = max(seen, fresh[len(fresh)-1].Seq)
		}
		if lines, err = a.printEvents(lines, fresh); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// auditSearch is a search of the log, as api.All pages through it.
type auditSearch func(context.Context, api.ListOptions) (api.Search[api.AuditEvent], error)

// amongNewest ends a search where so many of the newest entries were looked at: a page
// that is not full and goes on has looked at db.MostLooked. What is rare would be
// looked for in the whole log at each look.
func amongNewest(search auditSearch, entries uint64) auditSearch {
	looked := uint64(0)
	return func(ctx context.Context, o api.ListOptions) (api.Search[api.AuditEvent], error) {
		page, err := search(ctx, o)
		if len(page.Hits.Hits) < o.Size {
			looked += db.MostLooked
		}
		if looked >= entries {
			page.Hits.After = ""
		}
		return page, err
	}
}

// printEvents prints entries as they come. lines is nil at first, and then how
// they stand under their header.
func (a *app) printEvents(lines *grid, events []api.AuditEvent) (*grid, error) {
	if a.settings.JSON {
		for _, e := range events {
			if err := a.printLine(e); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	rows := make([][]string, len(events))
	for i, e := range events {
		rows[i] = a.auditRow(e)
	}
	if lines == nil {
		lines = a.followGrid(rows)
		return lines, a.printGrid(lines, rows)
	}
	out := bufio.NewWriter(a.stdout)
	for _, row := range rows {
		lines.line(out, row, a.painter())
	}
	return lines, out.Flush()
}

// followGrid is wide enough for the rows and for usual ones: what is to come must
// stand under the header that is printed before it. On a terminal what is longer
// is cut.
func (a *app) followGrid(rows [][]string) *grid {
	usual := a.auditRow(api.AuditEvent{Seq: 100_000, Time: time.Now(), Action: "session.login", Result: "refused", ActorName: "somebody@example.com",
		Target: "8c1d7a5e-35b7-4a4e-8f0e-2f1f63b0b6d2", TargetName: "somebody@example.com", Address: "255.255.255.255", Count: 1})
	g := &grid{columns: auditColumns, widths: widthsOf(auditColumns, append(rows[:len(rows):len(rows)], usual))}
	if room := a.room(); room > 0 {
		g.narrow = true
		g.fit(room)
	}
	return g
}
