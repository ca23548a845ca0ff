package console

import (
	"html/template"
	"net/url"
)

// pages is one of each, for their templates to be parsed.
var pages = []Page{Setup{}, Login{}, Home{}, Password{}, Connect{}, Connected{}, Failure{}}

// Setup makes the first administrator.
type Setup struct {
	Problem string // why the last try was refused; may be empty
	Wait    int    // seconds until the next one may be made
	Code    string // as they were typed in the last try
	Name    string
	Email   string
}

func (Setup) view() (file, title string) { return "setup.html", "Set up" }

// Login signs in.
type Login struct {
	Problem string // why the last try was refused; may be empty
	Wait    int    // seconds until the next one may be made
	Multi   bool   // ask for the email too
	Email   string // as it was typed in the last try
	Program string // that waits for the sign-in; may be empty
	Return  string // where to go after the sign-in, signed; may be empty
}

func (Login) view() (file, title string) { return "login.html", "Sign in" }

// Home tells who is signed in.
type Home struct {
	Name    string
	Email   string // empty for the single user
	Roles   []string
	Version string
}

func (Home) view() (file, title string) { return "home.html", "Signed in" }

// Password changes one's own password.
type Password struct {
	Problem  string // why the last try was refused; may be empty
	Wait     int    // seconds until the next one may be made
	Must     bool   // the old one was generated and is good for this only
	Username string
	Return   string // where to go afterwards, signed; may be empty
}

func (Password) view() (file, title string) { return "password.html", "Change password" }

// Connect asks whether a desktop program gets a token.
type Connect struct {
	Program   string // as people know it
	Product   string // as it called itself
	Provider  string // the program's name for this server
	RequestID string
	User      string // who is signed in
	TokenName string
	Ends      string // the day on which the token ends
}

func (Connect) view() (file, title string) { return "connect.html", "Connect a program" }

// Connected opens the desktop program.
type Connected struct {
	Program   string
	TokenName string
	Link      template.URL // from DesktopLink
}

func (Connected) view() (file, title string) { return "connected.html", "Connected" }

// Failure tells what can't be done, and the way back.
type Failure struct {
	Title string
	Text  string
	Wait  int // seconds until the next try may be made
}

func (f Failure) view() (file, title string) { return "failure.html", f.Title }

func (p Setup) waits() int    { return p.Wait }
func (p Login) waits() int    { return p.Wait }
func (p Password) waits() int { return p.Wait }
func (f Failure) waits() int  { return f.Wait }

// DesktopLink is the link that hands a token to the desktop program. Its
// scheme is fixed here, and every value is escaped.
func DesktopLink(token, requestID, provider string) template.URL {
	return template.URL("coco://oauth_callback?code=" + url.QueryEscape(token) +
		"&request_id=" + url.QueryEscape(requestID) + "&provider=" + url.QueryEscape(provider))
}
