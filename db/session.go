package db

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Session is a sign-in. Its JWT proves nothing without it, and
// it is of no use to one who reads it: the secret that the JWT carries as its
// jti is in no record, log or list, only its hash.
type Session struct {
	ID        string    `json:"id"`   // names it in lists and in the audit log; made from the secret, see sessionID
	Hash      []byte    `json:"hash"` // SHA-256 of the secret, 32 bytes
	User      string    `json:"user"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent"`
	Proved    time.Time `json:"proved,omitzero"`   // when the password or a second factor was last shown; see Store.ProvedUntil
	Methods   []string  `json:"methods,omitempty"` // how it was made, and what was proved in it since, sorted; none: before schema 5, by password
	Factored  time.Time `json:"factored,omitzero"` // when a second factor was last proved; zero: never
	Passes    []Pass    `json:"passes,omitempty"`  // to applications behind the gate
}

func (s *Session) readFast(j *fastJSON) {
	j.text("id", &s.ID)
	j.bytes("hash", &s.Hash)
	j.text("user", &s.User)
	j.time("created", &s.Created)
	j.time("expires", &s.Expires)
	j.text("ip", &s.IP)
	j.text("user_agent", &s.UserAgent)
	j.time("proved", &s.Proved)
	j.texts("methods", &s.Methods)
	j.time("factored", &s.Factored)
	j.none("passes")
}

// SecondFactor tells whether a second factor was proved in the session of u that u still
// has: one that was removed since proves nothing any more.
func (s *Session) SecondFactor(u *User) bool { return !s.Factored.IsZero() && len(u.Factors) > 0 }

// provedBy is the session after a proof by methods at now.
func (s *Session) provedBy(now time.Time, methods ...string) *Session {
	r := *s
	r.Proved = now
	r.Methods = unique(slices.Concat(s.Methods, methods))
	if slices.ContainsFunc(methods, func(m string) bool { return m != MethodPassword }) {
		r.Factored = now
	}
	return &r
}

// Expired tells whether the session has ended at now.
func (s *Session) Expired(now time.Time) bool { return !now.Before(s.Expires) }

var sessionRecords = collection[Session]{
	bucket: "session",
	id:     func(s *Session) string { return s.ID },
	index: func(s *Session) [][]byte {
		return [][]byte{
			indexKey(everything, byExpiry, timeKey(s.Expires), s.ID),
			indexKey(everything, byCreated, timeKey(s.Created), s.ID),
			indexKey(s.User, byCreated, timeKey(s.Created), s.ID),
		}
	},
	count:  func(s *Session) []string { return []string{"session", sessionsOf(s.User)} },
	owner:  func(s *Session) string { return s.User },
	used:   sessionUseBucket,
	memory: func(s *Store) memory { return s.sessions },
}

func sessionsOf(user string) string { return counterName("session", "user", user) }

// Session returns the session of id; shared, read only.
func (s *Store) Session(ctx context.Context, id string) (*Session, error) {
	return sessionRecords.cached(ctx, s, s.sessions, id)
}

// newSessionSecret makes what a session is found by: 130 random bits in 26
// letters and digits.
func newSessionSecret() string { return rand.Text() }

// sessionID names the session of a secret, as a UUID whose random bits (RFC 9562,
// 5.4) are those of a hash. It leads from the secret to the record without an
// index, and from the name to the secret leads nothing. The record's Hash is of
// the secret alone, so neither is a part of the other.
func sessionID(secret string) string {
	sum := sha256.Sum256([]byte("husk session id\n" + secret))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

// SessionBySecret returns the session that a JWT carries the secret of; shared,
// read only.
func (s *Store) SessionBySecret(ctx context.Context, secret string) (*Session, error) {
	r, err := s.Session(ctx, sessionID(secret))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256([]byte(secret)); subtle.ConstantTimeCompare(r.Hash, sum[:]) != 1 {
		return nil, errAbsentRecord
	}
	return r, nil
}

// SignIn is what a session is made from once who signs in was found right.
type SignIn struct {
	User      string
	Verified  string     // the stored hash that the password was checked against; of no account, where Factor is a passkey alone
	Factor    *FactorUse // that was found right; nil: there is none
	Rehash    string     // the same password in a hash of Husk's own; empty: keep
	TTL       time.Duration
	IP        string
	UserAgent string

	MaxPerUser int // how many sessions one may have: the longest unused ends; 0: no bound
}

// maxUserAgent bounds what of a browser's own words is kept, in bytes.
const maxUserAgent = 256

// CreateSession signs a user in, and returns the session with its secret, which
// is to be seen this once. A user who was disabled or deleted meanwhile, or whose
// password was changed, is ErrDenied.
func (s *Store) CreateSession(ctx context.Context, actor *Actor, in SignIn) (r *Session, secret string, err error) {
	if err := s.writeWrongCodes(ctx, in.User); err != nil {
		return nil, "", err
	}
	secret = newSessionSecret()
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := userRecords.get(t, in.User)
		if errors.Is(err, ErrNotFound) || (err == nil && (old.Disabled || !in.proves(old))) {
			return errSignInMoved
		}
		if err != nil {
			return err
		}
		if old, err = t.useFactor(old, in.Factor); err != nil {
			return err
		}
		r, err = s.signIn(t, old, secret, in)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return r, secret, nil
}

// proves tells whether what was found right is enough for the user as they are now.
func (in SignIn) proves(u *User) bool {
	if in.Factor.alone() {
		return true
	}
	return u.Password == in.Verified && (len(u.Factors) == 0 || in.Factor != nil)
}

// methods are how the session is made.
func (in SignIn) methods() (methods []string) {
	if !in.Factor.alone() {
		methods = append(methods, MethodPassword)
	}
	if in.Factor != nil {
		methods = append(methods, in.Factor.method())
	}
	return methods
}

// signIn makes the session of a user, who is in the store as old.
func (s *Store) signIn(t *txn, old *User, secret string, in SignIn) (*Session, error) {
	// RFC 7519 dates are whole seconds; so is the end, for both to agree.
	now := t.now.Truncate(time.Second)
	r := (&Session{User: old.ID, Created: t.now, Expires: now.Add(in.TTL), IP: in.IP,
		UserAgent: inPlainText(in.UserAgent[:min(len(in.UserAgent), maxUserAgent)])}).provedBy(t.now, in.methods()...)
	r.setSecret(secret)
	if err := sessionRecords.put(t, nil, r); err != nil {
		return nil, err
	}
	u := *old
	u.LastLogin = t.now
	if in.Rehash != "" {
		u.Password, u.Imported = in.Rehash, false
	}
	if err := t.putUser(old, &u); err != nil {
		return nil, err
	}
	from := t.actor
	t.actor = &Actor{ID: u.ID, Name: u.Username(), Transport: from.Transport, Address: from.Address, RequestID: from.RequestID}
	if err := s.endUnused(t, r, in.MaxPerUser); err != nil {
		return nil, err
	}
	return r, t.audit("session.login", r.of(&u))
}

func (s *Session) setSecret(secret string) {
	sum := sha256.Sum256([]byte(secret))
	s.ID, s.Hash = sessionID(secret), sum[:]
}

// renewSession puts another session in the place of one: the same sign-in,
// with the same end, under a new secret. Something was proved for that.
func (t *txn) renewSession(old, proved *Session, secret string) (*Session, error) {
	r := *proved
	r.Passes = nil // of who had the secret before
	r.setSecret(secret)
	if err := sessionRecords.remove(t, old); err != nil {
		return nil, err
	}
	if err := t.putJSON(sessionUseBucket, r.ID, LastUsed{Time: t.now, Address: t.actor.Address}); err != nil {
		return nil, err
	}
	if err := sessionRecords.put(t, nil, &r); err != nil {
		return nil, err
	}
	target, err := t.sessionTarget(&r)
	if err != nil {
		return nil, err
	}
	return &r, t.audit("session.renew", target)
}

var errSignInMoved = fail(ErrDenied, "login_failed", "the account was changed during the sign-in; try again")

// Logout ends the sessions that are shown, each by an actor of its own, all of
// them or none; ErrNotFound where none of them was still there. Whoever shows a
// session may end it, whatever else they may.
func (s *Store) Logout(ctx context.Context, shown ...*Actor) error {
	return s.update(ctx, &Actor{}, func(t *txn) error {
		found := false
		for _, actor := range shown {
			done, err := t.logout(actor)
			if err != nil {
				return err
			}
			found = found || done
		}
		if !found {
			return errAbsentRecord
		}
		return nil
	})
}

func (t *txn) logout(actor *Actor) (done bool, err error) {
	r, err := sessionRecords.get(t, actor.Session.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	who := *actor
	switch u, err := userRecords.get(t, r.User); {
	case err == nil:
		who.ID, who.Name = u.ID, u.Username()
	case !errors.Is(err, ErrNotFound):
		return false, err
	}
	t.actor = &who
	target, err := t.sessionTarget(r)
	if err != nil {
		return false, err
	}
	if err := sessionRecords.remove(t, r); err != nil {
		return false, err
	}
	return true, t.audit("session.logout", target)
}

// EndOwnSession ends a session of the actor's user; ErrNotFound where it is
// none of theirs.
func (s *Store) EndOwnSession(ctx context.Context, actor *Actor, id string) error {
	return s.endSession(ctx, actor, id, "session.revoke", func(_ *txn, r *Session) error {
		if r.User != actor.ID {
			return errAbsentRecord
		}
		return nil
	})
}

// EndSession ends anybody's session; that of a user who may do more than the
// actor is ErrDenied.
func (s *Store) EndSession(ctx context.Context, actor *Actor, id string) error {
	return s.endSession(ctx, actor, id, "session.revoke", func(t *txn, r *Session) error {
		u, err := userRecords.get(t, r.User)
		if errors.Is(err, ErrNotFound) {
			return nil // of a user who is gone
		}
		if err != nil {
			return err
		}
		return t.mayTouch(u)
	})
}

func (s *Store) endSession(ctx context.Context, actor *Actor, id, action string, may func(*txn, *Session) error) error {
	return s.update(ctx, actor, func(t *txn) error {
		r, err := sessionRecords.get(t, id)
		if err != nil {
			return err
		}
		if err := may(t, r); err != nil {
			return err
		}
		target, err := t.sessionTarget(r)
		if err != nil {
			return err
		}
		if err := sessionRecords.remove(t, r); err != nil {
			return err
		}
		return t.audit(action, target)
	})
}

// EndOtherSessions ends all sessions of the actor's user but the one shown,
// and tells how many.
func (s *Store) EndOtherSessions(ctx context.Context, actor *Actor) (n int, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		if n, err = t.endSessions(actor.ID, actor.Session.ID); err != nil || n == 0 {
			return err
		}
		return t.audit("session.revoke", t.actor.User.Target())
	})
	return n, err
}

// EndUserSessions ends all sessions of a user, by id or email, and the device
// cookies with them, and tells how many sessions. Those of a user who may do
// more than the actor are ErrDenied.
func (s *Store) EndUserSessions(ctx context.Context, actor *Actor, idOrEmail string) (u *User, n int, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := t.findUser(idOrEmail)
		if err != nil {
			return err
		}
		if err := t.mayTouch(old); err != nil {
			return err
		}
		if n, err = t.endSessions(old.ID, ""); err != nil {
			return err
		}
		if u, err = t.endDevices(old); err != nil {
			return err
		}
		return t.audit("session.revoke", u.Target())
	})
	return u, n, err
}

// Sessions returns a page of the sessions of q.Owner, or of everybody, by
// created.
func (s *Store) Sessions(ctx context.Context, q ListQuery) (Page[Session], error) {
	q.Query = ""
	total := "session"
	if q.Owner != "" {
		total = sessionsOf(q.Owner)
	}
	return sessionRecords.page(ctx, s, q, total, byCreated)
}

// endSessions ends all sessions of a user but one, and tells how many. It comes
// when all is asked that can be refused: see makeRoom.
func (t *txn) endSessions(user, keep string) (n int, err error) {
	others, err := t.owned(sessionRecords.indexBucket(), user, math.MaxInt)
	if err != nil {
		return 0, err
	}
	others = slices.DeleteFunc(others, func(e indexed) bool { return e.id == keep })
	if n, err = t.removeAll(&sessionRecords, others); err == nil && n < len(others) {
		return 0, t.endFirst(user, others)
	}
	return n + t.size.before, err
}

// endFirst has sessions ended before the change that they end with; that of the
// actor, who makes it, last.
func (t *txn) endFirst(user string, sessions []indexed) error {
	return &makeRoom{func(t *txn) (int, error) {
		if own := t.actor.Session; own != nil {
			sessions = slices.DeleteFunc(sessions, func(e indexed) bool { return e.id == own.ID })
		}
		n, err := t.removeAll(&sessionRecords, sessions)
		if err != nil {
			return n, err
		}
		u, err := userRecords.get(t, user)
		if err != nil {
			return n, err
		}
		return n, t.audit("session.revoke", u.Target())
	}}
}
