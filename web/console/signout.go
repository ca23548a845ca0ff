package console

// SigningOut asks who was led here by another site whether to sign out.
type SigningOut struct{}

func (SigningOut) view() (file string, title Text) { return "signout.html", say("signout.title") }

// SignOutPage asks before the session of the browser ends: a link of an application
// leads here, and so may one of any other site.
var SignOutPage = Handler{answer: signOutPage}

func signOutPage(v *Visit) error {
	if in, err := v.isSignedIn(); err != nil {
		return err
	} else if !in {
		return v.seeOther("/login")
	}
	return v.show(SigningOut{})
}
