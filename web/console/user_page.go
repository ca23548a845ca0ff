package console

import (
	"net/http"
	"time"

	"husk/web/api"
)

// UserDetails shows a user, with what they have and did.
type UserDetails struct {
	Form   // of its buttons
	User   api.User
	Done   Text
	Still  Text // what still keeps them out; may say nothing
	State  State
	Reason Text   // of the state
	Self   bool   // it is who looks
	Factor []Text // what they have besides the password
	Clock  Text   // by how much the program that makes their codes is off; may say nothing

	Tokens   []TokenRow
	Sessions []SessionRow
	Did      []ActRow
	Counts   struct{ Tokens, Sessions Text }
	May      userRights
}

// userRights are what who looks may do about a user: see and act.
type userRights struct {
	Tokens, NewToken, Sessions, Audit, Roles                                              bool
	Edit, Grant, Password, Factor, Disable, Enable, Unlock, EndSessions, Delete, IsSingle bool
}

// Acts tells whether there is any.
func (m userRights) Acts() bool {
	return m.Edit || m.Grant || m.Password || m.Factor || m.Disable || m.Enable || m.Unlock || m.EndSessions || m.Delete
}

// ActRow is an entry of the audit log.
type ActRow struct {
	At    time.Time
	Words Text   // what was done
	What  Text   // to what
	State State  // of one that was refused
	Story string // path of the story of its request; "": it has none
}

func (p UserDetails) view() (file string, title Text) { return "user.html", literal(p.User.Name) }
func (UserDetails) room() string                      { return roomUsers }

// userParts is how many tokens, sign-ins and acts the page of a user shows.
const userParts = 5

func userPage(v *Visit) error {
	u, err := v.user()
	if err != nil {
		return err
	}
	return v.showUser(u, v.newForm(), http.StatusOK)
}

func (v *Visit) user() (api.User, error) {
	found, err := v.API.GetUser(v.r.Context(), v.param("id"))
	return found.Source, err
}

func (v *Visit) showUser(u api.User, f Form, status int) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	page := UserDetails{Form: f, User: u, Done: userDone(v.query("done")), Still: stillOut(v.query("still")), State: userState(u), Reason: userReason(u), Self: u.ID == who.ID, Factor: methodTexts(u.SecondFactor), Clock: clockText(u.CodeClockOff)}
	page.May = v.mayDoWith(u, page.Self)
	for _, part := range []func(*UserDetails) error{v.tokensOf, v.sessionsOf, v.actsOf} {
		if err := part(&page); err != nil {
			return err
		}
	}
	return v.showAs(status, page)
}

// clockText says by how many seconds the program that makes somebody's codes is ahead.
func clockText(seconds int64) Text {
	switch {
	case seconds > 0:
		return say("user.clock_ahead", "n", seconds)
	case seconds < 0:
		return say("user.clock_behind", "n", -seconds)
	}
	return Text{}
}

// singleUser is the id of the user without an email.
const singleUser = "coco-default-user"

// mayDoWith leaves out what the API would refuse: about oneself, the single user, and
// who may do more.
func (v *Visit) mayDoWith(u api.User, self bool) userRights {
	may := userRights{
		Tokens: v.profile.Administrator, NewToken: v.profile.Administrator && !self && !u.Disabled, Sessions: v.may(permSessionSearch), Audit: v.may(permAuditSearch), Roles: v.may(permRoleRead),
		EndSessions: v.may(permSessionDelete) && !self && !u.Above, Delete: v.may(permUserDelete) && !self && !u.Above && u.ID != singleUser, IsSingle: u.ID == singleUser,
	}
	if change := v.may(permUserUpdate) && !u.Above; change {
		may.Edit = true
		may.Grant = !self && v.may(permRoleSearch)
		may.Factor = !self && len(u.SecondFactor) > 0
		may.Password, may.Disable, may.Enable = !self, !self && !u.Disabled, u.Disabled
	}
	may.Unlock = v.may(permUserUpdate) && !u.Above && u.Throttled != nil
	return may
}

func userDone(word string) Text {
	switch word {
	case "made":
		return say("user.made")
	case "changed":
		return say("user.changed")
	case "password":
		return say("user.password_set")
	case "disabled":
		return say("user.is_disabled")
	case "enabled":
		return say("user.is_enabled")
	case "reset":
		return say("user.factor_reset")
	case "unlocked":
		return say("user.is_unlocked")
	case "ended":
		return say("user.sessions_ended")
	}
	return Text{}
}

// stillOut tells what keeps a user from signing in who was just let in.
func stillOut(why string) Text {
	switch why {
	case "disabled":
		return say("user.still.disabled")
	case "no_password":
		return say("user.still.no_password")
	case "throttled":
		return say("user.still.throttled")
	}
	return Text{}
}

func userReason(u api.User) Text {
	switch {
	case u.Disabled:
		return say("user.disabled.about")
	case u.Throttled != nil:
		return say("user.locked.about", "until", *u.Throttled)
	}
	return Text{}
}

func (v *Visit) tokensOf(page *UserDetails) error {
	if !page.May.Tokens {
		return nil
	}
	found, err := v.API.SearchTokens(v.r.Context(), api.ListOptions{Size: userParts, Filter: map[string]string{"owner": page.User.ID}})
	page.Tokens, page.Counts.Tokens = v.tokenRows(found), countOf("user.tokens", found.Hits.Total)
	return err
}

func (v *Visit) sessionsOf(page *UserDetails) error {
	if !page.May.Sessions {
		return nil
	}
	found, err := v.API.SearchSessions(v.r.Context(), api.ListOptions{Size: userParts, Filter: map[string]string{"user": page.User.ID}})
	page.Counts.Sessions = countOf("user.sessions", found.Hits.Total)
	for _, hit := range found.Hits.Hits {
		page.Sessions = append(page.Sessions, sessionRow(hit.Source))
	}
	return err
}

func (v *Visit) actsOf(page *UserDetails) error {
	if !page.May.Audit {
		return nil
	}
	found, err := v.API.SearchAudit(v.r.Context(), api.ListOptions{Size: userParts, Filter: map[string]string{"actor": page.User.ID}})
	for _, hit := range found.Hits.Hits {
		e := hit.Source
		row := ActRow{At: e.Time, Words: actionText(e.Action), What: targetText(e), Story: storyOf(e.RequestID)}
		if e.Result == resultRefused {
			row.State = State{"bad", say("audit.refused")}
		}
		page.Did = append(page.Did, row)
	}
	return err
}
