package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"husk/web/api"
)

// NewToken asks what a new token is to be.
type NewToken struct {
	Form
	inTokens
	Owner       Field // in the room of everybody's alone
	Name        Field
	Description Field
	Ends        Field
	EndDate     Field
	Rights      Field
	Permissions PermissionPicker
	Limits      TokenLimits
}

// TokenLimits are where a token may be used.
type TokenLimits struct {
	Open      bool // something stands in it, or is wrong with it
	Addresses Field
	Hosts     Field
	Paths     Field
	Methods   Field
}

func (NewToken) view() (file string, title Text) { return "token_new.html", say("token.new") }

func newTokenPage(v *Visit) error { return v.showNewToken(v.newForm()) }

// lives are the lifetimes that are offered, in days.
var lives = []int{30, 90, 365}

// Values of the field ends, besides the lives.
const (
	onDate  = "date" // on the day of end_date
	endless = "0"
	longest = "longest" // as late as the server lets it
)

// Values of the field rights.
const (
	allRights = "all" // that its owner has
	theseFew  = "these"
)

func (v *Visit) showNewToken(f Form) error { return v.newToken(f, http.StatusOK) }

// newToken shows the form, as an answer of that status.
func (v *Visit) newToken(f Form, status int) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	page := NewToken{
		Form: f, inTokens: v.inTokens(),
		Owner:       f.field(Field{Name: "owner", Label: say("token.owner"), Hint: say("token.owner.hint"), Value: v.query("owner"), Max: 254}),
		Name:        f.field(Field{Name: "name", Label: say("token.name"), Hint: say("token.name.hint"), Required: true, Max: 200, Focus: true}),
		Description: f.field(Field{Name: "description", Label: say("token.description"), Max: 1000}),
		Ends:        f.field(v.endsField()),
		EndDate:     f.field(Field{Name: "end_date", Type: "date", Label: say("token.end_date"), Hint: say("token.end_date.hint")}),
		Rights:      f.field(rightsField(allRights)),
		Permissions: f.permissionPicker("permissions", say("token.permissions"), who.Permissions, nil).focused(f),
		Limits:      f.tokenLimits(api.Token{}),
	}
	return v.showAs(status, page)
}

func rightsField(chosen string) Field {
	return Field{Name: "rights", Label: say("token.rights"), Hint: say("token.rights.hint"), Type: "radio", Options: []Option{
		{Value: allRights, Label: say("token.rights.all"), Chosen: chosen == allRights},
		{Value: theseFew, Label: say("token.rights.these"), Chosen: chosen == theseFew},
	}}
}

// endsField offers what lifetimes the server allows, as far as it is known here: the
// API decides.
func (v *Visit) endsField() Field {
	ends, most := Field{Name: "ends", Label: say("token.ends"), Type: "select"}, int(v.console.TokenTTL/(24*time.Hour))
	for _, days := range lives {
		if days <= most {
			ends.Options = append(ends.Options, Option{Value: strconv.Itoa(days), Label: say("token.life", "n", days), Chosen: days == 90})
		}
	}
	if len(ends.Options) == 0 {
		ends.Options = append(ends.Options, Option{Value: longest, Label: say("token.life_longest")})
	}
	ends.Options = append(ends.Options, Option{Value: onDate, Label: say("token.life_date")})
	if slices.Max(lives) <= most {
		ends.Options = append(ends.Options, Option{Value: endless, Label: say("token.life_endless")})
	}
	return ends
}

func (f Form) tokenLimits(k api.Token) TokenLimits {
	area := func(name string, label, hint Text, values []string) Field {
		return f.field(Field{Name: name, Label: label, Hint: hint, Type: "area", Value: strings.Join(values, "\n")})
	}
	l := TokenLimits{
		Addresses: area("addresses", say("token.addresses"), say("token.addresses.hint"), k.AllowedIPs),
		Hosts:     area("hosts", say("token.hosts"), say("token.hosts.hint"), k.AllowedHosts),
		Paths:     area("paths", say("token.paths"), say("token.paths.hint"), k.AllowedPaths),
		Methods:   area("methods", say("token.methods"), say("token.methods.hint"), k.AllowedMethods),
	}
	for _, one := range []Field{l.Addresses, l.Hosts, l.Paths, l.Methods} {
		l.Open = l.Open || one.Value != "" || one.Problem.Said()
	}
	return l
}

// createToken makes a token. One without an end, or that is powerful, is sensitive.
var createToken = Handler{
	Fields: []string{"owner", "name", "description", "ends", "end_date", "rights", "permissions", "addresses", "hosts", "paths", "methods"},
	Many:   []string{"permissions"},
	answer: mintToken,
	form:   needs(permTokenCreate, func(v *Visit) error { return v.showNewToken(v.again()) }),
	sensitive: func(v *Visit) bool {
		if v.form.Get("rights") != theseFew {
			return v.asksEndless() || v.asksForAnother() || v.isPowerful(nil)
		}
		return v.asksEndless() || v.asksForAnother() || v.isPowerful(v.form["permissions"])
	},
}

// asksForAnother tells whether the form asks for a token of somebody else.
func (v *Visit) asksForAnother() bool {
	owner := v.form.Get("owner")
	if owner == "" {
		return false
	}
	who, err := v.me()
	return err != nil || owner != who.ID
}

// isPowerful tells whether a token with these permissions is powerful; none are
// those of its owner. Where it is not known who asks, it is.
func (v *Visit) isPowerful(permissions []string) bool {
	who, err := v.me()
	if len(permissions) == 0 {
		permissions = who.Permissions
	}
	return err != nil || len(api.Powers(permissions)) > 0
}

// asksEndless tells whether the form asks for a token without an end. A day far off is
// none.
func (v *Visit) asksEndless() bool {
	day, err := time.Parse(time.DateOnly, v.form.Get("end_date"))
	return v.form.Get("ends") == endless || v.form.Get("ends") == onDate && err == nil && v.isFar(dayEnds(day))
}

// dayEnds is when a token ends that is good on a day still.
func dayEnds(day time.Time) int64 { return day.AddDate(0, 0, 1).Unix() }

// isFar tells whether a token that ends then is as good as one without an end.
func (v *Visit) isFar(ends int64) bool { return api.IsFar(ends, v.console.Now()) }

// TokenMade shows the secret of a new token, once.
type TokenMade struct {
	inTokens
	ID     string
	Name   string
	Secret Secret
	Curl   string
}

func (TokenMade) view() (file string, title Text) { return "token_made.html", say("token.made") }

func mintToken(v *Visit) error {
	asked, own := v.askedToken()
	made, err := v.API.CreateToken(v.r.Context(), asked)
	refused, err := v.forForm(err)
	if refused != nil {
		return v.newToken(v.refusedAs(refused, own), refused.Status)
	}
	if err != nil {
		return err
	}
	return v.show(TokenMade{
		inTokens: v.inTokens(), ID: made.ID, Name: made.Name, Secret: Secret{Label: say("token.secret"), Value: made.AccessToken},
		Curl: v.curlLine(made.AccessToken, asked),
	})
}

// What the API refuses, for what is missing in a form: so it tells of all other fields
// with it, and nothing is made.
const (
	noPermission = "" // no permission at all would ask for all of them, or for no change
	noEnd        = 1  // a second of 1970
)

// askedToken reads the form. What is missing in it is said in its own words, by the
// code of what the API has against it.
func (v *Visit) askedToken() (asked api.NewToken, own map[string]fieldProblem) {
	own = map[string]fieldProblem{codeNotFound: {field: "owner"}}
	asked = api.NewToken{
		Name: v.form.Get("name"), Description: v.form.Get("description"), Owner: v.form.Get("owner"),
		AllowedIPs: lines(v.form.Get("addresses")), AllowedHosts: lines(v.form.Get("hosts")),
		AllowedPaths: lines(v.form.Get("paths")), AllowedMethods: lines(v.form.Get("methods")),
	}
	if v.form.Get("rights") == theseFew {
		asked.Permissions = v.chosenPermissions(own)
	}
	switch ends := v.form.Get("ends"); ends {
	case endless:
		asked.ExpireIn = -1
	case longest:
	case onDate:
		day, err := time.Parse(time.DateOnly, v.form.Get("end_date"))
		if err != nil {
			asked.ExpireIn, own["bad_expiry"] = noEnd, fieldProblem{"end_date", say("token.end_date.bad")}
			break
		}
		asked.ExpireIn = dayEnds(day)
	default:
		days, err := strconv.Atoi(ends)
		if err != nil || !slices.Contains(lives, days) {
			asked.ExpireIn, own["bad_expiry"] = noEnd, fieldProblem{"ends", say("token.ends.bad")}
			break
		}
		asked.ExpireIn = v.console.Now().Add(time.Duration(days) * 24 * time.Hour).Unix()
	}
	return asked, own
}

// chosenPermissions are those that are chosen in the form, at least one.
func (v *Visit) chosenPermissions(own map[string]fieldProblem) []string {
	if chosen := v.form["permissions"]; len(chosen) > 0 {
		return chosen
	}
	own["bad_permission"] = fieldProblem{"permissions", say("token.permissions.none")}
	return []string{noPermission}
}

// curlLine is a command that uses a token: at Husk, or where it is good.
func (v *Visit) curlLine(secret string, k api.NewToken) string {
	line, target := "curl -H 'X-API-TOKEN: "+secret+"' ", v.origin()+"/account/profile"
	if len(k.AllowedHosts)+len(k.AllowedPaths)+len(k.AllowedMethods) > 0 {
		if len(k.AllowedMethods) > 0 && !slices.Contains(k.AllowedMethods, http.MethodGet) {
			line += "-X " + k.AllowedMethods[0] + " "
		}
		scheme, _, _ := strings.Cut(v.origin(), ":")
		target = scheme + "://" + strings.Replace(first(k.AllowedHosts, "HOST"), "*", "NAME", 1) + (&url.URL{Path: first(k.AllowedPaths, "/")}).EscapedPath()
	}
	return line + "'" + strings.ReplaceAll(target, "'", `'\''`) + "'"
}

func first(of []string, otherwise string) string {
	if len(of) == 0 {
		return otherwise
	}
	return of[0]
}

// lines are the lines and words of a field, each a value.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == ' ' || r == ',' || r == '\t' })
}
