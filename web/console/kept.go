package console

import (
	"crypto/hmac"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A form whose session ended while it was filled in is not lost: the sign-in holds
// what was sent, signed, but for secrets, and leads back to the form with all of it.
// Nothing is done until it is sent again. It is for whom the form was shown: nobody
// else who signs in at the same browser gets what they typed.

const maxKept = 32 << 10 // bytes of a form that is kept

// SignInFirst answers a form of h from who is not signed in any more, by the sign-in
// that keeps what was typed.
func (h Handler) SignInFirst() Handler {
	return Handler{Fields: h.Fields, Many: h.Many, answer: signInFirst}
}

// Keeps tells whether what is sent to h is worth keeping over a sign-in.
func (h Handler) Keeps() bool { return h.form != nil }

func signInFirst(v *Visit) error {
	settings, err := v.API.Application(v.r.Context())
	if err != nil {
		return err
	}
	page := v.loginForm(settings, "/")
	page.Problem = say("login.ended")
	if page.Kept = v.keep(); page.Kept == "" {
		page.Problem = say("login.ended_lost")
	}
	return v.showAs(http.StatusUnauthorized, page)
}

// markOf marks a form as that of a user; "" of nobody. It begins as nothing that is sealed
// does.
func (c *Console) markOf(user string) string {
	if user == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(c.MAC([]byte("\xffform of " + user)))
}

// isOthers tells whether the form was shown to somebody else than who sends it: at the
// same browser another one has signed in since, or a cookie of another one was planted.
func (v *Visit) isOthers() bool {
	by := v.form.Get(fieldBy)
	return by != "" && v.by.User != "" && !hmac.Equal([]byte(by), []byte(v.console.markOf(v.by.User)))
}

// keep signs the form with the path that it was sent to; "" for one that is too long, or
// nobody's.
func (v *Visit) keep() string {
	if v.form.Get(fieldBy) == "" {
		return ""
	}
	kept := url.Values{}
	for name, values := range v.form {
		if !slices.Contains(secretFields, name) && name != fieldOnce {
			kept[name] = values
		}
	}
	text := v.r.URL.EscapedPath() + "\n" + kept.Encode()
	if len(text) > maxKept {
		return ""
	}
	return Seal(v.console.MAC, text, v.console.Now().Add(returnTTL))
}

// Resume leads back to a form that was kept.
type Resume struct {
	Path   string
	Fields []Hidden
}

// Hidden is a field that nobody sees.
type Hidden struct{ Name, Value string }

func (Resume) view() (file string, title Text) { return "resume.html", say("resume.title") }

// keptLost tells who signed in that a form is not there for them.
func keptLost() Failure {
	return Failure{Title: say("kept.lost.title"), Text: say("kept.lost.text")}
}

// openKept is the page of a form that was kept; ok tells whether it was kept here for
// that user, and is not too old.
func (c *Console) openKept(sealed, user string) (page Resume, ok bool) {
	text, ends, ok := Unseal(c.MAC, sealed, maxKept)
	path, query, cut := strings.Cut(text, "\n") // a return target has no second line
	if !ok || !cut || !c.Now().Before(ends) {
		return page, false
	}
	values, err := url.ParseQuery(query)
	if err != nil || user == "" || !hmac.Equal([]byte(values.Get(fieldBy)), []byte(c.markOf(user))) {
		return page, false
	}
	page.Path = path
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			page.Fields = append(page.Fields, Hidden{name, value})
		}
	}
	page.Fields = append(page.Fields, Hidden{fieldKept, "yes"})
	return page, true
}
