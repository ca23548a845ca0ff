package console

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"husk/web/api"
)

var auditPlaces = []Place{
	get(roomAudit, Handler{answer: auditPage}),
	get(roomAudit+"/request/:id", Handler{answer: storyPage}),
	long(get(roomAudit+"/verify", Handler{answer: verifyPage})),
}

// inAudit is a page of the audit log.
type inAudit struct{}

func (inAudit) room() string { return roomAudit }

// Audit lists the entries of the audit log, the newest first.
type Audit struct {
	inAudit
	Problem  Text // why the list can't be narrowed as it was asked; or a field says so
	Unusable bool // it can't be
	Actor    Field
	Action   Field
	Result   Field
	Others   []Field // filters that are asked for less often
	Open     bool    // those are shown
	Narrowed bool
	Of       string // the name of the actor who is asked for; may be empty
	Live     bool   // it is asked for again, while somebody looks
	Events   []EventRow
	More     bool // nothing was found so far, and there is more to look through
	Pager    Pager
}

// EventRow is an entry of the audit log in a list.
type EventRow struct {
	Time     time.Time
	Words    Text   // what was done
	Story    string // path of the story of its request; "": it has none
	Who      string
	WhoActs  string // path of what they did; "": nobody known
	What     Text   // what it was done to; may say nothing
	WhatActs string // path of what was done to it
	From     Text
	Refused  bool
	Count    int
}

func (Audit) view() (file string, title Text) { return "audit.html", say("nav.audit") }

// fieldOfAuditCode is which filter of the log a refusal is about.
var fieldOfAuditCode = map[string]string{
	"unknown_actor": "actor", "unknown_target": "target", "unknown_action": "action", "bad_result": "result", "bad_prefix": "address", "bad_time": "since", "bad_interval": "since",
}

// actsOf leads to what somebody did.
func actsOf(actor string) string { return roomAudit + "?actor=" + url.QueryEscape(actor) }

// actsFrom leads to what came from an address, or from the network that stands for those
// of strangers; "" where it came from no one place.
func actsFrom(address string) string {
	if one, err := netip.ParseAddr(address); err == nil {
		address = one.WithZone("").String() // which is of the machine that it was seen on
	} else if _, err := netip.ParsePrefix(address); err != nil {
		return ""
	}
	return roomAudit + "?address=" + url.QueryEscape(address)
}

func auditPage(v *Visit) error {
	f := v.asked()
	asked := map[string]string{}
	for _, name := range []string{"actor", "action", "target", "result", "address", "request_id"} {
		asked[name] = strings.TrimSpace(v.query(name))
	}
	asked["since"], asked["until"] = dayBegins(v.query("since"), 0), dayBegins(v.query("until"), 1)
	found, err := v.API.SearchAudit(v.r.Context(), api.ListOptions{Size: pageSize, After: v.query("after"), Filter: asked})
	refused, err := f.narrowed(err, fieldOfAuditCode)
	if err != nil {
		return err
	}
	page := Audit{Problem: f.Problem, Pager: v.pager(found.Hits.After), Actor: f.field(Field{Name: "actor", Label: say("audit.actor"), Type: "search", Max: 254}),
		Action: f.field(Field{Name: "action", Label: say("audit.action"), Type: "select", Options: actionOptions()}),
		Result: f.field(Field{Name: "result", Label: say("audit.result"), Type: "select", Options: resultOptions()}), Others: f.auditFilters()}
	for _, value := range asked {
		page.Narrowed = page.Narrowed || value != ""
	}
	for _, other := range page.Others {
		page.Open = page.Open || other.Value != "" || other.Problem.Said()
	}
	if refused != nil {
		page.Unusable = true
		return v.refuse(refused, page)
	}
	page.More = len(found.Hits.Hits) == 0 && found.Hits.After != ""
	page.Live = !page.Narrowed && v.query("after") == ""
	for _, hit := range found.Hits.Hits {
		page.Events = append(page.Events, eventRow(hit.Source))
		if e := hit.Source; page.Of == "" && e.Actor == asked["actor"] && e.ActorName != e.Actor {
			page.Of = e.ActorName
		}
	}
	return v.show(page)
}

func (f Form) auditFilters() []Field {
	fields := []Field{
		{Name: "target", Label: say("audit.target"), Type: "search", Max: 254},
		{Name: "address", Label: say("audit.address"), Type: "search", Max: 64},
		{Name: "since", Label: say("audit.since"), Type: "date"},
		{Name: "until", Label: say("audit.until"), Type: "date"},
		{Name: "request_id", Label: say("audit.request"), Type: "search", Max: 100},
	}
	for i, one := range fields {
		one = f.field(one)
		if one.Type == "date" && !isDay(one.Value) {
			one.Type = "search" // a link may ask for a moment
		}
		fields[i] = one
	}
	return fields
}

func isDay(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return text == "" || err == nil
}

// dayBegins is the beginning of a day in UTC, or of one so many days after it; what is
// no day is left for the API to judge.
func dayBegins(text string, after int) string {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return text
	}
	return day.AddDate(0, 0, after).Format(time.RFC3339)
}

func eventRow(e api.AuditEvent) EventRow {
	row := EventRow{Time: e.Time, Words: actionText(e.Action), Who: or(e.ActorName, e.Actor), What: targetText(e), Story: storyOf(e.RequestID), From: fromText(e), Refused: e.Result != resultOK && e.Action != accessRefused, Count: e.Count}
	if e.Actor != "" {
		row.WhoActs = actsOf(e.Actor)
	}
	if e.Target != "" {
		row.WhatActs = roomAudit + "?target=" + url.QueryEscape(e.Target)
	}
	return row
}

// Results of an entry of the audit log.
const (
	resultOK      = "ok"
	resultRefused = "refused"
)

// accessRefused is the one action whose words say that it was refused.
const accessRefused = "access.refused"

// storyOf leads to what became of a request; "" where there was none.
func storyOf(requestID string) string {
	if requestID == "" {
		return ""
	}
	return roomAudit + "/request/" + url.PathEscape(requestID)
}

func targetText(e api.AuditEvent) Text {
	if _, own := permissionWords[e.Target]; own {
		return permissionText(e.Target)
	}
	switch actionsArea + e.Action {
	case "actions.system.backup", "actions.audit.export": // what left by the connection that asked
		switch file, kept := strings.CutPrefix(e.Target, "stream of "); {
		case e.Target == "stream":
			return say("audit.downloaded")
		case kept:
			return say("audit.downloaded_file", "file", file)
		}
	}
	return literal(or(e.TargetName, e.Target))
}

// fromText is where an act came from: an address, else how.
func fromText(e api.AuditEvent) Text {
	switch {
	case e.Address != "":
		return literal(e.Address)
	case e.Transport == "":
		return say("audit.by_itself")
	}
	return say("audit.on_machine")
}

// actionWords are the messages of all actions of the audit log: what follows the first
// stop is the action.
var actionWords = []string{
	"actions.access.refused",
	"actions.audit.export", "actions.audit.left_out", "actions.audit.prune",
	"actions.gate.enter",
	"actions.key.rotate",
	"actions.passkey.copied", "actions.passkey.create", "actions.passkey.delete", "actions.passkey.update",
	"actions.recovery_code.create", "actions.recovery_code.use",
	"actions.role.create", "actions.role.delete", "actions.role.update",
	"actions.session.evict", "actions.session.login", "actions.session.logout", "actions.session.prove", "actions.session.renew", "actions.session.revoke",
	"actions.setup.initialize",
	"actions.store.create", "actions.store.repair", "actions.store.upgrade",
	"actions.system.backup", "actions.system.backup_broken",
	"actions.token.create", "actions.token.delete", "actions.token.evict", "actions.token.rotate", "actions.token.rotate_begin", "actions.token.rotate_undo",
	"actions.token.update", "actions.token.use",
	"actions.totp.create", "actions.totp.delete",
	"actions.user.create", "actions.user.delete", "actions.user.disable", "actions.user.enable", "actions.user.password", "actions.user.reset_second_factor",
	"actions.user.unlock", "actions.user.update",
}

const actionsArea = "actions."

// actionText is an action in words; that of a newer server is the action itself.
func actionText(action string) Text { return Text{key: actionsArea + action, plain: action} }

func actionOptions() []Option {
	all := []Option{{Label: say("audit.any")}}
	for _, key := range actionWords {
		all = append(all, Option{Value: strings.TrimPrefix(key, actionsArea), Label: say(key)})
	}
	return all
}

func resultOptions() []Option {
	return []Option{{Label: say("audit.any")}, {Value: resultOK, Label: say("story.done")}, {Value: resultRefused, Label: say("audit.refused")}}
}

// sentence is English words that another language may have a message for, with a
// capital letter and a stop.
func sentence(key, words string, args ...any) Text {
	if words == "" {
		return Text{}
	}
	return Text{key: key, args: args, plain: capital(words) + "."}
}

func capital(words string) string {
	first, n := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + words[n:]
}
