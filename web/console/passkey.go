package console

import (
	"encoding/json"
	"net/http"
	"strings"

	"husk/web/api"
)

// PasskeyAsk is a form by which a page has the browser make or use a passkey, with
// passkey.js.
type PasskeyAsk struct {
	To      string // where what comes of it goes
	Makes   bool   // one is made; else one is used
	State   string
	Options string // JSON, as the API gives it
	Act     Text
	Quiet   bool // there is another button that is meant first
	Along   []SentAlong
	Form    *Form  // in the house, and of what is set up; else nil
	Name    *Field // of one that is made
}

// SentAlong is a hidden field of a form.
type SentAlong struct{ Name, Value string }

// Does is what the browser does, as passkey.js knows it.
func (p PasskeyAsk) Does() string {
	if p.Makes {
		return "create"
	}
	return "get"
}

// Fields by which a form has what a browser made of a passkey.
const (
	fieldPasskeyState = "state"
	fieldCredential   = "credential"
)

var passkeyFields = []string{fieldPasskeyState, fieldCredential}

// askPasskey is the form for what the API asks; nil where there is no passkey that
// could answer, or none can be used here.
func (v *Visit) askPasskey(asked api.PasskeyQuestion, err error, ask PasskeyAsk) (*PasskeyAsk, error) {
	if refused := refusedBy(err); refused != nil && refused.Status < http.StatusInternalServerError {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(asked.PublicKey)
	ask.State, ask.Options = asked.State, string(options)
	return &ask, err
}

// along are the fields of a form that have a value.
func along(pairs ...string) (all []SentAlong) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, SentAlong{pairs[i], pairs[i+1]})
		}
	}
	return all
}

// usedPasskey is what the form has of one that was used. What is no JSON is empty, and
// refused by the API.
func (v *Visit) usedPasskey() (in api.PasskeyAnswer) {
	in.State = v.form.Get(fieldPasskeyState)
	_ = json.Unmarshal([]byte(v.form.Get(fieldCredential)), &in.Credential)
	return in
}

const pathPasskeySignIn = "/login/passkey"

// passkeySignIn is the form of a sign-in by a passkey: alone, or with the ticket of a
// password that was right.
func (v *Visit) passkeySignIn(p Login, ticket, methods string) (*PasskeyAsk, error) {
	asked, err := v.API.BeginPasskeyLogin(v.r.Context(), api.PasskeyBegin{Ticket: ticket})
	return v.askPasskey(asked, err, PasskeyAsk{To: pathPasskeySignIn, Act: say("passkey.login"), Quiet: ticket == "",
		Along: along("return", p.Return, "kept_form", p.Kept, fieldTicket, ticket, fieldMethods, methods)})
}

// SignInByPasskey takes what a passkey signed on LoginPage, or in the second step.
var SignInByPasskey = Handler{Fields: append([]string{fieldTicket, fieldMethods, "return", "kept_form"}, passkeyFields...), answer: signInByPasskey}

func signInByPasskey(v *Visit) error {
	target := v.console.openReturn(v.form.Get("return"))
	signedIn, err := v.API.FinishPasskeyLogin(v.r.Context(), v.usedPasskey())
	if err != nil {
		return v.loginAgain(err, "", target)
	}
	return v.enter(signedIn, target)
}

// passkeyProof is the form of a proof by a passkey.
func (v *Visit) passkeyProof(sealed string) (*PasskeyAsk, error) {
	asked, err := v.API.BeginPasskeyProof(v.r.Context())
	return v.askPasskey(asked, err, PasskeyAsk{To: pageSecondFactor + "/passkey/prove", Act: say("passkey.prove"), Along: along("return", sealed)})
}

// ProveByPasskey takes what a passkey signed on SecondFactorPage.
var ProveByPasskey = Handler{Fields: append([]string{"return"}, passkeyFields...), answer: proveByPasskey}

func proveByPasskey(v *Visit) error {
	target := v.factorTarget()
	_, err := v.API.FinishPasskeyProof(v.r.Context(), v.usedPasskey())
	refused, err := v.forForm(err)
	switch {
	case err != nil:
		return err
	case refused != nil:
		return v.showFactor(v.refused(refused), target, refused.Status)
	}
	return v.seeOther(target)
}

// passkeysNotHere says why no passkey can be used at the address that was asked.
var passkeysNotHere = map[string]Text{
	"address":        say("passkey.here.address"),
	"plain_http":     say("passkey.here.plain_http"),
	"not_public_url": say("passkey.here.not_public_url"),
}

// NotHere says why no passkey can be used here; nothing where one can.
func (p OwnFactor) NotHere() Text { return passkeysNotHere[p.Factor.PasskeysHere] }

// NotHere says why no passkey can be used here; nothing where one can.
func (p SecondFactor) NotHere() Text { return passkeysNotHere[p.Factor.PasskeysHere] }

// SetUpPasskey has the browser make a passkey. It stands in the house, or is a card, for
// who has no house yet.
type SetUpPasskey struct {
	Form
	Door   string // path of the page that it was begun on
	Return string // where to go afterwards, signed; may be empty
	Out    bool   // to an application
	Ask    *PasskeyAsk
}

func (SetUpPasskey) view() (file string, title Text) { return "passkey_new.html", say("passkey.new") }
func (p SetUpPasskey) room() string                  { return roomOfDoor(p.Door) }
func (p SetUpPasskey) leadsOut() bool                { return p.Out }
func (SetUpPasskey) asksPasskey() bool               { return true }

// BeginPasskey asks for what a browser makes a passkey of.
var BeginPasskey = Handler{
	Fields:    []string{"return"},
	answer:    func(v *Visit) error { return v.showNewPasskey(v.newForm(), http.StatusOK) },
	form:      func(v *Visit) error { return v.askNewPasskey(v.again(), http.StatusOK) },
	sensitive: func(*Visit) bool { return true },
}

func askPasskeyPage(v *Visit) error { return v.askNewPasskey(v.newForm(), http.StatusOK) }

// askNewPasskey shows the page on which it is begun.
func (v *Visit) askNewPasskey(f Form, status int) error {
	if v.door() == pageSecondFactor {
		return v.showFactor(f, v.factorTarget(), status)
	}
	return v.askFactor(AskFactor{Title: say("passkey.new"), About: say("passkey.about"), To: roomFactor + "/passkey", Act: say("passkey.begin")}, f, status)
}

func (v *Visit) showNewPasskey(f Form, status int) error {
	asked, err := v.API.BeginPasskey(v.r.Context())
	refused, err := v.forForm(err)
	switch {
	case err != nil:
		return err
	case refused != nil:
		return v.askNewPasskey(v.refused(refused), refused.Status)
	}
	options, err := json.Marshal(asked.PublicKey)
	if err != nil {
		return err
	}
	target := v.factorTarget()
	page := SetUpPasskey{Form: f, Door: v.door(), Return: v.console.sealReturn(target), Out: strings.HasPrefix(target, ContinuePath+"?")}
	name := passkeyNameField(f)
	page.Ask = &PasskeyAsk{Form: &page.Form, Name: &name, To: page.Door + "/passkey/add", Makes: true, State: asked.State, Options: string(options), Act: say("passkey.make"), Along: along("return", page.Return)}
	return v.showAs(status, page)
}

func passkeyNameField(f Form) Field {
	return f.field(Field{Name: "name", Label: say("passkey.name"), Hint: say("passkey.name.hint"), Required: true, Max: 100, Focus: true})
}

// AddPasskey takes what a browser made.
var AddPasskey = Handler{Fields: append([]string{"name", "return"}, passkeyFields...), answer: addPasskey}

func addPasskey(v *Visit) error {
	in := api.PasskeySetUp{State: v.form.Get(fieldPasskeyState), Name: v.form.Get("name")}
	_ = json.Unmarshal([]byte(v.form.Get(fieldCredential)), &in.Credential) // what is none is refused by the API
	added, err := v.API.FinishPasskey(v.r.Context(), in)
	refused, err := v.forForm(err)
	switch {
	case err != nil:
		return err
	case refused != nil:
		return v.showNewPasskey(v.refused(refused), refused.Status)
	case len(added.Codes) > 0:
		return v.showCodes(added.Codes, true)
	case v.door() == pageSecondFactor:
		return v.seeOther(v.factorTarget())
	}
	return v.seeOther(roomFactor + "?done=passkey")
}
