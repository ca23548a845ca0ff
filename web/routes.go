package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/console"
)

// need is what a route asks of the one who calls it. The zero value asks
// nothing that could be checked, and does not start.
type need struct {
	kind       needKind
	permission string
}

type needKind int

const (
	undeclared needKind = iota
	public              // nobody has to be anybody
	signedIn            // any valid credential
	ownSession          // a session of one's own; never an API token
	permitted           // a credential with the permission
)

var (
	isPublic     = need{kind: public}
	isSignedIn   = need{kind: signedIn}
	isOwnSession = need{kind: ownSession}
)

func permission(key string) need { return need{kind: permitted, permission: key} }

// effect is what a request does to what is kept, and so what bounds how often
// one user may ask. Every route of another method than GET says it; what is not
// said of a GET is that it only looks.
type effect int

const (
	unsaid   effect = iota
	onlyAsks        // changes nothing, whatever its method is
	changes         // counts towards changes-per-minute before it is handled
	ends            // ends what was made, which counted: never refused, since a thief must not use up what ends him
	callsAPI        // a page: what it does is done by a route of the API, which counts it
	proves          // takes a secret first: its handler counts, once that was right
)

// route is one line of the table below.
type route struct {
	method string // or several, with a space between them
	path   string
	need   need
	effect effect
	turn   turnKind
	do     *action
	// long routes walk much of the store before they answer: nothing limits their
	// time.
	long bool
	// early routes answer also while a generated password waits to be changed.
	early bool
	// setsUp routes answer also while a role requires a second factor that was not
	// proved: by them it is set up, or proved.
	setsUp bool
	// proof routes need a fresh proof that who asks still is who signed in.
	proof bool
	// page routes answer browsers with pages, failures too.
	page bool
	// bearerTokens routes take an API token as a Bearer, too (RFC 6750): the programs
	// that call them know no other way.
	bearerTokens bool
	// acts says of a GET that it changes something: HEAD, which monitors and
	// link checkers send to look only, is not for it.
	acts bool
}

// routes is all that there is, with what each part of it needs.
func (s *Server) routes() []route {
	return slices.Concat(
		s.apiRoutes(),
		s.systemRoutes(),
		s.tokenEndRoutes(),
		s.proofRoutes(),
		s.secondFactorRoutes(),
		s.passkeyRoutes(),
		s.ownApplicationRoutes(),
		s.statisticsRoutes(),
		s.pageRoutes(),
		s.houseRoutes(),
	)
}

// apiRoutes is the whole API.
func (s *Server) apiRoutes() []route {
	return []route{
		{method: "GET", path: "/health", need: isPublic, do: endpoint(s.health)},
		{method: "GET", path: "/livez", need: isPublic, do: endpoint(s.livez)},
		{method: "GET", path: "/readyz", need: isPublic, do: endpoint(s.readyz)},
		{method: "GET", path: "/openapi.json", need: isPublic, do: raw(s.openAPI)},
		{method: "GET", path: "/docs", need: isPublic, do: raw(s.docs)},
		{method: "GET", path: "/docs/:name", need: isPublic, do: raw(s.docsFile)},

		{method: "POST", path: "/account/login", need: isPublic, effect: proves, do: s.pageOr(s.wantsPage, console.SignIn, raw(s.login)), page: true},
		{method: "GET", path: "/account/logout", need: isPublic, effect: ends, do: s.pageOr(s.asksFirst, console.SignOutPage, endpoint(s.logout)), acts: true},
		{method: "POST", path: "/account/logout", need: isPublic, effect: ends, do: s.pageOr(s.wantsPage, console.SignOut, endpoint(s.logout)), page: true},
		{method: "GET", path: "/account/profile", need: isSignedIn, do: raw(s.profile), early: true},
		{method: "PUT", path: "/account/password", need: isOwnSession, effect: proves, do: endpoint(s.changePassword), early: true},

		{method: "GET", path: "/account/sessions", need: isOwnSession, turn: ifLarge, do: endpoint(s.searchOwnSessions)},
		{method: "DELETE", path: "/account/sessions", need: isOwnSession, effect: ends, do: endpoint(s.endOtherSessions)},
		{method: "DELETE", path: "/account/sessions/:id", need: isOwnSession, effect: ends, do: endpoint(s.endOwnSession)},

		{method: "POST", path: "/auth/access_token", need: permission(db.PermTokenCreate), effect: changes, do: endpoint(s.createToken)},
		{method: "GET", path: "/auth/access_token/_search", need: permission(db.PermTokenSearch), turn: ifLargeOrSifted, do: endpoint(s.searchTokens)},
		{method: "GET", path: "/auth/access_token/:id", need: permission(db.PermTokenSearch), do: endpoint(s.readToken)},
		{method: "PUT", path: "/auth/access_token/:id", need: permission(db.PermTokenUpdate), effect: changes, do: endpoint(s.updateToken)},
		{method: "DELETE", path: "/auth/access_token/:id", need: permission(db.PermTokenDelete), effect: ends, do: endpoint(s.deleteToken)},

		{method: "POST", path: "/auth/access_token/_check", need: permission(db.PermTokenSearch), effect: onlyAsks, do: endpoint(s.checkToken)},
		{method: "POST", path: "/auth/access_token/:id/_rotate", need: permission(db.PermTokenUpdate), effect: changes, do: endpoint(s.rotateToken)},
		{method: "POST", path: "/auth/access_token/:id/_settle", need: permission(db.PermTokenUpdate), effect: changes, do: endpoint(s.settleToken)},

		// As older clients call them.
		{method: "POST", path: "/auth/request_access_token", need: permission(db.PermTokenCreate), effect: changes, do: endpoint(s.createToken)},
		{method: "GET", path: "/auth/access_token/_cat", need: permission(db.PermTokenSearch), turn: always, do: endpoint(s.catTokens)},
		{method: "POST", path: "/auth/access_token/:id/_rename", need: permission(db.PermTokenUpdate), effect: changes, do: endpoint(s.renameToken)},

		{method: "GET", path: "/security/session/_search", need: permission(db.PermSessionSearch), turn: ifLargeOrSifted, do: endpoint(s.searchSessions)},
		{method: "GET", path: "/security/session/:id", need: permission(db.PermSessionSearch), do: endpoint(s.readSession)},
		{method: "DELETE", path: "/security/session", need: permission(db.PermSessionDelete), effect: changes, do: endpoint(s.endUserSessions)},
		{method: "DELETE", path: "/security/session/:id", need: permission(db.PermSessionDelete), effect: changes, do: endpoint(s.endSession)},
		{method: "GET", path: "/security/key/_search", need: permission(db.PermKeys), turn: ifLarge, do: endpoint(s.searchKeys)},
		{method: "POST", path: "/security/key/_rotate", need: permission(db.PermKeys), effect: changes, do: endpoint(s.rotateKey)},

		{method: "GET", path: "/security/user/_search", need: permission(db.PermUserSearch), turn: ifLargeOrSifted, do: endpoint(s.searchUsers)},
		{method: "POST", path: "/security/user", need: permission(db.PermUserCreate), effect: changes, do: endpoint(s.createUser)},
		{method: "GET", path: "/security/user/:id", need: permission(db.PermUserRead), do: endpoint(s.readUser)},
		{method: "PUT", path: "/security/user/:id", need: permission(db.PermUserUpdate), effect: changes, do: endpoint(s.updateUser)},
		{method: "DELETE", path: "/security/user/:id", need: permission(db.PermUserDelete), effect: changes, do: endpoint(s.deleteUser)},

		{method: "POST", path: "/security/user/:id/_unlock", need: permission(db.PermUserUpdate), effect: changes, do: endpoint(s.unlockUser)},
		{method: "POST", path: "/security/user/_import", need: permission(db.PermUserCreate), effect: changes, do: raw(s.importUsers)},

		{method: "GET", path: "/security/role/_search", need: permission(db.PermRoleSearch), turn: ifLarge, do: endpoint(s.searchRoles)},
		{method: "POST", path: "/security/role", need: permission(db.PermRoleCreate), effect: changes, do: endpoint(s.createRole)},
		{method: "GET", path: "/security/role/:id", need: permission(db.PermRoleRead), do: endpoint(s.readRole)},
		{method: "PUT", path: "/security/role/:id", need: permission(db.PermRoleUpdate), effect: changes, do: endpoint(s.updateRole)},
		{method: "DELETE", path: "/security/role/:id", need: permission(db.PermRoleDelete), effect: changes, do: endpoint(s.deleteRole)},
		{method: "GET", path: "/security/permission", need: permission(db.PermPermissionRead), turn: always, do: endpoint(s.listPermissions)},
		{method: "GET", path: "/security/principal/_search", need: permission(db.PermPrincipalSearch), turn: ifLarge, do: endpoint(s.searchPrincipals)},

		{method: "GET", path: "/security/rule", need: permission(db.PermSystemRead), turn: always, do: endpoint(s.listRules)},
		{method: "POST", path: "/security/rule/_test", need: permission(db.PermSystemRead), effect: onlyAsks, do: endpoint(s.testRule)},

		{method: "GET", path: "/security/audit/_search", need: permission(db.PermAuditSearch), turn: ifLargeOrNamed, do: endpoint(s.searchAudit)},
		{method: "GET", path: "/security/audit/_export", need: permission(db.PermAuditSearch), effect: changes, turn: always, do: raw(s.exportAudit)},
		{method: "GET", path: "/security/audit/_verify", need: permission(db.PermAuditSearch), turn: always, long: true, do: endpoint(s.verifyAudit)},
		{method: "GET", path: "/security/audit/_head", need: permission(db.PermAuditSearch), do: endpoint(s.auditHead)},

		{method: "GET", path: "/system/health", need: permission(db.PermSystemRead), do: endpoint(s.healthDetails)},
		{method: "GET", path: "/system/check", need: permission(db.PermBackup), turn: always, long: true, do: endpoint(s.check)},

		{method: "GET", path: "/setting/application", need: isPublic, do: endpoint(s.application)},
		{method: "GET", path: "/provider/_info", need: isPublic, do: endpoint(s.provider)},
		{method: "GET", path: "/_info", need: isSignedIn, do: endpoint(s.info)},
		{method: "GET", path: "/_license/info", need: isPublic, do: endpoint(s.license)},
		{method: "GET", path: "/settings", need: permission(db.PermSystemRead), do: endpoint(s.applicationSettings)},
		{method: "POST", path: "/setup/_initialize", need: isPublic, effect: proves, do: s.pageOr(console.IsForm, console.SetUp, endpoint(s.initialize)), page: true},

		{method: "POST", path: introspectPath, need: permission(db.PermTokenIntrospect), effect: onlyAsks, bearerTokens: true, do: raw(s.introspectToken)},
		{method: "POST", path: revokePath, need: isSignedIn, effect: ends, bearerTokens: true, do: raw(s.revokeToken)},
		{method: "GET", path: "/.well-known/oauth-authorization-server", need: isPublic, do: endpoint(s.authorizationServer)},

		// As the desktop program searches.
		{method: "POST", path: "/query/_search", need: isSignedIn, effect: onlyAsks, do: endpoint(s.searchNothing)},
		{method: "POST", path: "/datasource/_search", need: isSignedIn, effect: onlyAsks, do: endpoint(s.searchNothing)},
		{method: "POST", path: "/mcp_server/_search", need: isSignedIn, effect: onlyAsks, do: endpoint(s.searchNothing)},
		{method: "POST", path: "/assistant/_search", need: isSignedIn, effect: onlyAsks, do: endpoint(s.searchNothing)},
		{method: "GET", path: "/connector/_search", need: isSignedIn, do: endpoint(s.searchNothing)},

		{method: "GET", path: "/system/backup", need: permission(db.PermBackup), effect: changes, do: s.pageOr(s.wantsPage, console.BackupsInstead, raw(s.backup))},
	}
}

// pageRoutes are what browsers open. What a page changes is counted where it calls
// the API. Those that are not public need a session: a token would have them do what
// nobody clicked for.
func (s *Server) pageRoutes() []route {
	return []route{
		{method: "GET", path: "/", need: isOwnSession, do: s.page(console.HomePage), page: true},
		{method: "GET", path: "/setup", need: isPublic, do: s.page(console.SetupPage), page: true},
		{method: "GET", path: "/login", need: isPublic, do: s.page(console.LoginPage), page: true},
		{method: "GET", path: "/password", need: isOwnSession, do: s.page(console.PasswordPage), early: true, page: true},
		{method: "POST", path: "/password", need: isOwnSession, effect: proves, do: s.page(console.ChangePassword), early: true, page: true},
		{method: "GET", path: "/second-factor", need: isOwnSession, do: s.page(console.SecondFactorPage), setsUp: true, page: true},
		{method: "POST", path: "/second-factor", need: isOwnSession, effect: proves, do: s.page(console.ProveFactor), setsUp: true, page: true},
		{method: "POST", path: "/login/passkey", need: isPublic, effect: proves, do: s.page(console.SignInByPasskey), page: true},
		{method: "POST", path: "/second-factor/passkey/prove", need: isOwnSession, effect: proves, do: s.page(console.ProveByPasskey), setsUp: true, page: true},
		{method: "POST", path: "/second-factor/passkey", need: isOwnSession, effect: callsAPI, do: s.page(console.BeginPasskey), setsUp: true, page: true},
		{method: "POST", path: "/second-factor/passkey/add", need: isOwnSession, effect: callsAPI, do: s.page(console.AddPasskey), setsUp: true, page: true},
		{method: "POST", path: "/second-factor/totp", need: isOwnSession, effect: callsAPI, do: s.page(console.BeginTOTP), setsUp: true, page: true},
		{method: "POST", path: "/second-factor/totp/confirm", need: isOwnSession, effect: callsAPI, do: s.page(console.ConfirmTOTP), setsUp: true, page: true},
		{method: "POST", path: "/second-factor/codes/file", need: isOwnSession, effect: callsAPI, do: s.page(console.CodesFile), setsUp: true, page: true},
		{method: "GET", path: "/connect", need: permission(db.PermTokenCreate), do: s.page(console.ConnectPage), page: true},
		{method: "POST", path: "/connect", need: permission(db.PermTokenCreate), effect: callsAPI, do: s.page(console.ConnectProgram), page: true},
		{method: "GET", path: console.ContinuePath, need: isOwnSession, effect: changes, do: raw(s.enterApplication), acts: true, page: true},
		{method: "GET", path: console.AssetPath + ":name", need: isPublic, do: raw(s.asset)},
		{method: "GET", path: "/favicon.ico", need: isPublic, do: raw(s.favicon)},
	}
}

// houseRoutes are the pages of the console's house. Each is for who has a session, and
// asks the API, which asks for the permission.
func (s *Server) houseRoutes() (all []route) {
	for _, p := range console.Places() {
		r := route{method: p.Method, path: p.Path, need: isOwnSession, do: s.page(p.Handler), long: p.Long, page: true}
		if p.Method != http.MethodGet {
			r.effect = callsAPI
		}
		all = append(all, r)
	}
	return all
}

// add puts a route into the router, for each of its methods, behind the check
// of what it needs.
func (s *Server) add(r route) error {
	for method := range strings.FieldsSeq(r.method) {
		one := r
		one.method = method
		if err := s.addOne(one); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) addOne(r route) error {
	if r.need.kind == undeclared || (r.need.kind == permitted && r.need.permission == "") {
		return fmt.Errorf("route %s %s does not declare what it needs", r.method, r.path)
	}
	if r.effect == unsaid && (r.method != http.MethodGet || r.acts) {
		return fmt.Errorf("route %s %s does not declare whether it changes something", r.method, r.path)
	}
	metrics := s.Metrics.route(r.method, r.path)
	serve := func(c echo.Context) error { return s.measure(c, r, metrics) }
	s.echo.Add(r.method, r.path, serve)
	if r.method == http.MethodGet && !r.acts {
		s.echo.Add(http.MethodHead, r.path, serve) // RFC 9110, 9.3.2: net/http leaves the body out
	}
	return nil
}

// measure serves a request and counts it. A handler that panics is a 500.
func (s *Server) measure(c echo.Context, r route, metrics *routeMetrics) error {
	if metrics == nil || isPageCall(c.Request().Context()) {
		return s.dispatch(c, r)
	}
	status, began := http.StatusInternalServerError, time.Now()
	defer func() { metrics.count(status, time.Since(began)) }()
	err := s.dispatch(c, r)
	status = c.Response().Status
	return err
}

// dispatch is the life of a request behind the router: who asks, may they, do it,
// or tell why not.
func (s *Server) dispatch(c echo.Context, r route) error {
	began := time.Now()
	actor, err := s.admit(c, r)
	if err == nil {
		err = s.act(c, r, actor)
	}
	whole := true
	if err != nil {
		f := explain(err)
		s.auditDenied(actor, r, f)
		whole = r.page && s.failPage(c, r, actor, f) || s.fail(c, actor, f)
	}
	if s.AccessLog && !isPageCall(c.Request().Context()) {
		s.logAccess(c, r, actor, time.Since(began))
	}
	if !whole {
		panic(http.ErrAbortHandler) // or net/http would end the stream as if it were all
	}
	return nil
}

// admit answers who asks, or why they may not.
func (s *Server) admit(c echo.Context, r route) (*db.Actor, error) {
	req := c.Request()
	if err := s.checkOrigin(req); err != nil {
		return nil, err
	}
	id := requestID(c)
	if r.need.kind == public {
		return s.nobody(req, id), nil
	}
	if r.effect == changes && !r.acts && console.IsSafeMethod(req) {
		if err := s.checkLink(req); err != nil {
			return s.nobody(req, id), err
		}
	}
	actor, err := s.authenticate(req, id, r.bearerTokens)
	if !actor.SignedIn() && !isPageCall(req.Context()) {
		s.tally.countNobody(err)
	}
	if err != nil {
		return actor, err
	}
	if err := allow(actor, r); err != nil {
		return actor, err
	}
	if r.proof {
		if err := s.checkProof(actor); err != nil {
			return actor, err
		}
	}
	if r.effect == changes {
		return actor, s.changes.spend(actor)
	}
	return actor, nil
}

const codeMustChange = "password_change_required"

// allow checks what the route needs against what the actor may do.
func allow(actor *db.Actor, r route) error {
	if !actor.SignedIn() {
		return errNoCredential
	}
	if actor.Session != nil && actor.User.MustChange && !r.early {
		return forbidden(codeMustChange, "the password was generated for you: change it first, with PUT /account/password")
	}
	if actor.NoFactor && !r.early && !r.setsUp {
		return errNoFactor(actor.User)
	}
	switch {
	case r.need.kind == permitted && !actor.Permissions.Has(r.need.permission):
		return errNotPermitted(r.need.permission)
	case (r.need.kind == ownSession || r.page) && actor.Session == nil:
		return forbidden("session_required", "that needs a sign-in with the password: an API token or the local command line is not enough")
	}
	return nil
}

// nobody is the actor of a public route: a transport and an address.
func (s *Server) nobody(r *http.Request, requestID string) *db.Actor {
	if l, ok := localOf(r.Context()); ok {
		return &db.Actor{Transport: l.transport, RequestID: requestID}
	}
	return &db.Actor{Transport: db.TransportHTTP, Address: s.clientAddress(r), RequestID: requestID}
}

// checkOrigin refuses what another site makes a browser send. Only what the
// browser adds by itself is at stake: a request with a credential in a header
// was made by a program that knows it.
func (s *Server) checkOrigin(r *http.Request) error {
	if decides(r.Header) {
		return nil
	}
	if len(r.Header["Cookie"]) == 0 && s.foreign(r) && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return nil // a script that is let in, and nothing that the browser added
	}
	if s.csrf.Check(r) != nil {
		return errCrossOrigin
	}
	return nil
}

var errCrossOrigin = forbidden("cross_origin", "a browser sent this from another origin; where that is this server's own under another name, start it with --public-url")

// checkLink refuses a link of another site to what writes: the audit log would have
// somebody take all of it, or a backup, who only opened a page.
func (s *Server) checkLink(r *http.Request) error {
	if decides(r.Header) {
		return nil
	}
	asked := r.WithContext(r.Context())
	asked.Method = http.MethodPost // or it would not be looked at
	if s.csrf.Check(asked) != nil {
		return errCrossOrigin
	}
	return nil
}

func requestID(c echo.Context) string {
	if id := c.Response().Header()[headerRequestID]; len(id) == 1 {
		return id[0]
	}
	return ""
}
