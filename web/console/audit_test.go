package console

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/web/api"
	"husk/web/story"
)

// roomsOfAudit are the pages of sign-ins, access rules and the audit log.
func roomsOfAudit(text string) map[string]Page {
	said, at := literal(text), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	field := Field{Name: "user", Label: said, Hint: said, Value: text, Type: "search", Problem: said}
	choice := Field{Name: "action", Label: said, Type: "select", Options: []Option{{Value: "x", Label: said}}}
	row := SignInRow{SessionRow: SessionRow{ID: "s1", Device: said, Address: text, Since: at, LastSeen: at, Expires: at, Current: true}, User: "u1", Username: text}
	form := Form{Once: "x", Problem: said}
	event := EventRow{Time: at, Words: said, Story: "/console/audit/request/x", Who: text, WhoActs: "/console/audit?actor=x", What: said, WhatActs: "/console/audit?target=x", From: said, Refused: true, Count: 7}
	rule := RuleRow{Number: 1, Line: 12, Host: text, Path: "/", Methods: []string{text}, From: []string{text}, Requires: []Text{said, said}, Extras: []Text{said}, Ungranted: []string{text}, Upstream: text, Test: "/console/rules/test?url=x"}
	verdict := api.AuditVerdict{OK: false, Kept: "absent", Pruned: 2, Findings: []api.AuditFinding{{Code: text, Text: text, From: 7, To: 1234}, {Code: foundLost, Text: text, From: 3, To: 3}}}
	return map[string]Page{
		"sessions all":      AllSessions{Done: said, Problem: said, User: field, Address: named(field, "address"), Narrowed: true, EndAll: "/console/sessions/end?user=x", Sessions: []SignInRow{row}, Pager: Pager{"/console/sessions", "/console/sessions?after=x"}},
		"sessions none":     AllSessions{User: field, Address: named(field, "address")},
		"sessions further":  AllSessions{User: field, Address: named(field, "address"), More: true},
		"session":           SignInDetails{SignInRow: row, Agent: text, State: State{"good", said}, Reason: said, MustChange: true, Rights: []PermissionGroup{{Title: said, Options: []Option{{Label: said}}}}, UserPage: "/console/users/u1", Acts: "/console/audit?actor=u1", MayEnd: true, EndAll: "/console/sessions/end?user=u1"},
		"session bare":      SignInDetails{SignInRow: row},
		"session end":       EndSignIn{Form: form, Session: row},
		"sessions end":      EndSignIns{Form: form, User: text, Username: text, Count: 12345, Mine: true},
		"rules":             Rules{Tabs: ruleTabs(roomRules, nil), Rules: []RuleRow{rule, {Number: 2, Requires: []Text{said}}}, Warnings: []Advice{{Text: said, Link: roomManual}}, Lacking: 1, Pager: Pager{"/console/rules", "/console/rules?after=100"}},
		"rules none":        Rules{Tabs: ruleTabs(roomRules, nil), Empty: Empty{said, said, pageOfGate, ""}},
		"rule test":         TestRule{Form: Form{Problem: said, Wait: 9}, Tabs: ruleTabs(testPath, nil), URL: named(field, "url"), Method: choice, From: named(field, "from"), User: field, Tested: &Tested{"allowed", said, text, text, said, []Text{said}, &rule}},
		"rule test sign in": TestRule{Tabs: ruleTabs(testPath, nil), URL: named(field, "url"), Method: choice, From: named(field, "from"), User: named(choice, "user"), Tested: &Tested{"signin", said, text, text, said, []Text{said}, nil}},
		"rule test token":   TestRule{Tabs: ruleTabs(testTokenPath, nil), ByToken: true, URL: named(field, "url"), Method: choice, From: named(field, "from"), Secret: Field{Name: fieldSecret, Label: said, Type: "password"}, Tested: &Tested{"refused", said, text, text, said, []Text{said}, nil}},
		"audit":             Audit{Problem: said, Actor: named(field, "actor"), Action: choice, Result: named(choice, "result"), Others: []Field{named(field, "target"), named(field, "address"), {Name: "since", Label: said, Type: "date", Value: text}}, Open: true, Narrowed: true, Of: text, Live: true, Events: []EventRow{event, {From: said, Words: said, Count: 1}}},
		"audit further":     Audit{Actor: named(field, "actor"), Action: choice, Result: named(choice, "result"), Others: []Field{named(field, "address")}, Open: true, Narrowed: true, More: true, Pager: Pager{Next: "/console/audit?after=x"}},
		"audit none":        Audit{Actor: named(field, "actor"), Action: choice, Result: named(choice, "result")},
		"audit story": Story{RequestID: text, Headline: said, State: State{"bad", said}, Why: said, Time: at, Who: text, WhoActs: "/console/audit?actor=x", From: said, FromActs: "/console/audit?address=x",
			Next: []NextStep{{said, "/console/roles"}, {Words: said}}, Entries: []StoryEntry{{Seq: 1, Time: at, Words: said, Refused: true, Count: 5}}, All: "/console/audit?request_id=x", Terminal: Terminal{"terminal", text}},
		"audit story none": Story{RequestID: text, Headline: said, Why: said},
		"audit verify":     Verify{Problem: said, Known: named(field, "head"), Keep: text, Verdict: verdictOf(verdict)},
		"audit whole":      Verify{Known: named(field, "head"), Verdict: verdictOf(api.AuditVerdict{OK: true, Entries: 1, First: 1, Last: 1})},
		"audit verify new": Verify{Known: named(field, "head"), Keep: text},
	}
}

// Each action that the contract names has words in every language, and nothing else has.
func TestActionsHaveWords(t *testing.T) {
	page, err := os.ReadFile("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "These are the actions:")
	table, _, _ = strings.Cut(table, "\n## ")
	var want []string
	for _, m := range regexp.MustCompile("`([a-z_]+\\.[a-z_]+)`").FindAllStringSubmatch(table, -1) {
		want = append(want, actionsArea+m[1])
	}
	if len(want) < 30 || !slices.Equal(want, actionWords) {
		t.Errorf("the actions are\n%q\nwith words are\n%q", want, actionWords)
	}
	for _, l := range languages() {
		for _, key := range want {
			if l.messages[key] == "" {
				t.Errorf("%s has no words for %s", l.Tag, key)
			}
		}
	}
}

// What package story says of an entry in English, every other language says, too; but
// for what a newer server may have written.
func TestStoriesInEveryLanguage(t *testing.T) {
	said := map[string]bool{}
	for _, key := range actionWords {
		for _, result := range []string{"ok", "refused"} {
			e := api.AuditEvent{Seq: 1, Action: strings.TrimPrefix(key, actionsArea), Result: result, ActorName: "ann", Target: "bob"}
			if story.Tell("r", []api.AuditEvent{e}, true).Headline == "ann: "+e.Action+" of bob" {
				continue
			}
			var texts []Text
			for _, administrator := range []bool{true, false} {
				var page Story
				page.tell(story.Tell("r", []api.AuditEvent{e}, administrator), administrator)
				texts = append(texts, page.Headline, page.Entries[0].Words, page.Why)
				for _, step := range page.Next {
					texts = append(texts, step.Words)
				}
			}
			for _, text := range texts {
				said[text.key] = true
				for _, l := range languages()[1:] {
					if _, there := l.messages[text.key]; text.Said() && !there {
						t.Errorf("%s has no %s: %s", l.Tag, text.key, text.plain)
					}
				}
			}
		}
	}
	for _, l := range languages()[1:] {
		for key := range l.messages {
			if strings.HasPrefix(key, "told.") && !said[key] {
				t.Errorf("%s: nothing says %s", l.Tag, key)
			}
		}
	}
}

// What the check of the log can find, by the contract, has words in every language, and
// nothing else has; one of a newer server is told as the API has it.
func TestFindingsInEveryLanguage(t *testing.T) {
	page, err := os.ReadFile("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## What the check of the audit log finds")
	table, _, _ = strings.Cut(table, "\n## ")
	codes := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		codes[m[1]] = true
	}
	if len(codes) < 15 || !codes[foundLost] {
		t.Errorf("the contract has %v", codes)
	}
	for _, l := range languages()[1:] {
		for code := range codes {
			got, err := l.html(foundText(api.AuditFinding{Code: code, Text: "English", From: 1, To: 2345}))
			if err != nil || strings.Contains(string(got), "English") || strings.Contains(l.messages[foundArea+code], "{which}") != strings.Contains(string(got), "1–2\u202f345") {
				t.Errorf("%s tells %s as %q, %v", l.Tag, code, got, err)
			}
		}
		for key := range l.messages {
			if code, is := strings.CutPrefix(key, foundArea); is && !codes[code] {
				t.Errorf("%s: nothing says %s", l.Tag, key)
			}
		}
	}
	one := foundText(api.AuditFinding{Code: "missing", Text: "entry 7 is missing", From: 7, To: 7})
	for l, want := range map[*language]string{languageOf("en"): "Entry 7 is missing.", languageOf("zh"): "缺少第 7 条记录。"} {
		if got, err := l.html(one); string(got) != want || err != nil {
			t.Errorf("%s: %q %v", l.Tag, got, err)
		}
	}
	if got, err := languageOf("zh").html(foundText(api.AuditFinding{Code: "newer", Text: "something <new>"})); string(got) != "Something &lt;new&gt;." || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// A story names who did it, and is told in English by package story alone.
func TestStoryIsThatOfExplain(t *testing.T) {
	refused := api.AuditEvent{Seq: 2, Action: "session.login", Result: "refused", Target: "b1", TargetName: "bob@example.com", Count: 3}
	made := api.AuditEvent{Seq: 1, Action: "token.create", Result: "ok", Actor: "a1", ActorName: "ann@example.com", Target: "k1", TargetName: "<b>{who}", Count: 1}
	var page Story
	page.tell(story.Tell("r", []api.AuditEvent{made, refused}, true), true)
	en, zh := languageOf("en"), languageOf("zh")
	for _, test := range []struct {
		l    *language
		text Text
		want string
	}{
		{en, page.Headline, "A sign-in as bob@example.com was refused; 2 acts in all"},
		{zh, page.Headline, "以 bob@example.com 的身份登录被拒绝"},
		{en, page.Entries[0].Words, "ann@example.com made the API token &lt;b&gt;{who}"},
		{zh, page.Entries[0].Words, "ann@example.com 创建了 API 令牌 &lt;b&gt;{who}"},
		{en, page.Next[0].Words, "See whether they are disabled or have to wait."},
	} {
		if got, err := test.l.html(test.text); string(got) != test.want || err != nil {
			t.Errorf("%q %v, want %q", got, err, test.want)
		}
	}
	if page.Next[0].Path != "/console/users/b1" || page.Next[1].Path != "/console/users/b1/password" {
		t.Errorf("an administrator is led to %+v", page.Next)
	}
	page = Story{}
	if page.tell(story.Tell("r", []api.AuditEvent{refused}, false), false); len(page.Next) != 1 || page.Next[0].Path != "" || !strings.Contains(page.Next[0].Words.plain, "an administrator can") {
		t.Errorf("who is no administrator is told %+v", page.Next)
	}
}

// Each place of a story is a page that there is.
func TestPlacesOfStories(t *testing.T) {
	known := map[string]bool{}
	for _, p := range Places() {
		known[p.Path] = p.Method == "GET" || known[p.Path]
	}
	for place, want := range map[story.Place]string{
		story.PlaceActor: "/console/users/:id", story.PlaceActorPassword: "/console/users/:id/password", story.PlacePassword: "/console/users/:id/password",
		story.PlaceRevoke: "/console/tokens/:id/revoke", story.PlaceRoles: "/console/roles", story.PlaceRules: "/console/rules/test", story.PlaceToken: "/console/tokens/:id", story.PlaceUser: "/console/users/:id",
	} {
		path := pathOf(place, &api.AuditEvent{Actor: "a/1", Target: "a/1"})
		page, _, _ := strings.Cut(strings.ReplaceAll(path, "a%2F1", ":id"), "?")
		if page != want || !known[want] {
			t.Errorf("%s is %s", place, path)
		}
		if path := pathOf(place, &api.AuditEvent{}); path == "" || strings.Contains(path, "//") {
			t.Errorf("%s of nobody is %q", place, path)
		}
	}
	if path := pathOf("", &api.AuditEvent{Target: "x"}); path != "" {
		t.Errorf("no place is %s", path)
	}
}

func TestActsFrom(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "/console/audit?address=192.0.2.7", "2001:db8::7": "/console/audit?address=2001%3Adb8%3A%3A7", "fe80::1%eth0": "/console/audit?address=fe80%3A%3A1",
		"2001:db8:0:1::/64": "/console/audit?address=2001%3Adb8%3A0%3A1%3A%3A%2F64", "many": "", "": "",
	} {
		if got := actsFrom(address); got != want {
			t.Errorf("%q leads to %q, want %q", address, got, want)
		}
	}
}

func TestDayBegins(t *testing.T) {
	for text, want := range map[string][2]string{
		"2026-11-24": {"2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"}, "2026-12-31": {"2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		"2026-11-24T10:00:00Z": {"2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"}, "": {"", ""}, "yesterday": {"yesterday", "yesterday"},
	} {
		if got := [2]string{dayBegins(text, 0), dayBegins(text, 1)}; got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
