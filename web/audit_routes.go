package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

func showEvent(e *db.Event) (api.AuditEvent, error) { return api.AuditEvent(*e), nil }

func (s *Server) searchAudit(c echo.Context, _ *db.Actor) error {
	began := time.Now()
	q, err := s.auditQuery(c)
	if err != nil {
		return err
	}
	page, err := s.Store.Audit(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(e *db.Event) string { return strconv.FormatUint(e.Seq, 10) }, showEvent)
}

// auditQuery reads the filters. What they may be is the store's to judge, for
// every door.
func (s *Server) auditQuery(c echo.Context) (q db.AuditQuery, err error) {
	query := c.QueryParams()
	list, err := listQuery(query)
	if err != nil {
		return q, err
	}
	q = db.AuditQuery{Actor: query.Get("actor"), Action: query.Get("action"), Target: query.Get("target"), RequestID: query.Get("request_id"),
		From: list.From, Size: list.Size, After: list.After}
	if q.Since, err = moment(query.Get("since")); err == nil {
		q.Until, err = moment(query.Get("until"))
	}
	return q, err
}

func moment(text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339, text); err != nil {
		err = malformed("bad_time", "since and until are times of RFC 3339, such as 2030-12-31T08:00:00Z")
	}
	return t, err
}

// exportAudit streams the whole log, the oldest entry first, an object a line.
// Each step is a snapshot of its own: none lasts as long as the receiver.
func (s *Server) exportAudit(c echo.Context, actor *db.Actor) error {
	ctx := c.Request().Context()
	if !looksOnly(c) {
		if err := s.audited(ctx, actor, actExport, streamed); err != nil {
			return err
		}
		s.did(actor, "audit exported")
	}
	c.Response().Header().Set("Content-Type", "application/x-ndjson")
	c.Response().WriteHeader(http.StatusOK)
	unlimited(c)
	out := bufio.NewWriter(&patientWriter{w: c.Response(), control: http.NewResponseController(c.Response()), patience: s.stallTimeout})
	for next := uint64(1); ; {
		events, err := s.Store.AuditFrom(ctx, next)
		if err != nil {
			return err
		}
		for _, e := range events {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
			next = e.Seq + 1
		}
		if len(events) == 0 {
			return out.Flush()
		}
	}
}

func (s *Server) verifyAudit(c echo.Context, _ *db.Actor) error {
	unlimited(c)
	v, err := s.Store.VerifyAudit(c.Request().Context(), c.QueryParam("head"))
	if err != nil {
		return err
	}
	unread := []api.AuditSpan{}
	for _, span := range v.Unread {
		unread = append(unread, api.AuditSpan(span))
	}
	return write(c, api.AuditVerdict{OK: v.OK, Entries: v.Entries, First: v.First, Last: v.Last, Head: v.Head, Kept: v.Kept, Pruned: v.Pruned,
		Problems: append([]string{}, v.Problems...), Gaps: append([]string{}, v.Gaps...), Unread: unread})
}

func (s *Server) auditHead(c echo.Context, _ *db.Actor) error {
	seq, hash, err := s.Store.AuditHead(c.Request().Context())
	if err != nil {
		return err
	}
	return write(c, api.AuditHead{Seq: seq, Hash: hash})
}

// maxReported bounds the problems that one answer names.
const maxReported = 1000

// check walks the whole store: the engine's pages where it can, then all
// records.
func (s *Server) check(c echo.Context, actor *db.Actor) error {
	unlimited(c)
	report := api.CheckReport{Problems: []string{}}
	note := func(err error) {
		if len(report.Problems) < maxReported && !slices.Contains(report.Problems, err.Error()) {
			report.Problems = append(report.Problems, err.Error())
		}
	}
	n, err := s.checkStore(c.Request().Context(), note)
	if err != nil {
		return err
	}
	engine := s.Store.Stats().Engine
	report.Size, report.Free, report.Compact = engine.Size, engine.FreeBytes(), engine.WorthCompacting()
	report.Records, report.OK = n, len(report.Problems) == 0
	s.did(actor, "store checked", "records", n, "problems", len(report.Problems))
	return write(c, report)
}

// checkStore checks pages and records. Where pages are so damaged that the
// records can't be walked, those that can be reached are looked at one by one.
func (s *Server) checkStore(ctx context.Context, note func(error)) (records int, err error) {
	if s.Store.Stats().Engine.OldHeader {
		note(errors.New(headerText))
	}
	if engine, ok := s.Store.Engine().(db.Checker); ok {
		if err := engine.Check(ctx, note); errors.Is(err, db.ErrDamaged) {
			note(err)
		} else if err != nil {
			return 0, err
		}
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
