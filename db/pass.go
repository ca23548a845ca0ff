package db

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Pass lets a session's browser through the gate to one host, or to all hosts under
// a domain. It is kept in the session's record, and ends with it. Only the hash of
// its secret is kept, as of every credential: who reads the file can make none.
type Pass struct {
	Hash  []byte `json:"hash"`           // SHA-256 of the secret
	Scope string `json:"scope"`          // a host; or a dot and a domain
	Key   string `json:"key"`            // that signed when it was made: rotated away at once, it ends all sessions
	Code  bool   `json:"code,omitempty"` // good once, for another pass, and no credential
	Ends  int64  `json:"ends,omitempty"` // Unix seconds, of a code
}

const (
	maxPasses  = 32 // of one session; the oldest goes
	maxCodes   = 8  // of its codes
	passSecret = 16 // bytes
)

// Codes of refusals of a code at the gate.
var errCodeSpent = fail(ErrDenied, "gate_code", "the code was used before, has ended, or is for another host")

// passText is what a browser holds: which session, and the secret.
func passText(session string, secret []byte) (string, error) {
	id, err := uuid.Parse(session)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(id[:], secret...)), nil
}

// PassLength is how long the text of a pass is, in bytes.
const PassLength = (16+passSecret)*4/3 + 1

// splitPass takes the text of a pass apart.
func splitPass(text string) (session string, hash [32]byte, ok bool) {
	var raw [16 + passSecret]byte
	if len(text) != PassLength {
		return "", hash, false
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(text)); err != nil {
		return "", hash, false
	}
	return uuid.UUID(raw[:16]).String(), sha256.Sum256(raw[16:]), true
}

// pass returns where the session has the pass of a hash; -1: nowhere.
func (s *Session) pass(hash [32]byte) int {
	return slices.IndexFunc(s.Passes, func(p Pass) bool { return subtle.ConstantTimeCompare(p.Hash, hash[:]) == 1 })
}

// newPass adds a pass to a copy of the session, and returns both.
func (s *Session) newPass(p Pass, now time.Time) (*Session, string, error) {
	secret := make([]byte, passSecret)
	rand.Read(secret) // never fails (crypto/rand)
	text, err := passText(s.ID, secret)
	if err != nil {
		return nil, "", err
	}
	hash := sha256.Sum256(secret)
	p.Hash = hash[:]
	r := *s
	r.Passes = append(s.roomForPass(p.Code, now), p)
	return &r, text, nil
}

// roomForPass returns the passes of a session without what has ended, and without the
// oldest of a kind where one more would be too many.
func (s *Session) roomForPass(code bool, now time.Time) (kept []Pass) {
	most := maxPasses
	if code {
		most = maxCodes
	}
	n := 0
	for _, p := range slices.Backward(s.Passes) {
		if p.Code && now.Unix() >= p.Ends {
			continue
		}
		if p.Code == code {
			if n++; n >= most {
				continue
			}
		}
		kept = append(kept, p)
	}
	slices.Reverse(kept)
	return kept
}

// MakeCode makes a code by which the actor's browser, which shows its session to
// Husk alone, gets a pass of a scope: it is good once, for ttl, and to be seen this
// once.
func (s *Store) MakeCode(ctx context.Context, actor *Actor, scope string, ttl time.Duration) (code string, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := sessionRecords.get(t, actor.Session.ID)
		if err != nil {
			return err
		}
		keys, err := t.keySet()
		if err != nil {
			return err
		}
		r, text, err := old.newPass(Pass{Scope: scope, Key: keys.Signing.ID, Code: true, Ends: t.now.Add(ttl).Unix()}, t.now)
		if err != nil {
			return err
		}
		code = text
		return sessionRecords.put(t, old, r)
	})
	return code, err
}

// KnowsCode tells whether a text is a code of a scope that was not used. It writes
// nothing, and costs as little as a look at a session.
func (s *Store) KnowsCode(ctx context.Context, text, scope string) (bool, error) {
	id, hash, ok := splitPass(text)
	if !ok {
		return false, nil
	}
	r, err := s.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && r.goodCode(hash, scope, s.Now()) >= 0, err
}

func (s *Session) goodCode(hash [32]byte, scope string, now time.Time) int {
	i := s.pass(hash)
	if i < 0 || !s.Passes[i].Code || now.Unix() >= s.Passes[i].Ends || s.Passes[i].Scope != scope || s.Expired(now) {
		return -1
	}
	return i
}

// TakeCode exchanges a code for a pass of the same scope. Of several at once one
// gets it, the others are ErrDenied. from is where it came from; who came is the
// session's user.
func (s *Store) TakeCode(ctx context.Context, from *Actor, text, scope string) (pass string, ends time.Time, err error) {
	id, hash, ok := splitPass(text)
	if !ok {
		return "", ends, errCodeSpent
	}
	err = s.update(ctx, from, func(t *txn) error {
		old, u, err := t.sessionOf(id)
		if errors.Is(err, ErrNotFound) {
			return errCodeSpent // its session has ended
		}
		if err != nil {
			return err
		}
		i := old.goodCode(hash, scope, t.now)
		if i < 0 || u.Disabled {
			return errCodeSpent
		}
		without := *old
		without.Passes = slices.Delete(slices.Clone(old.Passes), i, i+1)
		r, text, err := without.newPass(Pass{Scope: scope, Key: old.Passes[i].Key}, t.now)
		if err != nil {
			return err
		}
		pass, ends = text, r.Expires
		if err := sessionRecords.put(t, old, r); err != nil {
			return err
		}
		t.actor = &Actor{ID: u.ID, Name: u.Username(), Transport: from.Transport, Address: from.Address, RequestID: from.RequestID}
		return t.audit("gate.enter", Literal(scope))
	})
	return pass, ends, err
}

// sessionOf returns a session with its user.
func (t *txn) sessionOf(id string) (r *Session, u *User, err error) {
	if r, err = sessionRecords.get(t, id); err != nil {
		return nil, nil, err
	}
	u, err = userRecords.get(t, r.User)
	return r, u, err
}

// SessionByPass returns the session that has a pass, and the pass; both are shared,
// read only.
func (s *Store) SessionByPass(ctx context.Context, text string) (*Session, *Pass, error) {
	id, hash, ok := splitPass(text)
	if !ok {
		return nil, nil, errAbsentRecord
	}
	r, err := s.Session(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if i := r.pass(hash); i >= 0 && !r.Passes[i].Code {
		return r, &r.Passes[i], nil
	}
	return nil, nil, errAbsentRecord
}
