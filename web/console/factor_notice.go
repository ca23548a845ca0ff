package console

import (
	"time"

	"husk/web/api"
)

// What happened to one's own second factor is told on every page of the house, until
// one has seen it.

// notices are what there is to tell.
type notices struct {
	Form
	Rows  []Notice
	Until string // when the newest of them was
	Back  string // path of the page to go on with
}

// Notice is one thing that happened.
type Notice struct {
	What Text
	Next Text // what to do about it
	Link string
	Act  Text // of the link
}

const fieldUntil = "until"

// notices are those of who looks; nil where there are none.
func (v *Visit) notices(who api.Profile) *notices {
	if len(who.Notices) == 0 {
		return nil
	}
	n := &notices{Form: v.newForm(), Back: roomAt(v.r.URL.Path).Path}
	if IsSafeMethod(v.r) {
		n.Back = v.r.URL.RequestURI()
	}
	var newest time.Time
	for _, one := range who.Notices {
		n.Rows = append(n.Rows, noticeOf(one))
		if one.Time.After(newest) {
			newest = one.Time
		}
	}
	n.Until = newest.UTC().Format(time.RFC3339Nano)
	return n
}

func noticeOf(n api.FactorNotice) Notice {
	from := or(n.Address, "–")
	switch n.Kind {
	case "wrong_code":
		return Notice{What: say("notice.wrong_code", "n", n.Count, "when", n.Time, "address", from), Next: say("notice.wrong_code.next"), Link: "/password", Act: say("password.title")}
	case "recovery_used":
		one := Notice{What: say("notice.recovery_used", "n", n.Count, "when", n.Time, "address", from), Link: roomFactor, Act: say("nav.factor")}
		if n.Left != nil {
			one.Next, one.Link, one.Act = say("notice.left", "n", *n.Left), roomFactor+"/codes", say("factor.codes.new")
		}
		return one
	case "reset":
		return Notice{What: say("notice.reset", "who", or(n.By, "–"), "when", n.Time), Next: say("notice.reset.next"), Link: roomFactor, Act: say("nav.factor")}
	case "passkey_copy":
		return Notice{What: say("notice.passkey_copy", "name", n.Name, "when", n.Time, "address", from), Next: say("notice.passkey_copy.next"), Link: roomFactor, Act: say("nav.factor")}
	}
	return Notice{What: say("notice.other", "when", n.Time), Next: Text{}, Link: roomFactor, Act: say("nav.factor")}
}

// seenNotices has what was told be told no more.
func seenNotices(v *Visit) error {
	until, err := time.Parse(time.RFC3339Nano, v.form.Get(fieldUntil))
	if err != nil {
		return malformed("bad_time", "the form has no time up to which something was seen")
	}
	if _, err := v.API.SeenNotices(v.r.Context(), api.SeenNotices{Until: until}); err != nil {
		return err
	}
	if back := v.form.Get(fieldBack); returnable(back) {
		return v.seeOther(back)
	}
	return v.seeOther(roomMe)
}
