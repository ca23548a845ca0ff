package console

import (
	"net/http"
	"strings"
	"time"

	"husk/web/api"
)

// Me is the start page of everybody.
type Me struct {
	Name         string
	Email        string // empty for the single user
	Roles        []string
	Steps        []Step // of an administrator who has just begun
	Soon         []TokenRow
	Tiles        []Tile
	Applications []api.OwnApplication
	Elsewhere    *SessionRow // the newest sign-in that is not this one; nil: none
}

// Tile is a number that leads to what it counts.
type Tile struct {
	Path  string
	Title Text
	Value string
}

// Step is one of the first things to do.
type Step struct {
	Path  string
	Title Text
	Text  Text
	Done  bool
}

func (Me) view() (file string, title Text) { return "me.html", say("me.title") }
func (Me) room() string                    { return roomMe }

// MePage shows the start page of everybody.
var MePage = Handler{answer: mePage}

// mostApplications is how many of one's applications the start page shows.
const mostApplications = 8

func mePage(v *Visit) error {
	if v.query("steps") == "hide" {
		http.SetCookie(v.w, v.console.Cookie(stepsCookie, "hide", int((365*24*time.Hour).Seconds())))
		return v.seeOther(roomMe)
	}
	who, err := v.me()
	if err != nil {
		return err
	}
	page := Me{Name: nameOf(who), Email: who.Email, Roles: who.Roles}
	tokens, err := page.tokens(v)
	if err == nil {
		err = page.sessions(v)
	}
	if err == nil {
		err = page.applications(v)
	}
	if err == nil && who.Administrator && !v.hidesSteps() {
		page.Steps, err = v.firstSteps(tokens > 0)
	}
	if err != nil {
		return err
	}
	return v.show(page)
}

// tokens adds what there is to say of one's tokens, and returns how many there are.
func (p *Me) tokens(v *Visit) (n int64, err error) {
	if !v.may(permTokenSearch) {
		return 0, nil
	}
	found, err := v.API.SearchTokens(v.r.Context(), api.ListOptions{Size: 1})
	if err != nil {
		return 0, err
	}
	n = found.Hits.Total.Value
	p.Tiles = append(p.Tiles, Tile{roomTokens, say("nav.tokens"), counted(found.Hits.Total)})
	if n == 0 {
		return 0, nil
	}
	ending, err := v.endingSoon()
	p.Soon = v.tokenRows(ending)
	return n, err
}

func (p *Me) sessions(v *Visit) error {
	found, err := v.API.OwnSessions(v.r.Context(), api.ListOptions{Size: 2})
	if err != nil {
		return err
	}
	p.Tiles = append(p.Tiles, Tile{roomSessions, say("nav.sessions"), counted(found.Hits.Total)})
	for _, hit := range found.Hits.Hits {
		if !hit.Source.Current {
			row := sessionRow(hit.Source)
			p.Elsewhere = &row
			break
		}
	}
	return nil
}

func (p *Me) applications(v *Visit) error {
	all, err := v.API.Applications(v.r.Context())
	if err != nil {
		return err
	}
	p.Tiles = append(p.Tiles, Tile{roomApplications, say("nav.applications"), number(len(all))})
	p.Applications = all[:min(len(all), mostApplications)]
	return nil
}

// counted is how many there are, as far as they were counted.
func counted(t api.Total) string {
	if t.Relation == "gte" {
		return number(t.Value) + "+"
	}
	return number(t.Value)
}

const stepsCookie = "husk_steps"

func (v *Visit) hidesSteps() bool {
	_, err := v.r.Cookie(stepsCookie)
	return err == nil
}

// firstSteps are what an administrator does first; none, once all of it is done.
func (v *Visit) firstSteps(hasToken bool) ([]Step, error) {
	rules, err := v.API.Rules(v.r.Context())
	if err != nil {
		return nil, err
	}
	health, err := v.API.HealthDetails(v.r.Context())
	if err != nil {
		return nil, err
	}
	kept, err := v.keptBackup(health)
	if err != nil {
		return nil, err
	}
	steps := []Step{
		{roomTokens + "/new", say("step.token"), say("step.token.text"), hasToken},
		{pageOfGate, say("step.gate"), say("step.gate.text"), len(rules) > 0},
		{roomBackups, say("step.backup"), say("step.backup.text"), kept},
	}
	for _, s := range steps {
		if !s.Done {
			return steps, nil
		}
	}
	return nil, nil
}

// keptBackup tells whether a backup was ever made: by schedule, or by hand.
func (v *Visit) keptBackup(health api.HealthDetails) (bool, error) {
	if health.LastBackup != nil {
		return true, nil
	}
	found, err := v.API.SearchAudit(v.r.Context(), api.ListOptions{Size: 1, Filter: map[string]string{"action": strings.TrimPrefix("actions.system.backup", actionsArea)}})
	return len(found.Hits.Hits) > 0, err
}

var mePlaces = []Place{get(roomMe, MePage)}

// HomePage is where a sign-in leads.
var HomePage = MePage
