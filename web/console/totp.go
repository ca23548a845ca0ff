package console

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"husk/web/api"
	"husk/web/factor"
)

// SetUpTOTP shows a secret that waits for its first code. It stands in the house, or is
// a card, for who has no house yet.
type SetUpTOTP struct {
	Form
	Door   string // path of the page that it was begun on
	Return string // where to go afterwards, signed; may be empty
	Out    bool   // to an application
	Held   string // the secret, signed, for the form to send along
	QR     template.HTML
	Groups []string // the secret, in groups of four
	Link   template.URL
	Code   Field
}

func (SetUpTOTP) view() (file string, title Text) { return "totp_new.html", say("factor.totp.new") }
func (p SetUpTOTP) room() string                  { return roomOfDoor(p.Door) }
func (p SetUpTOTP) leadsOut() bool                { return p.Out }

// roomOfDoor is the room of what was begun at a door.
func roomOfDoor(door string) string {
	if door == pageSecondFactor {
		return ""
	}
	return roomFactor
}

// door is where what the form is about was begun: in the house, or before it.
func (v *Visit) door() string {
	if InHouse(v.r.URL.Path) {
		return roomFactor
	}
	return pageSecondFactor
}

// fieldHeld has what the API showed once: the secret that waits, or recovery codes. It
// is for whoever saw it in the page before, signed so that a form that somebody else
// made shows nothing, and never in an address.
//
// The secret could be asked for anew, too; but then the one that a phone has just read
// would be good no more after a typing error.
const fieldHeld = "held"

const maxHeld = 4 << 10 // bytes

// hold signs what was shown once to who asks, for a kind of form.
func (v *Visit) hold(kind, text string) string {
	return Seal(v.console.MAC, kind+"\n"+v.by.User+"\n"+text, v.console.Now().Add(returnTTL))
}

// held is what the form was sent with; ok tells whether it is of that kind, was shown to
// who asks, and is not too old.
func (v *Visit) held(kind string) (text string, ok bool) {
	sealed, ends, ok := Unseal(v.console.MAC, v.form.Get(fieldHeld), maxHeld)
	text, mine := strings.CutPrefix(sealed, kind+"\n"+v.by.User+"\n")
	return text, ok && mine && v.console.Now().Before(ends)
}

const (
	heldTOTP  = "totp"
	heldCodes = "codes"
)

// BeginTOTP makes a secret, and shows it.
var BeginTOTP = Handler{
	Fields:    []string{"return"},
	answer:    beginTOTP,
	form:      func(v *Visit) error { return v.askBegin(v.again(), http.StatusOK) },
	sensitive: func(*Visit) bool { return true },
}

// askBegin shows the page again on which it was begun.
func (v *Visit) askBegin(f Form, status int) error {
	if v.door() == pageSecondFactor {
		return v.showFactor(f, v.factorTarget(), status)
	}
	return v.askTOTP(f, status)
}

func beginTOTP(v *Visit) error {
	made, err := v.API.BeginTOTP(v.r.Context())
	refused, err := v.forForm(err)
	switch {
	case err != nil:
		return err
	case refused != nil:
		return v.askBegin(v.refused(refused), refused.Status)
	}
	return v.showTOTP(made.URI, v.newForm(), http.StatusOK)
}

// showTOTP shows a secret, by the URI that programs read.
func (v *Visit) showTOTP(uri string, f Form, status int) error {
	picture, err := factor.QR(uri)
	if err != nil {
		return err
	}
	target := v.factorTarget()
	page := SetUpTOTP{
		Form: f, Door: v.door(), Return: v.console.sealReturn(target), Out: strings.HasPrefix(target, ContinuePath+"?"), Held: v.hold(heldTOTP, uri),
		QR: template.HTML(picture), Link: template.URL(uri), Groups: groupsOfFour(secretOf(uri)),
	}
	page.Code = f.field(Field{Name: "code", Label: say("factor.first_code"), Hint: say("factor.first_code.hint"), Required: true, Max: 20, Autocomplete: "one-time-code", Mode: "numeric", Focus: true})
	return v.showAs(status, page)
}

// secretOf is the secret that a URI has.
func secretOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Query().Get("secret")
}

func groupsOfFour(text string) (groups []string) {
	for ; len(text) > 4; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return append(groups, text)
}

// ConfirmTOTP takes the first code. A wrong one shows the same secret again. It is kept
// over no sign-in: the secret is then made anew.
var ConfirmTOTP = Handler{Fields: []string{"code", "return", fieldHeld}, answer: confirmTOTP}

func confirmTOTP(v *Visit) error {
	uri, ok := v.held(heldTOTP)
	if !ok {
		return v.seeOther(v.console.withReturn(v.door(), v.factorTarget()))
	}
	made, err := v.API.ConfirmTOTP(v.r.Context(), api.ConfirmTOTP{Code: typedCode(v.form.Get("code"))})
	refused, err := v.forForm(err)
	switch {
	case err != nil:
		return err
	case refused == nil:
		return v.showCodes(made.Codes, true)
	case refused.Detail.Code == codeProofRequired || refused.Detail.Code == codeFactorRequired || refused.Detail.Code == codeNotBegun:
		f := v.refused(refused) // it took too long: begin again
		return v.askBegin(f, refused.Status)
	}
	return v.showTOTP(uri, v.refused(refused), refused.Status)
}

const codeNotBegun = "totp_not_begun"
