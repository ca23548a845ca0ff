package cmd

import (
	"bufio"
	"context"
	"slices"
	"time"

	"husk/web/api"
)

// followEvery is how often --follow looks for new entries.
const followEvery = time.Second

// auditFollow prints the newest entries, as many as begin says, and then new
// ones as they come. It connects anew each time: it must not hold the file that
// others want to write.
func (a *app) auditFollow(ctx context.Context, list api.ListOptions, begin uint) error {
	var last uint64
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var lines *grid
	for first := true; ; first = false {
		var fresh []api.AuditEvent
		err := a.use(ctx, false, func(s *session) error {
			for hit, err := range api.All(ctx, list, s.SearchAudit) {
				if err != nil || hit.Source.Seq <= last || (first && uint(len(fresh)) == begin) {
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
			last = fresh[len(fresh)-1].Seq
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
