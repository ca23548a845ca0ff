package web

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

// This file finds out what a credential means, and why it is refused.

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
func (s *Server) resolve(ctx context.Context, cred credential, sum [32]byte) (*identity, error) {
	who := &identity{}
	var owner string
	var err error
	switch {
	case cred.token != "":
		owner, err = s.resolveToken(ctx, who, cred.token, sum)
	case cred.pass != "":
		owner, err = s.resolvePass(ctx, who, cred.pass)
	default:
		owner, err = s.resolveSession(ctx, who, cred.jwt)
	}
	if err != nil {
		return nil, err
	}
	if err := s.resolveOwner(ctx, who, owner); err != nil {
		return nil, err
	}
	who.takeGate()
	return who, s.takeProfile(who)
}

// takeProfile makes the answer of GET /account/profile.
func (s *Server) takeProfile(who *identity) error {
	out := profileOf(who.user, who.expanded(), who.permissions.All())
	out.SecondFactor = wantsFactor(who.user, who.noFactor)
	if who.session != nil {
		who.proved = s.provedUntil(who.session)
		out.ProvedUntil = who.proved
	}
	profile, err := json.Marshal(out)
	who.profile = append(profile, '\n') // as every answer ends
	return err
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
	who.noFactor = who.session != nil && !who.session.SecondFactor(who.user) && who.roles.RequiresSecondFactor(who.user.Roles)
	if who.token != nil && len(who.token.Permissions) > 0 {
		who.permissions = who.permissions.Intersect(db.NewPermissions(who.token.Permissions))
	}
	return nil
}

// expanded are the permissions, each that * stands for by its name.
func (who *identity) expanded() []string { return who.permissions.Expand(who.roles.Known()) }

func (s *Server) resolveToken(ctx context.Context, who *identity, text string, sum [32]byte) (owner string, err error) {
	id, err := token.Parse(text)
	if err != nil {
		return "", errBadCredential
	}
	if who.token, err = s.Store.Token(ctx, id); err != nil {
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

func (s *Server) resolveSession(ctx context.Context, who *identity, jwt string) (owner string, err error) {
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return "", err
	}
	claims, key, err := s.jwt.Parse(jwt, keys)
	if err != nil {
		return "", errBadCredential
	}
	who.key = key
	if who.session, err = s.Store.SessionBySecret(ctx, claims.Jti); err != nil {
		return "", credentialError(err)
	}
	if who.session.User != claims.Sub {
		return "", errBadCredential
	}
	return who.session.User, s.sessionNow(ctx, who)
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

func profileOf(u *db.User, permissions []string, everything bool) api.Profile {
	return api.Profile{
		ID: u.ID, Name: u.DisplayName(), Email: u.Email,
		Roles: append([]string{}, u.Roles...), Permissions: permissions, Preferences: map[string]any{}, MustChange: u.MustChange,
		Administrator: everything,
	}
}
