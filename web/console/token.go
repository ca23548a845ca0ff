package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"husk/web/api"
)

var tokenPlaces = []Place{
	get(roomTokens, Handler{answer: tokensPage}),
	get(roomTokens+"/new", Handler{answer: newTokenPage}),
	post(roomTokens, createToken),
	get(roomTokens+"/:id", Handler{answer: tokenPage}),
	get(roomTokens+"/:id/revoke", Handler{answer: revokePage}),
	post(roomTokens+"/:id/revoke", Handler{Fields: []string{fieldOnce}, answer: revokeToken}),
}

// Tokens lists one's own API tokens.
type Tokens struct {
	Done   Text // what was just done; may say nothing
	Query  string
	Tokens []TokenRow
	Pager  Pager
	Empty  Empty
	May    struct{ Create bool }
}

// TokenRow is a token in a list.
type TokenRow struct {
	ID       string
	Name     string
	State    State
	Ends     int64 // Unix seconds, -1 never
	LastUsed *time.Time
	LastIP   string
}

func (Tokens) view() (file string, title Text) { return "tokens.html", say("token.list") }
func (Tokens) room() string                    { return roomTokens }

func tokensPage(v *Visit) error {
	page := Tokens{Query: v.query("q"), Empty: Empty{Text: say("token.none"), Act: say("token.new"), Link: roomTokens + "/new"}}
	if v.query("done") == "revoked" {
		page.Done = say("token.revoked")
	}
	found, err := v.API.SearchTokens(v.r.Context(), api.ListOptions{Size: pageSize, Query: page.Query, After: v.query("after")})
	if err != nil {
		return err
	}
	if _, err := v.me(); err != nil {
		return err
	}
	page.May.Create = v.may(permTokenCreate)
	for _, hit := range found.Hits.Hits {
		page.Tokens = append(page.Tokens, v.tokenRow(hit.Source))
	}
	page.Pager = v.pager(found.Hits.After)
	return v.show(page)
}

func (v *Visit) tokenRow(k api.Token) TokenRow {
	return TokenRow{ID: k.ID, Name: k.Name, State: tokenState(k, v.console.Now()), Ends: k.ExpireIn, LastUsed: k.LastUsed, LastIP: k.LastIP}
}

// soon is how long before its end a token is said to end soon.
const soon = 30 * 24 * time.Hour

func tokenState(k api.Token, now time.Time) State {
	left := time.Unix(k.ExpireIn, 0).Sub(now)
	switch {
	case k.ExpireIn < 0:
		return State{"plain", say("token.endless")}
	case left <= 0:
		return State{"bad", say("token.ended")}
	case left < soon:
		return State{"warn", say("token.days", "n", int(left.Hours()/24))}
	}
	return State{"good", say("token.good")}
}

// NewToken asks what a new token is to be.
type NewToken struct {
	Form
	Name      Field
	Ends      Field
	Addresses Field
}

func (NewToken) view() (file string, title Text) { return "token_new.html", say("token.new") }
func (NewToken) room() string                    { return roomTokens }

func newTokenPage(v *Visit) error { return v.show(v.newTokenForm(newForm())) }

// lives are the lifetimes that are offered, in days; 0 never ends.
var lives = []int{30, 90, 365, 0}

func (v *Visit) newTokenForm(f Form) NewToken {
	ends := Field{Name: "ends", Label: say("token.ends"), Type: "select"}
	for _, days := range lives {
		o := Option{Value: strconv.Itoa(days), Label: say("token.life", "n", days), Chosen: days == 90}
		if days == 0 {
			o.Label = say("token.life_endless")
		}
		ends.Options = append(ends.Options, o)
	}
	return NewToken{
		Form:      f,
		Name:      f.field(Field{Name: "name", Label: say("token.name"), Hint: say("token.name.hint"), Required: true, Max: 255, Focus: true}),
		Ends:      f.field(ends),
		Addresses: f.field(Field{Name: "addresses", Label: say("token.addresses"), Hint: say("token.addresses.hint"), Type: "area"}),
	}
}

// createToken makes a token. One without an end is sensitive.
var createToken = Handler{
	Fields:    []string{"name", "ends", "addresses"},
	answer:    mintToken,
	form:      func(v *Visit) error { return v.show(v.newTokenForm(v.again())) },
	sensitive: func(v *Visit) bool { return v.form.Get("ends") == "0" },
}

// TokenMade shows the secret of a new token, once.
type TokenMade struct {
	ID     string
	Name   string
	Secret Secret
	Curl   string
}

func (TokenMade) view() (file string, title Text) { return "token_made.html", say("token.made") }
func (TokenMade) room() string                    { return roomTokens }

func mintToken(v *Visit) error {
	asked := api.NewToken{Name: v.form.Get("name"), AllowedIPs: lines(v.form.Get("addresses")), ExpireIn: -1}
	if days, _ := strconv.Atoi(v.form.Get("ends")); days > 0 {
		asked.ExpireIn = v.console.Now().Add(time.Duration(days) * 24 * time.Hour).Unix()
	}
	made, err := v.API.CreateToken(v.r.Context(), asked)
	if refused := refusedBy(err); refused != nil && refused.Status != http.StatusUnauthorized {
		return v.refuse(refused, v.newTokenForm(v.refused(refused)))
	}
	if err != nil {
		return err
	}
	return v.show(TokenMade{
		ID: made.ID, Name: made.Name, Secret: Secret{Label: say("token.secret"), Value: made.AccessToken},
		Curl: "curl -H 'X-API-TOKEN: " + made.AccessToken + "' " + v.origin() + "/account/profile",
	})
}

// lines are the lines and words of a field, each a value.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == ' ' || r == ',' || r == '\t' })
}

// TokenDetails shows a token.
type TokenDetails struct {
	Token api.Token
	State State
}

func (p TokenDetails) view() (file string, title Text) { return "token.html", literal(p.Token.Name) }
func (TokenDetails) room() string                      { return roomTokens }

func tokenPage(v *Visit) error {
	found, err := v.API.GetToken(v.r.Context(), v.param("id"))
	if err != nil {
		return err
	}
	return v.show(TokenDetails{Token: found.Source, State: tokenState(found.Source, v.console.Now())})
}

// RevokeToken asks before a token ends.
type RevokeToken struct {
	Form
	Token api.Token
}

func (RevokeToken) view() (file string, title Text) { return "token_revoke.html", say("token.revoke") }
func (RevokeToken) room() string                    { return roomTokens }

func revokePage(v *Visit) error {
	found, err := v.API.GetToken(v.r.Context(), v.param("id"))
	if err != nil {
		return err
	}
	return v.show(RevokeToken{Form: newForm(), Token: found.Source})
}

func revokeToken(v *Visit) error {
	if _, err := v.API.DeleteToken(v.r.Context(), v.param("id")); err != nil {
		return err
	}
	return v.seeOther(roomTokens + "?done=revoked")
}
