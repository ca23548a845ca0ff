package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"husk/db"
	"husk/web/gate"
	"husk/web/session"
	"husk/web/token"
)

// This file finds out who asks at the gate. An API token and a session's JWT are
// what they are at the API; they come in more ways, since programs send what they
// can: a token as Bearer, or as the password of Basic. A browser shows a pass, in a
// cookie of the application's host, which is worth nothing anywhere else. All other
// Authorization belongs to the application.

// gateCookie holds a pass.
const gateCookie = "husk_gate"

// maxPassCookies bounds how many cookies of that name are looked at: other hosts of a
// domain can plant some, and each is a look into the store's memory.
const maxPassCookies = 64

// identifyAtGate finds out who asks. A header decides where it has a credential of
// Husk's own, and one that is bad is refused. A cookie that is bad is none: browsers
// keep what they were given.
func (s *Server) identifyAtGate(q *question) error {
	var own [2]credential
	n := 0
	for _, text := range q.r.Header["X-Api-Token"] {
		if text != "" {
			own[0], n = credential{token: text}, 1
		}
	}
	for _, line := range q.r.Header["Authorization"] {
		if cred, ok := s.ownAuthorization(line); ok {
			own[n], n = cred, n+1
		}
	}
	if n == 0 {
		return s.identifyByPass(q)
	}
	for _, cred := range own[:n] {
		if err := s.identifyOwn(q, cred); err != nil {
			return err
		}
	}
	if n > 1 {
		q.who = nil
		return q.byClient(errManyCredentials)
	}
	return nil
}

// identifyOwn finds out what a credential in a header means.
func (s *Server) identifyOwn(q *question, cred credential) error {
	who, err := s.identify(q.r.Context(), cred)
	if err != nil {
		return err
	}
	return s.enterAs(q, who)
}

// enterAs has who ask, unless it is a token that is not good from where it came.
func (s *Server) enterAs(q *question, who *identity) error {
	who.become(&q.actor)
	if who.token != nil && !who.token.Allows(q.asked.Client) {
		s.name(q)
		s.Store.NoteRefusal(&q.actor, "token.use", who.token.Target())
		return errFromElsewhere
	}
	q.who = who
	if !q.again {
		who.requests.Add(1)
		s.noteUse(who, q.actor.Address)
	}
	return nil
}

// ownAuthorization reads a credential of Husk's from a line of Authorization.
func (s *Server) ownAuthorization(line string) (credential, bool) {
	if text, ok := bearer(line); ok {
		switch {
		case token.IsLike(text):
			return credential{token: text}, true
		case s.isOwnJWT(text):
			return credential{jwt: text}, true
		}
		return credential{}, false
	}
	scheme, text, _ := strings.Cut(line, " ")
	if !strings.EqualFold(scheme, "Basic") || len(text) > maxCredential {
		return credential{}, false
	}
	pair, err := base64.StdEncoding.DecodeString(strings.Trim(text, " \t"))
	if err != nil {
		return credential{}, false
	}
	_, password, _ := strings.Cut(string(pair), ":")
	return credential{token: password}, token.IsLike(password)
}

// isOwnJWT tells whether a JWT names Husk as its issuer (RFC 7519, 4.1.1). That
// proves nothing: it decides who is to check it, and no more.
func (s *Server) isOwnJWT(text string) bool {
	if len(text) > maxCredential || strings.Count(text, ".") != 2 {
		return false
	}
	if s.identities.get(sha256.Sum256([]byte(text))) != nil {
		return true
	}
	return session.IsLike(text)
}

// identifyByPass finds out whose the cookie of a host is, if it is good there. Of two
// users' one was planted by another host of the domain, and can't be told apart.
func (s *Server) identifyByPass(q *question) error {
	scope, n := scopeOf(q.rules, q.asked.Host), 0
	var found *identity
	for pass := range cookiesOf(q.r, gateCookie) {
		who, err := s.identify(q.r.Context(), credential{pass: pass})
		switch {
		case err != nil && !isRefused(err):
			return err
		case err != nil || who.scope != scope && who.scope != q.asked.Host:
		case found != nil && found.user.ID != who.user.ID:
			return q.byClient(errManyUsers)
		default:
			found = who
		}
		if n++; n == maxPassCookies {
			break
		}
	}
	if found == nil {
		return nil
	}
	return s.enterAs(q, found)
}

// scopeOf is for which hosts a pass is good that is given at a folded host: as it
// stands in the store, a domain with a dot before it.
func scopeOf(rules *gate.Rules, host string) string {
	scope, isDomain := rules.Scope(host)
	if isDomain {
		return "." + scope
	}
	return scope
}

// resolvePass finds out whose a pass is.
func (s *Server) resolvePass(ctx context.Context, who *identity, pass string) (owner string, err error) {
	session, p, err := s.Store.SessionByPass(ctx, pass)
	if err != nil {
		return "", credentialError(err)
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return "", err
	}
	who.session, who.scope, who.key = session, p.Scope, keys.ByID[p.Key]
	if who.key == nil || who.key.Ended(s.Store.Now()) {
		return "", errBadCredential // what removes the session may be still to come
	}
	s.gate.arrived.add(session.ID)
	return who.session.User, s.sessionNow(ctx, who)
}

// identifyUser is who a user would be at the gate with a session: who has a second
// factor signs in with it.
func (s *Server) identifyUser(ctx context.Context, id string) (*identity, error) {
	who := &identity{}
	if err := s.resolveOwner(ctx, who, id); err != nil {
		return nil, err
	}
	who.takeGate()
	who.gate.Held = who.user.MustChange
	who.gate.SecondFactor = len(who.user.Factors) > 0
	who.gate.NoFactor = !who.gate.SecondFactor && who.roles.RequiresSecondFactor(who.user.Roles)
	return who, nil
}

// gateWho is who the actor of a route would be at the gate. The owner of the data file
// is nobody there.
func gateWho(actor *db.Actor) *gate.Who {
	if actor.User == nil {
		return nil
	}
	who := &identity{token: actor.Token, session: actor.Session, user: actor.User, permissions: actor.Permissions, noFactor: actor.NoFactor}
	who.takeGate()
	return who.atGate()
}

// atGate is who asks, as rules know them; nil: nobody.
func (who *identity) atGate() *gate.Who {
	if who == nil {
		return nil
	}
	return &who.gate
}

// takeGate keeps what the gate asks of an identity: it is asked at each request.
func (who *identity) takeGate() {
	u := who.user
	who.told = [4]string{u.Username(), u.DisplayName(), u.Email, strings.Join(u.Roles, ",")}
	who.gate = gate.Who{Email: u.Username(), Roles: u.Roles, Permissions: who.permissions,
		Token: who.token != nil, Held: who.session != nil && u.MustChange,
		SecondFactor: who.session != nil && who.session.SecondFactor(u), NoFactor: who.noFactor}
	if who.token != nil {
		who.gate.Narrow = len(who.token.Permissions) > 0 && !slices.Contains(who.token.Permissions, db.PermAll)
		if who.token.GateOnly() {
			who.gate.Reach = who.token
		}
	}
}
