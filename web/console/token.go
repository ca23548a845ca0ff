package console

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"husk/web/api"
)

// The same pages of tokens stand in two rooms: that of one's own, and that of
// everybody's, for administrators. tokenRoom tells in which a visit is.

var tokenPlaces = slices.Concat(tokenPlacesIn(roomTokens), tokenPlacesIn(roomAllTokens))

func tokenPlacesIn(room string) []Place {
	list, form, create := Handler{answer: tokensPage}, needs(permTokenCreate, newTokenPage), createToken
	if room == roomAllTokens {
		list, form, create.form = Handler{answer: allTokensPage}, needs(administratorsOnly, form), needs(administratorsOnly, create.form)
	}
	return []Place{
		get(room, list),
		get(room+"/ended", Handler{answer: endedTokensPage}),
		get(room+"/new", Handler{answer: form}),
		post(room, create),
		get(room+"/:id", Handler{answer: tokenPage}),
		get(room+"/:id/edit", Handler{answer: needs(permTokenUpdate, editTokenPage)}),
		post(room+"/:id/edit", changeToken),
		get(room+"/:id/rotate", Handler{answer: needs(permTokenUpdate, rotateTokenPage)}),
		post(room+"/:id/rotate", rotateToken),
		post(room+"/:id/settle", settleToken),
		get(room+"/:id/revoke", Handler{answer: needs(permTokenDelete, revokePage)}),
		post(room+"/:id/revoke", Handler{Fields: []string{fieldOnce}, answer: revokeToken}),
	}
}

// inTokens is a page of tokens, in one of their two rooms.
type inTokens struct {
	Room string // its path
}

func (p inTokens) room() string { return p.Room }

// Everybodys tells whether it is the room of everybody's tokens: templates ask.
func (p inTokens) Everybodys() bool { return p.Room == roomAllTokens }

func (v *Visit) inTokens() inTokens {
	if strings.HasPrefix(v.r.URL.Path, roomOverview+"/") {
		return inTokens{roomAllTokens}
	}
	return inTokens{roomTokens}
}

func (p inTokens) path(id string) string { return p.Room + "/" + id }

// tabs are the parts of the room, of which here is one.
func (p inTokens) tabs(here string) []Tab {
	return []Tab{
		{Path: p.Room, Title: say("token.tab.good"), Here: here == p.Room},
		{Path: p.Room + "/ended", Title: say("token.tab.ended"), Here: here == p.Room+"/ended"},
	}
}

// Tokens lists one's own API tokens; what ends soon stands on top.
type Tokens struct {
	inTokens
	Done   Text // what was just done; may say nothing
	Tabs   []Tab
	Query  string
	Soon   []TokenRow
	Tokens []TokenRow
	Pager  Pager
	Empty  Empty
	May    struct{ Create bool }
}

// TokenRow is a token in a list.
type TokenRow struct {
	ID       string
	Name     string
	Owner    string // an id
	Username string // of the owner
	State    State
	Ends     int64 // Unix seconds, -1 never
	LastUsed *time.Time
	LastIP   string
}

func (Tokens) view() (file string, title Text) { return "tokens.html", say("token.list") }

// mostSoon is how many tokens that end soon stand on top.
const mostSoon = 5

func tokensPage(v *Visit) error {
	in := v.inTokens()
	page := Tokens{inTokens: in, Done: tokenDone(v.query("done")), Tabs: in.tabs(in.Room), Query: v.query("q"),
		Empty: Empty{Text: say("token.none"), Act: say("token.new"), Link: in.Room + "/new"}}
	found, err := v.API.SearchTokens(v.r.Context(), api.ListOptions{Size: pageSize, Query: page.Query, After: v.query("after")})
	if err != nil {
		return err
	}
	if page.Query == "" && v.query("after") == "" && len(found.Hits.Hits) > 0 {
		soon, err := v.endingSoon()
		if err != nil {
			return err
		}
		page.Soon = v.tokenRows(soon)
	}
	if _, err := v.me(); err != nil {
		return err
	}
	if page.May.Create = v.may(permTokenCreate); !page.May.Create {
		page.Empty = Empty{Text: say("token.none_here")}
	}
	page.Tokens, page.Pager = v.tokenRows(found), v.pager(found.Hits.After)
	if len(page.Tokens) == 0 && page.Query == "" {
		err = v.emptied(&page.Empty, in, nil)
	}
	if err != nil {
		return err
	}
	return v.show(page)
}

// emptied has a list without a token lead to those that have ended, where there are any.
// On a later page nothing is said of the whole.
func (v *Visit) emptied(e *Empty, in inTokens, filter map[string]string) error {
	if v.query("after") != "" {
		*e = Empty{Text: say("list.nothing_found")}
		return nil
	}
	ended, err := v.API.EndedTokens(v.r.Context(), api.ListOptions{Size: 1, Filter: filter})
	if len(ended.Hits.Hits) > 0 {
		e.Gone = in.Room + "/ended"
	}
	return err
}

// endingSoon are one's own tokens that end soon, the next one first.
func (v *Visit) endingSoon() (api.Search[api.Token], error) {
	return v.API.SearchTokens(v.r.Context(), api.ListOptions{Size: mostSoon, Filter: map[string]string{"filter": "expiring"}})
}

func (v *Visit) tokenRows(found api.Search[api.Token]) (rows []TokenRow) {
	for _, hit := range found.Hits.Hits {
		k := hit.Source
		rows = append(rows, TokenRow{ID: k.ID, Name: k.Name, Owner: k.Owner, Username: k.OwnerName,
			State: tokenState(k, v.console.Now()), Ends: k.ExpireIn, LastUsed: k.LastUsed, LastIP: k.LastIP})
	}
	return rows
}

// tokenDone is what a page of tokens says was just done.
func tokenDone(done string) Text {
	switch done {
	case "revoked":
		return say("token.revoked")
	case "changed":
		return say("token.changed")
	case "settled":
		return say("token.settled")
	case "undone":
		return say("token.undone")
	}
	return Text{}
}

// soon is how long before its end a token is said to end soon.
const soon = 30 * 24 * time.Hour

func tokenState(k api.Token, now time.Time) State {
	left := time.Unix(k.ExpireIn, 0).Sub(now)
	switch {
	case k.ExpireIn >= 0 && left <= 0:
		return State{"bad", say("token.ended")}
	case k.OwnerDisabled:
		return State{"bad", say("token.owner_disabled")}
	case k.ExpireIn < 0:
		return State{"plain", say("token.endless")}
	case left < 24*time.Hour:
		return State{"warn", say("token.today")}
	case left < soon:
		return State{"warn", say("token.days", "n", int(left.Hours()/24))}
	}
	return State{"good", say("token.good")}
}

// AllTokens lists everybody's tokens, narrowed by filters.
type AllTokens struct {
	inTokens
	Done     Text
	Tabs     []Tab
	Query    string
	Owner    string // id or email; "" is everybody's
	Address  string
	Filters  []Option
	Narrowed bool
	Problem  Text // why the filters can't be used
	Tokens   []TokenRow
	More     bool // nothing was found so far, and there is more to look through
	Pager    Pager
	Empty    Empty
}

func (AllTokens) view() (file string, title Text) { return "tokens_all.html", say("token.all") }

// tokenFilters are what lists of tokens can be narrowed to.
func tokenFilters(chosen string) []Option {
	all := []Option{
		{Value: "", Label: say("token.filter.all")},
		{Value: "expiring", Label: say("token.filter.expiring")},
		{Value: "unused", Label: say("token.filter.unused")},
		{Value: "never", Label: say("token.filter.never")},
		{Value: "no_expiry", Label: say("token.filter.no_expiry")},
	}
	for i := range all {
		all[i].Chosen = all[i].Value == chosen
	}
	return all
}

// tokenLike is the id of a token, alone or with the secret behind it.
var tokenLike = regexp.MustCompile(`^\s*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(_.*?)?\s*$`)

// namedToken is where somebody belongs who searched for a token by its id, which is all
// that one has of a token that leaked. Who put in the whole token is led away from that
// address, so that the secret stays in no history. It is empty for all other words.
func (v *Visit) namedToken(room, words string) (path string, err error) {
	found := tokenLike.FindStringSubmatch(words)
	if found == nil {
		return "", nil
	}
	id, secret := found[1], found[2]
	if secret != "" {
		return room + "?q=" + id, nil
	}
	if _, err = v.API.GetToken(v.r.Context(), id); err == nil {
		return room + "/" + id, nil
	}
	if refused := refusedBy(err); refused != nil && refused.Status == http.StatusNotFound {
		return "", nil
	}
	return "", err
}

func allTokensPage(v *Visit) error {
	in := v.inTokens()
	path, err := v.namedToken(in.Room, v.query("q"))
	if err != nil {
		return err
	}
	if path != "" {
		return v.seeOther(path)
	}
	page := AllTokens{inTokens: in, Done: tokenDone(v.query("done")), Tabs: in.tabs(in.Room),
		Query: v.query("q"), Owner: v.query("owner"), Address: v.query("address"), Filters: tokenFilters(v.query("filter"))}
	page.Narrowed = page.Query+page.Owner+page.Address+v.query("filter") != ""
	found, err := v.API.SearchTokens(v.r.Context(), api.ListOptions{
		Size: pageSize, Query: page.Query, After: v.query("after"),
		Filter: map[string]string{"owner": orEverybody(page.Owner), "address": page.Address, "filter": v.query("filter")},
	})
	if page.Problem, err = unusable(err); err != nil {
		return err
	}
	page.Tokens, page.Pager = v.tokenRows(found), v.pager(found.Hits.After)
	page.More = len(page.Tokens) == 0 && found.Hits.After != ""
	if page.Empty.Text = say("token.none_at_all"); len(page.Tokens) == 0 && !page.Narrowed {
		err = v.emptied(&page.Empty, in, map[string]string{"owner": "*"})
	}
	if err != nil {
		return err
	}
	return v.show(page)
}

func orEverybody(owner string) string {
	if owner == "" {
		return "*"
	}
	return owner
}

// unusable is why a list can't be narrowed as it was asked; err is any other error.
func unusable(err error) (problem Text, other error) {
	refused := refusedBy(err)
	if refused == nil || refused.Status != http.StatusBadRequest && refused.Status != http.StatusNotFound {
		return Text{}, err
	}
	if refused.Detail.Code == codeNotFound { // tokens are narrowed by nothing else that may be gone
		return say("form.no_user"), nil
	}
	problem, _ = problemOf(refused)
	return problem, nil
}

// EndedTokens lists tokens that are gone.
type EndedTokens struct {
	inTokens
	Tabs    []Tab
	Query   string
	Owner   string
	Problem Text
	Tokens  []EndedRow
	Pager   Pager
}

// EndedRow is a token that is gone, in a list.
type EndedRow struct {
	Name     string
	Story    string // where the audit log tells of it; empty where that is not for who asks
	Owner    string // an id
	Username string
	Ended    time.Time
	Why      Text
	By       Text // who ended it; may say nothing
	LastUsed *time.Time
	LastIP   string
}

func (EndedTokens) view() (file string, title Text) {
	return "tokens_ended.html", say("token.ended_list")
}

func endedTokensPage(v *Visit) error {
	in := v.inTokens()
	page := EndedTokens{inTokens: in, Tabs: in.tabs(in.Room + "/ended"), Query: v.query("q"), Owner: v.query("owner")}
	o := api.ListOptions{Size: pageSize, Query: page.Query, After: v.query("after")}
	if in.Everybodys() {
		o.Filter = map[string]string{"owner": orEverybody(page.Owner)}
	}
	found, err := v.API.EndedTokens(v.r.Context(), o)
	if page.Problem, err = unusable(err); err != nil {
		return err
	}
	who, err := v.me()
	if err != nil {
		return err
	}
	for _, hit := range found.Hits.Hits {
		row := endedRow(hit.Source, who.ID)
		if v.may(permAuditSearch) {
			row.Story = "/console/audit?target=" + hit.Source.ID
		}
		page.Tokens = append(page.Tokens, row)
	}
	page.Pager = v.pager(found.Hits.After)
	return v.show(page)
}

func endedRow(k api.EndedToken, me string) EndedRow {
	row := EndedRow{Name: k.Name, Owner: k.Owner, Username: k.OwnerName, Ended: k.Ended, LastUsed: k.LastUsed, LastIP: k.LastIP}
	switch k.Reason {
	case "expired":
		row.Why = say("token.why.expired")
	case "owner_deleted":
		row.Why = say("token.why.owner_deleted")
	default:
		row.Why = say("token.why.revoked")
	}
	switch k.By {
	case "":
	case me:
		row.By = say("token.by_you")
	default:
		row.By = literal(k.ByName)
	}
	return row
}
