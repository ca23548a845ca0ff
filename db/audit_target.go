package db

import (
	"errors"
)

// Target is what an act is done to: the id that an entry of the audit log is
// found by, and the name that it has at the time. Names change and go with what
// had them; an inquiry is about how it was.
type Target struct {
	ID   string
	Name string // empty where it has none besides its id
}

// NoTarget is that of an act which is done to nothing known.
var NoTarget Target

// Literal is a target that is its own name: a role, a permission, a number.
func Literal(text string) Target { return Target{ID: text} }

// Target is the user as the target of an act: by email. Of nil it is none: what
// was typed for somebody who does not exist may be a password.
func (u *User) Target() Target {
	if u == nil {
		return NoTarget
	}
	return Target{u.ID, u.Username()}
}

// Target is the token as the target of an act.
func (k *Token) Target() Target { return Target{k.ID, k.Name} }

// of is the session as the target of an act: it is told by whose it is.
func (s *Session) of(u *User) Target { return Target{s.ID, u.Username()} }

// sessionTarget is a session as the target of an act. That of a user who is
// gone, or whose record is damaged, has no name: it must not keep a session
// from being ended.
func (t *txn) sessionTarget(r *Session) (Target, error) {
	u, err := userRecords.get(t, r.User)
	switch {
	case err == nil:
		return r.of(u), nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return Literal(r.ID), nil
	}
	return NoTarget, err
}

// tokenTarget is a token as the target of an act, by its id. One that is
// damaged has no name.
func (t *txn) tokenTarget(id string) (Target, error) {
	k, err := tokenRecords.get(t, id)
	switch {
	case err == nil:
		return k.Target(), nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return Literal(id), nil
	}
	return NoTarget, err
}

// setTarget names what the act is done to. A name that is the id is not written
// twice.
func (e *Event) setTarget(target Target) {
	e.Target, e.TargetName = target.ID, target.Name
	if target.Name == target.ID || target.ID == "" {
		e.TargetName = ""
	}
}

// ofMany makes the entry one of many addresses and targets, which were too many
// to keep apart.
func (e *Event) ofMany() {
	e.Address = ManyAddresses
	e.setTarget(NoTarget)
}
