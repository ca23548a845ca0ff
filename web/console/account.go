package console

import (
	"time"

	"husk/web/api"
)

var accountPlaces = []Place{get(roomAccount, Handler{answer: accountPage})}

// Account shows who one is here.
type Account struct {
	Done      Text
	Name      string
	Email     string // empty for the single user
	ID        string
	Roles     []string
	Since     time.Time // zero: not told
	LastLogin *time.Time
	Rights    []PermissionGroup
	Languages []lookLink
	Themes    []lookLink

	Administrator bool
}

func (Account) view() (file string, title Text) { return "account.html", say("account.title") }
func (Account) room() string                    { return roomAccount }

func accountPage(v *Visit) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	page := Account{Name: nameOf(who), Email: who.Email, ID: who.ID, Roles: who.Roles, Rights: groupPermissions(who.Permissions, nil), Administrator: who.Administrator}
	if v.query("done") == "password" {
		page.Done = say("account.password_changed")
	}
	if v.may(permUserRead) {
		found, err := v.API.GetUser(v.r.Context(), who.ID)
		if err != nil {
			return err
		}
		page.since(found.Source)
	}
	page.looks(lookLinks(v.r))
	return v.show(page)
}

func (p *Account) since(u api.User) { p.Since, p.LastLogin = u.Created, u.LastLogin }

func (p *Account) looks(links []lookLink) {
	for _, l := range links {
		if l.Lang != "" {
			p.Languages = append(p.Languages, l)
		} else {
			p.Themes = append(p.Themes, l)
		}
	}
}
