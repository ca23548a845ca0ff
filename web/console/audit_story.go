package console

import (
	"net/url"
	"strconv"
	"time"

	"husk/web/api"
	"husk/web/story"
)

// The story of a request is told by package story, in the words of husk explain. They
// are English; the other languages have messages for them, whose keys begin so.
const (
	toldDone    = "told.done."
	toldRefused = "told.refused."
)

// toldKey is the key of the message for what an entry means; those of why it was
// refused, and of what to do next, begin with it.
func toldKey(e *api.AuditEvent) string {
	if e.Result != resultOK {
		return toldRefused + e.Action
	}
	return toldDone + e.Action
}

// mostOfStory is how many entries of a request a page shows.
const mostOfStory = 100

// Story tells what is known of a request.
type Story struct {
	inAudit
	RequestID string
	Headline  Text
	State     State
	Why       Text // may say nothing
	Time      time.Time
	Who       string
	WhoActs   string // path of what they did; may be empty
	From      Text
	FromActs  string // path of what came from there; may be empty
	Next      []NextStep
	Entries   []StoryEntry
	All       string // path of all entries, where there are more than are shown
}

// NextStep is what one can do about it.
type NextStep struct {
	Words   Text
	Command string // of the command line; "" where there is none, or it is not for who looks
}

// StoryEntry is an entry of a story.
type StoryEntry struct {
	Seq     uint64
	Time    time.Time
	Words   Text
	Refused bool
	Count   int // of requests that it stands for
}

func (Story) view() (file string, title Text) { return "audit_story.html", say("story.title") }

func storyPage(v *Visit) error {
	id := v.param("id")
	told, err := story.Of(v.r.Context(), v.API.SearchAudit, id, mostOfStory)
	if err != nil {
		return err
	}
	if _, err := v.me(); err != nil {
		return err
	}
	page := Story{RequestID: id}
	if !told.Known() {
		page.Headline, page.Why = say("story.none"), say("story.none.why")
		return v.show(page)
	}
	page.tell(told, v.profile.Administrator)
	if told.More {
		page.All = roomAudit + "?request_id=" + url.QueryEscape(id)
	}
	return v.show(page)
}

func (p *Story) tell(told *story.Story, commands bool) {
	first, decides := told.Entries[0].AuditEvent, told.Entries[0].AuditEvent
	for _, e := range told.Entries {
		if e.Result != resultOK && decides.Result == resultOK {
			decides = e.AuditEvent
		}
	}
	p.Time, p.Who, p.From, p.FromActs = told.Time, told.Who, fromText(first), actsFrom(first.Address)
	if first.Actor != "" {
		p.WhoActs = actsOf(first.Actor)
	}
	p.Headline = didText(&decides, told.Headline)
	p.State = State{"good", say("story.done")}
	if told.Result != resultOK {
		p.State = State{"bad", say("audit.refused")}
	}
	p.Why = sentence(toldKey(&decides)+".why", told.Why, "what", targetText(decides))
	for i, step := range told.Next {
		one := NextStep{Words: sentence(toldKey(&decides)+".next."+strconv.Itoa(i+1), step.Words)}
		if commands {
			one.Command = step.Command
		}
		p.Next = append(p.Next, one)
	}
	for _, e := range told.Entries {
		p.Entries = append(p.Entries, StoryEntry{Seq: e.Seq, Time: e.Time, Words: didText(&e.AuditEvent, e.Words), Refused: e.Result != resultOK, Count: e.Count})
	}
}

// didText is what an entry means: in English as package story has it.
func didText(e *api.AuditEvent, words string) Text {
	who := or(e.ActorName, e.Actor)
	told := Text{key: toldKey(e), args: []any{"who", unnamed(who), "what", unnamed(or(e.TargetName, e.Target))}, plain: words}
	if who == "" || len(words) < len(who) || words[:len(who)] != who {
		told.plain = capital(words)
	}
	return told
}

// unnamed is a name in a message, or that there is none.
func unnamed(name string) Text {
	if name == "" {
		return say("story.unnamed")
	}
	return literal(name)
}
