package console

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"husk/web/api"
)

var allSessionPlaces = []Place{
	get(roomAllSessions, Handler{answer: allSessionsPage}),
	get(roomAllSessions+"/end", Handler{answer: needs(permSessionDelete, endSignInsPage)}),
	post(roomAllSessions+"/end", endSignIns),
	get(roomAllSessions+"/:id", Handler{answer: signInPage}),
	get(roomAllSessions+"/:id/end", Handler{answer: needs(permSessionDelete, endSignInPage)}),
	post(roomAllSessions+"/:id/end", endSignIn),
}

// inAllSessions is a page of everybody's sign-ins.
type inAllSessions struct{}

func (inAllSessions) room() string { return roomAllSessions }

// AllSessions lists everybody's sign-ins, narrowed by filters.
type AllSessions struct {
	inAllSessions
	Done     Text
	Problem  Text // why the list can't be narrowed as it was asked; or a field says so
	Unusable bool // it can't be
	User     Field
	Address  Field
	Narrowed bool
	EndAll   string // leads to the end of all of the user who is asked for; may be empty
	Sessions []SignInRow
	More     bool // nothing was found so far, and there is more to look through
	Pager    Pager
}

// SignInRow is somebody's sign-in in a list.
type SignInRow struct {
	SessionRow
	User     string // an id
	Username string
}

func (AllSessions) view() (file string, title Text) { return "sessions_all.html", say("session.all") }

// fieldOfSessionCode is which filter of sign-ins a refusal is about.
var fieldOfSessionCode = map[string]string{"not_found": "user", "bad_prefix": "address"}

func allSessionsPage(v *Visit) error {
	ctx, f := v.r.Context(), v.asked()
	user, address := v.query("user"), v.query("address")
	found, err := v.API.SearchSessions(ctx, api.ListOptions{Size: pageSize, After: v.query("after"), Filter: map[string]string{"user": user, "address": address}})
	refused, err := f.narrowed(err, fieldOfSessionCode)
	if err != nil {
		return err
	}
	if _, err := v.me(); err != nil {
		return err
	}
	page := AllSessions{
		Done: allSessionsDone(v.query("done")), Problem: f.Problem, Narrowed: user+address != "", Pager: v.pager(found.Hits.After),
		User:    f.field(Field{Name: "user", Label: say("session.user"), Type: "search", Max: 254}),
		Address: f.field(Field{Name: "address", Label: say("session.address"), Type: "search", Max: 64}),
	}
	for _, hit := range found.Hits.Hits {
		page.Sessions = append(page.Sessions, signInRow(hit.Source))
	}
	page.More = len(page.Sessions) == 0 && found.Hits.After != ""
	if refused != nil {
		page.Unusable = true
		return v.refuse(refused, page)
	}
	if user != "" && len(page.Sessions) > 0 && v.may(permSessionDelete) {
		one, err := v.API.GetSession(ctx, page.Sessions[0].ID)
		if err == nil && !one.Source.Above { // where it ended just now, there may be no others
			page.EndAll = endAllOf(one.Source.User)
		}
	}
	return v.show(page)
}

func endAllOf(user string) string {
	return roomAllSessions + "/end?user=" + url.QueryEscape(user)
}

func allSessionsDone(done string) Text {
	switch done {
	case "ended":
		return say("session.ended")
	case "all":
		return say("session.all.ended_all")
	}
	return Text{}
}

func signInRow(s api.Session) SignInRow {
	return SignInRow{SessionRow: sessionRow(s), User: s.User, Username: or(s.UserName, s.User)}
}

// or is the first of two texts that says anything.
func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

// SignInDetails is one sign-in of somebody: what it is worth, and from where it is used.
type SignInDetails struct {
	inAllSessions
	SignInRow
	Agent      string     // as the browser calls itself
	LastProof  *time.Time // of any of its methods
	State      State
	Reason     Text // why it is not good; may say nothing
	MustChange bool
	Rights     []PermissionGroup
	UserPage   string // path; "" where who looks may not see users
	Acts       string // path of what the user did; "" where who looks may not see that
	MayEnd     bool
	EndAll     string
}

func (p SignInDetails) view() (file string, title Text) {
	return "session_one.html", say("session.of", "name", p.Username)
}

func signInPage(v *Visit) error {
	found, err := v.API.GetSession(v.r.Context(), v.param("id"))
	if err != nil {
		return err
	}
	if _, err := v.me(); err != nil {
		return err
	}
	s := found.Source
	page := SignInDetails{
		SignInRow: signInRow(s.Session), Agent: s.UserAgent, LastProof: s.Proved, MustChange: s.MustChange,
		Rights: groupPermissions(s.Permissions, s.Permissions), State: State{"good", say("session.good")},
	}
	if !s.Valid {
		page.State = State{"bad", say("session.bad")}
		page.Reason = sentence("code."+s.Code, s.Reason)
	}
	if v.may(permUserRead) {
		page.UserPage = roomUsers + "/" + url.PathEscape(s.User)
	}
	if v.may(permAuditSearch) {
		page.Acts = actsOf(s.User)
	}
	if page.MayEnd = v.may(permSessionDelete) && !s.Above; page.MayEnd {
		page.EndAll = endAllOf(s.User)
	}
	return v.show(page)
}

// EndSignIn asks before a sign-in of somebody ends.
type EndSignIn struct {
	inAllSessions
	Form
	Session SignInRow
}

func (EndSignIn) view() (file string, title Text) { return "session_end.html", say("session.end") }

func endSignInPage(v *Visit) error { return v.askEnd(v.newForm()) }

func (v *Visit) askEnd(f Form) error {
	found, err := v.API.GetSession(v.r.Context(), v.param("id"))
	if err != nil {
		return err
	}
	if found.Source.Above {
		return errUserAbove
	}
	return v.show(EndSignIn{Form: f, Session: signInRow(found.Source.Session)})
}

var errUserAbove = forbidden("user_above", "that user may do more than you may")

// endSignIn ends a sign-in; one that has ended meanwhile is what was asked for.
var endSignIn = Handler{
	Fields: []string{fieldOnce},
	form:   needs(permSessionDelete, func(v *Visit) error { return v.askEnd(v.again()) }),
	answer: func(v *Visit) error {
		_, err := v.API.EndSession(v.r.Context(), v.param("id"))
		if refused := refusedBy(err); err != nil && (refused == nil || refused.Status != http.StatusNotFound) {
			return err
		}
		return v.seeOther(roomAllSessions + "?done=ended")
	},
}

// EndSignIns asks before all sign-ins of a user end.
type EndSignIns struct {
	inAllSessions
	Form
	User     string // an id
	Username string
	Count    int64
	Mine     bool
}

func (EndSignIns) view() (file string, title Text) {
	return "sessions_end.html", say("session.end_all")
}

func endSignInsPage(v *Visit) error { return v.askEndAll(v.newForm(), v.query("user")) }

func (v *Visit) askEndAll(f Form, user string) error {
	found, err := v.API.SearchSessions(v.r.Context(), api.ListOptions{Size: 1, Filter: map[string]string{"user": user}})
	if err != nil {
		return err
	}
	who, err := v.me()
	if err != nil {
		return err
	}
	if user == "" || len(found.Hits.Hits) == 0 {
		return v.seeOther(roomAllSessions + "?user=" + url.QueryEscape(user))
	}
	row := signInRow(found.Hits.Hits[0].Source)
	if one, err := v.API.GetSession(v.r.Context(), row.ID); err != nil || one.Source.Above {
		return cmp.Or(err, errUserAbove)
	}
	return v.show(EndSignIns{Form: f, User: row.User, Username: row.Username, Count: found.Hits.Total.Value, Mine: row.User == who.ID})
}

var endSignIns = Handler{
	Fields: []string{fieldOnce, "user"},
	form:   needs(permSessionDelete, func(v *Visit) error { return v.askEndAll(v.again(), v.form.Get("user")) }),
	answer: func(v *Visit) error {
		if _, err := v.API.EndSessions(v.r.Context(), v.form.Get("user")); err != nil {
			return err
		}
		return v.seeOther(roomAllSessions + "?done=all")
	},
}
