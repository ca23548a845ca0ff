package web

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
	"husk/web/token"
)

const formType = "application/x-www-form-urlencoded"

var (
	// Under no-referrer a browser sends a form with "Origin: null", which can't
	// be told from another site's where it sends no Sec-Fetch-Site: on plain
	// http to anything but this machine.
	valueSameOrigin = []string{"same-origin"}
	valueForADay    = []string{"public, max-age=86400"}
	valueForEver    = []string{"public, max-age=31536000, immutable"}
)

// looks tells whether r only asks for what is there.
func looks(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// fromBrowser tells whether a browser may have sent this: a form at most, and
// no credential in a header, which only programs send.
func fromBrowser(c echo.Context) bool {
	r := c.Request()
	return (looks(r) || mediaType(c) == formType) && !decides(r.Header)
}

// wantsPage tells whether a person reads the answer: a browser asks, and it
// names text/html.
func wantsPage(c echo.Context) bool {
	r := c.Request()
	if !fromBrowser(c) {
		return false
	}
	for _, accept := range r.Header["Accept"] {
		for one := range strings.SplitSeq(accept, ",") {
			kind, q, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") && !refused(q) {
				return true
			}
		}
	}
	return false
}

// refused tells whether the parameters of a media range say q=0 (RFC 9110,
// 12.4.2).
func refused(parameters string) bool {
	for one := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if q, err := strconv.ParseFloat(value, 64); strings.EqualFold(name, "q") && err == nil && q == 0 {
			return true
		}
	}
	return false
}

func showPage(c echo.Context, status int, p console.Page) error {
	body, err := console.Render(p)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h["Content-Security-Policy"], h["Referrer-Policy"] = []string{console.PolicyOf(p)}, valueSameOrigin
	return c.Blob(status, "text/html; charset=utf-8", body)
}

// seeOther answers a form, or leads to another page of this server.
func seeOther(c echo.Context, path string) error { return c.Redirect(http.StatusSeeOther, path) }

// refusePage answers f with a page that tells of it and can be tried again.
func (s *Server) refusePage(c echo.Context, actor *db.Actor, f *failure, p console.Page) error {
	s.logFailure(c, actor, f)
	setRetryAfter(c.Response().Header(), f)
	return showPage(c, f.status, p)
}

// failPage answers what a page can't do: where a sign-in or a new password is
// all that is missing it leads there and back. It tells false where it did not
// answer.
func (s *Server) failPage(c echo.Context, actor *db.Actor, f *failure) bool {
	r := c.Request()
	target := "/"
	if looks(r) {
		target = r.URL.RequestURI()
	}
	browser := fromBrowser(c) && (looks(r) || wantsPage(c))
	next := ""
	switch {
	case browser && f.status == http.StatusUnauthorized:
		next = "/login"
	case browser && f.code == codeMustChange:
		next = "/password"
	case !wantsPage(c):
		return false
	default:
		return s.refusePage(c, actor, f, failurePage(f)) == nil
	}
	return seeOther(c, s.withReturn(next, target)) == nil
}

// problemOf is what a page tells of f: why, and how many seconds there are to wait.
func problemOf(f *failure) (problem string, wait int) {
	return sentence(f.reason), waitSeconds(f)
}

func failurePage(f *failure) console.Failure {
	return console.Failure{Title: cmp.Or(failureTitles[f.status], "Something went wrong"), Text: sentence(f.reason), Wait: waitSeconds(f)}
}

var failureTitles = map[int]string{
	http.StatusBadRequest:       "That can't be used",
	http.StatusForbidden:        "Not permitted",
	http.StatusNotFound:         "Nothing here",
	http.StatusMethodNotAllowed: "That can't be opened",
	http.StatusConflict:         "That is not possible any more",
	http.StatusTooManyRequests:  "Too much",
}

// sentence makes a reason one: an upper-case letter, a full stop.
func sentence(reason string) string {
	first, n := utf8.DecodeRuneInString(reason)
	reason = string(unicode.ToUpper(first)) + reason[n:]
	if !strings.HasSuffix(reason, ".") {
		reason += "."
	}
	return reason
}

// asset answers the files that the pages name.
func (s *Server) asset(c echo.Context, _ *db.Actor) error {
	a, ok := console.FindAsset(c.Param("name"))
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header()["Cache-Control"] = valueForEver
	return c.Blob(http.StatusOK, a.Type, a.Body)
}

// favicon is for browsers that ask for it beside what a page names: the path has
// no hash, so it is kept for a day.
func (s *Server) favicon(c echo.Context, _ *db.Actor) error {
	c.Response().Header()["Cache-Control"] = valueForADay
	return c.Blob(http.StatusOK, "image/x-icon", console.Favicon)
}

func (s *Server) home(c echo.Context, actor *db.Actor) error {
	u := actor.User
	return showPage(c, http.StatusOK, console.Home{Name: u.DisplayName(), Email: u.Email, Roles: u.Roles, Version: s.Version})
}

func (s *Server) loginPage(c echo.Context, _ *db.Actor) error {
	ctx := c.Request().Context()
	if required, err := s.Store.SetupRequired(ctx); err != nil {
		return err
	} else if required {
		return seeOther(c, "/setup")
	}
	target, err := s.loginTarget(c)
	if err != nil {
		return err
	}
	// A cookie that is not good any more is no reason not to show the form.
	who, err := s.authenticate(c.Request(), requestID(c))
	if err == nil && who.Session != nil {
		return seeOther(c, target)
	}
	if err != nil && explain(err).status >= http.StatusInternalServerError {
		return err
	}
	page, err := s.loginForm(c, "", target)
	if err != nil {
		return err
	}
	return showPage(c, http.StatusOK, page)
}

// loginTarget is where a sign-in leads: to the desktop program that asked for
// it, or to the page that did.
func (s *Server) loginTarget(c echo.Context) (string, error) {
	q := c.QueryParams()
	if q.Get("product") != "" || q.Get("request_id") != "" {
		d, err := readDesktop(q)
		return d.path(), err
	}
	return s.openReturn(q.Get("return")), nil
}

func (s *Server) loginForm(c echo.Context, email, target string) (p console.Login, err error) {
	ctx := c.Request().Context()
	p.Email = email
	if strings.HasPrefix(target, "/connect?") {
		p.Program = desktopPrograms["coco"]
	}
	if p.Multi, err = s.multi(ctx); err != nil {
		return p, err
	}
	p.Return = s.sealReturn(target)
	return p, nil
}

// loginByForm is the sign-in of the page: like the one of the API, answered
// with the next page, or with the same one and what was wrong.
func (s *Server) loginByForm(c echo.Context, actor *db.Actor) error {
	in, target, err := readLoginForm(c)
	if err != nil {
		return err
	}
	target = s.openReturn(target)
	user, err := s.loginWith(c, actor, in)
	switch {
	case err == nil && user.MustChange:
		return seeOther(c, s.withReturn("/password", target))
	case err == nil:
		return seeOther(c, target)
	}
	f := explain(err)
	if f.code == codeSetupRequired {
		return seeOther(c, "/setup")
	}
	page, failed := s.loginForm(c, cmp.Or(in.Email, in.Login), target)
	if failed != nil {
		return failed
	}
	page.Problem, page.Wait = problemOf(f)
	return s.refusePage(c, actor, f, page)
}

func (s *Server) loginWith(c echo.Context, actor *db.Actor, in api.Login) (*verified, error) {
	if err := checkLogin(in); err != nil {
		return nil, err
	}
	user, _, err := s.enter(c, actor, in)
	return user, err
}

func (s *Server) passwordPage(c echo.Context, actor *db.Actor) error {
	return showPage(c, http.StatusOK, s.passwordForm(actor, s.openReturn(c.QueryParam("return"))))
}

func (s *Server) passwordForm(actor *db.Actor, target string) console.Password {
	return console.Password{Must: actor.User.MustChange, Username: actor.User.Username(), Return: s.sealReturn(target)}
}

func (s *Server) changePasswordByForm(c echo.Context, actor *db.Actor) error {
	form, err := bindForm(c, "old_password", "new_password", "again", "return")
	if err != nil {
		return err
	}
	target := s.openReturn(form.Get("return"))
	if form.Get("again") != form.Get("new_password") {
		err = errAgain
	} else {
		err = s.replacePassword(c, actor, api.PasswordChange{OldPassword: form.Get("old_password"), NewPassword: form.Get("new_password")})
	}
	if err == nil {
		return seeOther(c, target)
	}
	if !wantsPage(c) {
		return err
	}
	f, page := explain(err), s.passwordForm(actor, target)
	page.Problem, page.Wait = problemOf(f)
	return s.refusePage(c, actor, f, page)
}

// desktop is the sign-in of a program on the person's own computer: it opened
// the browser and waits for a link with its own scheme.
type desktop struct {
	product   string
	provider  string // the program's own name for this server
	requestID string
}

// desktopPrograms is who may be handed a token, and what people call it. The
// scheme of its link is console.DesktopLink's.
var desktopPrograms = map[string]string{"coco": "Coco AI"}

var providerForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func readDesktop(q url.Values) (desktop, error) {
	d := desktop{product: q.Get("product"), provider: q.Get("provider"), requestID: q.Get("request_id")}
	if desktopPrograms[d.product] == "" {
		return d, malformed("bad_product", "that program can't be signed in here: the address has to name product=coco")
	}
	// The canonical form alone: uuid.Validate knows others too.
	if len(d.requestID) != 36 || uuid.Validate(d.requestID) != nil || !providerForm.MatchString(d.provider) {
		return d, malformed("bad_desktop_request", "the program's address is not complete: start the sign-in in the program again")
	}
	return d, nil
}

// path is the page that asks the person.
func (d desktop) path() string {
	return "/connect?" + url.Values{"product": {d.product}, "provider": {d.provider}, "request_id": {d.requestID}}.Encode()
}

// tokenName is what the token is listed as.
func (d desktop) tokenName(now time.Time) string {
	return d.product + " app " + now.Format(time.DateOnly)
}

// errDesktopSession refuses an API token: it could make others that nobody
// clicked for.
var errDesktopSession = forbidden("session_required", "that needs a sign-in with the password, in a browser")

func (s *Server) connectPage(c echo.Context, actor *db.Actor) error {
	if actor.Session == nil {
		return errDesktopSession
	}
	d, err := readDesktop(c.QueryParams())
	if err != nil {
		return err
	}
	ttl, now := db.DefaultTokenTTL, s.Store.Now()
	if s.MaxTokenTTL > 0 {
		ttl = min(ttl, s.MaxTokenTTL)
	}
	return showPage(c, http.StatusOK, console.Connect{
		Program: desktopPrograms[d.product], Product: d.product, Provider: d.provider, RequestID: d.requestID,
		User: actor.User.Username(), TokenName: d.tokenName(now), Ends: now.Add(ttl).Format(time.DateOnly),
	})
}

// connect mints the token that the person clicked for. The link goes out in
// the body of the answer, not in a Location: headers end up in logs.
func (s *Server) connect(c echo.Context, actor *db.Actor) error {
	if actor.Session == nil {
		return errDesktopSession
	}
	form, err := bindForm(c, "product", "provider", "request_id")
	if err != nil {
		return err
	}
	d, err := readDesktop(form)
	if err != nil {
		return err
	}
	secret, id := token.New()
	sum := token.Hash(secret)
	k, err := s.Store.CreateToken(c.Request().Context(), actor, db.NewToken{
		ID: id, Hash: sum[:], Name: d.tokenName(s.Store.Now()), Description: "asked for by request " + d.requestID, MaxTTL: s.MaxTokenTTL,
		MaxPerUser: s.Quotas.Tokens,
	})
	if err != nil {
		return err
	}
	s.did(actor, "token created", "token", k.ID, "owner", k.Owner, "product", d.product)
	return showPage(c, http.StatusOK, console.Connected{
		Program: desktopPrograms[d.product], TokenName: k.Name, Link: console.DesktopLink(secret, d.requestID, d.provider),
	})
}
