package console

import (
	"maps"
	"slices"
	"time"

	"husk/web/api"
)

// Advice is a warning of the server's health in words, with what to do about it.
type Advice struct {
	Text   Text
	Next   Text
	Detail Text   // the numbers and times of it; may say nothing
	Link   string // page of the manual
}

// warningWords say what a warning is, and what to do. Detail tells of those of which
// the server's own words have numbers or times that are not in ours.
var warningWords = map[string]struct {
	text, next Text
	detail     bool
	page       string
}{
	"backup_failed":       {say("warning.backup_failed"), say("warning.backup_failed.next"), true, "backup"},
	"certificate_expired": {say("warning.certificate_expired"), say("warning.certificate_expired.next"), true, "proxy"},
	"certificate_stale":   {say("warning.certificate_stale"), say("warning.certificate_stale.next"), true, "proxy"},
	"clock_set_back":      {say("warning.clock_set_back"), say("warning.clock_set_back.next"), true, "reliability"},
	"clock_one_side":      {say("warning.clock_one_side"), say("warning.clock_one_side.next"), true, "monitoring"},
	"disk_failed":         {say("warning.disk_failed"), say("warning.disk_failed.next"), false, "reliability"},
	"disk_full":           {say("warning.disk_full"), say("warning.disk_full.next"), false, "reliability"},
	"gate_no_proxy":       {say("warning.gate_no_proxy"), say("warning.gate_no_proxy.next"), false, "proxy"},
	"many_changes":        {say("warning.many_changes"), say("warning.many_changes.next"), false, "monitoring"},
	"many_tokens":         {say("warning.many_tokens"), say("warning.many_tokens.next"), true, "monitoring"},
	"no_public_url":       {say("warning.no_public_url"), say("warning.no_public_url.next"), true, "configuration"},
	"secrets_unreadable":  {say("warning.secrets_unreadable"), say("warning.secrets_unreadable.next"), true, "configuration"},
	"store_damaged":       {say("warning.store_damaged"), say("warning.store_damaged.next"), false, "backup"},
	"store_header":        {say("warning.store_header"), say("warning.store_header.next"), false, "reliability"},
	"store_moved":         {say("warning.store_moved"), say("warning.store_moved.next"), false, "reliability"},
	"store_slow":          {say("warning.store_slow"), say("warning.store_slow.next"), true, "performance"},
	"store_unreadable":    {say("warning.store_unreadable"), say("warning.store_unreadable.next"), false, "reliability"},
	"write_refused":       {say("warning.write_refused"), say("warning.write_refused.next"), false, "reliability"},
}

// advise puts warnings into words. One that a newer server knows is shown as it says
// it.
func advise(warnings []api.Warning) (all []Advice) {
	for _, w := range warnings {
		words, known := warningWords[w.Code]
		if !known {
			all = append(all, Advice{Text: literal(w.Text), Link: roomManual + "/monitoring"})
			continue
		}
		a := Advice{Text: words.text, Next: words.next, Link: roomManual + "/" + words.page}
		if words.detail {
			a.Detail = detailOf(w)
		}
		all = append(all, a)
	}
	return all
}

// detailOf is what a warning tells besides: in English as the server says it, in other
// languages by the values. Of these, times are shown as times, and words are translated.
func detailOf(w api.Warning) Text {
	detail := Text{key: "detail." + w.Code, plain: w.Text}
	for _, name := range slices.Sorted(maps.Keys(w.Values)) {
		value := w.Values[name]
		var shown any = Text{key: "detail." + name + "_" + value, plain: value}
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			shown = at
		}
		detail.args = append(detail.args, name, shown)
	}
	return detail
}

// healthState is how the server is. A notice changes no colour for programs; for people
// not all is well where the page tells of something to do.
func healthState(h api.HealthDetails) State {
	switch {
	case h.Status == "green" && len(h.Warnings) == 0:
		return State{"good", say("health.green")}
	case h.Status == "green", h.Status == "yellow":
		return State{"warn", say("health.yellow")}
	}
	return State{"bad", say("health.red")}
}
