package console

import "husk/web/api"

var applicationPlaces = []Place{get(roomApplications, Handler{answer: applicationsPage})}

// pageOfGate is the page of the manual that says how an application is protected.
const pageOfGate = roomManual + "/gate"

// Applications lists what the gate lets one open.
type Applications struct {
	Applications []api.OwnApplication
	Empty        Empty
}

func (Applications) view() (file string, title Text) { return "applications.html", say("app.list") }
func (Applications) room() string                    { return roomApplications }

func applicationsPage(v *Visit) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	found, err := v.API.Applications(v.r.Context())
	if err != nil {
		return err
	}
	page := Applications{Applications: found, Empty: Empty{Text: say("app.none")}}
	if who.Administrator {
		page.Empty = Empty{Text: say("app.none_yet"), Act: say("app.protect"), Link: pageOfGate}
	}
	return v.show(page)
}
