package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// RecoveryCodes shows recovery codes, once.
type RecoveryCodes struct {
	Door    string // path of the page that they were asked for on
	Return  string // where to go afterwards, signed; may be empty
	Out     bool   // to an application
	First   bool   // a second factor was just set up
	Codes   []string
	Host    string // of this server
	Account string
	Made    time.Time
	Held    string // they are, signed, for the file
}

func (RecoveryCodes) view() (file string, title Text) { return "codes.html", say("factor.codes") }
func (p RecoveryCodes) room() string                  { return roomOfDoor(p.Door) }

// Card tells whether they stand alone, before the house.
func (p RecoveryCodes) Card() bool     { return p.Door == pageSecondFactor }
func (p RecoveryCodes) leadsOut() bool { return p.Out }

// showCodes shows codes that were just made.
func (v *Visit) showCodes(codes []string, first bool) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	target := v.factorTarget()
	page := RecoveryCodes{
		Door: v.door(), Return: v.console.sealReturn(target), Out: strings.HasPrefix(target, ContinuePath+"?"), First: first, Codes: codes,
		Account: username(who), Made: v.console.Now(), Held: v.hold(heldCodes, strings.Join(codes, "\n")), Host: v.origin(),
	}
	if u, err := url.Parse(page.Host); err == nil {
		page.Host = u.Host
	}
	return v.show(page)
}

// CodesFile answers with codes that were just shown, as a text to keep. They come from
// the page itself, which sends them along: they are kept nowhere else.
var CodesFile = Handler{Fields: []string{fieldHeld}, answer: codesFile}

func codesFile(v *Visit) error {
	codes, ok := v.held(heldCodes)
	if !ok {
		return v.showAs(http.StatusConflict, Failure{Title: say("factor.codes.gone.title"), Text: say("factor.codes.gone"), Back: roomFactor})
	}
	who, err := v.me()
	if err != nil {
		return err
	}
	text := "Husk · " + v.origin() + " · " + username(who) + " · " + v.console.Now().UTC().Format(time.DateOnly) + "\n\n" + codes + "\n"
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="husk-recovery-codes.txt"`)
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write([]byte(text)) // who asked may have left
	return nil
}

func askNewCodes(v *Visit) error { return v.askCodes(v.newForm(), http.StatusOK) }

func (v *Visit) askCodes(f Form, status int) error {
	factor, err := v.API.SecondFactor(v.r.Context())
	switch {
	case err != nil:
		return err
	case len(factor.Methods) == 0:
		return absent("recovery codes are for who has a second factor: set one up first")
	}
	page := AskFactor{Title: say("factor.codes.new"), About: say("factor.codes.about"), To: roomFactor + "/codes", Act: say("factor.codes.make")}
	if factor.Recovery.Left > 0 {
		page.Effects = []Text{say("factor.effect.codes_gone", "count", say("factor.codes.count", "n", factor.Recovery.Left))}
	}
	return v.askFactor(page, f, status)
}

var makeNewCodes = Handler{
	Fields: []string{fieldOnce},
	answer: func(v *Visit) error {
		made, err := v.API.NewRecoveryCodes(v.r.Context())
		refused, err := v.forForm(err)
		switch {
		case err != nil:
			return err
		case refused != nil:
			return v.askCodes(v.refused(refused), refused.Status)
		}
		return v.showCodes(made.Codes, false)
	},
	form:      func(v *Visit) error { return v.askCodes(v.again(), http.StatusOK) },
	sensitive: func(*Visit) bool { return true },
}
