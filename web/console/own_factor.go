package console

import (
	"net/http"
	"slices"

	"husk/web/api"
)

var factorPlaces = []Place{
	get(roomFactor, Handler{answer: ownFactorPage}),
	get(roomFactor+"/totp", Handler{answer: askTOTPPage}),
	post(roomFactor+"/totp", BeginTOTP),
	post(roomFactor+"/totp/confirm", ConfirmTOTP),
	get(roomFactor+"/totp/remove", Handler{answer: askRemoveTOTP}),
	post(roomFactor+"/totp/remove", removeTOTP),
	get(roomFactor+"/codes", Handler{answer: askNewCodes}),
	post(roomFactor+"/codes", makeNewCodes),
	post(roomFactor+"/codes/file", CodesFile),
	post(roomFactor+"/seen", Handler{Fields: []string{fieldUntil, fieldBack}, answer: seenNotices}),
}

// inFactor is a page of one's own second factor.
type inFactor struct{}

func (inFactor) room() string { return roomFactor }

// OwnFactor shows what one has besides the password.
type OwnFactor struct {
	inFactor
	Form
	Done   Text
	Factor api.SecondFactor
}

func (OwnFactor) view() (file string, title Text) { return "own_factor.html", say("nav.factor") }

// Has tells whether a method is set up.
func (p OwnFactor) Has(method string) bool { return slices.Contains(p.Factor.Methods, method) }

// Any tells whether there is one at all.
func (p OwnFactor) Any() bool { return len(p.Factor.Methods) > 0 }

// Few tells whether so few recovery codes are left that new ones are due.
func (p OwnFactor) Few() bool { return p.Any() && p.Factor.Recovery.Left < 4 }

func ownFactorPage(v *Visit) error {
	page := OwnFactor{Form: v.newForm()}
	switch v.query("done") {
	case "totp":
		page.Done = say("factor.totp.removed")
	case "passkey":
		page.Done = say("passkey.set")
	case "passkey_renamed":
		page.Done = say("passkey.renamed")
	case "passkey_removed":
		page.Done = say("passkey.removed")
	case "set":
		page.Done = say("factor.set")
	}
	return v.showOwnFactor(page, http.StatusOK)
}

func (v *Visit) showOwnFactor(page OwnFactor, status int) (err error) {
	if page.Factor, err = v.API.SecondFactor(v.r.Context()); err != nil {
		return err
	}
	return v.showAs(status, page)
}

// AskFactor asks before something is done to one's own second factor, and says what it
// brings about.
type AskFactor struct {
	inFactor
	Form
	Title   Text
	About   Text
	Effects []Text
	To      string
	Act     Text
	Danger  bool // it takes something away
}

func (p AskFactor) view() (file string, title Text) { return "factor_ask.html", p.Title }

// askFactor shows the question, which asks for a proof at once where that will be wanted.
func (v *Visit) askFactor(page AskFactor, f Form, status int) error {
	if err := v.askProof(&f); err != nil {
		return err
	}
	page.Form = f
	return v.showAs(status, page)
}

func askTOTPPage(v *Visit) error { return v.askTOTP(v.newForm(), http.StatusOK) }

func (v *Visit) askTOTP(f Form, status int) error {
	factor, err := v.API.SecondFactor(v.r.Context())
	if err != nil {
		return err
	}
	page := AskFactor{Title: say("factor.totp.new"), About: say("factor.totp.about"), To: roomFactor + "/totp", Act: say("factor.totp.begin")}
	if factor.TOTP != nil {
		page.Title = say("factor.totp.again")
		page.Effects = []Text{say("factor.effect.totp_again")}
	}
	if factor.Recovery.Total == 0 {
		page.Effects = append(page.Effects, say("factor.effect.codes_come"))
	} else {
		page.Effects = append(page.Effects, say("factor.effect.codes_new"))
	}
	return v.askFactor(page, f, status)
}

// hasTOTP is a refusal of the API's form, where there is none to remove.
func (v *Visit) hasTOTP() (api.SecondFactor, error) {
	factor, err := v.API.SecondFactor(v.r.Context())
	if err == nil && factor.TOTP == nil {
		err = absent("there is no such thing, or it is not yours")
	}
	return factor, err
}

// absent is an error of the API's form, for what is not there.
func absent(reason string) error {
	return &api.Error{Status: http.StatusNotFound, Detail: api.ErrorDetail{Code: codeNotFound, Reason: reason}}
}

func askRemoveTOTP(v *Visit) error { return v.askTOTPGone(v.newForm(), http.StatusOK) }

func (v *Visit) askTOTPGone(f Form, status int) error {
	factor, err := v.hasTOTP()
	if err != nil {
		return err
	}
	page := AskFactor{Title: say("factor.totp.remove.ask"), About: say("factor.totp.remove.about"), To: roomFactor + "/totp/remove", Act: say("factor.totp.remove"), Danger: true}
	if len(factor.Passkeys) > 0 {
		page.Effects = []Text{say("factor.effect.passkeys_stay")}
	} else {
		page.Effects = lastFactorGone(factor)
	}
	return v.askFactor(page, f, status)
}

// lastFactorGone is what the removal of the last second factor brings about.
func lastFactorGone(factor api.SecondFactor) []Text {
	effects := []Text{say("factor.effect.password_alone")}
	if factor.Recovery.Left > 0 {
		effects = append(effects, say("factor.effect.codes_gone", "count", say("factor.codes.count", "n", factor.Recovery.Left)))
	}
	if factor.Required {
		effects = append(effects, say("factor.effect.required"))
	}
	return effects
}

var removeTOTP = Handler{
	Fields: []string{fieldOnce},
	answer: func(v *Visit) error {
		_, err := v.API.RemoveTOTP(v.r.Context())
		refused, err := v.forForm(err, http.StatusNotFound)
		if refused != nil {
			return v.askTOTPGone(v.refused(refused), refused.Status)
		}
		if err != nil {
			return err
		}
		return v.seeOther(roomFactor + "?done=totp")
	},
	form:      func(v *Visit) error { return v.askTOTPGone(v.again(), http.StatusOK) },
	sensitive: func(*Visit) bool { return true },
}
