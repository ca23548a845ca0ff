package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"time"

	"husk/web/api"
)

// ownFields are the names that all forms may have besides their own.
var ownFields = []string{fieldOnce, fieldBy, fieldProof, fieldSeen, fieldKept}

const (
	fieldOnce   = "once"   // names this showing of the form: it is done once
	fieldBy     = "by"     // marks whose form it is
	fieldProof  = "proof"  // the password or a code, before an act that is sensitive
	fieldSeen   = "seen"   // when what is changed was last changed, as the page knew it
	fieldSecret = "secret" // of an API token
	fieldKept   = "kept"   // the form comes from a sign-in in between, and is to be shown
)

// secretFields are never sent back to a browser.
var secretFields = []string{"password", "old_password", "new_password", "again", fieldProof, fieldSecret, "code", fieldTicket, fieldHeld}

// Form is what every form of the shell has; pages embed it. Its templates are form
// and field of parts.html.
type Form struct {
	Once    string // a new value for each showing
	By      string // marks whom it was shown
	Seen    string
	Proof   bool // ask for the password as well, or a code
	ByCode  bool // a code, since a second factor is set up that was not proved in the session
	Problem Text // what is wrong with the whole
	Wait    int  // seconds until the next try may be made

	// ProofPage leads to where a passkey proves it instead of a code; "" for who has none.
	ProofPage string

	values   url.Values      // as they were sent; nil where the form is new
	problems map[string]Text // by the name of the field
	focused  *bool           // the first field with a problem has the focus
}

func (f Form) waits() int { return f.Wait }

// newForm is an empty form.
func (v *Visit) newForm() Form {
	return Form{Once: rand.Text(), By: v.console.markOf(v.by.User), focused: new(bool)}
}

// again is the form with what was sent, without secrets.
func (v *Visit) again() Form {
	f := v.newForm()
	f.values = url.Values{}
	for name, values := range v.form {
		if !slices.Contains(secretFields, name) {
			f.values[name] = values
		}
	}
	f.Seen = v.form.Get(fieldSeen)
	if v.wantsProof {
		v.wantProof(&f)
	}
	switch {
	case v.proofProblem.Said():
		f.problems, f.Wait = map[string]Text{fieldProof: v.proofProblem}, v.proofWait
	case v.wantsProof && f.ByCode:
		f.Problem = say("form.code_wanted")
	case v.wantsProof:
		f.Problem = say("form.proof_wanted")
	case v.form.Get(fieldKept) != "":
		f.Problem = say("form.kept")
	}
	return f
}

// refused is the form with what was sent, and what the API said against it: at the
// field that it is about, where that is known.
func (v *Visit) refused(e *api.Error) Form {
	return v.refusedAs(e, nil)
}

// refusedAs is refused, where the form says some of it by itself: by the code of the
// API.
func (v *Visit) refusedAs(e *api.Error, own map[string]fieldProblem) Form {
	f := v.again()
	f.tell(e, func(one *api.Error) fieldProblem {
		if said, ok := own[one.Detail.Code]; ok {
			return said
		}
		return fieldProblem{field: cmp.Or(one.Detail.Field, fieldOfCode[one.Detail.Code])}
	})
	return f
}

// fieldProblem is what is wrong with a field. Without a text it is what the API says.
type fieldProblem struct {
	field string
	Text
}

// formWith is the form with what was sent, and what is wrong with a field.
func (v *Visit) formWith(wrong fieldProblem) Form {
	f := v.again()
	f.problems = map[string]Text{wrong.field: wrong.Text}
	return f
}

// forForm divides what an act ended with. refused is for the form that was sent to tell,
// which is then answered with its status; other is for the whole page: that nobody is
// signed in any more, what has one of the statuses in but, and what is no answer of the
// API.
func (v *Visit) forForm(err error, but ...int) (refused *api.Error, other error) {
	refused = refusedBy(err)
	if refused == nil || refused.Status == http.StatusUnauthorized || slices.Contains(but, refused.Status) {
		return nil, err
	}
	retryAfter(v.w, refused)
	return refused, nil
}

// tell has the form say what the API has against it: at fields, where they are known.
// Of several things the first one that belongs to no field is said of the whole.
func (f *Form) tell(e *api.Error, at func(*api.Error) fieldProblem) {
	f.problems = map[string]Text{}
	for _, one := range e.All() {
		said := at(one)
		text, wait := problemOf(one)
		switch {
		case said.Said():
			text = said.Text
		case said.field != "" && one.Detail.Code == codeNotFound:
			text = say("form.no_user") // nothing else is named in a field by what may be gone
		}
		if f.Wait = wait; said.field == "" || wait > 0 {
			if !f.Problem.Said() {
				f.Problem = text
			}
		} else if !f.problems[said.field].Said() {
			f.problems[said.field] = text
		}
	}
	if n := len(f.problems); n > 1 && !f.Problem.Said() {
		f.Problem = say("form.several", "n", n)
	}
}

// asked is the form of a list, as it stands in the address of the page.
func (v *Visit) asked() Form { return Form{values: v.r.URL.Query(), focused: new(bool)} }

// narrowed has the form of a list say why that can't be narrowed as it was asked, at
// the field that fields has for the code. other is any other error.
func (f *Form) narrowed(err error, fields map[string]string) (refused *api.Error, other error) {
	refused = refusedBy(err)
	if refused == nil || refused.Status != http.StatusBadRequest && refused.Status != http.StatusNotFound {
		return nil, err
	}
	f.tell(refused, func(e *api.Error) fieldProblem { return fieldProblem{field: fields[e.Detail.Code]} })
	return refused, nil
}

// fieldOfCode is which field of a form a refusal of the API is about.
var fieldOfCode = map[string]string{
	"bad_email": "email", "email_required": "email", "email_taken": "email",
	"bad_expiry": "ends", "ttl_too_long": "ends", "outlives_token": "ends",
	"bad_grace": "grace",
	"bad_host":  "hosts", "bad_path": "paths", "bad_method": "methods", "reach_too_long": "hosts",
	"bad_prefix": "addresses", "too_many_addresses": "addresses",
	"bad_permission": "permissions", "unknown_permission": "permissions", "too_many_permissions": "permissions", "owner_lacks": "permissions", "asks_more": "permissions",
	"bad_role": "roles", "unknown_role": "roles", "too_many_roles": "roles",
	"bad_role_name": "name", "role_exists": "name", "name_required": "name", "text_not_plain": "name", "text_too_long": "name",
	"password_common": "password", "password_missing": "password", "password_personal": "password",
	"password_too_long": "password", "password_too_short": "password",
	"password_unchanged": "new_password", "wrong_password": "old_password", "password_mismatch": "again",
	"bad_url": "url", "user_missing": "user", "unknown_actor": "actor", "unknown_target": "target",
	"bad_token": fieldSecret, "no_rotation": fieldSecret, "rotation_ended": fieldSecret, "bad_from": "from", "bad_head": "head", "bad_time": "since", "bad_interval": "since", "unknown_action": "action",
}

// Field is a field of a form, as the template of that name shows it.
type Field struct {
	Name         string
	Label        Text
	Hint         Text
	Type         string // text, email, password, number, date, area, check, select; "" is text
	Value        string
	Options      []Option // of a select, or a group of checks
	Required     bool
	Max          int    // characters; 0: no limit here
	Autocomplete string // "": off
	Mode         string // the keys that a phone shows (HTML, inputmode); "": as the type has it
	Focus        bool

	Problem Text // set by field
}

// Many tells whether there is more to choose from than is seen at a glance: then it can
// be filtered, and scrolls in a place of its own.
func (f Field) Many() bool { return len(f.Options) > 12 }

// Option is one of what a field offers.
type Option struct {
	Value  string
	Label  Text
	Hint   Text
	Chosen bool
}

// field completes a field with what was sent, and what is wrong with it.
func (f Form) field(in Field) Field {
	if f.values != nil && in.Type != "password" {
		sent := f.values[in.Name]
		in.Value = f.values.Get(in.Name)
		for i, o := range in.Options {
			in.Options[i].Chosen = slices.Contains(sent, o.Value)
		}
	}
	in.Problem = f.problems[in.Name]
	in.Focus = in.Focus && len(f.problems) == 0 && !f.Proof || f.isFirst(in.Problem)
	return in
}

// isFirst tells whether a problem is that of the first field that has one: a page has
// one focus.
func (f Form) isFirst(problem Text) bool {
	if !problem.Said() || *f.focused {
		return false
	}
	*f.focused = true
	return true
}

// ProofField is the password or the code that a sensitive act asks for.
func (f Form) ProofField() Field {
	in := Field{Name: fieldProof, Type: "password", Label: say("form.proof"), Hint: say("form.proof.hint"), Required: true, Autocomplete: "current-password"}
	if f.ByCode {
		in = Field{Name: fieldProof, Label: say("form.code"), Hint: say("form.code.hint"), Required: true, Max: 64, Autocomplete: "one-time-code"}
	}
	in = f.field(in)
	in.Focus = in.Problem.Said() || len(f.problems) == 0
	return in
}

// wantProof has a form ask for a proof: by a code, where the password alone is not
// enough. Who asks is known already.
func (v *Visit) wantProof(f *Form) {
	f.Proof = true
	if v.profile == nil {
		return
	}
	f.ByCode = len(v.profile.ProveBy) > 0
	if slices.Contains(v.profile.ProveBy, methodPasskey) {
		back := roomAt(v.r.URL.Path).Path
		if IsSafeMethod(v.r) {
			back = v.r.URL.RequestURI()
		}
		f.ProofPage = v.console.withReturn(pageSecondFactor, back)
	}
}

// proven tells whether who asks may do what is sensitive: they showed the password, or
// a code where that is wanted, lately, or with this form. A wrong one counts as a sign-in
// that failed.
func (v *Visit) proven() (bool, error) {
	shown := v.form.Get(fieldProof)
	if shown == "" {
		return v.freshProof()
	}
	who, err := v.me()
	if err != nil {
		return false, err
	}
	proof := api.Proof{Password: shown}
	if len(who.ProveBy) > 0 {
		proof = api.Proof{Code: typedCode(shown)}
	}
	_, err = v.API.Prove(v.r.Context(), proof)
	if refused := refusedBy(err); refused != nil && refused.Status != http.StatusUnauthorized {
		v.proofProblem, v.proofWait = problemOf(refused)
		return false, nil
	}
	v.profile = nil
	return err == nil, err
}

func (v *Visit) freshProof() (bool, error) {
	who, err := v.me()
	return err == nil && who.ProvedUntil != nil && who.ProvedUntil.After(v.console.Now()), err
}

// askProof has a new form ask for a proof at once, where it will be wanted.
func (v *Visit) askProof(f *Form) error {
	fresh, err := v.freshProof()
	if err == nil && !fresh {
		v.wantProof(f)
	}
	return err
}

// seenAt is what fieldSeen has of something that was changed at.
func seenAt(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// changedMeanwhile has the form say that what it changes is another since, and was
// last changed at.
func (f *Form) changedMeanwhile(at time.Time) {
	f.Problem, f.Seen = say("form.stale"), seenAt(at)
}

// stale tells whether what the form changes was changed since the page was shown.
func (v *Visit) stale(updated time.Time) bool {
	seen := v.form.Get(fieldSeen)
	return seen != "" && seen != seenAt(updated)
}
