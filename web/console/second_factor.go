package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"husk/web/api"
)

// pageSecondFactor is where who is signed in proves a second factor, or has to set one
// up before anything else. It is a card: who may do nothing else has no house.
const pageSecondFactor = "/second-factor"

// SecondFactor asks for a second factor, or for the set-up of one.
type SecondFactor struct {
	Form
	Factor   api.SecondFactor
	Return   string // where to go afterwards, signed; may be empty
	Out      bool   // to an application
	Username string
	Key      *PasskeyAsk // nil where no passkey can be used
}

func (p SecondFactor) view() (file string, title Text) {
	if p.SetUp() {
		return "second_factor.html", say("factor.must.title")
	}
	return "second_factor.html", say("factor.prove.title")
}
func (p SecondFactor) leadsOut() bool    { return p.Out }
func (p SecondFactor) asksPasskey() bool { return p.Key != nil }

// SetUp tells whether there is none yet that could be proved.
func (p SecondFactor) SetUp() bool { return len(p.Factor.Methods) == 0 }

// Has tells whether a method is set up.
func (p SecondFactor) Has(method string) bool { return slices.Contains(p.Factor.Methods, method) }

// SecondFactorPage shows what a session lacks of a second factor.
var SecondFactorPage = Handler{answer: secondFactorPage}

func secondFactorPage(v *Visit) error {
	return v.showFactor(v.newForm(), v.factorTarget(), http.StatusOK)
}

// factorTarget is where one goes afterwards: to what the console signed, or to an
// application, whose way back the gate did.
func (v *Visit) factorTarget() string {
	sealed := cmp.Or(v.form.Get("return"), v.query("return"))
	if _, ok := v.console.Application(v.r, sealed); ok {
		return ContinuePath + "?to=" + sealed
	}
	return v.console.openReturn(sealed)
}

// showFactor shows the page; who has proved one lately is led on.
func (v *Visit) showFactor(f Form, target string, status int) error {
	factor, err := v.API.SecondFactor(v.r.Context())
	if err != nil {
		return err
	}
	who, err := v.me()
	if err != nil {
		return err
	}
	if factor.Proved != nil && who.ProvedUntil != nil {
		return v.seeOther(target)
	}
	page := SecondFactor{Form: f, Factor: factor, Username: username(who), Return: v.console.sealReturn(target), Out: strings.HasPrefix(target, ContinuePath+"?")}
	if page.Has(methodPasskey) {
		if page.Key, err = v.passkeyProof(page.Return); err != nil {
			return err
		}
	}
	if page.SetUp() {
		if err := v.askProof(&page.Form); err != nil {
			return err
		}
	}
	return v.showAs(status, page)
}

// ProveFactor takes the code of SecondFactorPage.
var ProveFactor = Handler{Fields: []string{"code", "return"}, answer: proveFactor}

func proveFactor(v *Visit) error {
	target := v.factorTarget()
	code := typedCode(v.form.Get("code"))
	if code == "" { // the button that leads on, behind recovery codes
		return v.showFactor(v.newForm(), target, http.StatusOK)
	}
	_, err := v.API.Prove(v.r.Context(), api.Proof{Code: code})
	refused, err := v.forForm(err)
	switch {
	case err != nil:
		return err
	case refused != nil:
		return v.showFactor(v.refused(refused), target, refused.Status)
	}
	return v.seeOther(target)
}
