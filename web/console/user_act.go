package console

import (
	"net/http"
	"path"
	"time"

	"husk/web/api"
)

// AskUser asks before something is done to a user, and says what it brings about.
type AskUser struct {
	Form
	ID      string
	Title   Text
	About   Text
	Effects []Text
	To      string
	Act     Text
	Danger  bool // it takes something away
}

func (p AskUser) view() (file string, title Text) { return "user_ask.html", p.Title }
func (AskUser) room() string                      { return roomUsers }

// userToAct is the user to whom the address does something, where who asks may: no form is
// shown for what the API would refuse.
func (v *Visit) userToAct() (api.User, error) {
	who, err := v.me()
	if err != nil {
		return api.User{}, err
	}
	u, err := v.user()
	if err != nil {
		return u, err
	}
	act, self := path.Base(v.r.URL.Path), u.ID == who.ID
	switch {
	case u.Above:
		err = errUserAbove
	case act == "delete" && u.ID == singleUser:
		err = forbidden("single_user", "the single user can't be deleted; disable it instead")
	case act == "delete" && self:
		err = forbidden("own_user", "nobody deletes themselves; ask another administrator")
	case act == "password" && self:
		err = forbidden("own_password", "you change your own password on the page of your account, with the old one")
	case act == "second-factor" && self:
		err = forbidden("own_second_factor", "nobody resets their own second factor")
	case act == "second-factor" && len(u.SecondFactor) == 0:
		err = &api.Error{Status: http.StatusConflict, Detail: api.ErrorDetail{Code: codeNoFactor, Reason: "that user has no second factor"}}
	case act == "roles" && self:
		err = forbidden("own_roles", "nobody changes their own roles; ask another administrator")
	}
	return u, err
}

func askUser(v *Visit) error {
	u, err := v.userToAct()
	if err != nil {
		return err
	}
	return v.showAskUser(u, v.newForm(), http.StatusOK)
}

// showAskUser asks about the act that the address ends with.
func (v *Visit) showAskUser(u api.User, f Form, status int) error {
	if _, err := v.me(); err != nil {
		return err
	}
	act := path.Base(v.r.URL.Path)
	if act == "second-factor" {
		if err := v.askProof(&f); err != nil {
			return err
		}
	}
	page := AskUser{Form: f, ID: u.ID, To: userPath(u.ID) + "/" + act, Danger: act != "enable"}
	switch act {
	case "enable":
		page.Title, page.About, page.Act = say("user.enable.ask", "name", u.Name), say("user.enable.about"), say("user.enable")
	case "disable":
		page.Title, page.About, page.Act = say("user.disable.ask", "name", u.Name), say("user.disable.about"), say("user.disable")
	case "second-factor":
		page.Title, page.About, page.Act = say("user.factor.ask", "name", u.Name), say("user.factor.about"), say("user.factor.reset")
	case "end":
		page.Title, page.About, page.Act = say("user.end.ask", "name", u.Name), say("user.end.about"), say("user.end")
	default:
		page.Title, page.About, page.Act = say("user.delete.ask", "name", u.Name), say("user.delete.about"), say("user.delete")
	}
	var err error
	if page.Effects, err = v.effectsOn(u, act); err != nil {
		return err
	}
	return v.showAs(status, page)
}

// effectsOn says in numbers what ends, as far as who asks may know, and as far as there
// is any.
func (v *Visit) effectsOn(u api.User, act string) (effects []Text, err error) {
	switch act {
	case "enable":
		return nil, nil
	case "second-factor":
		for _, method := range methodTexts(u.SecondFactor) {
			effects = append(effects, say("user.effect.factor", "method", method))
		}
		return append(effects, say("user.effect.factor_codes"), say("user.effect.factor_told")), nil
	}
	if v.may(permSessionSearch) {
		found, err := v.API.SearchSessions(v.r.Context(), api.ListOptions{Size: 1, Filter: map[string]string{"user": u.ID}})
		if err != nil {
			return nil, err
		}
		if ends := found.Hits.Total; ends.Value > 0 {
			effects = append(effects, say("user.effect.sessions", "count", countOf("user.sessions", ends)))
		}
	}
	if act == "end" || !v.profile.Administrator {
		return effects, nil
	}
	found, err := v.API.SearchTokens(v.r.Context(), api.ListOptions{Size: mostCounted, Filter: map[string]string{"owner": u.ID}})
	if err != nil || found.Hits.Total.Value == 0 {
		return effects, err
	}
	tokens, effect := countOf("user.tokens", found.Hits.Total), "user.effect.tokens_gone"
	if act == "disable" {
		effect = "user.effect.tokens_rest"
	}
	effects = append(effects, say(effect, "count", tokens))
	if used := usedToday(found, v.console.Now()); used.Said() {
		effects = append(effects, used)
	}
	return effects, nil
}

// mostCounted is how many tokens are looked at, of which few have more: a page of the API.
const mostCounted = 1000

// usedToday says how many of somebody's tokens are in use, where there are any.
func usedToday(found api.Search[api.Token], now time.Time) Text {
	used := api.Total{Relation: "eq"}
	for _, hit := range found.Hits.Hits {
		if at := hit.Source.LastUsed; at != nil && now.Sub(*at) < 24*time.Hour {
			used.Value++
		}
	}
	more := found.Hits.Total.Value > int64(len(found.Hits.Hits))
	switch {
	case len(found.Hits.Hits) == 0, more && used.Value == 0:
		return Text{}
	case more:
		used.Relation = "gte"
	case used.Value == 0:
		return say("user.effect.unused")
	}
	return say("user.effect.used", "count", countOf("user.tokens", used))
}

// actOn does something to the user of the page. What is refused is told where it was
// asked for.
func (v *Visit) actOn(do func(id string) error, show userShow) error {
	u, err := v.user()
	if err != nil {
		return err
	}
	err = do(u.ID)
	refused, err := v.forForm(err)
	if refused != nil {
		return show(v, u, v.refused(refused), refused.Status)
	}
	return err
}

func disableUser(v *Visit) error {
	return v.actOn(func(id string) error {
		disabled := true
		if _, err := v.API.UpdateUser(v.r.Context(), id, api.UserUpdate{Disabled: &disabled}); err != nil {
			return err
		}
		return v.userDone(id, "disabled", "")
	}, (*Visit).showAskUser)
}

// enableUser lets in again whom somebody has kept out, perhaps for what they did.
var enableUser = Handler{
	Fields:    []string{fieldOnce},
	answer:    doEnableUser,
	form:      needs(permUserUpdate, func(v *Visit) error { return v.againFor((*Visit).showAskUser) }),
	sensitive: func(*Visit) bool { return true },
}

func doEnableUser(v *Visit) error {
	return v.actOn(func(id string) error {
		disabled := false
		out, err := v.API.UpdateUser(v.r.Context(), id, api.UserUpdate{Disabled: &disabled})
		if err != nil {
			return err
		}
		return v.userDone(id, "enabled", out.KeptOut)
	}, (*Visit).showUser)
}

// resetFactor takes somebody what they have besides the password: the way back for who
// lost it, and the way in for who only knows the password.
var resetFactor = Handler{
	Fields:    []string{fieldOnce},
	answer:    doResetFactor,
	form:      needs(permUserUpdate, func(v *Visit) error { return v.againFor((*Visit).showAskUser) }),
	sensitive: func(*Visit) bool { return true },
}

func doResetFactor(v *Visit) error {
	return v.actOn(func(id string) error {
		if _, err := v.API.ResetSecondFactor(v.r.Context(), id); err != nil {
			return err
		}
		return v.userDone(id, "reset", "")
	}, (*Visit).showAskUser)
}

func unlockUser(v *Visit) error {
	return v.actOn(func(id string) error {
		out, err := v.API.UnlockUser(v.r.Context(), id)
		if err != nil {
			return err
		}
		return v.userDone(id, "unlocked", out.KeptOut)
	}, (*Visit).showUser)
}

func endSessionsOfUser(v *Visit) error {
	return v.actOn(func(id string) error {
		if _, err := v.API.EndSessions(v.r.Context(), id); err != nil {
			return err
		}
		return v.userDone(id, "ended", "")
	}, (*Visit).showAskUser)
}

func deleteUser(v *Visit) error {
	return v.actOn(func(id string) error {
		if _, err := v.API.DeleteUser(v.r.Context(), id); err != nil {
			return err
		}
		return v.seeOther(roomUsers + "?done=deleted")
	}, (*Visit).showAskUser)
}
