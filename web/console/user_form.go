package console

import (
	"net/http"

	"husk/web/api"
)

// UserForm makes a user, or changes something about one.
type UserForm struct {
	Form
	Title  Text
	About  Text
	To     string // where it is sent
	Back   string
	Act    Text
	Fields []Field
	Typed  Field // the password, where it is typed; shown where it has a name
}

func (p UserForm) view() (file string, title Text) { return "user_form.html", p.Title }
func (UserForm) room() string                      { return roomUsers }

func userPath(id string) string { return roomUsers + "/" + id }

// The ways in that a user is given.
const (
	wayInvite = "invite" // a password that is generated, and shown once
	wayTyped  = "typed"
	wayNone   = "none"
)

func wayField(f Form, ways ...Option) Field {
	ways[0].Chosen = true
	return f.field(Field{Name: "way", Type: "radio", Label: say("user.way"), Options: ways})
}

func typedField(f Form) Field {
	return f.field(Field{Name: "password", Type: "password", Label: say("field.password"), Hint: say("setup.password.hint"), Autocomplete: "new-password", Required: false})
}

func newUserPage(v *Visit) error {
	f := v.newForm()
	if err := v.askProof(&f); err != nil {
		return err
	}
	return v.showNewUser(f, http.StatusOK)
}

func (v *Visit) showNewUser(f Form, status int) error {
	roles, err := v.knownRoles()
	if err != nil {
		return err
	}
	page := UserForm{
		Form: f, Title: say("user.new"), About: say("user.new.about"), To: roomUsers, Back: roomUsers, Act: say("user.make"),
		Fields: []Field{
			f.field(Field{Name: "email", Label: say("field.email"), Type: "email", Required: true, Max: 254, Focus: true}),
			f.field(Field{Name: "name", Label: say("field.name"), Hint: say("user.name.hint"), Max: 200}),
		},
		Typed: typedField(f),
	}
	if len(roles) > 0 {
		chosen := v.rolesField(f, roles, []string{roleUser})
		chosen.Hint = say("user.roles.hint")
		page.Fields = append(page.Fields, chosen)
	}
	if other := otherRoles(f, roles); other.Name != "" {
		page.Fields = append(page.Fields, other)
	}
	page.Fields = append(page.Fields, wayField(f,
		Option{Value: wayInvite, Label: say("user.way.invite"), Hint: say("user.way.invite.hint")},
		Option{Value: wayTyped, Label: say("user.way.typed"), Hint: say("user.way.typed.hint")},
		Option{Value: wayNone, Label: say("user.way.none"), Hint: say("user.way.none.hint")}))
	return v.showAs(status, page)
}

// roleUser is the role of who is given none.
const roleUser = "user"

// createUser makes a user: somebody who may come in from then on, with an email by which
// rules of the gate and applications may know them. Else a browser that was left alone
// would make one for whoever sits down at it.
var createUser = Handler{
	Fields:    []string{"email", "name", "roles", fieldOtherRoles, "way", "password"},
	Many:      []string{"roles"},
	answer:    makeUser,
	form:      needs(permUserCreate, func(v *Visit) error { return v.showNewUser(v.again(), http.StatusOK) }),
	sensitive: func(*Visit) bool { return true },
}

func makeUser(v *Visit) error {
	asked := api.NewUser{Email: v.form.Get("email"), Name: v.form.Get("name"), Roles: v.sentRoles(), NoPassword: v.form.Get("way") == wayNone}
	if v.form.Get("way") == wayTyped {
		if asked.Password = v.form.Get("password"); asked.Password == "" {
			return v.showNewUser(v.formWith(fieldProblem{"password", say("user.password.missing")}), http.StatusBadRequest)
		}
	}
	made, err := v.API.CreateUser(v.r.Context(), asked)
	refused, err := v.forForm(err)
	if refused != nil {
		return v.showNewUser(v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	if made.Password == "" {
		return v.seeOther(userPath(made.User.ID) + "?done=made")
	}
	return v.show(v.invitation(made.User, made.Password))
}

// Invitation shows a password that was generated, once, and what to tell who gets it.
type Invitation struct {
	ID     string
	Name   string
	Still  Text // what still keeps them out; may say nothing
	Secret Secret
	Text   Text // to hand over
}

func (Invitation) view() (file string, title Text) { return "user_invited.html", say("user.invited") }
func (Invitation) room() string                    { return roomUsers }

func (v *Visit) invitation(u api.User, password string) Invitation {
	text := say("user.invitation", "url", v.origin()+"/login", "email", u.Email, "password", password)
	if u.Email == "" {
		text = say("user.invitation_single", "url", v.origin()+"/login", "password", password)
	}
	return Invitation{ID: u.ID, Name: u.Name, Secret: Secret{Label: say("field.password"), Value: password}, Text: text}
}

func editUserPage(v *Visit) error {
	u, err := v.userToAct()
	if err != nil {
		return err
	}
	f := v.newForm()
	f.Seen = seenAt(u.Updated)
	return v.showEditUser(u, f, http.StatusOK)
}

func (v *Visit) showEditUser(u api.User, f Form, status int) error {
	page := UserForm{Form: f, Title: say("user.edit", "name", u.Name), To: userPath(u.ID) + "/edit", Back: userPath(u.ID), Act: say("form.save"),
		Fields: []Field{f.field(Field{Name: "name", Label: say("field.name"), Hint: say("user.name.hint"), Value: u.Name, Max: 200, Focus: true})}}
	if u.ID != singleUser {
		page.About = say("user.edit.about")
		page.Fields = append(page.Fields, f.field(Field{Name: "email", Label: say("field.email"), Type: "email", Value: u.Email, Required: true, Max: 254}))
	}
	return v.showAs(status, page)
}

// changeUser changes what a user is called. By the email rules of the gate and
// applications know them: another one may open what is somebody else's, and is sensitive.
var changeUser = Handler{
	Fields: []string{"name", "email"},
	answer: func(v *Visit) error {
		name := v.form.Get("name")
		change := api.UserUpdate{Name: &name}
		if v.form.Has("email") {
			email := v.form.Get("email")
			change.Email = &email
		}
		return v.changeUser(change, (*Visit).showEditUser)
	},
	form: needs(permUserUpdate, func(v *Visit) error { return v.againFor((*Visit).showEditUser) }),
	sensitive: func(v *Visit) bool {
		if !v.form.Has("email") {
			return false
		}
		u, err := v.user()
		return err != nil || v.form.Get("email") != u.Email
	},
}

// userShow shows a form about a user.
type userShow func(v *Visit, u api.User, f Form, status int) error

// againFor shows a form about a user with what was sent.
func (v *Visit) againFor(show userShow) error {
	u, err := v.userToAct()
	if err != nil {
		return err
	}
	return show(v, u, v.again(), http.StatusOK)
}

// changeUser changes the user of a form, as they were when it was shown. What is refused
// shows the form.
func (v *Visit) changeUser(change api.UserUpdate, show userShow) error {
	u, err := v.user()
	if err != nil {
		return err
	}
	if v.stale(u.Updated) {
		f := v.newForm()
		f.changedMeanwhile(u.Updated)
		return show(v, u, f, http.StatusConflict)
	}
	out, err := v.API.UpdateUser(v.r.Context(), u.ID, change)
	refused, err := v.forForm(err)
	if refused != nil {
		return show(v, u, v.refused(refused), refused.Status)
	}
	if err != nil {
		return err
	}
	done := "changed"
	if change.Password != nil {
		done = "password"
	}
	if out.Password != "" {
		page := v.invitation(u, out.Password)
		page.Still = stillOut(out.KeptOut)
		return v.show(page)
	}
	return v.userDone(u.ID, done, out.KeptOut)
}

// userDone leads to the page of a user, which says what was done, and what still keeps
// them out.
func (v *Visit) userDone(id, done, keptOut string) error {
	to := userPath(id) + "?done=" + done
	if keptOut != "" {
		to += "&still=" + keptOut
	}
	return v.seeOther(to)
}

func userRolesPage(v *Visit) error {
	u, err := v.userToAct()
	if err != nil {
		return err
	}
	f := v.newForm()
	f.Seen = seenAt(u.Updated)
	if err := v.askProof(&f); err != nil {
		return err
	}
	return v.showUserRoles(u, f, http.StatusOK)
}

func (v *Visit) showUserRoles(u api.User, f Form, status int) error {
	roles, err := v.knownRoles()
	if err != nil {
		return err
	}
	page := UserForm{Form: f, Title: say("user.edit_roles", "name", u.Name), About: say("user.edit_roles.about"), To: userPath(u.ID) + "/roles", Back: userPath(u.ID), Act: say("form.save"),
		Fields: []Field{v.rolesField(f, roles, u.Roles)}}
	if other := otherRoles(f, roles); other.Name != "" {
		page.Fields = append(page.Fields, other)
	}
	return v.showAs(status, page)
}

// changeUserRoles sets what a user is let do by.
var changeUserRoles = Handler{
	Fields: []string{"roles", fieldOtherRoles},
	Many:   []string{"roles"},
	answer: func(v *Visit) error {
		roles := v.sentRoles()
		return v.changeUser(api.UserUpdate{Roles: &roles}, (*Visit).showUserRoles)
	},
	form:      needs(permUserUpdate, func(v *Visit) error { return v.againFor((*Visit).showUserRoles) }),
	sensitive: func(*Visit) bool { return true },
}

func userPasswordPage(v *Visit) error {
	u, err := v.userToAct()
	if err != nil {
		return err
	}
	f := v.newForm()
	if err := v.askProof(&f); err != nil {
		return err
	}
	return v.showUserPassword(u, f, http.StatusOK)
}

func (v *Visit) showUserPassword(u api.User, f Form, status int) error {
	return v.showAs(status, UserForm{
		Form: f, Title: say("user.password", "name", u.Name), About: say("user.password.about"), To: userPath(u.ID) + "/password", Back: userPath(u.ID), Act: say("user.password.act"),
		Fields: []Field{wayField(f,
			Option{Value: wayInvite, Label: say("user.way.invite"), Hint: say("user.way.invite.hint")},
			Option{Value: wayTyped, Label: say("user.way.typed"), Hint: say("user.way.typed.hint")})},
		Typed: typedField(f),
	})
}

// setUserPassword gives a user another password, which ends their sign-ins.
var setUserPassword = Handler{
	Fields: []string{"way", "password"},
	answer: func(v *Visit) error {
		if v.form.Get("way") != wayTyped {
			return v.changeUser(api.UserUpdate{GeneratePassword: true}, (*Visit).showUserPassword)
		}
		password := v.form.Get("password")
		return v.changeUser(api.UserUpdate{Password: &password}, (*Visit).showUserPassword)
	},
	form:      needs(permUserUpdate, func(v *Visit) error { return v.againFor((*Visit).showUserPassword) }),
	sensitive: func(*Visit) bool { return true },
}
