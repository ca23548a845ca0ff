package console

import (
	"cmp"
	"net/http"
	"time"

	"husk/web/api"
)

var overviewPlaces = []Place{get(roomOverview, Handler{answer: overviewPage})}

// Overview shows an administrator how things are.
type Overview struct {
	Warnings []Advice
	Figures  []Figure
	Spans    []Tab
	Charts   []Chart
	Refusals []Refusal
	Further  bool // more refusals may stand further back in the log
	Audit    bool // who looks may read the audit log
	Terminal Terminal
}

// Figure is a number, or a word, that may lead to what it tells of.
type Figure struct {
	Path  string // "": who looks may not see that
	Title Text
	Value Text
	At    *time.Time // in its place, unless it is nil
	State State      // in its place, where it says something
}

// Refusal is something that was not let be done.
type Refusal struct {
	Time    time.Time
	What    Text
	Who     string
	Address string
	Count   int    // of those that were folded into it
	Story   string // path of the story of its request; "": it has none
}

func (Overview) view() (file string, title Text) { return "overview.html", say("nav.overview") }
func (Overview) room() string                    { return roomOverview }

func overviewPage(v *Visit) error {
	if _, err := v.me(); err != nil {
		return err
	}
	health, err := v.API.HealthDetails(v.r.Context())
	if err != nil {
		return err
	}
	page := Overview{Warnings: advise(health.Warnings), Figures: v.figures(health), Audit: v.may(permAuditSearch), Terminal: Terminal{"terminal", "husk health --verbose"}}
	span, spans := v.spans(roomOverview, "24h", "30d")
	counted, err := v.API.Statistics(v.r.Context(), span)
	if err != nil {
		return err
	}
	page.Spans = spans
	page.Charts = []Chart{signInChart(counted), requestChart(counted), gateChart(counted), lifeChart(counted, v.console.Now())}
	if page.Audit {
		if page.Refusals, page.Further, err = v.newestRefusals(); err != nil {
			return err
		}
	}
	return v.show(page)
}

// figures are the tiles. A number is shown to all who see the page; its list is linked
// for who may see that.
func (v *Visit) figures(h api.HealthDetails) []Figure {
	backup := Figure{Path: roomBackups, Title: say("overview.backup"), State: State{"warn", say("overview.no_backup")}}
	if h.LastBackup != nil {
		backup.At, backup.State = h.LastBackup, State{}
	}
	all := []Figure{
		{Path: roomSystem, Title: say("overview.health"), State: healthState(h)},
		{Path: roomUsers, Title: say("nav.users"), Value: literal(number(h.Users))},
		{Path: roomAllTokens, Title: say("nav.tokens"), Value: literal(number(h.Tokens))},
		{Path: roomAllTokens + "?filter=expiring", Title: say("overview.ending"), Value: literal(number(h.TokensExpiring))},
		{Path: roomAllSessions, Title: say("nav.all_sessions"), Value: literal(number(h.Sessions))},
		backup,
		{Path: roomSystem, Title: say("overview.store"), Value: literal(byteSize(h.StoreBytes))},
	}
	who := *v.profile
	for i, needs := range []string{permSystemRead, permUserSearch, administratorsOnly, administratorsOnly, permSessionSearch, permBackup, permSystemRead} {
		if !mayEnter(who, needs) {
			all[i].Path = ""
		}
	}
	return all
}

// mostRefusals is how many of the newest refusals are shown.
const mostRefusals = 6

// newestRefusals are those that the API finds at one look; further tells that it may
// find more behind them.
func (v *Visit) newestRefusals() (all []Refusal, further bool, err error) {
	found, err := v.API.SearchAudit(v.r.Context(), api.ListOptions{Size: mostRefusals, Filter: map[string]string{"result": resultRefused}})
	if refused := refusedBy(err); refused != nil && refused.Status == http.StatusForbidden {
		return nil, false, nil
	}
	for _, hit := range found.Hits.Hits {
		all = append(all, refusalOf(hit.Source))
	}
	return all, found.Hits.After != "", err
}

// refusalWords say what was refused, by action and result of the audit log.
var refusalWords = map[string]string{
	"access.refused refused": "refusal.access", "audit.left_out refused": "refusal.left_out", "gate.enter refused": "refusal.gate",
	"session.login refused": "refusal.login", "session.prove refused": "refusal.prove", "setup.initialize refused": "refusal.setup",
	"token.use refused": "refusal.token", "user.password refused": "refusal.password",
}

func refusalOf(e api.AuditEvent) Refusal {
	r := Refusal{Time: e.Time, Who: cmp.Or(e.ActorName, e.Actor), Address: e.Address, Count: max(1, e.Count), What: actionText(e.Action), Story: storyOf(e.RequestID)}
	if key := refusalWords[e.Action+" "+e.Result]; key != "" {
		r.What = say(key, "what", cmp.Or(e.TargetName, e.Target, e.Action))
	}
	return r
}
