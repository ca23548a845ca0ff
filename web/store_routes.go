package web

import (
	"context"
	"errors"
	"slices"

	"husk/db"
	"husk/web/api"
	"husk/web/upkeep"
)

// maxReported bounds the problems that one answer names.
const maxReported = 1000

// check walks the whole store: the engine's pages where it can, then all
// records.
func (s *Server) check(ctx context.Context, actor *db.Actor, _ *nothing) (*api.CheckReport, error) {
	report := &api.CheckReport{Problems: []string{}}
	note := func(err error) {
		if len(report.Problems) < maxReported && !slices.Contains(report.Problems, err.Error()) {
			report.Problems = append(report.Problems, err.Error())
		}
	}
	n, err := s.checkStore(ctx, note)
	if err != nil {
		return nil, err
	}
	engine := s.Store.Stats().Engine
	report.Size, report.Free, report.Compact = engine.Size, engine.FreeBytes(), engine.WorthCompacting()
	report.Records, report.OK = n, len(report.Problems) == 0
	s.did(actor, "store checked", "records", n, "problems", len(report.Problems))
	return report, nil
}

// checkStore checks pages and records. Where pages are so damaged that the
// records can't be walked, those that can be reached are looked at one by one.
func (s *Server) checkStore(ctx context.Context, note func(error)) (records int, err error) {
	if s.Store.Stats().Engine.OldHeader {
		note(errors.New(upkeep.OldHeader))
	}
	if err := s.Store.CheckEngine(ctx, note); errors.Is(err, db.ErrDamaged) {
		note(err)
	} else if err != nil {
		return 0, err
	}
	records, err = s.Store.Check(ctx, note)
	if !errors.Is(err, db.ErrDamaged) {
		return records, err
	}
	note(err)
	for place := []byte{}; place != nil; {
		if place, err = s.Store.Scrub(ctx, place, note); err != nil {
			return records, err
		}
	}
	return records, nil
}
