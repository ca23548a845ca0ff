package console

import "husk/web/api"

// Me is the start page of everybody.
type Me struct {
	Name  string
	Email string // empty for the single user
	Roles []string
}

func (Me) view() (file string, title Text) { return "me.html", say("me.title") }
func (Me) room() string                    { return roomMe }

// MePage shows the start page of everybody.
var MePage = Handler{answer: mePage}

func mePage(v *Visit) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	return v.show(meOf(who))
}

func meOf(who api.Profile) Me { return Me{Name: nameOf(who), Email: who.Email, Roles: who.Roles} }

var mePlaces = []Place{get(roomMe, MePage)}

// HomePage is where a sign-in leads.
var HomePage = MePage
