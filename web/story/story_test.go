package story

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

func TestAgo(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "0 s ago", 119 * time.Second: "119 s ago", 2 * time.Minute: "2 min ago", 119 * time.Minute: "119 min ago",
		3*time.Hour + 59*time.Minute: "3 h ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 d ago", 365 * 24 * time.Hour: "365 d ago",
		-time.Second: "at 2030-01-02T03:04:06Z",
	} {
		if got := Ago(now, now.Add(-d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func login(result, target, name string) api.AuditEvent {
	return api.AuditEvent{Seq: 7, Time: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Transport: "http", Address: "192.0.2.1", Action: "session.login",
		Target: target, TargetName: name, Result: result, RequestID: "r", Count: 1}
}

func TestTell(t *testing.T) {
	made := api.AuditEvent{Seq: 8, Actor: "a1", ActorName: "ann@example.com", Transport: "http", Action: "token.create", Target: "t1", TargetName: "[{who}] deploy", Result: "ok", Count: 1}
	for _, c := range []struct {
		name            string
		events          []api.AuditEvent
		headline, who   string
		why             bool
		commands, words []string
	}{
		{"done", []api.AuditEvent{made}, "ann@example.com made the API token [{who}] deploy", "ann@example.com (a1)", false, nil, nil},
		{"without a name", []api.AuditEvent{{Action: "user.update", Actor: "husk", ActorName: "husk", Result: "ok"}}, "husk changed the user", "husk", false, nil, nil},
		{"refused", []api.AuditEvent{login("refused", "b1", "bob@example.com")}, "a sign-in as bob@example.com was refused", "", true,
			[]string{"husk user show bob@example.com", "husk passwd bob@example.com"}, nil},
		{"refused to nobody known", []api.AuditEvent{login("refused", "", "")}, "a sign-in was refused", "", true, []string{"husk user show EMAIL", "husk passwd EMAIL"}, nil},
		{"a name for a shell", []api.AuditEvent{login("refused", "b1", "$(reboot)@example.com")}, "a sign-in as $(reboot)@example.com was refused", "", true,
			[]string{"husk user show EMAIL", "husk passwd EMAIL"}, nil},
		{"a name for a flag", []api.AuditEvent{login("refused", "b1", "--all")}, "a sign-in as --all was refused", "", true, []string{"husk user show EMAIL", "husk passwd EMAIL"}, nil},
		{"for want of a right", []api.AuditEvent{{Action: "access.refused", Actor: "a1", ActorName: "ann@example.com", Target: "generic#system/keys", Result: "refused"}},
			"ann@example.com was refused what they have no right to", "ann@example.com (a1)", true, []string{"husk user show ann@example.com", "husk role list"}, nil},
		{"a refusal among others", []api.AuditEvent{made, login("refused", "", "")}, "a sign-in was refused; 2 acts in all", "ann@example.com (a1)", true, []string{"husk user show EMAIL", "husk passwd EMAIL"}, nil},
		{"of a newer server", []api.AuditEvent{{Action: "moon.land", ActorName: "ann", Target: "x", Result: "ok"}}, "ann: moon.land of x", "ann", false, nil, nil},
		{"refused by a newer server", []api.AuditEvent{{Action: "user.create", ActorName: "ann", Result: "refused"}}, "ann: user.create", "ann", false, nil, nil},
	} {
		s := Tell("r", c.events, true)
		var commands, words []string
		for _, step := range s.Next {
			if step.Command != "" {
				commands = append(commands, step.Command)
			} else {
				words = append(words, step.Words)
			}
		}
		if s.Headline != c.headline || s.Who != c.who || (s.Why != "") != c.why || !slices.Equal(commands, c.commands) || !slices.Equal(words, c.words) || len(s.Entries) != len(c.events) {
			t.Errorf("%s: %+v", c.name, s)
		}
		if (s.Result == "refused") != (c.events[len(c.events)-1].Result == "refused") {
			t.Errorf("%s: the result is %s", c.name, s.Result)
		}
	}
}

// No text has a place that nothing fills, with a name and without.
func TestEveryText(t *testing.T) {
	for _, all := range []map[string]act{done, denied} {
		for action, a := range all {
			for _, e := range []api.AuditEvent{{Action: action}, {Action: action, ActorName: "ann", Target: "x"}} {
				texts := []string{say(a.did, &e), say(a.why, &e)}
				for _, step := range append(a.steps(&e, true), a.steps(&e, false)...) {
					texts = append(texts, step.Words, step.Command)
				}
				if text := strings.Join(texts, "\n"); strings.ContainsAny(text, "{}[]") || strings.Contains(text, "  ") || texts[0] == "" {
					t.Errorf("%s: %q", action, texts)
				}
			}
		}
	}
}

func TestFacts(t *testing.T) {
	s := Tell("r", []api.AuditEvent{login("refused", "", "")}, true)
	facts := s.Facts(func(t time.Time) string { return t.Format(time.Kitchen) }, s.Time.Add(3*time.Hour))
	want := []Fact{{"request", "r"}, {"time", "3:04AM, 3 h ago"}, {"actor", "-"}, {"transport", "http"}, {"from", "192.0.2.1"}}
	if !slices.Equal(facts, want) {
		t.Errorf("the facts are %v", facts)
	}
}

// Of many entries as many are asked for as are shown, the newest; and of none there
// is a story, too.
func TestOf(t *testing.T) {
	var asked []api.ListOptions
	search := func(n int) Search {
		return func(_ context.Context, o api.ListOptions) (out api.Search[api.AuditEvent], err error) {
			asked = append(asked, o)
			for i := range n {
				out.Hits.Hits = append(out.Hits.Hits, api.Hit[api.AuditEvent]{Source: api.AuditEvent{Seq: uint64(n - i), Action: "user.create", Count: 1 + i%2, Result: "ok"}})
			}
			return out, nil
		}
	}
	s, err := Of(t.Context(), search(3), "r", 0, true)
	if err != nil || s.More || len(s.Entries) != 3 || s.Entries[0].Seq != 1 || s.Entries[0].Note != "" || s.Entries[1].Note != "Entry 2 stands for 2 requests like it within a minute." {
		t.Errorf("all: %+v, %v", s, err)
	}
	if s, err = Of(t.Context(), search(3), "r", 2, true); err != nil || !s.More || len(s.Entries) != 2 || s.Entries[0].Seq != 2 {
		t.Errorf("two: %+v, %v", s, err)
	}
	if s, err = Of(t.Context(), search(2), "r", 2, true); err != nil || s.More || len(s.Entries) != 2 {
		t.Errorf("two of two: %+v, %v", s, err)
	}
	if asked[0].Filter["request_id"] != "r" || asked[1].Size != 3 {
		t.Errorf("asked %+v", asked)
	}
	if s, err = Of(t.Context(), search(0), "r", 0, true); err != nil || s.Known() || s.Headline == "" || len(s.Next) != 1 {
		t.Errorf("none: %+v, %v", s, err)
	}
	broken := errors.New("no answer")
	if _, err := Of(t.Context(), func(context.Context, api.ListOptions) (out api.Search[api.AuditEvent], err error) { return out, broken }, "r", 0, true); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

// Who is no administrator is told what one can do, and never a command or a page of
// administrators; an administrator is not sent to one.
func TestReaders(t *testing.T) {
	for _, all := range []map[string]act{done, denied} {
		for action, a := range all {
			if (len(a.next) > 0) != (a.ask != "") {
				t.Errorf("%s says what to do to some readers alone", action)
			}
			e := api.AuditEvent{Action: action, ActorName: "ann@example.com", TargetName: "bob@example.com", Target: "b1"}
			for _, step := range a.steps(&e, false) {
				if step.Command != "" || step.Place != "" || strings.Contains(step.Words, "husk ") {
					t.Errorf("%s: others are told %+v", action, step)
				}
			}
			for _, step := range a.steps(&e, true) {
				if strings.Contains(step.Words, "administrator") || strings.Contains(step.Words, "husk ") || (step.Command == "") != (step.Place == "") {
					t.Errorf("%s: administrators are told %+v", action, step)
				}
			}
		}
	}
	refused := login("refused", "b1", "bob@example.com")
	if s := Tell("r", []api.AuditEvent{refused}, true); !slices.Equal(s.Commands(), []string{"husk explain r", "husk user show bob@example.com", "husk passwd bob@example.com"}) || s.Decides != refused {
		t.Errorf("the commands are %q, of %+v", s.Commands(), s.Decides)
	}
	if s := Tell("$(reboot)", []api.AuditEvent{refused}, false); len(s.Commands()) != 0 || len(s.Next) != 1 {
		t.Errorf("the commands of others are %q, and they are told %v", s.Commands(), s.Next)
	}
}
