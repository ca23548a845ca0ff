package console

import (
	"net/http"
	"time"

	"husk/web/api"
)

var sessionPlaces = []Place{
	get(roomSessions, Handler{answer: sessionsPage}),
	get(roomSessions+"/signout", Handler{answer: func(v *Visit) error { return v.show(SigningOut{}) }}),
	post(roomSessions+"/others/end", Handler{Fields: []string{fieldOnce}, answer: endOtherSessions}),
	post(roomSessions+"/:id/end", Handler{Fields: []string{fieldOnce}, answer: endSession}),
}

// Sessions lists one's own sign-ins.
type Sessions struct {
	Form
	Done     Text
	Sessions []SessionRow
	Others   bool // there are others than this one
	Pager    Pager
}

// SessionRow is a sign-in in a list.
type SessionRow struct {
	ID       string
	Device   Text
	Address  string
	Since    time.Time
	LastSeen time.Time
	Expires  time.Time
	Current  bool
	Methods  []Text     // how it was made, and what was proved in it since
	Proved   *time.Time // when any of them last was, where that is not just when it was made
}

func (Sessions) view() (file string, title Text) { return "sessions.html", say("session.list") }
func (Sessions) room() string                    { return roomSessions }

func sessionsPage(v *Visit) error {
	found, err := v.API.OwnSessions(v.r.Context(), api.ListOptions{Size: pageSize, After: v.query("after")})
	if err != nil {
		return err
	}
	page := Sessions{Form: v.newForm(), Others: found.Hits.Total.Value > 1, Pager: v.pager(found.Hits.After)}
	switch v.query("done") {
	case "ended":
		page.Done = say("session.ended")
	case "others":
		page.Done = say("session.others_ended")
	}
	for _, hit := range found.Hits.Hits {
		page.Sessions = append(page.Sessions, sessionRow(hit.Source))
	}
	return v.show(page)
}

func sessionRow(s api.Session) SessionRow {
	row := SessionRow{ID: s.ID, Device: deviceOf(s.UserAgent), Address: s.IP, Since: s.Created, LastSeen: s.LastSeen, Expires: s.Expires, Current: s.Current, Methods: methodTexts(s.Methods)}
	if s.Proved != nil && s.Proved.Sub(s.Created) > time.Minute {
		row.Proved = s.Proved
	}
	return row
}

// methodTexts are methods of the API in words.
func methodTexts(methods []string) (words []Text) {
	for _, m := range methods {
		switch m {
		case methodPassword:
			words = append(words, say("method.password"))
		case methodTOTP:
			words = append(words, say("method.totp"))
		case methodPasskey:
			words = append(words, say("method.passkey"))
		case methodRecovery:
			words = append(words, say("method.recovery"))
		default: // of a newer server
			words = append(words, literal(m))
		}
	}
	return words
}

// endSession ends a sign-in; one that has ended meanwhile is what was asked for.
func endSession(v *Visit) error {
	_, err := v.API.EndOwnSession(v.r.Context(), v.param("id"))
	if refused := refusedBy(err); err != nil && (refused == nil || refused.Status != http.StatusNotFound) {
		return err
	}
	return v.seeOther(roomSessions + "?done=ended")
}

func endOtherSessions(v *Visit) error {
	if _, err := v.API.EndOtherSessions(v.r.Context()); err != nil {
		return err
	}
	return v.seeOther(roomSessions + "?done=others")
}
