package console

import (
	"html/template"
	"net/url"
	"regexp"
	"time"

	"github.com/google/uuid"

	"husk/web/api"
)

// Connect asks whether a desktop program gets a token.
type Connect struct {
	Form
	Program   string // as people know it
	Product   string // as it called itself
	Provider  string // the program's name for this server
	RequestID string
	User      string // who is signed in
	TokenName string
	Ends      time.Time // of the token
}

func (Connect) view() (file string, title Text) { return "connect.html", say("connect.title") }

// Connected opens the desktop program.
type Connected struct {
	Program   string
	TokenName string
	Link      template.URL // from DesktopLink
}

func (Connected) view() (file string, title Text) { return "connected.html", say("connected.title") }

// DesktopLink is the link that hands a token to the desktop program. Its
// scheme is fixed here, and every value is escaped.
func DesktopLink(token, requestID, provider string) template.URL {
	return template.URL("coco://oauth_callback?code=" + url.QueryEscape(token) +
		"&request_id=" + url.QueryEscape(requestID) + "&provider=" + url.QueryEscape(provider))
}

// desktop is the sign-in of a program on the person's own computer: it opened
// the browser and waits for a link with its own scheme.
type desktop struct {
	product   string
	provider  string // the program's own name for this server
	requestID string
}

// desktopPrograms is who may be handed a token, and what people call it. The
// scheme of its link is DesktopLink's.
var desktopPrograms = map[string]string{"coco": "Coco AI"}

var providerForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func readDesktop(q url.Values) (desktop, error) {
	d := desktop{product: q.Get("product"), provider: q.Get("provider"), requestID: q.Get("request_id")}
	if desktopPrograms[d.product] == "" {
		return d, malformed("bad_product", "that program can't be signed in here: the address has to name product=coco")
	}
	// The canonical form alone: uuid.Validate knows others too.
	if len(d.requestID) != 36 || uuid.Validate(d.requestID) != nil || !providerForm.MatchString(d.provider) {
		return d, malformed("bad_desktop_request", "the program's address is not complete: start the sign-in in the program again")
	}
	return d, nil
}

// path is the page that asks the person.
func (d desktop) path() string {
	return "/connect?" + url.Values{"product": {d.product}, "provider": {d.provider}, "request_id": {d.requestID}}.Encode()
}

// tokenName is what the token is listed as.
func (d desktop) tokenName(now time.Time) string {
	return d.product + " app " + now.Format(time.DateOnly)
}

// ConnectPage asks the person whether the program that opened the browser gets a
// token.
var ConnectPage = Handler{answer: connectPage}

func connectPage(v *Visit) error {
	d, err := readDesktop(v.r.URL.Query())
	if err != nil {
		return err
	}
	f := v.newForm()
	if err := v.askProofOfPowers(&f); err != nil {
		return err
	}
	return v.showConnect(d, f)
}

// askProofOfPowers has a new form ask for the password at once, where a token that may do
// all that its owner may is powerful.
func (v *Visit) askProofOfPowers(f *Form) error {
	if !v.isPowerful(nil) {
		return nil
	}
	return v.askProof(f)
}

func (v *Visit) showConnect(d desktop, f Form) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	now := v.console.Now()
	return v.show(Connect{
		Form: f, Program: desktopPrograms[d.product], Product: d.product, Provider: d.provider, RequestID: d.requestID,
		User: username(who), TokenName: d.tokenName(now), Ends: now.Add(v.console.TokenTTL),
	})
}

// ConnectProgram mints the token that the person clicked for. The link goes out in
// the body of the answer, not in a Location: headers end up in logs. The token may do
// all that the person may: that is as sensitive as any such token.
var ConnectProgram = Handler{
	Fields: []string{"product", "provider", "request_id"}, answer: connectProgram,
	form: func(v *Visit) error {
		d, err := readDesktop(v.form)
		if err != nil {
			return err
		}
		return v.showConnect(d, v.again())
	},
	sensitive: func(v *Visit) bool { return v.isPowerful(nil) },
}

func connectProgram(v *Visit) error {
	d, err := readDesktop(v.form)
	if err != nil {
		return err
	}
	made, err := v.API.CreateToken(v.r.Context(), api.NewToken{Name: d.tokenName(v.console.Now()), Description: "asked for by request " + d.requestID})
	if err != nil {
		return err
	}
	return v.show(Connected{
		Program: desktopPrograms[d.product], TokenName: made.Name, Link: DesktopLink(made.AccessToken, d.requestID, d.provider),
	})
}
