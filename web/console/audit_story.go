package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
	Terminal  Terminal
}

// NextStep is what one can do about it.
type NextStep struct {
	Words Text
	Path  string // of the page where it is done; "": there is none
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
	who, err := v.me()
	if err != nil {
		return err
	}
	told, err := story.Of(v.r.Context(), v.API.SearchAudit, id, mostOfStory, who.Administrator)
	if err != nil {
		return err
	}
	page := Story{RequestID: id}
	if !told.Known() {
		page.Headline, page.Why = say("story.none"), say("story.none.why")
		return v.show(page)
	}
	page.tell(told, who.Administrator)
	if told.More {
		page.All = roomAudit + "?request_id=" + url.QueryEscape(id)
	}
	if who.Administrator {
		page.Terminal = Terminal{"terminal", strings.Join(told.Commands(), "\n")}
	}
	return v.show(page)
}

func (p *Story) tell(told *story.Story, administrator bool) {
	first, decides := told.Entries[0].AuditEvent, told.Decides
	p.Time, p.Who, p.From, p.FromActs = told.Time, told.Who, fromText(first), actsFrom(first.Address)
	if first.Actor != "" {
		p.WhoActs = actsOf(first.Actor)
	}
	p.Headline = didText(&decides, told.Headline)
	p.State = State{"good", say("story.done")}
	if told.Result != resultOK {
		p.State = State{"bad", say("audit.refused")}
	}
	p.Why = whyText(&decides, told.Why)
	for i, step := range told.Next {
		key := toldKey(&decides) + ".next." + strconv.Itoa(i+1)
		if !administrator {
			key = toldKey(&decides) + ".ask"
		}
		p.Next = append(p.Next, NextStep{Words: sentence(key, step.Words), Path: pathOf(step.Place, &decides)})
	}
	for _, e := range told.Entries {
		p.Entries = append(p.Entries, StoryEntry{Seq: e.Seq, Time: e.Time, Words: didText(&e.AuditEvent, e.Words), Refused: e.Result != resultOK, Count: e.Count})
	}
}

// whyText is why an entry was refused. A permission is named as the pages that grant it
// do.
func whyText(e *api.AuditEvent, words string) Text {
	if _, own := permissionWords[e.Target]; own && e.Action == "access.refused" {
		return say("story.lacks", "permission", permissionNamed(e.Target))
	}
	return sentence(toldKey(e)+".why", words, "what", targetText(*e))
}

// pathOf is the page of a place, which is about an entry; "" where there is none.
func pathOf(place story.Place, e *api.AuditEvent) string {
	target, actor := url.PathEscape(e.Target), url.PathEscape(e.Actor)
	switch {
	case place == story.PlaceRoles:
		return roomRoles
	case place == story.PlaceRules:
		return testPath + "?" + url.Values{"url": {"https://" + e.Target + "/"}, "method": {http.MethodGet}, "user": {e.Actor}}.Encode()
	case place == story.PlaceActor && actor != "":
		return userPath(actor)
	case place == story.PlaceActorPassword && actor != "":
		return userPath(actor) + "/password"
	case place == story.PlaceUser && target != "":
		return userPath(target)
	case place == story.PlacePassword && target != "":
		return userPath(target) + "/password"
	case place == story.PlaceToken && target != "":
		return roomAllTokens + "/" + target
	case place == story.PlaceRevoke && target != "":
		return roomAllTokens + "/" + target + "/revoke"
	case place != "":
		return roomUsers // somebody whom nobody knows
	}
	return ""
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
