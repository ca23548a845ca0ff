package web

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"husk/db"
	"husk/web/gate"
)

// This file remembers what credentials mean, and tells whether it still holds.

// identity is what a credential was found to mean. It holds as long as the
// records that it was made from are the ones that the store has.
type identity struct {
	token       *db.Token
	kind        secretKind // of the token
	session     *db.Session
	key         *db.Key // that signed the session's JWT, or did when the pass was made
	user        *db.User
	roles       *db.RoleSet
	permissions db.Permissions
	noFactor    bool                   // see db.Actor
	profile     []byte                 // the answer of GET /account/profile
	proved      *time.Time             // until when the profile says that a session is proved; nil: it does not
	scope       string                 // of a pass: where it is good; "": the credential is none
	gate        gate.Who               // as rules know who asks
	told        [4]string              // username, name, email and roles, as applications learn them
	introspect  atomic.Pointer[[]byte] // that of POST /oauth/introspect, once it was asked
	noted       atomic.Int64           // the second of the last use that was noted
	requests    atomic.Uint32          // how many were made with it and are in no tally yet; see settle
	address     atomic.Pointer[string] // and the address that it came from
}

// become makes actor who showed the credential.
func (who *identity) become(actor *db.Actor) {
	actor.ID, actor.Name, actor.User = who.user.ID, who.user.Username(), who.user
	actor.Token, actor.Session, actor.Permissions, actor.Profile = who.token, who.session, who.permissions, who.profile
	actor.NoFactor = who.noFactor
	switch who.kind {
	case replaced:
		actor.Token = who.token.Replaced()
	case begun:
		actor.Token = who.token.Begun()
	}
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
// each credential one reading from the store's own memory. last has those that are
// not kept any more.
func (m *identities) put(sum [32]byte, who *identity, last func(*identity)) {
	if m.count.Add(1) > maxIdentities {
		m.each(last)
		m.entries.Clear()
		m.count.Store(1)
	}
	if old, replaced := m.entries.Swap(sum, who); replaced {
		last(old.(*identity))
	}
}

func (m *identities) each(f func(*identity)) {
	m.entries.Range(func(_, who any) bool {
		f(who.(*identity))
		return true
	})
}

// identify returns the identity of a credential as of now.
func (s *Server) identify(ctx context.Context, cred credential) (*identity, error) {
	text := cred.token + cred.jwt + cred.pass // one of them is there
	if len(text) > maxCredential {
		return nil, errBadCredential
	}
	sum := sha256.Sum256([]byte(text))
	who := s.identities.get(sum)
	if who != nil && (who.token != nil) == (cred.token != "") && (who.scope != "") == (cred.pass != "") {
		current, err := s.current(ctx, who, sum)
		if err != nil || current {
			return who, err
		}
	}
	who, err := s.resolve(ctx, cred, sum)
	if err != nil {
		return nil, err
	}
	s.identities.put(sum, who, s.settle)
	return who, nil
}

// current tells whether what who was made from is still what the store has.
// An error says that the credential is not valid any more.
func (s *Server) current(ctx context.Context, who *identity, sum [32]byte) (bool, error) {
	now := s.Store.Now()
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
	switch err := s.sessionEnded(session, who.noted.Load(), now); {
	case err == errSessionIdle: // another credential of it may have been used
		return false, nil
	case err != nil:
		return false, err
	}
	if who.proved != nil && !now.Before(*who.proved) {
		return false, nil
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return false, err
	}
	return session == who.session && keys.ByID[who.key.ID] == who.key && !who.key.Ended(now), nil
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
		seen := address // or each use would take memory for it
		who.noted.Store(now)
		who.address.Store(&seen)
	}
	if who.token != nil {
		s.Store.NoteTokenUse(who.token.ID, address, who.kind == replaced)
	} else {
		s.Store.NoteSessionUse(who.session.ID, address)
	}
	s.settle(who)
}
