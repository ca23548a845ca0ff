package console

// Home tells who is signed in.
type Home struct {
	Name    string
	Email   string // empty for the single user
	Roles   []string
	Version string
}

func (Home) view() (file, title string) { return "home.html", "Signed in" }

// HomePage shows who is signed in.
var HomePage = Handler{answer: homePage}

func homePage(v *Visit) error {
	who, err := v.API.Profile(v.r.Context())
	if err != nil {
		return err
	}
	return v.show(Home{Name: who.Name, Email: who.Email, Roles: who.Roles, Version: v.console.Version})
}
