// Package story tells what became of one request, in words for people: of the
// entries that the audit log has of it. The command line prints a Story, and a page
// shows the same one. It knows the wire types and nothing of who shows it: times
// are left as they are, what somebody typed is not escaped, and what is a command
// of the command line stands apart from the words around it.
package story

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"husk/web/api"
)

// Story is what is known of a request.
type Story struct {
	RequestID string
	Headline  string // what happened, without a stop at its end
	Time      time.Time
	Who       string         // who asked: a name, with the id where that is another; "": not known
	Transport string         // "http", "socket" or "offline"; "": the server of its own accord
	Address   string         // of who asked; "": none
	What      string         // what it was done to, by name; "": nothing that has one
	Result    string         // "ok", or "refused" where anything was; "": there is no entry
	Why       string         // why it was refused; "": it was not, or that is not known
	Decides   api.AuditEvent // the entry that Why and Next are about
	Next      []Step         // for who was named as the reader
	Entries   []Entry        // the oldest first
	More      bool           // there are older ones, which were not asked for
}

// Step is what one can do next: the same by a command and in a browser, whichever the
// reader is at.
type Step struct {
	Words   string
	Command string // of the command line; "": there is none
	Place   Place  // where a browser does it; "": nowhere
}

// Place is a page of the console, by what it is of.
type Place string

// The places.
const (
	PlaceActor         Place = "actor"          // the user who asked
	PlaceActorPassword Place = "actor_password" // a new password for them
	PlacePassword      Place = "password"       // a new password for the target
	PlaceRevoke        Place = "revoke"         // the end of the token that is the target
	PlaceRoles         Place = "roles"          // all roles
	PlaceRules         Place = "rules"          // the rules of the gate, asked about the target and who asked
	PlaceToken         Place = "token"          // the token that is the target
	PlaceUser          Place = "user"           // the user who is the target
)

// Entry is an entry of the audit log.
type Entry struct {
	api.AuditEvent
	Words string // what it says
	Note  string // what else there is to know of it; mostly ""
}

// Known tells whether the audit log has anything of the request.
func (s *Story) Known() bool { return len(s.Entries) > 0 }

// Search is api.Client.SearchAudit.
type Search func(context.Context, api.ListOptions) (api.Search[api.AuditEvent], error)

// Of asks for the entries of a request, at most so many of the newest (0: all: an
// import of users has one for each), and tells their story to an administrator, or to
// somebody else who may read the audit log. That there are none is
// a story, too: see Known.
func Of(ctx context.Context, search Search, requestID string, most int, administrator bool) (*Story, error) {
	var events []api.AuditEvent
	o := api.ListOptions{Filter: map[string]string{"request_id": requestID}}
	if most > 0 {
		o.Size = min(most+1, 1000)
	}
	more := false
	for hit, err := range api.All(ctx, o, search) {
		if err != nil {
			return nil, err
		}
		if more = most > 0 && len(events) == most; more {
			break
		}
		events = append(events, hit.Source)
	}
	slices.Reverse(events)
	s := Tell(requestID, events, administrator)
	s.More = more
	return s, nil
}

// Tell tells the story of entries, the oldest first, to an administrator or not.
func Tell(requestID string, events []api.AuditEvent, administrator bool) *Story {
	s := &Story{RequestID: requestID}
	if len(events) == 0 {
		s.Headline = "the audit log has no entry of that request"
		s.Next = []Step{{Words: "what changed nothing leaves none, refused sign-ins of a minute share one, and a server writes them down after half a minute; search its log for the id"}}
		return s
	}
	decides := &events[0] // a refusal, where there is one: it is what is asked about
	for i := range events {
		s.Entries = append(s.Entries, entryOf(&events[i]))
		if events[i].Result == refused && decides.Result != refused {
			decides = &events[i]
		}
	}
	e := events[0]
	s.Time, s.Transport, s.Address, s.Result = e.Time, e.Transport, e.Address, decides.Result
	s.Who = e.ActorName
	if e.Actor != "" && e.Actor != e.ActorName {
		s.Who = strings.TrimSpace(e.ActorName + " (" + e.Actor + ")")
	}
	a := actOf(decides)
	s.Decides, s.What = *decides, cmp.Or(decides.TargetName, decides.Target)
	s.Headline, s.Why, s.Next = say(a.did, decides), say(a.why, decides), a.steps(decides, administrator)
	if n := len(events); n > 1 {
		s.Headline += fmt.Sprintf("; %d acts in all", n)
	}
	return s
}

// Commands tell and do at a terminal what the story does elsewhere.
func (s *Story) Commands() (lines []string) {
	if plainWord.MatchString(s.RequestID) {
		lines = append(lines, "husk explain "+s.RequestID)
	}
	for _, step := range s.Next {
		if step.Command != "" {
			lines = append(lines, step.Command)
		}
	}
	return lines
}

func entryOf(e *api.AuditEvent) Entry {
	a := actOf(e)
	out := Entry{AuditEvent: *e, Words: say(a.did, e)}
	if e.Count > 1 {
		out.Note = fmt.Sprintf("Entry %d stands for %d requests like it within a minute.", e.Seq, e.Count)
	}
	return out
}

// Fact is one thing that is known of a request, with its name.
type Fact struct{ Name, Value string }

// Facts are what is known of the request itself, in the order in which it is told;
// timeText writes a time as its reader wants it. What is not known has a dash.
func (s *Story) Facts(timeText func(time.Time) string, now time.Time) []Fact {
	facts := []Fact{{"request", s.RequestID}, {"time", timeText(s.Time) + ", " + Ago(now, s.Time)},
		{"actor", s.Who}, {"transport", s.Transport}, {"from", s.Address}}
	for i := range facts {
		facts[i].Value = cmp.Or(facts[i].Value, "-")
	}
	return facts
}

// Ago is how long before now a moment was, in a unit that tells enough.
func Ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0: // another machine's clock
		return "at " + t.UTC().Format(time.RFC3339)
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours()/24))
}
