package console

import (
	"net/http"

	"husk/web/api"
)

// A rotation has two steps. The first makes a new secret, which is shown once; the old
// one stays all that it was. The second, when the new one is where it is used, ends the
// old one, after a grace. Who is interrupted in between settles or undoes it at the
// page of the token, with the new secret, or begins another rotation.

// RotateToken asks before a token gets a new secret.
type RotateToken struct {
	Form
	inTokens
	Token api.Token
}

func (RotateToken) view() (file string, title Text) { return "token_rotate.html", say("token.rotate") }

func rotateTokenPage(v *Visit) error { return v.askRotateToken(v.newForm()) }

// askRotateToken is for whose token it is: else the new secret would be another's.
func (v *Visit) askRotateToken(f Form) error {
	k, err := v.token()
	if err != nil {
		return err
	}
	who, err := v.me()
	if err == nil && k.Owner != who.ID {
		err = forbidden("not_owner", "one rotates only one's own tokens: the new secret would be another's")
	}
	if err != nil {
		return err
	}
	return v.showRotateToken(k, f, http.StatusOK)
}

func (v *Visit) showRotateToken(k api.Token, f Form, status int) error {
	return v.showAs(status, RotateToken{Form: f, inTokens: v.inTokens(), Token: k})
}

// rotateToken makes a new secret: of a token that never ends, or is powerful, that is
// as sensitive as to make such a token.
var rotateToken = Handler{
	Fields: []string{fieldOnce},
	answer: beginRotation,
	form:   needs(permTokenUpdate, func(v *Visit) error { return v.askRotateToken(v.again()) }),
	sensitive: func(v *Visit) bool {
		k, err := v.token()
		return err != nil || v.isFar(k.ExpireIn) || v.isPowerful(k.Permissions)
	},
}

// TokenRotated shows the new secret of a token, once.
type TokenRotated struct {
	inTokens
	Token  api.TokenCreated
	Secret Secret
	Settle SettleForm
}

func (TokenRotated) view() (file string, title Text) {
	return "token_rotated.html", say("token.rotated")
}

func beginRotation(v *Visit) error {
	made, err := v.API.RotateToken(v.r.Context(), v.param("id"), api.Rotate{Hold: true})
	refused, err := v.forForm(err, http.StatusNotFound)
	if refused != nil {
		k, err := v.token()
		if err != nil {
			return err
		}
		return v.showRotateToken(k, v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	return v.show(TokenRotated{inTokens: v.inTokens(), Token: made, Secret: Secret{Label: say("token.secret"), Value: made.AccessToken}, Settle: newSettleForm(v.newForm())})
}

// SettleForm is that of the second step.
type SettleForm struct {
	Form
	Secret Field
	Grace  Field
}

func newSettleForm(f Form) SettleForm {
	return SettleForm{
		Form:   f,
		Secret: f.field(Field{Name: fieldSecret, Label: say("token.new_secret"), Hint: say("token.new_secret.hint"), Type: "password", Required: true}),
		Grace: f.field(Field{Name: "grace", Label: say("token.grace"), Hint: say("token.grace.hint"), Type: "select", Options: []Option{
			{Value: "", Label: say("token.grace.none")}, {Value: "1h", Label: say("token.grace.hour")},
			{Value: "24h", Label: say("token.grace.day"), Chosen: true}, {Value: "168h", Label: say("token.grace.week")},
		}}),
	}
}

var settleToken = Handler{
	Fields: []string{fieldSecret, "grace", "undo"},
	answer: settleRotation,
	form: func(v *Visit) error {
		k, err := v.token()
		if err != nil {
			return err
		}
		return v.showToken(k, v.again(), http.StatusOK)
	},
}

func settleRotation(v *Visit) error {
	undo, id := v.form.Get("undo") != "", v.param("id")
	_, err := v.API.SettleToken(v.r.Context(), id, api.Settle{AccessToken: v.form.Get(fieldSecret), Grace: v.form.Get("grace"), Undo: undo})
	refused, err := v.forForm(err, http.StatusNotFound)
	if refused != nil {
		k, err := v.token()
		if err != nil {
			return err
		}
		return v.showToken(k, v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	if undo {
		return v.seeOther(v.inTokens().path(id) + "?done=undone")
	}
	// To the API who shows the secret of now has settled already.
	k, err := v.token()
	if err != nil {
		return err
	}
	if k.Next != nil {
		return v.showToken(k, v.formWith(fieldProblem{fieldSecret, say("token.new_secret.old")}), http.StatusConflict)
	}
	return v.seeOther(v.inTokens().path(id) + "?done=settled")
}
