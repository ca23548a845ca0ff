package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/listen"
)

func showEvent(e *db.Event) api.Hit[api.AuditEvent] {
	return api.Hit[api.AuditEvent]{ID: strconv.FormatUint(e.Seq, 10), Source: api.AuditEvent(*e)}
}

// auditSearch is what is looked for. What it may be is the store's to judge, for
// every door.
type auditSearch struct {
	listed
	fromAddress
	Actor     string `query:"actor"`
	Action    string `query:"action"`
	Target    string `query:"target"`
	RequestID string `query:"request_id"`
	Result    string `query:"result"`
	Since     moment `query:"since"`
	Until     moment `query:"until"`
}

func (s *Server) searchAudit(ctx context.Context, _ *db.Actor, in *auditSearch) (*api.Search[api.AuditEvent], error) {
	began, list := time.Now(), in.query()
	from, err := in.network()
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Audit(ctx, db.AuditQuery{Actor: in.Actor, Action: in.Action, Target: in.Target, RequestID: in.RequestID, Result: in.Result, Address: from,
		Since: time.Time(in.Since), Until: time.Time(in.Until), From: list.From, Size: list.Size, After: list.After})
	if err != nil {
		return nil, err
	}
	return listOf(began, page, showEvent), nil
}

// moment is a time of RFC 3339.
type moment time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return malformed("bad_time", "since and until are times of RFC 3339, such as 2030-12-31T08:00:00Z")
	}
	*m = moment(t)
	return nil
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
	h := c.Response().Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", `attachment; filename="husk-audit.ndjson"`)
	c.Response().WriteHeader(http.StatusOK)
	unlimited(c)
	out := bufio.NewWriter(listen.NewPatientWriter(c.Response(), s.stallTimeout))
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

type auditProof struct {
	Head string `query:"head"`
}

func (s *Server) verifyAudit(ctx context.Context, _ *db.Actor, in *auditProof) (*api.AuditVerdict, error) {
	v, err := s.Store.VerifyAudit(ctx, in.Head)
	if err != nil {
		return nil, err
	}
	findings := []api.AuditFinding{}
	for _, f := range v.Findings {
		findings = append(findings, api.AuditFinding(f))
	}
	unread := []api.AuditSpan{}
	for _, span := range v.Unread {
		unread = append(unread, api.AuditSpan(span))
	}
	return &api.AuditVerdict{OK: v.OK, Entries: v.Entries, First: v.First, Last: v.Last, Head: v.Head, Kept: v.Kept, Pruned: v.Pruned,
		Problems: append([]string{}, v.Problems...), Gaps: append([]string{}, v.Gaps...), Findings: findings, Unread: unread}, nil
}

func (s *Server) auditHead(ctx context.Context, _ *db.Actor, _ *nothing) (*api.AuditHead, error) {
	seq, hash, err := s.Store.AuditHead(ctx)
	return &api.AuditHead{Seq: seq, Hash: hash}, err
}
