package console

import (
	"net/http"
	"time"

	"husk/web/api"
)

var keyPlaces = []Place{
	get(roomKeys, Handler{answer: keysPage}),
	get(roomKeys+"/rotate", Handler{answer: rotatePage}),
	post(roomKeys+"/rotate", Handler{
		Fields: []string{fieldOnce, "now"}, answer: rotateKey,
		form:      needs(permKeys, func(v *Visit) error { return v.askRotation(v.again()) }),
		sensitive: func(*Visit) bool { return true },
	}),
}

// Keys lists the keys by which sessions are signed.
type Keys struct {
	inSystem
	Done     Text
	Keys     []KeyRow
	Pager    Pager
	Terminal Terminal
}

// KeyRow is a key in a list.
type KeyRow struct {
	ID      string
	State   State
	Created time.Time
	Retired *time.Time // it signs no more since
	Ends    *time.Time // it is good for nothing any more from
}

func (Keys) view() (file string, title Text) { return "keys.html", say("key.list") }

func keysPage(v *Visit) error {
	if _, err := v.me(); err != nil {
		return err
	}
	found, err := v.API.SearchKeys(v.r.Context(), api.ListOptions{Size: pageSize, After: v.query("after")})
	if err != nil {
		return err
	}
	page := Keys{inSystem: v.inSystem(roomKeys), Pager: v.pager(found.Hits.After), Terminal: Terminal{"terminal", "husk key list\nhusk key rotate"}}
	if v.query("done") == "rotated" {
		page.Done = say("key.rotated")
	}
	now := v.console.Now()
	for _, hit := range found.Hits.Hits {
		k := hit.Source
		row := KeyRow{ID: k.ID, State: State{"plain", say("key.verifies")}, Created: k.Created, Retired: k.Retired, Ends: k.Ends}
		switch {
		case k.Signing:
			row.State = State{"good", say("key.signs")}
		case k.Ends != nil && !k.Ends.After(now):
			row.State = State{"plain", say("key.ended")}
		}
		page.Keys = append(page.Keys, row)
	}
	return v.show(page)
}

// RotateKey asks before the signing key is replaced.
type RotateKey struct {
	Form
	Ending Text // how many sessions there are, for who may know
	Now    Field
}

func (RotateKey) view() (file string, title Text) { return "key_rotate.html", say("key.rotate") }
func (RotateKey) room() string                    { return roomSystem }

// rotatePage is for who may see the keys.
func rotatePage(v *Visit) error {
	if _, err := v.API.SearchKeys(v.r.Context(), api.ListOptions{Size: 1}); err != nil {
		return err
	}
	return v.askRotation(v.newForm())
}

func (v *Visit) askRotation(f Form) error {
	if err := v.askProof(&f); err != nil {
		return err
	}
	page := rotationForm(f)
	if v.may(permSystemRead) {
		if h, err := v.API.HealthDetails(v.r.Context()); err == nil {
			page.Ending = say("key.sessions_there", "n", h.Sessions)
		}
	}
	return v.show(page)
}

func rotationForm(f Form) RotateKey {
	return RotateKey{Form: f, Now: f.field(Field{Name: "now", Type: "radio", Label: say("key.sessions"), Options: []Option{
		{Value: "no", Label: say("key.keep"), Hint: say("key.keep.hint"), Chosen: true},
		{Value: "yes", Label: say("key.now"), Hint: say("key.now.hint")},
	}})}
}

func rotateKey(v *Visit) error {
	_, err := v.API.RotateKey(v.r.Context(), api.RotateKey{Now: v.form.Get("now") == "yes"})
	refused, err := v.forForm(err, http.StatusForbidden)
	if refused != nil {
		return v.refuse(refused, rotationForm(v.refused(refused)))
	}
	if err != nil {
		return err
	}
	return v.seeOther(roomKeys + "?done=rotated")
}
