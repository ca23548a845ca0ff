package console

import (
	"net/http"

	"husk/web/api"
	"husk/web/manual"
)

var manualPlaces = []Place{
	get(roomManual, Handler{answer: manualList}),
	get(roomManual+"/:name", Handler{answer: manualPage}),
}

// Manual lists the pages of the manual, or what a search found in them.
type Manual struct {
	Query  string
	Found  []manual.Hit
	Groups []ManualGroup // unless something is searched
}

// ManualGroup is pages that stand together.
type ManualGroup struct {
	Name  string
	Pages []manual.Page
}

func (Manual) view() (file string, title Text) { return "manual.html", say("manual.title") }
func (Manual) room() string                    { return roomManual }

// mostFound is how many places of the manual a search shows.
const mostFound = 20

func manualList(v *Visit) error {
	page := Manual{Query: v.query("q")}
	if page.Query != "" {
		page.Found = manual.Search(page.Query, mostFound)
		return v.show(page)
	}
	page.Groups = manualGroups(manual.Pages())
	return v.show(page)
}

// manualGroups puts pages together that stand in one group.
func manualGroups(pages []manual.Page) (groups []ManualGroup) {
	for _, p := range pages {
		if last := len(groups) - 1; last >= 0 && groups[last].Name == p.Group {
			groups[last].Pages = append(groups[last].Pages, p)
		} else {
			groups = append(groups, ManualGroup{p.Group, []manual.Page{p}})
		}
	}
	return groups
}

// ManualPage shows a page of the manual.
type ManualPage struct{ manual.Page }

func (p ManualPage) view() (file string, title Text) { return "manual_page.html", literal(p.Title) }
func (ManualPage) room() string                      { return roomManual }

// Contents are the headings that stand beside a page.
func (p ManualPage) Contents() (all []manual.Heading) {
	for _, h := range p.Headings {
		if h.Level == 2 {
			all = append(all, h)
		}
	}
	return all
}

func manualPage(v *Visit) error {
	p, ok := manual.Get(v.param("name"))
	if !ok {
		return &api.Error{Status: http.StatusNotFound, Detail: api.ErrorDetail{Code: codeNotFound, Reason: "the manual has no such page"}}
	}
	return v.show(ManualPage{p})
}
