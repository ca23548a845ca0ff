package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

// This file is the one place that turns a credential or a connection into a
// db.Actor, for every route and every way to present a credential.

// maxCredential bounds a credential before anything looks inside.
const maxCredential = 8 << 10

// credential is what a request shows, of at most one kind.
type credential struct {
	token string   // an API token
	jwt   string   // a JWT, from the Authorization header or the cookie
	more  []string // JWTs of further cookies of the same name
}

var (
	errManyCredentials = malformed("many_credentials", "send one credential: either X-API-TOKEN or Authorization, once")
	errManyUsers       = malformed("many_credentials", "the browser sends session cookies of several users, which another host of the same domain can make it do: sign out, and remove the cookies of this site and of its domain")
)

// credentialOf reads the one credential of a request. Headers decide where
// they are present; the query and the body are never looked at. An empty
// header, and an Authorization of another scheme, is for somebody else: it
// decides nothing, beside one of Husk's neither.
func (s *Server) credentialOf(r *http.Request) (c credential, sent bool, err error) {
	n := 0
	for _, text := range r.Header["X-Api-Token"] {
		if text != "" {
			c.token, n = text, n+1
		}
	}
	for _, line := range r.Header["Authorization"] {
		if jwt, ok := bearer(line); ok {
			c.jwt, n = jwt, n+1
		}
	}
	switch {
	case n > 1:
		return credential{}, true, errManyCredentials
	case n == 1:
		return c, true, nil
	}
	c.jwt, c.more = cookies(r, s.sessionCookie())
	return c, c.jwt != "", nil
}

// bearer returns the JWT of an Authorization header. The scheme ends at a tab
// too: what begins like ours is held against it, and not passed over.
func bearer(authorization string) (jwt string, ok bool) {
	end := strings.IndexAny(authorization, " \t")
	if end < 0 {
		end = len(authorization)
	}
	if !strings.EqualFold(authorization[:end], "Bearer") {
		return "", false
	}
	return strings.TrimLeft(authorization[end:], " "), true
}

// bearers returns the JWTs of all Authorization headers.
func bearers(r *http.Request) (jwts []string) {
	for _, line := range r.Header["Authorization"] {
		if jwt, ok := bearer(line); ok {
			jwts = append(jwts, jwt)
		}
	}
	return jwts
}

// decides tells whether a header has a credential for Husk: only a program that
// knows it adds one. Any other Authorization may be what a browser sends by
// itself, to whatever site it was led to (RFC 7617, 2.2).
func decides(h http.Header) bool {
	isBearer := func(text string) bool { _, ok := bearer(text); return ok }
	isToken := func(text string) bool { return text != "" }
	return slices.ContainsFunc(h["X-Api-Token"], isToken) || slices.ContainsFunc(h["Authorization"], isBearer)
}

// maxCookies bounds how many cookies of one name are looked at.
const maxCookies = 8

// cookies returns the values of the cookies of a name: the last, and at most
// maxCookies-1 of those before it. Another host of the same domain may have set
// some, too. It can have many of them sent, but before Husk's own: browsers
// send those of longer paths first (RFC 6265, 5.4), and Husk's is of the
// shortest.
func cookies(r *http.Request, name string) (last string, before []string) {
	all := allCookies(r, name)
	if len(all) == 0 {
		return "", nil
	}
	end := len(all) - 1
	return all[end], all[max(0, end-maxCookies+1):end]
}

// allCookies returns the values of all cookies of a name. How many there can be
// is bounded by the length of a header.
func allCookies(r *http.Request, name string) (values []string) {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(pair, "=")
			if value = strings.Trim(value, " \t\""); value != "" && strings.Trim(key, " \t") == name {
				values = append(values, value)
			}
		}
	}
	return values
}

// authenticate returns who asks. Without a credential that is the owner of the
// data file on a local connection, and nobody elsewhere. A credential that is
// refused is an error, never passed over.
func (s *Server) authenticate(r *http.Request, requestID string) (*db.Actor, error) {
	actor := &db.Actor{Transport: db.TransportHTTP, Address: s.clientAddress(r), RequestID: requestID}
	local, isLocal := localOf(r.Context())
	if isLocal {
		actor.Transport, actor.Address = local.transport, ""
	}
	cred, sent, err := s.credentialOf(r)
	switch {
	case err != nil:
		return actor, err
	case !sent && isLocal && local.owner && !forwarded(r):
		actor.ID, actor.Name, actor.Permissions = db.LocalActor, local.name, db.AllPermissions
		return actor, nil
	case !sent:
		return actor, nil
	}
	who, err := s.identifyAny(r, cred)
	if err != nil {
		return actor, err
	}
	if who.token != nil && !who.token.Allows(parseAddress(actor.Address)) {
		// The clearest sign of a stolen one: its owner's log has it.
		shown := *actor
		who.become(&shown)
		s.Store.NoteRefusal(&shown, "token.use", who.token.Target())
		return actor, errFromElsewhere
	}
	who.become(actor)
	s.noteUse(who, actor.Address)
	return actor, nil
}

// identifyAny is identify of a credential that may be several cookies: the good
// one decides. Two good ones of different users can't be told apart: one of
// them is somebody's who wants to have this browser act as them.
func (s *Server) identifyAny(r *http.Request, cred credential) (*identity, error) {
	who, err := s.identify(r, cred)
	for _, jwt := range cred.more {
		other, failed := s.identify(r, credential{jwt: jwt})
		switch {
		case isRefused(failed):
		case failed != nil:
			return nil, failed
		case isRefused(err):
			who, err = other, nil
		case err == nil && other.user.ID != who.user.ID:
			return nil, errManyUsers
		}
	}
	return who, err
}

// isRefused tells a credential that is not good from a store that failed.
func isRefused(err error) bool {
	return err != nil && explain(err).status == http.StatusUnauthorized
}

// become makes actor who showed the credential.
func (who *identity) become(actor *db.Actor) {
	actor.ID, actor.Name, actor.User = who.user.ID, who.user.Username(), who.user
	actor.Token, actor.Session, actor.Permissions, actor.Profile = who.token, who.session, who.permissions, who.profile
	switch who.kind {
	case replaced:
		actor.Token = who.token.Replaced()
	case begun:
		actor.Token = who.token.Begun()
	}
}

// identity is what a credential was found to mean. It holds as long as the
// records that it was made from are the ones that the store has.
type identity struct {
	token       *db.Token
	kind        secretKind // of the token
	session     *db.Session
	key         *db.Key // that signed the session's JWT
	user        *db.User
	roles       *db.RoleSet
	permissions db.Permissions
	profile     []byte                 // the answer of GET /account/profile
	noted       atomic.Int64           // the second of the last use that was noted
	address     atomic.Pointer[string] // and the address that it came from
}

// identities keeps what credentials mean, under the SHA-256 of each, bounded.
// Reading takes no lock.
type identities struct {
	entries sync.Map // [32]byte to *identity
	count   atomic.Int64
}

const maxIdentities = 1 << 14

func (m *identities) get(sum [32]byte) *identity {
	if v, ok := m.entries.Load(sum); ok {
		return v.(*identity)
	}
	return nil
}

// put keeps who. When there is no room all of it is forgotten, which costs
// each credential one reading from the store's own memory.
func (m *identities) put(sum [32]byte, who *identity) {
	if m.count.Add(1) > maxIdentities {
		m.entries.Clear()
		m.count.Store(1)
	}
	m.entries.Store(sum, who)
}

// identify returns the identity of a credential as of now.
func (s *Server) identify(r *http.Request, cred credential) (*identity, error) {
	text := cred.token + cred.jwt // one of them is empty
	if len(text) > maxCredential {
		return nil, errBadCredential
	}
	sum := sha256.Sum256([]byte(text))
	who := s.identities.get(sum)
	if who != nil && (who.token != nil) == (cred.token != "") {
		current, err := s.current(r, who, sum)
		if err != nil || current {
			return who, err
		}
	}
	who, err := s.resolve(r, cred, sum)
	if err != nil {
		return nil, err
	}
	s.identities.put(sum, who)
	return who, nil
}

// current tells whether what who was made from is still what the store has.
// An error says that the credential is not valid any more.
func (s *Server) current(r *http.Request, who *identity, sum [32]byte) (bool, error) {
	ctx, now := r.Context(), s.Store.Now()
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return false, err
	}
	user, err := s.Store.User(ctx, who.user.ID)
	if err != nil {
		return false, credentialError(err)
	}
	if user != who.user || roles != who.roles {
		return false, nil
	}
	if who.token != nil {
		t, err := s.Store.Token(ctx, who.token.ID)
		if err != nil {
			return false, credentialError(err)
		}
		if _, err := matches(t, sum, now); err != nil {
			s.keepExpiry(t, now)
			return false, err
		}
		return t == who.token, nil
	}
	session, err := s.Store.Session(ctx, who.session.ID)
	if err != nil {
		return false, credentialError(err)
	}
	if err := s.sessionEnded(session, who.noted.Load(), now); err != nil {
		return false, err
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return false, err
	}
	return session == who.session && keys.ByID[who.key.ID] == who.key && !who.key.Ended(now), nil
}

// credentialError tells a credential that is gone from a store that failed.
func credentialError(err error) error {
	if err == nil || errors.Is(err, db.ErrNotFound) {
		return errBadCredential
	}
	return err
}

// secretKind tells which of a token's secrets was shown.
type secretKind int

const (
	current  secretKind = iota
	replaced            // in its time of grace
	begun               // of a rotation that is not settled
)

// matches compares in constant time and tells which secret it is that has that
// sum; an error says that it is not valid.
func matches(t *db.Token, sum [32]byte, now time.Time) (secretKind, error) {
	if t.Expired(now) {
		return current, errTokenExpired
	}
	if subtle.ConstantTimeCompare(t.Hash, sum[:]) == 1 {
		return current, nil
	}
	if p := t.Previous; p != nil && now.Unix() < p.Ends && subtle.ConstantTimeCompare(p.Hash, sum[:]) == 1 {
		return replaced, nil
	}
	if t.Next != nil && subtle.ConstantTimeCompare(t.Next.Hash, sum[:]) == 1 {
		if t.Begun().Expired(now) {
			return begun, errTokenExpired
		}
		return begun, nil
	}
	return current, errTokenReplaced
}

// resolve finds out what a credential means.
func (s *Server) resolve(r *http.Request, cred credential, sum [32]byte) (*identity, error) {
	who := &identity{}
	var owner string
	var err error
	if cred.token != "" {
		owner, err = s.resolveToken(r, who, cred.token, sum)
	} else {
		owner, err = s.resolveSession(r, who, cred.jwt)
	}
	if err != nil {
		return nil, err
	}
	if err := s.resolveOwner(r.Context(), who, owner); err != nil {
		return nil, err
	}
	profile, err := json.Marshal(profileOf(who.user, who.expanded()))
	who.profile = append(profile, '\n') // as every answer ends
	return who, err
}

// resolveOwner finds out whose the credential is, and what it may do.
func (s *Server) resolveOwner(ctx context.Context, who *identity, owner string) (err error) {
	who.user, err = s.Store.User(ctx, owner)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return errOwnerGone
	case err != nil:
		return err
	case who.user.Disabled:
		return errOwnerDisabled
	}
	if who.roles, err = s.Store.Roles(ctx); err != nil {
		return err
	}
	who.permissions = who.roles.Permissions(who.user.Roles)
	if who.token != nil && len(who.token.Permissions) > 0 {
		who.permissions = who.permissions.Intersect(db.NewPermissions(who.token.Permissions))
	}
	return nil
}

// expanded are the permissions, each that * stands for by its name.
func (who *identity) expanded() []string { return who.permissions.Expand(who.roles.Known()) }

func (s *Server) resolveToken(r *http.Request, who *identity, text string, sum [32]byte) (owner string, err error) {
	id, err := token.Parse(text)
	if err != nil {
		return "", errBadCredential
	}
	if who.token, err = s.Store.Token(r.Context(), id); err != nil {
		return "", credentialError(err)
	}
	now := s.Store.Now()
	if who.kind, err = matches(who.token, sum, now); err != nil {
		s.keepExpiry(who.token, now)
	}
	return who.token.Owner, err
}

// keepExpiry sees to it that a token, or another secret of it, that was refused
// for having ended stays so, whatever the clock shows after a restart.
func (s *Server) keepExpiry(t *db.Token, now time.Time) {
	if t.Expired(now) {
		s.Store.KeepTime(time.Unix(t.Expires, 0))
	} else if p := t.Previous; p != nil && now.Unix() >= p.Ends {
		s.Store.KeepTime(time.Unix(p.Ends, 0))
	}
	if t.Next != nil && t.Begun().Expired(now) {
		s.Store.KeepTime(time.Unix(t.Begun().Expires, 0))
	}
}

func (s *Server) resolveSession(r *http.Request, who *identity, jwt string) (owner string, err error) {
	keys, err := s.Store.Keys(r.Context())
	if err != nil {
		return "", err
	}
	claims, key, err := s.jwt.Parse(jwt, keys)
	if err != nil {
		return "", errBadCredential
	}
	who.key = key
	if who.session, err = s.Store.SessionBySecret(r.Context(), claims.Jti); err != nil {
		return "", credentialError(err)
	}
	if who.session.User != claims.Sub {
		return "", errBadCredential
	}
	return who.session.User, s.sessionNow(r.Context(), who)
}

// sessionNow tells why a session that was found is good no more. It reads when
// the session was last used only where that matters.
func (s *Server) sessionNow(ctx context.Context, who *identity) error {
	if s.SessionIdle > 0 {
		seen, err := s.Store.LastSeen(ctx, who.session)
		if err != nil {
			return err
		}
		who.noted.Store(seen.Unix())
	}
	return s.sessionEnded(who.session, who.noted.Load(), s.Store.Now())
}

// sessionEnded tells why a session has ended at now, where it has; used is the
// Unix second of its last use. It stays so, whatever the clock shows after a
// restart.
func (s *Server) sessionEnded(r *db.Session, used int64, now time.Time) error {
	if r.Expired(now) {
		s.Store.KeepTime(r.Expires)
		return errSessionExpired
	}
	if s.SessionIdle > 0 {
		if idle := time.Unix(used, 0).Add(s.SessionIdle); !now.Before(idle) {
			s.Store.KeepTime(idle)
			return errSessionIdle
		}
	}
	return nil
}

// noteUse remembers the use of a credential, at most once a second from one
// address.
func (s *Server) noteUse(who *identity, address string) {
	now := s.Store.Now().Unix()
	if before := who.address.Load(); before != nil && *before == address {
		if who.noted.Swap(now) == now {
			return
		}
	} else {
		who.noted.Store(now)
		who.address.Store(&address)
	}
	if who.token != nil {
		s.Store.NoteTokenUse(who.token.ID, address, who.kind == replaced)
	} else {
		s.Store.NoteSessionUse(who.session.ID, address)
	}
}

func profileOf(u *db.User, permissions []string) api.Profile {
	return api.Profile{
		ID: u.ID, Name: u.DisplayName(), Email: u.Email,
		Roles: append([]string{}, u.Roles...), Permissions: permissions, Preferences: map[string]any{}, MustChange: u.MustChange,
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
