package cmd

import (
	"strings"
	"time"
)

// tone is a colour by what it says: SGR parameters (ECMA-48, 8.3.117).
type tone string

const (
	good    tone = "32" // green
	bad     tone = "31" // red
	careful tone = "33" // yellow
)

// tones are the words for a state, by what they are the state of: the name of a
// column or of a pair, in lower case.
var tones = map[string]map[string]tone{
	"state":       {"enabled": good, "disabled": bad, "throttled": careful},
	"result":      {"ok": good, "refused": bad, "FAILED": bad, "not told": careful},
	"status":      {"green": good, "yellow": careful, "red": bad},
	"signs":       {"yes": good},
	"expired":     {"yes": bad},
	"well-formed": {"yes": good, "no": bad},
	"known":       {"yes": good, "no": bad},
	"valid":       {"yes": good, "no": bad},
	"whole":       {"yes": good, "no": bad},
	"sound":       {"yes": good, "no": bad},
	"writable":    {"yes": good, "no": bad},
}

// painter gives shown its colour, which is whole, or what fits of it; name is
// that of the column or the pair.
type painter func(name, whole, shown string) string

func noPaint(_, _, shown string) string { return shown }

// painter paints on a terminal whose owner did not ask for none.
func (a *app) painter() painter {
	if _, ok := a.outTerminal(); !ok || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
		return noPaint
	}
	now := time.Now()
	return func(name, whole, shown string) string {
		t := toneOf(strings.ToLower(name), whole, now)
		if t == "" {
			return shown
		}
		return "\x1b[" + string(t) + "m" + shown + "\x1b[0m"
	}
}

// toneOf returns the tone of a text; "" for most.
func toneOf(name, text string, now time.Time) tone {
	if name == "expires" {
		if ends, err := time.Parse(time.RFC3339, text); err == nil && !ends.After(now) {
			return bad
		}
	}
	return tones[name][text]
}
