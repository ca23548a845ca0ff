package console

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"husk/web/api"
)

// What pages ask for of who sees them. A test holds them to those of the server.
const (
	permAuditSearch   = "generic#security:audit/search"
	permBackup        = "generic#system/backup"
	permKeys          = "generic#system/keys"
	permPermissions   = "generic#security:permission/read"
	permRoleCreate    = "generic#security:role/create"
	permRoleDelete    = "generic#security:role/delete"
	permRoleRead      = "generic#security:role/read"
	permRoleSearch    = "generic#security:role/search"
	permRoleUpdate    = "generic#security:role/update"
	permSessionDelete = "generic#security:session/delete"
	permSessionSearch = "generic#security:session/search"
	permSystemRead    = "coco#system/read"
	permTokenCreate   = "generic#security:auth:api-token/create"
	permTokenDelete   = "generic#security:auth:api-token/delete"
	permTokenSearch   = "generic#security:auth:api-token/search"
	permTokenUpdate   = "generic#security:auth:api-token/update"
	permUserCreate    = "generic#security:user/create"
	permUserDelete    = "generic#security:user/delete"
	permUserRead      = "generic#security:user/read"
	permUserSearch    = "generic#security:user/search"
	permUserUpdate    = "generic#security:user/update"

	administratorsOnly = "*" // of rooms; no key of the API
)

// The rooms, by their paths.
const (
	roomMe           = "/me"
	roomTokens       = "/me/tokens"
	roomSessions     = "/me/sessions"
	roomApplications = "/me/applications"
	roomAccount      = "/me/account"
	roomFactor       = "/me/second-factor"

	roomOverview    = "/console"
	roomUsers       = "/console/users"
	roomRoles       = "/console/roles"
	roomAllTokens   = "/console/tokens"
	roomAllSessions = "/console/sessions"
	roomRules       = "/console/rules"
	roomAudit       = "/console/audit"
	roomSystem      = "/console/system"

	roomManual = "/console/manual"
	pageAPI    = "/docs"
)

// wing is a part of the house, with its rooms.
type wing struct {
	Title Text
	Rooms []room
}

// room is a place in the navigation.
type room struct {
	Path  string
	Title Text
	Here  bool // the page stands in it
	needs string
}

// house is all rooms, in the order in which they stand at the side.
var house = []wing{
	{say("nav.mine"), []room{
		{Path: roomMe, Title: say("nav.me")},
		{Path: roomTokens, Title: say("nav.tokens"), needs: permTokenSearch},
		{Path: roomSessions, Title: say("nav.sessions")},
		{Path: roomApplications, Title: say("nav.applications")},
		{Path: roomAccount, Title: say("nav.account")},
		{Path: roomFactor, Title: say("nav.factor")},
	}},
	{say("nav.everybody"), []room{
		{Path: roomOverview, Title: say("nav.overview"), needs: permSystemRead},
		{Path: roomUsers, Title: say("nav.users"), needs: permUserSearch},
		{Path: roomRoles, Title: say("nav.roles"), needs: permRoleSearch},
		{Path: roomAllTokens, Title: say("nav.all_tokens"), needs: administratorsOnly},
		{Path: roomAllSessions, Title: say("nav.all_sessions"), needs: permSessionSearch},
		{Path: roomRules, Title: say("nav.rules"), needs: permSystemRead},
		{Path: roomAudit, Title: say("nav.audit"), needs: permAuditSearch},
		{Path: roomSystem, Title: say("nav.system"), needs: permSystemRead},
	}},
	{say("nav.help"), []room{
		{Path: roomManual, Title: say("nav.manual")},
		{Path: pageAPI, Title: say("nav.api")},
	}},
}

// shell is what stands around the pages of who is signed in.
type shell struct {
	Name    string // of who is signed in
	Wings   []wing
	Version string
	Notices *notices // of what happened to one's second factor; nil: nothing
}

// shell has the rooms that who may enter.
func (c *Console) shell(who api.Profile, here string) *shell {
	s := &shell{Name: nameOf(who), Version: c.Version}
	for _, w := range house {
		mine := wing{Title: w.Title}
		for _, r := range w.Rooms {
			if !mayEnter(who, r.needs) {
				continue
			}
			r.Here = r.Path == here
			mine.Rooms = append(mine.Rooms, r)
		}
		if len(mine.Rooms) > 0 {
			s.Wings = append(s.Wings, mine)
		}
	}
	return s
}

func mayEnter(who api.Profile, needs string) bool {
	return needs == "" || who.Administrator || slices.Contains(who.Permissions, needs)
}

// nameOf is what a person is called.
func nameOf(who api.Profile) string {
	if who.Name != "" {
		return who.Name
	}
	return username(who)
}

// lookLink leads to the same page in another language or theme.
type lookLink struct {
	Lang, Theme string // one of them is empty
	Name        Text
	URL         string
	Current     bool
	First       bool // of the themes, which stand apart from the languages
}

// lookLinks are the links of a page that was asked for; what answered a form has no
// address of its own, and none.
func lookLinks(r *http.Request) (links []lookLink) {
	if !IsSafeMethod(r) {
		return nil
	}
	now := lookOf(r)
	for _, l := range languages() {
		links = append(links, lookLink{Lang: l.Tag, Name: literal(l.Name), URL: changed(r, "lang", l.Tag), Current: l == now.language})
	}
	for _, theme := range themes {
		name := say("theme.system")
		switch theme {
		case "light":
			name = say("theme.light")
		case "dark":
			name = say("theme.dark")
		}
		links = append(links, lookLink{Theme: theme, Name: name, URL: changed(r, "theme", theme), Current: theme == now.theme, First: theme == ""})
	}
	return links
}

// passedOn is what the pages read that anybody may open, and its form.
var passedOn = map[string]*regexp.Regexp{
	"return": base64URL, "to": base64URL,
	"product": providerForm, "provider": providerForm, "request_id": providerForm,
}

var base64URL = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// changed is the query of the page's address with one more parameter.
func changed(r *http.Request, name, value string) string {
	q := url.Values{}
	for known, values := range r.URL.Query() {
		// Of an address that anybody may have made, what no page reads is not passed on.
		if form := passedOn[known]; InHouse(r.URL.Path) || form != nil && form.MatchString(values[0]) {
			q[known] = values
		}
	}
	q.Set(name, value)
	return "?" + q.Encode()
}
