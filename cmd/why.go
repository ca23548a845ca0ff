package cmd

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"husk/web/api"
	"husk/web/story"
)

// This file tells why a credential is refused: what the server says is the
// matter with it, and who did that and when, which the audit log knows.

// why is the reason for a refusal. --json prints it.
type why struct {
	Code   string          `json:"code,omitempty"`   // a stable word
	Reason string          `json:"reason,omitempty"` // for people
	Event  *api.AuditEvent `json:"event,omitempty"`  // the act that it goes back to
	Hidden string          `json:"hidden,omitempty"` // what can't be told, and what that would need
}

// pairs tells the reason for people.
func (w why) pairs(a *app) (p []string) {
	if w.Reason != "" {
		p = append(p, "refused", w.Reason)
	}
	if w.Event != nil {
		p = append(p, "since", a.timeText(w.Event.Time), "request", orDash(w.Event.RequestID))
	}
	if w.Hidden != "" {
		p = append(p, "not told", w.Hidden)
	}
	return p
}

// Codes of a refusal that the command line looks at or adds. The rest are the
// server's.
const (
	codeExpired      = "expired"
	codeAddress      = "address"
	codeOwnerDeleted = "owner_deleted"
	codeRevoked      = "revoked"
	codeEnded        = "ended"
	codeUnknown      = "unknown"
)

// Actions of the audit log that end credentials.
const (
	actTokenDelete  = "token.delete"
	actTokenEvict   = "token.evict"
	actTokenRotate  = "token.rotate"
	actUserDelete   = "user.delete"
	actUserDisable  = "user.disable"
	actUserPassword = "user.password"
	actLogin        = "session.login"
	actLogout       = "session.logout"
	actRevoke       = "session.revoke"
	actEvict        = "session.evict"
	actRenew        = "session.renew"
	actKeyRotate    = "key.rotate"
)

const hiddenAudit = "who did it and when: that is in the audit log, which needs generic#security:audit/search"

// historian reads the audit log as far as the one who asks may see it. What it
// can't read keeps nobody from being told the rest.
type historian struct {
	*api.Client
	now    time.Time
	hidden string // why the log can't be read
}

// of returns entries of the log, the newest first, at most a thousand.
func (h *historian) of(ctx context.Context, filter map[string]string) (events []api.AuditEvent) {
	if h.hidden != "" {
		return nil
	}
	page, err := h.SearchAudit(ctx, api.ListOptions{Filter: filter, Size: 1000})
	switch {
	case isStatus(err, http.StatusForbidden) || isStatus(err, http.StatusUnauthorized):
		h.hidden = hiddenAudit
	case isStatus(err, http.StatusNotFound): // the log was read, and nobody in it has that name
	case err != nil:
		h.hidden = "who did it and when: the audit log can't be read: " + err.Error()
	}
	for _, hit := range page.Hits.Hits {
		events = append(events, hit.Source)
	}
	return events
}

// last returns the newest entry of an action on a target; nil where there is
// none, or none to be seen.
func (h *historian) last(ctx context.Context, action, target string) *api.AuditEvent {
	if events := h.of(ctx, map[string]string{"action": action, "target": target}); len(events) > 0 {
		return &events[0]
	}
	return nil
}

// told is what happened, how long ago and by whom.
func (h *historian) told(what string, e *api.AuditEvent) string {
	return fmt.Sprintf("%s %s by %s", what, story.Ago(h.now, e.Time), orDash(cmp.Or(e.ActorName, e.Actor)))
}

// traced is a reason that goes back to an act.
func (h *historian) traced(code, what string, e *api.AuditEvent) why {
	return why{Code: code, Reason: h.told(what, e), Event: e}
}

// causes are the acts behind what the server says is the matter.
var causes = map[string]struct {
	action  string
	byOwner bool // the target is the owner, not the credential
	what    string
}{
	"owner_disabled": {actUserDisable, true, "owner disabled"},
	codeOwnerDeleted: {actUserDelete, true, "owner deleted"},
	"replaced":       {actTokenRotate, false, "secret replaced"},
}

// whyRefused completes what the server says of a credential that it has, by who
// did it and when. ends is when the credential does, zero for never.
func (h *historian) whyRefused(ctx context.Context, worth api.Introspection, id, owner string, ends time.Time) why {
	w := why{Code: worth.Code, Reason: worth.Reason}
	if w.Code == codeExpired && !ends.IsZero() {
		w.Reason = "expired " + story.Ago(h.now, ends)
	}
	c, ok := causes[w.Code]
	if !ok {
		return w
	}
	target := id
	if c.byOwner {
		target = owner
	}
	if e := h.last(ctx, c.action, target); e != nil {
		return h.traced(w.Code, c.what, e)
	}
	w.Hidden = h.hidden
	return w
}

// goneToken tells of a token that the store does not have, or does not show.
func (h *historian) goneToken(ctx context.Context, id string) why {
	events := h.of(ctx, map[string]string{"target": id})
	owners := map[string]bool{}
	for i, e := range events {
		if e.Action == actTokenDelete {
			return h.traced(codeRevoked, "revoked", &events[i])
		}
		if e.Action == actTokenEvict {
			return h.traced(codeExpired, "expired, and removed to make room (max-tokens-per-user)", &events[i])
		}
		owners[e.Actor] = true // who uses it, and mostly who made it
	}
	for owner := range owners {
		if e := h.last(ctx, actUserDelete, owner); e != nil {
			return h.traced(codeOwnerDeleted, "owner deleted", e)
		}
	}
	if len(events) > 0 {
		return why{Code: codeUnknown, Reason: "it is gone, or not yours, and the audit log does not tell why"}
	}
	return why{Code: codeUnknown, Reason: "it is not known: revoked, or of another store", Hidden: h.hidden}
}

// goneSession tells of a session that the store does not have any more.
func (h *historian) goneSession(ctx context.Context, id string) why {
	events := h.of(ctx, map[string]string{"target": id})
	for i, e := range events {
		switch e.Action {
		case actLogout:
			return h.traced(codeEnded, "signed out", &events[i])
		case actRevoke:
			return h.traced(codeEnded, "revoked", &events[i])
		case actEvict:
			return h.traced(codeEnded, "ended to make room, unused the longest (max-sessions-per-user)", &events[i])
		case actLogin, actRenew:
			return h.endedWithOthers(ctx, &events[i])
		}
	}
	return why{Code: codeUnknown, Reason: "it is not known: ended long ago, or of another store", Hidden: h.hidden}
}

// enders are the acts that end many sessions at once.
var enders = map[string]string{
	actUserPassword: "password set",
	actUserDisable:  "user disabled",
	actUserDelete:   "user deleted",
	actRevoke:       "other sessions ended",
	actKeyRotate:    "signing key replaced",
}

// ended tells what an act did to a session: who ends another's ends all of them.
func ended(e *api.AuditEvent) string {
	if e.Action == actRevoke && e.Actor != e.Target {
		return "all sessions revoked"
	}
	return enders[e.Action]
}

// endedWithOthers finds the act that ended a session together with others. What
// users do to their sessions spares the one that they do it with, and most
// rotations of keys spare all: then a later act may have been it, or its age.
func (h *historian) endedWithOthers(ctx context.Context, login *api.AuditEvent) why {
	var may []string
	for i, e := range h.since(ctx, login) {
		may = append(may, h.told(ended(e), e))
		if e.Actor == login.Actor || e.Action == actKeyRotate {
			continue
		}
		if i == 0 {
			return h.traced(codeEnded, ended(e), e)
		}
		return why{Code: codeEnded, Reason: "one of these ended it: " + strings.Join(may, "; ")}
	}
	expired := "expired, signed in " + story.Ago(h.now, login.Time)
	if len(may) > 0 {
		return why{Code: codeEnded, Reason: "one of these ended it: " + strings.Join(may, "; ") + "; or it " + expired}
	}
	return why{Code: codeExpired, Reason: expired, Hidden: h.hidden}
}

// since returns the acts after a sign-in that end sessions of its user, the
// oldest first.
func (h *historian) since(ctx context.Context, login *api.AuditEvent) (acts []*api.AuditEvent) {
	for action := range enders {
		filter := map[string]string{"action": action, "target": login.Actor, "since": login.Time.Format(time.RFC3339Nano)}
		if action == actKeyRotate {
			delete(filter, "target") // a key's, not the user's
		}
		for _, e := range h.of(ctx, filter) {
			if e.Seq > login.Seq && e.Result == "ok" {
				acts = append(acts, &e)
			}
		}
	}
	slices.SortFunc(acts, func(a, b *api.AuditEvent) int { return cmp.Compare(a.Seq, b.Seq) })
	return acts
}
