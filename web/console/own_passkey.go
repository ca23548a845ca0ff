package console

import (
	"net/http"
	"net/url"

	"husk/web/api"
)

var passkeyPlaces = []Place{
	get(roomFactor+"/passkey", Handler{answer: askPasskeyPage}),
	post(roomFactor+"/passkey", BeginPasskey),
	post(roomFactor+"/passkey/add", AddPasskey),
	get(roomFactor+"/passkeys/:id", Handler{answer: ownPasskeyPage}),
	post(roomFactor+"/passkeys/:id", renamePasskey),
	get(roomFactor+"/passkeys/:id/remove", Handler{answer: askRemovePasskey}),
	post(roomFactor+"/passkeys/:id/remove", removePasskey),
}

func passkeyPath(id string) string { return roomFactor + "/passkeys/" + url.PathEscape(id) }

// OwnPasskey is the form of a passkey's name.
type OwnPasskey struct {
	inFactor
	Form
	Passkey api.Passkey
	To      string
	Name    Field
}

func (OwnPasskey) view() (file string, title Text) { return "own_passkey.html", say("passkey.rename") }

func ownPasskeyPage(v *Visit) error { return v.showPasskey(v.newForm(), http.StatusOK) }

func (v *Visit) showPasskey(f Form, status int) error {
	kept, err := v.API.Passkey(v.r.Context(), v.param("id"))
	if err != nil {
		return err
	}
	if err := v.askProof(&f); err != nil {
		return err
	}
	page := OwnPasskey{Form: f, Passkey: kept, To: passkeyPath(kept.ID), Name: passkeyNameField(f)}
	if page.Name.Value == "" {
		page.Name.Value = kept.Name
	}
	return v.showAs(status, page)
}

var renamePasskey = Handler{
	Fields: []string{"name"},
	answer: func(v *Visit) error {
		_, err := v.API.RenamePasskey(v.r.Context(), v.param("id"), api.PasskeyName{Name: v.form.Get("name")})
		refused, err := v.forForm(err, http.StatusNotFound)
		if refused != nil {
			return v.showPasskey(v.refused(refused), refused.Status)
		}
		if err != nil {
			return err
		}
		return v.seeOther(roomFactor + "?done=passkey_renamed")
	},
	form:      func(v *Visit) error { return v.showPasskey(v.again(), http.StatusOK) },
	sensitive: func(*Visit) bool { return true },
}

func askRemovePasskey(v *Visit) error { return v.askPasskeyGone(v.newForm(), http.StatusOK) }

func (v *Visit) askPasskeyGone(f Form, status int) error {
	kept, err := v.API.Passkey(v.r.Context(), v.param("id"))
	if err != nil {
		return err
	}
	factor, err := v.API.SecondFactor(v.r.Context())
	if err != nil {
		return err
	}
	page := AskFactor{Title: say("passkey.remove.ask", "name", kept.Name), About: say("passkey.remove.about", "host", kept.Host), To: passkeyPath(kept.ID) + "/remove", Act: say("passkey.remove"), Danger: true}
	if factor.TOTP == nil && len(factor.Passkeys) == 1 {
		page.Effects = lastFactorGone(factor)
	}
	return v.askFactor(page, f, status)
}

var removePasskey = Handler{
	Fields: []string{fieldOnce},
	answer: func(v *Visit) error {
		_, err := v.API.RemovePasskey(v.r.Context(), v.param("id"))
		refused, err := v.forForm(err, http.StatusNotFound)
		if refused != nil {
			return v.askPasskeyGone(v.refused(refused), refused.Status)
		}
		if err != nil {
			return err
		}
		return v.seeOther(roomFactor + "?done=passkey_removed")
	},
	form:      func(v *Visit) error { return v.askPasskeyGone(v.again(), http.StatusOK) },
	sensitive: func(*Visit) bool { return true },
}
